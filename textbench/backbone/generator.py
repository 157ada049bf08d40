"""What the harness needs of a generator, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from textbench.backbone.ledger import draws, reads
from textbench.backbone.linear_scores import LinearOutput

COUNTED: dict[str, Callable[..., object]] = {
    "log_probs": reads,
    "linear_output": reads,
    "sample": draws,
}
"""How the ledger counts what a subclass defines."""


class Generator(nn.Module, ABC):
    """A tractable autoregressive model of token sequences of one fixed length.

    Shapes: ``B`` sequences, ``T`` positions, ``V`` symbols. Tokens are int64 in ``[0, V)``; there
    is no padding mask: a padding symbol, where a task has one, is modelled like any other.

    What a subclass reads in `log_probs` and `linear_output` and draws in `sample` is counted as a
    cost of training; it need not see to that.
    """

    vocab_size: int
    length: int

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        for name, counted in COUNTED.items():
            if name in vars(cls):
                setattr(cls, name, counted(vars(cls)[name]))

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

    def linear_output(self, tokens: Tensor) -> LinearOutput | None:
        """Return (h, W, b) with log_probs = log_softmax(W h + b), if there are such; or None.

        Evaluation is then several times faster. `textbench check` compares it with `log_probs`.

        Args:
            tokens: ``(B, T)``; the rows of h are its B·T positions in order.
        """
        return None

    def own_parameters(self) -> Iterable[nn.Parameter]:
        """Return what an update of the generator moves: all, unless it holds a critic."""
        return self.parameters()

    @property
    def archive(self) -> Tensor | None:
        """The training sentences that it returns, as they are or changed, ``(N, T)``.

        In the training set's order; None for whatever models them.
        """
        return None

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

    def linear_output(self, tokens: Tensor) -> LinearOutput | None:
        """See `Generator.linear_output`."""
        output = self.generator.linear_output(tokens)
        if output is None:
            return None
        return output._replace(weight=output.weight * self.alpha, bias=output.bias * self.alpha)

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        """See `Generator.sample`."""
        return self.generator.sample(n, rng, inverse_temperature=inverse_temperature * self.alpha)

    @property
    def device(self) -> torch.device:
        """Where the other generator's parameters are."""
        return self.generator.device
