"""Reading files of sentences and cutting them into words; what cannot be used is said in a line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.tasks import tables
from textbench.tasks.encodings import read_text

Words = list[str]

LONGEST_LINE = 100_000
"""Characters; a longer line means that the file is not one sentence a line."""
OTHER_ENDS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""What ends lines for Unicode, and for `str.splitlines`, but not here."""


def read_lines(
    path: Path,
    what: str,
    *,
    encoding: str = "",
    form: str = "lines",
    column: str = "",
    said: list[str] | None = None,
    asks: str = "",
) -> list[str]:
    """Return the sentences of a file that are not blank, white space collapsed.

    A byte order mark and the line ends of other systems are taken away; gzip is undone.

    Args:
        path: The file.
        what: The option that named it, e.g. ``text.train``, for messages.
        encoding: By default UTF-8, or what a byte order mark says.
        form: ``lines``, ``csv``, ``tsv`` or ``jsonl``; ``auto`` goes by the file's name.
        column: Which column of a table, or key of JSON objects, is read.
        said: Takes what a reader should hear of the file, one line each.
        asks: The option that takes the column, for messages; by default ``SECTION.column``.

    Raises:
        UserError: It is no readable file, not in that encoding or form, empty, or a line is too
            long.
    """
    text = read_text(path, what, encoding, said)
    section = what.partition(".")[0]
    guessed = form == "auto"
    form = tables.form_of(path) if guessed else form
    if form == "lines":
        if column:
            raise UserError(
                f"{section}.column={column}: {path} is no table by its name; add "
                f"{section}.format=csv, tsv or jsonl"
            )
        if guessed and tables.is_json(text, path):
            raise UserError(
                f"{what}: {path} is one JSON document; expected one sentence a line, or JSON "
                "lines: one string or object a line, in a file called .jsonl"
            )
        lines = _split(text, f"{what}: {path}", said)
        if guessed and said is not None:
            said += _suspicions(text, f"{what}: {path}", section, asks)
    else:
        lines = tables.cells(text, form, column, f"{what}: {path}", asks or f"{section}.column")
    _refuse_too_long(lines, f"{what}: ", path)
    return not_blank(lines, f"{what}: {path}")


def _refuse_too_long(lines: Iterable[str], what: str, path: Path) -> None:
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise UserError(
                f"{what}line {number} of {path} has {len(line):,} characters; "
                f"expected one sentence a line, at most {LONGEST_LINE:,} characters"
            )


def not_blank(lines: Iterable[str], where: str) -> list[str]:
    """Return the lines that are not blank, white space collapsed.

    Raises:
        UserError: There is none.
    """
    kept = [" ".join(line.split()) for line in lines]
    kept = [line for line in kept if line]
    if not kept:
        raise UserError(f"{where} holds no sentence")
    return kept


def _split(text: str, where: str, said: list[str] | None) -> list[str]:
    """Cut into lines. A lone carriage return ends lines only in files without any other end."""
    noted: list[str] = []
    if "\n" in text or "\r" not in text:
        text = text.replace("\r\n", "\n")
        if lone := text.count("\r"):
            noted.append(
                f"{where} has {lone:,} carriage returns within lines, read as spaces; if they end "
                "lines (of old Macs, among others), make all line ends the same first"
            )
        lines = text.split("\n")
    else:
        noted.append(f"{where} has the line ends of old Macs (CR) and was read so")
        lines = text.split("\r")
    noted += _other_ends(text, where)
    if said is not None:
        said += noted
    return lines


def _other_ends(text: str, where: str) -> list[str]:
    """Say which ends of lines are in the midst of lines; a page break between two is none."""
    if not any(end in text for end in OTHER_ENDS):
        return []
    found = re.findall(rf"(?<=[^\n])[{OTHER_ENDS}](?=[^\n])", text)
    if not found:
        return []
    kinds = ", ".join(f"U+{ord(end):04X}" for end in sorted(set(found)))
    return [
        f"{where} has {len(found):,} line ends of another kind ({kinds}) within lines, read as "
        "spaces; if they end lines, make all line ends the same first"
    ]


def _suspicions(text: str, where: str, section: str, asks: str) -> list[str]:
    form, columns = tables.looks_like(text)
    if not form and (cells := tables.tabbed(text)):
        how = f"a file called .tsv and {asks} NAME read" if asks else ""
        return [
            f"{where} looks like a table without a header ({cells} cells a line, between tabs), "
            f"but every line is read as a sentence; with a first line that names the columns, "
            f"{how or f'{section}.format=tsv {section}.column=NAME reads'} one"
        ]
    if not form:
        return []
    column = tables.likely(columns)
    if asks:  # the form goes by the file's name alone
        how = f"a file called .{form} and {asks} {column} read one column"
    else:
        how = (
            f"{section}.format={form} {section}.column={column} reads one column, "
            f"{section}.format=lines says that it is right"
        )
    return [
        f"{where} looks like a table ({form}: {', '.join(columns)}), but every line is read as a "
        f"sentence; {how}"
    ]


def tokenise(lines: Iterable[str], tokeniser: str, case: str) -> list[Words]:
    """Return the words of each line.

    Args:
        lines: Sentences.
        tokeniser: ``whitespace``; ``nltk``: the tokeniser of `nltk.word_tokenize`, which
            Texygen applies, without its sentence splitter (which needs downloaded data); or
            ``character``: every character with its accents is a word, the space too.
        case: ``keep`` or ``lower``.
    """
    split: Callable[[str], Words] = str.split
    if tokeniser == "nltk":
        from nltk.tokenize import NLTKWordTokenizer

        split = NLTKWordTokenizer().tokenize
    elif tokeniser == "character":
        split = characters
    same: dict[str, str] = {}
    return [
        # One string per distinct word: a corpus of millions of words stays small.
        [same.setdefault(word, word) for word in split(line.lower() if case == "lower" else line)]
        for line in lines
    ]


def characters(line: str) -> Words:
    """Cut into characters; what is written on another one (Unicode's marks) stays with it."""
    if line.isascii():
        return list(line)
    found: Words = []
    for c in line:
        if found and unicodedata.category(c).startswith("M"):
            found[-1] += c
        else:
            found.append(c)
    return found
