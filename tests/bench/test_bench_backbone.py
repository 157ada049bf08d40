"""Speed of the shared backbone and of the trainers on it, at the paper's sizes (V = 5,000, T = 20).

Run with ``pytest tests/bench --benchmark-enable``; the test suite runs each once, unmeasured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from textbench.algorithms.cot import CoT
from textbench.algorithms.mle import MLE
from textbench.algorithms.professor_forcing import ProfessorForcing
from textbench.algorithms.scheduled_sampling import ScheduledSampling

from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer

V, T = 5000, 20


@pytest.fixture
def context(make_context: Callable[..., Context]) -> Context:
    return make_context(V, T, embedding=32, hidden=32, size=640)


def measure(benchmark: BenchmarkFixture, trainer: Trainer[Any], at: Position) -> None:
    logged = benchmark(lambda: trainer.step(at))
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logged.values())


def test_mle_step(
    benchmark: BenchmarkFixture, context: Context, make_trainer: Callable[..., Trainer[Any]]
) -> None:
    measure(benchmark, make_trainer(MLE, context), Position("mle", 0, 0))


@pytest.mark.parametrize("variant", ["default", "full_gradient", "strong"])
def test_cot_iteration(
    variant: str,
    benchmark: BenchmarkFixture,
    context: Context,
    make_trainer: Callable[..., Trainer[Any]],
) -> None:
    config = {
        "default": {},
        "full_gradient": {"gradient": "full"},
        "strong": {"generator": "goal_factored"},
    }[variant]
    measure(benchmark, make_trainer(CoT, context, **config), Position("cot", 0, 1))


def test_scheduled_sampling_step_with_own_symbols_only(
    benchmark: BenchmarkFixture, context: Context, make_trainer: Callable[..., Trainer[Any]]
) -> None:
    trainer = make_trainer(ScheduledSampling, context, epochs=2)
    measure(benchmark, trainer, Position("scheduled_sampling", 1, 0))


def test_professor_forcing_step_that_follows(
    benchmark: BenchmarkFixture, context: Context, make_trainer: Callable[..., Trainer[Any]]
) -> None:
    trainer = make_trainer(ProfessorForcing, context, g_above=0.0)
    measure(benchmark, trainer, Position("professor_forcing", 0, 0))


def test_sampling_of_1000_sequences(benchmark: BenchmarkFixture, context: Context) -> None:
    generator, rng = context.initial_generator(), stream(0, "bench", "samples")
    assert benchmark(lambda: generator.sample(1000, rng)).shape == (1000, T)


def test_scoring_of_1000_sequences(benchmark: BenchmarkFixture, context: Context) -> None:
    generator = context.initial_generator()
    tokens = generator.sample(1000, stream(0, "bench", "scored"))

    def score() -> float:
        with torch.no_grad():
            return generator.weighted_nll(tokens).item()

    assert benchmark(score) == pytest.approx(8.5, abs=0.2)
