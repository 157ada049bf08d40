"""`textbench check`: does a plug-in keep what the harness promises in its name?"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbench.cli import options
from textbench.cli.engines import compute_on
from textbench.contracts.errors import UnknownNameError, UserError, printable
from textbench.plan import registry

if TYPE_CHECKING:
    from textbench.check.promise import Finding
    from textbench.plan.resolve import Request

EPILOG = """\b
Examples:
  textbench check cot
  textbench check seqgan:lag
  textbench check bleu
  textbench check text --set text.train=mine.txt
  textbench check my_plugins.py
  textbench check my_trainer.py --set mine.epochs=2

\b
Exit codes: 0 all promises kept, 1 some broken, 2 usage."""

Named = tuple[registry.Kind, str]


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument("what", metavar="NAME|FILE")
@options.text(
    "--task",
    metavar="NAME",
    use="What to try a trainer or a metric on; small is quick.  [default: synthetic-tiny, or "
    "generated sentences for metrics of text]",
)
@options.text("--preset", metavar="NAME", use="Sizes and schedules.", default="ci")
@options.settings("Change an option, e.g. mine.epochs=2")
@options.plugins("Python file with the task", passed=True)
@options.count("--steps", use="How much of a trainer's schedule to look at.  [default: 300]")
def command(
    what: str,
    task: str,
    preset: str,
    settings: tuple[str, ...],
    plugins: tuple[Path, ...],
    steps: int | None,
) -> None:
    """Check a trainer, metric or task, or everything that a Python file defines.

    A trainer is trained a few times on a small task; a metric is computed of a few generators and
    of samples alone; a task is built a few times. Looked at are determinism, traces left behind,
    what is within reach that should not be, costs, protocols and fingerprints. One line each.
    """
    found, own = named(what)
    kinds = {kind for kind, _ in found}
    if steps is not None and "trainer" not in kinds:
        raise UserError("--steps: only trainers have a schedule")
    if task and kinds == {"task"}:
        raise UserError(f"--task {task}: a task is tried on its own")
    compute_on("cpu")
    from textbench.plan.resolve import Request

    asked = Request(task=task, preset=preset, settings=settings, plugins=own + plugins)
    tries: dict[registry.Kind, Callable[[str, Request], Iterator[Finding]]] = {
        "trainer": partial(_trainer, steps=steps or 300),
        "metric": _metric,
        "task": _task,
    }
    kept = [_print(name, tries[kind](name, asked)) for kind, name in found]
    sys.exit(0 if all(kept) else 1)


def named(what: str) -> tuple[list[Named], tuple[Path, ...]]:
    """Return the plug-ins meant, and the file that defines them, if one does.

    Raises:
        UserError: No such file, or nothing of that name.
    """
    if what.endswith(".py") or Path(what).is_file():
        return [(entry.kind, entry.name) for entry in registry.load_plugin(what)], (Path(what),)
    kind, _, name = what.partition(":")
    if kind in registry.KINDS and kind not in registry.names("trainer"):
        what = name  # as `textbench show` has it
    if what.partition(":")[0] in registry.names("trainer"):
        return [("trainer", what)], ()
    if what in registry.names("task"):
        return [("task", what)], ()
    numbers = registry.numbers()
    if what in numbers or what in registry.names("metric"):
        return [("metric", numbers.get(what, what))], ()
    known = {name for kind in registry.KINDS for name in registry.names(kind)}
    where = "`textbench list` shows all"
    raise UnknownNameError("trainer, metric or task", what, known | numbers.keys(), where)


def _print(name: str, found: Iterable[Finding]) -> bool:
    """Print the findings about one, as they are made; tell whether all is well."""
    failed = 0
    for finding in found:
        failed += finding.verdict in ("FAILED", "skipped")
        colour = {"ok": "green", "FAILED": "red"}.get(finding.verdict, "yellow")
        click.secho(f"  {finding.verdict:<8}", fg=colour, nl=False)
        right = f"; right would be: {finding.right}" if finding.right else ""
        click.echo(printable(f"{finding.check:<18}{finding.seen}{right}"))
    verdict = f"{failed} checks not passed" if failed else "every promise is kept"
    click.echo(f"{name}: {verdict}")
    return not failed


def _trainer(name: str, asked: Request, steps: int) -> Iterator[Finding]:
    from textbench.check import check
    from textbench.plan.resolve import expand

    task = asked.task or "synthetic-tiny"
    request = replace(asked, algos=name, task=task, seeds="0")
    spec = next((one for one in expand(request) if one.label == name), None)
    if spec is None:
        raise UserError(f"check takes a trainer or a row at a time, not {name!r}")
    click.secho(f"{name} on {task}, preset {asked.preset}", bold=True)
    yield from check(spec, steps)


def _metric(name: str, asked: Request) -> Iterator[Finding]:
    from textbench.check import check_metric, words
    from textbench.contracts.config import validate
    from textbench.plan.resolve import resolve_task

    kind = registry.load_metric(name)
    generated = kind.family == "text" and not asked.task
    where = asked.task or ("text" if generated else "synthetic-tiny")
    with tempfile.TemporaryDirectory(prefix="textbench-check-") as folder:
        own = words.write(Path(folder)) if generated else ()
        settings = (*own, *asked.settings)
        built, common = resolve_task(replace(asked, task=where, settings=settings))
        if kind.family not in ("", built.family):
            raise UserError(f"metric {name} is for tasks of the family {kind.family}, not {where}")
        section = kind.section or name
        config = validate(kind.config_schema, common.metrics.get(section, {}), section)
        on = "generated sentences" if generated else where
        click.secho(f"metric {name} on {on}, preset {asked.preset}", bold=True)
        yield from check_metric(kind, config, built)


def _task(name: str, asked: Request) -> Iterator[Finding]:
    from textbench.check import check_task
    from textbench.plan.build import BrokenPluginError
    from textbench.plan.resolve import resolve_task, resolve_task_options

    asked = replace(asked, task=name)
    try:
        built, _ = resolve_task(asked)
        kind, config = type(built), built.config
    except BrokenPluginError:  # what is broken, the findings say
        kind = registry.load_task(name)
        config = resolve_task_options(asked)
    click.secho(f"task {name}, preset {asked.preset}", bold=True)
    yield from check_task(kind, config, asked.plugins)
