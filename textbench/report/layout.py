"""A table's frame laid out: headings, cells as text, notes; what every template is filled with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from textbench.contracts.plain import grouped
from textbench.report.definitions import ColumnSpec, row_names
from textbench.report.markup import MINUS, MISSING, counted, number, render
from textbench.report.notes import (
    NEVER_FOLLOWED,
    OTHER_ORACLE,
    OWN_GENERATOR,
    never_followed,
    notes,
)
from textbench.report.sections import Row, indexed, records
from textbench.report.tables import CSV_COLUMNS, Table, has_paper

Cells = Mapping[tuple[int, int], "Cell"]
"""By places of row and column."""
WIDE = 6
"""Columns of algorithms that a page of LaTeX has room for."""


@dataclass(frozen=True)
class Cell:
    """One value, as text."""

    ours: str
    best: bool = False
    paper: str | None = None
    """What the paper has; None where the column shows no paper."""
    paper_mark: str = ""


@dataclass(frozen=True)
class Head:
    """The heading of a column."""

    title: str
    latex: str | None = None
    paper: bool = False
    paper_mark: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a table."""

    name: str
    stub: str
    cells: tuple[Cell, ...] = ()
    options: str = ""
    mark: str = ""
    has_paper: bool = False


@dataclass(frozen=True)
class Block:
    """As many columns as fit beside each other."""

    heads: list[Head]
    rows: list[Line]


@dataclass(frozen=True)
class Layout:
    """All that the templates of a table are filled with."""

    id: str
    title: str
    section: str
    notes: list[str]
    corner: str
    stub: str
    blocks: list[Block]


def layout(table: Table) -> Layout:
    """Return what the templates need; a table of every metric has its metrics as lines."""
    rows = list(indexed(table.rows))
    groups = grouped(((line.at, line.number), line) for line in records(table.cells))
    cells = {(at, i): _cell(table, rows[at], lines) for (at, i), lines in groups.items()}
    down = table.spec.every_metric
    return Layout(
        table.id,
        table.spec.title,
        table.section.title,
        notes(table),
        *(("Metric", "better") if down else ("Algorithm", "seeds")),
        _metrics_down(table, cells) if down else [_metrics_across(table, cells)],
    )


def _metrics_across(table: Table, cells: Cells) -> Block:
    heads = [
        Head(column.title, column.latex, has_paper(table, i), _paper_mark(table, column.spec))
        for i, column in enumerate(table.columns)
    ]
    rows = []
    for at, line in enumerate(_lines(table)):
        mine = [cells[at, i] for i in range(len(heads))]
        shown = tuple(
            cell if head.paper else replace(cell, paper=None)
            for cell, head in zip(mine, heads, strict=True)
        )
        theirs = any(cell.paper not in (None, MISSING) for cell in shown)
        rows.append(replace(line, cells=shown, has_paper=theirs))
    return Block(heads, rows)


def _lines(table: Table) -> list[Line]:
    """Return how every line begins."""
    idle, found = never_followed(table), []
    for place, row in indexed(table.rows):
        mark = OWN_GENERATOR * bool(row.own_generator) + NEVER_FOLLOWED * (place in idle)
        stub = seeds(row.done, row.runs) if row.group else MISSING
        found.append(Line(row.name, stub, options=row.brief, mark=mark))
    return found


def seeds(done: int, runs: int) -> str:
    """Return ``"3"``, or ``"2 of 3"`` while some have no final result."""
    return str(done) if done == runs else f"{done} of {runs}"


def _metrics_down(table: Table, cells: Cells) -> list[Block]:
    lines = _lines(table)
    heads = [
        Head(line.name + line.mark + (f" [{line.options}]" if line.options else ""))
        for line in lines
    ]
    rows = [Line("seeds", "", tuple(Cell(line.stub) for line in lines))]
    for i, column in enumerate(table.columns):
        better = table.section.evaluations.direction(column.spec.id)
        mine = tuple(replace(cells[at, i], paper=None) for at in range(len(lines)))
        rows.append(Line(column.title, {"none": "neither"}.get(better, better), mine))
    return [
        Block(
            heads[first : first + WIDE],
            [replace(row, cells=row.cells[first : first + WIDE]) for row in rows],
        )
        for first in range(0, len(lines), WIDE)
    ]


