"""Speed of a report on a large store: 200 runs of 200 evaluations, promised in under 10 s.

The test suite runs it once, unmeasured, on a tenth of the runs and evaluations.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from stores import make_run, spec

from textbench.report import write_report

TRAINERS = (
    *("mle", "scheduled_sampling", "seqgan", "rankgan", "maligan"),
    *("leakgan", "professor_forcing", "policy_gradient", "cot", "mine"),
)
METRICS = (
    *("generator_entropy", "jsd_sequence", "jsd_stepwise", "kl_forward"),
    *("kl_reverse", "nll_oracle", "nll_test", "nll_train"),
)


def large_store(folder: Path, seeds: int, evaluations: int) -> Path:
    """Runs of 10 trainers with 8 metrics."""
    rng = random.Random(0)  # noqa: S311
    for trainer in TRAINERS:
        for seed in range(seeds):
            curve = [
                {metric: 3.0 + math.exp(-epoch / 50) + rng.gauss(0, 0.02) for metric in METRICS}
                for epoch in range(evaluations - 1)
            ]
            log = {"balanced_nll": [5 + rng.random() for _ in range(2 * evaluations - 4)]}
            make_run(
                *(folder, spec(trainer, seed), curve),
                epoch_seconds=[1.0] * (evaluations - 2),
                log=log if trainer == "cot" else None,
            )
    return folder


def test_200_runs_of_200_evaluations(
    request: pytest.FixtureRequest, tmp_path: Path, benchmark: BenchmarkFixture
) -> None:
    measured = request.config.getoption("benchmark_enable", default=False)
    store = large_store(tmp_path / "results", *((20, 200) if measured else (2, 20)))
    files = benchmark.pedantic(write_report, (store, tmp_path / "out"), rounds=1)
    assert files[0].name == "report.md"
