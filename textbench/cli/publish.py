"""`textbench publish`: compact records of finished runs, to be kept and cited."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from textbench.cli import options
from textbench.cli.terminal import refuse_foreign, say_left_out
from textbench.contracts.errors import UserError
from textbench.store import publish
from textbench.store.directory import RunDirectory
from textbench.store.files import replace
from textbench.store.read import RecordedRun, noting, read_store

PAGE = "README.md"
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
EPILOG = """\b
Examples:
  textbench publish results oracle
  textbench publish results mine --to ~/paper/results --only cot --only mle/s0
  textbench publish results figure2b --no-generators

\b
Numbers stay as they are. The training log is reduced to its means over each epoch,
samples.txt to its first lines, and one generator per row of at most 2 MiB goes along.
Repeating the command adds what has finished since.

\b
Exit codes: 0 published, 1 some finished runs were left out, 2 usage, or none is published."""


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument("store", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("name")
@options.folder(
    *("--to", "folder"), use="The folder of published stores.", default="results/published"
)
@click.option(
    "--only",
    multiple=True,
    metavar="PART",
    help="Publish the runs whose names contain PART; may be repeated.",
)
@options.flag(
    "--no-generators",
    use="Leave generators behind; `textbench sample` then names the command that makes one.",
)
def command(
    store: Path, name: str, folder: Path, only: tuple[str, ...], *, no_generators: bool
) -> None:
    """Write compact records of STORE's finished runs into the published store NAME.

    Every run is checked first: its record must fit together, its generator be what it wrote, and
    its code be a commit without changes. A plug-in may lie elsewhere; the store's page says so.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name of a store: letters, digits, and - _ . between them")
    target = folder / name
    if target.resolve() == store.resolve():
        raise UserError(f"{store} would be published into itself; name another store")
    refuse_foreign(target / PAGE, "textbench publish", "", "store")
    publish.sweep(target)
    sound, left_out = _sound(store, only)
    counts = {True: 0, False: 0}
    chosen = publish.with_generators(sound, target, others=not no_generators)
    for run in sound:
        with noting(left_out, run.name):
            counts[publish.publish(run, target, generator=run.hash in chosen)] += 1
    say_left_out(left_out)
    if not any(counts.values()):
        raise UserError(f"no run of {store} is published")
    page = publish.page(target.name, read_store(target).runs)
    replace(target / PAGE, page.encode())
    again = f", {counts[False]} as they were" if counts[False] else ""
    click.echo(f"{target}: {counts[True]} run(s) published{again}")
    if left_out:
        sys.exit(1)


def _sound(store: Path, only: tuple[str, ...]) -> tuple[list[RecordedRun], dict[str, str]]:
    """Return the runs to publish, and why others are left out.

    Raises:
        UserError: There is no run, or none that was meant.
    """
    found = [
        run
        for run in RunDirectory.find(store)
        if not only or any(part.strip("/") in run.name for part in only)
    ]
    if not found:
        raise UserError(f"no run in {store}" + (f" is called {' or '.join(only)}" if only else ""))
    sound: list[RecordedRun] = []
    left_out: dict[str, str] = {}
    for directory in found:
        with noting(left_out, directory.name):
            sound.append(publish.checked(directory))
    return sound, left_out
