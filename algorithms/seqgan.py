"""SeqGAN: policy gradient with roll-out rewards, after Algorithm 1 of its paper and its code.

"SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient"; LantaoYu/SeqGAN at its head.

The reward of an action is the discriminator's belief that its Monte Carlo completions are real.
There is no baseline, no discount, no whitening; the discriminator's dropout is off.

The paper lets the roll-out policy equal the generator; the code's text announces a lag of 0.8,
but its TensorFlow graph is built once and the lag never takes effect. `rollout_lag` is therefore 0
by default: what the released code does.
"""

from __future__ import annotations

import copy

import torch
from pydantic import Field
from torch import Tensor

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.rollout import rollouts
from textbench.contracts.trainer import Position

from .adversarial import ClassifierConfig, ClassifierTrainer


class SeqGANConfig(ClassifierConfig):
    """Options of `seqgan`; the defaults are the authors' current code."""

    rollouts: int = Field(16, ge=1)
    """Monte Carlo completions of every prefix: the N of Eq. 4."""
    rollout_lag: float = Field(0.0, ge=0, lt=1)
    """After each round θ_roll becomes lag·θ_roll + (1 - lag)·θ, the embedding copied; 0 rolls out
    with the generator itself. The code's text says 0.8, its effect is 0."""


class SeqGAN(ClassifierTrainer[SeqGANConfig]):
    """SeqGAN: policy gradient with roll-out rewards from a CNN discriminator."""

    name = "seqgan"
    title = "SeqGAN"
    version = 2
    config_schema = SeqGANConfig

    def setup(self) -> None:
        """Algorithm 1, lines 1-3; the roll-out policy G_β starts as the generator G_θ."""
        super().setup()
        lags = self.config.rollout_lag > 0
        self.lagged: LSTMLanguageModel | None = copy.deepcopy(self.generator) if lags else None

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One update: a g-step (Algorithm 1, lines 7-11) or part of a d-step (lines 13-16)."""
        if not self.is_generator_turn(at):
            return self.d_step(at)
        y = self.sample(self.config.batch)
        log = self.reinforce(y, self.action_values(y))
        if at.index == self.config.g_steps - 1:
            self._follow()
        return log

    def action_values(self, y: Tensor) -> Tensor:
        """Return Q(s = y_<t, a = y_t) of Eq. 4 for sequences ``(B, T)``: ``(B, T)`` in [0, 1].

        For t < T the mean D over the completions of y_1..y_t; for t = T, D of y itself.
        """
        completed = rollouts(
            self.lagged or self.generator, y, self.config.rollouts, self.context.rng
        )
        prefixes, n, batch, length = completed.shape
        judged = self.discriminator.real_probability(completed.view(-1, length))
        values = judged.view(prefixes, n, batch).mean(1)
        return torch.cat([values, self.discriminator.real_probability(y).unsqueeze(0)]).t()

    def _follow(self) -> None:
        """Move the roll-out policy towards the generator (only with a lag)."""
        if self.lagged is None:
            return
        with torch.no_grad():
            for name, slow in self.lagged.named_parameters():
                fast = self.generator.get_parameter(name)
                slow.lerp_(fast, 1.0 if name == "embedding" else 1.0 - self.config.rollout_lag)
