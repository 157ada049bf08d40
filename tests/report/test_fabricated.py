"""Stores made to mislead, through the commands: what is concluded from each, and what must not be.

Each has what a careless reader would fall for: three seeds that agree, on the wrong data; a mean of
one seed; a row that lacks the seed on which it diverged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from framed import TASK, published_config
from stores import make_run, spec

from textbench.cli import cli
from textbench.report import pictures, rankings
from textbench.store.rows import Status

MLE = [(9.07, 8.96), (9.08, 8.98), (9.10, 8.97)]
"""Final pairs by seed, near the published 9.08 / 8.97."""
COT = [(8.18, 8.02), (8.21, 8.03), (8.19, 8.05)]
DIVERGED = Status("diverged", step=20, total=30, phase="cot", reason="the loss is not finite")


def add(
    store: Path,
    label: str,
    seed: int,
    pair: tuple[float, float],
    *,
    config: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
    constant: str = "",
    status: Status | None = None,
    **record: Any,
) -> None:
    """Write a run of Table 1's protocol, but for what is changed, whose curve ends at ``pair``."""
    identity = {
        **{"preset": "paper", "task_config": {**TASK, **(task or {})}},
        **{"task_fingerprint": ("a" * 12 if task else "7f1930343f1a") + 52 * "0"},
        **{"config": {**published_config(label), **(config or {})}},
        "evaluation": {"every": 1, "samples": 9984, "final_samples": 9984},
    }
    curve = []
    for left in range(11, -1, -1):
        values = {"nll_oracle": pair[0] + 0.2 * left, "nll_test": pair[1] + 0.1 * left}
        curve.append(values | ({constant: 1.0} if constant else {}))
    final = None if status else "last"
    run = spec(label, seed, **identity | record)
    make_run(store, run, curve, protocol="/1 n=9984", status=status, final=final)


def fill(store: Path, *, seeds: int = 3, **changes: Any) -> Path:
    for seed in range(seeds):
        add(store, "mle", seed, MLE[seed], **changes)
        add(store, "cot", seed, COT[seed], **changes)
    return store


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Report a store; return what the terminal says, and MLE's verdicts by column."""
    monkeypatch.setattr(pictures, "figure_specs", tuple)

    def call(store: Path) -> tuple[str, dict[str, Any]]:
        out = tmp_path / "out"
        line = ["report", "--results", str(store), "--out", str(out)]
        result = CliRunner().invoke(cli, line)
        assert result.exit_code == 0, result.output
        found = pd.read_csv(out / "verdicts.csv", keep_default_na=False)
        mine = found[(found["table"] == "table1") & (found["label"] == "mle")]
        verdicts = {row.column: row for row in mine.itertuples()}
        return result.stdout.partition("\n\n")[2], verdicts

    return call


def test_the_published_experiment_is_judged(tmp_path: Path, told: Any) -> None:
    """What the others are held against: here a verdict is due, and falls."""
    text, mle = told(fill(tmp_path / "results"))
    assert mle["NLL_oracle"].outcome == "reproduced"
    assert "CoT is the better of the two by nll_oracle (mean " in text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": {"train_size": 128}}, "trained on 128 of 9,984 sequences"),
        ({"backbone": {"embedding": 32, "hidden": 64}}, "hidden 64 instead of 32"),
        ({"config": {"epochs": 12}}, "12 of 120 epochs"),
    ],
    ids=["data", "backbone", "schedule"],
)
def test_another_experiment_is_never_the_papers(
    tmp_path: Path, told: Any, changes: dict[str, Any], reason: str
) -> None:
    """All of these have the published numbers, to 0.02."""
    _, mle = told(fill(tmp_path / "results", **changes))
    assert {row.outcome for row in mle.values()} == {"not comparable"}
    assert reason in mle["NLL_oracle"].reasons


