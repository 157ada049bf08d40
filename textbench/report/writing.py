"""A table as files: LaTeX, Markdown and CSV."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from textbench.report.markup import MISSING, render
from textbench.report.notes import OTHER_ORACLE, OWN_GENERATOR, has_own_generator, notes
from textbench.report.tables import Cell, Column, Table
from textbench.report.text import ours, paper
from textbench.store.frames import EVALUATION_COLUMNS, METRIC_COLUMNS, RUN_COLUMNS, SHORT, identity
from textbench.store.read import Results
from textbench.store.replicates import Row

CSV_COLUMNS = (
    *("table", "task", "task_fingerprint", "preset", "row", "label", "options", "group"),
    *("column", "metric", "select", "relative_to", "protocol", "runs", "n", "mean", "sd"),
    *("ci95_low", "ci95_high", "shown_spread", "in_warmup", "seeds"),
    *("paper", "paper_sd", "paper_warmup", "paper_source", "reason"),
)


def layout(table: Table) -> dict[str, Any]:
    """Return what the templates need: headings, cells as text, notes."""
    return {
        "id": table.id,
        "title": table.spec.title,
        "section": table.section.title,
        "heads": [_head(table, column) for column in table.columns],
        "rows": [_row(table, row) for row in table.rows],
        "notes": notes(table),
    }


def _head(table: Table, column: Column) -> dict[str, Any]:
    return {
        "title": column.title,
        "latex": column.latex,
        "paper": _has_paper(table, column),
        "paper_mark": _paper_mark(table, column),
    }


def _paper_mark(table: Table, column: Column) -> str:
    """Mark the paper's numbers that depend on an oracle which is not ours; a time does not."""
    comparable = table.paper is None or table.same_oracle or column.spec.is_time
    return "" if comparable else OTHER_ORACLE


def _has_paper(table: Table, column: Column) -> bool:
    found = (table.published(row, column) for row in table.rows)
    return any(published.values or published.warmup for published in found)


def _row(table: Table, row: Row) -> dict[str, Any]:
    cells = []
    for number, column in enumerate(table.columns):
        published = table.published(row, column)
        text = paper(published, column)
        cells.append(
            {
                "ours": ours(table.cells.get((row.key, number), Cell()), row, column),
                "best": row.key in (table.best[number] or ()),
                "paper": text if _has_paper(table, column) else None,
                "paper_mark": _paper_mark(table, column) if published.values else "",
            }
        )
    return {
        "name": row.name,
        "options": row.options,
        "mark": OWN_GENERATOR if has_own_generator(row) else "",
        "seeds": row.seeds if row.group else MISSING,
        "cells": cells,
        "has_paper": any(cell["paper"] not in (None, MISSING) for cell in cells),
    }


def to_latex(context: dict[str, Any]) -> str:
    """Return a ``table`` environment for a document that uses booktabs and graphicx."""
    return render("table.tex.jinja", context)


def to_markdown(context: dict[str, Any]) -> str:
    """Return a GitHub-flavoured table with its notes."""
    return render("table.md.jinja", context)


def to_csv(table: Table) -> str:
    """Return the table in long form and full precision, one line per row, column and metric."""
    lines = (
        line
        for row in table.rows
        for number, column in enumerate(table.columns)
        for line in _csv_lines(table, row, column, number)
    )
    return csv_text(CSV_COLUMNS, lines)


def _csv_lines(table: Table, row: Row, column: Column, number: int) -> list[list[Any]]:
    cell = table.cells.get((row.key, number), Cell())
    spec, theirs, section = column.spec, table.published(row, column), table.section
    lines = []
    for i, metric in enumerate(spec.metrics or (spec.select,)):
        ours = cell.summaries[i] if cell.summaries else None
        lines.append(
            [
                *(table.spec.id, section.task, section.fingerprint[:SHORT], section.preset),
                *(row.title, row.label, row.options, row.group[:SHORT]),
                *(spec.id, metric, spec.select, spec.relative_to, column.protocol),
                *(len(row.runs), cell.n),
                *((ours.mean, ours.sd, ours.low, ours.high) if ours else (None,) * 4),
                *(cell.spread, cell.in_warmup if cell.seeds else None),
                " ".join(f"{seed}={values[i]!r}" for seed, values in cell.seeds.items()),
                theirs.values[i] if theirs.values else None,
                theirs.sd,
                theirs.warmup,
                table.paper.source if table.paper and (theirs.values or theirs.warmup) else "",
                "; ".join(cell.reasons) if row.group else "not run",
            ]
        )
    return lines


def csv_text(columns: Sequence[str], lines: Iterable[Iterable[Any]]) -> str:
    """Return CSV in full precision; missing numbers are empty."""
    return "".join(f"{_fields(line)}\n" for line in (columns, *lines))


def _fields(values: Iterable[Any]) -> str:
    return ",".join(_field(value) for value in values)


def _field(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return "" if value is None else _quoted(str(value))


@functools.cache
def _quoted(text: str) -> str:
    """Quote as RFC 4180 says, where it must be."""
    return '"' + text.replace('"', '""') + '"' if re.search('[",\r\n]', text) else text


def data_csv(store: Results) -> str:
    """Return what `textbench.load_results` loads, as CSV in full precision."""
    ledger = dict.fromkeys(
        name for run in store.rows for moment in store.evaluations(run) for name in moment.ledger
    )
    lines = [_fields((*RUN_COLUMNS, *EVALUATION_COLUMNS, *METRIC_COLUMNS, *ledger))]
    for run in store.rows:
        if run.name in store.unreadable:
            continue
        who = _fields(identity(run).values())
        for number, m in enumerate(store.evaluations(run)):
            at = (number, m.warmup, m.phase, m.step, m.epoch, m.final, m.seconds, m.cpu_seconds)
            where = f"{who},{_fields(at)}"
            counts = "".join(f",{m.ledger.get(name, '')}" for name in ledger)
            for metric, value in m.values.items():
                shown = "" if math.isnan(value) else repr(value)
                reason, protocol = m.reasons.get(metric, ""), m.protocols.get(metric, "")
                about = m.numbers[metric]
                said = (reason, protocol, about.direction, about.unit, about.summary)
                how = f"{_quoted(metric)},{shown},{_fields(said)}"
                lines.append(f"{where},{how}{counts}")
    return "\n".join(lines) + "\n"
