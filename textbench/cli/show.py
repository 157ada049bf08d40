"""`textbench show`: one run, trainer, task, metric, preset or grid in detail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbench.cli import options
from textbench.contracts.errors import UserError, printable
from textbench.plan import grids, presets, registry
from textbench.store.directory import RunDirectory
from textbench.store.files import one_line
from textbench.store.read import UNREADABLE, RecordedRun, read_run
from textbench.store.rows import SPEC, EpochRow, EvaluationRow, LossRow

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from textbench.contracts.config import Config

EPILOG = """\b
Examples:
  textbench show preset:quick
  textbench show grid:figure2b
  textbench show trainer:cot
  textbench show trainer:cot:head
  textbench show evaluation
  textbench show synthetic/mle/s0
  textbench show 3f9a12"""


@click.command(epilog=EPILOG)
@click.argument("what", metavar="RUN|trainer:NAME|task:NAME|metric:NAME|preset:NAME|grid:NAME")
@options.results("The store to look for RUN in.")
@options.plugins("Load this Python file first")
def command(what: str, results: Path, plugins: tuple[Path, ...]) -> None:
    """Show one thing in detail.

    RUN is any part of a run's name or hash that no other run shares; `textbench status` lists
    the names. `backbone` and `evaluation` show the options that all trainers have in common.
    """
    registry.load_plugins(plugins)
    kind, colon, name = what.partition(":")
    if colon and kind == "preset":
        click.echo(presets.path(name).read_text(encoding="utf-8"), nl=False)
    elif colon and kind == "grid":
        click.echo(grids.path(name).read_text(encoding="utf-8"), nl=False)
    elif colon and kind == "trainer":
        _show_trainer(name)
    elif colon and kind == "task":
        _show_class("task", name, registry.load_task(name).config_schema)
    elif colon and kind == "metric":
        _show_metric(name)
    elif what in ("backbone", "evaluation"):
        from textbench.plan import resolve as config

        schemas: dict[str, type[Config]] = {
            "backbone": config.BackboneConfig,
            "evaluation": config.EvaluationConfig,
        }
        _show_options(what, schemas[what])
    else:
        _show_run(find_run(what, results))


# -- classes ---------------------------------------------------------------------------------


def _show_trainer(label: str) -> None:
    name, _, variant = label.partition(":")
    schema = registry.load_trainer(name).config_schema
    variants = registry.variants(name)
    if not variant:
        _show_class("trainer", name, schema)
        for known, (summary, options) in variants.items():
            click.secho(f"\n{name}:{known}", bold=True, nl=False)
            click.echo(f"  {summary}")
            _show_pairs(options.items())
        return
    from textbench.plan.precedence import check_variant

    summary, options = check_variant(name, variant, variants)
    click.secho(f"{label}", bold=True, nl=False)
    click.echo(f"  {summary}\n")
    _show_options(name, schema, options)


def _show_class(kind: registry.Kind, name: str, schema: type[Config]) -> None:
    entry = registry.entry(kind, name)
    click.secho(f"{kind} {name}", bold=True, nl=False)
    click.echo(f"  ({entry.file})\n{entry.read().docstring}\n")
    _show_options(name, schema)


def _show_metric(name: str) -> None:
    entry = registry.entry("metric", registry.metric_of(name))
    metric = registry.load_metric(entry.name)
    click.secho(f"metric {entry.name}", bold=True, nl=False)
    click.echo(f"  ({entry.file})\n{entry.read().docstring}")
    click.echo("\nNumbers:")
    for number in metric.described():
        better = (
            "neither is better" if number.direction == "none" else f"{number.direction} is better"
        )
        click.secho(f"  {number.name}", bold=True, nl=False)
        click.echo(f"  {number.summary}; {better}")
    if metric.config_schema.model_fields:
        click.echo()
        _show_options(metric.section or metric.name, metric.config_schema)


def _show_options(
    section: str, schema: type[Config], changed: Mapping[str, object] | None = None
) -> None:
    """Print every option as the schema has it; ``changed`` are a variant's values."""
    width = max(shutil.get_terminal_size((100, 0)).columns, 60)
    click.echo("Options (--set KEY=VALUE):")
    for key, field in schema.model_fields.items():
        default = field.default
        value = (changed or {}).get(key, default)
        was = "" if value == default else f", default {default!r}"
        click.secho(f"  {section}.{key}", bold=True, nl=False)
        click.echo(f" = {value!r}  ({describe_type(field)}{was})")
        help_text = " ".join((field.description or "").split())
        click.echo(click.wrap_text(help_text, width, "      ", "      "))


def describe_type(field: FieldInfo) -> str:
    """Return an option's type and range in words: ``int >= 1``, ``normal | cudnn``."""
    from typing import Literal, get_args, get_origin

    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    plain = isinstance(annotation, type) and not get_args(annotation)
    name = annotation.__name__ if plain and annotation else str(annotation)
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = [
        f"{sign} {getattr(limit, key)}"
        for limit in field.metadata
        for key, sign in signs.items()
        if getattr(limit, key, None) is not None
    ]
    return " ".join([name, " and ".join(bounds)]).strip()


# -- runs ------------------------------------------------------------------------------------


