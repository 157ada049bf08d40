"""Counts of n-grams over many sentences at once, numpy only.

A k-gram gets a dense number from its (k-1)-gram prefix and its last word, level by level, so that
no key overflows however large the vocabulary is: keys stay below positions times words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Sentences = Sequence[Sequence[str]]

UNKNOWN = -1
"""The number of a word that an index does not hold."""


@dataclass(frozen=True)
class Counts:
    """How often which k-gram occurs in which sentence, for one k; parallel arrays."""

    gram: Ints
    sentence: Ints
    count: Ints


class NgramIndex:
    """Every k-gram of a set of sentences, k = 1..order.

    Args:
        sentences: Lists of words.
        order: The longest k-gram.
        never: Words that match nothing when other sentences are looked up.
    """

    def __init__(
        self, sentences: Sentences, order: int, never: frozenset[str] = frozenset()
    ) -> None:
        distinct = dict.fromkeys(chain.from_iterable(sentences))
        numbers = {word: number for number, word in enumerate(distinct)}
        self.lengths = _lengths(sentences)
        """Words per sentence, ``(S,)``."""
        self.levels: list[Counts] = []
        """The sentences' own counts for k = 1..order, sorted by k-gram, then by sentence."""
        self.sizes: list[int] = []
        """How many distinct k-grams there are, for k = 1..order."""
        self._keys: list[Ints] = []
        self._base = max(1, len(numbers))
        words = _number(sentences, numbers)
        prefix = np.zeros(len(words), dtype=np.int64)
        for starts, owners, last in _positions(words, self.lengths, order):
            keys = prefix[starts] * self._base + last
            ordered, by_key = _sorted(keys)
            new = _changes(ordered)
            grams = np.cumsum(new) - 1
            self._keys.append(ordered[new])
            self.sizes.append(len(self._keys[-1]))
            self.levels.append(_run_lengths(grams, owners[by_key]))
            prefix[starts[by_key]] = grams
        self._numbers = {word: n for word, n in numbers.items() if word not in never}

    def count(self, sentences: Sentences) -> list[Counts]:
        """Count the index's k-grams in other sentences; k-grams it does not hold are left out."""
        words = _number(sentences, self._numbers)
        prefix = np.zeros(len(words), dtype=np.int64)
        found = []
        positions = _positions(words, _lengths(sentences), len(self._keys))
        for (starts, owners, last), known in zip(positions, self._keys, strict=True):
            possible = np.flatnonzero((prefix[starts] != UNKNOWN) & (last != UNKNOWN))
            # Sorted, because a search of ever larger keys stays in the cache.
            keys, by_key = _sorted(prefix[starts[possible]] * self._base + last[possible])
            place = np.searchsorted(known, keys)
            held = place < len(known)
            held[held] = known[place[held]] == keys[held]
            grams, at = place[held], possible[by_key[held]]
            prefix[starts] = UNKNOWN
            prefix[starts[at]] = grams
            found.append(_run_lengths(grams, owners[at]))
        return found


def _lengths(sentences: Sentences) -> Ints:
    return np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))


def _number(sentences: Sentences, numbers: dict[str, int]) -> Ints:
    """Return the words' numbers as one flat array."""
    words = chain.from_iterable(sentences)
    return np.fromiter(map(numbers.get, words, repeat(UNKNOWN)), dtype=np.int64)


def _positions(words: Ints, lengths: Ints, order: int) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield for k = 1..order where k-grams start, in which sentence, and their last words."""
    starts = np.arange(len(words))
    owners = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - starts
    for k in range(1, order + 1):
        inside = left >= k
        starts, owners, left = starts[inside], owners[inside], left[inside]
        yield starts, owners, words[starts + (k - 1)]


def _sorted(keys: Ints) -> tuple[Ints, Ints]:
    """Return non-negative keys in order, and where each was; equal ones stay as they were."""
    bits = len(keys).bit_length()
    if int(keys.max(initial=0)).bit_length() + bits > 63:
        order = np.argsort(keys, kind="stable")
        return keys[order], order
    # Sorting keys and places as one number is several times faster than an argsort.
    packed = np.sort(keys << bits | np.arange(len(keys)))
    return packed >> bits, packed & ((1 << bits) - 1)


def _changes(ordered: Ints) -> npt.NDArray[np.bool_]:
    """Mark each element that differs from the one before it."""
    new = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new


def _run_lengths(grams: Ints, owners: Ints) -> Counts:
    """Count equal neighbours of the pairs (gram, sentence)."""
    new = _changes(grams) | _changes(owners)
    first = np.flatnonzero(new)
    return Counts(grams[first], owners[first], np.diff(first, append=len(grams)))
