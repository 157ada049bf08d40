"""SeqGAN: roll-out rewards against exact action values, its gradient against the exact one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from textbench.algorithms.seqgan import SeqGAN
from torch import Tensor, nn

from textbench.contracts.trainer import Context, Position

V, T = 4, 3
G_TURN = Position("adversarial", 0, 0)
MakeContext = Callable[..., Context]
MakeTrainer = Callable[..., Any]


@pytest.fixture
def world(
    make_context: MakeContext,
    make_trainer: MakeTrainer,
    all_sequences: Callable[[int, int], Tensor],
) -> Callable[..., Any]:
    """Return SeqGAN on V=4, T=3 with an uneven generator and an opinionated discriminator."""

    def make(**config: Any) -> Any:
        settings = {"d_scale": 0.05, "d_embedding": 4, "clip": 0.0, "g_steps": 1} | config
        trainer = make_trainer(SeqGAN, make_context(V, T), **settings)
        rng = torch.Generator().manual_seed(1)
        trainer.generator.initialise(rng, std=0.8)
        sharpen(trainer.discriminator, all_sequences(V, T))
        return trainer

    return make


@torch.no_grad()
def sharpen(d: Any, every: Tensor) -> None:
    """Give the discriminator's log-odds mean 0 and standard deviation 3 over all sequences."""
    logits = d(every)
    odds = logits[:, 1] - logits[:, 0]
    d.output.weight.mul_(3.0 / odds.std())
    d.output.bias.copy_(torch.tensor([1.5, -1.5]) * odds.mean() / odds.std())


def exact_values(trainer: Any, every: Tensor, probs: Tensor, judged: Tensor) -> Tensor:
    """Return Q(x_<t, x_t) = E[D(X) | X_1..X_t = x_1..x_t] by enumeration, ``(V**T, T)``."""
    q = torch.empty(every.shape)
    for i, x in enumerate(every):
        for t in range(T):
            same = (every[:, : t + 1] == x[: t + 1]).all(1)
            q[i, t] = (probs[same] * judged[same]).sum() / probs[same].sum()
    return q


