"""A table's frame laid out: headings, cells as text, notes; what every template is filled with."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import NotRequired, TypedDict

import pandas as pd

from textbench.report.definitions import ColumnSpec, row_names
from textbench.report.markup import MISSING, counted, number, render
from textbench.report.notes import (
    NEVER_FOLLOWED,
    OTHER_ORACLE,
    OWN_GENERATOR,
    never_followed,
    notes,
)
from textbench.report.sections import Row, records
from textbench.report.tables import CSV_COLUMNS, Table, has_paper

Cells = Mapping[tuple[Hashable, ...], "Cell"]
"""By places of row and column."""
WIDE = 6
"""Columns of algorithms that a page of LaTeX has room for."""


class Cell(TypedDict):
    """One value, as text."""

    ours: str
    best: bool
    paper: str | None
    """What the paper has; None where the column shows no paper."""
    paper_mark: NotRequired[str]


class Head(TypedDict):
    """The heading of a column."""

    title: str
    latex: str | None
    paper: bool
    paper_mark: NotRequired[str]


class Stub(TypedDict):
    """How a line begins."""

    name: str
    options: str
    mark: str
    stub: str


class Line(Stub):
    """A line of a table."""

    cells: list[Cell]
    has_paper: bool


class Block(TypedDict):
    """As many columns as fit beside each other."""

    heads: list[Head]
    rows: list[Line]


class Layout(TypedDict):
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
    groups = {
        key: lines
        for key, lines in table.cells.groupby(["at", "number"], sort=False, observed=True)
    }
    cells = {key: _cell(table, lines) for key, lines in groups.items()}
    down = table.spec.every_metric
    return {
        "id": table.id,
        "title": table.spec.title,
        "section": table.section.title,
        "notes": notes(table),
        "corner": "Metric" if down else "Algorithm",
        "stub": "better" if down else "seeds",
        "blocks": _metrics_down(table, cells) if down else [_metrics_across(table, cells)],
    }


def _metrics_across(table: Table, cells: Cells) -> Block:
    heads: list[Head] = [
        {
            "title": column.title,
            "latex": column.latex,
            "paper": has_paper(table, i),
            "paper_mark": _paper_mark(table, column.spec),
        }
        for i, column in enumerate(table.columns)
    ]
    rows: list[Line] = []
    for at, line in enumerate(_lines(table)):
        mine = [
            cells[at, i] if head["paper"] else without_paper(cells[at, i])
            for i, head in enumerate(heads)
        ]
        theirs = any(cell["paper"] not in (None, MISSING) for cell in mine)
        rows.append({**line, "cells": mine, "has_paper": theirs})
    return {"heads": heads, "rows": rows}


def without_paper(cell: Cell) -> Cell:
    """Return a cell of a column that shows no paper."""
    return {**cell, "paper": None}


def _lines(table: Table) -> list[Stub]:
    idle = never_followed(table)
    places = zip(table.rows.index, records(table.rows), strict=True)
    return [_line(row, idle=place in idle) for place, row in places]


def _line(row: Row, *, idle: bool) -> Stub:
    own = OWN_GENERATOR if row.own_generator else ""
    return {
        "name": row.name,
        "options": row.options,
        "mark": own + (NEVER_FOLLOWED if idle else ""),
        "stub": seeds(row.done, row.runs) if row.group else MISSING,
    }


def seeds(done: int, runs: int) -> str:
    """Return ``"3"``, or ``"2 of 3"`` while some have no final result."""
    return str(done) if done == runs else f"{done} of {runs}"


def _metrics_down(table: Table, cells: Cells) -> list[Block]:
    lines = _lines(table)
    named = [
        line["name"] + line["mark"] + (f" [{line['options']}]" if line["options"] else "")
        for line in lines
    ]
    blocks: list[Block] = []
    for first in range(0, len(lines), WIDE):
        block = range(first, min(first + WIDE, len(lines)))
        heads: list[Head] = [{"title": named[at], "latex": None, "paper": False} for at in block]
        counts: list[Cell] = [
            {"ours": lines[at]["stub"], "best": False, "paper": None} for at in block
        ]
        rows = [_metric_line("seeds", "", counts)]
        rows += [
            _metric_line(
                column.title,
                table.section.evaluations.direction(column.spec.id),
                [without_paper(cells[at, i]) for at in block],
            )
            for i, column in enumerate(table.columns)
        ]
        blocks.append({"heads": heads, "rows": rows})
    return blocks


def _metric_line(name: str, better: str, cells: list[Cell]) -> Line:
    shown = {"": "", "none": "neither"}.get(better, better)
    return {
        "name": name,
        "options": "",
        "mark": "",
        "stub": shown,
        "cells": cells,
        "has_paper": False,
    }


def _paper_mark(table: Table, spec: ColumnSpec) -> str:
    """Mark the paper's numbers that depend on an oracle which is not ours; a time does not."""
    comparable = table.paper is None or table.same_oracle or spec.is_time
    return "" if comparable else OTHER_ORACLE


