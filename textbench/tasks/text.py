"""Text as a task: a user's own files, and what all corpora have in common.

Sentences are cut into words, words outside the training vocabulary become ``<unk>``, and a sentence
fills T slots: its words, then end symbols. A sentence of exactly T words has none: its length ends
it. NLLs per slot average over all T slots, end symbols included, as Texygen's and the paper's do.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic import Field
from torch import Tensor

from textbench.contracts.config import Config
from textbench.contracts.errors import UserError
from textbench.contracts.spec import digest
from textbench.contracts.streams import numpy_stream
from textbench.contracts.task import TextTask
from textbench.tasks.sentences import Words, read_lines, tokenise
from textbench.tasks.vocabulary import Vocabulary

ENCODING_VERSION = 1
"""Raised when the same files start to give other sequences."""
LONGEST = 51
"""The longest sentence that is kept unless a length is given; the paper's limit."""


class CorpusConfig(Config):
    """Options that all text tasks have."""

    tokeniser: Literal["whitespace", "nltk"] = "whitespace"
    """How lines are cut into words: at white space, or by nltk's word tokeniser."""
    case: Literal["keep", "lower"] = "keep"
    """Keep the case, or lower it (Texygen)."""
    length: int = Field(0, ge=0)
    """T, slots per sentence; 0 takes the longest training sentence and its end symbol, if that is
    at most 51."""
    min_length: int = Field(1, ge=1)
    """Sentences with fewer words are dropped."""
    too_long: Literal["drop", "cut"] = "drop"
    """What happens to sentences of more than T words."""
    min_count: int = Field(1, ge=1)
    """Words that are rarer in the training sentences become <unk>."""
    max_vocabulary: int = Field(0, ge=0)
    """Keep that many of the most frequent words; 0 keeps all."""
    references: list[str] | None = None
    """Rows that are added to every command on this task, so that its tables can be read; those
    that say of themselves that they are references for text, unless a list is given."""


class Splits(NamedTuple):
    """The lines of the three splits."""

    train: list[str]
    validation: list[str]
    test: list[str]
    notes: tuple[str, ...] = ()


K = TypeVar("K", bound=CorpusConfig)


class Corpus(TextTask[K]):
    """Sentences in three splits, encoded with the vocabulary of the training sentences."""

    def __init__(self, config: K) -> None:
        super().__init__(config)
        lines = self.read()
        sentences = [tokenise(part, config.tokeniser, config.case) for part in lines[:3]]
        self.length = config.length or _length(sentences[0])
        notes = list(lines.notes)
        for i, split in enumerate(("train", "valid", "test")):
            sentences[i] = self._fit(sentences[i], split, notes)
        train, validation, test = sentences
        self.vocabulary = Vocabulary(train, config.min_count, config.max_vocabulary)
        if not self.vocabulary.words:
            raise UserError(
                f"{self.name}: no word occurs {config.min_count} times in the training sentences; "
                f"lower {self.name}.min_count"
            )
        self.vocab_size = len(self.vocabulary)
        self._train, self._validation, self._test = (
            self.vocabulary.encode(part, self.length) for part in sentences
        )
        self._references = test
        self.note = "; ".join([_sizes(train, validation, test), *notes, *self._remarks(train)])

    @abstractmethod
    def read(self) -> Splits:
        """Return the lines of the splits.

        Raises:
            UserError: They cannot be had.
        """

    def _fit(self, sentences: list[Words], split: str, notes: list[str]) -> list[Words]:
        """Drop or cut what does not fit T slots, and say so."""
        enough = [words for words in sentences if len(words) >= self.config.min_length]
        if len(enough) < len(sentences):
            dropped = len(sentences) - len(enough)
            notes.append(f"{dropped:,} of {split} shorter than {self.config.min_length} dropped")
        long = sum(len(words) > self.length for words in enough)
        if long:
            done = "cut" if self.config.too_long == "cut" else "dropped"
            notes.append(f"{long:,} of {split} longer than {self.length} words {done}")
        if self.config.too_long == "cut":
            enough = [words[: self.length] for words in enough]
        fitting = [words for words in enough if len(words) <= self.length]
        if not fitting:
            raise UserError(
                f"{self.name}: no sentence of {split} has {self.config.min_length} to "
                f"{self.length} words; see {self.name}.min_length, .length and .too_long"
            )
        return fitting

    def _remarks(self, train: list[Words]) -> list[str]:
        remarks = []
        known = set(map(tuple, train))
        both = sum(tuple(words) in known for words in self._references)
        if both == len(self._references):
            raise UserError(
                f"{self.name}: every test sentence occurs in the training sentences as well; "
                "a test set must be held out"
            )
        if both:
            remarks.append(f"{both:,} test sentences occur in train")
        share = self.vocabulary.unknown_share(self._references)
        if share:
            remarks.append(f"{_percent(share)} of the test words are outside the vocabulary")
        return remarks

    def fingerprint(self) -> str:
        """See `Task.fingerprint`: the encoded splits, the vocabulary, and the test words."""
        sha = hashlib.sha256()
        for tokens in (self._train, self._validation, self._test):
            sha.update(tokens.numpy().astype("<i8").tobytes())
        words = [self.vocabulary.words, self._references]
        return digest({"encoding": ENCODING_VERSION, "tokens": sha.hexdigest(), "words": words})

    def train(self, seed: int, number: int) -> Tensor:
        """See `Task.train`: the same sentences, in the file's order, for every seed and pass."""
        return self._train

    def train_size(self) -> int:
        """See `Task.train_size`."""
        return len(self._train)

    def validation(self) -> Tensor:
        """See `Task.validation`."""
        return self._validation

    def test(self) -> Tensor:
        """See `Task.test`."""
        return self._test

    def words(self, tokens: Tensor) -> list[Words]:
        """See `TextTask.words`."""
        return self.vocabulary.decode(tokens)

    def references(self) -> list[Words]:
        """See `TextTask.references`."""
        return self._references

    def reference_rows(self) -> list[str] | None:
        """See `Task.reference_rows`."""
        return self.config.references


