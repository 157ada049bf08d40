"""What the policy-gradient trainers share: warm-up, generator update, adversarial schedule.

The defaults are those of LantaoYu/SeqGAN at its head.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import Config
from textbench.contracts.trainer import Phase, Position, Trainer

from .discriminator import FAKE, REAL, TextFeatures, filters_for


class PolicyConfig(Config):
    """Options of the generator's side."""

    warmup_epochs: int = Field(120, ge=1)
    """Epochs of the maximum-likelihood warm-up, an ordinary `mle` run (SeqGAN code: 120)."""
    warmup_lr: float = Field(0.01, gt=0)
    """Adam's learning rate in the warm-up."""
    rounds: int = Field(200, ge=1)
    """Adversarial rounds; a round counts as one epoch."""
    g_steps: int = Field(1, ge=1)
    """Generator updates per round."""
    batch: int = Field(64, ge=1)
    """Sequences per generator update."""
    g_lr: float = Field(0.01, gt=0)
    """Adam's learning rate of the generator; its state is fresh, not the warm-up's."""
    clip: float = Field(5.0, ge=0)
    """Largest global norm of the generator's gradient; 0 does not clip."""


class AdversarialConfig(PolicyConfig):
    """Options of the discriminator's side and of the schedule."""

    d_pretrain: int = Field(50, ge=0)
    """Loads of fresh fakes on which the discriminator is trained before the first round."""
    d_pretrain_epochs: int = Field(3, ge=1)
    """Passes over each of these loads."""
    d_steps: int = Field(5, ge=1)
    """Loads of fresh fakes per round."""
    d_epochs: int = Field(3, ge=1)
    """Passes over each of these loads: the k of SeqGAN's Algorithm 1."""
    d_batch: int = Field(64, ge=1)
    """Sequences, real and fake mixed, per discriminator update."""
    d_samples: int = Field(0, ge=0)
    """Real sequences, and as many fakes, in a load; 0 takes the whole training set. A smaller
    number is a reduced schedule: each load then draws its real sequences at random."""
    d_lr: float = Field(1e-4, gt=0)
    """Adam's learning rate of the discriminator; its gradient is not clipped."""
    d_dropout: float = Field(0.25, ge=0, lt=1)
    """Probability of dropping a feature before the output layer, in training only."""
    d_embedding: int = Field(64, ge=1)
    """Width of the discriminator's embedding."""
    d_scale: float = Field(1.0, gt=0)
    """Multiplies the number of filters of every window."""
    d_filters: tuple[tuple[PositiveInt, PositiveInt], ...] = ()
    """(window, filters) pairs; empty takes SeqGAN's table for the sequences' length. Windows
    longer than the sequences are left out."""


P = TypeVar("P", bound=PolicyConfig)
A = TypeVar("A", bound=AdversarialConfig)
N = TypeVar("N", bound=TextFeatures)


class PolicyTrainer(Trainer[P], Generic[P]):
    """A warmed-up generator that is updated by weighting its own samples' log-probabilities."""

    generator: LSTMLanguageModel

    @classmethod
    def warmup(cls, config: P) -> tuple[str, dict[str, Any]]:
        """Start from maximum likelihood."""
        return "mle", {"epochs": config.warmup_epochs, "lr": config.warmup_lr}

    def setup(self) -> None:
        """Take the warmed-up generator and a fresh optimiser."""
        self.generator = self.context.initial_generator()
        self.g_optimiser = torch.optim.Adam(
            self.generator.parameters(), lr=self.config.g_lr, fused=True
        )

    def sample(self, n: int) -> Tensor:
        """Draw ``n`` sequences from the generator, ``(n, T)``."""
        return self.generator.sample(n, self.context.rng)

    def reinforce(self, sequences: Tensor, rewards: Tensor) -> dict[str, float | Tensor]:
        """Descend −Σ_b Σ_t r_bt log G(x_bt | x_b,<t): a sum over batch and time, no baseline.

        Args:
            sequences: Samples of the generator, ``(B, T)``.
            rewards: ``(B, T)``, constants; column t belongs to the action x_t.
        """
        loss = self.generator.weighted_nll(sequences, rewards)
        self.g_optimiser.zero_grad()
        loss.backward()
        if self.config.clip:
            clip_grad_norm_(self.generator.parameters(), self.config.clip)
        self.g_optimiser.step()
        return {"g_loss": loss.detach(), "reward": rewards.mean()}


