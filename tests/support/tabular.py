"""Models whose law is a table, and samples that are that law exactly.

Every conditional is a multiple of 1/`DENOMINATOR`, so a sequence has a probability that is a
multiple of 1/`DENOMINATOR`**T: the multiset that holds each sequence that many times *is* the
distribution, and a sample mean over it is an exact expectation.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.contracts.config import Config
from textbench.contracts.task import Task

DENOMINATOR = 6


class Tabular(Generator):
    """Conditionals drawn from a seed: positive multiples of 1/`DENOMINATOR`.

    Args:
        vocab_size: V, at most `DENOMINATOR`.
        length: T.
        seed: Of the table.
    """

    def __init__(self, vocab_size: int, length: int, seed: int) -> None:
        super().__init__()
        self.vocab_size, self.length = vocab_size, length
        rng = np.random.default_rng(seed)
        spare = DENOMINATOR - vocab_size
        for t in range(length):
            counts = 1 + rng.multinomial(spare, np.full(vocab_size, 1 / vocab_size), vocab_size**t)
            self.register_buffer(f"table{t}", torch.tensor(counts / DENOMINATOR))

    @property
    def device(self) -> torch.device:
        return self.get_buffer("table0").device

    def log_probs(self, tokens: Tensor) -> Tensor:
        prefix = torch.zeros(len(tokens), dtype=torch.int64)
        columns = []
        for t in range(self.length):
            columns.append(self.get_buffer(f"table{t}")[prefix])
            prefix = prefix * self.vocab_size + tokens[:, t]
        return torch.stack(columns, 1).log()

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        """Return the law, which is exact where n is DENOMINATOR**T, cut or repeated."""
        law = self.law()
        return law[torch.arange(n) % len(law)]

    def law(self) -> Tensor:
        """Return each sequence as often as its probability says, ``(DENOMINATOR**T, T)``."""
        every = enumerate_sequences(self.vocab_size, self.length)
        times = (self.probs(every) * DENOMINATOR**self.length).round().long()
        return every.repeat_interleave(times, 0)

    def probs(self, tokens: Tensor) -> Tensor:
        """Return the probability of each sequence, ``(N,)``."""
        return self.log_probs(tokens).gather(2, tokens.unsqueeze(2)).sum((1, 2)).exp()


class TabularTask(Task[Config]):
    """A task whose test set is the oracle's law; ``oracle`` may be hidden.

    The training set is another: the lexicographically smaller half of it.
    """

    name = "tabular"
    config_schema = Config

    def __init__(self, oracle: Tabular, *, hidden: bool = False) -> None:
        super().__init__(Config())
        self.vocab_size, self.length = oracle.vocab_size, oracle.length
        self.oracle = None if hidden else oracle
        self._law = oracle.law()

    def fingerprint(self) -> str:
        return "tabular"

    def train(self, seed: int, number: int) -> Tensor:
        return self._law[: self.train_size()]

    def train_size(self) -> int:
        return len(self._law) // 2

    def validation(self) -> Tensor:
        return self._law[::2]

    def test(self) -> Tensor:
        return self._law

    def decode(self, tokens: Tensor) -> list[str]:
        return [str(row) for row in tokens.tolist()]


def enumerate_sequences(vocab_size: int, length: int) -> Tensor:
    """Return every sequence, ``(V**T, T)``."""
    return torch.tensor(list(itertools.product(range(vocab_size), repeat=length)))
