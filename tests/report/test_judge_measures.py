"""One number per run, from frames, and rankings of them."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from framed import Made, finals, near

from textbench.judge import measures, spacing
from textbench.judge.answer import answer
from textbench.judge.claims import judge_claims
from textbench.judge.collapse import COLLAPSED, collapsed
from textbench.judge.evaluations import Evaluations
from textbench.judge.ranking import rankings
from textbench.judge.sections import sections
from textbench.judge.statements import claims
from textbench.report import definitions


def evaluated(made: Made) -> Evaluations:
    return Evaluations.build(made.results)


def best(made: Made, metrics: list[str], **how: bool) -> pd.DataFrame:
    return measures.best(measures.curves(evaluated(made), metrics), metrics, **how)


# -- measures --------------------------------------------------------------------------------


def test_the_best_is_taken_on_one_common_grid() -> None:
    made = Made()
    often = {e: {"nll_test": 8.0 - 0.1 * e} for e in range(41)} | {5: {"nll_test": 1.0}}
    made.run("mle", 0, curve=often)
    made.run("cot", 0, curve={e: {"nll_test": 8.0} for e in range(0, 41, 4)})
    found = best(made, ["nll_test"]).set_index("label")
    assert found.loc["mle", "value"] == pytest.approx(4.0) and found.loc["mle", "epoch"] == 40
    assert set(found["evaluations"]) == {11}
    assert found.loc["cot", "grid"] == "11 evaluations, epochs 0 to 40, every 4"
    free = best(made, ["nll_test"], common=False).set_index("label")
    assert free.loc["mle", "value"] == 1.0
    assert free.loc["mle", "grid"] == "41 evaluations, epochs 0 to 40"


def test_a_common_grid_of_few_evaluations_would_overlook_a_sharp_best() -> None:
    made = Made()
    made.run("mle", 0, curve={e: {"nll_test": 7.6 + abs(e - 5)} for e in range(41)})
    made.run("cot", 0, curve={e: {"nll_test": 8.0} for e in (0, 20, 40)})
    found = best(made, ["nll_test"]).set_index("label")
    assert found.loc["mle", "value"] == 7.6
    assert found["grid"].tolist() == [
        "41 evaluations, epochs 0 to 40",
        "3 evaluations, epochs 0 to 40",
    ]


def test_equal_grids_are_not_thinned_whatever_their_length() -> None:
    grid = (0, 2, 4, 5, 10, 15, 20, 25, 30, 35)
    made = Made()
    made.run("mle", 0, curve={e: {"nll_test": 7.6 + abs(e - 4)} for e in grid})
    made.run("cot", 0, curve={e: {"nll_test": 8.0} for e in (*grid, 40)})
    found = best(made, ["nll_test"]).set_index("label")
    assert found.loc["mle", ["value", "epoch"]].tolist() == [7.6, 4]
    assert found["grid"].tolist() == [
        "10 evaluations, epochs 0 to 35",
        "11 evaluations, epochs 0 to 40",
    ]


def test_without_a_common_grid_each_grid_is_printed() -> None:
    made = Made()
    made.run("mle", 0, curve={e: {"nll_test": 8.0} for e in (0, 1, 3)})
    made.run("cot", 0, curve={e: {"nll_test": 8.0} for e in (0, 2, 5)})
    assert spacing.common_spacing(measures.curves(evaluated(made), ["nll_test"])) is None
    found = best(made, ["nll_test"])
    assert found["grid"].tolist() == [
        "3 evaluations, epochs 0 to 3",
        "3 evaluations, epochs 0 to 5",
    ]


def test_a_final_value_of_another_protocol_is_not_on_the_curve() -> None:
    made = Made()
    made.run("cot", 0, curve={0: {"nll_test": 8.0}, 4: {"nll_test": 7.0}}, final={})
    made._results.append(
        made._results[-1] | {"final": True, "evaluation": 2, "value": 1.0, "protocol": "nll_test/9"}
    )
    assert best(made, ["nll_test"])["value"].tolist() == [7.0]
    assert measures.final(evaluated(made), ["nll_test"])["value"].tolist() == [1.0]


def test_a_sum_needs_all_its_metrics_and_unfinished_runs_count_nowhere() -> None:
    made = Made()
    made.run("mle", 0, final={"nll_oracle": 9.0, "nll_test": 8.0})
    made.run("mle", 1, final={"nll_oracle": 9.0}, reasons={"nll_test": "no test set"})
    made.run("mle", 2, curve={1: {"nll_oracle": 1.0, "nll_test": 1.0}}, status="running")
    found = measures.final(evaluated(made), ["nll_oracle", "nll_test"])
    assert found["value"].tolist() == [17.0]
    assert found["protocol"].tolist() == ["nll_oracle/1 n=9984 + nll_test/1 n=9984"]


def test_late_is_the_second_half_of_own_training() -> None:
    made = Made()
    made.run(
        "cot", 0, curve={e: {"jsd_stepwise": 8.0 - e if e < 5 else e - 1.0} for e in range(11)}
    )
    own = measures.own_training(measures.curves(evaluated(made), ["jsd_stepwise"]), measures.late)
    assert own["value"].tolist() == [5.0]


def test_a_row_of_two_protocols_counts_with_the_one_of_most_seeds() -> None:
    made = Made()
    for seed, protocol in enumerate(("/1", "/2", "/1")):
        made.run("mle", seed, final={"nll_test": float(seed)}, protocol=protocol)
    frame = measures.final(evaluated(made), ["nll_test"])
    values, protocol = measures.sample(frame, ("mle", frame["group"].iloc[0]))
    assert (values, protocol) == ({0: 0.0, 2: 2.0}, "nll_test/1")


# -- rankings on frames ----------------------------------------------------------------------


def test_rows_are_ranked_per_task_and_metric_with_a_sentence() -> None:
    made = Made()
    for label, base in (("mle:dropout", 7.50), ("cot", 7.52), ("mle", 8.0), ("mle:fresh", 5.0)):
        for seed in range(3):
            value = base + 0.02 * math.sin(seed * 5 + len(label))
            made.run(
                label,
                seed,
                final={"nll_test": value, "distinct2": -value},
                fresh_data="fresh" in label,
            )
    lower, higher = rankings(*made.sections, ["nll_test", "distinct2", "absent"])
    assert lower.sentence.startswith("mle:dropout and cot share the first place in nll_test, not ")
    assert lower.rows["place"].tolist()[:3] == [1, 1, 2] and lower.rows["place"].isna().iloc[3]
    assert lower.rows["in_ranking"].tolist() == [True, True, True, False]
    second = lower.rows.iloc[2]
    assert second["distance_low"] < second["distance"] < second["distance_high"]
    assert second["separated"] and second["paired"]
    assert (higher.direction, higher.rows["place"].tolist()[:3]) == ("higher", [1, 1, 2])


def test_a_row_whose_samples_are_all_alike_has_no_place_by_any_metric() -> None:
    """It collapsed in every seed; one that did so in some of them competes."""
    made = Made()
    for seed in range(3):
        near_data = 0.01 * math.sin(5 * seed)
        for label, nll, entropy in (
            ("mle", 9.1, 6.0),
            ("cot", 9.4, 7.3),
            ("flat", 0.9, 0.05),
            ("now and then", 8.0, 0.0 if seed else 0.06),
        ):
            values = {"nll_oracle": nll, "nll_test": 9 - nll / 9, "generator_entropy": entropy}
            made.run(
                label, seed, final={name: v + near_data * (v > 1) for name, v in values.items()}
            )
    (section,) = made.sections
    apart = collapsed(section, definitions.collapsed())
    assert [label for label, _ in apart] == ["flat"]
    found = rankings(section, ["nll_oracle", "nll_test"], apart=apart)
    for one in found:
        flat = one.rows.set_index("label").loc["flat"]
        assert pd.isna(flat["place"]) and not flat["in_ranking"] and flat["note"] == COLLAPSED
        assert one.rows["place"].notna().sum() == 3
    assert found[0].rows["label"].tolist() == ["now and then", "mle", "cot", "flat"]
    titles = {line.key: line.label for line in section.lines}
    said = answer(found, titles, dict.fromkeys(titles, ""))
    assert said.endswith("Without a place, for in every seed all samples are alike: flat.")


def test_two_groups_of_one_label_have_names_of_their_own() -> None:
    made = Made()
    for epochs in (20, 120):
        finals(made, "mle", (9.0, 9.1, 9.2), "nll_test", config={"epochs": epochs})
    finals(made, "mle", (8.0, 8.1, 8.2), "nll_test", config={"lr": 0.1}, overrides={"mle.lr": 0.1})
    (found,) = rankings(*made.sections, ["nll_test"])
    assert sorted(found.rows["name"]) == ["mle (120 epochs)", "mle (20 epochs)", "mle [lr=0.1]"]
    assert "their runs" not in found.sentence


def test_thirty_rows_and_names_of_any_script() -> None:
    made = Made()
    for row in range(30):
        label = f"ryw:Übung-{row}-列"
        finals(made, label, [row + near(label, seed, 1e-3) for seed in range(5)], "nll_test")
    (found,) = rankings(*made.sections, ["nll_test"])
    assert found.rows["place"].tolist() == list(range(1, 31))
    assert found.sentence.startswith("ryw:Übung-0-列 has the lowest nll_test")


def test_a_constant_metric_ranks_nothing() -> None:
    made = Made()
    for label in ("mle", "cot"):
        finals(made, label, (1.0, 1.0, 1.0), "novelty")
    (found,) = rankings(*made.sections, ["novelty"])
    assert found.rows["place"].tolist() == [1, 1]
    assert "their values agree to the bit" in found.sentence


def test_a_missing_seed_leaves_the_pairs_that_there_are() -> None:
    made = Made()
    for label, base, seeds in (("cot", 7.0, (0, 1, 2, 3)), ("mle", 8.0, (0, 2, 3))):
        for seed in seeds:
            made.run(label, seed, final={"nll_test": base + near(label, seed)})
    (found,) = rankings(*made.sections, ["nll_test"])
    assert found.rows["n"].tolist() == [4, 3] and found.rows["separated"].iloc[1]
    assert found.sentence.endswith("(n >= 3).")


def test_a_metric_without_a_direction_is_not_ranked() -> None:
    made = Made()
    finals(made, "mle", (9.0, 9.1, 9.2), "mean_length")
    frames = made.frames._replace(results=made.results.assign(direction="none"))
    assert rankings(*sections(frames), ["mean_length"]) == []


def test_rows_that_are_not_compared_do_not_coarsen_the_grid() -> None:
    made = Made()
    for seed in range(3):
        for label, base in (("cot", 7.0), ("mle", 8.0)):
            curve = {e: {"nll_test": base - 0.1 * e + near(label, seed)} for e in range(0, 13, 2)}
            made.run(label, seed, curve=curve)
        made.run("seqgan", seed, curve={e: {"nll_test": 9.0} for e in (0, 6, 12)})
    mine = [one for one in claims() if one.id == "no-pretraining"]
    (found,) = judge_claims(made.sections, mine).itertuples()
    assert found.here == "holds"
    assert found.selected.count("7 evaluations, epochs 0 to 12") == 2
