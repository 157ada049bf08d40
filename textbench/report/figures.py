"""Learning curves: the mean over seeds with its spread, the seeds themselves behind it."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from textbench.report.definitions import FigureSpec, axis_titles, row_names
from textbench.report.sections import Row, Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Colour = tuple[float, float, float]
Dash = tuple[float, ...]
"""Lengths of strokes and gaps in points; empty for a solid line."""
DASHES: tuple[Dash, ...] = ((), (5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5))
PALETTE = (7, 0, 2, 4, 1, 8, 3, 5, 6, 9)
"""Seaborn's colours in the order of the listed rows; the last ones go to unlisted rows."""
BROKEN = ("failed", "diverged")


@dataclass(frozen=True)
class Curve:
    """One algorithm's line."""

    row: Row
    seeds: dict[str, pd.Series[float]]
    """Each run's values, indexed by x."""
    broken: frozenset[str]
    """Runs that failed or diverged: drawn, ended by a cross, and left out of the mean."""

    def mean(self) -> pd.DataFrame:
        """Return mean and sd where every sound run has a value: a mean never changes its seeds."""
        sound = [values for run, values in self.seeds.items() if run not in self.broken]
        if not sound:
            return pd.DataFrame({"mean": [], "sd": []})
        joined = pd.concat(sound, axis=1, join="inner").sort_index()
        sd = joined.std(axis=1, ddof=1) if len(sound) > 1 else joined.iloc[:, 0] * math.nan
        return pd.DataFrame({"mean": joined.mean(axis=1), "sd": sd})


def metric_curves(section: Section, metric: str, x: str) -> list[Curve]:
    """Return every row's curve of a metric, the warm-up's part left to the warm-up's own row.

    The last point of the warm-up is kept, so that the line starts where training took over.
    Final evaluations are left out where the curve's own have another protocol.
    """
    data = section.evaluations
    data = data[(data["metric"] == metric) & np.isfinite(data["value"].astype(float))]
    curves = []
    for row in section.rows:
        seeds = {}
        for run in row.runs:
            points = _points(data[data["run"] == run.name])
            if len(points) and x in points:
                seeds[run.name] = points.drop_duplicates(x, keep="last").set_index(x)["value"]
        if seeds:
            curves.append(Curve(row, seeds, _broken(row)))
    return curves


def _points(rows: pd.DataFrame) -> pd.DataFrame:
    regular = rows[~rows["final"].astype(bool)]
    if regular.empty:
        return rows
    rows = rows[rows["protocol"] == regular["protocol"].iloc[-1]]
    warmup = rows["warmup"].astype(bool)
    return pd.concat([rows[warmup].tail(1), rows[~warmup]])


def log_curves(section: Section, name: str) -> list[Curve]:
    """Return every row's curve of a logged quantity: its mean over each epoch."""
    data = section.log
    data = data[(data["kind"] == "loss") & (data["name"] == name) & ~data["warmup"].astype(bool)]
    curves = []
    for row in section.rows:
        seeds = {}
        for run in row.runs:
            values = data[data["run"] == run.name]
            if len(values):
                # Entries of epoch e lie between its start and its end.
                per_epoch = values.groupby("epoch")["value"].mean()
                per_epoch.index = per_epoch.index.astype(float) + 0.5
                seeds[run.name] = per_epoch
        if seeds:
            curves.append(Curve(row, seeds, _broken(row)))
    return curves


def _broken(row: Row) -> frozenset[str]:
    return frozenset(run.name for run in row.runs if run.status.status in BROKEN)


def draw(spec: FigureSpec, section: Section) -> Figure | None:
    """Draw a figure; None where the store has nothing for it."""
    from matplotlib import rc_context

    with rc_context(_style()):
        return _draw_curves(spec, section) if spec.kind == "curves" else _draw_twin(spec, section)


def _style() -> dict[Any, Any]:
    import seaborn

    return {
        **seaborn.axes_style("whitegrid"),
        **seaborn.plotting_context("paper"),
        "font.family": ["DejaVu Sans"],
        "axes.edgecolor": "0.3",
        "axes.linewidth": 0.7,
        "grid.color": "0.9",
        "grid.linewidth": 0.6,
        "axes.titleweight": "bold",
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "textbench",
    }


