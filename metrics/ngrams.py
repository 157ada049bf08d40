"""How the n-grams of samples relate to those of real text, and how varied the samples are.

None of these needs a model. MS-Jaccard (Alihosseini et al., 2019) falls with both poor quality and
poor diversity; the divergences of n-gram frequencies likewise; distinct-n, repeats, novelty and
length are diagnostics that expose one failure each.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor

from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError, Values
from textbench.contracts.number import Number
from textbench.contracts.task import END, inside

from .ngram_index import NgramIndex, Sentences
from .nll import known

Floats = npt.NDArray[np.float64]

ORDER = 4
"""The longest n-gram of MS-Jaccard."""


def frequencies(a: Sentences, b: Sentences, order: int) -> list[tuple[Floats, Floats]]:
    """Return how often every k-gram of either set occurs in each, for k = 1..order."""
    index = NgramIndex([*a, *b], order)
    found: list[tuple[Floats, Floats]] = []
    for size, level in zip(index.sizes, index.levels, strict=True):
        first = level.sentence < len(a)
        sides = (np.where(side, level.count, 0) for side in (first, ~first))
        in_a, in_b = (
            np.bincount(level.gram, side, minlength=size).astype(np.float64) for side in sides
        )
        found.append((in_a, in_b))
    return found


def ms_jaccard(a: Sentences, b: Sentences, order: int = ORDER) -> float:
    """Return the geometric mean over k = 1..order of Σ_g min(f_a, f_b) / Σ_g max(f_a, f_b).

    f is the mean count of a k-gram per sentence, so that the sets may differ in size.

    Raises:
        NotApplicableError: No sentence of one side is long enough.
    """
    counted = frequencies(a, b, order)
    if not all(side.any() for side in counted[-1]):
        raise NotApplicableError(f"no sentence of one side has {order} words")
    logs = []
    for in_a, in_b in counted:
        per_a, per_b = in_a / max(1, len(a)), in_b / max(1, len(b))
        union = float(np.maximum(per_a, per_b).sum())
        common = float(np.minimum(per_a, per_b).sum())
        if not common:
            return 0.0
        logs.append(math.log(common / union))
    return math.exp(math.fsum(logs) / order)


def ngram_jsd(a: Floats, b: Floats) -> float:
    """Return the Jensen-Shannon divergence of two vectors of counts, nats, in [0, ln 2]."""
    if not a.sum() or not b.sum():
        raise NotApplicableError("no sentence is long enough")
    p, q = a / a.sum(), b / b.sum()
    m = 0.5 * (p + q)
    halves = (float((x[x > 0] * np.log(x[x > 0] / m[x > 0])).sum()) for x in (p, q))
    return 0.5 * sum(halves)


def sentences_as_bytes(tokens: Tensor) -> list[bytes]:
    """Return each sequence of ``(N, T)`` up to its end symbol, as a hashable thing."""
    kept = tokens.masked_fill(~inside(tokens), END).cpu().numpy()
    return [row.tobytes() for row in kept]


class NgramOverlap(Metric):
    """MS-Jaccard-4, and the divergences of word and bigram frequencies, of samples and test set."""

    name = "ngram_overlap"
    family = "text"
    numbers = (
        Number(
            "ms_jaccard4",
            "higher",
            "",
            "MS-Jaccard-4: overlap of the n-grams of samples and test set, n = 1..4",
        ),
        Number(
            "unigram_jsd",
            "lower",
            "nats",
            "JSD of the word frequencies of samples and test set, nats",
        ),
        Number(
            "bigram_jsd",
            "lower",
            "nats",
            "JSD of the bigram frequencies of samples and test set, nats",
        ),
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version and the sizes of both sides."""
        sizes = f"refs={len(evaluation.text.references())} {evaluation.sampling}"
        return {number.name: f"{number.name}/1 {sizes}" for number in self.numbers}

    def compute(self, evaluation: Evaluation) -> Values:
        """Return MS-Jaccard-4 in [0, 1] and the divergences, nats, in [0, ln 2]."""
        references, words = evaluation.text.references(), evaluation.words
        unigrams, bigrams = frequencies(references, words, 2)
        return {
            "ms_jaccard4": known(lambda: ms_jaccard(references, words)),
            "unigram_jsd": known(lambda: ngram_jsd(*unigrams)),
            "bigram_jsd": known(lambda: ngram_jsd(*bigrams)),
        }


class Diversity(Metric):
    """Diagnostics of the samples alone, each exposing one failure; not for ranking."""

    name = "diversity"
    family = "text"
    numbers = (
        Number("distinct1", "higher", "", "distinct words over all words of the samples"),
        Number("distinct2", "higher", "", "distinct bigrams over all bigrams of the samples"),
        Number("repeats", "lower", "", "share of samples that are copies of another sample"),
        Number(
            "novelty",
            "none",
            "",
            "share of samples that are no training sentence; 0 copies the training set",
        ),
        Number("mean_length", "none", "words", "words per sample, the end symbol not counted"),
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version and sample size, on which distinct-n depends strongly."""
        made = {number.name: f"{number.name}/1 {evaluation.sampling}" for number in self.numbers}
        train = evaluation.task.train_size()
        return {**made, "novelty": f"novelty/1 train={train} {evaluation.sampling}"}

    def compute(self, evaluation: Evaluation) -> Values:
        """Return shares in [0, 1], and the mean number of words."""
        words = evaluation.words
        index = NgramIndex(words, 2)
        return {
            "distinct1": known(lambda: distinct(index, 1)),
            "distinct2": known(lambda: distinct(index, 2)),
            "repeats": 1.0 - len(set(map(tuple, words))) / len(words),
            "novelty": known(lambda: novelty(evaluation)),
            "mean_length": sum(map(len, words)) / len(words),
        }


def distinct(index: NgramIndex, order: int) -> float:
    """Return distinct n-grams over all n-grams of an index, in (0, 1]."""
    total = int(index.levels[order - 1].count.sum())
    if not total:
        raise NotApplicableError("no sample is long enough")
    return index.sizes[order - 1] / total


def novelty(evaluation: Evaluation) -> float:
    """Return the share of samples that are no training sentence.

    Raises:
        NotApplicableError: There are no training sentences.
    """
    seen = set(sentences_as_bytes(evaluation.text.train(evaluation.seed, 0)))
    samples = sentences_as_bytes(evaluation.samples)
    return sum(sample not in seen for sample in samples) / len(samples)
