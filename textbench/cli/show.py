"""`textbench show`: one run, trainer, task, metric, preset or grid in detail."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbench.cli import options
from textbench.cli.recorded import find_run, show_pairs, show_run
from textbench.plan import registry
from textbench.plan.shipped import grids, presets

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


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument("what", metavar="RUN|trainer:NAME|task:NAME|metric:NAME|preset:NAME|grid:NAME")
@options.results("The store to look for RUN in.")
@options.plugins("Load this Python file first")
def command(what: str, results: Path) -> None:
    """Show one thing in detail.

    RUN is any part of a run's name or hash that no other run shares; `textbench status` lists
    the names. `backbone` and `evaluation` show the options that all trainers have in common.
    """
    kind, colon, name = what.partition(":")
    if colon and kind in ("preset", "grid"):
        shipped = presets if kind == "preset" else grids
        click.echo(shipped.path(name).read_text(encoding="utf-8"), nl=False)
    elif colon and kind == "trainer":
        _show_trainer(name)
    elif colon and kind == "task":
        _show_class("task", name, registry.load_task(name).config_schema)
    elif colon and kind == "metric":
        _show_metric(name)
    elif what in ("backbone", "evaluation"):
        from textbench.plan.resolve import BackboneConfig, EvaluationConfig

        _show_options(what, BackboneConfig if what == "backbone" else EvaluationConfig)
    else:
        show_run(find_run(what, results, shown=True))


def _show_trainer(label: str) -> None:
    name, _, variant = label.partition(":")
    schema = registry.load_trainer(name).config_schema
    variants = registry.variants(name)
    if not variant:
        _show_class("trainer", name, schema)
        for known, (summary, options) in variants.items():
            click.secho(f"\n{name}:{known}", bold=True, nl=False)
            click.echo(f"  {summary}")
            show_pairs(options.items())
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
        default: object = field.get_default(call_default_factory=True)
        value = (changed or {}).get(key, default)
        was = "" if value == default else f", default {as_set(default)}"
        click.secho(f"  {section}.{key}", bold=True, nl=False)
        click.echo(f" = {as_set(value)}  ({describe_type(field)}{was})")
        help_text = " ".join((field.description or "").split())
        click.echo(click.wrap_text(help_text, width, "      ", "      "))


def as_set(value: object) -> str:
    """Write an option's value as `--set` takes it."""
    from textbench.contracts.config import NONE

    plain = written(value)
    if plain is None:
        return NONE
    return str(plain).lower() if isinstance(plain, bool) else repr(plain)


def written(value: object) -> object:
    """Return an option's value as `--set` and records have it: a path, or an enum's, as text."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        return value


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
