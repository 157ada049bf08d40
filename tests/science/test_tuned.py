"""The tuned rows are what `textbench tune` chooses of the recorded trials."""

from __future__ import annotations

import pandas as pd
import pytest
from recorded import both, ends, on_the_page, pair_of, results

from reports import PUBLISHED
from textbench.judge.targets import Target, best_of, load_targets, meetings
from textbench.plan import tune
from textbench.plan.toml import read_toml
from textbench.store.frames import load_runs

TRIALS = 8
FOLDER = PUBLISHED / "tuning"
TRAINERS = (
    *("mle", "scheduled_sampling", "cot", "seqgan"),
    *("rankgan", "maligan", "leakgan", "professor_forcing"),
)
ADVERSARIAL = ("seqgan", "rankgan", "maligan")


@pytest.fixture(scope="module")
def target() -> Target:
    """The one that chose."""
    return next(one for one in load_targets()[1] if one.task == "synthetic")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    found = load_runs(FOLDER)
    return found[found["label"].str.contains(":trial")]


def test_every_trainer_had_as_many_trials_of_seeds_that_no_report_has(runs: pd.DataFrame) -> None:
    drawn = {row for name in TRAINERS for row in tune.rows(name, TRIALS)}
    assert set(runs["label"]) == drawn and len(runs) == len(drawn)
    assert set(runs["status"]) == {"done"} and set(runs["seed"]) == {100}
    tuned = load_runs(PUBLISHED / "tuned")
    assert set(tuned["seed"]) == {0, 1, 2} and set(tuned["status"]) == {"done"}


def test_trials_were_made_by_the_code_of_the_tuned_rows(runs: pd.DataFrame) -> None:
    """Most ran from an installed copy, which knows no commit; the hash of the code tells."""
    tuned = load_runs(PUBLISHED / "tuned")
    for name in TRAINERS:
        (made,) = {
            start["code"] for run in runs["starts"][runs["trainer"] == name] for start in run
        }
        own = tuned[tuned["label"] == f"{name}:tuned-k{TRIALS}"]
        assert len(own) == 3
        for starts in own["starts"]:
            assert {start["code"] for start in starts} == {made}
            assert all(start["commit"] and not start["dirty"] for start in starts)


def test_the_files_have_what_was_drawn_and_what_was_chosen(target: Target) -> None:
    tried = read_toml(FOLDER / "tuned.trials.toml")
    chosen = read_toml(FOLDER / "tuned.toml")
    for name in TRAINERS:
        drawn = tune.rows(name, TRIALS)
        assert {f"{name}:{v}": o for v, o in tried["variants"][name].items()} == drawn
        best = best_of(results("tuning"), target, list(drawn))
        assert chosen["variants"][name] == {tune.tuned_name(TRIALS): drawn[best]}
    assert len(chosen["algos"]) == len(TRAINERS) == len(chosen["variants"])


def test_what_the_page_says_of_tuning(target: Target) -> None:
    page, end = on_the_page(), ends("tuned")
    met = meetings(results("tuned"), [target]).set_index("label")

    def reached(label: str) -> int:
        return int((met.loc[label, "outcome"] == "met").sum())

    def tuned(name: str) -> str:
        return f"{name}:tuned-k{TRIALS}"

    cot, plain = end.loc[tuned("cot")], end.loc["cot"]
    assert (reached(tuned("cot")), reached("cot")) == (3, 0)
    assert f"and ends at {pair_of(cot)} instead of {pair_of(plain)}, lower in both in every" in page
    numbers = ["nll_oracle", "nll_test"]
    assert (cot[numbers] < plain[numbers]).all(axis=None)
    assert (reached(tuned("mle")), reached("mle")) == (0, 2)
    cost = met["generator_updates"].groupby("label").median()
    pair = [f"{cost[label]:,.0f}" for label in (tuned("scheduled_sampling"), "scheduled_sampling")]
    assert f"after {pair[0]} updates instead of {pair[1]} (medians of three, not tested)" in page
    assert cost[tuned("scheduled_sampling")] > cost["scheduled_sampling"]
    sums = both(end).groupby("label").mean()
    told = [
        [f"{sums[one]:.2f}" for one in names] for names in (map(tuned, ADVERSARIAL), ADVERSARIAL)
    ]
    first, second = (f"{a}, {b} and {c}" for a, b, c in told)
    assert f"end with sums of {first} instead of {second}. LeakGAN" in page
    own = met.loc[[*map(tuned, ADVERSARIAL), *ADVERSARIAL]]
    assert own.loc[own["outcome"] == "met", "in_warmup"].all()


def test_what_the_page_says_of_the_last_two(target: Target, runs: pd.DataFrame) -> None:
    page = on_the_page()
    met = meetings(results("tuned"), [target]).set_index("label")["outcome"] == "met"
    reached = met.groupby("label").sum()
    own, plain = f"professor_forcing:tuned-k{TRIALS}", "professor_forcing"
    assert (reached[own], reached[plain]) == (1, 2)
    assert "its quickest trial meets the target in one of three seeds; as published, MLE to" in page
    end = ends("tuned")
    pd.testing.assert_frame_equal(end.loc[plain], end.loc["mle"])
    tried = meetings(results("tuning"), [target])
    mine = tried[tried["run"].isin(runs.loc[runs["trainer"] == "leakgan", "run"])]
    assert len(mine) == TRIALS and not (mine["outcome"] == "met").any()
    leaked = f"leakgan:tuned-k{TRIALS}"
    assert reached[leaked] == reached["leakgan"] == 0
    sums = both(end).groupby("label").mean()
    pair = [f"{sums[label]:.2f}" for label in (leaked, "leakgan")]
    assert f"a sum of {pair[0]} instead of {pair[1]} (means of three, not tested)." in page
