"""The tables of the time to a target: right costs, misses last and in words, no row dropped."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from stores import make_run, measured, spec

from textbench.report import pictures, target_profile, write_report
from textbench.report.definitions import row_names
from textbench.report.panels import Drawn
from textbench.report.sections import Section, sections
from textbench.report.targets import TargetTable, build, layout, missing, sentence, to_frame
from textbench.store.frames import Frames, frames
from textbench.store.read import read_store
from textbench.store.rows import Status

FAR = {"nll_validation": 8.0, "nll_oracle": 9.9}
MLE = {"nll_validation": 7.6, "nll_oracle": 9.4}
"""Meets target table1-mle, to the bit in one number, and not target cot."""
COT = {"nll_validation": 7.5, "nll_oracle": 9.6}
"""Meets target cot alone."""
BOTH = {"nll_validation": 7.5, "nll_oracle": 9.4}


def read(store: Path) -> tuple[Section, Frames]:
    found = frames(read_store(store))
    (section,) = sections(found, row_names())
    return section, found


def tables(store: Path) -> dict[str, TargetTable]:
    section, found = read(store)
    return {table.target.name: table for table in build(found.results, section)}


def seeds(store: Path, label: str, met_at: Sequence[int | None], curve_of: int = 5) -> None:
    """Make a run per seed that meets both targets at an epoch: 10 updates and 2,000 tokens each."""
    trainer, _, variant = label.partition(":")
    for seed, when in enumerate(met_at):
        curve = [BOTH if epoch == when else FAR for epoch in range(curve_of)]
        made = spec(trainer, seed, variant=variant, config={"epochs": 4, "of": label})
        make_run(store, made, curve, tokens=1000)


def lines(table: TargetTable) -> dict[str, list[str]]:
    """Return the cells of every row, as text: reached, updates, tokens, seconds, misses, tuning."""
    (block,) = layout(table).blocks
    return {row.name: [row.stub, *(cell.ours for cell in row.cells)] for row in block.rows}


def test_costs_are_medians_with_intervals_and_misses_stand_last_in_words(tmp_path: Path) -> None:
    seeds(tmp_path, "cot", [3, 1, None, 2, None])
    seeds(tmp_path, "mle", [2])
    seeds(tmp_path, "seqgan", [None, None])
    seeds(tmp_path, "mixce", [1, None])
    table = tables(tmp_path)["table1-mle"]
    found = lines(table)
    assert list(found) == ["MLE", "CoT", "MixCE", "SeqGAN"]
    assert found["MLE"] == ["1 of 1", "20", "4,000", "3.8", "—", "as published"]
    reached, updates, tokens, seconds, misses, _ = found["CoT"]
    assert (reached, misses) == ("3 of 5", "2 not within 4 epochs")
    assert updates == "30 [10, not reached]"
    assert tokens == "6,000 [2,000, not reached]" and seconds == "5.7 [1.9, not reached]"
    assert found["MixCE"][:2] == ["1 of 2", "— (not reached by half the seeds)"]
    assert found["SeqGAN"][:2] == ["0 of 2", "— (not reached)"]
    notes = " ".join(layout(table).notes)
    assert "94 % with 5 seeds" in notes and "one seed has no interval" in notes
    assert "nll_validation ≤ 7.60 and nll_oracle ≤ 9.43" in notes and "version 1" in notes
    assert "known to the next evaluation: every epoch." in notes


@pytest.mark.usefixtures("no_figures")
def test_every_format_is_of_one_frame_and_none_says_inf(tmp_path: Path) -> None:
    seeds(tmp_path / "results", "cot", [3, 1, None])
    seeds(tmp_path / "results", "mle", [None])
    write_report(tmp_path / "results", tmp_path / "out")
    name = "target-table1-mle-synthetic-quick"
    text = {
        kind: (tmp_path / "out" / f"{name}.{kind}").read_text() for kind in ("csv", "md", "tex")
    }
    text["index"] = (tmp_path / "out" / "report.md").read_text()
    text["html"] = (tmp_path / "out" / "report.html").read_text()
    for kind in ("md", "tex", "index"):
        assert "30 [10, not reached]" in text[kind].replace("\\", "")
        assert not re.search(r"\binf\b", text[kind])
    assert '<span class="ours">30 [10, not reached]</span>' in text["html"]
    cot, mle = csv.DictReader(io.StringIO(text["csv"]))
    assert (cot["label"], cot["generator_updates"], cot["reached"]) == ("cot", "30.0", "2")
    assert (cot["rules"], cot["at_most"]) == ("1", "nll_validation<=7.6 nll_oracle<=9.43")
    assert mle["generator_updates"] == cot["generator_updates_high"] == ""
    assert float(cot["coverage"]) == 0.75 and mle["misses"] == "1 not within 4 epochs"
    assert f"{name}.csv" in text["index"]


def test_a_row_that_meets_one_target_has_both_tables(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), [FAR, MLE])
    make_run(tmp_path, spec("cot"), [FAR, FAR, COT])
    found = tables(tmp_path)
    assert [row[0] for row in lines(found["table1-mle"]).values()] == ["1 of 1", "0 of 1"]
    assert list(lines(found["cot"])) == ["CoT", "MLE"]
    assert list(to_frame(found["cot"])["reached"]) == [1, 0]
    tokens = lines(found["cot"])["CoT"][2]
    assert tokens == "—"  # older ledgers have no tokens


def test_unfinished_runs_are_named_and_no_table_stands_empty(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), [FAR], final=None, status=Status("running"))
    make_run(tmp_path, spec("cot"), [{"nll_test": 7.0, "nll_oracle": 9.0}])
    section, _ = read(tmp_path)
    found = tables(tmp_path)
    assert not len(found["cot"].rows)
    first, second = missing(list(found.values()), section)
    assert "training is not over: MLE (1)" in first and "not on record" in first
    assert "as good as CoT" in second
    assert "no finished run has its numbers on record" in sentence(found["cot"])
    make_run(tmp_path, spec("seqgan"), [BOTH])
    table = tables(tmp_path)["cot"]
    assert list(lines(table)) == ["SeqGAN"]
    assert "training is not over: MLE (1)." in " ".join(layout(table).notes)


def test_seconds_of_two_machines_are_scaled_or_left_out_and_said_so(tmp_path: Path) -> None:
    for trainer, cpu, rate in (("mle", "slow", 4e10), ("cot", "fast", 12e10)):
        make_run(tmp_path, spec(trainer), [FAR, BOTH], env={"cpu": cpu, "product_rate": rate})
    table = tables(tmp_path)["cot"]
    assert {name: row[3] for name, row in lines(table).items()} == {"MLE": "0.95", "CoT": "2.85"}
    assert "put on the scale of a machine that multiplies matrices at 80 GF/s." in " ".join(
        layout(table).notes
    )
    make_run(tmp_path, spec("seqgan"), [FAR, BOTH], env={"cpu": "unknown"})
    table = tables(tmp_path)["cot"]
    assert {row[3] for row in lines(table).values()} == {"—"}
    assert "are left out" in " ".join(layout(table).notes)


def test_references_and_other_temperatures_have_no_cost(tmp_path: Path) -> None:
    run = make_run(tmp_path, spec("mle"), [FAR, BOTH])
    made = {"time": "2026-11-25T12:00:00+00:00", "textbench": "0.1.0", "options": []}
    values = measured(BOTH, "/1 n=100")
    run.append("evaluations.jsonl", {**made, "alpha": 2.0, "samples": 100, "metrics": values})
    make_run(tmp_path, spec("real"), [BOTH])
    section, _ = read(tmp_path)
    assert len(section.rows) == 3
    assert list(lines(tables(tmp_path)["cot"])) == ["MLE"]


@pytest.mark.usefixtures("no_figures")
def test_a_task_without_a_target_says_so(tmp_path: Path) -> None:
    make_run(tmp_path / "results", spec("mle", task="plugin"), [FAR, BOTH])
    write_report(tmp_path / "results", tmp_path / "out")
    index = (tmp_path / "out" / "report.md").read_text()
    assert "no target is declared for task plugin." in index
    assert not list((tmp_path / "out").glob("target-*"))


def test_how_a_row_was_tuned_stands_beside_it(tmp_path: Path) -> None:
    seeds(tmp_path, "mle:tuned-k4", [1])
    make_run(tmp_path, spec("cot", overrides={"cot.g_lr": 0.1}), [FAR, BOTH])
    make_run(tmp_path, spec("seqgan", overrides={"evaluation.every": 1}), [FAR, BOTH])
    found = {name: row[-1] for name, row in lines(tables(tmp_path)["cot"]).items()}
    assert found == {
        "mle:tuned-k4": "tuned (4)",
        "CoT": "changed by hand",
        "SeqGAN": "as published",
    }


def test_rows_with_new_data_in_every_pass_do_not_compete(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle", variant="fresh", fresh_data=True), [BOTH])
    seeds(tmp_path, "cot", [2, 2, 2])
    seeds(tmp_path, "mle", [3, 3, 3])
    table = tables(tmp_path)["cot"]
    assert "upper bound and no competitor: mle:fresh" in " ".join(layout(table).notes)
    said = sentence(table)
    assert "cheapest in the median (not tested): CoT (20 generator updates, 4,000 tokens" in said
    assert "2 of 2 rows reached it." in said
    assert "nothing may be concluded" not in said


@pytest.mark.usefixtures("no_figures")
def test_the_first_screen_names_the_cheapest_row_and_how_few_seeds_it_has(tmp_path: Path) -> None:
    seeds(tmp_path / "results", "cot", [1])
    seeds(tmp_path / "results", "mle", [2])
    seeds(tmp_path / "results", "seqgan", [None])
    said: list[str] = []
    write_report(tmp_path / "results", tmp_path / "out", said.append)
    (line,) = (line for line in said if "as good as CoT" in line)
    assert "cheapest in the median (not tested): CoT (10 generator updates, 2,000 tokens" in line
    assert "2 of 3 rows reached it, each with fewer than 3 seeds: nothing may be concluded" in line
    index = (tmp_path / "out" / "report.md").read_text()
    assert index.index("CoT (10 generator updates") < index.index("What this is worth")


def test_rows_of_equal_cost_are_all_the_cheapest(tmp_path: Path) -> None:
    """Only the first of them was named."""
    for label in ("cot", "mle", "seqgan"):
        seeds(tmp_path, label, [1 + (label == "seqgan")] * 3)
    said = sentence(tables(tmp_path)["cot"])
    assert "in the median (not tested): CoT and MLE (10 generator updates, " in said
    assert "SeqGAN" not in said and "3 of 3 rows reached it." in said


def test_costs_of_several_kinds_may_have_several_cheapest_rows(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), [FAR, BOTH], tokens=9000)
    make_run(tmp_path, spec("cot"), [FAR, FAR, BOTH], tokens=1000)
    said = sentence(tables(tmp_path)["cot"])
    assert "(not tested): MLE (10 generator updates, 1.9 processor seconds), " in said
    assert ", CoT (4,000 tokens sampled + scored); 2 of 2 rows" in said


def test_nobody_is_the_cheapest_in_what_is_not_on_record_of_all(tmp_path: Path) -> None:
    """MLE was the cheapest in tokens because CoT's ledger had none."""
    make_run(tmp_path, spec("mle"), [FAR, FAR, BOTH], tokens=1000)
    run = make_run(tmp_path, spec("cot"), [FAR, BOTH])
    said = sentence(tables(tmp_path)["cot"])
    assert "(not tested): CoT (10 generator updates, 1.9 processor seconds); 2 of 2 rows" in said
    path = run.path / "metrics.jsonl"
    path.write_text(path.read_text().replace("generator_updates", "other_updates"))
    said = sentence(tables(tmp_path)["cot"])
    assert "(not tested): CoT (1.9 processor seconds); 2 of 2 rows" in said


