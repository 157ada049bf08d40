"""The contract of a task: data to learn, data to judge by, and sometimes the truth itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.contracts.config import Config
from textbench.contracts.errors import UserError

C = TypeVar("C", bound=Config)

END, UNKNOWN = 0, 1
"""The symbols of a text task that are not words."""
UNKNOWN_WORD = "<unk>"
"""How the unknown word is written; as a metric's hypothesis it matches no word."""


class Kept(NamedTuple):
    """What a store keeps of a task, so that its runs can be used where the data are gone."""

    described: dict[str, Any]
    """Plain JSON data; with it alone samples can be decoded."""
    tensors: dict[str, Tensor]
    """The data themselves, int64, float32, or uint8 of one dimension; empty where they were not
    copied along."""


class Task(ABC, Generic[C]):
    """Sequences of ``length`` tokens over ``vocab_size`` symbols, split in three.

    The run's seed draws the training sequences; validation and test sequences are the task's
    own and the same for every run, so that a spread over seeds is a spread of training.
    """

    name: ClassVar[str]
    config_schema: ClassVar[type[Config]]
    family: ClassVar[str] = ""
    """Tasks of one family share presets: a section ``[mle@text]`` is for all text tasks."""
    draws_fresh: ClassVar[bool] = False
    """Whether the law of the sequences is known, so that there can be new ones without end."""

    vocab_size: int
    length: int
    oracle: Generator | None = None
    """The true distribution, where it is known."""
    first_word: int = 0
    """Symbols below this one stand for no word: the end of a sentence, the unknown word."""
    note: str = ""
    """What a reader must know about the data: sizes, and how they differ from published ones."""
    warnings: tuple[str, ...] = ()
    """What may make numbers on these data mean little: `run` says it before it trains."""
    oracle_name: str = ""
    """Which oracle it is, however it was asked for: ``published`` is recognised in any file."""

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

    def fresh(self, seed: int, number: int) -> Tensor:
        """Return pass ``number`` of training sequences that never repeat, ``(N, T)``.

        Pass 0 is that of `train`. Only for tasks with `draws_fresh`.

        Raises:
            UserError: The task has none: the law of its sequences is not known.
        """
        raise UserError(f"task {self.name} has no fresh training data: its law is not known")

    @abstractmethod
    def validation(self) -> Tensor:
        """Return the validation sequences, ``(N, T)``.

        Raises:
            NotApplicableError: There are none; training goes on without them.
        """

    @abstractmethod
    def test(self) -> Tensor:
        """Return the held-out test sequences, ``(N, T)``."""

    @abstractmethod
    def decode(self, tokens: Tensor) -> list[str]:
        """Return one line of text per sequence."""

    def reference_rows(self) -> list[str] | None:
        """Return the rows that every command on this task has besides those asked for.

        None leaves it to the trainers, of which some are made to be read against
        (`textbench.contracts.trainer.Trainer.reference_for`).
        """
        return None

    def kept(self) -> Kept | None:
        """Return what a store keeps of the task; None where its configuration says it all."""
        return None

    @classmethod
    def restored(cls, config: C, kept: Kept) -> Self:
        """Return the task that `kept` was made of, whatever has become of its files.

        Raises:
            UserError: It never keeps anything.
            KeyError, ValueError, TypeError: That is not what it keeps.
        """
        raise UserError(f"task {cls.name} keeps nothing in a store")


class TextTask(Task[C]):
    """A task whose sequences are sentences.

    Symbol `END` ends a sentence and fills what is left of its slots; as the backbone's first
    input it also stands before the first word. It is modelled like any other symbol (Texygen).
    """

    family = "text"
    first_word = 2

    @abstractmethod
    def words(self, tokens: Tensor) -> list[list[str]]:
        """Return the words of each sequence ``(N, T)``, up to its end symbol."""

    @abstractmethod
    def references(self) -> list[list[str]]:
        """Return the test sentences as words, those outside the vocabulary included."""

    def decode(self, tokens: Tensor) -> list[str]:
        """See `Task.decode`: words with spaces between them."""
        return [" ".join(words) for words in self.words(tokens)]


def inside(tokens: Tensor) -> Tensor:
    """Mark what belongs to each sentence of ``(N, T)``: its words and the end symbol, if any."""
    ends = tokens == END
    return ends.cumsum(1) - ends.long() == 0
