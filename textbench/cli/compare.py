"""`textbench compare`: has anything got worse?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbench.cli import options
from textbench.cli.terminal import refuse_foreign, stores_in
from textbench.contracts.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from textbench.store.read import Results

EPILOG = """\b
Examples:
  textbench compare results/published/ci results/ci
  textbench compare main/results results --strict --out summary.md

\b
Exit codes: 0 no regression, 1 a regression, 2 usage, or nothing that can be judged."""


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@options.file(
    "--out",
    use="Write the Markdown there as well; of files that are there only its own are replaced.",
)
@options.flag(
    "--strict",
    use="Fail too if something of BASE is missing in NEW, seeds included, was made differently or "
    "has no spread, or if one seed of NEW has gone astray.",
)
def command(base: Path, new: Path, out: Path | None, strict: bool) -> None:
    """Compare the result store NEW with BASE, metric by metric, and print a Markdown summary.

    A regression is a number that is worse by more than BASE's seeds let expect by chance (of a
    metric that has no better: any such change), or a failed run that BASE finished.
    """
    from textbench.judge.comparison import compare_stores
    from textbench.report.compared import to_markdown

    if out is not None:
        refuse_foreign(out, "textbench compare")
    stores = [(str(path), _read(role, path)) for role, path in (("BASE", base), ("NEW", new))]
    found = compare_stores(stores[0][1], stores[1][1])
    if found.empty:
        missing = [f"missing in NEW: {one}" for one in found.missing]
        reasons = [*found.mismatched, *missing, *found.notes]
        raise UserError(f"{base} and {new} have nothing to compare: {'; '.join(reasons[:3])}")
    text = to_markdown(found, stores, strict)
    click.echo(text, nl=False)
    if out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"--out {out}: {error.strerror}") from None
    if not (found.judged or found.regressions or (strict and found.incomplete)):
        raise UserError(
            f"nothing{' that differs' * found.identical} could be judged: compare finished runs, "
            "and of several seeds in BASE (--seeds 0:10), or of equal seeds"
        )
    sys.exit(1 if found.regressions or (strict and found.incomplete) else 0)


def _read(role: str, path: Path) -> Results:
    """Read a store that has runs, or name the nearest one that has."""
    from textbench.store.read import read_store

    if not path.is_dir():
        near = did_you_mean(str(path), stores_in(path.parent))
        raise UserError(f"{role}: there is no folder {path}{near}")
    store = read_store(path)
    if not store.runs:
        for name, reason in store.unreadable.items():
            raise UserError(f"{role}: no readable run in {path}: {name}: {reason}")
        raise UserError(f"{role}: no runs in {path}{did_you_mean(str(path), stores_in(path))}")
    return store
