"""SeqGAN without its discriminator: policy gradient with a reward that knows nothing.

The control of SeqGAN's issue 21, where a constant or random reward lowers NLL_oracle as well as the
discriminator's does: positive rewards without a baseline reinforce whatever is sampled, and so
sharpen the generator. Every gain of an adversarial trainer should be read against this row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.contracts.trainer import Phase, Position

from .adversarial import PolicyConfig, PolicyTrainer


class PolicyGradientConfig(PolicyConfig):
    """Options of `policy_gradient`: SeqGAN's generator side, with the reward as a parameter."""

    reward: float = 1.0
    """The reward of every action."""
    noise: bool = False
    """Draw every reward from U[0, `reward`] instead."""


class PolicyGradient(PolicyTrainer[PolicyGradientConfig]):
    """Policy gradient with a constant or random reward: the control of SeqGAN."""

    name = "policy_gradient"
    version = 2
    config_schema = PolicyGradientConfig

    def phases(self) -> list[Phase]:
        """As many rounds of generator updates as SeqGAN has, and nothing between them."""
        return [Phase("policy_gradient", self.config.rounds, self.config.g_steps)]

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One generator update on its own samples."""
        y = self.sample(self.config.batch)
        rewards = torch.full(y.shape, self.config.reward, device=y.device)
        if self.config.noise:
            rewards *= torch.rand(y.shape, generator=self.context.rng, device=y.device)
        return self.reinforce(y, rewards)
