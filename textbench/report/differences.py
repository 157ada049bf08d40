"""Differences to a baseline, seed by seed: what a comparison of two spreads cannot show."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import pandas as pd

from textbench.judge import stats
from textbench.judge.power import LEAST, MOST
from textbench.judge.stats import Difference
from textbench.report.layout import Block, Cell, Head, Layout, Line
from textbench.report.markup import MISSING, number, p_value
from textbench.report.sections import spelt_out
from textbench.report.tables import Column, Table, baselines

CSV_COLUMNS = (
    *("table", "task", "task_fingerprint", "preset", "baseline", "row", "label", "options"),
    *("group", "column", "protocol", "paired", "n", "mean", "sd", "low", "high"),
    *("p", "p_holm", "p_exact", "separated", "seeds_needed", "note"),
)


def compare(table: Table) -> tuple[pd.DataFrame, Layout] | None:
    """Compare the rows with the baseline's; None where there is nothing to compare.

    Returns:
        A frame with `CSV_COLUMNS`, and what the table's templates need.
    """
    section = table.section
    candidates = baselines(section, table.spec.baseline)
    if not candidates:
        return None
    base = candidates[0]
    columns = [column for column in table.columns if not column.spec.is_time]
    found = [_differences(column, base) for column in columns]
    rows = [row for row in section.rows.index if any(row in one for one in found)]
    if not rows:
        return None
    title = str(section.rows.loc[base, "title"])
    frame = _frame(table, title, rows, columns, found)
    heads = [Head(column.title, column.latex) for column in columns]
    lines = [_row(section.rows.loc[row], row, columns, found) for row in rows]
    return frame, Layout(
        f"{table.spec.id}-differences-{section.slug}",
        f"Differences to {title}, seed by seed",
        section.title,
        [*_notes(title, frame), *spelt_out(section.rows.loc[rows])],
        *("Algorithm", "pairs"),
        [Block(heads, lines)],
    )


def _frame(
    table: Table,
    baseline: str,
    rows: Sequence[int],
    columns: Sequence[Column],
    found: Sequence[Mapping[Hashable, Difference]],
) -> pd.DataFrame:
    """Return a line for each row and column that has a difference."""
    section = table.section
    head = {
        **{"table": table.spec.id, "task": section.task, "preset": section.preset},
        **{"task_fingerprint": section.fingerprint, "baseline": baseline},
    }
    lines = []
    for row in rows:
        about = section.rows.loc[row]
        who = {key: about[key] for key in ("label", "options", "group")}
        for column, one in zip(columns, found, strict=True):
            if row in one:
                lines.append(
                    head
                    | who
                    | {"row": about["title"]}
                    | {"column": column.spec.id, "protocol": column.protocol}
                    | asdict(one[row])
                    | {"separated": one[row].separated, "seeds_needed": one[row].needed}
                )
    return pd.DataFrame(lines)


def _differences(column: Column, base: int) -> dict[Hashable, Difference]:
    values = column.seeds()
    theirs = values.pop(base, {})
    pairs = {row: (mine, theirs) for row, mine in values.items()} if theirs else {}
    told = {row: pair for row, pair in pairs.items() if min(map(len, pair)) >= LEAST}
    enough = stats.differences(told)
    return {row: enough[row] if row in enough else _untold(*pair) for row, pair in pairs.items()}


def _untold(mine: Mapping[int, float], theirs: Mapping[int, float]) -> Difference:
    """Return the difference of too few seeds to be told: it has no p."""
    return replace(stats.compare(mine, theirs), p=math.nan, p_exact=math.nan, p_holm=math.nan)


def _row(
    about: pd.Series, row: int, columns: list[Column], found: list[dict[Hashable, Difference]]
) -> Line:
    mine = [one.get(row) for one in found]
    sizes = {f"{one.n}{'' if one.paired else ' unpaired'}" for one in mine if one}
    cells = tuple(
        Cell(text(one, column.spec.digits), one.separated) if one else Cell(MISSING)
        for column, one in zip(columns, mine, strict=True)
    )
    return Line(about["name"], ", ".join(sorted(sizes)), cells, about["brief"])


def text(difference: Difference, digits: int) -> str:
    """Format a difference: with interval and p where it is told, else the seeds that would tell."""
    if difference.note in ("identical", "equal up to rounding"):
        return difference.note
    shown = number(difference.mean, digits, signed=True)
    if math.isnan(difference.low):  # one pair has no interval
        return shown
    low, high = (number(end, digits, signed=True) for end in (difference.low, difference.high))
    shown += " [no spread]" if difference.note == "no spread" else f" [{low}, {high}]"
    if difference.separated:
        return f"{shown} {p_value(difference.p_holm)}"
    if difference.needed is not None:
        return f"{shown} n≥{difference.needed}"
    return shown if math.isnan(difference.p_holm) else f"{shown} n>{MOST}"


def _notes(baseline: str, frame: pd.DataFrame) -> Iterator[str]:
    yield (
        f"Row minus {baseline}: mean of the differences between equal seeds, which share data and "
        "initial generator [95 % t-interval of this difference alone]. Bold: separated, with p of "
        "the paired t-test (where few seeds are shared, of the means, the larger of Welch's and "
        "Student's: “unpaired”), "
        "Holm-corrected over the rows of a column, at most 0.05."
    )
    if frame["seeds_needed"].notna().any() or not frame["separated"].all():
        yield (
            "n≥12: not separated; so many seeds would tell a difference of this size and spread in "
            f"four cases of five (n>{MOST}: more than that many). Not separated is not equal."
        )
    if frame["note"].isin(["identical"]).any():
        yield "identical: equal to the bit for every seed."
