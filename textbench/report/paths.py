"""One metric against another along training: what stopping time decides."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from textbench.judge import published
from textbench.report.curves import Curve, long_enough, metric_curves
from textbench.report.definitions import FigureSpec, axis_title
from textbench.report.pairs import Pair, draw_pairs
from textbench.report.panels import Drawn, Strip, add_legend, figure_of, mark
from textbench.report.sections import Section
from textbench.report.styles import Style, Styles, groups, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = (6.4, 4.2)
"""Inches."""


def draw(spec: FigureSpec, section: Section, styles: Styles) -> Drawn | None:
    """Draw one metric against another along training, and published pairs as points."""
    x, y = spec.metrics
    kept, short = long_enough(metric_curves(section, y, x))
    strips = [(title, [c for c in kept if c.row in rows]) for title, rows in groups(section)]
    strips = [(title, curves) for title, curves in strips if curves]
    if not strips:
        return None
    plan = [Strip("", tuple(c.title for c in curves), 1) for _, curves in strips]
    figure, parts = figure_of(plan, *PANEL)
    looks = styles.of(section)
    paper = section.paper(spec.published)
    pairs = _published(spec, paper) if paper else []
    for (subfigure, (ax,)), strip, (title, curves) in zip(parts, plan, strips, strict=True):
        for curve in curves:
            _draw_path(ax, curve, looks[curve.row])
        mine: list[Pair] = []
        for row, values in sorted(pairs, key=lambda pair: pair[1]):
            run = _rows(section, {row.id, *row.readings})
            here = [c.row for c in curves if c.row in run]
            if here or (not run and curves is strips[0][1]):
                mine.append(Pair(row.title, values, looks[here[0]].colour if here else "0.7"))
        _after_the_start(ax, curves, [pair.values for pair in mine])
        draw_pairs(ax, mine, [c.mean[["x", "mean"]] for c in curves])
        ax.set(xlabel=axis_title(x), ylabel=axis_title(y))
        ax.set_title(title if len(strips) > 1 else "")
        add_legend(subfigure, [ax], strip, figure.get_figwidth())
    other = paper is not None and not section.same_oracle(paper)
    return Drawn(figure, tuple(c.title for c in short), other)


def _draw_path(ax: Axes, curve: Curve, style: Style) -> None:
    """Draw the seeds' paths thin and their mean by epoch, from an open circle to a full one."""
    from matplotlib.collections import LineCollection

    lines = list(curve.lines.values())
    if len(lines) > 1:
        ax.add_collection(LineCollection(lines, colors=style.colour, linewidths=0.5, alpha=0.4))
    mean = curve.mean
    if not len(mean):
        return
    at, value = mean["x"].to_numpy(float), mean["mean"].to_numpy(float)
    line = ax.plot(at, value, color=style.colour, linewidth=1.5, label=plain(curve.title))[0]
    if style.dash:
        line.set_dashes(style.dash)
    ax.plot(at[:1], value[:1], "o", color=style.colour, markersize=4, markerfacecolor="white")
    ax.plot(at[-1:], value[-1:], "o", color=style.colour, markersize=5)
    mark(ax, f"{mean['epoch'].iloc[-1]:g}", (at[-1], value[-1]), (5, 3), style.colour)


def _after_the_start(
    ax: Axes, curves: Sequence[Curve], pairs: Sequence[tuple[float, float]]
) -> None:
    """Leave what precedes the second evaluation outside: untrained models lie far off."""
    found = [points[1:] for curve in curves for points in curve.lines.values()]
    every = np.concatenate([*found, np.array(pairs, dtype=float).reshape(-1, 2)])
    low, high = every.min(axis=0), every.max(axis=0)
    margin = np.where(high > low, 0.06 * (high - low), 0.5)
    ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _rows(section: Section, labels: Collection[str]) -> list[Hashable]:
    """Return the rows of these labels."""
    return list(section.rows.index[section.rows["label"].isin(labels)])


def _published(
    spec: FigureSpec, table: published.Table
) -> list[tuple[published.Row, tuple[float, float]]]:
    """Return the published pairs, each with its row; one that stands twice once."""
    found: dict[tuple[str, float, float], published.Row] = {}
    for pair in spec.pairs:
        for row in table.rows.values():
            values = [v for column in pair for v in row.cells.get(column, published.Cell()).values]
            if len(values) == 2:
                found[row.id, values[0], values[1]] = row
    return [(row, (x, y)) for (_, x, y), row in found.items()]
