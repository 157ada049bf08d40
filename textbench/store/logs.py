"""The logs of runs, parsed once each, in several processes where there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
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


@contextmanager
def parsing(runs: Sequence[RecordedRun], processes: int) -> Iterator[Callable[[], dict[str, Logs]]]:
    """Begin to parse the logs of runs; yield what waits for them, by the runs' names.

    Args:
        runs: Where they are many, other processes parse them while this one goes on.
        processes: At most so many, this one among them: it imports what comes next meanwhile.
    """
    others = min(processes - 1, len(runs) // SHARE)
    shares = max(1, others)
    parts = [partial(_parse, runs[first::shares]) for first in range(shares)]
    with beside(parts, others + 1) as waiting:
        yield lambda: dict(chain.from_iterable(part().items() for part in waiting))


def _parse(runs: Sequence[RecordedRun]) -> dict[str, Logs]:
    return {r.name: Logs(or_why(evaluation_columns, r), or_why(log_columns, r)) for r in runs}


def or_why(read: Callable[[RecordedRun], Columns], run: RecordedRun) -> Columns | str:
    """Return a run's columns, or in one line why they cannot be read."""
    try:
        return read(run)
    except UNREADABLE as error:
        return one_line(error)
