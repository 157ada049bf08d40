"""The tidy data of every evaluation as CSV, in full precision."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd


def data_csv(results: pd.DataFrame) -> str:
    """Return what `textbench.load_results` loads, as CSV.

    A column of 300,000 lines has few different values, so each of those is formatted once; pandas
    formats every cell, which takes four times as long.
    """
    head = ",".join(map(_quoted, results.columns))
    if not len(results):
        return head + "\n"
    columns = [_column(results[name]) for name in results.columns]
    return "\n".join([head, *map(",".join, zip(*columns, strict=True))]) + "\n"


def _column(values: pd.Series) -> list[str]:
    if values.name == "value":
        return ["" if value != value else repr(value) for value in values.to_list()]
    codes, known = pd.factorize(values, use_na_sentinel=True)
    counts = values.name not in ("seconds", "cpu_seconds")  # of epochs, or of the ledger
    shown = np.array([*(_field(one, counts) for one in list(known)), ""], dtype=object)
    found: list[str] = shown[codes].tolist()  # a missing value has the code -1, the last one
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
