"""What the index and the terminal show of a section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textbench.report.layout import Layout
from textbench.report.rankings import Ranked
from textbench.report.sections import Section

NOTHING = "Nothing that ranks its algorithms has been measured to the end yet."


@dataclass(frozen=True)
class Files:
    """What the index shows of a table."""

    markdown: str
    files: list[str]
    layout: Layout | None = None
    """None of samples, which have a layout of their own."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What the index shows of a section."""

    about: Section
    rankings: list[Ranked]
    better: str
    """Who is better, in a few words."""
    trust: list[str]
    targets: list[str]
    """Who is the cheapest to a target."""
    no_targets: list[str]
    """Why there is no table of one, or no profile."""
    tables: list[Files]
    listing: Files | None
    figures: list[dict[str, object]]
    chart: str
    """The data of interactive curves as JSON; empty where there are no curves."""
    samples: list[dict[str, object]]


def spoken(contents: Sequence[Shown], summary: Sequence[str]) -> Iterator[str]:
    """Yield the first screen for a terminal."""
    for section in contents:
        yield section.about.title
        yield f"  {section.better or NOTHING}"
        for one in section.rankings:
            yield f"  {one.ranking.metric}: {one.line or 'no places'}"
            yield f"    {one.ranking.sentence}"
        for line in (*section.targets, *section.trust[:-1]):
            yield f"  {line}"
        brief, *reasons = section.trust[-1].split("; ")
        yield f"  {brief}; report.md says why." if reasons else f"  {brief}"
    yield from summary
