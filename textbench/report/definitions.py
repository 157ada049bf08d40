"""The report's data files: which tables and figures there are, and what the paper reports."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

Select = Literal[
    "final", "best", "change", "ledger", "logged", "epoch_seconds", "epoch_cpu_seconds"
]
HERE = Path(__file__).parent
TEMPERED = "* alpha=*"
"""The rows of generators that were evaluated again at another inverse temperature."""


@dataclass(frozen=True)
class ColumnSpec:
    """One column of a table: a metric, or several, and the rule that selects the evaluation.

    Of `ledger` the "metrics" are counts of the ledger, of `logged` quantities of the training log.
    """

    id: str
    title: str
    select: Select
    metrics: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    """What `best` minimises the sum of; the column's own metrics unless given."""
    relative_to: str = ""
    latex: str = ""
    digits: int = 2
    direction: Literal["lower", "higher", "none"] = "lower"
    note: str = ""

    @property
    def criterion(self) -> tuple[str, ...]:
        """The metrics that decide which evaluation is the best."""
        return self.by or self.metrics

    @property
    def is_time(self) -> bool:
        """Whether the column shows training time rather than a metric."""
        return self.select in ("epoch_seconds", "epoch_cpu_seconds")

    @property
    def clock(self) -> Literal["seconds", "cpu_seconds"]:
        """Which clock a time column reads."""
        return "cpu_seconds" if self.select == "epoch_cpu_seconds" else "seconds"


@dataclass(frozen=True)
class RowSpec:
    """One listed row of a table."""

    label: str
    name: str
    reference: str = ""


@dataclass(frozen=True)
class TableSpec:
    """One table."""

    id: str
    title: str
    tasks: tuple[str, ...]
    """Patterns of the names of the tasks it is made for."""
    columns: tuple[ColumnSpec, ...] = ()
    rows: tuple[RowSpec, ...] = ()
    paper: str = ""
    """The paper's table that stands beside it."""
    baseline: str = ""
    """The row that the others are compared with, seed by seed."""
    every_metric: bool = False
    """Whether the columns are all metrics of the store, at the end of training."""
    only: tuple[str, ...] = ()
    """Patterns of the labels of the rows it is about; other tables leave those out."""
    listed_only: bool = False
    """Whether it shows no rows but the listed ones, which other tables have as well."""

    def is_for(self, task: str) -> bool:
        """Tell whether the table is made for ``task``."""
        return any(fnmatchcase(task, pattern) for pattern in self.tasks)


@dataclass(frozen=True)
class SampleSpec:
    """The table of samples."""

    id: str
    title: str
    paper: str
    tasks: tuple[str, ...]
    lines: int
    """How many of each row."""

    def is_for(self, task: str) -> bool:
        """Tell whether the table is made for ``task``."""
        return any(fnmatchcase(task, pattern) for pattern in self.tasks)


@dataclass(frozen=True)
class FigureSpec:
    """One figure."""

    id: str
    title: str
    kind: Literal["curves", "twin", "tradeoff"]
    metrics: tuple[str, ...]
    x: str = "epoch"
    x_max: float = float("inf")
    """How much to show from where the last run takes over from its warm-up."""
    log: str = ""
    paper: str = ""
    panels: Mapping[str, str] = field(default_factory=dict)
    """Of a figure about certain rows: the pattern of their labels, by the panel's title."""


@dataclass(frozen=True)
class Published:
    """One published number, or pair of numbers."""

    values: tuple[float, ...] = ()
    sd: float | None = None
    warmup: str = ""
    """The row that the cell refers to: the best was acquired during its training."""


@dataclass(frozen=True)
class PublishedTable:
    """One table of the paper."""

    source: str
    task: str
    oracle: str
    """Whose absolute numbers they are; empty where the task has no oracle."""
    presets: tuple[str, ...]
    """Those of ours that train as long as the paper."""
    cells: Mapping[tuple[str, str], Published]
    """By row label and column id."""


@dataclass(frozen=True)
class Quantity:
    """One number per run of a row."""

    row: str
    stat: Literal["final", "best", "rise", "change", "correlation", "epoch_seconds"]
    metrics: tuple[str, ...] = ()
    options: str = ""
    log: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper in words, as a comparison of quantities."""

    id: str
    text: str
    source: str
    task: str
    relation: Literal["<", ">"]
    left: Quantity
    right: Quantity | float
    factor: float = 1.0


@functools.cache
def claims() -> tuple[Claim, ...]:
    """Return the paper's claims."""
    return tuple(_claim(dict(claim)) for claim in _read(HERE / "claims.toml")["claims"])


def _claim(data: dict[str, Any]) -> Claim:
    for side in ("left", "right"):
        if isinstance(data[side], dict):
            data[side] = Quantity(**_tuples(data[side]))
    return Claim(**data)


@functools.cache
def table_specs() -> tuple[TableSpec, ...]:
    """Return every table, those of the paper first."""
    files = [*sorted(HERE.glob("table*.toml")), HERE / "all.toml"]
    return tuple(_table(path.stem, _read(path)) for path in files)


def _table(name: str, data: dict[str, Any]) -> TableSpec:
    columns = tuple(ColumnSpec(**_tuples(column)) for column in data.pop("columns", []))
    rows = tuple(RowSpec(**row) for row in data.pop("rows", []))
    return TableSpec(id=name, columns=columns, rows=rows, **_tuples(data))


@functools.cache
def sample_spec() -> SampleSpec:
    """Return what the table of samples shows."""
    return SampleSpec(**_tuples(_read(HERE / "samples.toml")))


@functools.cache
def figure_specs() -> tuple[FigureSpec, ...]:
    """Return every figure."""
    return tuple(FigureSpec(**_tuples(f)) for f in _read(HERE / "figures.toml")["figures"])


@functools.cache
def grid_rows() -> tuple[str, ...]:
    """Return the patterns of the rows that have tables or figures of their own.

    Temperatures are among them: a sweep would flood every table.
    """
    tables = [pattern for table in table_specs() for pattern in table.only]
    figures = [pattern for figure in figure_specs() for pattern in figure.panels.values()]
    return (*tables, *figures, TEMPERED)


@functools.cache
def axis_titles() -> dict[str, str]:
    """Return the titles of known quantities, in matplotlib's markup."""
    titles: dict[str, str] = _read(HERE / "figures.toml")["axes"]
    return titles


@functools.cache
def published_tables() -> dict[str, PublishedTable]:
    """Return the paper's tables."""
    data = _read(HERE / "paper.toml")
    return {key: _published(table) for key, table in data.items() if isinstance(table, dict)}


def paper_title() -> str:
    """Return the paper's title and which version of it the numbers are from."""
    data = _read(HERE / "paper.toml")
    return f"“{data['title']}”, {data['version']}"


def _published(table: dict[str, Any]) -> PublishedTable:
    cells = {
        (row, column): _published_cell(value)
        for row, columns in table["rows"].items()
        for column, value in columns.items()
    }
    oracle, presets = table.get("oracle", ""), tuple(table["presets"])
    return PublishedTable(table["source"], table["task"], oracle, presets, cells)


def _published_cell(value: Any) -> Published:
    match value:
        case str():
            return Published(warmup=value)
        case list():
            return Published(tuple(float(v) for v in value))
        case {"value": number, "sd": sd}:
            return Published((float(number),), float(sd))
        case _:
            return Published((float(value),))


def row_names() -> dict[str, str]:
    """Return the display names of all listed rows, by label, in the order of the tables."""
    return {row.label: row.name for table in table_specs() for row in table.rows}


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
