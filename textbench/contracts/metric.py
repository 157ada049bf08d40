"""The contract of a metric: one computation, one or several named numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from textbench.contracts.config import Config
from textbench.contracts.number import Direction, Number

if TYPE_CHECKING:
    from textbench.contracts.evaluation import Evaluation


class NotApplicableError(Exception):
    """A number has no value here; the message says why and travels to the report as a NaN."""


Values = Mapping[str, float | NotApplicableError]
"""By the number's name; an error stands for a value that does not exist, and says why."""


class Metric(ABC):
    """Numbers about a generator that one computation gives, with all that is known of each.

    A metric with several numbers lists them in `numbers`. One with a single number may instead
    declare `direction`, `unit` and `summary`; the number then has the metric's own name.
    """

    name: ClassVar[str]
    """Of the metric; also the section of its options, unless `section` says otherwise."""
    numbers: ClassVar[tuple[Number, ...]] = ()
    direction: ClassVar[Direction]
    unit: ClassVar[str] = ""
    summary: ClassVar[str]
    headline: ClassVar[bool] = False

    family: ClassVar[str] = ""
    """Computed for tasks of this family only (`Task.family`); for all by default."""
    when: ClassVar[Literal["always", "final"]] = "always"
    """``final`` for what is too dear for every point of a curve."""
    config_schema: ClassVar[type[Config]] = Config
    """Options (``--set SECTION.KEY=VALUE``); whatever they change shows in the protocol."""
    section: ClassVar[str] = ""
    """Where its options are: its name unless given; metrics of one kind may share one."""

    config: Config
    """One of `config_schema`; a metric with options of its own declares their type."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = self.config_schema() if config is None else config

    @classmethod
    def described(cls) -> tuple[Number, ...]:
        """Return what is known of each of the metric's numbers."""
        if cls.numbers:
            return cls.numbers
        return (Number(cls.name, cls.direction, cls.unit, cls.summary, cls.headline),)

    @abstractmethod
    def protocol(self, evaluation: Evaluation) -> str | Mapping[str, str]:
        """Return the id of how the numbers are made: definition, version, sample sizes.

        One id for all of the metric's numbers, or one by name where they differ. Numbers of
        different protocols never share a column.
        """

    @abstractmethod
    def compute(self, evaluation: Evaluation) -> float | Values:
        """Return the value, or every value by name.

        Raises:
            NotApplicableError: When none of them exists here; never return 0 for that.
        """
