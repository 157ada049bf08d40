"""What the policy-gradient trainers share: warm-up, generator update, adversarial schedule.

The defaults are those of LantaoYu/SeqGAN at its head.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from textbench.backbone.descent import descend
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import tunable
from textbench.contracts.trainer import Phase, Position

from .discriminator import TextCNN
from .loads import DiscriminatorConfig, DiscriminatorTrainer
from .warmup import WarmedConfig, WarmedTrainer


class PolicyConfig(WarmedConfig):
    """Options of the generator's side."""

    rounds: int = Field(200, ge=1)
    """Adversarial rounds; a round counts as one epoch."""
    g_steps: int = Field(1, ge=1)
    """Generator updates per round."""
    batch: int = Field(64, ge=1)
    """Sequences per generator update."""
    g_lr: float = Field(0.01, gt=0, json_schema_extra=tunable("log", 1e-3, 3e-2))
    """Adam's learning rate of the generator; its state is fresh, not the warm-up's."""
    clip: float = Field(5.0, ge=0)
    """Largest global norm of the generator's gradient; 0 does not clip."""


class AdversarialConfig(DiscriminatorConfig, PolicyConfig):
    """Options of both sides and of their schedule."""

    d_pretrain: int = Field(50, ge=0)
    """Loads of fresh fakes on which the discriminator is trained before the first round."""
    d_pretrain_epochs: int = Field(3, ge=1)
    """Passes over each of these loads."""
    d_dropout: float = Field(0.25, ge=0, lt=1)
    """Probability of dropping a feature before the output layer, in training only."""


class ClassifierConfig(AdversarialConfig):
    """Options where the discriminator tells real from fake."""

    d_l2: float = Field(0.2, ge=0)
    """Weight of ½(‖W‖² + ‖b‖²) of the discriminator's output layer."""


P = TypeVar("P", bound=PolicyConfig)
A = TypeVar("A", bound=AdversarialConfig)
C = TypeVar("C", bound=ClassifierConfig)


class PolicyTrainer(WarmedTrainer[P], Generic[P]):
    """A warmed-up generator that is updated by weighting its own samples' log-probabilities."""

    generator: LSTMLanguageModel

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
        descend(loss, self.g_optimiser, self.config.clip)
        return {"g_loss": loss.detach(), "reward": rewards.mean()}


class AdversarialTrainer(PolicyTrainer[A], DiscriminatorTrainer[A], Generic[A]):
    """The schedule: pre-train the discriminator, then rounds of g-steps and d-steps.

    One call of `step` is one update of either side.
    """

    def phases(self) -> list[Phase]:
        """Pre-training of the discriminator, then the adversarial rounds."""
        c, minibatches = self.config, self.minibatches()
        pretraining = Phase(
            "discriminator", c.d_pretrain, c.d_pretrain_epochs * minibatches, trains_generator=False
        )
        rounds = Phase("adversarial", c.rounds, c.g_steps + c.d_steps * c.d_epochs * minibatches)
        return [pretraining, rounds] if c.d_pretrain else [rounds]

    def is_generator_turn(self, at: Position) -> bool:
        """Tell whether this step of the schedule is a g-step; a round begins with them."""
        return at.phase == "adversarial" and at.index < self.config.g_steps

    def d_step(self, at: Position) -> dict[str, float | Tensor]:
        """Make one discriminator update, on the schedule's minibatch."""
        if at.phase == "adversarial":
            return self.train_discriminator(at.index - self.config.g_steps, self.config.d_epochs)
        return self.train_discriminator(at.index, self.config.d_pretrain_epochs)

    def fakes(self, n: int) -> Tensor:
        """See `DiscriminatorTrainer.fakes`: samples of the generator."""
        return self.sample(n)


class ClassifierTrainer(AdversarialTrainer[C], Generic[C]):
    """The discriminator is SeqGAN's CNN, which tells real from fake."""

    def setup(self) -> None:
        """Create generator and discriminator."""
        super().setup()
        self.discriminator = self.new_discriminator(TextCNN, self.context.vocab_size)

    def discriminator_loss(self, sequences: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy on real and fake (SeqGAN, Eq. 5), regularised."""
        c = self.config
        return self.discriminator.loss(
            sequences, labels, l2=c.d_l2, dropout=c.d_dropout, rng=self.context.rng
        )
