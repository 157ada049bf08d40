"""The rows of a run's logs as columns, checked on the way: a wrong row raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from textbench.store.rows import EpochRow, EvaluationRow, LossRow

Columns = dict[str, NDArray[np.generic]]
"""Equally long columns, by name."""


def evaluation_columns(rows: Sequence[EvaluationRow], *, warmup: bool, start: int) -> Columns:
    """Return the columns of a run's evaluations, a row per metric; the first is number ``start``.

    Raises:
        Exception: One of `UNREADABLE`, where a row is not what it should be.
    """
    sizes = np.array([len(row["metrics"]) for row in rows], dtype=int)
    measured = [one for row in rows for one in row["metrics"].values()]
    numbers = np.arange(start, start + len(rows))
    found = {
        "evaluation": np.repeat(numbers, sizes),
        "warmup": np.full(int(sizes.sum()), warmup),
        "phase": np.repeat(_texts([row["phase"] for row in rows]), sizes),
        "step": np.repeat(np.array([row["step"] for row in rows], dtype=int), sizes),
        "epoch": np.repeat(np.array([row["epoch"] for row in rows], dtype=float), sizes),
        "final": np.repeat(np.array([row["final"] and not warmup for row in rows], bool), sizes),
        **{
            key: np.repeat(np.array([row[key] for row in rows], dtype=float), sizes)
            for key in ("seconds", "cpu_seconds")
        },
        "metric": _texts([name for row in rows for name in row["metrics"]]),
        "value": np.array([one["value"] for one in measured], dtype=float),
        "na_reason": _texts([one.get("reason", "") for one in measured]),
        **{
            key: _texts([one[key] for one in measured])
            for key in ("protocol", "direction", "unit", "summary")
        },
    }
    for name in dict.fromkeys(chain.from_iterable(row["ledger"] for row in rows)):
        counts = np.array([row["ledger"].get(name) for row in rows], dtype=float)
        found[name] = np.repeat(counts, sizes)
    return found


def log_columns(rows: Sequence[LossRow | EpochRow], *, warmup: bool) -> Columns:
    """Return the columns of a run's log, a row per quantity."""
    values: list[Mapping[str, float | None]] = [
        row["values"]
        if row["kind"] == "loss"
        else {"seconds": row["seconds"], "cpu_seconds": row["cpu_seconds"], **row["ledger"]}
        for row in rows
    ]
    sizes = np.array([len(one) for one in values], dtype=int)
    return {
        "warmup": np.full(int(sizes.sum()), warmup),
        "kind": np.repeat(_texts([row["kind"] for row in rows]), sizes),
        "phase": np.repeat(_texts([row["phase"] for row in rows]), sizes),
        "step": np.repeat(np.array([row["step"] for row in rows], dtype=int), sizes),
        "epoch": np.repeat(np.array([row["epoch"] for row in rows], dtype=int), sizes),
        "name": _texts([name for one in values for name in one]),
        "value": np.array([v for one in values for v in one.values()], dtype=float),
    }


def _texts(values: list[str]) -> NDArray[np.generic]:
    return np.array(values, dtype=object)
