"""`textbench status`: every run of a store and where it stands."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from textbench.cli import options
from textbench.cli.terminal import NARROW, print_narrow, printer, refuse_folder_of_stores
from textbench.contracts.errors import UserError, one_line, printable
from textbench.run.changed import is_stale
from textbench.store.directory import RunDirectory
from textbench.store.read import UNREADABLE, RecordedRun, problems, read_run
from textbench.store.rows import Status

SKEW = 60.0
"""Seconds by which the clocks of two machines may differ without a word."""
ORDER = ("done", "running", "queued", "interrupted", "timeout", "failed", "diverged", "damaged")

EPILOG = """\b
Examples:
  textbench status
  textbench status --results /data/results
  textbench status --verify
  textbench status --json | jq -r '.[] | select(.status == "failed") | .reason'

\b
Exit codes: 0; with --verify 1 if anything is damaged, 2 if there is no run."""


@click.command(cls=options.Command, epilog=EPILOG)
@options.results("The store that `textbench run` wrote.")
@options.flag("--verify", use="Read every file of every run instead, and list what is damaged.")
@options.flag("--json", "as_json", use="Print a JSON array, an object per run.")
def command(results: Path, verify: bool, as_json: bool) -> None:
    """Show every run: status, progress, last sign of life, and whether its code has changed.

    A run is `stale` when its trainer's source (of a plug-in: the file that it names) has changed
    since its last start, and `damaged` when its record cannot be read or contradicts itself.
    """
    runs = list(RunDirectory.find(results))
    if verify:
        if not runs:  # a path that is misspelt must not pass for a sound store
            refuse_folder_of_stores(results)
            raise UserError(f"no runs in {results}: there is nothing to verify")
        sys.exit(_verify(runs))
    if as_json:
        click.echo(json.dumps([_described(run) for run in runs], indent=1))
        return
    if not runs:
        refuse_folder_of_stores(results)
        first = "textbench run --algos mle --task synthetic"
        click.echo(f"No runs in {results} yet; `{first}` starts one.")
        return
    rows = []
    counts: Counter[str] = Counter()
    for run in runs:
        try:
            recorded = _read(run)
        except UNREADABLE as error:
            counts["damaged"] += 1
            rows.append([run.name, "damaged", "", "", "", one_line(error)])
            continue
        stale = is_stale(recorded.spec, recorded.starts)
        counts[recorded.status.status] += 1
        counts["stale"] += stale
        rows.append(_row(run, recorded.status, stale))
    _print(rows)
    counted = ", ".join(f"{counts[name]} {name}" for name in (*ORDER, "stale") if counts[name])
    click.echo(f"\n{len(runs)} run{'s' * (len(runs) != 1)}: {counted}")


def _read(run: RunDirectory) -> RecordedRun:
    """Read a run, its evaluations included: those of one that is not done have no checksum."""
    recorded = read_run(run)
    run.evaluations()
    return recorded


def _described(run: RunDirectory) -> dict[str, object]:
    """Return what scripts want to know of a run, as JSON data."""
    try:
        recorded = _read(run)
    except UNREADABLE as error:
        return {"run": run.name, "status": "damaged", "reason": one_line(error)}
    spec, status = recorded.spec, recorded.status
    return {
        "run": run.name,
        "label": spec.label,
        "task": spec.task,
        "seed": spec.seed,
        "preset": spec.preset,
        "hash": spec.hash,
        "status": status.status,
        "stale": is_stale(recorded.spec, recorded.starts),
        "reason": status.reason,
        "note": status.note,
        "phase": status.phase,
        "step": status.step,
        "total": status.total,
        "heartbeat": status.heartbeat,
        "metrics": status.metrics,
    }


def _verify(runs: Sequence[RunDirectory]) -> int:
    """Print what is wrong with each run, a line each; return the exit code."""
    damaged = 0
    for run in runs:
        found = problems(run)
        damaged += bool(found)
        for problem in found:
            click.echo(printable(f"{run.name}: {problem}"))
    click.echo(f"{len(runs)} run{'s' * (len(runs) != 1)} read, {damaged} damaged")
    return 1 if damaged else 0


def _row(run: RunDirectory, status: Status, stale: bool) -> list[str]:
    from textbench.cli.progress import clock

    progress = f"{status.step}/{status.total}" if status.total else ""
    state = status.status + (" (stale)" if stale else "")
    eta = f"{clock(status.eta)} left" if status.status == "running" and status.eta else ""
    note = eta or status.reason or status.note
    return [run.name, state, status.phase, progress, age(status.heartbeat, time.time()), note]


def age(heartbeat: float, now: float) -> str:
    """Return how long ago a run was last heard of; the clocks of two machines differ somewhat."""
    from textbench.cli.progress import clock

    if not heartbeat:
        return ""
    return "in the future" if heartbeat > now + SKEW else f"{clock(max(now - heartbeat, 0))} ago"


def _print(rows: list[list[str]]) -> None:
    width = shutil.get_terminal_size((NARROW, 0)).columns
    if sys.stdout.isatty() and width < NARROW:
        print_narrow(rows, width)
        return
    from rich.table import Table
    from rich.text import Text

    from textbench.cli.progress import STYLES

    # In a pipe nothing is cut: `textbench status | grep failed` sees whole lines.
    console = printer(None if sys.stdout.isatty() else 400)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("run", "status", "phase", "steps", "updated"):
        table.add_column(head, justify="right" if head == "steps" else "left", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in rows:
        cells = [Text(printable(cell)) for cell in row]  # text, and never markup
        cells[1].stylize(STYLES[row[1].split()[0]])
        table.add_row(*cells)
    console.print(table, highlight=False)
