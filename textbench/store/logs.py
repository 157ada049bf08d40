"""The logs of runs, parsed once each, in several processes where there are many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from textbench.contracts.errors import one_line
from textbench.store.beside import beside
from textbench.store.columns import Columns, evaluation_columns, log_columns
from textbench.store.read import UNREADABLE, RecordedRun

SHARE = 25
"""Runs whose logs are worth a process of their own."""


class Logs(NamedTuple):
    """A run's own logs, or why they cannot be read."""

    evaluations: Columns | str
    log: Columns | str


def parse_logs(runs: Sequence[RecordedRun], processes: int) -> dict[str, Logs]:
    """Parse the logs of runs, by name, in up to so many processes, this one among them."""
    shares = max(1, min(processes, len(runs) // SHARE))
    mine, *others = (partial(_parse, runs[first::shares]) for first in range(shares))
    with beside(others, shares) as waiting:
        found = mine()
        for share in waiting:
            found |= share()
    return found


def _parse(runs: Sequence[RecordedRun]) -> dict[str, Logs]:
    return {r.name: Logs(or_why(evaluation_columns, r), or_why(log_columns, r)) for r in runs}


def or_why(read: Callable[[RecordedRun], Columns], run: RecordedRun) -> Columns | str:
    """Return a run's columns, or in one line why they cannot be read."""
    try:
        return read(run)
    except UNREADABLE as error:
        return one_line(error)
