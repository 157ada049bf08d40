"""BLEU, Self-BLEU and backward BLEU of whole sets of sentences (Texygen's protocol).

Each is the mean of nltk's ``sentence_bleu`` with "method1" smoothing and uniform weights, over all
hypotheses, against all references; the number of references is the largest single source of
incomparable values, and a part of the protocol.

BLEU rewards samples whose n-grams occur in real text, however few of them; Self-BLEU rewards
diversity alone (Zhu et al., 2018); backward BLEU asks how much of the real text the samples cover
(Shi et al., 2018). None says much without the others. ``<unk>`` matches no word of real text.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.task import UNKNOWN_WORD, TextTask

from .sentence_bleu import Floats, SentenceBLEU

ORDER = 5
"""The longest n-gram that any of these metrics counts."""
FEW = 500
"""References of Texygen's "fast" mode, the default of its class but not of its tables."""
NEVER = frozenset({UNKNOWN_WORD})

_indices: WeakKeyDictionary[TextTask[Any], dict[int, SentenceBLEU]] = WeakKeyDictionary()


def _references(task: TextTask[Any], number: int) -> SentenceBLEU:
    """Return the index of the first ``number`` test sentences, built once per task."""
    known = _indices.setdefault(task, {})
    if number not in known:
        known[number] = SentenceBLEU(task.references()[:number], ORDER, NEVER)
    return known[number]


def _own(evaluation: Evaluation) -> SentenceBLEU:
    """Return the index of the samples: Self-BLEU's and backward BLEU's references."""
    return evaluation.once("bleu of samples", lambda: SentenceBLEU(evaluation.words, ORDER, NEVER))


class _BLEU(Metric):
    """What all of them have in common."""

    family = "text"
    order: ClassVar[int]
    kind: ClassVar[str]

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over hypotheses, in [0, 1]."""
        scores = evaluation.once(self.kind, lambda: self.scores(evaluation).mean(0))
        return float(scores[self.order - 1])

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version, smoothing, and the sizes of both sides."""
        references, hypotheses = self.sides(evaluation)
        return f"{self.kind}/1 n={self.order} method1 refs={references} hyps={hypotheses}"

    @abstractmethod
    def scores(self, evaluation: Evaluation) -> Floats:
        """Return the scores of every hypothesis, ``(N, ORDER)``."""

    @abstractmethod
    def sides(self, evaluation: Evaluation) -> tuple[int, int]:
        """Return the numbers of references and of hypotheses."""


class _Forward(_BLEU):
    """Samples against the test set."""

    direction = "higher"
    kind = "bleu"
    limit: ClassVar[int | None] = None

    def sides(self, evaluation: Evaluation) -> tuple[int, int]:
        """All, or the first `limit`, test sentences; all samples."""
        return len(evaluation.text.references()[: self.limit]), len(evaluation.samples)

    def scores(self, evaluation: Evaluation) -> Floats:
        """Score the samples."""
        return _references(evaluation.text, self.sides(evaluation)[0]).scores(evaluation.words)


class _Few(_Forward):
    """Samples against the first 500 sentences of the test set."""

    kind = "bleu-refs500"
    limit = FEW


class _Self(_BLEU):
    """Each sample against all others."""

    direction = "lower"
    kind = "self-bleu"

    def sides(self, evaluation: Evaluation) -> tuple[int, int]:
        """All other samples; all samples."""
        return len(evaluation.samples) - 1, len(evaluation.samples)

    def scores(self, evaluation: Evaluation) -> Floats:
        """Score each sample against the others."""
        if len(evaluation.words) < 2:
            raise NotApplicableError("Self-BLEU needs at least two samples")
        return _own(evaluation).leave_one_out()


class _Backward(_BLEU):
    """The test set against the samples."""

    direction = "higher"
    kind = "backward-bleu"

    def sides(self, evaluation: Evaluation) -> tuple[int, int]:
        """All samples; all test sentences."""
        return len(evaluation.samples), len(evaluation.text.references())

    def scores(self, evaluation: Evaluation) -> Floats:
        """Score the test sentences."""
        return _own(evaluation).scores(evaluation.text.references())


class BLEU2(_Forward):
    """Quality: BLEU-2, all references."""

    name = "bleu2"
    order = 2
    summary = "BLEU-2 of samples against the whole test set"


class BLEU3(_Forward):
    """Quality: BLEU-3, all references."""

    name = "bleu3"
    order = 3
    summary = "BLEU-3 of samples against the whole test set"


class BLEU4(_Forward):
    """Quality: BLEU-4, all references."""

    name = "bleu4"
    order = 4
    summary = "BLEU-4 of samples against the whole test set"


class BLEU5(_Forward):
    """Quality: BLEU-5, all references."""

    name = "bleu5"
    order = 5
    summary = "BLEU-5 of samples against the whole test set"
    headline = True


class SelfBLEU2(_Self):
    """Diversity: Self-BLEU-2."""

    name = "self_bleu2"
    order = 2
    summary = "Self-BLEU-2: each sample against all others; lower is more diverse"


class SelfBLEU3(_Self):
    """Diversity: Self-BLEU-3."""

    name = "self_bleu3"
    order = 3
    summary = "Self-BLEU-3: each sample against all others; lower is more diverse"


class SelfBLEU4(_Self):
    """Diversity: Self-BLEU-4."""

    name = "self_bleu4"
    order = 4
    summary = "Self-BLEU-4: each sample against all others; lower is more diverse"


class SelfBLEU5(_Self):
    """Diversity: Self-BLEU-5."""

    name = "self_bleu5"
    order = 5
    summary = "Self-BLEU-5: each sample against all others; lower is more diverse"
    headline = True


class BackwardBLEU2(_Backward):
    """Coverage: backward BLEU-2."""

    name = "backward_bleu2"
    order = 2
    summary = "BLEU-2 of the test set against the samples: coverage"


class BackwardBLEU3(_Backward):
    """Coverage: backward BLEU-3."""

    name = "backward_bleu3"
    order = 3
    summary = "BLEU-3 of the test set against the samples: coverage"


class BackwardBLEU4(_Backward):
    """Coverage: backward BLEU-4."""

    name = "backward_bleu4"
    order = 4
    summary = "BLEU-4 of the test set against the samples: coverage"


class BackwardBLEU5(_Backward):
    """Coverage: backward BLEU-5."""

    name = "backward_bleu5"
    order = 5
    summary = "BLEU-5 of the test set against the samples: coverage"


class FewBLEU2(_Few):
    """Texygen's fast mode: BLEU-2, 500 references."""

    name = "bleu2_refs500"
    order = 2
    summary = "BLEU-2 of samples against the first 500 test sentences"


class FewBLEU3(_Few):
    """Texygen's fast mode: BLEU-3, 500 references."""

    name = "bleu3_refs500"
    order = 3
    summary = "BLEU-3 of samples against the first 500 test sentences"


class FewBLEU4(_Few):
    """Texygen's fast mode: BLEU-4, 500 references."""

    name = "bleu4_refs500"
    order = 4
    summary = "BLEU-4 of samples against the first 500 test sentences"


class FewBLEU5(_Few):
    """Texygen's fast mode: BLEU-5, 500 references."""

    name = "bleu5_refs500"
    order = 5
    summary = "BLEU-5 of samples against the first 500 test sentences"
