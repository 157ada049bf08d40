"""What commands say beside their results, and what a terminal can show."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbench.contracts.errors import UserError, printable
from textbench.store.directory import RunDirectory
from textbench.store.rows import PRINTED, SPEC, Status

if TYPE_CHECKING:
    from rich.console import Console

UNREAD = 128 + 13
"""Exit code where nobody reads the output any more: what a shell shows of a SIGPIPE."""
BEGINNING = 1000
"""Bytes of a file that say whose it is."""
NARROW = 100
"""Columns; below, a run's status comes first and its reason has lines of its own."""


def warn(line: str) -> None:
    """Print a warning, one line on stderr."""
    click.secho(printable(f"textbench: warning: {' '.join(line.split())}"), err=True, fg="yellow")


def say(line: str) -> None:
    """Print a line on stderr, if anybody reads that."""
    with contextlib.suppress(BrokenPipeError):
        click.echo(printable(f"textbench: {line}"), err=True)


def printer(width: int | None = None) -> Console:
    """Return what prints tables; where nobody reads them any more, it raises `BrokenPipeError`."""
    from rich.console import Console

    class Printer(Console):
        def on_broken_pipe(self) -> None:  # rich's own ends the process, with exit code 1
            raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more")

    return Printer(width=width)


def lead_nowhere() -> None:
    """Lead to nowhere what is still to be written to a closed pipe: Python would try at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def say_left_out(reasons: Mapping[str, str]) -> None:
    """Print which runs are left out, and why, a line each on stderr."""
    for name, reason in reasons.items():
        click.echo(printable(f"textbench: {name} is left out: {reason}"), err=True)


def open_missing_streams() -> None:
    """Let a stream that the shell has closed (``>&-``) lead nowhere, for workers as well.

    Else its number would be that of the next file that is opened.
    """
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - it stays
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def replace_what_cannot_be_shown() -> None:
    """Let a terminal of another encoding (latin-1, cp1252) show ``?`` instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def refuse_foreign(path: Path, command: str, where: str = "--out: ", other: str = "file") -> None:
    """Refuse to write over a file that some other hand has filled; what is ours names its command.

    Args:
        path: What is to be written; an empty file is nobody's loss.
        command: Whose output may be replaced.
        where: What names the file, if an option does.
        other: What the user may name instead.

    Raises:
        UserError: It is there, and not ours.
    """
    if not path.is_file():
        return
    with open(path, "rb") as file:
        start = file.read(BEGINNING)
    if start and command.encode() not in start:
        raise UserError(
            f"{where}{path} is there already, and `{command}` has not written it; "
            f"name another {other}, or remove it"
        )


def refuse_folder_of_stores(results: Path) -> None:
    """Say where the stores are, if a folder has none of its own runs but lies above or in a store.

    Raises:
        UserError: It is so.
    """
    if any(True for _ in RunDirectory.find(results)):
        return
    for up, inside in enumerate((f"*/*/{SPEC}", f"*/{SPEC}", SPEC), start=1):
        if any(True for _ in results.glob(inside)):
            store = os.path.normpath(results.joinpath(*[os.pardir] * up))
            raise UserError(f"{results} is a part of a store: say --results {shlex.quote(store)}")
    if stores := stores_in(results):
        named = ", ".join(Path(store).name for store in stores)
        raise UserError(
            f"{results} holds no runs itself; the stores {named} lie in it: say "
            f"--results {shlex.quote(stores[0])}"
        )


def stores_in(folder: Path) -> list[str]:
    """Return the folders in ``folder`` that hold runs, sorted."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [str(path) for path in inside if any(True for _ in RunDirectory.find(path))]


def short_names(names: Sequence[str], width: int) -> list[str]:
    """Return the names of runs in at most ``width`` characters, still different from each other.

    Hashes go first, then folders and beginnings that all share, then the middle.

    Args:
        names: ``task/algorithm/s<seed>-<hash8>``, all different.
        width: How much room there is; where it cannot be kept, names stay longer.
    """
    if not names or max(map(len, names)) <= width:
        return list(names)
    bare = [name.rpartition("-")[0] or name for name in names]
    shown = bare if len(set(bare)) == len(bare) else list(names)
    if max(map(len, shown)) <= width:
        return shown
    common = os.path.commonpath([name.rpartition("/")[0] for name in shown])
    shown = [name.removeprefix(f"{common}/") for name in shown]
    if max(map(len, shown)) <= width:
        return shown
    for head in range(width // 3, -1, -1):
        cut = [_cut(name, head, width) for name in shown]
        if len(set(cut)) == len(cut):
            return cut
    return shown


def _cut(name: str, head: int, width: int) -> str:
    if len(name) <= width:
        return name
    tail = max(width - head - 1, 1)
    return f"{name[:head]}…{name[-tail:]}"


def print_narrow(rows: Sequence[Sequence[str]], width: int) -> None:
    """Print a line per run, its status first, and what there is to say of it below.

    Args:
        rows: Name, status, phase, steps, age and note of each.
        width: Of the terminal.
    """
    from textbench.cli.progress import STYLES

    states = max(len(row[1]) for row in rows)
    steps = max(len(row[3]) for row in rows)
    names = short_names([row[0] for row in rows], max(width - states - steps - 4, 12))
    longest = max(map(len, names))
    for name, row in zip(names, rows, strict=True):
        style = STYLES[row[1].split()[0]].split()
        colour = next((word for word in style if word not in ("bold", "dim")), None)
        state = click.style(f"{row[1]:<{states}}", fg=colour, bold="bold" in style)
        click.echo(f"{state}  {printable(name):<{longest}}  {row[3]}".rstrip())
        if row[5]:
            note = click.wrap_text(printable(row[5]), max(width, 20), "  ", "  ")
            click.echo(note)


def reasons(
    results: Path, failed: Sequence[tuple[RunDirectory, Status]], most: int = 3
) -> list[str]:
    """Return why runs went wrong, a line each, and where more stands if anything does.

    Args:
        results: The store.
        failed: The runs.
        most: How many are told.
    """
    lines = []
    for run, status in failed[:most]:
        log = run.path / PRINTED
        more = ""
        with contextlib.suppress(OSError):
            more = f" (more in {log})" if log.is_file() and log.stat().st_size else ""
        said = " ".join(printable(status.reason).split()) or "no reason is on record"
        lines.append(f"{run.name} went wrong: {said}{more}")
    if len(failed) > most:
        command = f"textbench status --results {shlex.quote(str(results))}"
        lines.append(f"{len(failed) - most} more went wrong: {command}")
    return lines
