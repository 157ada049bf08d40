"""Tasks that each break one promise, and two that break none.

`breaks` names the check that must fail, `says` is a part of what it must say.

A plugin file: `tests/harness/test_check_task.py` loads it as a user would load theirs.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import Config
from textbench.contracts.errors import UserError
from textbench.contracts.streams import stream
from textbench.contracts.task import UNKNOWN_WORD, Kept, Task, TextTask


class Options(Config):
    """Options of those with a known law."""

    size: int = Field(300, ge=1)
    """Sequences of each split."""
    sharpness: float = Field(3.0, gt=0)
    """Of the law."""


class Sound(Task[Options]):
    """Sequences of a small random LSTM."""

    name = "sound"
    breaks: ClassVar[str] = ""
    says: ClassVar[str] = ""
    config_schema = Options
    draws_fresh = True

    def __init__(self, config: Options) -> None:
        super().__init__(config)
        self.vocab_size, self.length = 9, 5
        self.oracle = LSTMLanguageModel(self.vocab_size, self.length, 4, 4)
        self.oracle.initialise(stream(0, "sound"))
        for parameter in self.oracle.parameters():
            parameter.requires_grad_(False).mul_(10 * config.sharpness)

    def draw(self, *names: object) -> Tensor:
        assert self.oracle is not None
        return self.oracle.sample(self.config.size, stream(0, "sound", *names))

    def fingerprint(self) -> str:
        return hashlib.sha256(self.config.model_dump_json().encode()).hexdigest()

    def train(self, seed: int, number: int) -> Tensor:
        return self.fresh(seed, 0)

    def fresh(self, seed: int, number: int) -> Tensor:
        return self.draw("train", seed, number)

    def train_size(self) -> int:
        return self.config.size

    def validation(self) -> Tensor:
        return self.draw("validation")

    def test(self) -> Tensor:
        return self.draw("test")

    def decode(self, tokens: Tensor) -> list[str]:
        return [" ".join(map(str, row)) for row in tokens.tolist()]


class Unsized(Sound):
    name = "unsized"
    breaks = "runs"
    says = "vocab_size is None"

    def __init__(self, config: Options) -> None:
        super().__init__(config)
        del self.vocab_size


class Unbuilt(Sound):
    name = "unbuilt"
    breaks = "runs"
    says = "building it raised IndexError: on purpose (broken_tasks.py:"

    def __init__(self, config: Options) -> None:
        raise IndexError("on purpose")


class Orphan(Sound):
    name = "orphan"
    breaks = "runs"
    says = "it has no config: its __init__ must call super().__init__(config)"

    def __init__(self, config: Options) -> None:
        self.vocab_size, self.length = 9, 5


class Listed(Sound):
    name = "listed"
    breaks = "runs"
    says = "train is a list"

    def train(self, seed: int, number: int) -> Any:
        return super().train(seed, number).tolist()


class FileOptions(Config):
    """Options of those that read a file."""

    file: str = ""
    """A text file, a sentence a line."""


class Written(TextTask[FileOptions]):
    """The sentences of a file: the last fifth tests, the fifth before validates."""

    name = "written"
    breaks: ClassVar[str] = ""
    says: ClassVar[str] = ""
    config_schema = FileOptions

    def __init__(self, config: FileOptions) -> None:
        super().__init__(config)
        try:
            lines = Path(config.file).read_text(encoding="utf-8").splitlines()
        except OSError:
            raise UserError(f"{self.name}.file={config.file!r} cannot be read") from None
        sentences = [line.split() for line in dict.fromkeys(lines)]
        fifth = len(sentences) // 5
        known = sorted({word for s in sentences[: -2 * fifth] for word in s})
        self.known = ["", UNKNOWN_WORD, *known]
        self.vocab_size, self.length = len(self.known), max(map(len, sentences))
        self.sentences = sentences
        self.encoded = torch.zeros(len(sentences), self.length, dtype=torch.int64)
        for row, words in zip(self.encoded, sentences, strict=True):
            numbers = [self.known.index(w) if w in self.known[2:] else 1 for w in words]
            row[: len(words)] = torch.tensor(numbers)
        self.parts = [
            part.clone() for part in self.encoded.split([len(sentences) - 2 * fifth, fifth, fifth])
        ]

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self.sentences).encode()).hexdigest()

    def train(self, seed: int, number: int) -> Tensor:
        return self.parts[0]

    def train_size(self) -> int:
        return len(self.parts[0])

    def validation(self) -> Tensor:
        return self.parts[1]

    def test(self) -> Tensor:
        return self.parts[2]

    def words(self, tokens: Tensor) -> list[list[str]]:
        rows = [[self.known[i] for i in row] for row in tokens.tolist()]
        return [row[: row.index("")] if "" in row else row for row in rows]

    def references(self) -> list[list[str]]:
        return self.sentences[-len(self.parts[2]) :]


class Crumbling(Sound):
    name = "crumbling"
    breaks = "runs"
    says = "asking for its data raised ZeroDivisionError: on purpose (broken_tasks.py:"

    def test(self) -> Tensor:
        raise ZeroDivisionError("on purpose")


class TerseOptions(Options):
    """One of them without a word."""

    shift: int = 0


class Terse(Sound):
    name = "terse"
    breaks = "config"
    says = "no help text for shift"
    config_schema = TerseOptions


# -- sequences -------------------------------------------------------------------------------------


class Outside(Sound):
    name = "outside"
    breaks = "sequences"
    says = "validation holds symbols from "

    def validation(self) -> Tensor:
        return super().validation() + 1


class Short(Sound):
    name = "short"
    breaks = "sequences"
    says = "test has shape (300, 4), torch.int64"

    def test(self) -> Tensor:
        return super().test()[:, :4]


class Overstated(Sound):
    name = "overstated"
    breaks = "sequences"
    says = "train_size() is 301, train has 300"

    def train_size(self) -> int:
        return super().train_size() + 1


# -- randomness ------------------------------------------------------------------------------------


class Erratic(Sound):
    name = "erratic"
    breaks = "determinism"
    says = "built again, test is another"

    def test(self) -> Tensor:
        number = int.from_bytes(os.urandom(4), "big")
        return self.draw("test", number)


class Careless(Sound):
    name = "careless"
    breaks = "global randomness"
    says = "with other global random numbers, test is another"

    def __init__(self, config: Options) -> None:
        super().__init__(config)
        self.number = int(torch.randint(1000, ()))

    def test(self) -> Tensor:
        return self.draw("test", self.number)


class Stirring(Sound):
    name = "stirring"
    breaks = "global randomness"
    says = "building it moves the global random generator of torch"

    def __init__(self, config: Options) -> None:
        super().__init__(config)
        torch.rand(3)


# -- fingerprints ----------------------------------------------------------------------------------


class Blurred(Sound):
    name = "blurred"
    breaks = "fingerprint"
    says = "sharpness=4.5 gives other train sequences and the same fingerprint"

    def fingerprint(self) -> str:
        return hashlib.sha256(str(self.config.size).encode()).hexdigest()


class Local(Sound):
    name = "local"
    breaks = "fingerprint"
    says = "in another process: another fingerprint"

    def fingerprint(self) -> str:
        return f"{hash(self.config.model_dump_json()) % 2**64:016x}"


class Nameless(Sound):
    name = "nameless"
    breaks = "fingerprint"
    says = "the fingerprint is 'v1'"

    def fingerprint(self) -> str:
        return "v1"


class Placed(Written):
    name = "placed"
    breaks = "fingerprint"
    says = "file in another place has another fingerprint"

    def fingerprint(self) -> str:
        return hashlib.sha256(self.config.file.encode()).hexdigest()


class Counting(Written):
    """Hashes the vocabulary and forgets the sentences."""

    name = "counting"
    breaks = "fingerprint"
    says = "file without its last line has other train sequences"

    def fingerprint(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()


# -- passes and splits -----------------------------------------------------------------------------


class Stale(Sound):
    name = "stale"
    breaks = "passes"
    says = "fresh sequences repeat"

    def fresh(self, seed: int, number: int) -> Tensor:
        return self.draw("train", seed)


class Apart(Sound):
    name = "apart"
    breaks = "passes"
    says = "fresh(0, 0) is not train(0, 0)"

    def train(self, seed: int, number: int) -> Tensor:
        return self.fresh(seed, 7)


class Hidden(Sound):
    name = "hidden"
    breaks = "passes"
    says = "it has fresh sequences, and draws_fresh is False"
    draws_fresh = False


class Known(Written):
    """Half of its test sentences are training sentences, and it does not say so."""

    name = "known"
    breaks = "held out"
    says = "of the test sequences occur in train, which no warning says"

    def __init__(self, config: FileOptions) -> None:
        super().__init__(config)
        half = len(self.parts[2]) // 2
        self.parts[2][:half] = self.parts[0][:half]
        start = len(self.sentences) - len(self.parts[2])
        self.sentences[start : start + half] = self.sentences[:half]


class Viewing(Written):
    name = "viewing"
    breaks = "access"
    says = "the training sequences share their memory with the validation sequences"

    def __init__(self, config: FileOptions) -> None:
        super().__init__(config)
        self.parts = list(self.encoded.split([len(part) for part in self.parts]))


# -- text ------------------------------------------------------------------------------------------


class Lossy(Sound):
    name = "lossy"
    breaks = "decoding"
    says = "two different sequences decode to the same line"

    def decode(self, tokens: Tensor) -> list[str]:
        return super().decode(tokens[:, 1:])


class Broken(Sound):
    name = "broken"
    breaks = "decoding"
    says = "decode() gives '"

    def decode(self, tokens: Tensor) -> list[str]:
        return [line.replace(" ", "\n") for line in super().decode(tokens)]


class Shifted(Written):
    name = "shifted"
    breaks = "decoding"
    says = "words() gives "

    def words(self, tokens: Tensor) -> list[list[str]]:
        rows = super().words(tokens)
        return [[word.upper() for word in row] for row in rows]


class Unended(Written):
    name = "unended"
    breaks = "decoding"
    says = "symbols has 12 words"

    def words(self, tokens: Tensor) -> list[list[str]]:
        return [[self.known[i] or "." for i in row] for row in tokens.tolist()]


class Untrue(Sound):
    """Its test sequences are drawn from a sharper law."""

    name = "untrue"
    breaks = "oracle"
    says = "test sequences deviate from the oracle by"

    def test(self) -> Tensor:
        assert self.oracle is not None
        return self.oracle.sample(300, stream(0, "test"), inverse_temperature=3.0)


class Wordless(Written):
    name = "wordless"
    breaks = "decoding"
    says = "words() returned None"

    def words(self, tokens: Tensor) -> Any:
        super().words(tokens)


class Unreferenced(Written):
    name = "unreferenced"
    breaks = "decoding"
    says = "references() gives 'a b"

    def references(self) -> Any:
        return ["a b", *super().references()]


class Demanding(Sound):
    name = "demanding-task"
    breaks = "texts"
    says = "reference_rows() returned 3"

    def reference_rows(self) -> Any:
        return 3


class Hoarding(Sound):
    name = "hoarding"
    breaks = "kept"
    says = "kept() returned {}"

    def kept(self) -> Any:
        return {}


class Wishful(Sound):
    name = "wishful"
    breaks = "texts"
    says = "reference_rows() names 'reel'"

    def reference_rows(self) -> list[str] | None:
        return ["reel"]


class Keeping(Written):
    """Keeps its sentences, and gives others again."""

    name = "keeping"
    breaks = "kept"
    says = "restored from a store, train is another"

    def kept(self) -> Kept | None:
        return Kept({}, {"encoded": self.encoded})

    @classmethod
    def restored(cls, config: Any, kept: Kept) -> Self:
        task = cls(config)
        task.parts[0] = task.parts[0].flip(0)
        return task
