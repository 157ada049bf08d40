"""What the user watches while runs are running, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Self

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from textbench.contracts.errors import printable
from textbench.contracts.spec import Spec
from textbench.store.directory import RunDirectory
from textbench.store.rows import FINISHED, Status

PLAIN_EVERY = 10.0
"""Seconds between two lines about one run where the output is not a terminal."""
PLAIN_SAME = 60.0
"""The same when the line would say nothing new."""
REFRESH = 0.5
"""Seconds between two looks at the status files."""
STYLES = {
    "done": "green",
    "running": "cyan",
    "queued": "dim",
    "failed": "bold red",
    "diverged": "bold red",
    "timeout": "yellow",
    "interrupted": "yellow",
    "damaged": "bold red",
}


class Progress:
    """One live line per active run; plain lines where the output is not a terminal.

    Args:
        results: The store, whose status files are read.
        specs: Every run of the command.
        jobs: How many run at once.
        console: Where to print.
    """

    def __init__(self, results: Path, specs: Sequence[Spec], jobs: int, console: Console) -> None:
        self.results, self.jobs, self.console = results, jobs, console
        self.unsettled = {spec.directory(results): spec for spec in specs}
        self.total = len(specs)
        self._began: dict[Path, float] = {}
        self._durations: dict[str, float] = {}
        """Seconds that runs of a label took, or are going to take."""
        self._printed: dict[Path, tuple[float, str]] = {}
        """When a run's last plain line was printed, and what it said."""
        self._stopping = False
        self._refreshed = 0.0
        self._shown: list[tuple[Spec, Status]] = []
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def tick(self, active: Sequence[Spec]) -> None:
        """Show the active runs; cheap enough to be called all the time."""
        now = time.monotonic()
        if now - self._refreshed < REFRESH:
            return
        self._refreshed = now
        shown = [(spec, RunDirectory(spec.directory(self.results)).standing()) for spec in active]
        self._shown = shown
        for spec, status in shown:
            began = self._began.setdefault(spec.directory(self.results), now)
            if status.eta:
                self._durations[spec.label] = now - began + status.eta
        if self.console.is_terminal:
            self._live.update(self._table(shown), refresh=True)
            return
        for spec, status in shown:
            self._print_plain(spec, self._line(status), now)

    def _print_plain(self, spec: Spec, line: str, now: float) -> None:
        path = spec.directory(self.results)
        before, said = self._printed.setdefault(path, (now - PLAIN_EVERY + 1.0, ""))
        if now - before >= (PLAIN_SAME if line == said else PLAIN_EVERY):
            self._printed[path] = (now, line)
            self._print(f"{_name(spec)}: {line}")

    def stopping(self) -> None:
        """Say, once, that the workers have been asked to stop."""
        if not self._stopping:
            self._stopping = True
            self._print(
                "Stopping at the next checkpoints; who is evaluating finishes that first. "
                "Ctrl-C again stops at once and loses the time since the last checkpoints."
            )

    def finish(self, spec: Spec, status: Status) -> None:
        """Print the line of a settled run."""
        path = spec.directory(self.results)
        self.unsettled.pop(path, None)
        number = f"[{self.total - len(self.unsettled)}/{self.total}]"
        if path in self._began:
            seconds = time.monotonic() - self._began[path]
            self._durations[spec.label] = seconds
            took = f" in {clock(seconds)}"
        else:
            took = " (already)" if status.status in FINISHED else ""
        state = Text(status.status, STYLES[status.status])
        note = status.note if path in self._began or status.status not in FINISHED else ""
        words = [printable(status.reason), printable(note), self._metrics(status)]
        rest = "".join(f"; {word}" for word in words if word)
        self._shown = [(other, its) for other, its in self._shown if other != spec]
        if self.console.is_terminal:
            self._live.update(self._table(self._shown))
        self._print(Text.assemble(f"{number} {_name(spec)}: ", state, f"{took}{rest}"))

    def _print(self, line: str | Text) -> None:
        text = Text(line) if isinstance(line, str) else line
        self.console.print(text, highlight=False, soft_wrap=True)

    def _table(self, shown: Sequence[tuple[Spec, Status]]) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        sides: tuple[JustifyMethod, ...] = ("left", "left", "right", "right", "right")
        for justify in sides:
            table.add_column(justify=justify, no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for spec, status in shown:
            steps, rate, eta = _numbers(status)
            phase = Text(printable(status.phase))
            table.add_row(_name(spec), phase, steps, rate, eta, self._metrics(status))
        waiting = len(self.unsettled) - len(shown)
        left = self._time_left(shown)
        words = [
            f"{self.total - len(self.unsettled)} of {self.total} runs settled",
            f"{waiting} waiting" if waiting else "",
            f"about {clock(left)} left" if left else "",
        ]
        return Group(table, Text(", ".join(word for word in words if word), "dim"))

    def _metrics(self, status: Status) -> str:
        names = status.headlines or list(status.metrics)
        return "  ".join(f"{name} {status.metrics[name]:.3f}" for name in names)

    def _line(self, status: Status) -> str:
        words = [printable(status.phase), *_numbers(status), self._metrics(status)]
        return ", ".join(word for word in words if word) or "starting"

    def _time_left(self, shown: Sequence[tuple[Spec, Status]]) -> float:
        """Estimate the command's remaining seconds; 0 while nothing is known.

        Runs that have not started are taken to last as long as others of their label, or else
        as the average run.
        """
        if not self._durations or not all(status.eta for _, status in shown):
            return 0.0
        average = fmean(self._durations.values())
        active = {spec.directory(self.results) for spec, _ in shown}
        waiting = [spec for path, spec in self.unsettled.items() if path not in active]
        work = sum(self._durations.get(spec.label, average) for spec in waiting)
        running = [status.eta for _, status in shown]
        return max([(work + sum(running)) / self.jobs, *running])


def clock(seconds: float) -> str:
    """Return a duration as people say it: ``45s``, ``3m05s``, ``2h10m``, ``1d04h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def _name(spec: Spec) -> str:
    return f"{spec.label} seed {spec.seed}"


def _numbers(status: Status) -> tuple[str, str, str]:
    steps = f"{status.step}/{status.total}" if status.total else ""
    rate = f"{status.rate:.3g} steps/s" if status.rate else ""
    return steps, rate, f"{clock(status.eta)} left" if status.eta else ""


def summary(outcomes: Sequence[tuple[Spec, Status]], width: int) -> Table:
    """Return the table of runs: status, steps, and as many metrics as fit ``width``."""
    found = dict.fromkeys(name for _, status in outcomes for name in status.metrics)
    headlines = {name for _, status in outcomes for name in status.headlines}
    metrics = sorted(found, key=lambda name: name not in headlines)
    rows: list[list[str | Text]] = []
    for spec, status in outcomes:
        state = Text(status.status, STYLES[status.status])
        rows.append([spec.task, spec.label, str(spec.seed), state, _numbers(status)[0]])
    heads = ["task", "algorithm", "seed", "status", "steps"]
    used = sum(
        2 + max([len(head), *(len(str(row[i])) for row in rows)]) for i, head in enumerate(heads)
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, justify="right" if head in ("seed", "steps") else "left")
    for name in metrics:
        used += len(name) + 2
        if used <= width:
            table.add_column(name, justify="right")
    shown = metrics[: len(table.columns) - len(heads)]
    for row, (_, status) in zip(rows, outcomes, strict=True):
        values = [status.metrics.get(name) for name in shown]
        table.add_row(*row, *("" if value is None else f"{value:.3f}" for value in values))
    return table
