"""The HTML page: one file, no network, the same numbers as every other format."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from textbench.reading import Run
from textbench.report.curves import Curve, metric_curves
from textbench.report.definitions import axis_titles
from textbench.report.figures import colours
from textbench.report.notes import metric_summary
from textbench.report.sections import Row, Section

AXES = (
    *("epoch", "generator_updates", "critic_updates"),
    *("tokens_sampled", "tokens_scored", "seconds"),
)
SAMPLES = 5
"""Lines of samples shown of each row."""


def chart(section: Section) -> dict[str, Any]:
    """Return the data of a section's interactive learning curves.

    Seeds are averaged epoch by epoch; against updates, tokens or seconds, an epoch's mean stands
    at the mean of where the seeds were.
    """
    styles = colours(section.rows)
    keys = {row.key: str(number) for number, row in enumerate(section.rows)}
    curves = {metric: metric_curves(section, metric, "epoch") for metric in _metrics(section)}
    shown = {metric: found for metric, found in curves.items() if found}
    places = {run.name: _places(section, run) for run in section.runs}
    drawn = {curve.row.key for found in shown.values() for curve in found}
    return {
        "axes": {axis: axis_titles().get(axis, axis) for axis in AXES},
        "metrics": {metric: metric_summary(metric) for metric in shown},
        "rows": {
            keys[row.key]: {
                "name": row.title,
                "colour": styles[row.key][0],
                "dash": " ".join(f"{2 * length:g}" for length in styles[row.key][1]),
            }
            for row in section.rows
            if row.key in drawn
        },
        "curves": {
            metric: {keys[curve.row.key]: _series(curve, places) for curve in found}
            for metric, found in shown.items()
        },
    }


def _metrics(section: Section) -> list[str]:
    """Return every metric that was evaluated, those with a titled axis first."""
    found = {
        metric
        for run in section.runs
        for moment in section.store.evaluations(run)
        for metric in moment.values
    }
    titled = list(axis_titles())
    return sorted(found, key=lambda m: (titled.index(m) if m in titled else len(titled), m))


Places = dict[float, list[float]]
"""Where a run stood on every axis, by epoch; NaN where its ledger does not count that."""


def _series(curve: Curve, places: dict[str, Places]) -> dict[str, list[float]]:
    band = curve.band()
    sound = [places[run] for run in curve.seeds if run not in curve.broken]
    at = np.array([[place[epoch] for epoch, _, _ in band] for place in sound])
    means = at.mean(axis=0).T if band else np.empty((len(AXES), 0))
    known = {axis: _round(x) for axis, x in zip(AXES, means, strict=True) if np.isfinite(x).all()}
    return {**known, "mean": _round(mean for _, mean, _ in band), "sd": _round(s for *_, s in band)}


def _places(section: Section, run: Run) -> Places:
    return {
        moment.epoch: [
            moment.epoch if axis == "epoch" else moment.ledger.get(axis, math.nan)
            for axis in AXES[:-1]
        ]
        + [moment.seconds]
        for moment in section.store.evaluations(run)
    }


def _round(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def to_json(data: Any) -> str:
    """Return JSON that may stand inside a ``<script>`` element."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", r"\u003c")


def samples(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the first samples of each row's first finished run."""
    found = []
    for row in rows:
        path = row.done[0].directory.path / "samples.txt" if row.done else None
        if path is not None and path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[:SAMPLES]
            found.append({"name": row.title, "seed": row.done[0].spec.seed, "lines": lines})
    return found


def picture(png: bytes) -> dict[str, Any]:
    """Return a picture as a URL that needs no network, and its width at two dots per pixel."""
    url = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return {"url": url, "width": int.from_bytes(png[16:20], "big") // 2}
