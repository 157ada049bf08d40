"""Differences to a baseline, seed by seed: what a comparison of two spreads cannot show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from textbench.judge.older import Difference, compare, seeds_needed
from textbench.judge.stats import holm
from textbench.report.markup import MISSING, number
from textbench.report.tables import Column, Key, Table
from textbench.store.frames import SHORT
from textbench.store.replicates import Row

CSV_COLUMNS = (
    *("table", "task", "task_fingerprint", "preset", "baseline", "row", "label", "options"),
    *("group", "column", "protocol", "paired", "n", "difference", "ci95_low", "ci95_high"),
    *("effect", "p", "p_holm", "smallest_p"),
)


@dataclass(frozen=True)
class Differences:
    """Every row of a table minus its baseline."""

    table: Table
    baseline: Row
    rows: tuple[Row, ...]
    columns: tuple[tuple[int, Column], ...]
    """The table's columns of metrics, with their numbers."""
    cells: dict[tuple[Key, int], tuple[Difference, float]]
    """By row and column number: the difference and its p corrected by Holm."""

    @property
    def id(self) -> str:
        """The stem of its files."""
        return f"{self.table.spec.id}-differences-{self.table.section.slug}"


def differences(table: Table) -> Differences | None:
    """Compare the rows with the baseline's; None where there is nothing to compare."""
    candidates = [row for row in table.section.rows if row.label == table.spec.baseline]
    baseline = max(candidates, key=lambda row: len(row.done), default=None)
    if baseline is None:
        return None
    columns = tuple((i, c) for i, c in enumerate(table.columns) if not c.spec.is_time)
    cells = {}
    for i, _ in columns:
        base = table.cells[baseline.key, i].totals
        found = {
            row.key: compare(table.cells[row.key, i].totals, base)
            for row in table.section.rows
            if row is not baseline and base and table.cells[row.key, i].seeds
        }
        corrected = holm([difference.p for difference in found.values()]).tolist()
        for (key, difference), p in zip(found.items(), corrected, strict=True):
            cells[key, i] = (difference, p)
    rows = tuple(row for row in table.section.rows if any(key == row.key for key, _ in cells))
    return Differences(table, baseline, rows, columns, cells) if rows else None


def layout(found: Differences) -> dict[str, Any]:
    """Return what the table templates need."""
    section = found.table.section
    return {
        "id": found.id,
        "title": f"Differences to {found.baseline.title}, seed by seed",
        "section": section.title,
        "heads": [
            {
                "title": column.title,
                "latex": column.latex,
                "paper": False,
                "paper_mark": "",
            }
            for _, column in found.columns
        ],
        "rows": [_row(found, row) for row in found.rows],
        "notes": list(_notes(found)),
    }


def _row(found: Differences, row: Row) -> dict[str, Any]:
    cells = []
    for i, column in found.columns:
        difference, p = found.cells.get((row.key, i), (None, 1.0))
        text = _text(difference, p, column.spec.digits) if difference else MISSING
        significant = difference is not None and p <= 0.05
        cells.append({"ours": text, "best": significant, "paper": None, "paper_mark": ""})
    return {
        "name": row.name,
        "options": row.options,
        "mark": "",
        "seeds": _seeds(found, row),
        "cells": cells,
        "has_paper": False,
    }


def _seeds(found: Differences, row: Row) -> str:
    sizes = {
        f"{difference.n}{'' if difference.paired else ' unpaired'}"
        for (key, _), (difference, _) in found.cells.items()
        if key == row.key
    }
    return ", ".join(sorted(sizes))


def _text(difference: Difference, p: float, digits: int) -> str:
    text = number(difference.mean, digits, signed=True)
    if math.isnan(difference.low):  # one pair has no interval
        return text
    low, high = (number(end, digits, signed=True) for end in (difference.low, difference.high))
    return f"{text} [{low}, {high}] p={number(p, 3)}"


def _notes(found: Differences) -> Iterator[str]:
    yield (
        f"Row minus {found.baseline.title}: mean of the differences between equal seeds, which "
        "share data and initial generator [95 % t-interval], and p of the exact sign-flip test "
        "(Welch's interval and Mann-Whitney where no seeds are shared), Holm-corrected over the "
        "rows of a column. Bold: p at most 0.05."
    )
    floor = min(difference.floor for difference, _ in found.cells.values())
    needed = seeds_needed(len(found.rows))
    if floor * len(found.rows) > 0.05:
        yield (
            f"With this many seeds nothing can be significant: p cannot fall below {floor:.3g} "
            f"before correction; {len(found.rows)} comparison(s) need {needed} paired seeds."
        )


def csv_lines(found: Differences) -> Iterator[list[Any]]:
    """Yield the lines of the CSV file, in full precision."""
    section = found.table.section
    for row in found.rows:
        for i, column in found.columns:
            if (row.key, i) not in found.cells:
                continue
            d, p = found.cells[row.key, i]
            yield [
                *(found.table.spec.id, section.task, section.fingerprint[:SHORT], section.preset),
                *(found.baseline.title, row.title, row.label, row.options, row.group[:SHORT]),
                *(column.spec.id, column.protocol, d.paired, d.n, d.mean, d.low, d.high),
                *(d.effect, d.p, p, d.floor),
            ]
