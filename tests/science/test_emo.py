"""`emo`: the cost of moving probability by enumeration, its gradient, and maximum likelihood."""

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
from textbench.algorithms.emo import EMO
from textbench.algorithms.mle import MLE
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.backbone.transport import linear_transport
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.tasks.synthetic import SyntheticTiny, SyntheticTinyConfig

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]
FIRST = Position("emo", 0, 0)


def distances(G: Generator, x: Tensor, e: Tensor) -> Tensor:
    """Return Σ_v π(v)·(1 − cos(e_x, e_v)) at every position, by a loop over the symbols."""
    pi = G.log_probs(x).exp()
    total = torch.zeros(x.shape, dtype=pi.dtype)
    for v in range(G.vocab_size):
        cost = 1.0 - torch.cosine_similarity(e[x], e[v].expand(*x.shape, -1), dim=2)
        total = total + pi[..., v] * cost
    return total


@pytest.mark.parametrize("mix", [0.5, 0.9, 1.0])
def test_on_all_sequences_the_gradient_is_that_of_materialised_distributions(
    mix: float, make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = unequal()
    trainer = make_trainer(EMO, make_context(V, T, sequences=x), batch=len(x), mix=mix)
    apart(trainer.generator)
    e = torch.randn(V, 5, dtype=torch.float64, generator=stream(0, "tests", "vectors"))
    trainer.directions = e / e.norm(dim=1, keepdim=True)

    def expected(G: Generator) -> Tensor:
        nll, D = -log_likelihoods(G, x), distances(G, x, e)
        return ((1 - mix) * nll + mix * (nll / (D + 1e-10)).detach() * D).mean()

    log = assert_step_descends(trainer, expected, monkeypatch)
    nll = -log_likelihoods(trainer.generator, x).detach()
    D = distances(trainer.generator, x, e).detach()
    assert float(log["nll"]) == pytest.approx(nll.mean().item(), rel=1e-9)
    assert float(log["distance"]) == pytest.approx(D.mean().item(), rel=1e-9)
    assert float(log["weight"]) == pytest.approx((nll / D).mean().item(), rel=1e-7)


def test_chunks_change_nothing_at_the_published_size() -> None:
    """1,280 rows are 20 chunks on a CPU: values and gradients against one block in float64."""
    rng = stream(0, "tests", "transport")
    h, W = torch.randn(130, 6, generator=rng), torch.randn(300, 6, generator=rng)
    b, e = torch.randn(300, generator=rng), torch.randn(300, 6, generator=rng)
    e = e / e.norm(dim=1, keepdim=True)
    y = torch.randint(300, (130,), generator=rng)
    parts = [part.clone().requires_grad_() for part in (h, W, b)]
    loss, nll, distance = linear_transport(*parts, y, e, 0.5)
    (3.0 * loss).backward()
    exact = [part.double().requires_grad_() for part in (h, W, b)]
    log_p = (exact[0] @ exact[1].T + exact[2]).log_softmax(1)
    ce = -log_p.gather(1, y.unsqueeze(1)).squeeze(1)
    D = (log_p.exp() * (1 - e.double()[y] @ e.double().T)).sum(1)
    whole = (0.5 * ce + 0.5 * (ce / (D + 1e-10)).detach() * D).mean()
    (3.0 * whole).backward()
    assert loss.item() == pytest.approx(whole.item(), rel=1e-6)
    torch.testing.assert_close(nll.double(), ce.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(distance.double(), D.detach(), atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(parts, exact, strict=True):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, atol=2e-5, rtol=1e-3)


def test_a_certain_model_has_a_finite_loss_and_gradient() -> None:
    h = torch.tensor([[60.0], [-60.0]], requires_grad=True)
    W = torch.tensor([[1.0], [-1.0]])
    loss, _, distance = linear_transport(
        h, W, torch.zeros(2), torch.tensor([0, 1]), torch.tensor([[1.0, 0.0], [0.6, 0.8]]), 0.5
    )
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(h.grad).all() and (distance >= 0).all()


def test_the_cost_is_that_of_the_warm_up_and_stays(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    warmup = make_context(V, T, seed=9).initial_generator().state_dict()
    trainer = make_trainer(EMO, make_context(V, T, warmup=warmup), batch=4, lr=0.1)
    W = warmup["head_weight"].clone()
    for i in range(3):
        trainer.step(Position("emo", 0, i))
    torch.testing.assert_close(trainer.directions, W / W.norm(dim=1, keepdim=True))
    assert not torch.allclose(trainer.generator.head_weight, W)
    assert not trainer.directions.requires_grad


def test_without_transport_it_is_mle_bit_for_bit(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    options = {"lr": 0.01, "clip": 0.5, "dropout": 0.3, "batch": 4}
    mine = make_trainer(EMO, make_context(V, T), mix=0.0, **options)
    assert_same_training(mine, make_trainer(MLE, make_context(V, T), **options))


def test_on_the_tiny_task_training_differs(make_context: Contexts, make_trainer: Trainers) -> None:
    task = SyntheticTiny(SyntheticTinyConfig())
    sequences = task.train(0, 0)

    def context() -> Context:
        return make_context(task.vocab_size, task.length, sequences=sequences)

    mine = make_trainer(EMO, context(), lr=0.01)
    assert 1.5 < float(mine.step(FIRST)["weight"]) < 4.0
    other = make_trainer(MLE, context(), lr=0.01, clip=0)
    other.step(Position("mle", 0, 0))
    assert parts_from(mine, other) > 1e-3


def test_one_reading_is_all_it_costs(make_context: Contexts, make_trainer: Trainers) -> None:
    trainer = make_trainer(EMO, make_context(V, T), batch=8)
    assert spent(trainer, FIRST)["tokens_scored"] == 8 * T


GOLDEN = [1.419696, 1.4128622, 1.406135, 1.1721581, 1.3569669]


def test_golden_losses(
    make_context: Contexts,
    make_trainer: Trainers,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    trainer = make_trainer(EMO, make_context(V, T), batch=4, lr=0.01, epochs=30)
    losses = [float(trainer.step(at)["nll"]) for at in itertools.islice(positions(trainer), 60)]
    assert [losses[i] for i in (0, 1, 2, 58, 59)] == pytest.approx(GOLDEN, rel=1e-4)


def test_it_resumes_exactly(
    make_context: Contexts, assert_resumes_exactly: Callable[..., None]
) -> None:
    assert_resumes_exactly(EMO, make_context, 5, batch=4, dropout=0.3)