def test_a_warm_up_that_meets_it_is_named(tmp_path: Path) -> None:
    warmup = spec("mle", config={"epochs": 1})
    make_run(tmp_path, warmup, [FAR, BOTH])
    make_run(tmp_path, spec("seqgan", warmup=warmup), [FAR])
    notes = " ".join(layout(tables(tmp_path)["cot"]).notes)
    assert "Met in the warm-up, before the row's own training: SeqGAN (1 of 1)." in notes


# -- the profile -----------------------------------------------------------------------------


def test_the_profile_is_the_share_of_targets_within_a_factor(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), [FAR, MLE, FAR, BOTH], tokens=1000)
    make_run(tmp_path, spec("cot"), [FAR, FAR, BOTH], tokens=1000)
    make_run(tmp_path, spec("seqgan"), [FAR], tokens=1000)
    steps, why = target_profile.build(list(tables(tmp_path).values()))
    assert why == ""
    mine = steps[steps["cost"] == "tokens"].set_index(["label", "tau"])["share"].to_dict()
    assert mine == {
        **{("mle", 1.0): 0.5, ("mle", 1.5): 1.0, ("mle", 2.0): 1.0},
        **{("cot", 1.0): 0.5, ("cot", 1.5): 0.5, ("cot", 2.0): 1.0},
        **{("seqgan", tau): 0.0 for tau in (1.0, 1.5, 2.0)},
    }
    write_report(tmp_path, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    stem = "target-profile-synthetic-quick"
    assert {f"{stem}.{kind}" for kind in ("pdf", "png", "csv")} <= names
    index = (tmp_path / "out" / "report.md").read_text()
    assert (
        f"({stem}.png)" in index
        and "Not drawn, as their median seed meets none at any τ: SeqGAN." in index
    )


def test_the_profile_names_the_rows_of_few_seeds(tmp_path: Path) -> None:
    """One lucky seed looked like a row of ten."""
    seeds(tmp_path, "cot", [1])
    seeds(tmp_path, "mle", [2, 2, 2])
    seeds(tmp_path, "seqgan", [None])
    found = list(tables(tmp_path).values())
    drawn = Drawn(Figure(), ("SeqGAN",))
    assert target_profile.caption(found, drawn).endswith(
        "Fewer than 3 seeds, of which nothing may be concluded: CoT. "
        "Not drawn, as their median seed meets none at any τ: SeqGAN."
    )
    seeds(tmp_path, "cot", [1, 1, 1])
    assert "Fewer" not in target_profile.caption(list(tables(tmp_path).values()), drawn)


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (["mle"], "it takes 2 rows that reach a target, and there is 1"),
        (["mle", "seqgan"], "it takes 2 rows that reach a target, and there is 1"),
    ],
)
def test_why_there_is_no_profile(
    labels: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "figure_specs", tuple)
    for label in labels:
        make_run(tmp_path, spec(label), [FAR, FAR if label == "seqgan" else BOTH])
    write_report(tmp_path, tmp_path / "out")
    assert f"No performance profile: {why}." in (tmp_path / "out" / "report.md").read_text()
    assert not list((tmp_path / "out").glob("target-profile*"))


