"""Reading text files: one sentence a line, any UTF-8; what cannot be used is said in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from textbench.contracts.errors import UserError

Words = list[str]

LONGEST_LINE = 100_000
"""Characters; a longer line means that the file is not one sentence a line."""


def read_lines(path: Path, what: str) -> list[str]:
    """Return the lines of a file that are not blank, white space collapsed.

    A byte order mark and Windows line ends are taken away.

    Args:
        path: The file.
        what: The option that named it, e.g. ``text.train``, for messages.

    Raises:
        UserError: It is no readable file, not UTF-8, empty, or a line is too long.
    """
    if path.is_dir():
        raise UserError(f"{what}: {path} is a folder; give a file with one sentence a line")
    if path.exists() and not path.is_file():  # it is read again for every run
        raise UserError(f"{what}: {path} is a pipe or a device; give a file that stays")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{what}: cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise UserError(
            f"{what}: {path} is not UTF-8: byte 0x{error.object[error.start]:02x} in line {number}"
        ) from None
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise UserError(
                f"{what}: line {number} of {path} has {len(line):,} characters; "
                f"expected one sentence a line, at most {LONGEST_LINE:,} characters"
            )
    kept = [" ".join(line.split()) for line in lines]
    kept = [line for line in kept if line]
    if not kept:
        raise UserError(f"{what}: {path} holds no sentence")
    return kept


def tokenise(lines: Iterable[str], tokeniser: str, case: str) -> list[Words]:
    """Return the words of each line.

    Args:
        lines: Sentences.
        tokeniser: ``whitespace``, or ``nltk``: the tokeniser of `nltk.word_tokenize`, which
            Texygen applies, without its sentence splitter (which needs downloaded data).
        case: ``keep`` or ``lower``.
    """
    split: Callable[[str], Words] = str.split
    if tokeniser == "nltk":
        from nltk.tokenize import NLTKWordTokenizer

        split = NLTKWordTokenizer().tokenize
    same: dict[str, str] = {}
    return [
        # One string per distinct word: a corpus of millions of words stays small.
        [same.setdefault(word, word) for word in split(line.lower() if case == "lower" else line)]
        for line in lines
    ]
