"""How the n-grams of samples relate to those of real text, and how varied the samples are.

None of these needs a model. MS-Jaccard (Alihosseini et al., 2019) falls with both poor quality and
poor diversity; the divergences of n-gram frequencies likewise; distinct-n, repeats, novelty and
length are diagnostics that expose one failure each.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.task import END, inside

from .ngram_index import NgramIndex, Sentences

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
        NotApplicableError: No sentence is long enough.
    """
    logs = []
    for in_a, in_b in frequencies(a, b, order):
        per_a, per_b = in_a / max(1, len(a)), in_b / max(1, len(b))
        union = float(np.maximum(per_a, per_b).sum())
        if not union:
            raise NotApplicableError(f"no sentence has {order} words")
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


def _sizes(evaluation: Evaluation) -> str:
    return f"refs={len(evaluation.text.references())} {evaluation.sampling}"


class MSJaccard4(Metric):
    """MS-Jaccard-4 of the samples and the test set."""

    family = "text"
    name = "ms_jaccard4"
    direction = "higher"
    summary = "MS-Jaccard-4: overlap of the n-grams of samples and test set, n = 1..4"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and the sizes of both sides."""
        return f"ms_jaccard4/1 {_sizes(evaluation)}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the value, in [0, 1]."""
        return ms_jaccard(evaluation.text.references(), evaluation.words)


class _NgramJSD(Metric):
    """JSD of n-gram frequencies."""

    family = "text"
    direction = "lower"
    order: ClassVar[int]

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and the sizes of both sides."""
        return f"{self.name}/1 {_sizes(evaluation)}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the divergence, nats, in [0, ln 2]."""
        counted = evaluation.once(
            "n-gram frequencies",
            lambda: frequencies(evaluation.text.references(), evaluation.words, 2),
        )
        return ngram_jsd(*counted[self.order - 1])


class UnigramJSD(_NgramJSD):
    """JSD of the word frequencies of samples and test set."""

    name = "unigram_jsd"
    order = 1
    summary = "JSD of the word frequencies of samples and test set, nats"


class BigramJSD(_NgramJSD):
    """JSD of the bigram frequencies of samples and test set."""

    name = "bigram_jsd"
    order = 2
    summary = "JSD of the bigram frequencies of samples and test set, nats"


class _Distinct(Metric):
    """Distinct n-grams over all n-grams."""

    family = "text"
    direction = "higher"
    order: ClassVar[int]

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and sample size, on which the value depends strongly."""
        return f"{self.name}/1 {evaluation.sampling}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the share, in (0, 1]."""
        index = evaluation.once("bigrams", lambda: NgramIndex(evaluation.words, 2))
        total = int(index.levels[self.order - 1].count.sum())
        if not total:
            raise NotApplicableError("no sample is long enough")
        return index.sizes[self.order - 1] / total


class Distinct1(_Distinct):
    """Distinct words over all words of the samples."""

    name = "distinct1"
    order = 1
    summary = "distinct words over all words of the samples"


class Distinct2(_Distinct):
    """Distinct bigrams over all bigrams of the samples."""

    name = "distinct2"
    order = 2
    summary = "distinct bigrams over all bigrams of the samples"


class Repeats(Metric):
    """The share of samples that copy an earlier sample."""

    family = "text"
    name = "repeats"
    direction = "lower"
    summary = "share of samples that are copies of another sample"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and sample size."""
        return f"repeats/1 {evaluation.sampling}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the share, in [0, 1)."""
        return 1.0 - len(set(map(tuple, evaluation.words))) / len(evaluation.words)


class Novelty(Metric):
    """The share of samples that are no training sentence."""

    family = "text"
    name = "novelty"
    direction = "none"
    summary = "share of samples that are no training sentence; 0 copies the training set"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and both sizes."""
        return f"novelty/1 train={evaluation.task.train_size()} {evaluation.sampling}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the share, in [0, 1]."""
        known = set(sentences_as_bytes(evaluation.text.train(evaluation.seed, 0)))
        samples = sentences_as_bytes(evaluation.samples)
        return sum(sample not in known for sample in samples) / len(samples)


class MeanLength(Metric):
    """Words per sample."""

    family = "text"
    name = "mean_length"
    direction = "none"
    summary = "words per sample, the end symbol not counted"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and sample size."""
        return f"mean_length/1 {evaluation.sampling}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean."""
        return sum(map(len, evaluation.words)) / len(evaluation.words)
