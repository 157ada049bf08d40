"""The tidy data of every evaluation as CSV, in full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from textbench.store.rows import METRIC_COLUMNS

PART = 4096
"""Lines that are joined at a time: a megabyte stays in the processor's cache."""


def data_csv(results: pd.DataFrame) -> Iterator[str]:
    """Yield what `textbench.load_results` loads, as CSV, part by part.

    Of 300,000 lines all metrics of an evaluation share the columns before and after theirs, and
    what is said of a metric has few different forms: each is formatted once. pandas formats every
    cell, which takes eight times as long.
    """
    names = list(results.columns)
    yield ",".join(map(_quoted, names)) + "\n"
    if not len(results):
        return
    at = names.index("value")
    about = METRIC_COLUMNS[METRIC_COLUMNS.index("value") + 1 :]
    after = at + 1 + len(about)
    evaluation = _numbered(results, ("run", "evaluation"))
    columns = [
        _shared(results, names[: at - 1], evaluation),
        _column(results["metric"]),
        _column(results["value"]),
        _shared(results, about, _numbered(results, about)),
        *([_shared(results, names[after:], evaluation)] if names[after:] else []),
    ]
    lines = map(",".join, zip(*columns, strict=True))
    while part := list(islice(lines, PART)):
        yield "\n".join(part) + "\n"


def _numbered(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.int64]:
    """Number the lines of a frame, those that agree in all of ``names`` alike."""
    found = np.zeros(len(frame), np.int64)
    for name in names:
        codes, known = pd.factorize(frame[name])
        found, _ = pd.factorize(found * (len(known) + 1) + codes + 1)  # -1 where there is nothing
    return found


def _shared(frame: pd.DataFrame, names: Sequence[str], lines: NDArray[np.int64]) -> list[str]:
    """Return some columns of each line, joined, formatting them once for each of ``lines``."""
    _, first = np.unique(lines, return_index=True)
    columns = [_column(frame[name].iloc[first]) for name in names]
    texts = np.array([",".join(line) for line in zip(*columns, strict=True)], dtype=object)
    found: list[str] = texts[lines].tolist()
    return found


def _column(values: pd.Series) -> list[str]:
    if values.name == "value":
        return digits(values.to_numpy(float))
    codes, known = pd.factorize(values, use_na_sentinel=True)
    counts = values.name not in ("seconds", "cpu_seconds")  # of epochs, or of the ledger
    shown = np.array([*(_field(one, counts) for one in list(known)), ""], dtype=object)
    found: list[str] = shown[codes].tolist()  # a missing value has the code -1, the last one
    return found


def digits(values: NDArray[np.float64]) -> list[str]:
    """Return what `repr` writes, in a third of its time; nothing for NaN.

    msgspec writes the same digits, and other exponents, which begin at these bounds.
    """
    found = msgspec.json.encode(values.tolist()).decode("ascii")[1:-1].split(",")[: len(values)]
    plain = (np.abs(values) >= 1e-4) & (np.abs(values) < 1e16)
    for at in np.flatnonzero(~plain).tolist():
        found[at] = "" if np.isnan(values[at]) else repr(float(values[at]))
    return found


def _field(value: object, counts: bool) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if counts and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _quoted(text: str) -> str:
    """Quote as RFC 4180 says, where it must be."""
    if text and not set(text) & set('",\r\n'):
        return text
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text, ""])
    return line.getvalue()[:-1]