def test_costs_that_nobody_recorded_are_dashes_and_no_profile(tmp_path: Path) -> None:
    """Met, on a GPU, by a ledger without updates: an AttributeError instead of a report."""
    for label in ("mle", "cot"):
        for seed in range(3):
            run = make_run(
                tmp_path / "results", spec(label, seed), [FAR, BOTH], env={"device": "NVIDIA H100"}
            )
            path = run.path / "metrics.jsonl"
            path.write_text(path.read_text().replace("generator_updates", "other_updates"))
    said: list[str] = []
    write_report(tmp_path / "results", tmp_path / "out", said.append)
    found = tables(tmp_path / "results")
    assert lines(found["cot"])["CoT"][:4] == ["3 of 3", "—", "—", "—"]
    assert list(to_frame(found["cot"])["coverage"]) == [0.75, 0.75]
    assert "75 % with 3 seeds" in " ".join(layout(found["cot"]).notes)
    assert any("at one evaluation): 2 of 2 rows reached it." in line for line in said)
    index = (tmp_path / "out" / "report.md").read_text()
    assert "No performance profile: no cost is on record for all rows." in index


def test_one_target_makes_no_profile(tmp_path: Path) -> None:
    for label in ("mle", "cot"):
        make_run(tmp_path, spec(label, task="synthetic-tiny"), [{**FAR}, {k: 1.0 for k in FAR}])
    steps, why = target_profile.build(list(tables(tmp_path).values()))
    assert not len(steps) and why == "No performance profile: it takes 2 targets, not 1."


def test_a_target_that_costs_nothing_divides_nothing_by_zero(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), [BOTH], tokens=1000)
    make_run(tmp_path, spec("cot"), [FAR, BOTH], tokens=1000)
    steps, _ = target_profile.build(list(tables(tmp_path).values()))
    shares = steps[steps["cost"] == "tokens"].groupby("label")["share"].max().to_dict()
    assert shares == {"mle": 1.0, "cot": 0.0} and math.isfinite(steps["tau"].max())
