"""Benchmarks with floors: `measure` times a function, and the summary says what it reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from floors import Rates, Work, measured_rates
from pytest_benchmark.fixture import BenchmarkFixture

RATES = pytest.StashKey[Rates]()
"""The best rates seen so far in this process."""

Measure = Callable[..., Any]


@pytest.fixture
def measure(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Measure:
    """Return ``measure(function, work, rounds=None)``: the benchmark, with its floor noted.

    The machine's rates are measured before and after; ``work`` may be None. Where benchmarks are
    disabled, the function runs once and nothing is measured.
    """
    stash, enabled = request.config.stash, request.config.getoption("benchmark_enable", False)

    def run(function: Callable[[], Any], work: Work | None, rounds: int | None = None) -> Any:
        if not enabled:
            return benchmark(function)
        _look(stash)
        if rounds is None:
            result = benchmark(function)
        else:
            result = benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)
        _look(stash)
        if work is not None:
            benchmark.extra_info.update(asdict(work), floor_seconds=work.seconds(stash[RATES]))
        benchmark.extra_info["rates"] = str(stash[RATES])
        return result

    return run


def _look(stash: pytest.Stash) -> None:
    found = measured_rates()
    stash[RATES] = found.best(stash[RATES]) if RATES in stash else found


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print time, floor and what was reached of it, at the best rates of the whole session."""
    session = getattr(config, "_benchmarksession", None)
    if session is None or not session.benchmarks:
        return
    rates = config.stash.get(RATES, None)
    terminalreporter.section("time, floor, reached")
    if rates is not None:
        terminalreporter.write_line(f"This machine, one core: {rates}.")
    lines = [f"{'':60} {'ms':>9} {'floor':>9} reached"]
    for one in session.benchmarks:
        info = one.extra_info
        if "flops" in info and rates is not None:
            floor = Work(info["flops"], info["exps"], info["bytes"]).seconds(rates)
            share = f"{floor / one.stats.min:6.0%}"
            lines.append(f"{one.name:60} {1e3 * one.stats.min:9.2f} {1e3 * floor:9.2f} {share}")
        else:
            lines.append(f"{one.name:60} {1e3 * one.stats.min:9.2f}")
    for line in lines:
        terminalreporter.write_line(line)
