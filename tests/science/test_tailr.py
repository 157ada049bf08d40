"""`tailr`: its loss and gradient by enumeration, its weights, and maximum likelihood at γ = 0."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from enumerated import (
    T,
    V,
    apart,
    assert_same_training,
    assert_step_descends,
    log_likelihoods,
    parts_from,
    unequal,
)
from ledgers import spent
from textbench.algorithms.mle import MLE
from textbench.algorithms.tailr import TaiLr
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.tasks.synthetic import SyntheticTiny, SyntheticTinyConfig

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]
FIRST = Position("tailr", 0, 0)
PLAIN: dict[str, Any] = {"dropout": 0.0, "clip": 0.0}


@pytest.mark.parametrize(("gamma", "w_min"), [(0.3, 0.0), (0.3, 0.6), (1e-3, 0.2), (1.0, 0.05)])
def test_on_all_sequences_the_gradient_is_that_of_materialised_distributions(
    gamma: float,
    w_min: float,
    make_context: Contexts,
    make_trainer: Trainers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = unequal()
    context = make_context(V, T, sequences=x)
    trainer = make_trainer(TaiLr, context, batch=len(x), gamma=gamma, w_min=w_min, **PLAIN)
    apart(trainer.generator)

    def weights(G: Generator) -> Tensor:
        q = log_likelihoods(G, x).detach().exp()
        return (q / (gamma + (1 - gamma) * q)).clamp(w_min, 1.0)

    log = assert_step_descends(
        trainer, lambda G: -(weights(G) * log_likelihoods(G, x)).mean(), monkeypatch
    )
    w = weights(trainer.generator)
    assert float(log["weight"]) == pytest.approx(w.mean().item(), rel=1e-10)
    assert float(log["weight_at_floor"]) == pytest.approx((w <= w_min).double().mean().item())
    assert w.std() > 1e-3


@pytest.mark.parametrize("constants", [{"gamma": 0.0}, {"gamma": 0.5, "w_min": 1.0}])
def test_with_these_constants_it_is_mle_bit_for_bit(
    constants: dict[str, float], make_context: Contexts, make_trainer: Trainers
) -> None:
    options = {"lr": 0.01, "clip": 0.5, "dropout": 0.3, "batch": 4}
    mine = make_trainer(TaiLr, make_context(V, T), **constants, **options)
    assert_same_training(mine, make_trainer(MLE, make_context(V, T), **options))


def test_on_the_tiny_task_the_weights_differ_from_one_and_so_does_training(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    task = SyntheticTiny(SyntheticTinyConfig())
    sequences = task.train(0, 0)

    def context() -> Context:
        return make_context(task.vocab_size, task.length, sequences=sequences)

    mine = make_trainer(TaiLr, context(), lr=0.01, gamma=0.1, **PLAIN)
    log = mine.step(FIRST)
    assert 0.2 < float(log["weight"]) < 0.9
    other = make_trainer(MLE, context(), lr=0.01, clip=0)
    other.step(Position("mle", 0, 0))
    assert parts_from(mine, other) > 1e-3
    published = make_trainer(TaiLr, context(), **PLAIN).step(FIRST)  # at γ = 1e-7 it is MLE here
    assert float(published["weight"]) == pytest.approx(1.0, abs=1e-5)
    assert float(published["weight_at_floor"]) == 0.0


def test_unlikely_tokens_have_the_floor_however_unlikely(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    trainer = make_trainer(TaiLr, make_context(V, T), gamma=1e-7, w_min=0.2, **PLAIN)
    log_q = torch.tensor([0.0, math.log(1e-7), -50.0, -200.0, -math.inf])
    expected = [1.0, 1 / (2 - 1e-7), 0.2, 0.2, 0.2]
    assert trainer.weigh(log_q).tolist() == pytest.approx(expected, rel=1e-5)
    likelihood = make_trainer(TaiLr, make_context(V, T), gamma=0.0, **PLAIN)
    assert likelihood.weigh(log_q).tolist() == [1.0] * 5  # 0/0 is no number


def test_one_pass_over_the_vocabulary_is_all_it_costs(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    trainer = make_trainer(TaiLr, make_context(V, T), batch=8)
    assert spent(trainer, FIRST)["tokens_scored"] == 8 * T


GOLDEN = [1.419696, 1.4128428, 1.4068731, 1.4029593, 1.4267569]


def test_golden_losses(
    make_context: Contexts,
    make_trainer: Trainers,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    trainer = make_trainer(TaiLr, make_context(V, T), batch=4, lr=0.01, gamma=0.5, dropout=0.0)
    losses = [float(trainer.step(at)["nll"]) for at in itertools.islice(positions(trainer), 60)]
    assert [losses[i] for i in (0, 1, 2, 58, 59)] == pytest.approx(GOLDEN, rel=1e-4)


def test_it_resumes_exactly(
    make_context: Contexts, assert_resumes_exactly: Callable[..., None]
) -> None:
    assert_resumes_exactly(TaiLr, make_context, 5, batch=4)
