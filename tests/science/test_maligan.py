"""MaliGAN: its weights in closed form, and the likelihood gradient they estimate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from textbench.algorithms.maligan import MaliGAN
from torch import Tensor, nn

from textbench.contracts.trainer import Context, Position

V, T = 4, 3
G_TURN = Position("adversarial", 0, 0)
MakeContext = Callable[..., Context]
MakeTrainer = Callable[..., Any]
X = torch.tensor([[0, 1, 2], [3, 3, 0], [1, 1, 2], [2, 0, 0]])


class Oracle(nn.Module):
    """A discriminator given as a table: D(x) of every sequence."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table
        self.asked: list[float] = []

    def real_probability(self, x: Tensor, dropout: float, rng: torch.Generator) -> Tensor:
        self.asked.append(dropout)
        return self.table[x @ torch.tensor([V * V, V, 1])]


@pytest.fixture
def world(make_context: MakeContext, make_trainer: MakeTrainer) -> Callable[..., Any]:
    """Return MaliGAN on V=4, T=3 with an uneven generator."""

    def make(**config: Any) -> Any:
        settings = {"d_scale": 0.05, "d_embedding": 4, "clip": 0.0, "g_lr": 1e-9} | config
        trainer = make_trainer(MaliGAN, make_context(V, T), **settings)
        trainer.generator.initialise(torch.Generator().manual_seed(1), std=0.8)
        return trainer

    return make


def tabled(trainer: Any, values: list[float]) -> None:
    table = torch.full((V**T,), 0.5)
    table[X @ torch.tensor([V * V, V, 1])] = torch.tensor(values)
    trainer.discriminator = Oracle(table)


# -- weights -----------------------------------------------------------------------------------


def test_weights_are_normalised_odds_minus_the_baseline(world: Callable[..., Any]) -> None:
    trainer = world()
    tabled(trainer, [0.5, 0.8, 0.2, 0.9])
    odds = [1.0, 4.0, 0.25, 9.0]
    expected = [r / sum(odds) - 1 / 4 for r in odds]
    weights = trainer.weights(X)
    assert weights.tolist() == pytest.approx(expected, abs=1e-5)
    assert weights.sum().item() == pytest.approx(0.0, abs=1e-6)
    assert trainer.discriminator.asked == [0.0]


@pytest.mark.parametrize("b", [0.0, 0.3])
def test_the_baseline_is_b_over_the_batch(world: Callable[..., Any], b: float) -> None:
    trainer = world(baseline=b)
    tabled(trainer, [0.5, 0.8, 0.2, 0.9])
    assert trainer.weights(X).sum().item() == pytest.approx(1.0 - b, abs=1e-6)


def test_texygens_weights_use_the_probability_itself(world: Callable[..., Any]) -> None:
    trainer = world(weight="probability", passes=16, weight_dropout=0.25)
    values = [0.5, 0.8, 0.2, 0.9]
    tabled(trainer, values)
    expected = [d / sum(values) - 1 / 4 for d in values]
    assert trainer.weights(X).tolist() == pytest.approx(expected, abs=1e-6)
    assert trainer.discriminator.asked == [0.25] * 16


def test_passes_with_dropout_are_averaged_before_the_weights(world: Callable[..., Any]) -> None:
    trainer = world(weight="probability", baseline=0.0, passes=3000, weight_dropout=0.25)
    rng = torch.Generator().manual_seed(5)
    judge = trainer.discriminator.real_probability
    draws = torch.stack([judge(X, 0.25, rng) for _ in range(3000)])
    expected = draws.mean(0) / draws.mean(0).sum()
    torch.testing.assert_close(trainer.weights(X), expected, atol=5e-4, rtol=0)
    assert draws.std(0).min() > 0.005


