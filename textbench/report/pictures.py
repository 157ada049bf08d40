"""A section's figures as files: a picture for the page, a drawing for a paper, a caption."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Job:
    """One figure of a section, still to be drawn; gives None where there is nothing to draw."""

    spec: FigureSpec
    section: Section
    styles: Styles

    @property
    def size(self) -> int:
        """How much there is to draw, roughly: a figure's metrics."""
        return len(self.spec.metrics)

    def __call__(self) -> Picture | None:
        """Draw it, and write it in both formats."""
        spec, section, styles = self.spec, self.section, self.styles
        if spec.panels:
            part = section.only(*spec.panels.values())
        else:
            part = section if spec.kind == "tradeoff" else section.without(*grid_rows())
        drawn = figures.draw(spec, part, styles) if part is not None else None
        if part is None or drawn is None:
            return None
        title = f"{spec.title} ({spec.paper} of the paper)" if spec.paper else spec.title
        told = (*captions.sentences(spec, part, drawn), *captions.boxes(styles.fonts.unknown))
        return picture(f"{spec.id}-{section.slug}", drawn, title, " ".join(told))


def jobs(section: Section, styles: Styles) -> list[Job]:
    """Return what draws each figure of a section, in the order in which they are shown."""
    return [Job(spec, section, styles) for spec in figure_specs()]
