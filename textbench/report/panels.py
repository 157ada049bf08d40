"""Panels and their legends: the parts that every kind of figure is put together from."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from textbench.report.curves import Curve
from textbench.report.styles import Style, plain

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Point = tuple[float, float]
TITLE = 40
"""Letters of a row's title in a legend, at most."""
LETTER, HANDLE = 0.075, 0.5
"""About how wide, in inches, a letter is and the line beside a title."""
LINE = 0.17
"""About how high a line of a legend is."""
SAME = 0.004
"""Lines that are everywhere as near as this share of a panel's height cannot be told apart."""


@dataclass(frozen=True)
class Drawn:
    """A figure, and what its caption must say."""

    figure: Figure
    stubs: tuple[str, ...] = ()
    """Rows that were left out, of too few evaluations to show a course."""
    other_oracle: bool = False
    """Whether published numbers in it are of another oracle."""


@dataclass(frozen=True)
class Strip:
    """A row of panels with one legend: of a few algorithms."""

    title: str
    names: tuple[str, ...]
    """What the legend shows."""
    panels: int

    def legend_lines(self, width: float) -> int:
        """Return how many lines the legend takes."""
        return math.ceil(len(self.names) / self.legend_columns(width)) if self.names else 0

    def legend_columns(self, width: float) -> int:
        """Return how many names fit side by side."""
        longest = max((len(shortened(name)) for name in self.names), default=1)
        return max(1, min(len(self.names) or 1, int(width / (HANDLE + LETTER * longest))))


def figure_of(
    strips: Sequence[Strip], width: float, height: float
) -> tuple[Figure, list[tuple[SubFigure, list[Axes]]]]:
    """Make a figure of strips, as high as its panels and legends need.

    Args:
        strips: From top to bottom.
        width: Of a panel, in inches.
        height: Of a panel.
    """
    from matplotlib.figure import Figure

    columns = max(min(strip.panels, 3) for strip in strips)
    total = max(width * columns, 5.2)
    heights = [
        height * math.ceil(strip.panels / columns)
        + LINE * strip.legend_lines(total)
        + (0.25 if strip.title else 0)
        for strip in strips
    ]
    figure = Figure(figsize=(total, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(strips), 1, height_ratios=heights, squeeze=False)
    found = []
    for part, strip in zip(parts[:, 0].tolist(), strips, strict=True):
        part.patch.set_visible(False)  # it is empty, and its corner lies at 0 or at -0
        lines = math.ceil(strip.panels / columns)
        grid = part.add_gridspec(lines, columns)
        axes = [part.add_subplot(grid[place]) for place in range(strip.panels)]
        if strip.title:
            # Not bold: every PDF would embed a second font, half the time that it takes to write.
            part.suptitle(strip.title, fontsize=10, x=0.01, ha="left")
        found.append((part, axes))
    return figure, found


def add_legend(part: SubFigure, axes: Sequence[Axes], strip: Strip, width: float) -> None:
    """Name every line once, below the panels, in the rows' order from left to right."""
    named: dict[str, Artist] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        named |= {label: named.get(label, h) for h, label in zip(handles, labels, strict=True)}
    if not named:
        return
    short = {label: shortened(label) for label in named}
    if len(set(short.values())) < len(named):
        short = {label: label for label in named}
    columns = min(strip.legend_columns(width), len(named))
    # matplotlib fills a legend column by column.
    order = [label for first in range(columns) for label in list(named)[first::columns]]
    part.legend(
        [named[label] for label in order],
        [short[label] for label in order],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8,
        handlelength=2.6,
    )


def shortened(title: str) -> str:
    """Leave out what a long title has too much; tables have it all."""
    if len(title) <= TITLE:
        return title
    if "," in title[:TITLE]:
        return title[:TITLE].rpartition(",")[0] + ", …]"
    return title[: TITLE - 1] + "…"


def draw_curves(ax: Axes, curves: Sequence[Curve], styles: Mapping[Hashable, Style]) -> None:
    """Draw curves: the mean and its interval, the seeds behind it; nothing hides beneath another.

    A line that lies on an earlier one is drawn dashed and marked, and the earlier one wide and
    pale beneath it.
    """
    covered = _coincident(curves)
    for curve in curves:
        style = styles[curve.row]
        on_top = covered.get(curve.row)
        beneath = curve.row in covered.values()
        _draw_curve(ax, curve, style, wide=beneath, dotted=on_top is not None)
    ax.autoscale_view()


def _coincident(curves: Sequence[Curve]) -> dict[int, int]:
    """Return the rows that cannot be told from an earlier one, each with that."""
    means = [curve.mean.set_index("epoch")["mean"] for curve in curves]
    lines = pd.concat(means, axis=1).to_numpy(float).T if means else np.zeros((0, 0))
    known = np.isfinite(lines)
    height = float(np.ptp(lines[known])) if known.any() else 0.0
    lengths = known.sum(axis=1)
    found: dict[int, int] = {}
    for i, curve in enumerate(curves):
        for j, earlier in enumerate(curves[:i]):
            apart = np.abs(lines[i] - lines[j])[known[i] & known[j]]
            most = max(2, 0.6 * min(lengths[i], lengths[j]))
            if len(apart) >= most and np.median(apart) <= SAME * height:
                found.setdefault(curve.row, earlier.row)
    return found


def _draw_curve(ax: Axes, curve: Curve, style: Style, *, wide: bool, dotted: bool) -> None:
    from matplotlib.collections import LineCollection

    colour = style.colour
    lines = list(curve.lines.values())
    if len(lines) > 1 or curve.broken:
        ax.add_collection(LineCollection(lines, colors=colour, linewidths=0.5, alpha=0.3))
    ends = [points[-1] for run, points in curve.lines.items() if run in curve.broken]
    if ends:
        ax.plot(*np.transpose(ends), "x", color=colour, markersize=6)
    mean = curve.mean
    x, y = (mean[key].to_numpy(float) if len(mean) else np.array([np.nan]) for key in ("x", "mean"))
    width, alpha = (4.0, 0.4) if wide else (1.5, None)
    line = ax.plot(x, y, color=colour, label=plain(curve.title), linewidth=width, alpha=alpha)[0]
    if dotted:
        every = max(1, len(x) // 12)
        line.set(marker="o", markersize=3.5, markevery=every, markerfacecolor="w")
    dash = style.dash or ((3, 3) if dotted else ())
    if dash:
        line.set_dashes(dash)
    if mean["low"].notna().any():
        low, high = (mean[key].to_numpy(float) for key in ("low", "high"))
        ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    if curve.starts_warm:
        ax.plot(x[:1], y[:1], "o", color=colour, markersize=4, markerfacecolor="white")


def zoom(ax: Axes, curves: Sequence[Curve], end: float) -> None:
    """Show x from 0 to ``end``, and of y what ``curves`` need there."""
    points = np.concatenate([points for curve in curves for points in curve.lines.values()])
    last = points[:, 0].max()
    shown = points[points[:, 0] <= end][:, 1]
    ax.set_xlim(0.0, end if last >= end else last + 0.02 * (last or 1.0))
    if len(shown):
        margin = 0.05 * float(np.ptp(shown)) or 0.5
        ax.set_ylim(shown.min() - margin, shown.max() + margin)


def mark(
    ax: Axes, text: str, at: Point, off: Point, colour: str, ha: str = "left", va: str = "baseline"
) -> None:
    """Write small text beside a point, as many printer's points off it."""
    ax.annotate(
        text, at, xytext=off, textcoords="offset points", fontsize=7, color=colour, ha=ha, va=va
    )
