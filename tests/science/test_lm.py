"""The trigram judge is a distribution, and the one that Witten and Bell describe."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from textbench.metrics.lm import WittenBell
from torch import Tensor

from textbench.contracts.metric import NotApplicableError
from textbench.contracts.task import END

V = 5
T = 4
TEXT = torch.tensor([[2, 3, 2, END], [2, 3, 4, 2], [4, END, 3, 3], [2, 3, 4, END], [END, 1, 1, 1]])


def events(tokens: Tensor) -> list[tuple[tuple[int, int], int]]:
    """Return (two symbols before, symbol) for the words and the end of each sentence."""
    found = []
    for row in tokens.tolist():
        before = (END, END)
        for symbol in row:
            found.append((before, symbol))
            before = (before[1], symbol)
            if symbol == END:
                break
    return found


class Plain:
    """The same model in plain Python."""

    def __init__(self, tokens: Tensor) -> None:
        self.after: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for before, symbol in events(tokens):
            for k in range(3):
                self.after[before[2 - k :]][symbol] += 1

    def probability(self, before: tuple[int, ...], symbol: int) -> float:
        lower = self.probability(before[1:], symbol) if before else 1 / V
        seen = self.after.get(before)
        if not seen:
            return lower
        return (seen[symbol] + len(seen) * lower) / (seen.total() + len(seen))


def test_log_probs_are_those_of_plain_counting() -> None:
    plain = Plain(TEXT)
    other = torch.tensor([[3, 3, 1, END], [2, 3, 4, 1], [1, 1, END, 2]])
    expected = [math.log(plain.probability(*event)) for event in events(other)]
    ours = WittenBell(TEXT, V).log_probs(other)
    assert ours.tolist() == pytest.approx(expected, rel=1e-12)
    assert WittenBell(TEXT, V).score(other) == pytest.approx(-np.mean(expected), rel=1e-12)


def test_sentences_have_probabilities_that_sum_to_one() -> None:
    """Over all sequences up to their ends: those that end early, and those of T words."""
    every = torch.tensor(list(itertools.product(range(V), repeat=T)))
    distinct = {
        tuple(row[: row.index(END) + 1] if END in row else row): row for row in every.tolist()
    }
    model = WittenBell(TEXT, V)
    total = sum(
        math.exp(float(model.log_probs(torch.tensor([row])).sum())) for row in distinct.values()
    )
    assert total == pytest.approx(1.0, rel=1e-12)


def test_what_follows_the_end_does_not_count() -> None:
    tidy = TEXT.clone()
    tidy[2, 1:] = END
    tidy[4] = END
    assert WittenBell(tidy, V).score(TEXT) == WittenBell(TEXT, V).score(tidy)
    assert len(WittenBell(TEXT, V).log_probs(TEXT)) == 4 + 4 + 2 + 4 + 1


def test_the_judge_prefers_its_own_text() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(1, V, TEXT.shape, generator=generator)
    assert WittenBell(TEXT, V).score(TEXT) < WittenBell(TEXT, V).score(noise)


@pytest.mark.parametrize(("size", "fits"), [(2_097_150, True), (2_097_151, False), (10**9, False)])
def test_numbers_of_trigrams_fit_or_are_refused(size: int, fits: bool) -> None:
    tokens = torch.tensor([[size - 1, size - 2, size - 1], [3, size - 1, 0]])
    if fits:
        assert np.isfinite(WittenBell(tokens, size).score(tokens))
    else:
        with pytest.raises(NotApplicableError, match="too many"):
            WittenBell(tokens, size)
