"""Options that several commands have, said once; each command says what it uses them for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def results(use: str, default: str = "results", *, may_be_new: bool = False) -> Decorator:
    """``--results DIR``; where ``may_be_new``, what is no folder is said when it is written to."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, file_okay=may_be_new),
        default=Path(default),
        show_default=True,
        metavar="DIR",
        help=use,
    )


def plugins(use: str) -> Decorator:
    """``--plugin FILE``, given as ``plugins``."""
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"{use}; may be repeated.",
    )


def settings(use: str) -> Decorator:
    """``--set KEY=VALUE``, given as ``settings``."""
    return click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help=f"{use}; may be repeated."
    )


def device(use: str, default: str = "auto") -> Decorator:
    """``--device``; see `textbench.cli.engines.choose_devices`."""
    choices = "auto|cpu|cuda[:I]" if default == "auto" else "cpu|cuda[:I]"
    return click.option("--device", default=default, show_default=True, metavar=choices, help=use)
