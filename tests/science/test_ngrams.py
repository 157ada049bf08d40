"""N-gram metrics against plain counting, at the size of a few sentences."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from textbench.metrics.ngram_index import NgramIndex
from textbench.metrics.ngrams import (
    frequencies,
    ms_jaccard,
    ngram_jsd,
    sentences_as_bytes,
)

from textbench.contracts.metric import NotApplicableError

Words = list[str]
sentences = st.lists(st.lists(st.sampled_from("abcd"), max_size=7), min_size=1, max_size=5)


def grams(words: Words, k: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + k]) for i in range(len(words) - k + 1)]


def counted(corpus: list[Words], k: int) -> Counter[tuple[str, ...]]:
    return Counter(gram for words in corpus for gram in grams(words, k))


@given(corpus=sentences)
@example(corpus=[[], list("aaaa"), []])
def test_the_index_counts_every_gram_of_every_sentence(corpus: list[Words]) -> None:
    index = NgramIndex(corpus, 5)
    for k, (size, level) in enumerate(zip(index.sizes, index.levels, strict=True), start=1):
        assert size == len(counted(corpus, k))
        expected = sorted(c for words in corpus for c in Counter(grams(words, k)).values())
        assert sorted(level.count.tolist()) == expected
        per_gram = np.bincount(level.gram, level.count, minlength=size)
        assert sorted(per_gram.tolist()) == sorted(counted(corpus, k).values())
        per_sentence = np.bincount(level.sentence, level.count, minlength=len(corpus))
        assert per_sentence.tolist() == [len(grams(words, k)) for words in corpus]


@given(corpus=sentences, others=sentences)
@example(corpus=[[]], others=[list("ab")])
def test_looking_up_counts_only_what_the_index_holds(
    corpus: list[Words], others: list[Words]
) -> None:
    for k, level in enumerate(NgramIndex(corpus, 5).count(others), start=1):
        known = counted(corpus, k)
        found = np.bincount(level.sentence, level.count, minlength=len(others))
        expected = [sum(gram in known for gram in grams(words, k)) for words in others]
        assert found.tolist() == expected


@given(a=sentences, b=sentences)
def test_ms_jaccard_is_its_definition(a: list[Words], b: list[Words]) -> None:
    product = 1.0
    if not (counted(a, 4) and counted(b, 4)):
        with pytest.raises(NotApplicableError, match="no sentence of one side has 4 words"):
            ms_jaccard(a, b)
        return
    for k in range(1, 5):
        in_a, in_b = counted(a, k), counted(b, k)
        every = in_a.keys() | in_b.keys()
        lower = sum(min(in_a[g] / len(a), in_b[g] / len(b)) for g in every)
        product *= lower / sum(max(in_a[g] / len(a), in_b[g] / len(b)) for g in every)
        if not product:
            break
    assert ms_jaccard(a, b) == pytest.approx(product**0.25, rel=1e-12)


def test_ms_jaccard_of_equal_frequencies_is_one_whatever_the_sizes() -> None:
    a = [list("abcde"), list("bbcd")]
    assert ms_jaccard(a, a * 3) == pytest.approx(1.0, abs=1e-15)
    assert ms_jaccard(a, [list("xyzxy")]) == 0.0


def test_ngram_jsd() -> None:
    a, b = [list("aab"), ["a"]], [list("abb")]
    (uni_a, uni_b), _ = frequencies(a, b, 2)
    p, q = np.array([0.75, 0.25]), np.array([1 / 3, 2 / 3])
    m = (p + q) / 2
    expected = 0.5 * ((p * np.log(p / m)).sum() + (q * np.log(q / m)).sum())
    assert ngram_jsd(uni_a, uni_b) == pytest.approx(expected, rel=1e-12)
    assert ngram_jsd(uni_b, uni_a) == pytest.approx(expected, rel=1e-12)
    assert ngram_jsd(uni_a, 7 * uni_a) == pytest.approx(0.0, abs=1e-15)
    apart = ngram_jsd(np.array([3.0, 0.0]), np.array([0.0, 1.0]))
    assert apart == pytest.approx(math.log(2), rel=1e-12)
    with pytest.raises(NotApplicableError, match="long enough"):
        ngram_jsd(np.zeros(2), np.ones(2))


def test_sentences_are_compared_up_to_their_ends() -> None:
    tokens = torch.tensor([[2, 0, 5, 7], [2, 0, 0, 0], [2, 3, 0, 0], [0, 2, 3, 4]])
    one, two, three, empty = sentences_as_bytes(tokens)
    assert one == two
    assert len({one, three, empty}) == 3


def test_ms_jaccard_does_not_apply_where_one_side_is_too_short() -> None:
    long, short = [["a", "b", "c", "d"]], [["a"], ["b"]]
    for sides in ((long, short), (short, long)):
        with pytest.raises(NotApplicableError, match="no sentence of one side has 4 words"):
            ms_jaccard(*sides)
    assert ms_jaccard(long, [["e", "f", "g", "h"]]) == 0.0  # nothing in common is a value