@pytest.fixture
def enumerated(
    all_sequences: Callable[[int, int], Tensor], sequence_probs: Callable[..., Tensor]
) -> Callable[[Any], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return every sequence with its exact G(x), D(x) and Q(x_<t, x_t)."""

    def table(trainer: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        every = all_sequences(V, T)
        probs = sequence_probs(trainer.generator).detach()
        judged = plain_probability(trainer.discriminator, every)
        return every, probs, judged, exact_values(trainer, every, probs, judged)

    return table


@torch.no_grad()
def plain_probability(d: Any, x: Tensor) -> Tensor:
    """Return D(x) from the undropped features, by the logistic function of a difference."""
    logits = d.features(x) @ d.output.weight.t() + d.output.bias
    return torch.sigmoid(logits[:, 1] - logits[:, 0])


# -- rewards -----------------------------------------------------------------------------------


def test_the_world_can_tell_mistakes_apart(
    world: Callable[..., Any], enumerated: Callable[..., Any]
) -> None:
    """Values differ between steps and sequences by far more than the tests' tolerances."""
    _, probs, judged, q = enumerated(world())
    assert judged.std() > 0.1
    assert (q[:, 0] - q[:, 1]).abs().max() > 0.1
    assert (q[:, 1] - q[:, 2]).abs().max() > 0.1
    assert probs.max() < 0.5


def test_roll_out_rewards_are_unbiased_for_the_exact_action_value(
    world: Callable[..., Any], enumerated: Callable[..., Any]
) -> None:
    n = 4000
    trainer = world(rollouts=n)
    every, probs, judged, q = enumerated(trainer)
    estimate = trainer.action_values(every)
    assert estimate.shape == (V**T, T)
    second = exact_values(trainer, every, probs, judged.square())
    error = ((second - q.square()).clamp(min=0) / n).sqrt()
    assert ((estimate - q).abs() <= 4.5 * error + 1e-5).all()
    assert error.max() < 0.01


def test_the_last_reward_is_the_discriminator_on_the_sequence_itself(
    world: Callable[..., Any], enumerated: Callable[..., Any]
) -> None:
    """Without noise: dropout is off wherever rewards are computed, whatever its rate."""
    trainer = world(rollouts=1, d_dropout=0.9)
    every, _, judged, _ = enumerated(trainer)
    torch.testing.assert_close(trainer.action_values(every)[:, -1], judged)
    assert (judged.unsqueeze(1) - trainer.action_values(every)).abs().max() > 0.05


def test_every_completion_is_judged_by_the_undropped_discriminator(
    world: Callable[..., Any], enumerated: Callable[..., Any]
) -> None:
    """A generator that can only write 2s completes every prefix in one way."""
    trainer = world(rollouts=3, d_dropout=0.9)
    with torch.no_grad():
        trainer.generator.head_bias[2] = 1e4
    every, _, judged, _ = enumerated(trainer)
    expected = torch.stack(
        [plain_probability(trainer.discriminator, _completed_with_twos(every, t)) for t in (1, 2)]
        + [judged]
    )
    torch.testing.assert_close(trainer.action_values(every), expected.t())


def _completed_with_twos(every: Tensor, kept: int) -> Tensor:
    completed = every.clone()
    completed[:, kept:] = 2
    return completed


# -- the gradient ------------------------------------------------------------------------------


def exact_gradient(
    trainer: Any, judged: Tensor, sequence_probs: Callable[..., Tensor], gradients: Any
) -> dict[str, Tensor]:
    """Return ∇(−E_G[D(X)]), differentiating the enumerated expectation itself."""
    trainer.generator.zero_grad()
    (-(sequence_probs(trainer.generator) * judged).sum()).backward()
    exact: dict[str, Tensor] = gradients(trainer.generator)
    trainer.generator.zero_grad()
    return exact


def test_with_exact_values_the_expected_update_is_the_exact_gradient(
    world: Callable[..., Any],
    enumerated: Callable[..., Any],
    sequence_probs: Callable[..., Tensor],
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    """Policy gradient theorem: Σ_x G(x) Σ_t ∇log G(x_t|x_<t) Q_t = ∇ Σ_x G(x) D(x)."""
    trainer = world()
    every, probs, judged, q = enumerated(trainer)
    exact = exact_gradient(trainer, judged, sequence_probs, gradients)
    trainer.reinforce(every, probs.unsqueeze(1) * q)
    for name, gradient in gradients(trainer.generator).items():
        torch.testing.assert_close(gradient, exact[name], atol=2e-6, rtol=1e-3, msg=name)


def test_a_step_follows_the_exact_gradient(
    world: Callable[..., Any],
    enumerated: Callable[..., Any],
    sequence_probs: Callable[..., Tensor],
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    """The whole g-step, sampling and roll-outs included, over a batch of 20,000."""
    batch = 20_000
    trainer = world(batch=batch, rollouts=1, g_lr=1e-9)
    _, _, judged, _ = enumerated(trainer)
    exact = exact_gradient(trainer, judged, sequence_probs, gradients)
    trainer.step(G_TURN)
    estimate = torch.cat([g.flatten() for g in gradients(trainer.generator).values()]) / batch
    target = torch.cat([g.flatten() for g in exact.values()])
    assert ((estimate - target).norm() / target.norm()).item() < 0.15


GOLDEN_REWARDS = [[0.0772165, 0.0911010, 0.0889335], [0.0852911, 0.0922815, 0.1166899]]
GOLDEN_LOSS = 0.846432
GOLDEN_NORM = 0.238661


def test_golden_update(make_context: MakeContext, make_trainer: MakeTrainer) -> None:
    """Pin rewards, loss and gradient on parameters that depend on no random stream."""
    trainer = make_trainer(SeqGAN, make_context(V, T), d_scale=0.02, d_embedding=3, clip=0.0)
    _fill_with_sines(trainer.generator)
    _fill_with_sines(trainer.discriminator)
    y = torch.tensor([[0, 2, 3], [3, 2, 0]])
    with torch.no_grad():
        saved = trainer.generator.head_bias.clone()
        trainer.generator.head_bias[1] = 1e4  # every completion is 1s: no luck in the rewards
        rewards = trainer.action_values(y)
        trainer.generator.head_bias.copy_(saved)
    log = trainer.reinforce(y, rewards)
    norm = torch.cat([p.grad.flatten() for p in trainer.generator.parameters()]).norm()
    assert rewards.tolist() == [pytest.approx(row, abs=1e-6) for row in GOLDEN_REWARDS]
    assert log["g_loss"].item() == pytest.approx(GOLDEN_LOSS, abs=1e-5)
    assert norm.item() == pytest.approx(GOLDEN_NORM, abs=1e-5)


def _fill_with_sines(network: nn.Module) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_(0.5 * torch.sin(1.0 + steps).view(parameter.shape))


# -- the lag -----------------------------------------------------------------------------------


def test_by_default_roll_outs_follow_the_generator_at_once(world: Callable[..., Any]) -> None:
    assert world().lagged is None


def test_the_lag_moves_all_but_the_embedding_slowly(world: Callable[..., Any]) -> None:
    trainer = world(rollout_lag=0.8, g_steps=2, rollouts=2, batch=8, g_lr=0.1)
    old = {k: v.clone() for k, v in trainer.lagged.named_parameters()}
    trainer.step(G_TURN)
    for name, slow in trainer.lagged.named_parameters():
        assert torch.equal(slow, old[name]), "moved before the round's last g-step"
    trainer.step(Position("adversarial", 0, 1))
    for name, slow in trainer.lagged.named_parameters():
        new = trainer.generator.get_parameter(name)
        target = new if name == "embedding" else 0.8 * old[name] + 0.2 * new
        torch.testing.assert_close(slow, target, msg=name)
        assert not torch.equal(slow, old[name]), name


def test_the_lagged_policy_completes_the_prefixes(
    world: Callable[..., Any], enumerated: Callable[..., Any]
) -> None:
    trainer = world(rollout_lag=0.8, rollouts=3)
    with torch.no_grad():
        trainer.lagged.head_bias[2] = 1e4
    every, _, _, _ = enumerated(trainer)
    expected = plain_probability(trainer.discriminator, _completed_with_twos(every, 1))
    torch.testing.assert_close(trainer.action_values(every)[:, 0], expected)
