"""What others have published: tables of numbers, each with the protocol they were made under.

The numbers and protocols are data: ``paper.toml`` (the CoT paper) and ``sources.toml`` (Texygen,
SeqGAN, RelGAN, a third party's CoT). The head of ``paper.toml`` explains the format.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

Select = Literal["final", "best", "time"]

Toml = Mapping[str, Any]
"""A table of one of this package's data files; what is in it becomes a dataclass at once."""

FILES = ("paper.toml", "sources.toml")


@dataclass(frozen=True)
class Document:
    """Where numbers were published."""

    id: str
    title: str
    version: str


@dataclass(frozen=True)
class Margin:
    """How far from a published number a mean may lie and still be called the same."""

    value: float
    unit: str
    reason: str


@dataclass(frozen=True)
class TrainerProtocol:
    """How one row of a table was trained."""

    source: str
    options: Mapping[str, object]
    schedule: Mapping[str, int]
    not_stated: str = ""
    at_least: bool = False
    """Whether a longer schedule is no difference."""


@dataclass(frozen=True)
class Protocol:
    """What the runs behind a table were made of; what is empty is not stated."""

    id: str
    source: str
    task: str
    oracle: str = ""
    train: int = 0
    """Training sequences."""
    test: int = 0
    """Held-out sequences."""
    task_options: Mapping[str, object] = field(default_factory=dict)
    fingerprints: tuple[str, ...] = ()
    """Of the task's data, as far as they are known: the first 12 hex digits."""
    backbone: Mapping[str, int] = field(default_factory=dict)
    samples: int = 0
    """Generated sequences per evaluation, at least."""
    every: int = 0
    """Epochs between evaluations, at most; it matters to a best."""
    not_stated: str = ""
    trainers: Mapping[str, TrainerProtocol] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """One column of a published table, and which number of a run is held against it."""

    id: str
    title: str
    select: Select
    metrics: tuple[str, ...] = ()
    """Of several, the sum is judged."""
    margin: Margin | None = None
    higher: bool = False
    """Whether more is better."""
    protocol: str = ""
    """Pattern of the metric's protocol id, where another one measures another thing."""
    incomparable: str = ""


@dataclass(frozen=True)
class Cell:
    """One published number, or pair of numbers."""

    values: tuple[float, ...] = ()
    sd: float | None = None
    warmup: str = ""
    """The row that the cell refers to: the best was acquired during its training."""

    @property
    def text(self) -> str:
        """As the paper writes it, MLE being the only warm-up that it refers to."""
        return "-(MLE)" if self.warmup else " + ".join(f"{value:g}" for value in self.values)


@dataclass(frozen=True)
class Stopping:
    """A number, or pair, that was taken at an unstated time."""

    metrics: tuple[str, ...]
    values: tuple[float, ...]
    margin: Margin
    """Of each of them."""

    @property
    def text(self) -> str:
        """``"8.19 / 8.03"``."""
        return " / ".join(f"{value:g}" for value in self.values)


@dataclass(frozen=True)
class Row:
    """One row of a published table."""

    id: str
    title: str
    cells: Mapping[str, Cell]
    readings: tuple[str, ...]
    """The labels of ours that may claim to be this row."""
    incomparable: str = ""
    """Why no row of ours can stand for it."""
    stopping: Mapping[str, Stopping] = field(default_factory=dict)
    """By column."""


@dataclass(frozen=True)
class Table:
    """One published table."""

    id: str
    source: str
    document: Document
    protocol: Protocol
    columns: Mapping[str, Column]
    rows: Mapping[str, Row]
    not_stated: str = ""

    @property
    def unstated(self) -> str:
        """What neither the table nor its protocol states."""
        return "; ".join(filter(None, (self.protocol.not_stated, self.not_stated)))


@functools.cache
def tables() -> dict[str, Table]:
    """Return every published table by its id, those of the CoT paper first."""
    found: dict[str, Table] = {}
    margins: dict[str, Margin] = {}
    for file in FILES:
        data = read(file)
        margins |= {key: Margin(**value) for key, value in data.get("margins", {}).items()}
        documents = {key: Document(key, **value) for key, value in data["documents"].items()}
        protocols = {key: _protocol(key, value) for key, value in data["protocols"].items()}
        for key, table in data["tables"].items():
            document, protocol = documents[table["document"]], protocols[table["protocol"]]
            found[key] = _table(key, table, document, protocol, margins)
    return found


def readings() -> set[str]:
    """Return the labels of ours that may claim to be a row of a published table."""
    return {
        label for table in tables().values() for r in table.rows.values() for label in r.readings
    }


def protocols() -> dict[str, Protocol]:
    """Return the protocols of the published tables by their id."""
    return {table.protocol.id: table.protocol for table in tables().values()}


def read(file: str) -> Toml:
    """Read one of this package's data files."""
    text = resources.files("textbench.judge").joinpath(file).read_text(encoding="utf-8")
    return tomllib.loads(text)


def _protocol(key: str, data: Toml) -> Protocol:
    trainers = {label: TrainerProtocol(**one) for label, one in data.get("trainers", {}).items()}
    return Protocol(id=key, **tuples(data) | {"trainers": trainers})


def _table(
    key: str,
    data: Toml,
    document: Document,
    protocol: Protocol,
    margins: Mapping[str, Margin],
) -> Table:
    columns = {
        name: Column(
            id=name,
            **tuples(one) | ({"margin": margins[one["margin"]]} if "margin" in one else {}),
        )
        for name, one in data["columns"].items()
    }
    rows = {name: _row(name, one, margins) for name, one in data["rows"].items()}
    for row in rows.values():
        if unknown := set(row.cells) - set(columns):
            raise ValueError(f"{key}: {row.id} has cells of no column: {', '.join(unknown)}")
    unstated = data.get("not_stated", "")
    return Table(key, data["source"], document, protocol, columns, rows, unstated)


def _row(name: str, data: Toml, margins: Mapping[str, Margin]) -> Row:
    cells = {column: _cell(value) for column, value in data["cells"].items()}
    stopping = {
        column: Stopping(tuple(one["metrics"]), tuple(one["values"]), margins[one["margin"]])
        for column, one in data.get("stopping", {}).items()
    }
    readings = () if data.get("incomparable") else tuple(data.get("readings", (name,)))
    return Row(name, data["title"], cells, readings, data.get("incomparable", ""), stopping)


def _cell(value: str | float | list[float] | Mapping[str, float]) -> Cell:
    match value:
        case str():
            return Cell(warmup=value)
        case list():
            return Cell(tuple(float(v) for v in value))
        case Mapping():
            return Cell((float(value["value"]),), float(value["sd"]))
        case _:
            return Cell((float(value),))


def tuples(data: Toml) -> dict[str, Any]:
    """Return a table whose lists are tuples, as the fields of a frozen dataclass must be."""
    return {
        key: tuple(tuple(v) if isinstance(v, list) else v for v in value)
        if isinstance(value, list)
        else value
        for key, value in data.items()
    }
