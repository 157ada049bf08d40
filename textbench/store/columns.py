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
    codes: NDArray[np.int32]
    """Of each line, which it is of those known."""


class Columns(NamedTuple):
    """Equally long columns, by name."""

    texts: dict[str, Texts]
    numbers: dict[str, NDArray[np.generic]]


def evaluation_columns(run: RecordedRun) -> Columns:
    """Return the columns of a run's evaluations, a row per metric.

    Raises:
        Exception: One of `UNREADABLE`, where a row is not what it should be.
    """
    rows = run.evaluations()
    sizes = np.array([len(row["metrics"]) for row in rows], dtype=int)
    measured = [one for row in rows for one in row["metrics"].values()]
    numbers = {
        "evaluation": np.repeat(np.arange(len(rows)), sizes),
        "warmup": np.zeros(int(sizes.sum()), bool),
        "step": np.repeat(np.array([row["step"] for row in rows], dtype=int), sizes),
        "epoch": np.repeat(np.array([row["epoch"] for row in rows], dtype=float), sizes),
        "final": np.repeat(np.array([row["final"] for row in rows], bool), sizes),
        **{
            key: np.repeat(np.array([row[key] for row in rows], dtype=float), sizes)
            for key in ("seconds", "cpu_seconds")
        },
        "value": np.array([one["value"] for one in measured], dtype=float),
    }
    for name in dict.fromkeys(chain.from_iterable(row["ledger"] for row in rows)):
        counts = np.array([row["ledger"].get(name) for row in rows], dtype=float)
        numbers[name] = np.repeat(counts, sizes)
    texts = {
        "phase": _texts([row["phase"] for row in rows], sizes),
        "metric": _texts([name for row in rows for name in row["metrics"]]),
        "na_reason": _texts([one.get("reason", "") for one in measured]),
        **{
            key: _texts([one[key] for one in measured])
            for key in ("protocol", "direction", "unit", "summary")
        },
    }
    return Columns(texts, numbers)


def log_columns(run: RecordedRun) -> Columns:
    """Return the columns of a run's log, a row per quantity.

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
    sizes = np.array([len(one) for one in values], dtype=int)
    numbers = {
        "warmup": np.zeros(int(sizes.sum()), bool),
        "step": np.repeat(np.array([row["step"] for row in rows], dtype=int), sizes),
        "epoch": np.repeat(np.array([row["epoch"] for row in rows], dtype=int), sizes),
        "value": np.array([v for one in values for v in one.values()], dtype=float),
    }
    texts = {
        "kind": _texts([row["kind"] for row in rows], sizes),
        "phase": _texts([row["phase"] for row in rows], sizes),
        "name": _texts([name for one in values for name in one]),
    }
    return Columns(texts, numbers)


def placed(columns: Columns, *, warmup: bool, start: int) -> Columns:
    """Return a run's columns as they stand in a store's: the first evaluation is number ``start``.

    Args:
        columns: The run's own.
        warmup: They stand before those of a run that started from it.
        start: How many evaluations stand before them.
    """
    numbers = {**columns.numbers}
    if warmup:
        numbers["warmup"] = np.ones_like(numbers["warmup"])
    if "final" in numbers:
        numbers["final"] = numbers["final"].astype(bool) & (not warmup)
    if "evaluation" in numbers:
        numbers["evaluation"] = numbers["evaluation"].astype(int) + start
    return columns._replace(numbers=numbers)


def _texts(values: list[str], times: int | NDArray[np.int_] = 1) -> Texts:
    known = {text: code for code, text in enumerate(dict.fromkeys(values))}
    codes = np.fromiter(map(known.__getitem__, values), np.int32, len(values))
    return Texts(list(known), np.repeat(codes, times))


def repeated(text: str, size: int) -> Texts:
    """Return a column of one text."""
    return Texts([text], np.zeros(size, np.int32))


def joined(parts: Sequence[Texts]) -> Texts:
    """Return columns one below the other; what is known is sorted."""
    known = sorted(set(chain.from_iterable(part.known for part in parts)))
    place = {text: code for code, text in enumerate(known)}
    codes = [np.array([place[t] for t in part.known], np.int32)[part.codes] for part in parts]
    return Texts(known, np.concatenate(codes))


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