class AdversarialTrainer(PolicyTrainer[A], Generic[A]):
    """The schedule: pre-train the discriminator, then rounds of g-steps and d-steps.

    One call of `step` is one update of either side. A *load* is the training set mixed with as
    many fresh fakes, shuffled once and read `d_epochs` times.
    """

    @abstractmethod
    def discriminator_loss(self, sequences: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the discriminator's loss on a mixed minibatch, and its accuracy on it.

        Args:
            sequences: ``(B, T)``.
            labels: ``(B,)``, FAKE or REAL.
        """

    def phases(self) -> list[Phase]:
        """Pre-training of the discriminator, then the adversarial rounds."""
        c, minibatches = self.config, self._minibatches()
        pretraining = Phase(
            "discriminator", c.d_pretrain, c.d_pretrain_epochs * minibatches, trains_generator=False
        )
        rounds = Phase("adversarial", c.rounds, c.g_steps + c.d_steps * c.d_epochs * minibatches)
        return [pretraining, rounds] if c.d_pretrain else [rounds]

    def setup(self) -> None:
        """Add the current load; it is empty until the discriminator's first update."""
        super().setup()
        self.loads = 0
        self.sequences = torch.empty(0, self.context.length, dtype=torch.int64)
        self.labels = torch.empty(0, dtype=torch.int64)

    def new_discriminator(self, kind: type[N]) -> N:
        """Build and initialise the discriminator, and its optimiser."""
        c = self.config
        filters = filters_for(self.context.length, c.d_scale, c.d_filters)
        network = kind(self.context.vocab_size, filters, c.d_embedding)
        network.initialise(self.context.stream("discriminator"))
        network.to(self.context.device)
        self.d_optimiser = torch.optim.Adam(network.parameters(), lr=c.d_lr, fused=True)
        return network

    def is_generator_turn(self, at: Position) -> bool:
        """Tell whether this step of the schedule is a g-step; a round begins with them."""
        return at.phase == "adversarial" and at.index < self.config.g_steps

    def train_discriminator(self, at: Position) -> dict[str, float | Tensor]:
        """Make one discriminator update, on the schedule's minibatch."""
        c, minibatches = self.config, self._minibatches()
        adversarial = at.phase == "adversarial"
        index = at.index - c.g_steps if adversarial else at.index
        epochs = c.d_epochs if adversarial else c.d_pretrain_epochs
        if index % (epochs * minibatches) == 0:
            self._load()
        first = index % minibatches * c.d_batch
        rows = slice(first, first + c.d_batch)
        loss, accuracy = self.discriminator_loss(self.sequences[rows], self.labels[rows])
        self.d_optimiser.zero_grad()
        loss.backward()
        self.d_optimiser.step()
        return {"d_loss": loss.detach(), "d_accuracy": accuracy}

    def _side(self) -> int:
        """Return how many real sequences, and how many fakes, a load has."""
        size = self.context.data.size
        return min(self.config.d_samples, size) if self.config.d_samples else size

    def _minibatches(self) -> int:
        return max(1, 2 * self._side() // self.config.d_batch)

    def _load(self) -> None:
        """Mix real sequences with as many fresh fakes, in an order drawn once."""
        real, side, rng = self.context.data.sequences(self.loads), self._side(), self.context.rng
        if side < len(real):
            real = real[torch.randperm(len(real), generator=rng, device=real.device)[:side]]
        mixed = torch.cat([real, self.sample(side)])
        labels = torch.full((2 * side,), FAKE, device=mixed.device)
        labels[:side] = REAL
        order = torch.randperm(2 * side, generator=rng, device=mixed.device)
        self.sequences, self.labels = mixed[order], labels[order]
        self.loads += 1
