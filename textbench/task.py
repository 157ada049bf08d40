"""The contract of a task: data to learn, data to judge by, and sometimes the truth itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from torch import Tensor

from textbench.generator import Generator
from textbench.schema import Config

C = TypeVar("C", bound=Config)


class Task(ABC, Generic[C]):
    """Sequences of ``length`` tokens over ``vocab_size`` symbols, split in three.

    The run's seed draws the training sequences; validation and test sequences are the task's
    own and the same for every run, so that a spread over seeds is a spread of training.
    """

    name: ClassVar[str]
    config_schema: ClassVar[type[Config]]

    vocab_size: int
    length: int
    oracle: Generator | None = None
    """The true distribution, where it is known."""

    def __init__(self, config: C) -> None:
        self.config: C = config

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of everything a number on this task depends on, the run's seed aside."""

    @abstractmethod
    def train(self, seed: int, number: int) -> Tensor:
        """Return pass ``number`` of the training sequences of a run, ``(N, T)``."""

    @abstractmethod
    def train_size(self) -> int:
        """Return N, the number of training sequences in a pass."""

    @abstractmethod
    def validation(self) -> Tensor:
        """Return the validation sequences, ``(N, T)``."""

    @abstractmethod
    def test(self) -> Tensor:
        """Return the held-out test sequences, ``(N, T)``."""

    @abstractmethod
    def decode(self, tokens: Tensor) -> list[str]:
        """Return one line of text per sequence."""