def _paper_mark(table: Table, spec: ColumnSpec) -> str:
    """Mark the paper's numbers that depend on an oracle which is not ours; a time does not."""
    comparable = table.paper is None or table.same_oracle or spec.is_time
    return "" if comparable else OTHER_ORACLE


# -- cells -----------------------------------------------------------------------------------


def _cell(table: Table, place: tuple[int, Row], lines: Sequence[Row]) -> Cell:
    """Lay out the lines of one row and column: several for a pair of metrics."""
    (key, row), first = place, lines[0]
    column = table.columns[first.number].spec
    mark = _paper_mark(table, column) if any(pd.notna(line.paper) for line in lines) else ""
    runs = table.section.runs
    started = runs.loc[runs["row"] == key, "warmup_label"] if first.n and first.in_warmup else ()
    warmup = _name(", ".join(sorted({*started} - {""})))
    ours = _ours(lines, row.done, column, warmup)
    return Cell(ours, bool(first.best), _paper(lines, column), mark)


def _ours(lines: Sequence[Row], done: int, column: ColumnSpec, warmup: str) -> str:
    """Format our number with its spread, and how many seeds it is of where that is not all."""
    n, inside, spread = lines[0].n, lines[0].in_warmup, lines[0].shown_spread
    if not n:
        return MISSING
    if inside == n:
        return in_warmup(warmup, pair=len(column.metrics) > 1)
    if column.is_count:
        text = " + ".join(counted(line.mean) for line in lines)
        text += f" ± {counted(spread)}" if spread > 0 else ""
    else:
        text = " + ".join(_mean(line.mean, column.digits) for line in lines)
        text += f" ± {number(spread, column.digits)}" if math.isfinite(spread) else ""
    if inside:
        text += f" ({inside:.0f} of {n} in {warmup})"
    return text + (f" (n={n})" if n != done else "")


def _mean(value: float, digits: int) -> str:
    """Format a mean; one that would be 0 in so many digits is shown in others."""
    if not 0 < abs(value) < 0.5 * 10.0**-digits:
        return number(value, digits)
    needed = -math.floor(math.log10(abs(value)))
    return number(value, needed) if needed <= 6 else f"{value:.0e}".replace("-", MINUS)


def _paper(lines: Sequence[Row], column: ColumnSpec) -> str:
    """Format the paper's number."""
    warmup, sd = lines[0].paper_warmup, lines[0].paper_sd
    if warmup:
        return in_warmup(_name(warmup), pair=len(column.metrics) > 1)
    if any(pd.isna(line.paper) for line in lines):
        return MISSING
    text = " + ".join(number(line.paper, column.digits) for line in lines)
    return text if pd.isna(sd) else f"{text} ± {number(sd, column.digits)}"


def in_warmup(name: str, *, pair: bool) -> str:
    """Say, in the paper's words, that the best was acquired during the warm-up."""
    return f"(the same as {name})" if pair else f"-({name})"


def _name(label: str) -> str:
    return row_names().get(label, label)


# -- files -----------------------------------------------------------------------------------


def to_latex(table: Layout, unicode: bool = False) -> str:
    """Return ``table`` environments for a document that uses booktabs and graphicx."""
    return render("table.tex.jinja", vars(table), unicode)


def to_markdown(table: Layout) -> str:
    """Return a GitHub-flavoured table with its notes."""
    return render("table.md.jinja", vars(table))


def to_csv(frame: pd.DataFrame, columns: tuple[str, ...] = CSV_COLUMNS) -> str:
    """Return a frame's columns as CSV in full precision; missing numbers are empty."""
    text: str = frame.reindex(columns=list(columns)).to_csv(index=False, lineterminator="\n")
    return text
