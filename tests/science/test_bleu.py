"""BLEU is nltk's sentence_bleu with method1, to the last bit, and Texygen's published table."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from textbench.metrics.ngram_index import NgramIndex
from textbench.metrics.sentence_bleu import SentenceBLEU

ORDER = 5
METHOD1 = SmoothingFunction().method1
WEIGHTS = [(1 / n,) * n for n in range(2, ORDER + 1)]

words = st.sampled_from("abcdef")
sentences = st.lists(st.lists(words, max_size=14), min_size=1, max_size=7)
"""Few words and short sentences, so that k-grams repeat and match."""
few_words = st.lists(st.lists(st.sampled_from("ab"), max_size=20), min_size=1, max_size=4)


def nltk_bleu(references: list[list[str]], hypothesis: list[str]) -> list[float]:
    """Return BLEU-1..5, each order by a call of its own, as Texygen does."""
    return [
        float(
            sentence_bleu(references, hypothesis, weights=(1 / n,) * n, smoothing_function=METHOD1)
        )
        for n in range(1, ORDER + 1)
    ]


@given(references=sentences, hypotheses=sentences)
@example(references=[[]], hypotheses=[[], ["a"]])
@example(references=[["a"], []], hypotheses=[["a"], ["b"], []])
@example(references=[list("a" * 8), list("a" * 12)], hypotheses=[list("a" * 10)])
@example(references=[list("ab" * 6), list("ab" * 4)], hypotheses=[list("ba" * 5), ["z", "a"]])
@settings(max_examples=400)
def test_equals_nltk_bitwise(references: list[list[str]], hypotheses: list[list[str]]) -> None:
    ours = SentenceBLEU(references, ORDER).scores(hypotheses)
    assert ours.tolist() == [nltk_bleu(references, h) for h in hypotheses]


@given(references=few_words, hypotheses=few_words)
@settings(max_examples=200)
def test_equals_nltk_where_words_repeat(
    references: list[list[str]], hypotheses: list[list[str]]
) -> None:
    ours = SentenceBLEU(references, ORDER).scores(hypotheses)
    assert ours.tolist() == [nltk_bleu(references, h) for h in hypotheses]


@given(corpus=st.one_of(sentences, few_words).filter(lambda corpus: len(corpus) > 1))
@example(corpus=[[], []])
@example(corpus=[["a"], ["a"], ["a", "b"]])
@example(corpus=[list("aab"), list("ab"), list("aaab")])
@settings(max_examples=300)
def test_self_bleu_is_each_sentence_against_all_others(corpus: list[list[str]]) -> None:
    ours = SentenceBLEU(corpus, ORDER).leave_one_out()
    expected = [nltk_bleu(corpus[:i] + corpus[i + 1 :], h) for i, h in enumerate(corpus)]
    assert ours.tolist() == expected


def test_edge_values_of_the_definition() -> None:
    bleu = SentenceBLEU([["the", "cat"] * 11], ORDER)
    nothing, unknown, short = bleu.scores([[], ["zzz"], ["the"]])
    assert nothing.tolist() == [0.0] * ORDER  # c_1 = 0 is not smoothed
    assert unknown.tolist() == [0.0] * ORDER
    # t_2 = max(1, 0) = 1, so p_2 = 0.1; BP = exp(1 - 22/1)
    assert short[1] == pytest.approx(np.exp(-21.0) * np.sqrt(0.1), rel=1e-12)


def test_words_that_never_match() -> None:
    references = [["a", "<unk>", "b"], ["<unk>", "a", "c"]]
    bleu = SentenceBLEU(references, 2, never=frozenset({"<unk>"}))
    assert bleu.scores([["<unk>"], ["<unk>", "a"]]).tolist() == [
        nltk_bleu(references, [word])[:2] for word in ("?",)
    ] + [nltk_bleu(references, ["?", "a"])[:2]]
    # Among the references themselves it is a word like any other.
    others = [nltk_bleu([other], h)[:2] for h, other in (references, references[::-1])]
    assert bleu.leave_one_out().tolist() == others


def test_no_reference_and_no_other_sentence_are_errors() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        SentenceBLEU([])
    with pytest.raises(ValueError, match="at least two"):
        SentenceBLEU([["a"]]).leave_one_out()
    assert SentenceBLEU([["a"]], 3).scores([]).shape == (0, 3)


def test_an_index_of_a_large_vocabulary_does_not_overflow() -> None:
    # 200,000 words: V**5 would not fit 64 bits, dense numbers level by level do.
    numbers = [[str(100 * s + i) for i in range(100)] for s in range(2000)]
    index = NgramIndex(numbers, 5)
    assert index.sizes == [200_000, 2000 * 99, 2000 * 98, 2000 * 97, 2000 * 96]
    (found,) = (level for level in index.count([numbers[7][3:8]])[4:])
    assert (found.count.tolist(), found.sentence.tolist()) == ([1], [0])


@pytest.fixture(scope="module")
def texygen() -> tuple[list[list[str]], list[list[str]]]:
    """Texygen's published MLE samples and its test set, tokenised."""
    folder = Path(os.environ.get("TEXTBENCH_DATA", "")) / "golden"
    samples, test = folder / "texygen_coco_mle_samples.txt", folder / "texygen_test_coco.txt"
    if not os.environ.get("TEXTBENCH_DATA") or not samples.exists():
        pytest.skip("TEXTBENCH_DATA does not hold golden/texygen_*.txt")
    tokenise = NLTKWordTokenizer().tokenize
    return tuple(  # type: ignore[return-value]
        [tokenise(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (samples, test)
    )


@pytest.mark.shared
def test_texygens_published_table(texygen: tuple[list[list[str]], list[list[str]]]) -> None:
    """README of geek-ai/Texygen, row MLE of the BLEU and Self-BLEU tables on Image COCO."""
    samples, test = texygen
    forward = SentenceBLEU(test).scores(samples).mean(0)[1:]
    own = SentenceBLEU(samples).leave_one_out().mean(0)[1:]
    assert forward == pytest.approx([0.731, 0.497, 0.305, 0.189], abs=1e-3)
    # Their table truncates: 0.4090 is printed as .408.
    assert own == pytest.approx([0.916, 0.769, 0.583, 0.408], abs=1.05e-3)


@pytest.mark.shared
def test_real_text_equals_nltk_bitwise(texygen: tuple[list[list[str]], list[list[str]]]) -> None:
    samples, test = texygen
    hypotheses = [*samples[:20], samples[0][:3], samples[1][::-1], [], ["zzz"] * 9, test[3]]
    ours = SentenceBLEU(test[:500]).scores(hypotheses)
    assert ours.tolist() == [nltk_bleu(test[:500], h) for h in hypotheses]
