"""A section's figures as files: a picture for the page, a drawing for a paper, a caption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from textbench.report import captions, figures
from textbench.report.definitions import FigureSpec, figure_specs, grid_rows
from textbench.report.panels import Drawn
from textbench.report.sections import Section
from textbench.report.styles import Styles


class Picture(NamedTuple):
    """A figure in its two formats."""

    stem: str
    """Of the names of its files."""
    title: str
    caption: str
    png: bytes
    pdf: bytes


def picture(stem: str, drawn: Drawn, title: str, caption: str) -> Picture:
    """Write a figure in both formats."""
    png, pdf = (figures.to_bytes(drawn.figure, kind) for kind in ("png", "pdf"))
    return Picture(stem, title, caption, png, pdf)


def jobs(section: Section, styles: Styles) -> Iterator[Callable[[], Picture | None]]:
    """Yield what draws each figure of a section; each gives None where there is nothing to draw."""
    for spec in figure_specs():
        yield partial(_drawn, spec, section, styles)


def _drawn(spec: FigureSpec, section: Section, styles: Styles) -> Picture | None:
    if spec.panels:
        part = section.only(*spec.panels.values())
    else:
        part = section if spec.kind == "tradeoff" else section.without(*grid_rows())
    drawn = figures.draw(spec, part, styles) if part is not None else None
    if part is None or drawn is None:
        return None
    title = f"{spec.title} ({spec.paper} of the paper)" if spec.paper else spec.title
    told = (*captions.sentences(spec, part, drawn), *captions.boxes(styles.fonts.unknown))
    caption = " ".join(told)
    return picture(f"{spec.id}-{section.slug}", drawn, title, caption)
