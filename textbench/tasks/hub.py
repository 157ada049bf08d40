"""Data sets of the Hugging Face hub, by the optional package `datasets` (extra [datasets])."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import Protocol

from textbench.contracts.errors import UserError, did_you_mean, one_line

SPLITS = {"train": "train", "valid": "validation", "test": "test"}
"""Our splits and what the hub calls them."""


class _Split(Protocol):
    """What we need of `datasets.Dataset`."""

    column_names: list[str]

    def __getitem__(self, column: str) -> Iterable[str]: ...


def read_dataset(name: str, column: str) -> dict[str, list[str]]:
    """Return the cells of a column of each split that there is.

    Args:
        name: ``NAME`` or ``NAME:CONFIGURATION``; what has been loaded once is cached by the
            package, so that no network is needed again.
        column: Which column holds the sentences; ``text`` if empty.

    Raises:
        UserError: The package is not installed, the data set cannot be had, or has no such column.
    """
    try:
        import datasets
    except ImportError:
        raise UserError("text.dataset needs an extra: pip install 'textbench[datasets]'") from None
    path, _, configuration = name.partition(":")
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars
            loaded = datasets.load_dataset(path, configuration or None)
    except Exception as error:  # the package lets many libraries' errors through
        reason = one_line(error)[:300]
        raise UserError(f"text.dataset={name} cannot be loaded: {reason}") from None
    if SPLITS["train"] not in loaded:
        known = ", ".join(loaded)
        raise UserError(f"text.dataset={name} has no split named train; it has {known}")
    return {
        split: _cells(loaded[theirs], column or "text", f"text.dataset={name}, split {theirs}")
        for split, theirs in SPLITS.items()
        if theirs in loaded
    }


def _cells(split: _Split, column: str, where: str) -> list[str]:
    if column not in split.column_names:
        near = did_you_mean(column, split.column_names)
        raise UserError(f"{where} has no column {column!r}{near} (text.column)")
    cells = list(split[column])
    if not all(isinstance(cell, str) for cell in cells):
        raise UserError(f"{where}: column {column!r} does not hold text in every row")
    return cells
