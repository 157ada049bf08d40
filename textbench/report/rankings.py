"""A ranking laid out: places, distances to the best and what they are worth, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textbench.contracts.plain import grouped
from textbench.judge import ranking
from textbench.judge.collapse import COLLAPSED
from textbench.judge.power import LEAST
from textbench.judge.stats import ROUNDING
from textbench.report.definitions import cautions
from textbench.report.layout import seeds
from textbench.report.markup import number, p_value
from textbench.report.sections import Row, Section, records

NO_SPREAD = "no spread"
"""Stands for an interval where seeds, or their differences, agree."""


def titles(section: Section) -> dict[tuple[str, str], str]:
    """Return what a section's rows are called, by label and group."""
    rows = section.rows
    return dict(zip(zip(rows["label"], rows["group"], strict=True), rows["title"], strict=True))


@dataclass(frozen=True)
class Place:
    """A line of a ranking, as text."""

    place: int
    name: str
    n: str
    """Seeds, and of how many runs where others were started."""
    mean: str
    distance: str
    note: str


@dataclass(frozen=True)
class Ranked:
    """A ranking, as the templates show it."""

    ranking: ranking.Ranking
    summary: str
    """What its metric is, and how it can mislead."""
    rows: list[Place]
    line: str
    """The places in one line, for a terminal."""
    apart: list[str]
    """Who has no place, and why."""


def ranked(section: Section, found: ranking.Ranking) -> Ranked:
    """Return what the templates show of one ranking."""
    names = titles(section)
    started = {(row.label, row.group): (row.runs, row.done) for row in records(section.rows)}
    lines: list[Place] = []
    apart: list[tuple[str, str]] = []
    rows = found.rows.astype(object)
    told = list(records(rows.where(rows.notna(), None)))
    best = next((row.n for row in told if row.place is not None), 0)
    digits = _digits(told)
    for row in told:
        key = (row.label, row.group)
        title, (runs, done) = names[key], started[key]
        if row.place is None:
            alike = " measured in this way" * (done >= LEAST)
            why = f"fewer than {LEAST} seeds{alike}"
            why = why if row.n < LEAST else "nothing to compare it with"
            why = why if row.in_ranking else "no competitor"
            why = COLLAPSED if row.note == COLLAPSED else why
            apart.append((why, f"{title} {number(row.mean, digits)}"))
            continue
        mean = _with_interval(row.mean, *_ends(row), digits)
        n = seeds(row.n, runs)
        lines.append(
            Place(int(row.place), title, n, mean, _distance(row, digits), _note(row, best))
        )
    about = (section.evaluations.summary(found.metric), cautions().get(found.metric, ""))
    return Ranked(
        found,
        "; ".join(filter(None, about)),
        lines,
        _in_one_line(lines),
        [f"Without a place ({why}): {', '.join(rows)}." for why, rows in grouped(apart).items()],
    )


def _digits(rows: Sequence[Row]) -> int:
    """Return how many digits show that two rows, or the ends of an interval, are not the same."""
    told = [row for row in rows if row.place is not None]
    apart = [abs(row.distance) for row in told if row.distance and not row.note]
    ends = [(low, high) for low, high in map(_ends, told) if low is not None and high is not None]
    widths = [high - low for low, high in ends if low < high]
    smallest = min(filter(math.isfinite, [*apart, *widths]), default=1.0)
    return min(15, max(3, -math.floor(math.log10(smallest))))


def _ends(row: Row) -> tuple[float | None, float | None]:
    """Return an interval without width as NaN: it would claim a certainty that nobody has."""
    flat = row.sd is not None and not row.sd > ROUNDING * abs(row.mean)
    return (math.nan, math.nan) if flat else (row.low, row.high)


def _with_interval(
    mean: float, low: float | None, high: float | None, digits: int, *, signed: bool = False
) -> str:
    text = number(mean, digits, signed=signed)
    if low is None or high is None:
        return text
    if math.isnan(low):
        return f"{text} [{NO_SPREAD}]"
    ends = (number(end, digits, signed=signed) for end in (low, high))
    return f"{text} [{', '.join(ends)}]"


def _distance(row: Row, digits: int) -> str:
    if row.distance is None:
        return "the best mean"
    if row.note in ("identical", "equal up to rounding"):
        return str(row.note)
    if row.note == NO_SPREAD:
        return _with_interval(row.distance, math.nan, math.nan, digits, signed=True)
    ends = (row.distance_low, row.distance_high)
    return _with_interval(row.distance, *ends, digits, signed=True)


def _note(row: Row, best: int) -> str:
    """Say what a row's distance to the best, of so many seeds, is worth."""
    if row.distance is None:
        return str(row.note or "")
    seeds = _compared(row, best)
    if row.separated:
        return f"separated ({', '.join(filter(None, (p_value(row.p_holm), seeds)))})"
    text = "not separated from the best" + (f" ({seeds})" if seeds else "")
    if row.more_seeds is not None:
        more = int(row.more_seeds)
        return f"{text}; {more} more seed{'s' * (more != 1)} would tell"
    return text


def _compared(row: Row, best: int) -> str:
    """Say of which seeds a distance is, where that is not all of both rows'."""
    if not row.paired:
        return "of means, not by seed"
    return f"{row.compared:.0f} seeds in common" if row.compared < max(row.n, best) else ""


def _in_one_line(lines: list[Place]) -> str:
    """Return the places in one line, for a terminal: ``1. A 8.67, B 8.76; 2. C 9.01``."""
    places = grouped((line.place, f"{line.name} {line.mean.split()[0]}") for line in lines)
    return "; ".join(f"{place}. {', '.join(names)}" for place, names in sorted(places.items()))
