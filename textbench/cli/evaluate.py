"""`textbench evaluate`: metrics of stored generators, without training."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbench.cli import options
from textbench.cli.engines import compute_on
from textbench.cli.recorded import find_run
from textbench.cli.terminal import refuse_folder_of_stores, say_left_out
from textbench.contracts.errors import DivergedError, UserError, one_line, printable
from textbench.contracts.plain import grouped
from textbench.plan import registry
from textbench.plan.arguments import Layer, parse_alphas, parse_settings
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.store.lock import held
from textbench.store.read import UNREADABLE, read_store
from textbench.store.rows import LaterRow, values_of

if TYPE_CHECKING:
    from textbench.contracts.config import Config
    from textbench.contracts.metric import Metric
    from textbench.contracts.spec import Spec
    from textbench.contracts.task import Task
    from textbench.run.again import Stored

FEW = 8
"""Metrics that do not apply for one reason and are all named."""
EPILOG = """\b
Examples:
  textbench evaluate --alpha 0.7:2.0:0.1 --metrics bleu5,self_bleu5
  textbench evaluate emnlp_news/cot --metrics ewmd_test --set ewmd.variant=one-sided
  textbench evaluate emnlp_news/mle/s0 --alpha 1.5 --samples 10000

\b
Values are appended to evaluations.jsonl in each run's directory; what is there is not
computed again, unless it did not apply. Of several sample sizes a report shows one for each
run and temperature: that of the run's own final evaluation, or else the last.

