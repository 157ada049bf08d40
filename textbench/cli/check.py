"""`textbench check`: does a trainer keep what the harness promises in its name?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from textbench.cli import options
from textbench.contracts.errors import UserError
from textbench.plan import registry

EPILOG = """\b
Examples:
  textbench check cot
  textbench check seqgan:lag
  textbench check my_trainer.py
  textbench check my_trainer.py --set mine.epochs=2

\b
Exit codes: 0 all promises kept, 1 some broken, 2 usage."""


@click.command(epilog=EPILOG)
@click.argument("what", metavar="NAME|FILE")
@click.option(
    "--task",
    default="synthetic-tiny",
    show_default=True,
    metavar="NAME",
    help="What to try it on; small is quick.",
)
@click.option(
    "--preset", default="ci", show_default=True, metavar="NAME", help="Sizes and schedules."
)
@options.settings("Change an option, e.g. mine.epochs=2")
@options.plugins("Python file with the task")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    metavar="N",
    help="How much of the schedule to look at.",
)
def command(
    what: str,
    task: str,
    preset: str,
    settings: tuple[str, ...],
    plugins: tuple[Path, ...],
    steps: int,
) -> None:
    """Check a trainer, or every trainer that a Python file defines.

    Trains it a few times on a small task and looks at: determinism, exact resume, that being
    evaluated leaves no trace, that costs are counted, that neither oracle nor held-out data are
    within reach, that gradients arrive, and that samples follow the likelihood. One line each.
    """
    registry.load_plugins(plugins)
    names, own = trainers(what)
    import torch

    torch.set_num_threads(1)
    kept = [_check(name, task, preset, settings, own + plugins, steps) for name in names]
    sys.exit(0 if all(kept) else 1)


def trainers(what: str) -> tuple[list[str], tuple[Path, ...]]:
    """Return the trainers meant, and the plugin file that defines them, if one does.

    Raises:
        UserError: No such file, or no trainer in it. Names are looked up later.
    """
    if not (what.endswith(".py") or Path(what).is_file()):
        return [what], ()
    entries = registry.load_plugin(what)
    names = [entry.name for entry in entries if entry.kind == "trainer"]
    if not names:
        raise UserError(f"{what} defines no trainer")
    return names, (Path(what),)


def _check(
    name: str,
    task: str,
    preset: str,
    settings: tuple[str, ...],
    plugins: tuple[Path, ...],
    steps: int,
) -> bool:
    """Check one trainer and print the findings; tell whether all is well."""
    from textbench.check import check
    from textbench.plan.resolve import Request, expand

    request = Request(
        algos=name, task=task, preset=preset, settings=settings, plugins=plugins, seeds="0"
    )
    spec = next(spec for spec in expand(request) if spec.label == name)
    click.secho(f"{name} on {task}, preset {preset}", bold=True)
    failed = 0
    for finding in check(spec, steps):
        failed += finding.verdict in ("FAILED", "skipped")
        colour = {"ok": "green", "FAILED": "red"}.get(finding.verdict, "yellow")
        click.secho(f"  {finding.verdict:<8}", fg=colour, nl=False)
        right = f"; right would be: {finding.right}" if finding.right else ""
        click.echo(f"{finding.check:<18}{finding.seen}{right}")
    verdict = f"{failed} checks not passed" if failed else "every promise is kept"
    click.echo(f"{name}: {verdict}")
    return not failed
