"""Scheduled sampling (Bengio et al., NIPS 2015): teacher forcing, ever less of it.

Before each position an independent coin decides whether the model reads the true symbol, with
probability ε, or one that it draws itself. The targets stay the true symbols, and no gradient
passes through a draw.

The SeqGAN paper's baseline lowers ε by 0.002 per epoch. Its released code draws one coin when the
graph is built, and that coin shows heads: the published row is maximum likelihood in effect. Here
every symbol has its own coin.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from textbench.backbone.descent import descend
from textbench.backbone.lstm import START, LSTMLanguageModel
from textbench.contracts.config import Config, tunable
from textbench.contracts.trainer import Phase, Position, Trainer


class ScheduledSamplingConfig(Config):
    """Options of `scheduled_sampling`; a schedule's i is the number of finished epochs."""

    epochs: int = Field(120, ge=1)
    """Passes over the training sequences; the same budget as `mle`."""
    batch: int = Field(64, ge=1)
    """Sequences per update."""
    lr: float = Field(0.01, gt=0, json_schema_extra=tunable("log", 1e-3, 3e-2))
    """Adam's learning rate, that of `mle`."""
    clip: float = Field(5.0, ge=0)
    """Largest global gradient norm; 0 does not clip."""
    schedule: Literal["linear", "exponential", "inverse_sigmoid"] = "linear"
    """Bengio et al., section 2.4: 1 - decay·i, base^i, or k/(k + e^(i/k))."""
    decay: float = Field(0.0, ge=0, le=1)
    """Linear: what ε loses per epoch; 0 takes it from 1 in the first to `least` in the last."""
    base: float = Field(0.97, gt=0, lt=1)
    """Exponential: what ε is multiplied by per epoch (0.97: one half after 23 epochs)."""
    k: float = Field(12.0, ge=1)
    """Inverse sigmoid: ε is one half after k·ln k epochs (12: after 30)."""
    least: float = Field(0.4, ge=0, le=1)
    """ε does not fall below this (SeqGAN: 300 epochs of 0.002 end at 0.4)."""


class ScheduledSampling(Trainer[ScheduledSamplingConfig]):
    """Maximum likelihood on inputs that are partly the model's own symbols."""

    name = "scheduled_sampling"
    title = "Scheduled Sampling"
    version = 3
    config_schema = ScheduledSamplingConfig
    generator: LSTMLanguageModel

    def phases(self) -> list[Phase]:
        """One phase: `epochs` passes over the data, without pre-training."""
        steps = self.context.data.batches(self.config.batch)
        return [Phase("scheduled_sampling", self.config.epochs, steps)]

    def setup(self) -> None:
        """Start from the common initial generator."""
        self.generator = self.context.initial_generator()
        self.optimiser = torch.optim.Adam(
            self.generator.parameters(), lr=self.config.lr, fused=True
        )
        self.updates = 0

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One minibatch update on the mean NLL per token of the true symbols."""
        batch = self.context.data.batch(self.updates, self.config.batch)
        epsilon = self.epsilon(at.epoch)
        loss = self.generator.weighted_nll(batch, inputs=self.mixed_inputs(batch, epsilon))
        descend(loss, self.optimiser, self.config.clip)
        self.updates += 1
        return {"nll": loss.detach(), "epsilon": epsilon}

    def epsilon(self, i: int) -> float:
        """Return the probability of reading the true symbol in epoch ``i``, counted from 0."""
        c = self.config
        if c.schedule == "exponential":
            epsilon = c.base**i
        elif c.schedule == "inverse_sigmoid":
            epsilon = c.k / (c.k + math.exp(min(i / c.k, 700.0)))  # e^710 is no float
        else:
            epsilon = 1.0 - i * (c.decay or (1.0 - c.least) / max(c.epochs - 1, 1))
        return max(epsilon, c.least)

    @torch.no_grad()
    def mixed_inputs(self, batch: Tensor, epsilon: float) -> Tensor:
        """Return what the model reads before each position of ``batch``, ``(B, T)``.

        After the start symbol, input t is x_{t-1}, or with probability 1 − ε a draw from
        G(·|inputs before it).
        """
        G, rng, size = self.generator, self.context.rng, batch[:, 1:].shape
        is_true = torch.rand(size, generator=rng, device=batch.device) < epsilon
        uniforms = torch.rand(size, generator=rng, device=batch.device)
        inputs = torch.full_like(batch, START)
        table, drawer, (h, c) = G.input_table(), G.drawer(), G.initial_state(len(batch))
        for t in range(1, batch.shape[1]):
            h, c = G.advance(table[inputs[:, t - 1]], (h, c))
            inputs[:, t] = batch[:, t - 1]
            own = (~is_true[:, t - 1]).nonzero().squeeze(1)  # only these need the vocabulary
            inputs[own, t] = drawer.draw(h[own], uniforms[own, t - 1])
        return inputs