def _figure(panels: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = min(panels, 3)
    lines = math.ceil(panels / columns)
    figure = Figure(figsize=(width * columns, height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def colours(rows: Sequence[Row]) -> dict[str, tuple[Colour, Dash]]:
    """Return a colour and a dash pattern per row, from seaborn's colour-blind palette.

    Listed algorithms are solid and keep their colour from report to report; all others are
    dashed, in the colours that are left, then in all.
    """
    import seaborn

    palette = [seaborn.color_palette("colorblind", 10)[i] for i in PALETTE]
    listed = list(row_names())
    others = itertools.cycle(itertools.product(DASHES[1:], palette[::-1]))
    chosen: dict[str, tuple[Colour, Dash]] = {}
    taken: set[str] = set()
    for row in rows:
        if row.label in listed[: len(palette)] and row.label not in taken:
            taken.add(row.label)
            chosen[row.group] = (palette[listed.index(row.label)], DASHES[0])
        else:
            dash, colour = next(others)
            chosen[row.group] = (colour, dash)
    return chosen


def _draw_curves(spec: FigureSpec, section: Section) -> Figure | None:
    found = {metric: metric_curves(section, metric, spec.x) for metric in spec.metrics}
    shown = {metric: curves for metric, curves in found.items() if curves}
    if not shown:
        return None
    figure, axes = _figure(len(shown), *((5.6, 3.7) if len(shown) == 1 else (4.2, 3.4)))
    styles = colours(section.rows)
    for ax, (metric, curves) in zip(axes, shown.items(), strict=True):
        for curve in curves:
            _draw_curve(ax, curve, *styles[curve.row.group])
        _finish(ax, spec, axis_titles().get(metric, metric))
    _add_legend(figure, axes, columns=3 if len(shown) == 1 else 6)
    return figure


def _add_legend(figure: Figure, axes: Sequence[Axes], columns: int) -> None:
    """Name every line once, below the panels, in the rows' order from left to right."""
    named: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        named |= {label: handle for label, handle in zip(labels, handles, strict=True)}
    columns = min(columns, len(named))
    # matplotlib fills a legend column by column.
    order = [label for first in range(columns) for label in list(named)[first::columns]]
    figure.legend(
        [named[label] for label in order],
        order,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )


def _draw_curve(ax: Axes, curve: Curve, colour: Colour, dash: Dash) -> None:
    for run, values in curve.seeds.items():
        values = values.sort_index()
        ax.plot(values.index, values, color=colour, linewidth=0.6, alpha=0.35)
        if run in curve.broken:
            ax.plot(values.index[-1:], values.iloc[-1:], "x", color=colour, markersize=6)
    mean = curve.mean()
    line = ax.plot(mean.index, mean["mean"], color=colour, linewidth=1.6, label=curve.row.title)[0]
    if dash:
        line.set_dashes(dash)
    ax.fill_between(
        mean.index.astype(float),
        (mean["mean"] - mean["sd"]).astype(float),
        (mean["mean"] + mean["sd"]).astype(float),
        color=colour,
        alpha=0.15,
        linewidth=0,
    )
    if len(mean) and curve.row.runs[0].spec.warmup is not None:
        start = mean.iloc[0]
        ax.plot([mean.index[0]], [start["mean"]], "o", color=colour, markersize=4, mfc="white")


def _draw_twin(spec: FigureSpec, section: Section) -> Figure | None:
    logged = {curve.row.group: curve for curve in log_curves(section, spec.log)}
    metric = spec.metrics[0]
    measured = {curve.row.group: curve for curve in metric_curves(section, metric, spec.x)}
    rows = [row for row in section.rows if row.group in logged and row.group in measured]
    if not rows:
        return None
    import seaborn

    left, right = (seaborn.color_palette("colorblind")[i] for i in (0, 3))
    figure, axes = _figure(len(rows), 5.2, 3.5)
    for ax, row in zip(axes, rows, strict=True):
        twin = ax.twinx()
        twin.grid(visible=False)
        _draw_curve(ax, logged[row.group], left, ())
        _draw_curve(twin, measured[row.group], right, DASHES[1])
        _finish(ax, spec, axis_titles().get(spec.log, spec.log), colour=left)
        _finish(twin, spec, axis_titles().get(metric, metric), colour=right)
        ax.set_title(row.title)
    return figure


def _finish(ax: Axes, spec: FigureSpec, title: str, colour: Colour | None = None) -> None:
    ax.set_xlabel(axis_titles().get(spec.x, spec.x))
    label = ax.set_ylabel(title)
    if colour is not None:
        label.set_color(colour)
        ax.tick_params(axis="y", labelcolor=colour)
    ax.set_xlim(left=0)
    if ax.get_xlim()[1] > spec.x_max:
        ax.set_xlim(right=spec.x_max)
    ax.margins(x=0.02)


def to_bytes(figure: Figure, kind: str) -> bytes:
    """Return the file's bytes, the same for the same figure: no dates, no version strings."""
    from matplotlib import rc_context

    nothing = {
        "pdf": {"CreationDate": None, "Creator": "textbench", "Producer": None},
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }
    buffer = io.BytesIO()
    with rc_context(_style()):
        figure.savefig(buffer, format=kind, dpi=200, metadata=nothing[kind])
    return buffer.getvalue()
