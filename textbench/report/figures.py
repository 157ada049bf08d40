"""Figures: learning curves, paths through two metrics, trade-offs over temperatures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from textbench.judge import published
from textbench.report.curves import Curve, Sweep, log_curves, long_enough, metric_curves, sweeps
from textbench.report.definitions import FigureSpec, axis_titles
from textbench.report.panels import Strip, add_legend, draw_curves, figure_of, zoom
from textbench.report.sections import Section
from textbench.report.styles import DASHES, Style, Styles, by_name, groups, look, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT = "#0173B2", "#D55E00"
"""The two axes of a twin panel."""


@dataclass(frozen=True)
class Drawn:
    """A figure, and what its caption must say."""

    figure: Figure
    stubs: tuple[str, ...] = ()
    """Rows that were left out, of too few evaluations to show a course."""
    other_oracle: bool = False
    """Whether published numbers in it are of another oracle."""


def draw(spec: FigureSpec, section: Section, styles: Styles) -> Drawn | None:
    """Draw a figure; None where the store has nothing for it."""
    kinds = {"curves": _curves, "twin": _twin, "tradeoff": _tradeoff, "paths": _paths}
    with look():
        drawn = kinds[spec.kind](spec, section, styles)
        if drawn is not None:
            # The layout is computed once, not for every file.
            drawn.figure.draw_without_rendering()
            drawn.figure.set_layout_engine("none")
    return drawn


def to_bytes(figure: Figure, kind: str) -> bytes:
    """Return the file's bytes, the same for the same figure: no dates, no version strings."""
    nothing = {
        "pdf": {"CreationDate": None, "Creator": "textbench", "Producer": None},
        "png": {"Software": None},
    }
    buffer = io.BytesIO()
    with look():
        figure.savefig(buffer, format=kind, dpi=160, metadata=nothing[kind])
    return buffer.getvalue()


# -- learning curves -------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """A metric's curves: of a few rows, or of a grid's rows that a pattern names."""

    title: str
    metric: str
    curves: tuple[Curve, ...]
    """Named as in the legend."""


def panels(spec: FigureSpec, section: Section) -> tuple[list[tuple[str, list[Panel]]], list[str]]:
    """Return strips of panels that have anything to show, and the rows that were left out."""
    found = {metric: long_enough(metric_curves(section, metric, spec.x)) for metric in spec.metrics}
    stubs = dict.fromkeys(c.title for _, short in found.values() for c in short)
    curves = {metric: kept for metric, (kept, _) in found.items() if kept}
    if spec.panels:
        strip = [
            Panel(title, metric, named)
            for title, pattern in spec.panels.items()
            for metric in curves
            if (named := _named_after(section, pattern, curves[metric]))
        ]
        return ([("", strip)] if strip else []), list(stubs)
    strips = []
    for title, rows in groups(section):
        part = [
            Panel("", metric, tuple(c for c in kept if c.row in rows))
            for metric, kept in curves.items()
        ]
        if any(panel.curves for panel in part):
            strips.append((title, [panel for panel in part if panel.curves]))
    alone = len(strips) == 1
    return [("" if alone else title, part) for title, part in strips], list(stubs)


def _named_after(section: Section, pattern: str, curves: Sequence[Curve]) -> tuple[Curve, ...]:
    """Return the curves of a pattern's rows, named by what its star stands for."""
    part = section.only(pattern)
    if part is None:
        return ()
    names = part.rows["title"].str.removeprefix(pattern.partition("*")[0])
    return tuple(replace(c, title=names[c.row]) for c in curves if c.row in names.index)


def _curves(spec: FigureSpec, section: Section, styles: Styles) -> Drawn | None:
    strips, stubs = panels(spec, section)
    if not strips:
        return None
    every = [panel for _, part in strips for panel in part]
    looks: dict[Any, Style] = styles.of(section)
    if spec.panels:
        named = by_name([c.title for p in every for c in p.curves])
        looks = {c.row: named[c.title] for p in every for c in p.curves}
    plan = [
        Strip(title, tuple(dict.fromkeys(c.title for p in part for c in p.curves)), len(part))
        for title, part in strips
    ]
    one = len(every) == len(strips)
    figure, parts = figure_of(plan, *((5.6, 3.3) if one else (4.0, 2.9)))
    for (subfigure, axes), strip, (_, part) in zip(parts, plan, strips, strict=True):
        for ax, panel in zip(axes, part, strict=True):
            draw_curves(ax, panel.curves, looks)
            beside = [c for p in every if p.metric == panel.metric for c in p.curves]
            _finish(ax, spec, axis_titles().get(panel.metric, panel.metric))
            ax.set_title(plain(panel.title))
            zoom(ax, beside, _end(spec, beside))
        add_legend(subfigure, axes, strip, figure.get_figwidth())
    return Drawn(figure, tuple(stubs))


