"""The cells of a table as text: our number, the paper's, and what stands for the warm-up's."""

from __future__ import annotations

import math

from textbench.report.definitions import Published, row_names
from textbench.report.markup import MISSING, number
from textbench.report.tables import Cell, Column
from textbench.store.replicates import Row


def ours(cell: Cell, row: Row, column: Column) -> str:
    """Format our number with its spread, and how many seeds it is of where that is not all."""
    if not cell.seeds:
        return MISSING
    spec = column.spec
    if cell.in_warmup == cell.n:
        return in_warmup(cell.warmup_label, pair=len(spec.metrics) > 1)
    text = " + ".join(number(summary.mean, spec.digits) for summary in cell.summaries)
    if math.isfinite(cell.spread):
        text += f" ± {number(cell.spread, spec.digits)}"
    if cell.in_warmup:
        text += f" ({cell.in_warmup} of {cell.n} in {_name(cell.warmup_label)})"
    if cell.n != len(row.done):
        text += f" (n={cell.n})"
    return text


def paper(published: Published, column: Column) -> str:
    """Format the paper's number."""
    if published.warmup:
        return in_warmup(published.warmup, pair=len(column.spec.metrics) > 1)
    if not published.values:
        return MISSING
    text = " + ".join(number(value, column.spec.digits) for value in published.values)
    return text if published.sd is None else f"{text} ± {number(published.sd, column.spec.digits)}"


def in_warmup(label: str, *, pair: bool) -> str:
    """Say, in the paper's words, that the best was acquired during the warm-up."""
    return f"(the same as {_name(label)})" if pair else f"-({_name(label)})"


def _name(label: str) -> str:
    return row_names().get(label, label)
