"""Verdicts: what our runs say about each published number and claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from stores import make_run, spec
from textbench.report.quantities import measure
from textbench.report.verdicts import Verdict, count, grouped, verdicts
from textbench.store.replicates import Comparable, sections

from textbench.contracts.spec import Spec
from textbench.report import verdicts as module
from textbench.report.definitions import Claim, Quantity, claims, published_tables, row_names
from textbench.store.read import read_store
from textbench.store.rows import Status

PAPER = {"preset": "paper", "task_config": {"oracle": "published"}}


def only(store: Path) -> Comparable:
    (section,) = sections(read_store(store), row_names())
    return section


def judge(store: Path) -> list[Verdict]:
    return verdicts(sections(read_store(store), row_names()))


def number(store: Path, what: str) -> Verdict:
    (found,) = [v for v in judge(store) if v.what == what and v.section]
    return found


def full(trainer: str = "mle", seed: int = 0, **changes: Any) -> Spec:
    """A spec whose numbers the paper's may be held against."""
    return spec(trainer, seed, **{**PAPER, **changes})


def nlls(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"nll_oracle": oracle, "nll_test": test} for oracle, test in pairs]


def store_of(folder: Path, values: Sequence[float], **changes: Any) -> Path:
    for seed, value in enumerate(values):
        make_run(folder, full("mle", seed, **changes), nlls((value, 8.0)))
    return folder


# -- numbers ---------------------------------------------------------------------------------


def test_a_number_within_reach_of_one_more_run_is_reproduced(tmp_path: Path) -> None:
    found = number(store_of(tmp_path, [9.00, 9.06, 9.12]), "MLE: NLL_oracle")
    assert (found.outcome, found.paper, found.ours, found.n) == ("reproduced", "9.08", "9.06", 3)
    assert "[8.76, 9.36]" in found.why  # 9.06 +- 4.303 * 0.06 * sqrt(4/3)


