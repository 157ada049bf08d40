"""The words of a corpus and their symbols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Self

import numpy as np
import torch
from torch import Tensor

from textbench.contracts.task import END, UNKNOWN, UNKNOWN_WORD


class Vocabulary:
    """Symbol `END`, symbol `UNKNOWN`, then the words, the most frequent first.

    Args:
        sentences: The training sentences.
        min_count: Rarer words are unknown.
        max_size: Keep at most so many words; 0 keeps all.
    """

    def __init__(
        self, sentences: Sequence[Sequence[str]], min_count: int = 1, max_size: int = 0
    ) -> None:
        counts = Counter(chain.from_iterable(sentences))
        counts.pop(UNKNOWN_WORD, None)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        words = [word for word, count in ranked if count >= min_count]
        self._number(words[: max_size or None])

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """Return the vocabulary of these words, in their order.

        Raises:
            ValueError: One of them is no word, or stands there twice.
        """
        if not all(isinstance(word, str) for word in words) or len(set(words)) < len(words):
            raise ValueError("no vocabulary")
        vocabulary = cls([])
        vocabulary._number(list(words))
        return vocabulary

    def _number(self, words: list[str]) -> None:
        self.words = words
        self._numbers = {word: number for number, word in enumerate(words, UNKNOWN + 1)}

    def __len__(self) -> int:
        """Return V: the words and the two other symbols."""
        return len(self.words) + UNKNOWN + 1

    def encode(self, sentences: Sequence[Sequence[str]], length: int) -> Tensor:
        """Return sentences of at most ``length`` words as ``(N, length)`` int64."""
        lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
        numbers = map(self._numbers.get, chain.from_iterable(sentences), repeat(UNKNOWN))
        tokens = np.full((len(sentences), length), END, dtype=np.int64)
        tokens[np.arange(length) < lengths[:, None]] = np.fromiter(numbers, dtype=np.int64)
        return torch.from_numpy(tokens)

    def decode(self, tokens: Tensor) -> list[list[str]]:
        """Return the words of each sequence ``(N, T)`` up to its first end symbol."""
        names = ["", UNKNOWN_WORD, *self.words]
        rows = tokens.tolist()
        ends = [row.index(END) if END in row else len(row) for row in rows]
        return [[names[n] for n in row[:end]] for row, end in zip(rows, ends, strict=True)]

    def unknown_share(self, sentences: Sequence[Sequence[str]]) -> float:
        """Return which part of the words of ``sentences`` the vocabulary does not hold."""
        words = list(chain.from_iterable(sentences))
        return sum(word not in self._numbers for word in words) / max(1, len(words))
