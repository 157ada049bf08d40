"""Tables: rows of algorithms, columns of selected numbers, the paper's beside ours."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Literal

from textbench.judge.older import tied_with_best
from textbench.judge.stats import Summary, summarise
from textbench.plan import registry
from textbench.report.definitions import (
    ColumnSpec,
    Published,
    PublishedTable,
    TableSpec,
    published_tables,
)
from textbench.report.markup import latex
from textbench.report.select import UNFINISHED, Pick, pick
from textbench.store.replicates import Comparable, Row

Key = tuple[str, str]


@dataclass(frozen=True)
class Column:
    """A column of one protocol; a spec with several protocols becomes several columns."""

    spec: ColumnSpec
    protocol: str
    mark: str = ""
    """Tells the columns of one spec apart: ``"1"``, ``"2"``."""

    @property
    def title(self) -> str:
        """The heading."""
        return f"{self.spec.title} ({self.mark})" if self.mark else self.spec.title

    @property
    def latex(self) -> str:
        """The heading in LaTeX."""
        return (self.spec.latex or latex(self.spec.title)) + (
            f" ({self.mark})" if self.mark else ""
        )


@dataclass(frozen=True)
class Cell:
    """Our number."""

    summaries: tuple[Summary, ...] = ()
    """Over seeds, one per metric of the column; empty where there is no number."""
    spread: float = float("nan")
    """The ± shown: the seeds' sd (of the sum, for a pair), or the epochs' sd of a time."""
    in_warmup: int = 0
    """Seeds whose selected evaluation lies in the warm-up."""
    warmup_label: str = ""
    seeds: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """Each seed's own values."""
    reasons: tuple[str, ...] = ()
    """Why seeds of finished runs are missing."""

    @property
    def n(self) -> int:
        """How many seeds the number is of."""
        return len(self.seeds)

    @property
    def totals(self) -> dict[int, float]:
        """Each seed's number; the sum of a pair."""
        return {seed: sum(values) for seed, values in self.seeds.items()}


@dataclass(frozen=True)
class Table:
    """A table ready to be written in any format."""

    spec: TableSpec
    section: Comparable
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: dict[tuple[Key, int], Cell]
    """By row and column number."""
    paper: PublishedTable | None
    best: tuple[frozenset[Key] | None, ...] = ()
    """By column, the rows that share the first place; None where too few seeds to tell."""

    @property
    def id(self) -> str:
        """The stem of its files."""
        return f"{self.spec.id}-{self.section.slug}"

    @property
    def same_oracle(self) -> bool:
        """Whether the paper's absolute numbers are of the same oracle."""
        return self.paper is not None and self.paper.oracle in ("", *self.section.oracles)

    def published(self, row: Row, column: Column) -> Published:
        """Return the paper's number for a cell; empty where it reports none."""
        return published(self.paper, row.label, column.spec)


def published(paper: PublishedTable | None, label: str, column: ColumnSpec) -> Published:
    """Return a number of the paper; a column relative to a row is derived from both cells."""
    if paper is None:
        return Published()
    if not column.relative_to:
        return paper.cells.get((label, column.id), Published())
    mine, base = (
        paper.cells.get((row, column.select), Published()) for row in (label, column.relative_to)
    )
    if not (mine.values and base.values):
        return Published()
    return Published((mine.values[0] / base.values[0],))


def build(spec: TableSpec, section: Comparable) -> Table | None:
    """Fill a table for a section; None where the table has nothing to show."""
    if spec.listed_only:
        labels = {row.label for row in spec.rows}
        section = replace(section, rows=[row for row in section.rows if row.label in labels])
    if not section.rows:
        return None
    specs = _every_metric(section) if spec.every_metric else spec.columns
    paper = published_tables().get(spec.paper)
    if paper is not None and paper.task != section.task:
        paper = None
    columns, cells = _fill(specs, section)
    if not columns:
        return None
    rows = (*section.rows, *(_not_run(spec, section) if paper else ()))
    listed = {row.label: place for place, row in enumerate(spec.rows)}
    ordered = sorted(rows, key=lambda row: listed.get(row.label, len(listed)))
    best = tuple(_first_place(number, columns, cells) for number in range(len(columns)))
    return Table(spec, section, tuple(ordered), columns, cells, paper, best)


