"""What the index and the terminal show of a section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypedDict

from textbench.report.rankings import Ranked

NOTHING = "Nothing that ranks its algorithms has been measured to the end yet."


class Files(TypedDict):
    """What the index shows of a table."""

    layout: Mapping[str, object]
    markdown: str
    files: list[str]


class Shown(TypedDict):
    """What the index shows of a section."""

    title: str
    slug: str
    fingerprint: str
    task_options: str
    note: str
    preset: str
    preset_line: str
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
    chart: dict[str, object]
    chart_json: str
    samples: list[dict[str, object]]


def spoken(contents: list[Shown], summary: list[str]) -> Iterator[str]:
    """Yield the first screen for a terminal."""
    for section in contents:
        yield section["title"]
        yield f"  {section['better'] or NOTHING}"
        for ranking in section["rankings"]:
            yield f"  {ranking['metric']}: {ranking['line'] or 'no places'}"
            yield f"    {ranking['sentence']}"
        for line in section["targets"]:
            yield f"  {line}"
        for line in section["trust"][:-1]:
            yield f"  {line}"
        brief, *reasons = section["trust"][-1].split("; ")
        yield f"  {brief}; report.md says why." if reasons else f"  {brief}"
    yield from summary
