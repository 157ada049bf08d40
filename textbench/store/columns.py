"""The rows of a run's logs as columns, checked on the way: a wrong row raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textbench.store.read import RecordedRun

if TYPE_CHECKING:
    import pandas as pd

KINDS: dict[str, type] = {
    **dict.fromkeys(("seed", "evaluation", "step", "epoch", "total", "version"), int),
    **dict.fromkeys(("own_generator", "fresh_data", "warmup", "final"), bool),
    **dict.fromkeys(("seconds", "cpu_seconds", "value", "alpha", "product_rate"), float),
}
"""What a column holds that is no text."""


class Texts(NamedTuple):
    """A column of texts, which are few: each is kept once."""

    known: list[str]
    codes: NDArray[np.integer]
    """Of each line, which it is of those known."""


class Part(NamedTuple):
    """Equally long columns, by name."""

    texts: dict[str, Texts]
    numbers: dict[str, NDArray[np.generic]]


class Columns(NamedTuple):
    """A log as columns: what all lines of an entry share is there once, and sent once."""

    entries: Part
    lines: Part
    sizes: NDArray[np.int_]
    """How many lines each entry makes."""


def evaluation_columns(run: RecordedRun) -> Columns:
    """Return the columns of a run's evaluations, a line per metric.

    Raises:
        Exception: One of `UNREADABLE`, where a row is not what it should be.
    """
    rows = run.evaluations()
    measured = [one for row in rows for one in row["metrics"].values()]
    numbers = {
        "evaluation": np.arange(len(rows)),
        "warmup": np.zeros(len(rows), bool),
        "step": np.array([row["step"] for row in rows], dtype=int),
        "final": np.array([row["final"] for row in rows], bool),
        **{
            key: np.array([row[key] for row in rows], dtype=float)
            for key in ("epoch", "seconds", "cpu_seconds")
        },
    }
    for name in dict.fromkeys(chain.from_iterable(row["ledger"] for row in rows)):
        numbers[name] = np.array([row["ledger"].get(name) for row in rows], dtype=float)
    texts = {
        "metric": _texts([name for row in rows for name in row["metrics"]]),
        "na_reason": _texts([one.get("reason", "") for one in measured]),
        **{
            key: _texts([one[key] for one in measured])
            for key in ("protocol", "direction", "unit", "summary")
        },
    }
    values = np.array([one["value"] for one in measured], dtype=float)
    return Columns(
        Part({"phase": _texts([row["phase"] for row in rows])}, numbers),
        Part(texts, {"value": values}),
        np.array([len(row["metrics"]) for row in rows], dtype=int),
    )


def log_columns(run: RecordedRun) -> Columns:
    """Return the columns of a run's log, a line per quantity.

    Raises:
        Exception: One of `UNREADABLE`, where a row is not what it should be.
    """
    rows = run.log()
    values: list[Mapping[str, float | None]] = [
        row["values"]
        if row["kind"] == "loss"
        else {"seconds": row["seconds"], "cpu_seconds": row["cpu_seconds"], **row["ledger"]}
        for row in rows
    ]
    numbers = {
        "warmup": np.zeros(len(rows), bool),
        "step": np.array([row["step"] for row in rows], dtype=int),
        "epoch": np.array([row["epoch"] for row in rows], dtype=int),
    }
    texts = {
        "kind": _texts([row["kind"] for row in rows]),
        "phase": _texts([row["phase"] for row in rows]),
    }
    names = _texts([name for one in values for name in one])
    found = np.array([v for one in values for v in one.values()], dtype=float)
    return Columns(
        Part(texts, numbers),
        Part({"name": names}, {"value": found}),
        np.array([len(one) for one in values], dtype=int),
    )


def placed(columns: Columns, *, warmup: bool, start: int) -> Columns:
    """Return a run's columns as they stand in a store's: the first evaluation is number ``start``.

    Args:
        columns: The run's own.
        warmup: They stand before those of a run that started from it.
        start: How many evaluations stand before them.
    """
    numbers = {**columns.entries.numbers}
    if warmup:
        numbers["warmup"] = np.ones_like(numbers["warmup"])
    if "final" in numbers:
        numbers["final"] = numbers["final"].astype(bool) & (not warmup)
    if "evaluation" in numbers:
        numbers["evaluation"] = numbers["evaluation"].astype(int) + start
    return columns._replace(entries=columns.entries._replace(numbers=numbers))


def _texts(values: list[str]) -> Texts:
    known = {text: code for code, text in enumerate(dict.fromkeys(values))}
    kind = np.uint8 if len(known) <= 256 else np.int32  # a fourth of what another process sends
    return Texts(list(known), np.fromiter(map(known.__getitem__, values), kind, len(values)))


def of_one(values: Mapping[str, object]) -> Part:
    """Return columns of one line."""
    texts = {key: v for key, v in values.items() if isinstance(v, str)}
    return Part(
        {key: Texts([text], np.zeros(1, np.uint8)) for key, text in texts.items()},
        {key: np.array([v]) for key, v in values.items() if key not in texts},
    )


def joined(parts: Sequence[Texts]) -> Texts:
    """Return columns one below the other; what is known is sorted."""
    known = sorted(set(chain.from_iterable(part.known for part in parts)))
    place = {text: code for code, text in enumerate(known)}
    codes = [np.array([place[t] for t in part.known], np.int32)[part.codes] for part in parts]
    return Texts(known, np.concatenate(codes))


def one_below_the_other(parts: Sequence[Part]) -> Part:
    """Return the columns of parts, one below the other; a number that a part lacks is NaN there."""
    texts = {key: joined([part.texts[key] for part in parts]) for key in parts[0].texts}
    numbers: dict[str, NDArray[np.generic]] = {}
    for key in dict.fromkeys(chain.from_iterable(part.numbers for part in parts)):
        gaps = (np.full(len(next(iter(part.numbers.values()))), np.nan) for part in parts)
        mine = [part.numbers.get(key, gap) for part, gap in zip(parts, gaps, strict=True)]
        numbers[key] = np.concatenate(mine)
    return Part(texts, numbers)


def without_rows(columns: Sequence[str], objects: Sequence[str] = ()) -> pd.DataFrame:
    """Return a frame of the types that it has with rows: masks, means and joins work as on those.

    Args:
        columns: Its columns.
        objects: Those that hold mappings and the like.
    """
    import pandas as pd

    text = pd.Series([""]).dtype  # pandas 3 has a type for it
    kinds = {key: KINDS.get(key, text) for key in columns} | dict.fromkeys(objects, object)
    return pd.DataFrame({key: pd.Series(dtype=kind) for key, kind in kinds.items()})
