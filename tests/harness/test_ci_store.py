"""The recorded runs of preset `ci`, and fresh runs compared with them.

On the machine that recorded them fresh runs agree to the bit; on others by tolerance.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from compare_mutants import BASE, check, listed, trained
from fresh import ALGORITHMS, train
from run_mutants import Mutant, read_mutants

from textbench.contracts.number import Direction
from textbench.judge.comparison import compare_stores
from textbench.judge.tolerance import Pair, judge
from textbench.plan import registry
from textbench.report.compared import to_markdown
from textbench.store.read import Results, read_store

MUTANTS = {mutant.name: mutant for mutant in read_mutants()}
REPRESENTATIVES = ("mle: the likelihood falls", "cot: the generator climbs")
MACHINE = re.compile(r"/(?:tmp|root|home|work|Users|mnt|opt|usr|var)/")


@pytest.fixture(scope="module")
def base() -> Results:
    return read_store(BASE)


def recorded(base: Results) -> dict[tuple[str, str], dict[int, float]]:
    """Final values by algorithm and metric, then by seed."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for run in base.runs:
        for metric, one in run.evaluations()[-1]["metrics"].items():
            value = math.nan if one["value"] is None else one["value"]
            found.setdefault((run.spec.label, metric), {})[run.spec.seed] = value
    return found


def directions(base: Results) -> dict[str, Direction]:
    """Which way each metric is better, as recorded."""
    return {
        metric: one["direction"]
        for run in base.runs
        for metric, one in run.evaluations()[-1]["metrics"].items()
    }


def test_every_trainer_that_learns_is_recorded_with_ten_seeds_or_more(base: Results) -> None:
    copies = {"real", "real_corrupted"}  # they copy the data, and need a corpus
    assert set(ALGORITHMS) == set(registry.names("trainer")) - copies
    for label in ALGORITHMS:
        runs = [run for run in base.runs if run.spec.label == label]
        assert len({run.group for run in runs}) == 1
        assert len(runs) >= 10 and {run.status.status for run in runs} == {"done"}
    assert len(base.runs) == len(ALGORITHMS) * len(runs) and not base.unreadable


def test_the_recorded_runs_are_of_one_committed_state_on_a_cpu(base: Results) -> None:
    starts = [start for run in base.runs for start in run.starts]
    assert {start["dirty"] for start in starts} == {False}
    assert len({start["commit"] for start in starts}) == 1
    assert {start["device"] for start in starts} == {"cpu"}


def test_nothing_published_names_a_folder_of_a_machine() -> None:
    for path in BASE.parent.rglob("*.json*"):
        found = MACHINE.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path}: {found}"


@pytest.mark.parametrize("count", [10, 3])
def test_false_alarms_over_500_pairs_of_resampled_stores(base: Results, count: int) -> None:
    """Ten recorded seeds against ``count`` others: some number is an alarm in 1 % at most."""
    numbers = recorded(base)
    better = directions(base)
    seeds = sorted(next(iter(numbers.values())))
    rng = np.random.default_rng(count)
    alarms = 0
    for _ in range(500):
        drawn = rng.permutation(seeds).tolist()
        old, new = drawn[:10], drawn[10 : 10 + count]
        pairs = [
            Pair({s: values[s] for s in old}, {s: values[s] for s in new}, better[metric])
            for (_, metric), values in numbers.items()
        ]
        alarms += any(one.alarm for one in judge(pairs))
    assert alarms <= 5


def test_the_seeds_that_are_run_again_would_pass_by_tolerance_alone(base: Results) -> None:
    """Another machine rounds otherwise; then nothing is identical, and every number is judged."""
    better = directions(base)
    pairs = [
        Pair(values, {s: values[s] * (1 + 1e-7) for s in range(3)}, better[metric])
        for (_, metric), values in recorded(base).items()
    ]
    assert {one.verdict for one in judge(pairs)} == {"within"}


@pytest.mark.timeout(1500)
def test_fresh_runs_show_no_regression(base: Results, tmp_path: Path) -> None:
    train(tmp_path, ",".join(ALGORITHMS), "0:3")
    new = read_store(tmp_path)
    found = compare_stores(base, new)
    text = to_markdown(found, [("results/published/ci", base), ("fresh runs", new)], strict=True)
    assert found.regressions == 0 and not found.incomplete, text
    assert len(found.compared) == len(recorded(base)), text
    print(text)


def test_every_mutant_that_must_be_noticed_exists_and_can_be_trained() -> None:
    assert set(REPRESENTATIVES) <= set(listed()) <= set(MUTANTS)
    assert all(trained(MUTANTS[name]) for name in listed())


@pytest.mark.timeout(900)
def test_planted_errors_are_regressions() -> None:
    """Two of them; `python tests/support/compare_mutants.py` sees to all that are listed."""
    mutants: list[Mutant] = [MUTANTS[name] for name in REPRESENTATIVES]
    found = check(mutants, jobs=1)
    assert found.pop("") == ""
    assert all(found.values()), found
