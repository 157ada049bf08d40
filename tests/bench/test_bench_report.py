"""Speed of a report on a large store: 200 runs of 200 evaluations.

Once in one process, in seconds of the processor: two parts are not ours, parsing 40,000 lines of
JSON, and what matplotlib takes to lay out the figures and to write each as PNG and PDF; their
seconds are in ``extra_info``. And once in as many processes as there are cores, in seconds on the
clock, which is what a user waits for but for the imports. The test suite runs them once,
unmeasured, on a tenth of the runs and evaluations.
"""

from __future__ import annotations

import json
import math
import random
import time
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from stores import make_run, spec

from textbench.cli.engines import usable_cores
from textbench.report import figures, write_report

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


def parsing(store: Path) -> float:
    """Return what it takes to parse the lines of the store's logs, and to do nothing with them."""
    logs = [path.read_text("utf-8").splitlines() for path in store.rglob("*.jsonl")]
    start = time.process_time()
    for line in chain.from_iterable(logs):
        json.loads(line)
    return time.process_time() - start


def timed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list to which every call into matplotlib that ends in a file adds its seconds."""
    spent: list[float] = []

    def wrapped(name: str) -> None:
        plain = getattr(figures, name)

        def call(*given: Any) -> Any:
            start = time.process_time()
            found = plain(*given)
            spent.append(time.process_time() - start)
            return found

        monkeypatch.setattr(figures, name, call)

    for name in ("laid_out", "to_bytes"):
        wrapped(name)
    return spent


@pytest.mark.benchmark(timer=time.process_time)
def test_200_runs_of_200_evaluations(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    benchmark: BenchmarkFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = request.config.getoption("benchmark_enable", default=False)
    store = large_store(tmp_path / "results", *((20, 200) if measured else (2, 20)))
    spent = timed(monkeypatch)
    files = benchmark.pedantic(write_report, (store, tmp_path / "out"), rounds=1)
    assert files[0].name == "report.md"
    assert spent
    benchmark.extra_info.update(json_seconds=parsing(store), matplotlib_seconds=sum(spent))


@pytest.mark.benchmark(timer=time.perf_counter)
def test_200_runs_of_200_evaluations_on_all_cores(
    request: pytest.FixtureRequest, tmp_path: Path, benchmark: BenchmarkFixture
) -> None:
    measured = request.config.getoption("benchmark_enable", default=False)
    store = large_store(tmp_path / "results", *((20, 200) if measured else (2, 20)))
    options = {"processes": usable_cores()}
    files = benchmark.pedantic(write_report, (store, tmp_path / "out"), options, rounds=1)
    assert files[0].name == "report.md"
