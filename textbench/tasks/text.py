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
from textbench.contracts.task import TextTask
from textbench.tasks import remarks
from textbench.tasks.division import divide
from textbench.tasks.hub import read_dataset
from textbench.tasks.sentences import Words, not_blank, read_lines, tokenise
from textbench.tasks.vocabulary import Vocabulary

ENCODING_VERSION = 1
"""Raised when the same files start to give other sequences."""
LONGEST = 51
"""The longest sentence that is kept unless a length is given; the paper's limit."""


class CorpusConfig(Config):
    """Options that all text tasks have."""

    tokeniser: Literal["whitespace", "nltk", "character"] = "whitespace"
    """How lines are cut into words: at white space, by nltk's word tokeniser, or every character
    is a word (scripts without spaces; SeqGAN's poems)."""
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
    warnings: tuple[str, ...] = ()


K = TypeVar("K", bound=CorpusConfig)


class Corpus(TextTask[K]):
    """Sentences in three splits, encoded with the vocabulary of the training sentences."""

    def __init__(self, config: K) -> None:
        super().__init__(config)
        lines = self.read()
        sentences = [tokenise(part, config.tokeniser, config.case) for part in lines[:3]]
        self.length = config.length or _length(sentences[0])
        notes, warnings = list(lines.notes), list(lines.warnings)
        warnings += remarks.words_of(self.name, sentences[0], config.tokeniser)
        for i, split in enumerate(("train", "valid", "test")):
            cut = config.too_long == "cut"
            warnings += remarks.dropped(self.name, split, sentences[i], self.length, cut)
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
        warnings += remarks.sizes(train, validation, test)
        warnings += remarks.copies(train, validation, test)
        warnings += remarks.unknown(self.name, self.vocabulary.unknown_share(test))
        self.warnings = tuple(warnings)

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
                f"{self.length} words; see {self.name}.min_length, .length, .too_long and "
                ".tokeniser"
            )
        return fitting

    def _remarks(self, train: list[Words]) -> list[str]:
        found = []
        known = set(map(tuple, train))
        both = sum(tuple(words) in known for words in self._references)
        if both == len(self._references):
            raise UserError(
                f"{self.name}: every test sentence occurs in the training sentences as well; "
                "a test set must be held out"
            )
        if both:
            found.append(f"{both:,} test sentences occur in train")
        share = self.vocabulary.unknown_share(self._references)
        if share:
            found.append(f"{remarks.percent(share)} of the test words are outside the vocabulary")
        return found

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

    def decode(self, tokens: Tensor) -> list[str]:
        """See `TextTask.decode`; characters have nothing between them."""
        between = "" if self.config.tokeniser == "character" else " "
        return [between.join(words) for words in self.words(tokens)]

    def references(self) -> list[Words]:
        """See `TextTask.references`."""
        return self._references

    def reference_rows(self) -> list[str] | None:
        """See `Task.reference_rows`."""
        return self.config.references


class TextConfig(CorpusConfig):
    """Options of `text`."""

    train: str = ""
    """File of training sentences, one a line; .gz, .csv, .tsv and .jsonl are read, too."""
    valid: str = ""
    """File of validation sentences; without one, a part of the training file."""
    test: str = ""
    """File of test sentences; without one, a part of the training file."""
    dataset: str = ""
    """Instead of files: a data set of the Hugging Face hub, NAME or NAME:CONFIGURATION (extra
    [datasets])."""
    column: str = ""
    """Which column of a table, key of JSON lines, or column of the data set is read."""
    format: Literal["auto", "lines", "csv", "tsv", "jsonl"] = "auto"
    """What the files are; auto goes by their names."""
    encoding: str = ""
    """Encoding of the files; by default UTF-8, or what a byte order mark says."""
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
        said: list[str] = []
        given = self._dataset() if config.dataset else self._files(said)
        shares = {
            split: share
            for split, share in (("valid", config.valid_share), ("test", config.test_share))
            if split not in given
        }
        source = "text.dataset" if config.dataset else "text.train"
        parts = divide(given["train"], shares, config.split_seed, source)
        notes = [f"{split} is a random {share:.0%} of {source}" for split, share in shares.items()]
        parts = given | parts
        return Splits(parts["train"], parts["valid"], parts["test"], tuple(notes), tuple(said))

    def _files(self, said: list[str]) -> dict[str, list[str]]:
        config = self.config
        if not config.train:
            raise UserError("text.train is missing: --set text.train=FILE, one sentence a line")
        return {
            split: read_lines(
                Path(file).expanduser(),
                f"text.{split}",
                encoding=config.encoding,
                form=config.format,
                column=config.column,
                said=said,
            )
            for split in ("train", "valid", "test")
            if (file := getattr(config, split))
        }

    def _dataset(self) -> dict[str, list[str]]:
        config = self.config
        files = [split for split in ("train", "valid", "test") if getattr(config, split)]
        if files:
            raise UserError(f"text.{files[0]} and text.dataset are both given; give one of them")
        read = read_dataset(config.dataset, config.column)
        return {
            split: not_blank(part, f"text.dataset={config.dataset}, {split}")
            for split, part in read.items()
        }


def _length(train: Sequence[Sequence[str]]) -> int:
    return min(LONGEST, max(map(len, train)) + 1)


def _sizes(train: Sequence[Words], validation: Sequence[Words], test: Sequence[Words]) -> str:
    return f"{len(train):,} / {len(validation):,} / {len(test):,} sentences (train / valid / test)"
