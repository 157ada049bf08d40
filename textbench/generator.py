"""What the harness needs of a generator, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Generator(nn.Module, ABC):
    """A tractable autoregressive model of token sequences of one fixed length.

    Shapes: ``B`` sequences, ``T`` positions, ``V`` symbols. Tokens are int64 in ``[0, V)``; there
    is no padding mask: a padding symbol, where a task has one, is modelled like any other.
    """

    vocab_size: int
    length: int

    @abstractmethod
    def log_probs(self, tokens: Tensor) -> Tensor:
        """Return every conditional, log G(v | x_<t).

        Args:
            tokens: ``(B, T)``.

        Returns:
            ``(B, T, V)``, normalised over the last axis, in nats; differentiable.
        """

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        """Draw ``n`` sequences, ``(n, T)`` int64, without gradient.

        Args:
            n: How many.
            rng: The stream of the uniform numbers, one per token, on the generator's device.
            inverse_temperature: The paper's alpha; logits are multiplied by it.
        """

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device
