"""Numbers per run that claims in words are about."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np

from textbench.judge.older import rank_correlation
from textbench.report.curves import log_curves
from textbench.report.definitions import ColumnSpec, Quantity
from textbench.report.select import pick
from textbench.store.read import Moment, RecordedRun
from textbench.store.replicates import Comparable, Row

Measured = dict[int, tuple[float, str]]
"""Value and protocol by seed."""


def measure(quantity: Quantity, section: Comparable) -> Measured:
    """Measure a quantity on the finished runs of its row; empty if there are none."""
    row = find_row(quantity, section)
    if row is None:
        return {}
    found = {run.spec.seed: _value(quantity, row, run, section) for run in row.done}
    return {seed: value for seed, value in found.items() if value is not None}


def find_row(quantity: Quantity, section: Comparable) -> Row | None:
    """Return the row a quantity is about; of several, the one with most finished runs.

    Where the algorithm was only run with changed options, and in one way, that row stands in.
    """
    rows = [row for row in section.rows if row.label == quantity.row]
    if quantity.options:
        rows = [row for row in rows if quantity.options in row.options.split(", ")]
    elif len(rows) > 1:
        rows = [row for row in rows if row.unchanged]
    return max(rows, key=lambda row: len(row.done), default=None)


def _value(
    quantity: Quantity, row: Row, run: RecordedRun, section: Comparable
) -> tuple[float, str] | None:
    if quantity.stat in ("final", "epoch_seconds"):
        found = pick(section, run, ColumnSpec("", "", quantity.stat, metrics=quantity.metrics))
        total = fmean if quantity.stat == "epoch_seconds" else sum
        return (total(found.values), found.protocol) if found.values else None
    curve = _curve(section.store.evaluations(run), quantity.metrics)
    if not any(not moment.warmup for moment in curve):
        return None
    protocol = curve[-1].protocol(*quantity.metrics)
    if quantity.stat == "correlation":
        value = _correlation(curve, quantity, section, row, run)
    else:
        value = _of_curve(curve, quantity)
    return (value, protocol) if math.isfinite(value) else None


def _curve(evaluated: list[Moment], metrics: tuple[str, ...]) -> list[Moment]:
    """Return the evaluations of the curve's protocol that have all metrics."""
    found = [moment for moment in evaluated if moment.has(*metrics)]
    regular = [moment for moment in found if not moment.final] or found
    return [m for m in found if m.protocol(*metrics) == regular[-1].protocol(*metrics)]


def _of_curve(curve: list[Moment], quantity: Quantity) -> float:
    numbers = [moment.sum(*quantity.metrics) for moment in curve]
    warmup = sum(moment.warmup for moment in curve)
    match quantity.stat:
        case "best":
            return min(numbers)
        case "rise":
            return numbers[-1] - min(numbers)
        case _:
            return numbers[-1] - numbers[max(0, warmup - 1)]


def _correlation(
    curve: list[Moment], quantity: Quantity, section: Comparable, row: Row, run: RecordedRun
) -> float:
    """Return the rank correlation of a metric with a logged quantity; NaN below 3 points.

    The log's mean over an epoch stands in its middle, so it is interpolated to the evaluations.
    """
    logged = next((c for c in log_curves(section, quantity.log) if c.row is row), None)
    points = logged.seeds.get(run.name, {}) if logged else {}
    at = [m for m in curve if points and min(points) <= m.epoch <= max(points)]
    if len(at) < 3:
        return math.nan
    heights = np.interp([m.epoch for m in at], sorted(points), [points[x] for x in sorted(points)])
    return rank_correlation(heights.tolist(), [m.sum(*quantity.metrics) for m in at])
