"""The HTML page: one file, no network, the same numbers as every other format."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from textbench.report.curves import Curve, metric_curves
from textbench.report.definitions import axis_titles
from textbench.report.figures import colours
from textbench.report.samples import read_samples
from textbench.store.read import RecordedRun
from textbench.store.replicates import Comparable, Row

AXES = (
    *("epoch", "generator_updates", "critic_updates"),
    *("tokens_sampled", "tokens_scored", "seconds"),
)
SAMPLES = 5
"""Lines of samples shown of each row."""


def chart(section: Comparable) -> dict[str, Any]:
    """Return the data of a section's interactive learning curves.

    Seeds are averaged epoch by epoch; against updates, tokens or seconds, an epoch's mean stands
    at the mean of where the seeds were.
    """
    styles = colours(section.rows)
    keys = {row.key: str(number) for number, row in enumerate(section.rows)}
    curves = {metric: metric_curves(section, metric, "epoch") for metric in _metrics(section)}
    shown = {metric: found for metric, found in curves.items() if found}
    drawn = {curve.row.key for found in shown.values() for curve in found}
    places = _Places(section)
    lines = {
        metric: {keys[curve.row.key]: _line(curve, places) for curve in found}
        for metric, found in shown.items()
    }
    return {
        "axes": {axis: axis_titles().get(axis, axis) for axis in AXES},
        "metrics": {metric: section.store.number(metric).summary for metric in shown},
        "rows": {
            keys[row.key]: {
                "name": row.title,
                "colour": styles[row.key][0],
                "dash": " ".join(f"{2 * length:g}" for length in styles[row.key][1]),
            }
            for row in section.rows
            if row.key in drawn
        },
        "places": places.shown,
        "curves": lines,
    }


def _metrics(section: Comparable) -> list[str]:
    """Return every metric that was evaluated, those with a titled axis first."""
    found = {
        metric
        for run in section.runs
        for moment in section.store.evaluations(run)
        for metric in moment.values
    }
    titled = list(axis_titles())
    return sorted(found, key=lambda m: (titled.index(m) if m in titled else len(titled), m))


def _line(curve: Curve, places: _Places) -> dict[str, Any]:
    band = curve.band()
    return {
        "at": places.number(curve, tuple(epoch for epoch, _, _ in band)),
        "mean": _round(mean for _, mean, _ in band),
        "sd": _round(sd for *_, sd in band),
    }


class _Places:
    """Where curves stand on every axis; the metrics of a row share one such place."""

    def __init__(self, section: Comparable) -> None:
        self.section = section
        self.shown: list[dict[str, list[float]]] = []
        self._numbers: dict[tuple[Any, ...], int] = {}

    def number(self, curve: Curve, epochs: tuple[float, ...]) -> int:
        """Return the number in ``shown`` of the mean place of a curve's sound seeds."""
        sound = set(curve.seeds) - curve.broken
        key = (curve.row.key, epochs, frozenset(sound))
        if key not in self._numbers:
            self._numbers[key] = len(self.shown)
            runs = [run for run in curve.row.runs if run.name in sound]
            at = np.array([self._of_run(run, epochs) for run in runs])
            means = at.mean(axis=0).T if epochs else np.empty((len(AXES), 0))
            known = zip(AXES, means, strict=True)
            self.shown.append({axis: _round(x) for axis, x in known if np.isfinite(x).all()})
        return self._numbers[key]

    def _of_run(self, run: RecordedRun, epochs: tuple[float, ...]) -> list[list[float]]:
        """Return (epochs, axes); NaN where the run's ledger does not count something."""
        moments = {moment.epoch: moment for moment in self.section.store.evaluations(run)}
        return [
            [
                epoch,
                *(moments[epoch].ledger.get(axis, math.nan) for axis in AXES[1:-1]),
                moments[epoch].seconds,
            ]
            for epoch in epochs
        ]


def _round(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def to_json(data: Any) -> str:
    """Return JSON that may stand inside a ``<script>`` element."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", r"\u003c")


def samples(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the first samples of each row's first finished run."""
    return [
        {"name": found.row.title, "seed": found.seed, "lines": found.lines}
        for found in read_samples(rows, SAMPLES)
    ]


def picture(png: bytes) -> dict[str, Any]:
    """Return a picture as a URL that needs no network, and its width at two dots per pixel."""
    url = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return {"url": url, "width": int.from_bytes(png[16:20], "big") // 2}
