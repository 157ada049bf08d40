"""LM score and reverse LM score: a trigram model as the judge.

LM score (Caccia et al., "Language GANs Falling Short"; Zhao et al., 2018): a language model of real
text scores the samples; low means fluent, and says nothing about diversity. Reverse LM score: a
language model of the samples scores real text; it punishes whatever the samples lack.

The judge is an interpolated Witten-Bell trigram model over the task's symbols. It is trained on the
test sentences, not on the training sentences: a generator that copies its training set would be
judged by a model that knows the very same sentences.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.number import Number
from textbench.contracts.task import END, inside

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ORDER = 3


class WittenBell:
    """P(w | h) = (c(h w) + N(h)·P(w | h')) / (c(h) + N(h)), h' being h without its first word.

    N(h) is the number of different words after h (Witten and Bell, 1991; method C); the empty
    history is interpolated with the uniform law over V symbols; an unseen one leaves P(· | h').

    Args:
        tokens: ``(N, T)`` sentences; what follows an end symbol is not looked at.
        vocab_size: V.

    Raises:
        NotApplicableError: V is above 2 million.
    """

    def __init__(self, tokens: Tensor, vocab_size: int) -> None:
        if (vocab_size + 1) ** ORDER > np.iinfo(np.int64).max:
            raise NotApplicableError(
                f"{vocab_size:,} symbols are too many: a trigram's number would not fit 64 bits"
            )
        self.vocab_size = vocab_size
        histories, words = _events(tokens)
        self._tables = [
            _count(histories[:, ORDER - 1 - k :], words, vocab_size) for k in range(ORDER)
        ]

    def log_probs(self, tokens: Tensor) -> Floats:
        """Return log P of every word and end symbol of ``tokens`` ``(N, T)``, flat, nats."""
        histories, words = _events(tokens)
        p = np.full(len(words), 1.0 / self.vocab_size)
        for k, table in enumerate(self._tables):
            p = table.interpolate(histories[:, ORDER - 1 - k :], words, p)
        logs: Floats = np.log(p)
        return logs

    def score(self, tokens: Tensor) -> float:
        """Return the mean −log P per word or end symbol of ``tokens``, nats."""
        return -float(self.log_probs(tokens).mean())


class _Table:
    """Counts c(h w), c(h) and N(h) for histories of one length."""

    def __init__(self, events: Ints, histories: Ints, base: int) -> None:
        self.base = base
        self.events, self.counts = np.unique(events, return_counts=True)
        self.histories, place = np.unique(histories, return_inverse=True)
        self.totals = np.bincount(place)
        self.kinds = np.bincount(np.searchsorted(self.histories, self.events // base))

    def interpolate(self, histories: Ints, words: Ints, lower: Floats) -> Floats:
        """Return P(w | h) from P(w | h')."""
        keys = _key(histories, self.base)
        here, known = _find(self.histories, keys)
        event, seen = _find(self.events, keys * self.base + words)
        count = np.where(seen, self.counts[event], 0)
        total, kinds = self.totals[here], self.kinds[here]
        return np.where(known, (count + kinds * lower) / (total + kinds), lower)


def _count(histories: Ints, words: Ints, vocab_size: int) -> _Table:
    base = vocab_size + 1
    keys = _key(histories, base)
    return _Table(keys * base + words, keys, base)


def _key(histories: Ints, base: int) -> Ints:
    key = np.zeros(len(histories), dtype=np.int64)
    for column in histories.T:
        key = key * base + column
    return key


def _find(known: Ints, keys: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return where each key is in the sorted ``known``, and whether it is there at all."""
    place = np.minimum(np.searchsorted(known, keys), max(0, len(known) - 1))
    return place, known[place] == keys


def _events(tokens: Tensor) -> tuple[Ints, Ints]:
    """Return the two symbols before every word and end symbol, ``(M, 2)``, and itself, ``(M,)``.

    Before a sentence there is the end symbol: sentences follow each other.
    """
    array = tokens.cpu().numpy()
    before = np.full((len(array), ORDER - 1), END, dtype=np.int64)
    padded = np.concatenate([before, array], 1)
    kept = inside(tokens).cpu().numpy()
    histories = np.stack([padded[:, :-2], padded[:, 1:-1]], 2)[kept]
    return histories, array[kept]


class LMScore(Metric):
    """The samples' NLL under a trigram model of the test sentences, and the other way round."""

    name = "lm_score"
    family = "text"
    numbers = (
        Number(
            "lm_score",
            "lower",
            "nats/word",
            "NLL of the samples under a trigram model of the test set, nats/word: fluency",
        ),
        Number(
            "reverse_lm_score",
            "lower",
            "nats/word",
            "NLL of the test set under a trigram model of the samples, nats/word: coverage",
        ),
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version, the judge and both sizes."""
        made = f"witten-bell-3 test={len(evaluation.task.test())} {evaluation.sampling}"
        return {name: f"{name}/1 {made}" for name in ("lm_score", "reverse_lm_score")}

    def compute(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the means over words and end symbols, of the samples and of the test sentences."""
        task, samples = evaluation.text, evaluation.samples
        return {
            "lm_score": WittenBell(task.test(), task.vocab_size).score(samples),
            "reverse_lm_score": WittenBell(samples, task.vocab_size).score(task.test()),
        }
