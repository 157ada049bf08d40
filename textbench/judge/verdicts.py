"""Does a published number reproduce? Never more than the evidence says.

*Reproduced*: the whole 95 % interval of the mean lies within the published number ± a margin that
was declared beforehand. *Differs*: it lies wholly outside. Else *undecided*, with how many seeds
would decide. All three need a run that is the published experiment (`comparable`), and three seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from textbench.judge.comparable import reasons
from textbench.judge.measures import best, curves, final, of_row, sample
from textbench.judge.power import LEAST, MOST, seeds_to_tell
from textbench.judge.published import Column, Row, Table, tables
from textbench.judge.sections import Line, Section
from textbench.judge.stats import ROUNDING, Summary, summarise, t_interval
from textbench.judge.stopping import Outcome, few, stopped

OUTCOMES = (
    *("reproduced", "differs", "reached", "passed", "not reached", "undecided"),
    *("not stated", "not comparable", "not run"),
)
"""In the order in which they are counted."""


@dataclass(frozen=True)
class Verdict:
    """What our runs say about one published number."""

    section: str
    """Task and preset of our runs; empty where nothing of the task was run."""
    document: str
    table: str
    source: str
    row: str
    """The published row's title."""
    column: str
    label: str = ""
    """Of our row; empty where there is none."""
    group: str = ""
    name: str = ""
    published: str = ""
    outcome: str = ""
    why: str = ""
    ours: str = ""
    n: int = 0
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    margin: float = math.nan
    protocol: str = ""
    reasons: tuple[str, ...] = ()
    """Every way in which the run is not the published experiment."""
    needed: int | None = None
    """Seeds, those at hand included, that would decide."""
    selected: str = ""
    """Of a best: the grid of evaluations that it was selected from, on the test data."""


def outcomes(x: ArrayLike, published: ArrayLike, margin: float) -> NDArray[np.str_]:
    """Judge means of replicates, along the last axis of ``(..., n)``, by published numbers.

    Args:
        x: Replicates.
        published: One number for each set of them.
        margin: What is declared to be the same.
    """
    values, paper = np.asarray(x, dtype=float), np.asarray(published, dtype=float)
    shape = np.broadcast_shapes(values.shape[:-1], paper.shape)
    if values.shape[-1] < LEAST:
        return np.full(shape, "undecided")
    _, sd, low, high = t_interval(values)
    inside = (low >= paper - margin) & (high <= paper + margin)
    outside = (low > paper + margin) | (high < paper - margin)
    return np.select(
        [np.broadcast_to(sd <= ROUNDING * np.abs(values).max(-1), shape), inside, outside],
        ["undecided", "reproduced", "differs"],
        "undecided",
    )


def numbers(there: Sequence[Section]) -> pd.DataFrame:
    """Judge every published number by every row of ours that may claim to be it.

    Returns:
        One row per published number and row of ours, with the fields of `Verdict` as columns.
    """
    found = [verdict for table in tables().values() for verdict in _judged(table, there)]
    columns = list(Verdict.__dataclass_fields__)
    frame = pd.DataFrame([asdict(one) for one in found], columns=columns)
    return frame.astype({"needed": "Int64"})


def _judged(table: Table, there: Sequence[Section]) -> Iterator[Verdict]:
    mine = [section for section in there if section.task == table.protocol.task]
    for row in table.rows.values():
        lines = [(one, line) for one in mine for line in one.lines if line.label in row.readings]
        for key, cell in row.cells.items():
            column = table.columns[key]
            about = (table.document.id, table.id, table.source, row.title, column.title)
            for section, line in lines:
                ours = (line.label, line.group, line.name)
                head = Verdict(section.title, *about, *ours, cell.text)
                judged = _judge(head, table, row, key, section, line)
                yield _with_the_rest(judged, line, curve=key in row.stopping)
            if not lines:
                outcome = "not comparable" if row.incomparable else "not run"
                head = Verdict("", *about, published=cell.text)
                yield replace(head, outcome=outcome, why=row.incomparable)


def _with_the_rest(judged: Verdict, line: Line, *, curve: bool) -> Verdict:
    """Say which of a row's runs are not behind a verdict; one on a curve has counted its own."""
    if judged.outcome in ("not comparable", "not stated"):
        return judged
    others = 0 if curve else len(line.seeds) - judged.n
    told = [
        f"{others} of {len(line.seeds)} finished runs were measured in another way, or not at all"
        if judged.n and others > 0
        else "",
        f"{line.broken} of {line.runs} runs failed or diverged" if line.broken else "",
    ]
    return replace(judged, why="; ".join(filter(None, (judged.why, *told))))


def _measure(section: Section, column: Column) -> pd.DataFrame:
    """Return each run's number for a column; a best is of all its evaluations, as the paper's."""
    if column.select == "final":
        return final(section.evaluations, column.metrics)
    curve = curves(section.evaluations, column.metrics)
    return best(curve, column.metrics, higher=column.higher, common=False)


