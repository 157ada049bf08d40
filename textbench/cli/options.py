"""Kinds of options, and those that several commands have; each says what it uses them for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from textbench.contracts.errors import UserError

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Command(click.Command):
    """A command that refuses what was given twice, of which one would be ignored, or is empty."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look at what was given before it becomes anything else.

        Raises:
            UserError: It says nothing, or two things.
        """
        values, _, order = self.make_parser(ctx).parse_args([*args])
        seen: set[str] = set()
        for parameter in [] if self.get_help_option(ctx) in order else order:
            _refuse_empty(parameter, values.get(str(parameter.name)))
            if isinstance(parameter, click.Option) and not (
                parameter.multiple or parameter.is_flag
            ):
                if parameter.opts[0] in seen:
                    once = f"{parameter.opts[0]} {parameter.metavar or ''}".rstrip()
                    raise UserError(f"{parameter.opts[0]} is given twice; give it once, as {once}")
                seen.add(parameter.opts[0])
        return super().parse_args(ctx, args)


def _refuse_empty(parameter: click.Parameter, value: object) -> None:
    """Refuse what was given and says nothing: an empty variable of a script, most likely.

    Raises:
        UserError: It is empty.
    """
    values = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(one, str) and not one.strip() for one in values):
        shown = parameter.opts[0] if isinstance(parameter, click.Option) else "an argument"
        raise UserError(f"{shown} is empty; leave it out, or give it a value")


def text(*names: str, metavar: str, use: str, default: str = "") -> Decorator:
    """Text that the command takes apart itself; empty unless given, and then not."""
    shown = bool(default)
    return click.option(*names, default=default, show_default=shown, metavar=metavar, help=use)


def count(
    *names: str,
    use: str,
    least: int = 1,
    most: int | None = None,
    default: int | None = None,
    metavar: str = "N",
) -> Decorator:
    """A whole number."""
    kind, shown = click.IntRange(least, most), default is not None
    return click.option(
        *names, type=kind, default=default, show_default=shown, metavar=metavar, help=use
    )


def flag(*names: str, use: str) -> Decorator:
    """A switch, off unless given."""
    return click.option(*names, is_flag=True, help=use)


def path(
    *names: str, metavar: str, use: str, default: str | None = None, **kinds: bool
) -> Decorator:
    """A path; ``kinds`` are what `click.Path` is told of what may be there."""
    return click.option(
        *names,
        type=click.Path(path_type=Path, **kinds),
        default=default and Path(default),
        show_default=default is not None,
        metavar=metavar,
        help=use,
    )


def file(*names: str, use: str, default: str | None = None) -> Decorator:
    """A file that is to be written."""
    return path(*names, metavar="FILE", use=use, default=default, dir_okay=False)


def folder(*names: str, use: str, default: str | None = None) -> Decorator:
    """A folder that is to be written to."""
    return path(*names, metavar="DIR", use=use, default=default, file_okay=False)


def results(use: str, default: str = "results", *, may_be_new: bool = False) -> Decorator:
    """``--results DIR``; where ``may_be_new``, what is no folder is said when it is written to."""
    return path("--results", metavar="DIR", use=use, default=default, file_okay=may_be_new)


def plugins(use: str, *, passed: bool = False) -> Decorator:
    """``--plugin FILE``: loaded where it is read, and given as ``plugins`` if that is asked for."""
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"{use}; may be repeated.",
        callback=_load,
        expose_value=passed,
    )


def _load(
    context: click.Context, option: click.Parameter, files: tuple[Path, ...]
) -> tuple[Path, ...]:
    """Load plug-ins, but not where a shell only asks how a word may go on.

    Raises:
        UserError: One is broken.
    """
    if files and not context.resilient_parsing:
        from textbench.plan import registry

        registry.load_plugins(files)
    return files


def settings(use: str) -> Decorator:
    """``--set KEY=VALUE``, given as ``settings``."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"{use}; may be repeated.",
        callback=_refuse_twice,
    )


def _refuse_twice(
    context: click.Context, option: click.Parameter, settings: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse two values of one option, of which one would be ignored.

    Raises:
        UserError: There are two.
    """
    seen: dict[str, str] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        key = key.strip()
        if key in seen:
            raise UserError(f"--set {key} is given twice, as {seen[key]} and as {value}; give one")
        seen[key] = value
    return settings


def device(use: str, default: str = "auto") -> Decorator:
    """``--device``; see `textbench.cli.engines.choose_devices`."""
    choices = "auto|cpu|cuda[:I]" if default == "auto" else "cpu|cuda[:I]"
    return click.option("--device", default=default, show_default=True, metavar=choices, help=use)
