"""A store's runs and their logs, read once each, in several processes where there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from textbench.contracts.errors import one_line
from textbench.store.beside import beside
from textbench.store.columns import Columns, evaluation_columns, log_columns
from textbench.store.directory import RunDirectory
from textbench.store.read import UNREADABLE, Found, RecordedRun, Results, look

SHARE = 25
"""Runs that are worth another process; so many are handed over at a time."""


class Logs(NamedTuple):
    """A run's own logs, or why they cannot be read."""

    evaluations: Columns | str
    log: Columns | str


Read = tuple[Results, dict[str, Logs]]
"""A store's runs, and their logs by the runs' names."""


@contextmanager
def reading(directory: Path, processes: int) -> Iterator[Callable[[], Read]]:
    """Begin to read a store; yield what waits for its runs and their logs.

    Args:
        directory: The store. Where its runs are many, other processes read them meanwhile.
        processes: At most so many, this one among them: it has something else to do.
    """
    runs = list(RunDirectory.find(directory))
    jobs = [partial(_read, runs[at : at + SHARE]) for at in range(0, len(runs), SHARE)]
    with beside(jobs, processes - 1 if len(runs) >= SHARE else 0) as waiting:
        yield lambda: _together([part() for part in waiting])


def _read(runs: Sequence[RunDirectory]) -> list[tuple[Found, dict[str, Logs]]]:
    return [(one, {row.name: parse(row) for row in one.rows}) for one in map(look, runs)]


def _together(parts: Sequence[list[tuple[Found, dict[str, Logs]]]]) -> Read:
    found = list(chain.from_iterable(parts))
    logs = {name: log for _, own in found for name, log in own.items()}
    return Results(one for one, _ in found), logs


def parse(run: RecordedRun) -> Logs:
    """Parse both logs of a run."""
    return Logs(or_why(evaluation_columns, run), or_why(log_columns, run))


def or_why(read: Callable[[RecordedRun], Columns], run: RecordedRun) -> Columns | str:
    """Return a run's columns, or in one line why they cannot be read."""
    try:
        return read(run)
    except UNREADABLE as error:
        return one_line(error)