def test_a_number_out_of_reach_differs_and_by_how_much(tmp_path: Path) -> None:
    found = number(store_of(tmp_path, [9.30, 9.31, 9.32]), "MLE: NLL_oracle")
    assert found.outcome == "differs" and "by +0.23" in found.why


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    found = number(store_of(tmp_path, [9.08]), "MLE: NLL_oracle")
    assert (found.outcome, found.why) == ("undecided", "+0.00 with one seed: no interval")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"preset": "quick"}, "preset quick has shorter schedules"),
        ({"task_config": {"oracle": "seeded"}}, "another oracle"),
    ],
)
def test_other_conditions_are_not_comparable(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    found = number(store_of(tmp_path, [9.0, 9.1, 9.2], **changes), "MLE: NLL_oracle")
    assert (found.outcome, found.why) == ("not comparable", why)


def test_seconds_are_never_comparable(tmp_path: Path) -> None:
    found = number(store_of(tmp_path, [9.0, 9.1]), "MLE: s/epoch")
    assert (found.outcome, found.why) == ("not comparable", "other hardware")


def test_what_did_not_finish_or_was_not_run_is_not_run(tmp_path: Path) -> None:
    make_run(tmp_path, full("cot"), nlls((8.0, 8.0)), status=Status("running"))
    assert number(tmp_path, "CoT: NLL_oracle").outcome == "not run"
    assert number(tmp_path, "RankGAN: NLL_oracle").outcome == "not run"
    elsewhere = [v for v in judge(tmp_path) if v.source == "Table 2"]
    assert len(elsewhere) == 32 and {v.outcome for v in elsewhere} == {"not run"}


def test_the_number_of_a_changed_configuration_is_not_the_papers(tmp_path: Path) -> None:
    store_of(tmp_path, [9.0, 9.1], config={"lr": 1}, overrides={"mle.lr": 1})
    found = number(tmp_path, "mle: nll_oracle")
    assert (found.outcome, found.why) == ("not run", "only with changed options")


@pytest.mark.parametrize(
    ("after", "outcome"), [((9.0, 9.0), "reproduced"), ((9.0, 1.0), "differs")]
)
def test_best_in_the_warm_up_is_held_against_the_papers_dash(
    tmp_path: Path, after: tuple[float, float], outcome: str
) -> None:
    for seed, value in enumerate(after):
        warmup = full("mle", seed, config={"epochs": 1})
        make_run(tmp_path, warmup, nlls((9.0, 8.0), (9.0, 7.0)))
        make_run(tmp_path, full("seqgan", seed, warmup=warmup), nlls((8.0, value)))
    found = number(tmp_path, "SeqGAN: NLL_test, best")
    assert (found.outcome, found.paper) == (outcome, "-(MLE)")


def test_without_a_warm_up_the_papers_dash_is_not_comparable(tmp_path: Path) -> None:
    make_run(tmp_path, full("scheduled_sampling"), nlls((9.0, 8.0)))
    found = number(tmp_path, "Scheduled Sampling: NLL_test, best")
    assert (found.outcome, found.why) == ("not comparable", "our run has no warm-up")


def test_every_published_number_has_exactly_one_verdict(tmp_path: Path) -> None:
    store_of(tmp_path, [9.0, 9.1])
    found = [v for v in judge(tmp_path) if not v.is_claim]
    assert len(found) == sum(len(table.cells) for table in published_tables().values())
    assert len([v for v in judge(tmp_path) if v.is_claim]) == len(claims())
    total = sum(int(part.split()[0]) for part in count(found).split(", "))
    assert total == len(found) == sum(size for _, size in grouped(found))


# -- claims ----------------------------------------------------------------------------------


def curve(*values: float) -> list[dict[str, float]]:
    return [{"jsd_stepwise": value} for value in values]


def claim(left: Quantity, right: Quantity | float, relation: str = "<", **more: Any) -> Claim:
    return Claim("c", "It holds", "Section 0", "synthetic", relation, left, right, **more)


def verdict(store: Path, one: Claim, monkeypatch: pytest.MonkeyPatch) -> Verdict:
    monkeypatch.setattr(module, "claims", lambda: (one,))
    (found,) = [v for v in judge(store) if v.is_claim]
    return found


def quantity(stat: str, row: str = "x", **more: Any) -> Quantity:
    return Quantity(row, stat, metrics=("jsd_stepwise",), **more)


def test_quantities_of_a_curve(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x"), curve(8.0, 5.0, 6.0))
    section = only(tmp_path)
    for stat, value in (("final", 6.0), ("best", 5.0), ("rise", 1.0), ("change", -2.0)):
        assert measure(quantity(stat), section) == {0: (value, "jsd_stepwise/1 n=100")}
    assert measure(Quantity("x", "epoch_seconds"), section)[0][0] == 3.0


def test_quantities_after_a_warm_up(tmp_path: Path) -> None:
    warmup = spec("mle", config={"epochs": 2})
    make_run(tmp_path, warmup, curve(8.0, 5.0, 6.0))
    make_run(tmp_path, spec("x", warmup=warmup), curve(6.5, 7.0))
    section = only(tmp_path)
    for stat, value in (("best", 5.0), ("rise", 2.0), ("change", 1.0)):
        assert measure(quantity(stat), section)[0][0] == value


def test_a_final_value_of_another_protocol_is_not_on_the_curve(tmp_path: Path) -> None:
    run = spec("x")
    make_run(tmp_path, run, curve(8.0, 5.0), final=curve(0.0)[0], final_protocol="/9")
    assert measure(quantity("rise"), only(tmp_path))[0][0] == 0.0
    assert measure(quantity("final"), only(tmp_path))[0] == (0.0, "jsd_stepwise/9")


def test_correlation_is_over_common_epochs(tmp_path: Path) -> None:
    log = {"nll": (9.0, 9.0, 8.0, 8.0, 7.0, 7.0, 7.5, 7.5)}  # means at 0.5, 1.5, 2.5, 3.5
    # So the log stands at 8.5, 7.5, 7.25 after epochs 1, 2, 3, and nowhere after 0 and 4.
    make_run(tmp_path, spec("x", 0), curve(0.0, 8.0, 7.2, 7.1, 9.9), log=log)
    make_run(tmp_path, spec("x", 1), curve(0.0, 8.0, 7.0, 7.1, 9.9), log=log)
    found = measure(quantity("correlation", log="nll"), only(tmp_path))
    assert [found[seed][0] for seed in (0, 1)] == pytest.approx([1.0, 0.5])


def test_a_correlation_needs_three_points(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x"), curve(8.4, 8.0), log={"nll": (9.0, 8.0, 7.0)})
    assert measure(quantity("correlation", log="nll"), only(tmp_path)) == {}
    assert measure(quantity("correlation", log="absent"), only(tmp_path)) == {}


def fill(store: Path, row: str, values: Sequence[float], **changes: Any) -> None:
    for seed, value in enumerate(values):
        make_run(store, spec(row, seed, **changes), curve(value), epoch_seconds=())


@pytest.mark.parametrize(
    ("x", "outcome"),
    [
        ((1.0, 1.1, 1.2), "reproduced"),
        ((3.0, 3.1, 3.2), "differs"),
        ((1.0, 2.0, 3.3), "undecided"),
        ((1.0,), "undecided"),
        ((), "not run"),
    ],
)
def test_a_claim_is_judged_by_the_interval_of_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, x: Sequence[float], outcome: str
) -> None:
    fill(tmp_path, "x", x)
    fill(tmp_path, "y", (2.0, 2.1, 2.2))
    left, right = quantity("final"), quantity("final", "y")
    assert verdict(tmp_path, claim(left, right), monkeypatch).outcome == outcome
    turned = verdict(tmp_path, claim(right, left, ">"), monkeypatch)
    assert turned.outcome == outcome


def test_a_claim_against_a_number_and_with_a_factor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "x", (1.0, 1.1, 1.2))
    fill(tmp_path, "y", (0.3, 0.4, 0.5))
    left, right = quantity("final"), quantity("final", "y")
    assert verdict(tmp_path, claim(left, 2.0), monkeypatch).outcome == "reproduced"
    assert verdict(tmp_path, claim(left, 0.5, factor=0.5), monkeypatch).outcome == "differs"
    assert verdict(tmp_path, claim(left, right), monkeypatch).outcome == "differs"
    assert verdict(tmp_path, claim(left, right, factor=10), monkeypatch).outcome == "reproduced"


def test_sides_of_different_protocols_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path, spec("x"), curve(1.0), protocol="/1")
    make_run(tmp_path, spec("y"), curve(2.0), protocol="/2")
    found = verdict(tmp_path, claim(quantity("final"), quantity("final", "y")), monkeypatch)
    assert (found.outcome, "different protocols" in found.why) == ("not comparable", True)