def _first_place(
    number: int, columns: tuple[Column, ...], cells: dict[tuple[Key, int], Cell]
) -> frozenset[Key] | None:
    """Return the rows of a metric's column that no row beats significantly."""
    spec = columns[number].spec
    if spec.is_time or spec.direction == "none":
        return frozenset()
    samples = {key: cell.totals for (key, column), cell in cells.items() if column == number}
    if sum(bool(values) for values in samples.values()) < 2:
        return frozenset()
    tied = tied_with_best(samples, higher=spec.direction == "higher")
    return None if tied is None else frozenset(tied)


def _not_run(spec: TableSpec, section: Comparable) -> list[Row]:
    present = {row.label for row in section.rows}
    return [Row("", row.label, row.name) for row in spec.rows if row.label not in present]


def _every_metric(section: Comparable) -> tuple[ColumnSpec, ...]:
    """One column per metric that has a value at the end of some run."""
    known = {
        metric
        for run in section.runs
        for moment in section.store.evaluations(run)
        for metric in moment.values
        if moment.final and moment.has(metric)
    }
    return tuple(
        ColumnSpec(
            id=metric,
            title=metric,
            select="final",
            metrics=(metric,),
            digits=3,
            direction=metric_direction(metric),
        )
        for metric in sorted(known)
    )


def metric_direction(metric: str) -> Literal["lower", "higher", "none"]:
    """Return which way a registered metric is better; ``none`` for any other."""
    found = registry.entries("metric").get(metric)
    declared = found.read().attributes.get("direction") if found else None
    return "lower" if declared == "lower" else "higher" if declared == "higher" else "none"


def _fill(
    specs: tuple[ColumnSpec, ...], section: Comparable
) -> tuple[tuple[Column, ...], dict[tuple[Key, int], Cell]]:
    columns: list[Column] = []
    cells: dict[tuple[Key, int], Cell] = {}
    for spec in specs:
        picks = {
            row.key: {run.spec.seed: pick(section, run, spec) for run in row.runs}
            for row in section.rows
        }
        if spec.relative_to:
            picks = _relative(picks, section.rows, spec.relative_to)
        found = (one.protocol for picked in picks.values() for one in picked.values())
        protocols = sorted({protocol for protocol in found if protocol}) or [""]
        for number, protocol in enumerate(protocols, start=1):
            column = Column(spec, protocol, str(number) if len(protocols) > 1 else "")
            for row in section.rows:
                cells[row.key, len(columns)] = _cell(row, picks[row.key], column)
            columns.append(column)
    return tuple(columns), cells


def _relative(
    picks: dict[Key, dict[int, Pick]], rows: list[Row], base: str
) -> dict[Key, dict[int, Pick]]:
    """Divide every run's mean by the base row's, of the same protocol (the same hardware)."""
    measured: dict[str, list[float]] = {}
    for row in rows:
        for one in picks[row.key].values():
            if row.label == base and one.values:
                measured.setdefault(one.protocol, []).append(fmean(one.values))

    def divided(one: Pick) -> Pick:
        if not one.values:
            return one
        if one.protocol not in measured:
            return Pick(reason=f"{base} has no time on the same hardware")
        return replace(one, values=(fmean(one.values) / fmean(measured[one.protocol]),))

    return {
        key: {seed: divided(one) for seed, one in picked.items()} for key, picked in picks.items()
    }


def _cell(row: Row, picks: dict[int, Pick], column: Column) -> Cell:
    mine = {
        seed: pick
        for seed, pick in picks.items()
        if pick.values and pick.protocol == column.protocol
    }
    absent = {one.reason for one in picks.values() if one.reason not in ("", UNFINISHED)}
    if not mine:
        return Cell(reasons=tuple(sorted(absent)))
    pooled = column.spec.is_time and not column.spec.relative_to
    per_seed = {seed: (fmean(one.values),) if pooled else one.values for seed, one in mine.items()}
    if pooled:
        spread = summarise([value for one in mine.values() for value in one.values]).sd
    else:
        spread = summarise([sum(values) for values in per_seed.values()]).sd
    warmups = {run.spec.warmup.label for run in row.runs if run.spec.warmup}
    return Cell(
        summaries=tuple(summarise(values) for values in zip(*per_seed.values(), strict=True)),
        spread=spread,
        in_warmup=sum(one.in_warmup for one in mine.values()),
        warmup_label=", ".join(sorted(warmups)),
        seeds=per_seed,
        reasons=tuple(sorted(absent)),
    )
