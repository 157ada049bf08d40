"""Figures: learning curves, paths through two metrics, trade-offs over temperatures."""

from __future__ import annotations

import importlib
import io
import logging
import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textbench.report import paths
from textbench.report.curves import Curve, Sweep, log_curves, long_enough, metric_curves, sweeps
from textbench.report.definitions import FigureSpec, axis_title
from textbench.report.panels import Drawn, Strip, add_legend, draw_curves, figure_of, mark, zoom
from textbench.report.sections import Section
from textbench.report.styles import DASHES, Style, Styles, by_name, groups, look, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT = "#0173B2", "#D55E00"
"""The two axes of a twin panel."""


def import_matplotlib() -> None:
    """Import all that figures and their files need, before processes that draw are forked.

    Where a home cannot be written, matplotlib keeps its fonts in a temporary folder: nobody need
    hear of that. What the user has set himself is another matter.
    """
    if not os.environ.get("MPLCONFIGDIR"):
        logging.getLogger("matplotlib").addFilter(_is_news)
    names = ("figure", "gridspec", "font_manager", "backends.backend_agg", "backends.backend_pdf")
    for name in (
        *(f"matplotlib.{name}" for name in names),
        "fontTools.subset",
        "PIL.PngImagePlugin",
    ):
        importlib.import_module(name)


def _is_news(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    return not ("MPLCONFIGDIR" in said or "mkdir -p" in said or "not a writable directory" in said)


def draw(spec: FigureSpec, section: Section, styles: Styles) -> Drawn | None:
    """Draw a figure; None where the store has nothing for it."""
    kinds = {"curves": _curves, "twin": _twin, "tradeoff": _tradeoff, "paths": paths.draw}
    with look(styles.fonts.families):
        drawn = kinds[spec.kind](spec, section, styles)
        return laid_out(drawn) if drawn is not None else None


def laid_out(drawn: Drawn) -> Drawn:
    """Place a figure's parts for good: once, and not anew for every file."""
    engine = drawn.figure.get_layout_engine()
    if engine is not None:
        engine.execute(drawn.figure)
    drawn.figure.set_layout_engine("none")
    return drawn


def to_bytes(figure: Figure, kind: str) -> bytes:
    """Return the file's bytes, the same for the same figure: no dates, no version strings.

    `savefig` would draw a figure once more to lay it out, which has been done.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    nothing = {
        "pdf": {"CreationDate": None, "Creator": "textbench", "Producer": None},
        "png": {"Software": None},
    }
    figure.set_dpi(160)
    canvas = {"pdf": FigureCanvasPdf, "png": FigureCanvasAgg}[kind](figure)
    buffer = io.BytesIO()
    with look():
        getattr(canvas, f"print_{kind}")(buffer, metadata=nothing[kind])
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
    found = {metric: long_enough(metric_curves(section, metric)) for metric in spec.metrics}
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
    if spec.panels:  # a grid's lines are called by what sets them apart, and look the same in all
        named = by_name([c.title for p in every for c in p.curves])
        looks: dict[Hashable, Style] = {c.row: named[c.title] for p in every for c in p.curves}
    else:
        looks = styles.of(section)
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
            _finish(ax, spec, axis_title(panel.metric))
            ax.set_title(plain(panel.title))
            zoom(ax, beside, _end(spec, beside))
        add_legend(subfigure, axes, strip, figure.get_figwidth())
    return Drawn(figure, tuple(stubs))


def _end(spec: FigureSpec, curves: Sequence[Curve]) -> float:
    """Return where the figure's range of x ends."""
    return spec.x_max + max(curve.start for curve in curves)


def _finish(ax: Axes, spec: FigureSpec, title: str, colour: str = "") -> None:
    ax.set_xlabel(axis_title("epoch"))
    label = ax.set_ylabel(title)
    ax.locator_params(nbins=6)
    if colour:
        label.set_color(colour)
        ax.tick_params(axis="y", labelcolor=colour)


# -- a logged quantity and a metric ----------------------------------------------------------


def _twin(spec: FigureSpec, section: Section, styles: Styles) -> Drawn | None:
    """Draw a panel per row that logs a quantity: that, and a metric on a second axis."""
    metric = spec.metrics[0]
    logged = {c.row: c for c in long_enough(log_curves(section, spec.log))[0]}
    measured = {c.row: c for c in long_enough(metric_curves(section, metric))[0]}
    rows = [row for row in section.rows.index if row in logged and row in measured]
    if not rows:
        return None
    figure, [(_, axes)] = figure_of([Strip("", (), len(rows))], 5.0, 3.1)
    for ax, row in zip(axes, rows, strict=True):
        twin = ax.twinx()
        twin.grid(visible=False)
        draw_curves(ax, [logged[row]], {row: Style(LEFT)})
        draw_curves(twin, [measured[row]], {row: Style(RIGHT, DASHES[1])})
        _finish(ax, spec, axis_title(spec.log), LEFT)
        _finish(twin, spec, axis_title(metric), RIGHT)
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
        x, y = (axis_title(metric) for metric in pair)
        ax.set(xlabel=x, ylabel=y)
    add_legend(subfigure, axes, strip, figure.get_figwidth())
    return Drawn(figure)


def _draw_sweep(ax: Axes, line: Sweep, style: Style) -> None:
    alphas, x, y = zip(*line.points, strict=True)
    drawn = ax.plot(x, y, ".-", color=style.colour, linewidth=1.4, label=plain(line.title))[0]
    if style.dash:
        drawn.set_dashes(style.dash)
    for i in (0, len(alphas) - 1) if len(alphas) > 1 else ():
        mark(ax, f"{alphas[i]:g}", (x[i], y[i]), (4, 4), style.colour)
