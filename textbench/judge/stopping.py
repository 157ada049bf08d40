"""Numbers that were taken at an unstated time: was the pair ever reached?

The paper states no epoch for CoT's final pair, so there is no end of training to compare. The whole
curve is held against it instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from textbench.judge.measures import curves, of_row
from textbench.judge.power import LEAST
from textbench.judge.published import Stopping
from textbench.judge.sections import Line, Section


class Outcome(NamedTuple):
    """What a verdict says of a number, and why."""

    name: str
    """One of `textbench.judge.verdicts.OUTCOMES`."""
    why: str
    needed: int | None = None
    """Seeds, those at hand included, that would decide."""
    margin: float | None = None
    """By which it was judged, if not by its column's."""


def few(n: int) -> str:
    """Say that so many seeds are too few."""
    return f"{n} seed{'s' * (n != 1)}: a verdict needs {LEAST}"


def first_reached(
    curve: pd.DataFrame, target: Mapping[str, float], margin: float
) -> tuple[str, float]:
    """Say whether one run's curve ever came to a published number or pair, and at which epoch.

    Args:
        curve: The run's evaluations, in order, with a column per metric and ``epoch``.
        target: The published value by metric; lower is better.
        margin: How near is the same, of each.

    Returns:
        ``reached`` where one evaluation has all numbers within the margin; ``passed`` where a later
        one has all of them below (or one has, and none was within); ``not reached``. And the epoch:
        of the first within, or below; of the last, where there is none.
    """
    off = np.array([curve[metric].to_numpy(float) - at for metric, at in target.items()])
    within, below = np.all(np.abs(off) <= margin, axis=0), np.all(off < 0, axis=0)
    epochs = curve["epoch"].to_numpy(float)
    if within.any():
        first = int(np.argmax(within))
        return ("passed" if below[first + 1 :].any() else "reached"), float(epochs[first])
    if below.any():
        return "passed", float(epochs[np.argmax(below)])
    return "not reached", float(epochs[-1])


def stopped(stopping: Stopping, section: Section, line: Line) -> Outcome:
    """Judge a row by a number of an unstated time; return its outcome."""
    mine = of_row(curves(section.evaluations, stopping.metrics), line.key)
    target = dict(zip(stopping.metrics, stopping.values, strict=True))
    told = [
        first_reached(one, target, stopping.margin.value)
        for _, one in mine.groupby("run", observed=True)
    ]
    n, ways = len(told), [way for way, _ in told]
    there = [epoch for way, epoch in told if way != "not reached"]
    pair = stopping.text
    if not there:
        last = max((epoch for _, epoch in told), default=math.nan)
        who = f"by {n} seed{'s' * (n != 1)}"
        outcome, why = "not reached", f"{pair} not reached within {last:g} epochs {who}"
    else:
        passed = ways.count("passed")
        median = float(np.median(there))
        why = f"{pair} reached within {stopping.margin.value:g} at epoch {median:g} (median) in "
        why += f"{len(there)} of {n} seeds"
        why += f", and passed, then or later, in {passed}" if passed else ""
        outcome = "passed" if 2 * passed > n else "reached"
        outcome = outcome if 2 * len(there) > n else "undecided"
    if n < LEAST:
        return Outcome("undecided", f"{why}; {few(n)}", LEAST)
    return Outcome(outcome, why, margin=stopping.margin.value)