def test_rows_of_different_sizes_are_said_to_be(tmp_path: Path, told: Any) -> None:
    store = tmp_path / "results"
    for seed in range(3):
        add(store, "mle", seed, MLE[seed], backbone={"embedding": 32, "hidden": 64})
        add(store, "cot", seed, COT[seed])
    text, _ = told(store)
    assert "3 seeds or more, not all trained alike (see below)" in text
    assert (
        "Sizes of the shared generator differ: CoT: embedding 32, hidden 32; MLE: embedding 32, "
        "hidden 64."
    ) in text or "MLE: embedding 32, hidden 64; CoT: embedding 32, hidden 32." in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_seed_or_two_conclude_nothing(tmp_path: Path, told: Any, seeds: int) -> None:
    text, mle = told(fill(tmp_path / "results", seeds=seeds))
    assert "Not known: of 2 rows none has 3 seeds, and it takes two." in text
    assert {row.outcome for row in mle.values()} <= {"undecided", "not comparable"}
    assert " 1. " not in text


def test_two_far_apart_seeds_reproduce_nothing(tmp_path: Path, told: Any) -> None:
    """Values 7 and 11: their mean is the published number."""
    store = tmp_path / "results"
    for seed, value in enumerate((7.08, 11.08)):
        add(store, "mle", seed, (value, 8.97))
    text, mle = told(store)
    assert mle["NLL_oracle"].outcome == "undecided"
    assert "Nothing to compare: only one row that competes has a result." in text


def test_a_constant_metric_ranks_nothing(tmp_path: Path, told: Any) -> None:
    text, _ = told(fill(tmp_path / "results", constant="jsd_stepwise"))
    assert "all of them share the first place, not separated, by jsd_stepwise (mean " in text
    assert "share the first place in jsd_stepwise: their values agree to the bit" in text


