"""`compare` on frames: what is read is the record, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from framed import Made

from textbench.judge.comparison import Comparison, compare_frames

VALUES = [3.0, 3.1, 2.9, 3.05, 2.95, 3.02, 2.98, 3.0, 3.03, 2.97]


def made(values: Sequence[float], first: int = 0, metric: str = "nll_test", **record: Any) -> Made:
    store = Made()
    for seed, value in enumerate(values, first):
        store.run("mle", seed, final={metric: value}, **record)
    return store


def compared(base: Made, new: Made) -> Comparison:
    return compare_frames(base.frames, new.frames)


@pytest.mark.parametrize(
    ("direction", "verdict"), [("lower", "worse"), ("higher", "better"), ("none", "changed")]
)
def test_which_way_is_better_is_read_from_the_record(direction: str, verdict: str) -> None:
    """The rise of a metric that is better higher was a regression, for want of a direction."""
    base, new = made(VALUES, metric="of_a_plugin"), made([4.0, 4.1, 4.2], 20, "of_a_plugin")
    both = (base.frames, new.frames)
    old, fresh = (one._replace(results=one.results.assign(direction=direction)) for one in both)
    (one,) = compare_frames(old, fresh).compared
    assert (one.judgement.verdict, one.number.direction) == (verdict, direction)


def test_a_direction_that_the_records_do_not_agree_on_is_none() -> None:
    base, new = made(VALUES), made([4.0, 4.1, 4.2], 20)
    other = new.frames._replace(results=new.results.assign(direction="higher"))
    found = compare_frames(base.frames, other)
    assert found.compared[0].number.direction == "none"
    assert "which way nll_test is better is on record as higher or lower" in found.notes[0]


def test_a_failed_run_without_an_evaluation_is_known_from_the_runs() -> None:
    base, new = made(VALUES), made(VALUES[:2])
    new.run("mle", 2, status="failed", reason="no memory")
    found = compared(base, new)
    assert [(one.status, one.reason, one.regression) for one in found.broken] == [
        ("failed", "no memory", True)
    ]
    assert found.regressions == 1 and not found.lost


def test_rows_of_changed_options_and_other_data_are_kept_apart() -> None:
    base, new = made(VALUES), made(VALUES)
    for store, shift in ((base, 0.0), (new, 0.01)):
        for seed, value in enumerate(VALUES):
            changed = {"config": {"lr": 0.1}, "overrides": {"mle.lr": 0.1}}
            store.run("mle", seed, final={"nll_test": value + 5 + shift}, **changed)
    found = compared(base, new)
    assert {(one.number.row, one.judgement.verdict) for one in found.compared} == {
        ("mle", "identical"),
        ("mle [lr=0.1]", "within"),
    }
    elsewhere = compared(made(VALUES), made(VALUES, task_fingerprint="other"))
    assert elsewhere.mismatched == ["mle (synthetic, preset paper): the task's data are others"]
    assert elsewhere.empty and elsewhere.incomplete


def test_a_protocol_that_is_gone_is_missing_though_another_is_shared() -> None:
    base, new = made(VALUES), made(VALUES)
    base.run("mle", 50, final={"nll_test": 3.0}, protocol="/2")
    found = compared(base, new)
    assert "mle (synthetic, preset paper): nll_test as nll_test/2" in found.missing


def test_versions_and_options_that_differ_are_noted() -> None:
    found = compared(made(VALUES), made(VALUES, version=2))
    assert found.notes == ["mle (synthetic, preset paper): version 1 in BASE, 2 in NEW"]
    found = compared(made(VALUES), made(VALUES, config={"epochs": 60}))
    assert found.altered == ["mle (synthetic, preset paper): epochs 60 instead of 120"]
    assert found.notes == [] and found.incomplete
    found = compared(made(VALUES), made(VALUES, evaluation={"every": 2}))
    assert found.notes == ["mle (synthetic, preset paper): options differ (evaluation)"]
    assert found.altered == [] and not found.incomplete


def test_unreadable_runs_are_named() -> None:
    base, new = made(VALUES), made(VALUES)
    damaged = new.frames._replace(unreadable={"synthetic/mle/s9": "spec.json: ValueError"})
    found = compare_frames(base.frames, damaged)
    assert found.notes == ["synthetic/mle/s9 of NEW cannot be read: spec.json: ValueError"]


def test_a_lost_seed_does_not_hide_among_many_rows() -> None:
    base, new = Made(), Made()
    for row in range(30):
        for seed in range(5):
            base.run(f"x:{row}", seed, final={"nll_test": row + 0.1 * seed})
            if (row, seed) != (17, 3):
                new.run(f"x:{row}", seed, final={"nll_test": row + 0.1 * seed})
    found = compared(base, new)
    assert found.lost == ["x:17 (synthetic, preset paper): no finished run in NEW of seed 3"]
    assert found.incomplete and not found.regressions
