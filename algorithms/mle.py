"""Maximum likelihood: teacher forcing, the recipe of the SeqGAN code."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textbench.backbone.descent import descend
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import Config, tunable
from textbench.contracts.errors import UserError
from textbench.contracts.trainer import Phase, Position, Trainer


class MLEConfig(Config):
    """Options of `mle`."""

    epochs: int = Field(120, ge=1)
    """Passes over the training sequences (SeqGAN code: 120)."""
    batch: int = Field(64, ge=1)
    """Sequences per update."""
    lr: float = Field(0.01, gt=0, json_schema_extra=tunable("log", 1e-3, 3e-2))
    """Adam's learning rate (SeqGAN code: 0.01; its 2016 version: 1e-3)."""
    clip: float = Field(5.0, ge=0)
    """Largest global gradient norm; 0 does not clip."""
    dropout: float = Field(0.0, ge=0, lt=1, json_schema_extra=tunable("linear", 0.0, 0.6))
    """Probability of dropping a unit of the LSTM's output before the output layer."""
    patience: int = Field(0, ge=0)
    """Stop after that many epochs without a better validation NLL, however often it is evaluated;
    the run, stopped or at its end, then takes the best parameters. 0 never stops early and takes
    the last."""
    data: Literal["fixed", "fresh"] = "fixed"
    """``fixed``: the task's training sequences in every pass; ``fresh``: new ones from the true
    distribution in every pass after the first, so that nothing can be over-fitted."""

    added_options: ClassVar[frozenset[str]] = frozenset({"data"})


class MLE(Trainer[MLEConfig]):
    """Maximum likelihood by teacher forcing."""

    name = "mle"
    title = "MLE"
    version = 2
    config_schema = MLEConfig
    generator: LSTMLanguageModel

    @classmethod
    def fresh_data(cls, config: MLEConfig) -> bool:
        """The upper bound does."""
        return config.data == "fresh"

    def phases(self) -> list[Phase]:
        """One phase: `epochs` passes over the data."""
        return [Phase("mle", self.config.epochs, self.context.data.batches(self.config.batch))]

    def setup(self) -> None:
        """Start from the common initial generator."""
        self.generator = self.context.initial_generator()
        self.optimiser = torch.optim.Adam(
            self.generator.parameters(), lr=self.config.lr, fused=True
        )
        self.updates = 0
        self.best_nll = math.inf
        self.best_state: dict[str, Tensor] = {}
        self.best_update = 0

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One minibatch update on the mean NLL per token."""
        batch = self.context.data.batch(self.updates, self.config.batch)
        loss = self.generator.weighted_nll(batch, dropout=self.config.dropout, rng=self.context.rng)
        descend(loss, self.optimiser, self.config.clip)
        self.updates += 1
        return {"nll": loss.detach()}

    def observe(self, validation_nll: float) -> bool:
        """Early stopping: keep the best parameters, take them when patience or time is up.

        Raises:
            UserError: There is no validation NLL to stop by.
        """
        if not self.config.patience:
            return False
        if math.isnan(validation_nll) and not self.best_state:
            raise UserError(
                "patience needs a validation NLL, and this task has no validation sequences; set "
                "patience to 0, or give the task some"
            )
        if validation_nll < self.best_nll:
            self.best_nll, self.best_update = validation_nll, self.updates
            self.best_state = {k: v.clone() for k, v in self.generator.state_dict().items()}
            return False
        epoch = self.context.data.batches(self.config.batch)
        waited, ends = self.updates - self.best_update, self.updates >= self.config.epochs * epoch
        if waited < self.config.patience * epoch and not ends:
            return False
        self.generator.load_state_dict(self.best_state)
        return True
