"""`mixce`: its loss and gradient by enumeration, its weights, and maximum likelihood at η = 1."""

from __future__ import annotations

import itertools
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
from textbench.algorithms.mixce import MixCE
from textbench.algorithms.mle import MLE
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.tasks.synthetic import SyntheticTiny, SyntheticTinyConfig

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]
FIRST = Position("mixce", 0, 0)
PLAIN: dict[str, Any] = {"dropout": 0.0, "weight_decay": 0.0}


@pytest.mark.parametrize("eta", [0.0, 0.1, 0.7])
def test_on_all_sequences_the_gradient_is_that_of_materialised_distributions(
    eta: float, make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = unequal()
    context = make_context(V, T, sequences=x)
    trainer = make_trainer(MixCE, context, batch=len(x), eta=eta, **PLAIN)
    apart(trainer.generator)

    def expected(G: Generator) -> Tensor:
        log_q = log_likelihoods(G, x)
        forward, reverse = -log_q, -(log_q.detach().exp() * log_q)
        return (eta * forward + (1 - eta) * reverse).mean()

    log = assert_step_descends(trainer, expected, monkeypatch)
    log_q = log_likelihoods(trainer.generator, x).detach()
    assert float(log["nll"]) == pytest.approx(-log_q.mean().item(), rel=1e-10)
    weight = eta + (1 - eta) * log_q.exp().mean().item()
    assert float(log["weight"]) == pytest.approx(weight, rel=1e-10)


def test_the_reverse_part_ascends_half_the_sum_of_squared_likelihoods(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    """At η = 0 the gradient of −sg(q) log q is that of −q: what is likely becomes likelier."""
    x = unequal()
    trainer = make_trainer(MixCE, make_context(V, T, sequences=x), eta=0.0, **PLAIN)
    apart(trainer.generator)
    loss, _ = trainer.loss(x)
    loss.backward()
    found = [p.grad.clone() for p in trainer.generator.parameters()]
    trainer.generator.zero_grad()
    log_likelihoods(trainer.generator, x).exp().mean().neg().backward()
    for mine, p in zip(found, trainer.generator.parameters(), strict=True):
        torch.testing.assert_close(mine, p.grad, atol=1e-12, rtol=1e-9)


def test_at_eta_1_it_is_mle_bit_for_bit(make_context: Contexts, make_trainer: Trainers) -> None:
    options = {"lr": 0.01, "clip": 0.5, "dropout": 0.3, "batch": 4}
    mine = make_trainer(MixCE, make_context(V, T), eta=1.0, weight_decay=0.0, **options)
    assert_same_training(mine, make_trainer(MLE, make_context(V, T), **options))


def test_on_the_tiny_task_the_weights_differ_from_one_and_so_does_training(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    task = SyntheticTiny(SyntheticTinyConfig())
    sequences = task.train(0, 0)

    def context() -> Context:
        return make_context(task.vocab_size, task.length, sequences=sequences)

    mine = make_trainer(MixCE, context(), lr=0.01, eta=0.1, **PLAIN)
    log = mine.step(FIRST)
    assert 0.1 < float(log["weight"]) < 0.9
    assert float(log["weight_at_floor"]) < 0.5
    other = make_trainer(MLE, context(), lr=0.01, clip=0)
    other.step(Position("mle", 0, 0))
    assert parts_from(mine, other) > 1e-3


def test_the_penalty_is_a_part_of_the_gradient(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    """Adam's first step is its rate against the sign of the gradient + decay · parameter."""
    options = {"batch": 8, "dropout": 0.0, "lr": 0.05, "weight_decay": 10.0}
    G = (trainer := make_trainer(MixCE, make_context(V, T), **options)).generator
    before = G.head_weight.detach().clone()
    trainer.step(FIRST)
    penalised = G.head_weight.grad + 10.0 * before
    assert (penalised.sign() != G.head_weight.grad.sign()).any()
    torch.testing.assert_close(
        G.head_weight - before, -0.05 * penalised.sign(), rtol=1e-3, atol=1e-5
    )


def test_what_is_at_the_floor(make_context: Contexts, make_trainer: Trainers) -> None:
    trainer = make_trainer(MixCE, make_context(V, T), eta=0.5, **PLAIN)
    with torch.no_grad():
        for parameter in trainer.generator.parameters():
            parameter.zero_()
        trainer.generator.head_bias.copy_(torch.tensor([0.0, 0.0, 0.0, -9.0]))
    x = torch.tensor([[0, 1, 2], [3, 3, 0]])  # a third, thrice, and twice 4e-5
    assert float(trainer.loss(x)[1]["weight_at_floor"]) == pytest.approx(2 / 6)


def test_one_pass_over_the_vocabulary_is_all_it_costs(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    trainer = make_trainer(MixCE, make_context(V, T), batch=8)
    assert spent(trainer, FIRST)["tokens_scored"] == 8 * T


GOLDEN = [1.419696, 1.4128426, 1.4068522, 1.5182177, 1.5391655]


def test_golden_losses(
    make_context: Contexts,
    make_trainer: Trainers,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    trainer = make_trainer(MixCE, make_context(V, T), batch=4, lr=0.01, **PLAIN)
    losses = [float(trainer.step(at)["nll"]) for at in itertools.islice(positions(trainer), 60)]
    assert [losses[i] for i in (0, 1, 2, 58, 59)] == pytest.approx(GOLDEN, rel=1e-4)


def test_it_resumes_exactly(
    make_context: Contexts, assert_resumes_exactly: Callable[..., None]
) -> None:
    assert_resumes_exactly(MixCE, make_context, 5, batch=4)
