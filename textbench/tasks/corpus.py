"""What all corpora have in common: sentences in three splits, encoded.

Sentences are cut into words, words outside the training vocabulary become ``<unk>``, and a sentence
fills T slots: its words, then end symbols. A sentence of exactly T words has none: its length ends
it. NLLs per slot average over all T slots, end symbols included, as Texygen's and the paper's do.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple, Self, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from textbench.contracts.config import Config
from textbench.contracts.errors import UserError
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.spec import digest
from textbench.contracts.task import UNKNOWN, UNKNOWN_WORD, Kept, TextTask
from textbench.tasks import remarks
from textbench.tasks.sentences import Words, tokenise
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


class Encoded(NamedTuple):
    """The splits as symbols, ``(N, T)`` int64 each."""

    train: Tensor
    validation: Tensor
    test: Tensor


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
        warnings += remarks.alike([words for part in sentences for words in part])
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
        self._splits: Encoded | None = Encoded(
            *(self.vocabulary.encode(part, self.length) for part in sentences)
        )
        self._train_size = len(train)
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
        if sentences and not fitting:
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

    @property
    def splits(self) -> Encoded:
        """The encoded sentences.

        Raises:
            UserError: The task was restored from a store that holds its vocabulary alone.
        """
        if self._splits is None:
            raise UserError(
                f"the sentences of task {self.name} are not in this store, its vocabulary is: say "
                f"where they are by --set {self.name}.KEY=VALUE (`textbench show task:{self.name}`)"
            )
        return self._splits

    @cached_property
    def _fingerprint(self) -> str:
        sha = hashlib.sha256()
        for tokens in self.splits:
            sha.update(tokens.numpy().astype("<i8").tobytes())
        words = [self.vocabulary.words, self._references]
        return digest({"encoding": ENCODING_VERSION, "tokens": sha.hexdigest(), "words": words})

    def fingerprint(self) -> str:
        """See `Task.fingerprint`: the encoded splits, the vocabulary, and the test words."""
        return self._fingerprint

    def kept(self) -> Kept:
        """See `Task.kept`: the vocabulary, and the encoded splits with the unknown test words."""
        test = self.splits.test
        words = [word for sentence in self._references for word in sentence]
        hidden = (test[test >= UNKNOWN] == UNKNOWN).tolist()  # in the order of the words
        unknown = [word for word, is_hidden in zip(words, hidden, strict=True) if is_hidden]
        described = {
            "length": self.length,
            "words": self.vocabulary.words,
            "train_size": self._train_size,
            "note": self.note,
        }
        encoded = torch.frombuffer(bytearray(json.dumps(unknown).encode()), dtype=torch.uint8)
        return Kept(described, {**self.splits._asdict(), "unknown": encoded})

    @classmethod
    def restored(cls, config: K, kept: Kept) -> Self:
        """See `Task.restored`; without the sentences it only decodes."""
        task = cls.__new__(cls)
        TextTask.__init__(task, config)
        known = kept.described
        task.length, task.note = int(known["length"]), str(known["note"])
        task.vocabulary = Vocabulary.of(known["words"])
        task.vocab_size = len(task.vocabulary)
        task._train_size, task._references = int(known["train_size"]), []
        task._splits = None
        if kept.tensors:
            task._splits = Encoded(*(kept.tensors[name] for name in Encoded._fields))
            task._check_splits()
            unknown = iter(json.loads(kept.tensors["unknown"].numpy().tobytes()))
            task._references = [
                [str(next(unknown)) if word == UNKNOWN_WORD else word for word in words]
                for words in task.words(task._splits.test)
            ]
        return task

    def _check_splits(self) -> None:
        """Check the form of what was restored; the fingerprint says the rest.

        Raises:
            ValueError: It is not what `kept` returns.
        """
        for name, tokens in self.splits._asdict().items():
            fits = tokens.dim() == 2 and tokens.shape[1] == self.length
            if fits and len(tokens):
                fits = int(tokens.min()) >= 0 and int(tokens.max()) < self.vocab_size
            if not fits or (not len(tokens) and name != "validation"):
                raise ValueError("sentences of another form")

    def train(self, seed: int, number: int) -> Tensor:
        """See `Task.train`: the same sentences, in the file's order, for every seed and pass."""
        return self.splits.train

    def train_size(self) -> int:
        """See `Task.train_size`."""
        return self._train_size

    def validation(self) -> Tensor:
        """See `Task.validation`."""
        if not len(self.splits.validation):
            raise NotApplicableError(f"{self.name} has no validation sentences")
        return self.splits.validation

    def test(self) -> Tensor:
        """See `Task.test`."""
        return self.splits.test

    def words(self, tokens: Tensor) -> list[Words]:
        """See `TextTask.words`."""
        return self.vocabulary.decode(tokens)

    def decode(self, tokens: Tensor) -> list[str]:
        """See `TextTask.decode`; characters have nothing between them."""
        between = "" if self.config.tokeniser == "character" else " "
        return [between.join(words) for words in self.words(tokens)]

    def references(self) -> list[Words]:
        """See `TextTask.references`."""
        _ = self.splits  # raises where there are none
        return self._references

    def reference_rows(self) -> list[str] | None:
        """See `Task.reference_rows`."""
        return self.config.references


def _length(train: Sequence[Sequence[str]]) -> int:
    return min(LONGEST, max(map(len, train)) + 1)


def _sizes(train: Sequence[Words], validation: Sequence[Words], test: Sequence[Words]) -> str:
    return f"{len(train):,} / {len(validation):,} / {len(test):,} sentences (train / valid / test)"
