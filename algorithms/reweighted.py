"""What the trainers share that re-weight or replace the likelihood of true tokens.

They read what `mle` reads, in the same order: one pass over the training sequences is an epoch.
q is the generator's likelihood of the true token after its true prefix, and sg(·) lets no gradient
through. With constants that make every weight 1, and the options of `mle`, each of them is `mle`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from textbench.backbone.descent import descend
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import Config, tunable
from textbench.contracts.trainer import Phase, Position, Trainer


class ReweightedConfig(Config):
    """Options of the optimiser and the schedule."""

    epochs: int = Field(120, ge=1)
    """Passes over the training sequences."""
    batch: int = Field(64, ge=1)
    """Sequences per update, as many as in `mle`."""
    lr: float = Field(1e-3, gt=0, json_schema_extra=tunable("log", 1e-4, 3e-2))
    """Adam's learning rate."""
    clip: float = Field(0.0, ge=0)
    """Largest global gradient norm; 0 does not clip."""
    dropout: float = Field(0.0, ge=0, lt=1, json_schema_extra=tunable("linear", 0.0, 0.6))
    """Probability of dropping a unit of the LSTM's output before the output layer."""
    weight_decay: float = Field(0.0, ge=0)
    """This times the parameters is added to the gradient, Adam's L2 penalty."""


R = TypeVar("R", bound=ReweightedConfig)

Log = dict[str, float | Tensor]


class ReweightedTrainer(Trainer[R], Generic[R]):
    """One update per minibatch of true sequences, on a loss of the subclass's."""

    generator: LSTMLanguageModel

    @abstractmethod
    def loss(self, x: Tensor) -> tuple[Tensor, Log]:
        """Return the loss of true sequences ``(B, T)``, a mean over tokens, and what to log."""

    def phases(self) -> list[Phase]:
        """One phase: `epochs` passes over the data."""
        steps = self.context.data.batches(self.config.batch)
        return [Phase(self.name, self.config.epochs, steps)]

    def setup(self) -> None:
        """Start from the common initial generator, or the warmed-up one."""
        c, self.generator = self.config, self.context.initial_generator()
        self.optimiser = torch.optim.Adam(
            self.generator.parameters(), lr=c.lr, weight_decay=c.weight_decay, fused=True
        )
        self.updates = 0

    def step(self, at: Position) -> Log:
        """One minibatch update."""
        x = self.context.data.batch(self.updates, self.config.batch)
        loss, log = self.loss(x)
        descend(loss, self.optimiser, self.config.clip)
        self.updates += 1
        return log
