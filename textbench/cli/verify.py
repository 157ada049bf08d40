"""`textbench verify`: is the record of a run what the run would write?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from textbench.cli import options
from textbench.contracts.errors import UserError, printable

EPILOG = """\b
Examples:
  textbench verify results/synthetic/cot/s0-0123abcd
  textbench verify cot/s0 --steps 500

\b
Exit codes: 0 everything is as it should be, 1 something is not, 2 usage."""

MOST = 5
"""Differences that are shown."""


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument("run", metavar="RUN")
@options.count("--steps", use="Training steps to make again.", default=100)
@options.results("The store to look for RUN in.")
@options.device("Where to make them.", "cpu")
@options.plugins("Python file with the run's trainer or task, if it is yours")
def command(run: str, steps: int, results: Path, device: str) -> None:
    """Read the whole record of RUN, make its first steps again, and compare.

    RUN is a run's directory, or any part of its name or hash that no other run of the store shares.
    """
    from textbench.cli.engines import compute_on
    from textbench.cli.recorded import find_run
    from textbench.store.read import problems

    directory = find_run(run, results)
    wrong = [line.removeprefix("it is not done: ") for line in problems(directory)]
    _say("files", wrong, "every file is what the run wrote")
    if wrong:  # nothing can be compared with a record that is damaged
        sys.exit(1)
    if directory.spec().given:
        raise UserError(
            f"{directory.name} are sentences of another system: there is no training to make again"
        )
    from textbench.run.repeat import repeat

    found = repeat(directory, steps, compute_on(device))
    if not (found.compared or found.differences):
        raise UserError(
            f"nothing was compared: {directory.name} has no number on record of its first "
            f"{found.steps} step(s); take more by --steps"
        )
    agreed = f"{found.compared} numbers of {found.steps} steps are the same to the bit"
    if found.elsewhere:
        click.echo(printable(f"note    this is another place: {', '.join(found.elsewhere)}"))
        agreed = f"{found.compared} numbers of {found.steps} steps are the same, or"
        agreed += f" within the band of {found.replicates} replicate(s)"
    _say("steps", found.differences, agreed)
    sys.exit(1 if found.differences else 0)


def _say(what: str, wrong: list[str], right: str) -> None:
    for line in wrong[:MOST]:
        click.echo(printable(f"FAILED  {what}: {line}"))
    if len(wrong) > MOST:
        click.echo(f"FAILED  {what}: and {len(wrong) - MOST} more")
    if not wrong:
        click.echo(f"ok      {what}: {right}")