def _end(spec: FigureSpec, curves: Sequence[Curve]) -> float:
    """Return where the figure's range of x ends."""
    return spec.x_max + max(curve.start for curve in curves)


def _finish(ax: Axes, spec: FigureSpec, title: str, colour: str = "") -> None:
    ax.set_xlabel(axis_titles().get(spec.x, spec.x))
    label = ax.set_ylabel(title)
    if colour:
        label.set_color(colour)
        ax.tick_params(axis="y", labelcolor=colour)


# -- a logged quantity and a metric ----------------------------------------------------------


def _twin(spec: FigureSpec, section: Section, styles: Styles) -> Drawn | None:
    """Draw a panel per row that logs a quantity: that, and a metric on a second axis."""
    metric = spec.metrics[0]
    logged = {c.row: c for c in long_enough(log_curves(section, spec.log))[0]}
    measured = {c.row: c for c in long_enough(metric_curves(section, metric, spec.x))[0]}
    rows = [row for row in section.rows.index if row in logged and row in measured]
    if not rows:
        return None
    figure, [(_, axes)] = figure_of([Strip("", (), len(rows))], 5.0, 3.1)
    for ax, row in zip(axes, rows, strict=True):
        twin = ax.twinx()
        twin.grid(visible=False)
        draw_curves(ax, [logged[row]], {row: Style(LEFT)})
        draw_curves(twin, [measured[row]], {row: Style(RIGHT, DASHES[1])})
        _finish(ax, spec, axis_titles().get(spec.log, spec.log), LEFT)
        _finish(twin, spec, axis_titles().get(metric, metric), RIGHT)
        end = _end(spec, [measured[row]])
        zoom(ax, [logged[row]], end)
        zoom(twin, [measured[row]], end)
        last = max(float(c.points["x"].max()) for c in (logged[row], measured[row]))
        ax.set_xlim(0, min(end, 1.02 * last))
        ax.set_title(plain(section.rows.loc[row, "title"]))
    return Drawn(figure)


# -- quality against diversity ---------------------------------------------------------------


def _tradeoff(spec: FigureSpec, section: Section, styles: Styles) -> Drawn | None:
    """Draw the second metric of each pair against the first, over inverse temperatures."""
    pairs = list(zip(spec.metrics[::2], spec.metrics[1::2], strict=True))
    found = [(pair, lines) for pair in pairs if (lines := sweeps(section, *pair))]
    if not found:
        return None
    names = tuple(dict.fromkeys(line.title for _, lines in found for line in lines))
    strip = Strip("", names, len(found))
    figure, [(subfigure, axes)] = figure_of([strip], 5.2, 3.5)
    looks = styles.of(section)
    for ax, (pair, lines) in zip(axes, found, strict=True):
        for line in lines:
            _draw_sweep(ax, line, looks[line.row])
        x, y = (axis_titles().get(metric, metric) for metric in pair)
        ax.set(xlabel=x, ylabel=y)
    add_legend(subfigure, axes, strip, figure.get_figwidth())
    return Drawn(figure)


def _draw_sweep(ax: Axes, line: Sweep, style: Style) -> None:
    alphas, x, y = zip(*line.points, strict=True)
    drawn = ax.plot(x, y, ".-", color=style.colour, linewidth=1.4, label=plain(line.title))[0]
    if style.dash:
        drawn.set_dashes(style.dash)
    for i in (0, len(alphas) - 1) if len(alphas) > 1 else ():
        near: dict[str, Any] = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 7}
        ax.annotate(f"{alphas[i]:g}", (x[i], y[i]), color=style.colour, **near)


