"""Stored sequences in the place of a generator: what is real, or what another system wrote."""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.contracts.metric import NotApplicableError


class StoredSequences(Generator):
    """Returns stored sequences ``(N, T)`` in their order; it has no likelihood, no temperature.

    Args:
        sequences: What it returns.
        vocab_size: V.
    """

    no_likelihood = "stored text has no likelihood"
    no_temperature = "stored text has no temperature"

    def __init__(self, sequences: Tensor, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size, self.length = vocab_size, sequences.shape[1]
        self.sequences: Tensor
        self.register_buffer("sequences", sequences)

    def log_probs(self, tokens: Tensor) -> Tensor:
        """Refuse: stored sequences are no distribution that has seen everything.

        Raises:
            NotApplicableError: Always.
        """
        raise NotApplicableError(self.no_likelihood)

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        """Return the first ``n``; all sequences, where more are asked for than there are."""
        if inverse_temperature != 1.0:
            raise NotApplicableError(self.no_temperature)
        return self.sequences[self.order(rng)[:n]]

    def order(self, rng: torch.Generator) -> Tensor:
        """Return the indices ``(N,)`` in the order in which they are handed out."""
        return torch.arange(len(self.sequences), device=self.device)

    @property
    def device(self) -> torch.device:
        """Where the sequences are."""
        return self.sequences.device
