"""`textbench export`: a store in a format that other evaluation suites read, or as one archive."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from textbench.cli import options
from textbench.cli.terminal import refuse_folder_of_stores, say_left_out
from textbench.contracts.errors import UserError, printable
from textbench.store import export, files
from textbench.store.read import Results, noting, read_store

EPILOG = """\b
Examples:
  textbench export
  textbench export --results /data/results --out eee --organisation 'My Lab'
  textbench export --zip results.zip

\b
Exit codes: 0 exported, 1 damaged runs were left out, 2 usage, or nothing to export."""


@click.command(cls=options.Command, epilog=EPILOG)
@options.results("The store to export.")
@options.folder("--out", use="Where the JSON files go.  [default: export, without --zip]")
@options.file(
    *("--zip", "archive"),
    use="Write one archive: the JSON files and the records of the runs they are of.",
)
@options.text("--organisation", metavar="NAME", use="Who reports the numbers.", default="unknown")
@options.flag("--force", use="Replace files that are there already.")
def command(
    results: Path, out: Path | None, archive: Path | None, organisation: str, force: bool
) -> None:
    """Write the final numbers of finished runs as Every Eval Ever's JSON, a file per row and seed.

    The archive is for a repository of data: its bytes depend on the store alone, and the sentences
    of a corpus are not in it.
    """
    refuse_folder_of_stores(results)
    store = read_store(results)
    kept = _records(store) if archive is not None else {}  # whose record is damaged has no numbers
    found, unfinished = collect(store, organisation)
    if unfinished:
        click.echo(f"textbench: {unfinished} run(s) are not done and left out", err=True)
    say_left_out(store.unreadable)
    if not found:
        raise UserError(f"no run in {results} is done: there is nothing to export")
    out = out or (None if archive else Path("export"))
    targets = {out / name: content for name, content in found.items()} if out else {}
    if archive is not None:
        targets[archive] = export.archive({**found, **kept})
    if not force:
        export.refuse_to_replace(targets.items())
    for path, content in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, content)
    where = ", ".join(str(path) for path in (out, archive) if path)
    schema = f"Every Eval Ever's schema {export.SCHEMA_VERSION}"
    click.echo(printable(f"{len(found)} evaluations by {schema}: {where}"))
    if store.unreadable:
        sys.exit(1)


def collect(store: Results, organisation: str) -> tuple[export.Files, int]:
    """Return the files of what is done, and how many runs are not; what is damaged is noted.

    Args:
        store: Its `unreadable` grows.
        organisation: Who reports the numbers.
    """
    found: export.Files = {}
    for run in store.rows:
        if run.status.status != "done" or run.directory.name in store.unreadable:
            continue
        with noting(store.unreadable, run.directory.name):
            name, content = export.exported(run, organisation)
            found[name] = content
    return found, sum(run.status.status != "done" for run in store.runs)


def _records(store: Results) -> export.Files:
    """Return the records of what is done; what is damaged is noted."""
    found: export.Files = {}
    for run in store.runs:
        if run.status.status == "done" and run.directory.name not in store.unreadable:
            with noting(store.unreadable, run.directory.name):
                export.exported(run, "")  # what has no numbers has no record in the archive
                found |= export.records(run)
    return found