# -- stopping time ---------------------------------------------------------------------------


def _paths(spec: FigureSpec, section: Section, styles: Styles) -> Drawn | None:
    """Draw one metric against another along training, and published pairs as points."""
    x, y = spec.metrics
    kept, short = long_enough(metric_curves(section, y, x))
    strips = [(title, [c for c in kept if c.row in rows]) for title, rows in groups(section)]
    strips = [(title, curves) for title, curves in strips if curves]
    if not strips:
        return None
    plan = [Strip("", tuple(c.title for c in curves), 1) for _, curves in strips]
    figure, parts = figure_of(plan, 6.4, 4.2)
    looks = styles.of(section)
    pairs = _published(spec, section)
    for (subfigure, (ax,)), strip, (title, curves) in zip(parts, plan, strips, strict=True):
        for curve in curves:
            _draw_path(ax, curve, looks[curve.row])
        shown: list[tuple[float, float]] = []
        for row, values in sorted(pairs, key=lambda pair: pair[1]):
            mine = section.rows.index[section.rows["label"] == row.id]
            if not len(mine) or mine[0] in {c.row for c in curves}:
                colour = looks[mine[0]].colour if len(mine) else "0.7"
                _draw_pair(ax, row.title, values, colour, below=_crowded(values, shown))
                shown.append(values)
        _after_the_start(ax, curves, shown)
        ax.set(xlabel=axis_titles().get(x, x), ylabel=axis_titles().get(y, y))
        ax.set_title(title if len(strips) > 1 else "")
        add_legend(subfigure, [ax], strip, figure.get_figwidth())
    return Drawn(figure, tuple(c.title for c in short), _other_oracle(spec, section))


def _draw_path(ax: Axes, curve: Curve, style: Style) -> None:
    """Draw the seeds' paths thin and their mean by epoch, from an open circle to a full one."""
    from matplotlib.collections import LineCollection

    lines = [points for _, points in curve.lines()]
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
    ax.annotate(
        f"{mean['epoch'].iloc[-1]:g}",
        (at[-1], value[-1]),
        xytext=(5, 3),
        textcoords="offset points",
        fontsize=7,
        color=style.colour,
    )


def _after_the_start(
    ax: Axes, curves: Sequence[Curve], pairs: Sequence[tuple[float, float]]
) -> None:
    """Leave what precedes the second evaluation outside: untrained models lie far off."""
    found = [c.points[c.points.duplicated("run")][["x", "value"]].to_numpy(float) for c in curves]
    every = np.concatenate([*found, np.array(pairs, dtype=float).reshape(-1, 2)])
    low, high = every.min(axis=0), every.max(axis=0)
    margin = np.where(high > low, 0.06 * (high - low), 0.5)
    ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _crowded(values: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    """Tell whether another pair's name stands where this one's would."""
    return any(abs(values[0] - x) < 0.4 and abs(values[1] - y) < 0.15 for x, y in others)


def _draw_pair(
    ax: Axes, title: str, values: tuple[float, float], colour: str, *, below: bool
) -> None:
    ax.plot(*values, "*", color=colour, markersize=11, markeredgecolor="0.15", zorder=5)
    ax.annotate(
        f"{title}, paper",
        values,
        xytext=(7, -11 if below else -3),
        textcoords="offset points",
        fontsize=7,
        fontstyle="italic",
        color="0.25",
    )


def _published(
    spec: FigureSpec, section: Section
) -> list[tuple[published.Row, tuple[float, float]]]:
    """Return the published pairs, each with its row; one that stands twice once."""
    table = published.tables().get(spec.published)
    if table is None or table.protocol.task != section.task:
        return []
    found: dict[tuple[str, float, float], published.Row] = {}
    for pair in spec.pairs:
        for row in table.rows.values():
            values = [v for column in pair for v in row.cells.get(column, published.Cell()).values]
            if len(values) == 2:
                found[row.id, values[0], values[1]] = row
    return [(row, (x, y)) for (_, x, y), row in found.items()]


def _other_oracle(spec: FigureSpec, section: Section) -> bool:
    table = published.tables().get(spec.published)
    if table is None or table.protocol.task != section.task:
        return False
    return table.protocol.oracle not in ("", *section.oracles)
