"""Reference rows: real text, and real text with some of its words replaced.

They train nothing. Their samples are training sentences, which no metric that compares with the
test set has seen: where they land is what an honest model can reach, and what some noise costs.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from textbench.contracts.config import Config
from textbench.contracts.stored import StoredSequences
from textbench.contracts.trainer import Phase, Position, Trainer


class Archive(StoredSequences):
    """Draws stored text without replacement."""

    def order(self, rng: torch.Generator) -> Tensor:
        """See `StoredSequences.order`: a random one."""
        return torch.randperm(len(self.sequences), generator=rng, device=self.device)

    @property
    def archive(self) -> Tensor:
        """The sequences: those of the training set, perhaps changed, in its order."""
        return self.sequences


C = TypeVar("C", bound=Config)


class Reference(Trainer[C], Generic[C]):
    """A row that is not trained."""

    own_generator = True
    reference_for = "text"

    def phases(self) -> list[Phase]:
        """There is nothing to train: one empty step."""
        return [Phase("real", 1, 1, trains_generator=False)]

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """Do nothing."""
        return {}


class Real(Reference[Config]):
    """Training sentences as samples: what real text scores."""

    name = "real"
    title = "Real text"
    config_schema = Config

    def setup(self) -> None:
        """Take the training sequences."""
        self.generator = Archive(self.context.data.sequences().clone(), self.context.vocab_size)


class RealCorruptedConfig(Config):
    """Options of `real_corrupted`."""

    rate: float = Field(0.2, gt=0, le=1)
    """Probability that a word is replaced, independently of the others, by a word drawn with its
    frequency in the training text (possibly by itself)."""


class RealCorrupted(Reference[RealCorruptedConfig]):
    """Training sentences, 20 % of their words replaced by words from anywhere in that text."""

    name = "real_corrupted"
    title = "Real text, 20 % of words replaced"
    config_schema = RealCorruptedConfig

    def setup(self) -> None:
        """Take the training sequences; ends of sentences and unknown words stay as they are."""
        context = self.context
        rng = context.stream("corruption")
        sequences = context.data.sequences().cpu()
        is_word = sequences >= context.first_word
        words = sequences[is_word]
        others = words[torch.randint(len(words), sequences.shape, generator=rng)]
        replaced = is_word & (torch.rand(sequences.shape, generator=rng) < self.config.rate)
        corrupted = torch.where(replaced, others, sequences)
        self.generator = Archive(corrupted.to(context.device), context.vocab_size)
