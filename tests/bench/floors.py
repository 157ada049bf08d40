"""What a piece of work must at least cost on this machine, from rates measured in this process.

A *floor* is the arithmetic of the plain algorithm at the machine's best rates: multiplications and
additions at that of a matrix product that stays in the cache, exponentials at that of the fastest
exponential, bytes at that of a copy that does not fit any cache. Nothing else is counted: no pass
over the logits, no search, no overhead of a call. An implementation that needs less arithmetic
than the plain algorithm may therefore come out above 100 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from textbench.run import rates


@dataclass(frozen=True)
class Work:
    """An amount of arithmetic."""

    flops: float = 0.0
    """Floating-point operations of matrix products; a multiplication and an addition are two."""
    exps: float = 0.0
    """Exponentials (or logarithms)."""
    bytes: float = 0.0
    """Read or written, where the data are too many for a cache."""

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.exps + other.exps, self.bytes + other.bytes)

    def __rmul__(self, times: float) -> Work:
        return Work(times * self.flops, times * self.exps, times * self.bytes)

    def seconds(self, rates: Rates) -> float:
        """Return the floor."""
        return self.flops / rates.flops + self.exps / rates.exps + self.bytes / rates.bytes


@dataclass(frozen=True)
class Rates:
    """Per second, one core, float32."""

    flops: float
    exps: float
    bytes: float

    def best(self, other: Rates) -> Rates:
        """Return the higher of each."""
        return Rates(
            max(self.flops, other.flops),
            max(self.exps, other.exps),
            max(self.bytes, other.bytes),
        )

    def __str__(self) -> str:
        return (
            f"sgemm {self.flops / 1e9:.0f} GF/s, exp {self.exps / 1e9:.2f} G/s, "
            f"memory {self.bytes / 1e9:.0f} GB/s"
        )


def measured_rates() -> Rates:
    """Measure this machine, in a tenth of a second of processor time."""
    large, copy = torch.randn(1 << 23), torch.empty(1 << 23)
    return Rates(
        flops=rates.product_rate(20),
        exps=rates.exponential_rate(20),
        bytes=8 * large.numel() / rates.seconds(lambda: copy.copy_(large), 1),
    )


# -- parts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """An LSTM language model: V, embedding, state."""

    vocab_size: int
    embedding: int = 32
    hidden: int = 32

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        gates = 4 * self.hidden
        return self.vocab_size * (self.embedding + self.hidden + 1) + gates * (
            self.embedding + self.hidden + 1
        )

    def states(self, tokens: int) -> Work:
        """Return the work of h for so many tokens."""
        return Work(flops=2 * tokens * 4 * self.hidden * (self.embedding + self.hidden))

    def logits(self, tokens: int) -> Work:
        """Return the work of W h for so many tokens."""
        return Work(flops=2 * tokens * self.vocab_size * self.hidden)

    def exps(self, tokens: int) -> Work:
        """Return one exponential per symbol."""
        return Work(exps=tokens * self.vocab_size)

    def sample(self, tokens: int) -> Work:
        """Return the work of drawing so many tokens."""
        return self.states(tokens) + self.logits(tokens) + self.exps(tokens)

    score = sample
    """The likelihood of so many tokens costs the same."""

    def update(self, tokens: int) -> Work:
        """Return the work of loss, gradient and Adam on so many tokens."""
        gradient = 3 * (self.states(tokens) + self.logits(tokens)) + self.exps(tokens)
        return gradient + adam(self.parameters)

    def follow(self, other: Model, tokens: int) -> Work:
        """Return the work of an update on the KL to another model."""
        return self.update(tokens) + other.score(tokens)


def adam(parameters: int) -> Work:
    """Parameter, gradient and two moments read, all but the gradient written."""
    return Work(bytes=7 * 4 * parameters)


@dataclass(frozen=True)
class CNN:
    """The text CNN: (window, filters) pairs, T, width of the embedding, V."""

    filters: tuple[tuple[int, int], ...]
    length: int = 20
    embedding: int = 64
    vocab_size: int = 5000

    @property
    def width(self) -> int:
        """The number of features."""
        return sum(n for _, n in self.filters)

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        kernels = sum(w * self.embedding * n for w, n in self.filters)
        return self.vocab_size * self.embedding + kernels + 2 * self.width**2

    def score(self, sequences: int) -> Work:
        """Return the work of every window times every filter, and of the highway layer."""
        windows = sum((self.length - w + 1) * w * n for w, n in self.filters)
        return Work(flops=2 * sequences * (windows * self.embedding + 2 * self.width**2))

    def update(self, sequences: int) -> Work:
        """Return the work of gradient and Adam."""
        return 3 * self.score(sequences) + adam(self.parameters)
