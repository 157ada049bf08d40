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


class Tempered(Generator):
    """Another generator with its logits multiplied by ``alpha``: the paper's inverse temperature.

    Its likelihood is that of what it draws, so likelihood metrics are of the same model as the
    samples.
    """

    def __init__(self, generator: Generator, alpha: float) -> None:
        super().__init__()
        self.generator, self.alpha = generator, alpha
        self.vocab_size, self.length = generator.vocab_size, generator.length

    def log_probs(self, tokens: Tensor) -> Tensor:
        """See `Generator.log_probs`."""
        # Log-probabilities are logits up to a constant per position.
        return (self.generator.log_probs(tokens) * self.alpha).log_softmax(-1)

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        """See `Generator.sample`."""
        return self.generator.sample(n, rng, inverse_temperature=inverse_temperature * self.alpha)

    @property
    def device(self) -> torch.device:
        """Where the other generator's parameters are."""
        return self.generator.device
