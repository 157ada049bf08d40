"""Learning curves: the mean over seeds with its spread, the seeds themselves behind it."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from textbench.report.curves import Curve, log_curves, metric_curves
from textbench.report.definitions import FigureSpec, axis_titles, row_names
from textbench.report.legend import add_legend
from textbench.report.tradeoff import Sweep, sweeps
from textbench.store.replicates import Comparable, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Colour = str
Dash = tuple[float, ...]
"""Lengths of strokes and gaps in points; empty for a solid line."""
DASHES: tuple[Dash, ...] = ((), (5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5))
PALETTE = (
    *("#949494", "#0173B2", "#029E73", "#CC78BC", "#DE8F05"),
    *("#ECE133", "#D55E00", "#CA9161", "#FBAFE4", "#56B4E9"),
)
"""Seaborn's colour-blind palette, in the order of the listed rows; the last ones go to others.

Seaborn itself, which is slow to import, draws the curves of the exported ``figures.py``.
"""
GRID_PALETTE = (*("#0173B2", "#DE8F05", "#029E73", "#CC78BC"), *("#CA9161", "#56B4E9", "#D55E00"))
"""Of the same palette, for the rows of a grid."""


def draw(spec: FigureSpec, section: Comparable) -> Figure | None:
    """Draw a figure; None where the store has nothing for it."""
    drawn = {"curves": _draw_curves, "twin": _draw_twin, "tradeoff": _draw_tradeoff}
    with _style():
        figure = drawn[spec.kind](spec, section)
        if figure is not None:
            # The layout is computed once, not for every file.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
    return figure


@contextmanager
def _style() -> Iterator[None]:
    """Seaborn's look, as matplotlib ships it, whatever the user's own settings are."""
    from matplotlib import rc_context, style

    ours: dict[str, Any] = {
        "font.family": ["DejaVu Sans"],
        "axes.edgecolor": "0.3",
        "axes.linewidth": 0.7,
        "grid.color": "0.9",
        "grid.linewidth": 0.6,
        "axes.titleweight": "bold",
        "lines.markeredgewidth": 1.0,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "textbench",
    }
    sheets: list[Any] = ["default", "seaborn-v0_8-whitegrid", "seaborn-v0_8-paper", ours]
    with rc_context(), style.context(sheets):
        yield


def _figure(panels: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = min(panels, 3)
    lines = math.ceil(panels / columns)
    figure = Figure(figsize=(width * columns, height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def colours(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[Colour, Dash]]:
    """Return a colour and a dash pattern per row.

    Listed algorithms are solid and keep their colour from report to report; all others are
    dashed, in the colours that these rows leave, then in all.
    """
    listed = list(row_names())
    present = {row.label for row in rows}
    used = {colour for label, colour in zip(listed, PALETTE, strict=False) if label in present}
    left = [colour for colour in PALETTE[::-1] if colour not in used]
    others = itertools.cycle(
        [*itertools.product(DASHES[1:], left), *itertools.product(DASHES[1:], PALETTE[::-1])]
    )
    chosen: dict[tuple[str, str], tuple[Colour, Dash]] = {}
    taken: set[str] = set()
    for row in rows:
        if row.label in listed[: len(PALETTE)] and row.label not in taken:
            taken.add(row.label)
            chosen[row.key] = (PALETTE[listed.index(row.label)], DASHES[0])
        else:
            dash, colour = next(others)
            chosen[row.key] = (colour, dash)
    return chosen


def grid_colours(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[Colour, Dash]]:
    """Return a colour and a dash pattern per row, the same for rows of one name."""
    usual = colours(rows)
    listed = [row.title for row in rows if row.label in row_names()]
    others = dict.fromkeys(row.title for row in rows if row.title not in listed)
    styles = itertools.cycle(itertools.product(DASHES, GRID_PALETTE))
    chosen = {name: (colour, dash) for name, (dash, colour) in zip(others, styles, strict=False)}
    return {row.key: chosen.get(row.title, usual[row.key]) for row in rows}


@dataclass(frozen=True)
class Panel:
    """A metric's curves: of all rows, or of a grid's rows that a pattern names."""

    title: str
    metric: str
    curves: tuple[Curve, ...]
    """Their rows are named as in the legend."""


def _panels(spec: FigureSpec, section: Comparable) -> list[Panel]:
    """Return the panels that have anything to show."""
    parts = [(title, p, section.only(p)) for title, p in spec.panels.items()]
    found = [
        Panel(title, metric, tuple(_named_after(pattern, metric_curves(part, metric, spec.x))))
        for title, pattern, part in parts or [("", "", section)]
        if part is not None
        for metric in spec.metrics
    ]
    return [panel for panel in found if panel.curves]


def _named_after(pattern: str, curves: Sequence[Curve]) -> Iterator[Curve]:
    """Name rows by what the pattern's star stands for."""
    for curve in curves:
        name = curve.row.name.removeprefix(pattern.partition("*")[0])
        yield replace(curve, row=replace(curve.row, name=name))


def _draw_curves(spec: FigureSpec, section: Comparable) -> Figure | None:
    panels = _panels(spec, section)
    if not panels:
        return None
    one = len(panels) == 1
    figure, axes = _figure(len(panels), *((5.6, 3.7) if one else (4.2, 3.4)))
    rows = [curve.row for panel in panels for curve in panel.curves]
    styles = grid_colours(rows) if spec.panels else colours(section.rows)
    for ax, panel in zip(axes, panels, strict=True):
        for curve in panel.curves:
            _draw_curve(ax, curve, *styles[curve.row.key])
        _finish(ax, spec, axis_titles().get(panel.metric, panel.metric))
        ax.set_title(plain(panel.title))
        beside = [curve for p in panels if p.metric == panel.metric for curve in p.curves]
        _zoom(ax, _end(spec, beside), beside, one_scale=len(beside) > len(panel.curves))
    add_legend(figure, axes, columns=3 if one else 6)
    return figure


