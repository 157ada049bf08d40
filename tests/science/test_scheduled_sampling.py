"""`scheduled_sampling`: its coins, its schedules and its expected gradient by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from ledgers import spent
from scipy.stats import chisquare
from textbench.algorithms.mle import MLE
from textbench.algorithms.scheduled_sampling import ScheduledSampling
from torch import Tensor, nn

from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer

V, T = 4, 3
Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]


def always(epsilon: float, **more: Any) -> dict[str, Any]:
    """Options that hold ε at a value from the second epoch on."""
    return {"decay": 1.0, "least": epsilon, "clip": 0.0} | more


LATER = Position("scheduled_sampling", 1, 0)


def apart(trainer: Trainer[Any]) -> Trainer[Any]:
    trainer.generator.double()
    with torch.no_grad():
        for parameter in trainer.generator.parameters():
            parameter.normal_(0.0, 1.0, generator=stream(0, "tests", "apart"))
    return trainer


def input_law(trainer: Trainer[Any], x: Tensor, epsilon: float) -> dict[tuple[int, int], float]:
    """The exact law of the second and third input when the true sequence is ``x``."""
    every = torch.tensor(list(itertools.product(range(V), repeat=T)))
    with torch.no_grad():
        probs = trainer.generator.log_probs(every).exp().view(V, V, V, T, V)
    first, second = probs[0, 0, 0, 0], probs[:, 0, 0, 1]
    law = {}
    for a, b in itertools.product(range(V), repeat=2):
        p = epsilon * (a == x[0]) + (1 - epsilon) * first[a]
        q = epsilon * (b == x[1]) + (1 - epsilon) * second[a, b]
        law[a, b] = float(p * q)
    return law


# -- what the model reads ----------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 0.8])
def test_inputs_follow_the_enumerated_law(
    epsilon: float, make_context: Contexts, make_trainer: Trainers
) -> None:
    trainer = apart(make_trainer(ScheduledSampling, make_context(V, T)))
    x = torch.tensor([2, 1, 3])
    n = 30_000
    inputs = trainer.mixed_inputs(x.expand(n, T), epsilon)
    assert inputs.shape == (n, T)
    assert not inputs[:, 0].any()
    law = input_law(trainer, x, epsilon)
    cells = [cell for cell in law if n * law[cell] >= 5]
    observed = [int((inputs[:, 1:] == torch.tensor(cell)).all(1).sum()) for cell in cells]
    expected = [n * law[cell] for cell in cells]
    observed.append(n - sum(observed))
    expected.append(n - sum(expected) + 1e-6)
    scale = sum(observed) / sum(expected)
    assert chisquare(observed, [scale * e for e in expected]).pvalue > 1e-3


def test_every_symbol_has_its_own_coin(make_context: Contexts, make_trainer: Trainers) -> None:
    trainer = make_trainer(ScheduledSampling, make_context(V, T))
    with torch.no_grad():
        trainer.generator.head_bias.copy_(torch.tensor([0.0, 100.0, 0.0, 0.0]))  # draws only 1
    inputs = trainer.mixed_inputs(torch.full((20_000, T), 3), 0.25)
    true = inputs[:, 1:] == 3
    assert ((inputs[:, 1:] == 1) | true).all()
    pairs = torch.bincount(2 * true[:, 0].long() + true[:, 1].long(), minlength=4) / 20_000
    for found, expected in zip(pairs.tolist(), [9 / 16, 3 / 16, 3 / 16, 1 / 16], strict=True):
        assert found == pytest.approx(expected, abs=0.015)


def test_only_own_symbols_are_sampled_and_counted(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    for epsilon, sampled in ((1.0, 0), (0.0, 8 * (T - 1))):
        context = make_context(V, T)
        trainer = make_trainer(ScheduledSampling, context, batch=8, **always(epsilon))
        assert spent(trainer, LATER)["tokens_sampled"] == sampled


# -- the update --------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_the_expected_gradient_is_the_enumerated_one(
    epsilon: float,
    make_context: Contexts,
    make_trainer: Trainers,
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    x, n = torch.tensor([2, 1, 3]), 40_000
    context = make_context(V, T, sequences=x.expand(n, T))
    trainer = apart(make_trainer(ScheduledSampling, context, batch=n, **always(epsilon)))
    G = trainer.generator
    expected = torch.zeros((), dtype=torch.float64)
    for (a, b), weight in input_law(trainer, x, epsilon).items():
        hidden = G.hidden_from(torch.tensor([[0, a, b]]))
        log_probs = (hidden @ G.head_weight.T + G.head_bias).log_softmax(2)[0]
        expected = expected - weight * log_probs[torch.arange(T), x].mean()
    expected.backward()
    exact = torch.cat([g.flatten() for g in gradients(G).values()])
    loss = trainer.step(LATER)["nll"]
    got = torch.cat([g.flatten() for g in gradients(G).values()])
    assert float(loss) == pytest.approx(expected.item(), rel=0.01)
    assert (got - exact).norm() / exact.norm() < 0.02


def test_with_true_symbols_only_it_is_maximum_likelihood_bit_by_bit(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    ours = make_trainer(ScheduledSampling, make_context(V, T), batch=4, least=1.0)
    mle = make_trainer(MLE, make_context(V, T), batch=4)
    for index in range(5):
        ours.step(Position("scheduled_sampling", 3, index))
        mle.step(Position("mle", 0, index))
    for one, other in zip(ours.generator.parameters(), mle.generator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_gradient_is_clipped(
    make_context: Contexts,
    make_trainer: Trainers,
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    trainer = make_trainer(ScheduledSampling, make_context(V, T), batch=8, clip=0.01)
    trainer.step(LATER)
    norm = torch.stack([g.norm() for g in gradients(trainer.generator).values()]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


# -- schedules ---------------------------------------------------------------------------------


def schedule(make: Callable[..., ScheduledSampling], **config: Any) -> list[float]:
    trainer = make(**config)
    return [trainer.epsilon(i) for i in range(trainer.config.epochs)]


@pytest.fixture
def make(make_context: Contexts, make_trainer: Trainers) -> Callable[..., Any]:
    return lambda **config: make_trainer(ScheduledSampling, make_context(V, T), **config)


def test_the_default_falls_linearly_from_one_to_its_least(make: Callable[..., Any]) -> None:
    assert schedule(make, epochs=5) == pytest.approx([1.0, 0.85, 0.7, 0.55, 0.4])
    assert schedule(make, epochs=5, least=0.0) == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert schedule(make, epochs=1) == [1.0]


def test_the_seqgan_papers_schedule_loses_two_thousandths_per_epoch(
    make: Callable[..., Any],
) -> None:
    found = schedule(make, epochs=300, decay=0.002)
    assert found[0] == 1.0
    assert found[100] == pytest.approx(0.8)
    assert found[299] == pytest.approx(1.0 - 299 * 0.002)


def test_bengios_other_schedules(make: Callable[..., Any]) -> None:
    found = schedule(make, schedule="exponential", base=0.9, least=0.5, epochs=10)
    assert found[:7] == pytest.approx([0.9**i for i in range(7)])
    assert found[7:] == [0.5] * 3
    found = schedule(make, schedule="inverse_sigmoid", k=5.0, least=0.0, epochs=40)
    assert found[0] == pytest.approx(5 / 6)
    assert found[8] == pytest.approx(5 / (5 + math.exp(8 / 5)))
    assert make(schedule="inverse_sigmoid", k=1.0, least=0.0).epsilon(100_000) == pytest.approx(0.0)


def test_the_schedule_follows_the_epoch_and_is_logged(make: Callable[..., Any]) -> None:
    trainer = make(epochs=5, batch=4, least=0.0)
    for epoch, index, expected in ((0, 1, 1.0), (1, 0, 0.75), (4, 1, 0.0)):
        found = trainer.step(Position("scheduled_sampling", epoch, index))["epsilon"]
        assert found == pytest.approx(expected)


# -- goldens and resume ------------------------------------------------------------------------


def test_golden_losses(
    make: Callable[..., Any], positions: Callable[[Trainer[Any]], Iterator[Position]]
) -> None:
    trainer = make(batch=4, epochs=30, least=0.0)
    losses = [float(trainer.step(at)["nll"]) for at in positions(trainer)]
    assert [losses[i] for i in (0, 1, 2, 30, 58, 59)] == pytest.approx(GOLDEN, rel=1e-3)


GOLDEN = [1.4196959, 1.4075032, 1.4066039, 1.2273556, 1.2326214, 1.2475628]


def test_it_resumes_exactly(
    make_context: Contexts, assert_resumes_exactly: Callable[..., None]
) -> None:
    assert_resumes_exactly(ScheduledSampling, make_context, 5, batch=4, epochs=5)