def _judge(
    head: Verdict, table: Table, row: Row, key: str, section: Section, line: Line
) -> Verdict:
    """Judge one of our rows by the number of a published row in the column ``key``."""
    column, cell = table.columns[key], row.cells[key]
    if column.select == "time":
        return replace(head, outcome="not comparable", why=column.incomparable)
    measured = section.once((table.id, key), lambda: _measure(section, column))
    values, protocol = sample(measured, line.key)
    if not values:
        return replace(head, outcome="not run", why="no finished run has it")
    stopping = row.stopping.get(column.id)
    why_not = reasons(
        line.record,
        table.protocol,
        line.label,
        column,
        measured=protocol,
        curve=stopping is not None,
        schedule=stopping is None,
    )
    found = _described(replace(head, reasons=why_not), column, line, measured, values, protocol)
    trainer = table.protocol.trainers.get(line.label)
    unstated = "; ".join(filter(None, (table.unstated, trainer.not_stated if trainer else "")))
    if why_not:
        return replace(found, outcome="not comparable", why="; ".join(why_not))
    if stopping is not None and not table.unstated:
        return _told(found, stopped(stopping, section, line))
    if unstated or column.margin is None:
        why = f"not stated: {unstated}" if unstated else "no margin is declared for it"
        why += f"; here: {line.record.made}" if unstated and line.record.made else ""
        return replace(found, outcome="not stated", why=why)
    if cell.warmup:
        return _told(found, _warmup(measured, line))
    return _told(found, _decide(values, sum(cell.values), column.margin.value))


def _told(found: Verdict, told: Outcome) -> Verdict:
    margin = found.margin if told.margin is None else told.margin
    return replace(found, outcome=told.name, why=told.why, needed=told.needed, margin=margin)


def _described(
    head: Verdict,
    column: Column,
    line: Line,
    measured: pd.DataFrame,
    values: Mapping[int, float],
    protocol: str,
) -> Verdict:
    summary = summarise(list(values.values()))
    mine = of_row(measured, line.key)
    mine = mine[mine["protocol"] == protocol]
    each = " + ".join(f"{mine[metric].mean():.3f}" for metric in column.metrics)
    return replace(
        head,
        ours=each,
        n=summary.n,
        mean=summary.mean,
        low=summary.low,
        high=summary.high,
        margin=column.margin.value if column.margin else math.nan,
        protocol=protocol,
        selected=str(mine["grid"].iloc[0]) if column.select == "best" else "",
    )


def _decide(values: Mapping[int, float], published: float, margin: float) -> Outcome:
    """Judge a mean by a number."""
    found = summarise(list(values.values()))
    off = found.mean - published
    if found.n < LEAST:
        return Outcome("undecided", f"{off:+.3f}; {few(found.n)}", LEAST)
    if found.flat:
        return Outcome("undecided", "all seeds agree but for rounding: there is no spread")
    outcome = str(outcomes(list(values.values()), published, margin))
    interval = f"mean {off:+.3f} off, interval [{found.low:.3f}, {found.high:.3f}]"
    band = f"[{published - margin:.3f}, {published + margin:.3f}]"
    if outcome == "reproduced":
        return Outcome(outcome, f"{interval} within {band}")
    if outcome == "differs":
        return Outcome(outcome, f"by {off:+.3f}; {interval} outside {band}")
    needed = seeds_to_decide(found, published, margin)
    more = needed - found.n if needed else 0
    told = f"{more} more seed{'s' * (more != 1)}" if needed else f"more than {MOST} seeds"
    return Outcome(outcome, f"{interval} crosses an end of {band}; {told} would decide", needed)


def seeds_to_decide(found: Summary, published: float, margin: float) -> int | None:
    """Return how many seeds place a mean with this spread inside the margin, or outside.

    None if `power.MOST` are too few. More seeds than there are, since these do not.
    """
    if found.flat:
        return None
    edge = abs(abs(found.mean - published) - margin)
    needed = seeds_to_tell(edge / found.sd)
    return None if needed is None else max(needed, found.n + 1)


def _warmup(measured: pd.DataFrame, line: Line) -> Outcome:
    """Judge the paper's dash: the best was acquired during the warm-up."""
    if line.record.warmup is None:
        return Outcome("not comparable", "our run has no warm-up")
    mine = of_row(measured, line.key)
    mine = mine[mine["protocol"] == sample(measured, line.key)[1]]
    n, inside = len(mine), int(mine["in_warmup"].sum())
    where = f"the best lies in the warm-up of {inside} of {n} seeds"
    if n < LEAST:
        return Outcome("undecided", f"{where}; {few(n)}", LEAST)
    outcome = {0: "differs", n: "reproduced"}.get(inside, "undecided")
    return Outcome(outcome, where)
