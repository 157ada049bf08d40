"""`textbench convert`: bring a store of an older version up to date."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from textbench.cli import options
from textbench.contracts.errors import UserError, one_line, printable
from textbench.contracts.number import Number
from textbench.plan import registry
from textbench.plan.shipped import presets
from textbench.store.convert import convert
from textbench.store.directory import RunDirectory
from textbench.store.read import UNREADABLE

EPILOG = """\b
Examples:
  textbench convert results
  textbench convert old/results --plugin my_metric.py"""


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument("store", type=click.Path(path_type=Path, file_okay=False, exists=True))
@options.plugins("Python file with a metric of yours that the store has numbers of")
def command(store: Path) -> None:
    """Rewrite the records of STORE in the present schema, in place; values stay as they are.

    What is up to date is left alone, and a conversion that was interrupted can be repeated.
    """
    runs = list(RunDirectory.find(store))
    if not runs:
        raise UserError(f"no runs in {store}")
    summaries = presets.summaries()
    converted, broken = 0, []
    for run in runs:
        try:
            run.check_place("it is not read")
            converted += convert(run, _described, summaries, partial(_say, run.name))
        except (*UNREADABLE, ValueError, RecursionError) as error:  # text, nesting of no record
            broken.append(run.name)
            click.echo(printable(f"{run.name}: left as it is: {one_line(error)}"), err=True)
    known = len(runs) - converted - len(broken)
    done = f"{converted} converted, {known} up to date, {len(broken)} left as they are"
    click.echo(f"{len(runs)} run(s): {done}")
    if broken:
        raise UserError(f"{len(broken)} record(s) of {store} could not be converted")


def _say(run: str, line: str) -> None:
    click.echo(printable(f"{run}: {line}"), err=True)


def _described(name: str) -> Number | None:
    """Describe a number of a metric that is registered here."""
    for metric in registry.names("metric"):
        for number in registry.load_metric(metric).described():
            if number.name == name:
                return number
    return None
