"""`textbench list`: what there is, one line each."""

from __future__ import annotations

import json
import shutil

import click

from textbench.cli import options
from textbench.contracts.errors import printable
from textbench.plan import registry
from textbench.plan.shipped import grids, presets

EPILOG = """\b
Examples:
  textbench list
  textbench list --plugin my_trainer.py
  textbench list --json"""


@click.command(cls=options.Command, epilog=EPILOG)
@options.plugins("List what this Python file defines, too")
@options.flag("--json", "as_json", use="Print a JSON object, an array per kind.")
def command(as_json: bool) -> None:
    """List trainers with their variants, metrics, tasks, presets and grids."""
    trainers: list[tuple[str, str]] = []
    for name, entry in registry.entries("trainer").items():
        trainers.append((name, entry.summary))
        for variant, (summary, _) in registry.variants(name).items():
            trainers.append((f"{name}:{variant}", summary))
    sections: dict[str, list[tuple[str, str]]] = {
        "Trainers (--algos)": trainers,
        "Tasks (--task)": [(n, e.summary) for n, e in registry.entries("task").items()],
        "Metrics": [(n, e.summary) for n, e in registry.entries("metric").items()],
        "Presets (--preset)": [*presets.summaries().items()],
        "Grids (--config)": [*grids.summaries().items()],
    }
    if as_json:
        data = {
            title.partition(" ")[0].lower(): [dict(name=n, summary=line) for n, line in rows]
            for title, rows in sections.items()
        }
        click.echo(json.dumps(data, indent=1))
        return
    indent = 4 + max(len(name) for rows in sections.values() for name, _ in rows)
    width = max(shutil.get_terminal_size((100, 0)).columns, indent + 40)
    for title, rows in sections.items():
        click.secho(title, bold=True)
        for name, summary in rows:
            first = f"  {name:<{indent - 2}}"
            click.echo(click.wrap_text(printable(summary), width, first, " " * indent) or first)
        click.echo()
    click.echo(
        "Options of a trainer or task: textbench show trainer:NAME, textbench show task:NAME"
    )
