"""BLEU, Self-BLEU and backward BLEU of whole sets of sentences (Texygen's protocol).

Each is the mean of nltk's ``sentence_bleu`` with "method1" smoothing and uniform weights, over all
hypotheses, against all references; the number of references is the largest single source of
incomparable values, and a part of the protocol.

BLEU rewards samples whose n-grams occur in real text, however few of them; Self-BLEU rewards
diversity alone (Zhu et al., 2018); backward BLEU asks how much of the real text the samples cover
(Shi et al., 2018). None says much without the others. ``<unk>`` matches no word of real text.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from textbench.contracts.config import Config
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.number import Direction, Number
from textbench.contracts.task import UNKNOWN_WORD, TextTask

from .sentence_bleu import Floats, SentenceBLEU

ORDER = 5
"""The longest n-gram that any of these metrics counts."""
FEW = 500
"""References of Texygen's "fast" mode, the default of its class but not of its tables."""
NEVER = frozenset({UNKNOWN_WORD})
ORDERS = (2, 3, 4, 5)
"""The lengths that are reported."""
Numbers = tuple[Number, ...]

_indices: WeakKeyDictionary[TextTask[Config], dict[int, SentenceBLEU]] = WeakKeyDictionary()


def _references(task: TextTask[Config], number: int) -> SentenceBLEU:
    """Return the index of the first ``number`` test sentences, built once per task."""
    known = _indices.setdefault(task, {})
    if number not in known:
        known[number] = SentenceBLEU(task.references()[:number], ORDER, NEVER)
    return known[number]


def _own(evaluation: Evaluation) -> SentenceBLEU:
    """Return the index of the samples: Self-BLEU's and backward BLEU's references."""
    return evaluation.once("bleu of samples", lambda: SentenceBLEU(evaluation.words, ORDER, NEVER))


def _numbers(prefix: str, direction: Direction, summary: str, suffix: str = "") -> Numbers:
    """Describe BLEU-2 to BLEU-5 of one kind; ``summary`` has a place for n."""
    return tuple(
        Number(
            f"{prefix}{n}{suffix}", direction, "", summary.format(n=n), n == ORDER and not suffix
        )
        for n in ORDERS
    )


class BLEU(Metric):
    """Quality: samples against the whole test set, and against its first 500 sentences.

    The latter is Texygen's "fast" mode, the default of its class but not of its tables.
    """

    name = "bleu"
    family = "text"
    numbers = (
        *_numbers("bleu", "higher", "BLEU-{n} of samples against the whole test set"),
        *_numbers(
            "bleu", "higher", "BLEU-{n} of samples against the first 500 test sentences", "_refs500"
        ),
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version, smoothing, and the sizes of both sides."""
        hypotheses = len(evaluation.samples)
        every = len(evaluation.text.references())
        return {
            **_protocol("bleu", "bleu", "", every, hypotheses),
            **_protocol("bleu-refs500", "bleu", "_refs500", min(every, FEW), hypotheses),
        }

    def compute(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the means over the samples, in [0, 1]."""
        task = evaluation.text
        every = len(task.references())
        scores, few = (
            _references(task, number).scores(evaluation.words)
            for number in (every, min(every, FEW))
        )
        return {**_means("bleu", scores), **_means("bleu", few, "_refs500")}


class SelfBLEU(Metric):
    """Diversity: each sample against all others."""

    name = "self_bleu"
    family = "text"
    numbers = _numbers(
        "self_bleu", "lower", "Self-BLEU-{n}: each sample against all others; lower is more diverse"
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version, smoothing, and the sizes of both sides."""
        n = len(evaluation.samples)
        return _protocol("self-bleu", "self_bleu", "", n - 1, n)

    def compute(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the means over the samples, in [0, 1]."""
        if len(evaluation.words) < 2:
            raise NotApplicableError("Self-BLEU needs at least two samples")
        return _means("self_bleu", _own(evaluation).leave_one_out())


class BackwardBLEU(Metric):
    """Coverage: the test set against the samples."""

    name = "backward_bleu"
    family = "text"
    numbers = _numbers(
        "backward_bleu", "higher", "BLEU-{n} of the test set against the samples: coverage"
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version, smoothing, and the sizes of both sides."""
        references, hypotheses = len(evaluation.samples), len(evaluation.text.references())
        return _protocol("backward-bleu", "backward_bleu", "", references, hypotheses)

    def compute(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the means over the test sentences, in [0, 1]."""
        scores = _own(evaluation).scores(evaluation.text.references())
        return _means("backward_bleu", scores)


def _protocol(
    kind: str, prefix: str, suffix: str, references: int, hypotheses: int
) -> dict[str, str]:
    sizes = f"refs={references} hyps={hypotheses}"
    return {f"{prefix}{n}{suffix}": f"{kind}/1 n={n} method1 {sizes}" for n in ORDERS}


def _means(prefix: str, scores: Floats, suffix: str = "") -> dict[str, float]:
    """Return the means of ``(N, ORDER)`` scores by the numbers' names."""
    means = scores.mean(0)
    return {f"{prefix}{n}{suffix}": float(means[n - 1]) for n in ORDERS}