def test_a_certain_discriminator_does_not_overflow(world: Callable[..., Any]) -> None:
    trainer = world()
    tabled(trainer, [1.0, 0.5, 0.5, 0.5])
    weights = trainer.weights(X)
    largest = (1 - 1e-6) / 1e-6
    assert weights[0].item() == pytest.approx(largest / (largest + 3) - 1 / 4, abs=1e-5)
    tabled(trainer, [1.0, 1.0, 1.0, 1.0])
    assert trainer.weights(X).tolist() == pytest.approx([0.0] * 4, abs=1e-6)


def test_weights_see_the_discriminator_without_dropout(world: Callable[..., Any]) -> None:
    trainer = world(d_dropout=0.9)
    d = trainer.discriminator
    with torch.no_grad():
        d.output.weight.mul_(20)
        logits = d.features(X) @ d.output.weight.t() + d.output.bias
    odds = (logits[:, 1] - logits[:, 0]).exp()
    assert odds.std() / odds.mean() > 0.1
    expected = odds / odds.sum() - 1 / 4
    torch.testing.assert_close(trainer.weights(X), expected, atol=1e-5, rtol=1e-4)


# -- the gradient ------------------------------------------------------------------------------


def test_with_the_optimal_discriminator_the_odds_are_the_density_ratio(
    world: Callable[..., Any],
    all_sequences: Callable[[int, int], Tensor],
    sequence_probs: Callable[..., Tensor],
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    """Σ_x G(x) r(x) ∇log G(x) / Σ_x G(x) r(x) = Σ_x P(x) ∇log G(x), the likelihood gradient."""
    trainer = world(baseline=0.0)
    every = all_sequences(V, T)
    probs = sequence_probs(trainer.generator)
    data = torch.softmax(torch.randn(V**T, generator=torch.Generator().manual_seed(2)), 0)
    (-(data * probs.log()).sum()).backward()
    exact = gradients(trainer.generator)
    trainer.generator.zero_grad()
    g = probs.detach()
    trainer.discriminator = Oracle(data / (data + g))
    weights = trainer.weights(every)  # r / Σr, the expectation still to be taken over G
    weights = g * weights / (g * weights).sum()
    trainer.reinforce(every, weights.unsqueeze(1).expand_as(every))
    for name, gradient in gradients(trainer.generator).items():
        torch.testing.assert_close(gradient, exact[name], atol=1e-5, rtol=1e-3, msg=name)


def test_a_step_follows_the_likelihood_gradient_of_the_data(
    world: Callable[..., Any],
    sequence_probs: Callable[..., Tensor],
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    """The whole g-step over a batch of 20,000; the baseline changes nothing in expectation."""
    trainer = world(batch=20_000)
    probs = sequence_probs(trainer.generator)
    data = torch.softmax(torch.randn(V**T, generator=torch.Generator().manual_seed(2)), 0)
    (-(data * probs.log()).sum()).backward()
    exact = torch.cat([g.flatten() for g in gradients(trainer.generator).values()])
    g = probs.detach()
    trainer.discriminator = Oracle(data / (data + g))
    log = trainer.step(G_TURN)
    estimate = torch.cat([g.flatten() for g in gradients(trainer.generator).values()])
    assert ((estimate - exact).norm() / exact.norm()).item() < 0.15
    assert 0 < log["largest_weight"].item() < 0.01


def test_golden_loss(make_context: MakeContext, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(MaliGAN, make_context(V, T), d_scale=0.02, d_embedding=2)
    with torch.no_grad():
        for parameter in trainer.generator.parameters():
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_(0.5 * torch.sin(1.0 + steps).view(parameter.shape))
        log_g = trainer.generator.log_probs(X).gather(2, X.unsqueeze(2)).sum((1, 2))
    tabled(trainer, [0.5, 0.8, 0.2, 0.9])
    weights = trainer.weights(X)
    trainer.sample = lambda n: X
    loss = trainer.step(G_TURN)["g_loss"].item()
    assert loss == pytest.approx(-math.fsum((weights * log_g).tolist()), abs=1e-5)
    assert loss == pytest.approx(GOLDEN_LOSS, abs=1e-5)


GOLDEN_LOSS = 0.260788
