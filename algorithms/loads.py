"""The discriminator's side of every trainer that has one: loads of real and fake sequences.

A *load* is the training set, or a part of it, mixed with as many fresh fakes. It is shuffled once
and read several times, minibatch by minibatch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from textbench.backbone.replay import replayed
from textbench.contracts.config import Config, tunable
from textbench.contracts.trainer import State, Trainer

from .discriminator import FAKE, REAL, TextFeatures, filters_for


class DiscriminatorConfig(Config):
    """Options of the discriminator's side; the defaults are those of LantaoYu/SeqGAN."""

    d_steps: int = Field(5, ge=1)
    """Loads of fresh fakes per round."""
    d_epochs: int = Field(3, ge=1)
    """Passes over each of these loads: the k of SeqGAN's Algorithm 1."""
    d_batch: int = Field(64, ge=1)
    """Sequences, real and fake mixed, per discriminator update."""
    d_samples: int = Field(0, ge=0)
    """Real sequences, and as many fakes, in a load; 0 takes the whole training set. A smaller
    number is a reduced schedule: each load then draws its real sequences at random."""
    d_lr: float = Field(1e-4, gt=0, json_schema_extra=tunable("log", 3e-5, 3e-3))
    """Adam's learning rate of the discriminator; its gradient is not clipped."""
    d_embedding: int = Field(64, ge=1)
    """Width of the discriminator's embedding."""
    d_scale: float = Field(1.0, gt=0)
    """Multiplies the number of filters of every window, and with it the width of the features."""
    d_filters: tuple[tuple[PositiveInt, PositiveInt], ...] = ()
    """(window, filters) pairs; empty takes SeqGAN's table for the sequences' length. Windows
    longer than the sequences are left out."""


D = TypeVar("D", bound=DiscriminatorConfig)
N = TypeVar("N", bound=TextFeatures)


class DiscriminatorTrainer(Trainer[D], Generic[D]):
    """A trainer that has a discriminator to train, on loads."""

    @abstractmethod
    def discriminator_loss(self, sequences: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the discriminator's loss on a mixed minibatch, and its accuracy on it.

        Args:
            sequences: ``(B, T)``.
            labels: ``(B,)``, FAKE or REAL.
        """

    @abstractmethod
    def fakes(self, n: int) -> Tensor:
        """Draw ``n`` fakes for a load, ``(n, T)``."""

    def new_discriminator(self, kind: type[N], symbols: int) -> N:
        """Build and initialise the discriminator, its optimiser, and a load yet to be filled."""
        c, length = self.config, self.context.length
        network = kind(symbols, filters_for(length, c.d_scale, c.d_filters), c.d_embedding)
        network.initialise(self.context.stream("discriminator"))
        network.to(self.context.device)
        self.d_optimiser = torch.optim.Adam(network.parameters(), lr=c.d_lr, fused=True)
        self._let_record()
        self.loads = 0
        self.sequences = torch.empty(0, length, dtype=torch.int64)
        self.labels = torch.empty(0, dtype=torch.int64)
        return network

    def load_state_dict(self, state: State) -> None:
        """See `Trainer.load_state_dict`."""
        super().load_state_dict(state)
        self._let_record()  # a checkpoint holds what was so where it was made

    def _let_record(self) -> None:
        for group in self.d_optimiser.param_groups:
            group["capturable"] = self.context.device.type == "cuda"

    def minibatches(self) -> int:
        """Return how many discriminator updates are one pass over a load."""
        return max(1, 2 * self._side() // self.config.d_batch)

    def train_discriminator(self, index: int, passes: int) -> dict[str, float | Tensor]:
        """Make one discriminator update, on mean loss.

        Args:
            index: Which, counted from 0 over loads that are read ``passes`` times each.
            passes: Passes over a load.
        """
        minibatches = self.minibatches()
        if index % (passes * minibatches) == 0:
            self._load()
        first = index % minibatches * self.config.d_batch
        rows = slice(first, first + self.config.d_batch)
        loss, accuracy = replayed(
            self.d_optimiser,
            "update",
            self._update,
            self.sequences[rows],
            self.labels[rows],
            rng=self.context.rng,
            reads=self._in_place(),
        )
        return {"d_loss": loss, "d_accuracy": accuracy}

    def _update(self, sequences: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        loss, accuracy = self.discriminator_loss(sequences, labels)
        self.d_optimiser.zero_grad()
        loss.backward()
        self.d_optimiser.step()
        return loss.detach(), accuracy

    def _in_place(self) -> Iterator[Tensor]:
        """Yield what an update reads besides its minibatch."""
        yield self.context.data.sequences(self.loads)
        for group in self.d_optimiser.param_groups:
            for parameter in group["params"]:
                yield parameter
                yield from self.d_optimiser.state[parameter].values()

    def _side(self) -> int:
        """Return how many real sequences, and how many fakes, a load has."""
        size = self.context.data.size
        return min(self.config.d_samples, size) if self.config.d_samples else size

    def _load(self) -> None:
        """Mix real sequences with as many fresh fakes, in an order drawn once."""
        real, side, rng = self.context.data.sequences(self.loads), self._side(), self.context.rng
        if side < len(real):
            real = real[torch.randperm(len(real), generator=rng, device=real.device)[:side]]
        mixed = torch.cat([real, self.fakes(side)])
        labels = torch.full((2 * side,), FAKE, device=mixed.device)
        labels[:side] = REAL
        order = torch.randperm(2 * side, generator=rng, device=mixed.device)
        self.sequences, self.labels = mixed[order], labels[order]
        self.loads += 1
