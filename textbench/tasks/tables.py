"""Tables of sentences: CSV, TSV and JSON lines, of which one column is read."""

from __future__ import annotations

import csv
import io
import json
from itertools import islice
from pathlib import Path

from textbench.contracts.errors import UserError, did_you_mean
from textbench.contracts.plain import Json
from textbench.tasks.encodings import refuse_no_text

SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
SNIFFED = 50
"""Lines that are looked at to tell whether a file is a table."""
KINDS = {type(None): "null", bool: "true or false", list: "an array", dict: "an object"}
"""What JSON calls values that are no text."""
LIKELY = ("text", "sentence", "caption", "content", "body")
"""What columns of sentences are called."""


def form_of(path: Path) -> str:
    """Return what a file's name says it is: ``csv``, ``tsv``, ``jsonl`` or ``lines``."""
    name = path.with_suffix("") if path.suffix == ".gz" else path
    return SUFFIXES.get(name.suffix.lower(), "lines")


def cells(text: str, form: str, column: str, where: str, asks: str) -> list[str]:
    """Return the cells of one column, in order.

    Args:
        text: The whole file.
        form: ``csv``, ``tsv`` or ``jsonl``.
        column: The column's name, or the key of JSON objects.
        where: The option and the file, for messages.
        asks: The option that takes the column, for messages.

    Raises:
        UserError: There is no such column, or a row does not have it.
    """
    if form == "jsonl":
        return _json_lines(text, column, where, asks)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter(text, form), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_column(column, header, where, asks)
        place = header.index(column)
        found = []
        for row in reader:
            if row and len(row) != len(header):
                raise UserError(
                    f"{where}: the row that ends in line {reader.line_num} has {len(row)} cells, "
                    f"the header {len(header)}"
                )
            found += row[place : place + 1]
    except csv.Error as error:
        raise UserError(f"{where}: line {reader.line_num} is not {form.upper()}: {error}") from None
    return found


def delimiter(text: str, form: str) -> str:
    """Return what separates cells; a CSV of some spreadsheets has semicolons."""
    if form == "tsv":
        return "\t"
    header = text.lstrip("\r\n").splitlines()[:1]
    return ";" if header and header[0].count(";") > header[0].count(",") else ","


def looks_like(text: str) -> tuple[str, list[str]]:
    """Tell whether lines are those of a table: its form and columns, or nothing.

    Cells of a CSV are recognised by a header of names and rows of equal length.
    """
    lines = _first_lines(text)
    if len(lines) < 3:
        return "", []
    if all(line.lstrip().startswith("{") for line in lines):
        try:
            first, *_ = [json.loads(line) for line in lines]
        except (ValueError, RecursionError):
            return "", []
        return "jsonl", list(first)
    for form, mark in (("tsv", "\t"), ("csv", ","), ("csv", ";")):
        try:
            rows = list(csv.reader(lines, delimiter=mark))
        except csv.Error:
            continue
        header = [name.strip() for name in rows[0]]
        even = len(header) > 1 and {len(row) for row in rows if row} == {len(header)}
        named = len(set(header)) == len(header) and all(n and " " not in n for n in header)
        if even and named:
            return form, header
    return "", []


def tabbed(text: str) -> int:
    """Return how many cells every line has, where tabs separate equally many; else 0."""
    lines = _first_lines(text)
    counts = {line.strip("\r\n").count("\t") for line in lines}
    return counts.pop() + 1 if len(lines) > 2 and len(counts) == 1 and 0 not in counts else 0


def _first_lines(text: str) -> list[str]:
    return [line for line in islice(io.StringIO(text), 4 * SNIFFED) if line.strip()][:SNIFFED]


def is_json(text: str, path: Path) -> bool:
    """Tell whether a file is one JSON document: an array or an object over several lines."""
    start = text.lstrip()[:1]
    if start not in ("[", "{") or (start == "{" and path.suffix.lower() != ".json"):
        return False
    try:
        return isinstance(json.loads(text), list | dict)
    except (ValueError, RecursionError):
        return False


def likely(columns: list[str]) -> str:
    """Return the column that holds the sentences, by its name; else the first."""
    return next((name for name in columns if name.lower() in LIKELY), columns[0])


def _json_lines(text: str, column: str, where: str, asks: str) -> list[str]:
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row: Json = json.loads(line)
        except (ValueError, RecursionError) as error:
            deep = isinstance(error, RecursionError)
            what = "nested too deeply" if deep else getattr(error, "msg", "a number is too long")
            raise UserError(f"{where}: line {number} is not JSON: {what}") from None
        if isinstance(row, dict):
            _check_column(column, list(row), f"{where}: line {number}", asks)
            row = row[column]
        if not isinstance(row, str):
            kind = KINDS.get(type(row), "a number")
            raise UserError(f"{where}: line {number} holds {kind}, expected a string")
        refuse_no_text(row, f"{where}: the text of line {number}")
        found.append(row)
    return found


def _check_column(column: str, known: list[str], where: str, asks: str) -> None:
    if not known:
        raise UserError(f"{where}: there is no column; the file is empty")
    if not column:
        raise UserError(
            f"{where} is a table with the columns {', '.join(known)}: say which one, e.g. "
            f"{asks}={likely(known)}"
        )
    if column not in known:
        raise UserError(f"{where} has no column {column!r}{did_you_mean(column, known)} ({asks})")
    if known.count(column) > 1:
        raise UserError(f"{where} has {known.count(column)} columns {column!r}; rename one")
