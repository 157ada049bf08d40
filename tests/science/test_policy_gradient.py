"""The control: SeqGAN's update with a reward that knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from textbench.algorithms.policy_gradient import PolicyGradient
from torch import Tensor, nn

from textbench.contracts.trainer import Context, Position

STEP = Position("policy_gradient", 0, 0)
MakeContext = Callable[..., Context]
MakeTrainer = Callable[..., Any]


def test_rounds_hold_generator_updates_only(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(PolicyGradient, make_context(), rounds=3, g_steps=2, batch=5)
    (phase,) = trainer.phases()
    assert (phase.epochs, phase.steps, phase.trains_generator) == (3, 2, True)


@pytest.mark.parametrize("reward", [1.0, 2.0, -0.5])
def test_the_update_reinforces_whatever_was_sampled(
    make_context: MakeContext,
    make_trainer: MakeTrainer,
    gradients: Callable[[nn.Module], dict[str, Tensor]],
    reward: float,
) -> None:
    trainer = make_trainer(PolicyGradient, make_context(), reward=reward, clip=0.0, batch=8)
    twin = make_trainer(PolicyGradient, make_context())
    y = twin.sample(8)
    log_g = twin.generator.log_probs(y).gather(2, y.unsqueeze(2)).sum()
    (-reward * log_g).backward()
    log = trainer.step(STEP)
    assert log["g_loss"].item() == pytest.approx(-reward * log_g.item(), rel=1e-5)
    assert log["reward"].item() == pytest.approx(reward)
    for name, gradient in gradients(trainer.generator).items():
        torch.testing.assert_close(gradient, gradients(twin.generator)[name], msg=name)


def test_in_expectation_a_constant_reward_moves_nothing(
    make_context: MakeContext,
    make_trainer: MakeTrainer,
    all_sequences: Callable[[int, int], Tensor],
    sequence_probs: Callable[..., Tensor],
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    """Σ_x G(x) ∇log G(x) = 0: what it does to a generator is the noise of its minibatches."""
    trainer = make_trainer(PolicyGradient, make_context(), clip=0.0)
    every = all_sequences(4, 3)
    g = sequence_probs(trainer.generator).detach()
    trainer.reinforce(every, g.unsqueeze(1).expand_as(every))
    assert all(p.abs().max() < 1e-6 for p in gradients(trainer.generator).values())
    trainer.reinforce(every, (g * every[:, 0]).unsqueeze(1).expand_as(every))
    assert any(p.abs().max() > 1e-3 for p in gradients(trainer.generator).values())


def test_noise_is_uniform_per_action(make_context: MakeContext, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(PolicyGradient, make_context(), noise=True, reward=2.0, batch=5000)
    seen: list[Tensor] = []
    trainer.reinforce = lambda y, rewards: seen.append(rewards) or {}
    trainer.step(STEP)
    (rewards,) = seen
    assert rewards.shape == (5000, 3)
    assert rewards.min() >= 0
    assert rewards.max() <= 2
    assert rewards.mean().item() == pytest.approx(1.0, abs=0.03)
    assert rewards.std(0).min() > 0.5
    assert rewards.std(1).mean() > 0.4


GOLDEN_LOSS = 17.904791


def test_golden_loss(make_context: MakeContext, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(PolicyGradient, make_context(), reward=2.0)
    with torch.no_grad():
        for parameter in trainer.generator.parameters():
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_(0.5 * torch.sin(1.0 + steps).view(parameter.shape))
    trainer.sample = lambda n: torch.tensor([[0, 1, 2], [3, 3, 0]])
    assert trainer.step(STEP)["g_loss"].item() == pytest.approx(GOLDEN_LOSS, abs=1e-5)