class TextConfig(CorpusConfig):
    """Options of `text`."""

    train: str = ""
    """File of training sentences, one a line, UTF-8."""
    valid: str = ""
    """File of validation sentences; without one, a part of the training file."""
    test: str = ""
    """File of test sentences; without one, a part of the training file."""
    valid_share: float = Field(0.1, gt=0, lt=1)
    """Which part of the training file validates where there is no file for it."""
    test_share: float = Field(0.1, gt=0, lt=1)
    """Which part of the training file tests where there is no file for it."""
    split_seed: int = Field(0, ge=0)
    """Seed of that division; copies of one sentence stay together."""


class Text(Corpus[TextConfig]):
    """Your own text: --set text.train=FILE, and text.test=FILE or a random part of the first."""

    name = "text"
    config_schema = TextConfig

    def read(self) -> Splits:
        """See `Corpus.read`."""
        config = self.config
        if not config.train:
            raise UserError("text.train is missing: --set text.train=FILE, one sentence a line")
        train = read_lines(Path(config.train).expanduser(), "text.train")
        given = {
            split: read_lines(Path(file).expanduser(), f"text.{split}")
            for split, file in (("valid", config.valid), ("test", config.test))
            if file
        }
        shares = {
            split: share
            for split, share in (("valid", config.valid_share), ("test", config.test_share))
            if split not in given
        }
        parts = divide(train, shares, config.split_seed, "text.train")
        notes = [
            f"{split} is a random {share:.0%} of text.train" for split, share in shares.items()
        ]
        parts |= given
        return Splits(parts["train"], parts["valid"], parts["test"], tuple(notes))


def divide(
    lines: Sequence[str], shares: dict[str, float], seed: int, what: str
) -> dict[str, list[str]]:
    """Split parts off at random; what is left is ``train``. Order within a part is the file's.

    Args:
        lines: Sentences; copies of one sentence go to one part.
        shares: Name and size of each part, as a share of the distinct sentences.
        seed: Names the random order.
        what: The option that named the file, for messages.

    Raises:
        UserError: There are too few sentences.
    """
    distinct = list(dict.fromkeys(lines))
    sizes = {part: max(1, round(share * len(distinct))) for part, share in shares.items()}
    if sum(sizes.values()) >= len(distinct):
        raise UserError(
            f"{what}: {len(distinct)} different sentences are too few to split off "
            f"{' and '.join(f'{size} for {part}' for part, size in sizes.items())}"
        )
    order = numpy_stream(seed, "split").permutation(len(distinct)).tolist()
    place: dict[str, str] = {}
    for part, size in sizes.items():
        for number in order[:size]:
            place[distinct[number]] = part
        order = order[size:]
    parts: dict[str, list[str]] = {part: [] for part in ("train", *shares)}
    for line in lines:
        parts[place.get(line, "train")].append(line)
    return parts


def _length(train: Sequence[Sequence[str]]) -> int:
    return min(LONGEST, max(map(len, train)) + 1)


def _sizes(train: Sequence[Words], validation: Sequence[Words], test: Sequence[Words]) -> str:
    return f"{len(train):,} / {len(validation):,} / {len(test):,} sentences (train / valid / test)"


def _percent(share: float) -> str:
    """Return ``0.16 %``, ``4.1 %``, ``23 %``."""
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
