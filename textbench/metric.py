"""The contract of a metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from textbench.evaluation import Evaluation

Direction = Literal["lower", "higher", "none"]


class NotApplicableError(Exception):
    """The metric has no value here; the message says why and travels to the report as a NaN."""


class Metric(ABC):
    """One number about a generator, with a name for everything that changes it."""

    name: ClassVar[str]
    direction: ClassVar[Direction]
    """Which way is better; ``none`` where neither is."""
    summary: ClassVar[str]
    """One line for `textbench list` and the report's footnotes, with units."""

    headline: ClassVar[bool] = False
    """True where the terminal, which is narrow, should show it before others."""

    @abstractmethod
    def protocol(self, evaluation: Evaluation) -> str:
        """Return the id of how the number is made: definition, version, sample sizes.

        Numbers of different protocols never share a column.
        """

    @abstractmethod
    def compute(self, evaluation: Evaluation) -> float:
        """Return the value.

        Raises:
            NotApplicableError: When it does not exist here; never return 0 for that.
        """
