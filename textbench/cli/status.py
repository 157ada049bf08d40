"""`textbench status`: every run of a store and where it stands."""

from __future__ import annotations

import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path

import click

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.plan.codehash import code_hash
from textbench.store.directory import RunDirectory
from textbench.store.rows import ENVIRONMENT, Status

ORDER = ("done", "running", "queued", "interrupted", "timeout", "failed", "diverged")

EPILOG = """\b
Examples:
  textbench status
  textbench status --results /data/results"""


@click.command(epilog=EPILOG)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    metavar="DIR",
    help="The store that `textbench run` wrote.",
)
def command(results: Path) -> None:
    """Show every run: status, progress, last sign of life, and whether its code has changed.

    A run is `stale` when its trainer's source has changed since its last start.
    """
    runs = list(RunDirectory.find(results))
    if not runs:
        first = "textbench run --algos mle --task synthetic"
        click.echo(f"No runs in {results} yet; `{first}` starts one.")
        return
    rows = []
    counts: Counter[str] = Counter()
    for run in runs:
        spec, status = run.spec(), run.status()
        stale = is_stale(run, spec)
        counts[status.status] += 1
        counts["stale"] += stale
        rows.append(_row(run, status, stale))
    _print(rows)
    counted = ", ".join(f"{counts[name]} {name}" for name in (*ORDER, "stale") if counts[name])
    click.echo(f"\n{len(runs)} run{'s' * (len(runs) != 1)}: {counted}")


def is_stale(run: RunDirectory, spec: Spec) -> bool:
    """Tell whether the trainer's source has changed since the run's last start."""
    if not (run.path / ENVIRONMENT).exists():
        return False
    starts = run.read_json(ENVIRONMENT).get("starts", [])
    return bool(starts) and starts[-1].get("code") != _code_hash(spec.trainer, spec.plugins)


@cache
def _code_hash(trainer: str, plugins: tuple[str, ...]) -> str:
    try:
        return code_hash(trainer, plugins)
    except UserError:
        return ""  # a trainer that is gone has changed


def _row(run: RunDirectory, status: Status, stale: bool) -> list[str]:
    from textbench.cli.progress import clock

    progress = f"{status.step}/{status.total}" if status.total else ""
    age = f"{clock(time.time() - status.heartbeat)} ago" if status.heartbeat else ""
    state = status.status + (" (stale)" if stale else "")
    eta = f"{clock(status.eta)} left" if status.status == "running" and status.eta else ""
    return [run.name, state, status.phase, progress, age, eta or status.reason]


def _print(rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from textbench.cli.progress import STYLES

    # In a pipe nothing is cut: `textbench status | grep failed` sees whole lines.
    console = Console(width=None if sys.stdout.isatty() else 400)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("run", "status", "phase", "steps", "updated"):
        table.add_column(head, justify="right" if head == "steps" else "left", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in rows:
        table.add_row(row[0], Text(row[1], STYLES[row[1].split()[0]]), *row[2:])
    console.print(table, highlight=False)
