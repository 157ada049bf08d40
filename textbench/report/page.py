"""The HTML page: one file, no network, the same numbers as every other format."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

import numpy as np
import pandas as pd

from textbench.report.curves import Curve, metric_curves
from textbench.report.definitions import axis_title, axis_titles
from textbench.report.sections import Section
from textbench.report.styles import Styles

AXES = (
    *("epoch", "generator_updates", "critic_updates"),
    *("tokens_sampled", "tokens_scored", "seconds"),
)
LARGEST = 1.79769e308
"""Of what a float holds, to six digits."""
SAMPLES = 5
"""Lines of samples shown of each row."""


def chart(section: Section, styles: Styles) -> dict[str, object]:
    """Return the data of a section's interactive learning curves.

    Seeds are averaged epoch by epoch; against updates, tokens or seconds, an epoch's mean stands
    at the mean of where the seeds were.
    """
    looks = styles.of(section)
    found = {metric: metric_curves(section, metric) for metric in _metrics(section)}
    curves = {metric: [c for c in lines if len(c.mean)] for metric, lines in found.items()}
    curves = {metric: lines for metric, lines in curves.items() if lines}
    places = _Places(section)
    lines = {
        metric: {str(curve.row): _line(curve, places) for curve in mine}
        for metric, mine in curves.items()
    }
    drawn = {curve.row for mine in curves.values() for curve in mine}
    return {
        "axes": {axis: axis_title(axis) for axis in AXES},
        "metrics": {metric: section.evaluations.summary(metric) for metric in curves},
        "rows": {
            str(row): {
                "name": title,
                "colour": looks[row].colour,
                "dash": " ".join(f"{2 * length:g}" for length in looks[row].dash),
            }
            for row, title in section.rows["title"].items()
            if row in drawn
        },
        "places": places.shown,
        "curves": lines,
    }


def _metrics(section: Section) -> list[str]:
    """Return every metric that was evaluated, those with a titled axis first."""
    titled = list(axis_titles())
    measured = section.evaluations.measured
    return sorted(measured, key=lambda m: (titled.index(m) if m in titled else len(titled), m))


def _line(curve: Curve, places: _Places) -> dict[str, object]:
    mean = curve.mean
    low, high = mean["low"].fillna(mean["mean"]), mean["high"].fillna(mean["mean"])
    return {
        "at": places.number(curve),
        "mean": _round(mean["mean"]),
        "low": _round(low),
        "high": _round(high),
    }


class _Places:
    """Where curves stand on every axis; the metrics of a row share one such place."""

    def __init__(self, section: Section) -> None:
        at = section.evaluations.at.drop_duplicates(["run", "epoch"], keep="last")
        self._axes = [axis for axis in AXES[1:] if axis in at]
        epochs, places = at["epoch"].to_numpy(float), at[self._axes].to_numpy(float)
        runs = at.groupby("run", observed=True).indices
        self._at = {str(run): (pd.Index(epochs[i]), places[i]) for run, i in runs.items()}
        self.shown: list[dict[str, list[float]]] = []
        self._numbers: dict[tuple[tuple[float, ...], tuple[str, ...]], int] = {}

    def number(self, curve: Curve) -> int:
        """Return the number in ``shown`` of the mean place of a curve's sound seeds."""
        epochs = curve.mean["epoch"]
        runs = sorted(set(curve.points["run"]) - curve.broken)
        key = (tuple(epochs), tuple(runs))
        if key not in self._numbers:
            self._numbers[key] = len(self.shown)
            each = [at[known.get_indexer(epochs)] for known, at in map(self._at.__getitem__, runs)]
            means = zip(self._axes, np.mean(each, axis=0).T, strict=True)
            known = {axis: _round(x) for axis, x in means if np.isfinite(x).all()}
            self.shown.append({"epoch": _round(epochs), **known})
        return self._numbers[key]


def _round(values: Iterable[float]) -> list[float]:
    """Return what JSON has words for: a mean or a deviation of finite values may be infinite."""
    finite = np.clip(np.asarray(list(values), float), -LARGEST, LARGEST)
    return [float(f"{value:.6g}") for value in finite]


def to_json(data: object) -> str:
    """Return JSON that may stand inside a ``<script>`` element."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", r"\u003c")


def picture(png: bytes) -> dict[str, object]:
    """Return a picture as a URL that needs no network, and its width at two dots per pixel."""
    url = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return {"url": url, "width": int.from_bytes(png[16:20], "big") * 5 // 8}