def find_run(part: str, results: Path) -> RunDirectory:
    """Return the one run whose name contains ``part``, or whose hash starts with it.

    A row may be called as in tables: the runs of ``cot:head`` lie in ``cot-head``.

    Raises:
        UserError: No run, or several.
    """
    if os.path.lexists(Path(part) / SPEC):
        return RunDirectory(Path(part).resolve())
    runs = list(RunDirectory.find(results))
    found = [run for run in runs if run.name == part.strip("/")]
    folder = part.replace(":", "-")
    found = found or [run for run in runs if folder in run.name or _has_hash(run, part)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(run.name for run in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UserError(f"{part!r} fits {len(found)} runs: {names}{more}")
    name = part.partition(":")[0].partition("/")[0]  # of a row such as cot:head, or of a run of it
    kinds = [f"{kind}:{name}" for kind in registry.KINDS if name in registry.names(kind)]
    kinds += [f"preset:{part}"] if part in presets.names() else []
    kinds += [f"grid:{part}"] if part in grids.names() else []
    hint = f"; did you mean {' or '.join(kinds)}?" if kinds else " (`textbench status` lists all)"
    raise UserError(f"no run in {results} is called {part!r}{hint}")


def _has_hash(run: RunDirectory, start: str) -> bool:
    """Tell whether a run's hash starts so; what it would be of a damaged one, nobody knows."""
    try:
        return run.spec().hash.startswith(start)
    except UNREADABLE:
        return False


def read(run: RunDirectory) -> RecordedRun:
    """Read a run that the user named.

    Raises:
        UserError: It is damaged; one line naming it.
    """
    try:
        return read_run(run)
    except UNREADABLE as error:
        raise UserError(f"{run.name}: {one_line(error)}") from None


def _show_run(run: RunDirectory) -> None:
    recorded = read(run)
    spec, status = recorded.spec, recorded.status
    try:
        rows, log = run.evaluations(), run.curve()
    except UNREADABLE as error:
        raise UserError(f"{run.name}: {one_line(error)}") from None
    click.secho(run.name, bold=True, nl=False)
    _echo(f"  {status.status}{status.reason and f': {status.reason}'}")
    if status.note:
        _echo(f"  {status.note}")
    preset = f", preset {spec.preset}" if spec.preset else ""
    _show_pairs(
        {
            "directory": run.path,
            "hash": spec.hash,
            "trainer": f"{spec.label}, version {spec.version}, seed {spec.seed}{preset}",
            "steps": f"{status.step}/{status.total}, resumed {status.resumed} times",
        }.items()
    )
    sections: dict[str, Mapping[str, object]] = {
        "Changed by the user": spec.overrides,
        "Configuration": spec.config,
        f"Task {spec.task}": {**spec.task_config, "fingerprint": spec.task_fingerprint},
        "Backbone": spec.backbone,
        "Evaluation plan": spec.evaluation,
    }
    for title, pairs in sections.items():
        _show_section(title, pairs)
    if spec.warmup is not None:
        warmup = RunDirectory(spec.warmup.directory(run.path.parents[2]))
        standing = warmup.standing()
        damage = standing.reason if standing.status == "interrupted" else ""
        _show_section("Warm-up", {warmup.name: f"{standing.status}{damage and f': {damage}'}"})
    starts = recorded.starts
    if starts:
        _show_section(f"Provenance (start {len(starts)} of {len(starts)})", starts[-1])
    if rows:
        _show_last_evaluation(rows[-1])
        _show_evidence(recorded, rows[-1], log)
    if status.traceback:
        _echo(f"\n{status.traceback.rstrip()}")


def _show_last_evaluation(last: EvaluationRow) -> None:
    where = f"step {last['step']}, phase {last['phase']}, epoch {last['epoch']}"
    values = {
        name: f"does not apply: {one.get('reason', '')}"
        if one["value"] is None
        else f"{one['value']:.4f}  [{one['protocol']}]"
        for name, one in last["metrics"].items()
    }
    _show_section(f"Last evaluation ({where}{', final' if last['final'] else ''})", values)
    cost = {"seconds": last["seconds"], "cpu_seconds": last["cpu_seconds"]}
    _show_section("Cost so far", {**last["ledger"], **cost})


def _show_evidence(
    run: RecordedRun, last: EvaluationRow, log: Sequence[LossRow | EpochRow]
) -> None:
    """Print what was logged last, and what has changed since the warm-up."""
    logged = {
        name: f"{_number(value)}  (step {row['step']})"
        for row in log
        if row["kind"] == "loss"
        for name, value in row["values"].items()
    }
    _show_section("Last values of the training log", logged)
    warmup = run.spec.warmup
    if warmup is None:
        return
    source = RunDirectory(warmup.directory(run.directory.path.parents[2]))
    try:
        before = source.evaluations()
    except UNREADABLE as error:
        _show_section(f"Warm-up {source.name}", {"damaged": one_line(error)})
        return
    changes: dict[str, str] = {}
    earlier = [row["metrics"] for row in before]
    for name, one in last["metrics"].items():
        made = one["protocol"]
        same = [row[name] for row in earlier if name in row and row[name]["protocol"] == made]
        start, value = same[-1]["value"] if same and made else None, one["value"]
        if start is not None and value is not None:
            changes[name] = f"{value - start:+.4f}  ({start:.4f} to {value:.4f})"
    updates = (
        {key: n - before[-1]["ledger"].get(key, 0) for key, n in last["ledger"].items()}
        if before
        else {}
    )
    _show_section(f"Since the warm-up {source.name}", {**updates, **changes})


def _show_section(title: str, pairs: Mapping[str, object]) -> None:
    if pairs:
        click.secho(f"\n{title}", bold=True)
        _show_pairs(pairs.items())


def _show_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    for key, value in pairs:
        _echo(f"  {key} = {value}")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _echo(text: str) -> None:
    """Print what a record says, without what a terminal would obey."""
    click.echo(printable(text))