@pytest.mark.parametrize("status", [None, DIVERGED], ids=["missing", "diverged"])
def test_a_row_that_lacks_a_seed_has_no_place(
    tmp_path: Path, told: Any, status: Status | None
) -> None:
    """Nor has the other, though it has three: a place is one among several."""
    store = tmp_path / "results"
    for seed in range(3):
        add(store, "mle", seed, MLE[seed])
        if seed < 2:
            add(store, "cot", seed, COT[seed])
    if status is not None:
        add(store, "cot", 2, COT[2], status=status)
    text, mle = told(store)
    assert "Not known: of 2 rows only MLE has 3 seeds, and it takes two." in text
    assert "nll_oracle: no places" in text
    assert ("2 of 3: CoT" in text and "1 diverged" in text) == (status is not None)
    assert mle["NLL_oracle"].outcome == "reproduced"  # of MLE alone that may be said
    line = (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "Without a place (nothing to compare it with): MLE 9.083." in line


def test_differences_without_spread_say_what_would_tell(tmp_path: Path, told: Any) -> None:
    """0.9 apart in every seed: three of them cannot, six can (2 sign flips of 64)."""
    store = tmp_path / "results"
    for seed, (oracle, test) in enumerate(MLE):
        add(store, "mle", seed, (oracle, test))
        add(store, "cot", seed, (oracle - 0.9, test - 0.9))
    text, _ = told(store)
    assert (
        "CoT and MLE share the first place in nll_oracle, not separated; 3 more seeds would tell"
    ) in text


def test_thirty_rows_are_told_in_a_line(tmp_path: Path, told: Any) -> None:
    store = tmp_path / "results"
    for row in range(30):
        for seed in range(3):
            add(store, f"méthode-長い-{row:02}", seed, (9 + 0.3 * ((row + seed) % 3), 8.0))
    text, _ = told(store)
    first = text.splitlines()[1]
    assert "and 26 others: 3 seeds or more" in first
    assert "All of them share the first place" in first
    assert len(first) < 300


def test_rows_of_few_seeds_are_not_those_of_enough(tmp_path: Path, told: Any) -> None:
    """`Seeds: 10: MLE; 1: SeqGAN; 3: CoT (fewer than 3 ...)` was said of CoT."""
    store = fill(tmp_path / "results")
    add(store, "seqgan", 0, (8.0, 8.0))
    text, _ = told(store)
    assert "; fewer than 3 finished ones have no place and no verdict." in text
    assert "CoT (fewer" not in text


def test_ten_seeds_against_three_are_one_answer(tmp_path: Path, told: Any) -> None:
    """By the seeds in common MLE is the worse, by all of its own the better."""
    store = tmp_path / "results"
    for seed in range(10):
        add(store, "mle", seed, (9.5 + 0.01 * (seed % 3) - 0.6 * (seed > 2), 8.0 + 0.01 * seed))
        if seed < 3:
            add(store, "cot", seed, (9.3 + 0.013 * (seed % 2), 7.9 + 0.012 * seed))
    text, _ = told(store)
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "more than 100 seeds would be needed to tell" not in text
    (line,) = (
        line
        for line in page.splitlines()
        if line.startswith(("| 1 | CoT | 3 | 9.3", "| 2 | CoT | 3 | 9.3"))
    )
    assert "| +0." in line and "of means, not by seed" in line
    assert "3 seeds in common" in page  # by nll_test, where both agree


def test_seeds_that_agree_have_no_interval_without_width(tmp_path: Path, told: Any) -> None:
    store = tmp_path / "results"
    for seed in range(3):
        add(store, "mle", seed, (9.1, 8.0))
        add(store, "cot", seed, (9.3, 8.0))
    told(store)
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "| 9.300 [no spread] | +0.200 [no spread] |" in page
    assert "[9.300, 9.300]" not in page and "+0.20 [no spread] n≥6" in page


def test_runs_that_have_not_ended_are_said_to_be_so(tmp_path: Path, told: Any) -> None:
    """On a task of the paper, too, nothing was said to be published of such rows."""
    store = tmp_path / "results"
    for seed in range(3):
        stopped = Status("interrupted", step=20, total=30, phase="mle")
        add(store, "mle", seed, MLE[seed], status=stopped)
    text, _ = told(store)
    assert "Nothing that ranks its algorithms has been measured to the end yet." in text
    assert "nothing of what is published of these rows has been measured to the end yet" in text


def test_numbers_of_any_size_make_a_report(tmp_path: Path, told: Any) -> None:
    """The page refused an infinite band, which is not JSON."""
    store = tmp_path / "results"
    for seed in range(3):
        add(store, "mle", seed, (1e305 * (1 + 0.3 * seed), -1e-300 * (1 + seed)))
        add(store, "cot", seed, (1e300 * (1 + 0.3 * seed), 8.0 + 0.1 * seed))
    told(store)


# -- compare ---------------------------------------------------------------------------------


def compared(tmp_path: Path, *options: str) -> tuple[int, str]:
    line = ["compare", str(tmp_path / "base"), str(tmp_path / "new"), *options]
    result = CliRunner().invoke(cli, line)
    return result.exit_code, result.output


def test_other_data_are_not_compared(tmp_path: Path) -> None:
    fill(tmp_path / "base")
    fill(tmp_path / "new", task={"train_size": 128})
    code, text = compared(tmp_path)
    assert code != 0
    assert "No regression" not in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backbone": {"embedding": 32, "hidden": 64}}, "hidden 64 instead of 32"),
        ({"config": {"epochs": 12}}, "epochs 12 instead of 120"),
    ],
    ids=["backbone", "schedule"],
)
def test_rows_trained_otherwise_are_said_to_be(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    """The numbers agree to the bit; `--strict` does not take them for the same."""
    fill(tmp_path / "base")
    fill(tmp_path / "new", **changes)
    code, text = compared(tmp_path)
    assert code == 0 and "No regression, but trained with other options" in text
    assert f"MLE (synthetic, preset paper): {told}" in text
    assert compared(tmp_path, "--strict")[0] == 1


def test_a_single_seed_far_off_is_not_judged(tmp_path: Path) -> None:
    fill(tmp_path / "base", seeds=1)
    add(tmp_path / "new", "mle", 1, (10.0, 9.9))
    add(tmp_path / "new", "cot", 1, (10.0, 9.9))
    code, text = compared(tmp_path)
    assert "No regression" not in text and "Regression" not in text, (code, text)
    assert compared(tmp_path, "--strict")[0] != 0


def test_a_seed_that_diverges_anew_is_a_regression(tmp_path: Path) -> None:
    fill(tmp_path / "base")
    fill(tmp_path / "new", seeds=2)
    add(tmp_path / "new", "mle", 2, MLE[2])
    add(tmp_path / "new", "cot", 2, COT[2], status=DIVERGED)
    code, text = compared(tmp_path)
    assert code == 1 and "diverged" in text


# -- rows that have not all finished, data that differ -----------------------------------------


def test_two_data_of_one_task_are_told_apart(tmp_path: Path, told: Any) -> None:
    store = fill(tmp_path / "results")
    fill(store, task={"train_size": 128})
    text, _ = told(store)
    first, second = text.split("synthetic, preset paper, data ")[1:]
    assert {first[:8], second[:8]} == {"7f193034", "a" * 8}
    ours, theirs = (second, first) if second.startswith("7f") else (first, second)
    assert "Comparable: 8 of 8 published numbers" in ours
    assert "Comparable: 0 of 8 published numbers" in theirs
    claims = pd.read_csv(tmp_path / "out" / "claims.csv")
    assert claims["section"].dropna().nunique() == 2


def test_a_row_of_which_no_run_has_finished_is_named(tmp_path: Path, told: Any) -> None:
    store = tmp_path / "results"
    for seed in range(3):
        add(store, "mle", seed, MLE[seed])
        add(store, "cot", seed, COT[seed], status=DIVERGED)
    text, _ = told(store)
    assert (
        "only one row that competes has a result. No run of CoT has finished: 3 diverged." in text
    )
    assert "MLE is the only row that has it: nothing to compare." in text


def test_a_ranking_says_of_how_many_runs_a_mean_is(tmp_path: Path, told: Any) -> None:
    store = fill(tmp_path / "results")
    for seed in range(3, 6):
        add(store, "cot", seed, COT[0], status=DIVERGED)
    told(store)
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "| 1 | CoT | 3 of 6 | 8.193" in page and "| 2 | MLE | 3 | 9.083" in page


def test_a_row_of_few_seeds_keeps_the_options_that_tell_it_from_a_compared_one(
    tmp_path: Path, told: Any
) -> None:
    store = fill(tmp_path / "results")
    for seed in range(2):
        add(store, "mle", seed, COT[seed], config={"lr": 0.1}, overrides={"mle.lr": 0.1})
    text, _ = told(store)
    assert "Of MLE [lr=0.1] (fewer than 3 seeds) nothing may be concluded." in text


def test_two_pairs_are_never_told_apart(tmp_path: Path, told: Any) -> None:
    store = tmp_path / "results"
    for seed in range(3):
        add(store, "mle", seed, (9.0 + seed / 10, 9.0))
    for seed in range(2):
        add(store, "cot", seed, (8.0 + seed / 10 + seed / 1e6, 8.0))
    told(store)
    found = pd.read_csv(tmp_path / "out" / "table1-differences-synthetic-paper.csv")
    mine = found[found["row"] == "CoT"]
    assert len(mine) and not mine["separated"].any() and mine["p_holm"].isna().all()


def test_rows_of_one_title_are_told_apart_by_their_labels(tmp_path: Path, told: Any) -> None:
    store = fill(tmp_path / "results")
    for seed in range(3):
        add(store, "mine", seed, MLE[seed], title="CoT")
    text, _ = told(store)
    assert "1. CoT (cot) 8.193; 2. CoT (mine) 9.083, MLE 9.083" in text


def test_small_differences_are_shown_with_digits_enough(tmp_path: Path, told: Any) -> None:
    store = tmp_path / "results"
    for seed in range(3):
        add(store, "mle", seed, (0.00002 + seed * 1e-7, 9.0 + seed / 10))
        add(store, "cot", seed, (0.00001 + seed * 1e-7, 8.0 + seed / 10))
    told(store)
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "| 1 | CoT | 3 | 0.0000101 \\[0.0000099, 0.0000103\\]" in page
    assert "| CoT | 3 | 0.00001 ± 0.00 |" in page


def test_a_distance_beyond_all_numbers_has_no_digits() -> None:
    row = SimpleNamespace(place=1, distance=0.0, note="", sd=1e307, mean=1.6e308)
    ends = {"low": -1.7e308, "high": 1.7e308}
    other = SimpleNamespace(**{**vars(row), "distance": math.inf})
    assert rankings._digits([SimpleNamespace(**vars(one), **ends) for one in (row, other)]) == 3


def test_a_direction_that_records_dispute_is_none(tmp_path: Path, told: Any) -> None:
    store = fill(tmp_path / "results")
    path = next(store.rglob("cot/s2-*/metrics.jsonl"))
    lines = path.read_text("utf-8").replace('"direction": "lower"', '"direction": "higher"')
    path.write_text(lines, encoding="utf-8")
    text, _ = told(store)
    assert "Better is less in some records, and more in others, by nll_oracle, nll_test." in text
    assert " 1. " not in text


def test_another_task_is_ranked_by_what_its_runs_put_first(tmp_path: Path, told: Any) -> None:
    """And by what other tasks are, never by the first in the alphabet, nor by another task's."""
    store = tmp_path / "results"
    for label in ("mle", "cot"):
        for seed in range(3):
            run = spec(label, seed, task="chain", task_fingerprint="c" * 64)
            values = dict(about=1.0, nll_test=2.0 + seed / 9, bigrams=3.0 - seed / 8, aaa=None)
            status = Status("done", step=30, metrics={"bigrams": 3.0}, headlines=["bigrams"])
            make_run(store, run, [values], status=status)
    add(store, "mle", 0, MLE[0], constant="aab")
    text, _ = told(store)
    ours = text.partition("chain, preset")[2].partition("synthetic, preset")[0]
    ranked = [line.split(":")[0].strip() for line in ours.splitlines() if ": 1. " in line]
    assert ranked == ["bigrams", "nll_test", "about"]


def test_seeds_measured_in_two_ways_are_not_said_to_be_missing(tmp_path: Path, told: Any) -> None:
    store = tmp_path / "results"
    for label in ("mle", "cot"):
        for seed in range(4):
            way = f"/{1 + seed // 2} n=100"
            make_run(store, spec(label, seed), [{"nll_test": 2.0 + seed / 9}], protocol=way)
    text, _ = told(store)
    assert "of 2 rows none has 3 seeds measured alike, and it takes two." in text
    assert "Seeds: 4 of every row." in text
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "Without a place (fewer than 3 seeds measured in this way): CoT 2.056, MLE 2.056" in page


def test_rows_that_do_not_compete_are_not_called_beaten(tmp_path: Path, told: Any) -> None:
    store = fill(tmp_path / "results")
    for seed in range(3):
        add(store, "mle:fresh", seed, COT[seed], fresh_data=True)
    text, _ = told(store)
    assert "CoT has the lowest nll_oracle, separated from every other row that competes" in text


def test_rows_without_a_schedule_are_not_said_to_differ_in_it(tmp_path: Path, told: Any) -> None:
    text, _ = told(fill(tmp_path / "results", config={}, task={"train_size": 128}))
    assert "trained alike" not in text or "each trained for" in text
