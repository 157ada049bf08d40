"""Grids: whole experiments as configuration files, run by name: ``--config figure2b``.

A grid is an ordinary configuration file (`textbench.plan.resolve`). Its rows are variants of its
own, ``[variants.cot.NAME]`` or a product of axes, ``[grid.cot]`` (`textbench.plan.product`): what
makes a row holds under every preset. Its schedule stands in
``["cot@paper"]``, for the preset it is meant for; another preset brings another schedule.
"""

from __future__ import annotations

from pathlib import Path

from textbench.plan import shipped

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of all grids, sorted."""
    return shipped.names(_FOLDER)


def path(name: str) -> Path:
    """Return a grid's file.

    Raises:
        UnknownNameError: With the nearest names.
    """
    return shipped.path(_FOLDER, "grid", name)