# -- cells -----------------------------------------------------------------------------------


def _cell(table: Table, lines: pd.DataFrame) -> Cell:
    """Lay out the lines of one row and column: several for a pair of metrics."""
    first = lines.iloc[0]
    column = table.columns[first["number"]].spec
    row = table.rows.iloc[first["at"]]
    has_value = lines["paper"].notna().any()
    return {
        "ours": _ours(lines, first, row, column, table),
        "best": bool(first["best"]),
        "paper": _paper(lines, first, column),
        "paper_mark": _paper_mark(table, column) if has_value else "",
    }


def _ours(
    lines: pd.DataFrame,
    first: pd.Series,
    row: pd.Series,
    column: ColumnSpec,
    table: Table,
) -> str:
    """Format our number with its spread, and how many seeds it is of where that is not all."""
    n, inside = first["n"], first["in_warmup"]
    if not n:
        return MISSING
    warmup = _warmup_name(table, row)
    if inside == n:
        return in_warmup(warmup, pair=len(column.metrics) > 1)
    spread = first["shown_spread"]
    if column.is_count:
        text = " + ".join(counted(value) for value in lines["mean"])
        text += f" ± {counted(spread)}" if spread > 0 else ""
    else:
        text = " + ".join(number(value, column.digits) for value in lines["mean"])
        text += f" ± {number(spread, column.digits)}" if math.isfinite(spread) else ""
    if inside:
        text += f" ({inside:.0f} of {n} in {warmup})"
    return text + (f" (n={n})" if n != row["done"] else "")


def _warmup_name(table: Table, row: pd.Series) -> str:
    runs = table.section.runs
    labels = set(runs.loc[runs["row"] == row.name, "warmup_label"]) - {""}
    return _name(", ".join(sorted(labels)))


def _paper(lines: pd.DataFrame, first: pd.Series, column: ColumnSpec) -> str:
    """Format the paper's number."""
    if first["paper_warmup"]:
        return in_warmup(_name(first["paper_warmup"]), pair=len(column.metrics) > 1)
    if lines["paper"].isna().any():
        return MISSING
    text = " + ".join(number(value, column.digits) for value in lines["paper"])
    sd = first["paper_sd"]
    return text if sd is None or math.isnan(sd) else f"{text} ± {number(sd, column.digits)}"


def in_warmup(name: str, *, pair: bool) -> str:
    """Say, in the paper's words, that the best was acquired during the warm-up."""
    return f"(the same as {name})" if pair else f"-({name})"


def _name(label: str) -> str:
    return row_names().get(label, label)


# -- files -----------------------------------------------------------------------------------


def to_latex(context: Mapping[str, object], unicode: bool = False) -> str:
    """Return ``table`` environments for a document that uses booktabs and graphicx."""
    return render("table.tex.jinja", context, unicode)


def to_markdown(context: Mapping[str, object]) -> str:
    """Return a GitHub-flavoured table with its notes."""
    return render("table.md.jinja", context)


def to_csv(frame: pd.DataFrame, columns: tuple[str, ...] = CSV_COLUMNS) -> str:
    """Return a frame's columns as CSV in full precision; missing numbers are empty."""
    text: str = frame.reindex(columns=list(columns)).to_csv(index=False, lineterminator="\n")
    return text
