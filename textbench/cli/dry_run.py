"""`textbench run --dry-run`: what a command would do with each run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbench.contracts.errors import UserError, one_line, printable
from textbench.run.changed import code_here, goes_on_with_other_code
from textbench.run.endings import not_done
from textbench.store.directory import RunDirectory
from textbench.store.rows import FINISHED, SPEC, Status

if TYPE_CHECKING:
    from textbench.contracts.spec import Spec


def say_what_would_run(results: Path, specs: Sequence[Spec]) -> None:
    """Print what a command would do with each run."""
    code = cache(code_here)
    for spec in specs:
        directory = RunDirectory(spec.directory(results))
        try:
            status, wrong = _looked_at(directory, spec)
            action = "skip" if status.status in FINISHED else "resume" if status.step else "run"
        except OSError as error:  # which says nothing of the run, and stops it
            action, wrong = "fail", one_line(error)
        if action == "resume" and goes_on_with_other_code(directory, code(spec.trainer)):
            wrong = "its steps so far were made by other code"
        line = f"{action:<6}  {directory.path}  ({spec.label} seed {spec.seed})"
        click.echo(printable(f"{line}: {wrong}" if wrong else line))
    click.echo(f"{len(specs)} runs; nothing was started (--dry-run)")


def _looked_at(directory: RunDirectory, spec: Spec) -> tuple[Status, str]:
    """Return where a run stands and what will have to be mended; nothing is changed.

    Raises:
        OSError: A file of it may not be read.
    """
    try:
        status = directory.status()
        if os.path.lexists(directory.path / SPEC):
            directory.spec()
        wrong = not_done(directory, spec.hash, status) if status.status == "done" else ""
    except UserError as error:
        wrong = one_line(error)
    return (Status("interrupted"), wrong) if wrong else (status, "")