def test_a_side_may_be_a_changed_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "x", (2.0, 2.1, 2.2))
    fill(tmp_path, "x", (1.0, 1.2, 1.1), config={"m": 5}, overrides={"x.m": 5})
    one = claim(quantity("final", options="m=5"), quantity("final"))
    assert verdict(tmp_path, one, monkeypatch).outcome == "reproduced"
    other = claim(quantity("final", options="m=7"), quantity("final"))
    found = verdict(tmp_path, other, monkeypatch)
    assert (found.outcome, found.why) == ("not run", "no finished run of x m=7")


def test_a_row_run_only_with_changed_options_stands_in_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "y", (2.0, 2.1, 2.2))
    fill(tmp_path, "x", (1.0, 1.2, 1.1), config={"m": 5}, overrides={"x.m": 5})
    one = claim(quantity("final"), quantity("final", "y"))
    found = verdict(tmp_path, one, monkeypatch)
    assert found.outcome == "reproduced" and found.why.endswith("; with x [m=5]")
    fill(tmp_path, "x", (9.0, 9.2, 9.1), config={"m": 7}, overrides={"x.m": 7})
    assert verdict(tmp_path, one, monkeypatch).outcome == "not run"  # which of the two?


def test_the_papers_claims_are_well_formed() -> None:
    assert len({one.id for one in claims()}) == len(claims()) >= 12
    for one in claims():
        for side in (one.left, one.right):
            if isinstance(side, Quantity):
                assert (side.stat == "epoch_seconds") != bool(side.metrics), one.id
                assert (side.stat == "correlation") == bool(side.log), one.id
            else:
                assert math.isfinite(side)