def _end(spec: FigureSpec, curves: Sequence[Curve]) -> float:
    """Return where the figure's range of x ends."""
    return spec.x_max + max(curve.start for curve in curves)


def _zoom(ax: Axes, end: float, curves: Sequence[Curve], *, one_scale: bool = False) -> None:
    """Show what lies before ``end``, and of y what ``curves`` need there."""
    points = [(x, y) for curve in curves for seed in curve.seeds.values() for x, y in seed.items()]
    hides = max(x for x, _ in points) >= end
    shown = [y for x, y in points if x <= end]
    if hides:
        ax.set_xlim(right=end)
    if shown and (hides or one_scale):
        margin = 0.05 * (max(shown) - min(shown)) or 0.5
        ax.set_ylim(min(shown) - margin, max(shown) + margin)


def _draw_curve(ax: Axes, curve: Curve, colour: Colour, dash: Dash) -> None:
    from matplotlib.collections import LineCollection

    lines = [list(points.items()) for points in curve.seeds.values()]
    ax.add_collection(LineCollection(lines, colors=colour, linewidths=0.6, alpha=0.35))
    ends = [list(curve.seeds[run].items())[-1] for run in sorted(curve.broken & set(curve.seeds))]
    if ends:
        ax.plot(*zip(*ends, strict=True), "x", color=colour, markersize=6)
    x, mean, sd = np.array(curve.band() or [(math.nan,) * 3]).T
    line = ax.plot(x, mean, color=colour, linewidth=1.6, label=plain(curve.row.title))[0]
    if dash:
        line.set_dashes(dash)
    ax.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
    if curve.starts_warm:
        ax.plot(x[:1], mean[:1], "o", color=colour, markersize=4, markerfacecolor="white")
    ax.autoscale_view()


def plain(text: str) -> str:
    """Escape text that matplotlib would read as mathematics."""
    return text.replace("$", r"\$")


def _draw_twin(spec: FigureSpec, section: Comparable) -> Figure | None:
    logged = {curve.row.key: curve for curve in log_curves(section, spec.log)}
    metric = spec.metrics[0]
    measured = {curve.row.key: curve for curve in metric_curves(section, metric, spec.x)}
    rows = [row for row in section.rows if row.key in logged and row.key in measured]
    if not rows:
        return None
    left, right = "#0173B2", "#D55E00"
    figure, axes = _figure(len(rows), 5.2, 3.5)
    for ax, row in zip(axes, rows, strict=True):
        twin = ax.twinx()
        twin.grid(visible=False)
        _draw_curve(ax, logged[row.key], left, ())
        _draw_curve(twin, measured[row.key], right, DASHES[1])
        _finish(ax, spec, axis_titles().get(spec.log, spec.log), colour=left)
        _finish(twin, spec, axis_titles().get(metric, metric), colour=right)
        end = _end(spec, [measured[row.key]])
        _zoom(twin, end, [measured[row.key]])
        _zoom(ax, end, [logged[row.key]])
        ax.set_title(plain(row.title))
    return figure


def _draw_tradeoff(spec: FigureSpec, section: Comparable) -> Figure | None:
    """Draw the second metric of each pair against the first, over inverse temperatures."""
    pairs = list(zip(spec.metrics[::2], spec.metrics[1::2], strict=True))
    panels = [(pair, sweeps(section, *pair)) for pair in pairs]
    panels = [(pair, lines) for pair, lines in panels if lines]
    if not panels:
        return None
    figure, axes = _figure(len(panels), 5.2, 3.7)
    rows = {line.row.key: line.row for _, lines in panels for line in lines}
    styles = colours(list(rows.values()))
    for ax, (pair, lines) in zip(axes, panels, strict=True):
        for line in lines:
            _draw_sweep(ax, line, *styles[line.row.key])
        x, y = (axis_titles().get(metric, metric) for metric in pair)
        ax.set(xlabel=x, ylabel=y)
    add_legend(figure, axes, columns=4)
    return figure


def _draw_sweep(ax: Axes, line: Sweep, colour: Colour, dash: Dash) -> None:
    alphas, x, y = zip(*line.points, strict=True)
    drawn = ax.plot(x, y, ".-", color=colour, linewidth=1.4, label=plain(line.row.title))[0]
    if dash:
        drawn.set_dashes(dash)
    for i in (0, len(alphas) - 1) if len(alphas) > 1 else ():
        near: dict[str, Any] = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 7}
        ax.annotate(f"{alphas[i]:g}", (x[i], y[i]), color=colour, **near)


def _finish(ax: Axes, spec: FigureSpec, title: str, colour: Colour | None = None) -> None:
    ax.set_xlabel(axis_titles().get(spec.x, spec.x))
    label = ax.set_ylabel(title)
    if colour is not None:
        label.set_color(colour)
        ax.tick_params(axis="y", labelcolor=colour)
    ax.set_xlim(left=0)
    ax.margins(x=0.02)


def to_bytes(figure: Figure, kind: str) -> bytes:
    """Return the file's bytes, the same for the same figure: no dates, no version strings."""
    nothing = {
        "pdf": {"CreationDate": None, "Creator": "textbench", "Producer": None},
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format=kind, dpi=200, metadata=nothing[kind])
    return buffer.getvalue()