\b
Exit codes: 0 all evaluated, 1 some could not be, 2 usage, or none could be."""


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@options.text(
    *("--alpha", "alphas"),
    metavar="A|LIST|RANGE",
    use="Inverse temperatures: 1.5, or 0.7,1,1.5, or 0.7:2.0:0.1 (both ends included).",
    default="1",
)
@options.text("--metrics", metavar="A,B", use="Which; by default all but the dear ones (`ewmd_*`).")
@options.count(
    *("--samples",),
    use="Sequences to draw.  [default: as in the run's final evaluation]",
    least=2,
    most=1_000_000,
)
@options.settings("Change an option of a metric, e.g. ewmd.steps=400; or say where data are now")
@options.results("The store to look for the runs in.")
@options.device("Where to compute.")
@options.plugins("Python file with a metric of yours")
def command(
    runs: tuple[str, ...],
    alphas: str,
    metrics: str,
    samples: int | None,
    settings: tuple[str, ...],
    results: Path,
    device: str,
) -> None:
    """Evaluate the generators of finished runs, again or at other temperatures.

    RUN is any part of the names of the runs meant; without one all runs that are done.
    """
    grid = parse_alphas(alphas)
    names = parse_metrics(metrics)
    changed = parse_settings(settings)
    found, left_out = find_runs(runs, results)
    check_settings(changed, found)
    from textbench.run import again

    place = compute_on(device)
    tasks: dict[str, Task[Config]] = {}
    broken = 0
    for directory in found:
        try:
            stored = again.load(directory, place, changed, tasks)
            wanted = resolve(names, stored.spec, changed)
            _evaluate(stored, wanted, grid, samples)
        except (UserError, DivergedError, OSError) as error:
            line = one_line(error)
            where = "" if directory.name in line else f"{directory.name}: "
            if len(found) == 1:
                whose = where * isinstance(error, OSError | DivergedError | DamagedError)
                raise UserError(whose + line) from error
            broken += 1
            click.echo(printable(f"textbench: error: {where}{line}"), err=True)
    if broken or left_out:
        sys.exit(2 if broken == len(found) else 1)


def _evaluate(
    stored: Stored, metrics: Sequence[Metric], grid: Sequence[float], samples: int | None
) -> None:
    """Compute metrics at every inverse temperature of ``grid``, and say what came of it."""
    from textbench.run.again import evaluate

    note = f"textbench: waiting for another process at {stored.directory.name}"
    with held(stored.directory, lambda: click.echo(note, err=True)):
        for alpha in grid:
            row = evaluate(stored, metrics, alpha, samples or final_samples(stored.spec))
            click.echo(printable(describe(stored.directory, alpha, row)))


def final_samples(spec: Spec) -> int:
    """Return how many samples the run's final evaluation had.

    Raises:
        UserError: The record does not say.
    """
    from textbench.contracts.config import validate
    from textbench.plan.resolve import EvaluationConfig

    return validate(EvaluationConfig, spec.evaluation, "evaluation").final_samples


def parse_metrics(given: str) -> list[str]:
    """Return the metrics of ``"bleu5,self_bleu5"``, named by themselves or by their numbers.

    Raises:
        UnknownNameError: With the nearest names.
        UserError: There is none in it.
    """
    names = [name.strip() for name in given.split(",") if name.strip()]
    if given and not names:
        raise UserError(f"--metrics {given}: names no metric; leave it out for the usual ones")
    return list(dict.fromkeys(registry.metric_of(name) for name in names))


def find_runs(parts: Sequence[str], results: Path) -> tuple[list[RunDirectory], int]:
    """Return the runs whose names contain one of ``parts``; all that are done without any.

    Also how many cannot be read, which are named.

    Raises:
        UserError: There are none.
    """
    if not parts:
        store = read_store(results)
        done = [run for run in store.runs if run.status.status == "done"]
        say_left_out(store.unreadable)
        found = [run.directory for run in done if not run.spec.given]
        if not found:
            refuse_folder_of_stores(results)
            aside = " but sentences of other systems, which `textbench score` adds metrics of"
            raise UserError(f"no run in {results} is done{aside if done else ''}")
        return found, len(store.unreadable)
    every = list(RunDirectory.find(results))
    chosen: dict[Path, RunDirectory] = {}
    for part in parts:
        matching = [run for run in every if part.strip("/") in run.name]
        for run in matching or [find_run(part, results)]:
            chosen.setdefault(run.path, run)
    return list(chosen.values()), 0


def check_settings(changed: Layer, runs: Sequence[RunDirectory]) -> None:
    """Check every ``--set`` once, before any run.

    Raises:
        UserError: One is no option of a metric or of a run's task.
    """
    from textbench.contracts.config import validate

    sections, tasks = registry.metric_sections(), {run.path.parent.parent.name for run in runs}
    for run in runs:
        with suppress(*UNREADABLE):  # which is said of it later; one by its path may lie anywhere
            tasks.add(run.spec().task)
    for section, chosen in changed.items():
        if section in sections:
            schema: type[Config] = registry.load_metric(sections[section]).config_schema
        elif section in tasks:
            schema = registry.load_task(section).config_schema
        elif section in registry.names("task"):
            raise UserError(f"--set {section}: no run here is of task {section}")
        else:
            raise UserError(
                f"--set {section}: not a metric's section, nor a task's; only metrics are computed"
            )
        validate(schema, chosen, section)


def resolve(names: Sequence[str], spec: Spec, changed: Layer) -> list[Metric]:
    """Return the metrics, with the run's own options and those of ``--set``.

    Raises:
        UserError: A setting is no option of a metric.
    """
    from textbench.run import assemble

    family = registry.load_task(spec.task).family
    classes = [registry.load_metric(name) for name in names or registry.names("metric")]
    if not names:
        classes = [c for c in classes if c.family in ("", family) and c.when == "always"]
    sections = spec.metrics.keys() | changed.keys()
    chosen = {key: {**spec.metrics.get(key, {}), **changed.get(key, {})} for key in sections}
    return assemble.metrics(classes, chosen)


def describe(directory: RunDirectory, alpha: float, row: LaterRow | None) -> str:
    """Return a line: the run, alpha, and what was found."""
    start = f"{directory.name}  alpha {alpha:g}:"
    if row is None:
        return f"{start} on record already"
    measured = row["metrics"]
    absent = ((one.get("reason", ""), n) for n, one in measured.items() if one["value"] is None)
    values = ", ".join(f"{name} {value:.4g}" for name, value in values_of(measured).items())
    told = [values, *(_do_not_apply(names, reason) for reason, names in grouped(absent).items())]
    return f"{start} {'; '.join(filter(None, told))}"


def _do_not_apply(names: Sequence[str], reason: str) -> str:
    if len(names) == 1:
        return f"{names[0]} does not apply ({reason})"
    shown = ", ".join(names) if len(names) <= FEW else f"{', '.join(names[:FEW])} and others"
    return f"{len(names)} do not apply ({reason}): {shown}"
