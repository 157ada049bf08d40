"""The report's data files: which tables and figures there are, and which metrics come first."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from textbench.judge.published import Toml, tuples

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
    relative_to: str = ""
    latex: str = ""
    digits: int = 2
    direction: Literal["lower", "higher", "none"] = "lower"
    note: str = ""

    @property
    def is_time(self) -> bool:
        """Whether the column shows training time rather than a metric."""
        return self.select in ("epoch_seconds", "epoch_cpu_seconds")

    @property
    def is_count(self) -> bool:
        """Whether it shows whole numbers."""
        return self.select == "ledger"


@dataclass(frozen=True)
class RowSpec:
    """One listed row of a table."""

    label: str
    name: str


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
    """The published table (`textbench.judge.published`) that stands beside it."""
    baseline: str = ""
    """The row that the others are compared with, seed by seed."""
    every_metric: bool = False
    """Whether it has all metrics of the store, at the end of training, one per line."""
    only: tuple[str, ...] = ()
    """Patterns of the labels of the rows it is about; other tables leave those out."""
    listed_only: bool = False
    """Whether it shows no rows but the listed ones, which other tables have as well."""
    needs: tuple[str, ...] = ()
    """Patterns of labels; without such a row the table is not made."""

    def is_for(self, task: str) -> bool:
        """Tell whether the table is made for ``task``."""
        return matches(task, self.tasks)


@dataclass(frozen=True)
class SampleSpec:
    """The table of samples."""

    id: str
    title: str
    paper: str
    tasks: tuple[str, ...]
    lines: int
    """How many of each row."""


@dataclass(frozen=True)
class FigureSpec:
    """One figure."""

    id: str
    title: str
    kind: Literal["curves", "twin", "tradeoff", "paths"]
    metrics: tuple[str, ...]
    x_max: float = float("inf")
    """How much to show from where the last run takes over from its warm-up."""
    log: str = ""
    paper: str = ""
    panels: Mapping[str, str] = field(default_factory=dict)
    """Of a figure about certain rows: the pattern of their labels, by the panel's title."""
    published: str = ""
    """Of `paths`: the published table whose pairs stand as points in it."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Of these, two columns each: what is drawn against what."""


def matches(text: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a name matches one of several patterns."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


@functools.cache
def table_specs() -> tuple[TableSpec, ...]:
    """Return every table, those of the paper first."""
    files = [*sorted(HERE.glob("table*.toml")), HERE / "all.toml"]
    return tuple(_table(path.stem, _read(path.name)) for path in files)


def _table(name: str, data: Toml) -> TableSpec:
    columns = tuple(ColumnSpec(**tuples(column)) for column in data.get("columns", []))
    rows = tuple(RowSpec(**row) for row in data.get("rows", []))
    return TableSpec(**tuples(data) | {"id": name, "columns": columns, "rows": rows})


@functools.cache
def sample_spec() -> SampleSpec:
    """Return what the table of samples shows."""
    return SampleSpec(**tuples(_read("samples.toml")))


@functools.cache
def figure_specs() -> tuple[FigureSpec, ...]:
    """Return every figure."""
    return tuple(FigureSpec(**tuples(figure)) for figure in _read("figures.toml")["figures"])


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
    titles: dict[str, str] = _read("figures.toml")["axes"]
    return titles


def axis_title(name: str) -> str:
    """Return the title of a quantity; its name where it has none."""
    return axis_titles().get(name, name)


@functools.cache
def headlines(task: str) -> tuple[str, ...]:
    """Return the metrics that a task's algorithms are ranked by; none for an unknown task."""
    for entry in _read("ranking.toml")["headlines"]:
        if matches(task, tuple(entry["tasks"])):
            return tuple(entry["metrics"])
    return ()


@functools.cache
def usual_headlines() -> tuple[str, ...]:
    """Return the metrics by which algorithms are ranked on some task or other."""
    entries = _read("ranking.toml")["headlines"]
    return tuple(dict.fromkeys(metric for entry in entries for metric in entry["metrics"]))


@functools.cache
def references() -> tuple[str, ...]:
    """Return the labels of rows that are shown in rankings and compete for no place."""
    return tuple(_read("ranking.toml")["references"])


@functools.cache
def controls() -> tuple[str, ...]:
    """Return the patterns of the rows that are drawn in panels of their own."""
    return tuple(_read("ranking.toml")["controls"])


@functools.cache
def collapsed() -> dict[str, float]:
    """Return, by metric, up to which value in every seed a row counts as collapsed."""
    known: dict[str, float] = _read("ranking.toml")["collapsed"]
    return known


@functools.cache
def cautions() -> dict[str, str]:
    """Return what must be known of a metric before rows are ranked by it."""
    known: dict[str, str] = _read("ranking.toml")["cautions"]
    return known


@functools.cache
def row_names() -> dict[str, str]:
    """Return the display names of all listed rows, by label, in the order of the tables."""
    return {row.label: row.name for table in table_specs() for row in table.rows}


def _read(name: str) -> Toml:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))
