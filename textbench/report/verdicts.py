"""Does the paper reproduce? One verdict per published number and per claim in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from textbench.judge.older import compare, prediction_interval
from textbench.judge.stats import summarise
from textbench.report.definitions import (
    Claim,
    ColumnSpec,
    Published,
    PublishedTable,
    Quantity,
    claims,
    published_tables,
    table_specs,
)
from textbench.report.markup import number
from textbench.report.quantities import find_row, measure
from textbench.report.tables import Cell, Table, build
from textbench.report.text import in_warmup
from textbench.report.text import paper as paper_text
from textbench.store.replicates import Comparable

Outcome = Literal["reproduced", "differs", "undecided", "not comparable", "not run"]
OUTCOMES: tuple[Outcome, ...] = (
    "reproduced",
    "differs",
    "undecided",
    "not comparable",
    "not run",
)
CSV_COLUMNS = ("section", "source", "what", "paper", "ours", "n", "verdict", "why")


@dataclass(frozen=True)
class Verdict:
    """What our runs say about one number or claim."""

    section: str
    """Empty where nothing of the task was run."""
    source: str
    what: str
    paper: str
    ours: str
    n: int
    outcome: Outcome
    why: str
    is_claim: bool = False


def count(found: Iterable[Verdict]) -> str:
    """Return ``"3 reproduced, 1 differs, ..."``, in a fixed order, zeros left out."""
    counts = Counter(verdict.outcome for verdict in found)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])


def verdicts(sections: list[Comparable]) -> list[Verdict]:
    """Judge every published number and claim, in each section of its task."""
    found: list[Verdict] = []
    for key, paper in published_tables().items():
        there = [section for section in sections if section.task == paper.task]
        spec = next((spec for spec in table_specs() if spec.paper == key), None)
        tables = [build(spec, section) for section in there] if spec else []
        full = [table for table in tables if table is not None]
        found += [v for table in full for v in _numbers(table, paper)] or _not_run(paper)
    for claim in claims():
        judged = [_judge(claim, section) for section in sections if section.task == claim.task]
        found += judged or [_verdict(claim, None, "", 0, "not run", "")]
    return found


def grouped(found: Iterable[Verdict]) -> list[tuple[Verdict, int]]:
    """Merge the verdicts on numbers that give no comparison, by place and reason.

    Returns each decided verdict with 1, and one example of each group of others with its size.
    """
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in found:
        decided = verdict.outcome in ("reproduced", "differs", "undecided")
        own = verdict.what if decided else ""
        key = (verdict.section, verdict.source, verdict.outcome, verdict.why, own)
        groups.setdefault(key, []).append(verdict)
    return [(members[0], len(members)) for members in groups.values()]


def csv_lines(found: Iterable[Verdict]) -> Iterator[list[str | int]]:
    """Yield the lines of ``verdicts.csv``."""
    for v in found:
        yield [v.section, v.source, v.what, v.paper, v.ours, v.n, v.outcome, v.why]


# -- numbers ---------------------------------------------------------------------------------


def _not_run(paper: PublishedTable) -> list[Verdict]:
    return [
        Verdict("", paper.source, f"{row}: {column}", _shown(published), "", 0, "not run", "")
        for (row, column), published in paper.cells.items()
    ]


def _shown(published: Published) -> str:
    if published.warmup:
        return in_warmup(published.warmup, pair=False)
    return " + ".join(f"{value:g}" for value in published.values)


def _numbers(table: Table, paper: PublishedTable) -> Iterator[Verdict]:
    """Judge each published number by each row that stands for it."""
    reason = _incomparable(table, paper)
    for (label, column_id), published in paper.cells.items():
        columns = [i for i, column in enumerate(table.columns) if column.spec.id == column_id]
        rows = [row for row in table.rows if row.label == label and row.unchanged]
        if not rows:
            what, why = f"{label}: {column_id}", "only with changed options"
            yield Verdict(
                *(table.section.title, paper.source, what, _shown(published), "", 0, "not run", why)
            )
        for row in rows:
            cells = [(i, table.cells.get((row.key, i), Cell())) for i in columns]
            shown = [(i, cell) for i, cell in cells if cell.seeds] or cells[:1]
            for i, cell in shown:
                spec = table.columns[i].spec
                outcome, why = _compare(cell, published, spec, reason)
                yield Verdict(
                    table.section.title,
                    paper.source,
                    f"{row.title}: {table.columns[i].title}",
                    paper_text(published, table.columns[i]),
                    _ours(cell, spec),
                    cell.n,
                    outcome,
                    why,
                )


def _incomparable(table: Table, paper: PublishedTable) -> str:
    """Say why no absolute number of the table can be compared; empty if they can."""
    reasons = []
    if not table.same_oracle:
        reasons.append("another oracle")
    if table.section.preset not in paper.presets:
        reasons.append(f"preset {table.section.preset or '(none)'} has shorter schedules")
    return " and ".join(reasons)


def _ours(cell: Cell, spec: ColumnSpec) -> str:
    text = " + ".join(number(summary.mean, spec.digits) for summary in cell.summaries)
    share = f"; {cell.in_warmup} of {cell.n} in the warm-up" if cell.in_warmup else ""
    return text + share


def _compare(
    cell: Cell, published: Published, spec: ColumnSpec, reason: str
) -> tuple[Outcome, str]:
    if not cell.seeds:
        return "not run", "; ".join(cell.reasons)
    if spec.is_time:
        return "not comparable", "other hardware"
    if reason:
        return "not comparable", reason
    if published.warmup:
        return _compare_warmup(cell)
    if cell.in_warmup == cell.n:
        return "differs", "our best lies in the warm-up, the paper's does not"
    paper = sum(published.values)
    low, high = prediction_interval(list(cell.totals.values()))
    distance = number(summarise(list(cell.totals.values())).mean - paper, spec.digits, signed=True)
    if math.isnan(low):
        return "undecided", f"{distance} with one seed: no interval"
    interval = f"[{number(low, spec.digits)}, {number(high, spec.digits)}]"
    if low <= paper <= high:
        return "reproduced", f"within the 95 % interval for one more run, {interval}"
    return "differs", f"by {distance}; 95 % interval for one more run {interval}"


def _compare_warmup(cell: Cell) -> tuple[Outcome, str]:
    if not cell.warmup_label:
        return "not comparable", "our run has no warm-up"
    if cell.in_warmup == cell.n:
        return "reproduced", "the best lies in the warm-up of every seed"
    return "differs", f"in the warm-up for {cell.in_warmup} of {cell.n} seeds"


# -- claims ----------------------------------------------------------------------------------


def _verdict(
    claim: Claim, section: Comparable | None, ours: str, n: int, outcome: Outcome, why: str
) -> Verdict:
    title = section.title if section else ""
    return Verdict(
        title, claim.source, claim.text, claim.relation, ours, n, outcome, why, is_claim=True
    )


def _sides(claim: Claim) -> list[Quantity]:
    return [side for side in (claim.left, claim.right) if isinstance(side, Quantity)]


def _judge(claim: Claim, section: Comparable) -> Verdict:
    """Judge a claim by the 95 % interval of the difference of its two sides."""
    measured = [measure(side, section) for side in _sides(claim)]
    missing = [side for side, found in zip(_sides(claim), measured, strict=True) if not found]
    if missing:
        rows = " and ".join(f"{side.row} {side.options}".strip() for side in missing)
        return _verdict(claim, section, "", 0, "not run", f"no finished run of {rows}")
    if len({protocol for found in measured for _, protocol in found.values()}) > 1:
        why = "its sides were measured under different protocols"
        return _verdict(claim, section, "", 0, "not comparable", why)
    left = {seed: value for seed, (value, _) in measured[0].items()}
    if isinstance(claim.right, Quantity):
        right = {seed: claim.factor * value for seed, (value, _) in measured[1].items()}
    else:
        right = dict.fromkeys(left, claim.factor * claim.right)
    found = compare(left, right)
    changed = _changed_rows(claim, section)
    means = [summarise(list(side.values())).mean for side in (left, right)]
    ours = f"{number(means[0], 3)} {'<' if means[0] < means[1] else '>'} {number(means[1], 3)}"
    if math.isnan(found.low):
        why = f"one seed: no interval{changed}"
        return _verdict(claim, section, ours, found.n, "undecided", why)
    ends = [number(end, 3, signed=True) for end in (found.low, found.high)]
    why = f"difference {number(found.mean, 3, signed=True)} [{ends[0]}, {ends[1]}]{changed}"
    low, high = (found.low, found.high) if claim.relation == "<" else (-found.high, -found.low)
    outcome: Outcome = "reproduced" if high < 0 else "differs" if low > 0 else "undecided"
    return _verdict(claim, section, ours, found.n, outcome, why)


def _changed_rows(claim: Claim, section: Comparable) -> str:
    """Name the rows with changed options that stand in for the claim's."""
    rows = [find_row(side, section) for side in _sides(claim) if not side.options]
    titles = dict.fromkeys(row.title for row in rows if row and not row.unchanged)
    return f"; with {' and '.join(titles)}" if titles else ""
