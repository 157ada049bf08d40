"""The contract of a metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textbench.contracts.config import Config

if TYPE_CHECKING:
    from textbench.contracts.evaluation import Evaluation

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
    family: ClassVar[str] = ""
    """Computed for tasks of this family only (`Task.family`); for all by default."""
    when: ClassVar[Literal["always", "final"]] = "always"
    """``final`` for what is too dear for every point of a curve."""
    config_schema: ClassVar[type[Config]] = Config
    """Options (``--set SECTION.KEY=VALUE``); whatever they change shows in the protocol."""
    section: ClassVar[str] = ""
    """Where its options are: its name unless given; metrics of one computation share one."""

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = self.config_schema() if config is None else config

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
