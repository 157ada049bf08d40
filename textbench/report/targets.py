"""Time to target: what every row had spent when it first met a target, as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from textbench.contracts.grid import grid_in_words
from textbench.contracts.plain import grouped
from textbench.judge.power import LEAST
from textbench.judge.ranking import listed
from textbench.judge.target_costs import time_to_target
from textbench.judge.targets import COSTS, Target, load_targets, meetings
from textbench.report.definitions import TEMPERED, matches, references
from textbench.report.layout import Block, Cell, Head, Layout, Line
from textbench.report.markup import MISSING, counted
from textbench.report.notes import OWN_GENERATOR
from textbench.report.sections import Row, Section, records, spelt_out

CSV_COLUMNS = (
    *("target", "rules", "at_most", "task", "task_fingerprint", "preset"),
    *("row", "label", "options", "group", "competes", "tuning", "seeds", "reached", "misses"),
    "in_warmup",
    *(f"{cost}{end}" for cost in COSTS for end in ("", "_low", "_high")),
    "coverage",
)
TITLES = {
    "generator_updates": "generator updates",
    "tokens": "tokens sampled + scored",
    "cpu_seconds": "processor seconds",
}
MISSED = "not reached"
"""Stands for what is infinite: a median, as a dash with words, and the end of an interval."""


@dataclass(frozen=True, eq=False)
class TargetTable:
    """A target and the rows of a section, cheapest first, those that miss it last."""

    target: Target
    rules: int
    section: Section
    rows: pd.DataFrame = field(repr=False)
    """As of `time_to_target`, with ``at`` (the row of the section) and ``competes``."""
    notes: tuple[str, ...]
    """What was left out, and why; on which scale seconds are."""

    @property
    def id(self) -> str:
        """The stem of its files."""
        return f"target-{self.target.name}-{self.section.slug}"

    @property
    def limits(self) -> str:
        """The numbers to be reached, in words."""
        return " and ".join(
            f"{name} ≤ {_shown(most)}" for name, most in self.target.at_most.items()
        )


def _shown(limit: float) -> str:
    return f"{limit:.2f}" if limit == round(limit, 2) else f"{limit!r}"


def build(results: pd.DataFrame, section: Section) -> list[TargetTable]:
    """Return the tables of the targets that a section's task has.

    References, which train nothing, and generators at other inverse temperatures have no row.

    Args:
        results: As of `textbench.load_results`, of the whole store.
        section: The section.
    """
    rules, targets = load_targets()
    own = [target for target in targets if target.task == section.task]
    out = section.rows["label"].map(lambda label: matches(label, (*references(), TEMPERED)))
    rows = section.rows[~out.astype(bool)]
    runs = section.runs[section.runs["row"].isin(rows.index)]
    met = meetings(results[results["run"].isin(runs.index)], own)
    at = met["run"].map(runs["row"])
    # Replicates may have been asked for in several ways, of which one is enough to name a row.
    asked = runs.drop_duplicates("row").set_index("row")["overrides"]
    met = met.assign(name=at.map(rows["title"]), overrides=at.map(asked), at=at)
    found = []
    for target in own:
        mine = met[met["target"] == target.name]
        table, notes = time_to_target(mine, runs)
        if len(table):
            table = table.merge(mine[["label", "group", "at"]].drop_duplicates(), how="left")
            table["competes"] = ~table["at"].map(rows["fresh_data"]).astype(bool)
        told = tuple(note.removeprefix(f"{target.name}: ") for note in notes)
        found.append(TargetTable(target, rules, section, table, told))
    return found


def to_frame(table: TargetTable) -> pd.DataFrame:
    """Return the table with `CSV_COLUMNS`; an infinite cost, of a miss, is empty."""
    section, rows = table.section, table.rows
    about = section.rows.loc[rows["at"]]
    limits = " ".join(f"{name}<={most!r}" for name, most in table.target.at_most.items())
    found = rows.assign(
        target=table.target.name,
        rules=table.rules,
        at_most=limits,
        task=section.task,
        preset=section.preset,
        row=about["title"].to_numpy(),
        options=about["options"].to_numpy(),
    )
    return found.replace([math.inf], math.nan)


def sentence(table: TargetTable) -> str:
    """Say which row is the cheapest, for the first screen."""
    opening = f"Target “{table.target.title}” ({table.limits} at one evaluation)"
    rows = table.rows
    if not len(rows):
        return f"{opening}: no finished run has its numbers on record."
    there = rows[(rows["reached"] > 0) & rows["competes"]]
    half = there[2 * there["reached"] > there["seeds"]]  # in whatever cost: else the median is none
    enough = half[half["seeds"] >= LEAST]
    own = enough if len(enough) else half
    prices: list[tuple[str, str]] = []
    for cost in COSTS:
        if len(own) and own[cost].notna().all():  # what is not on record may have been cheaper
            least = own[cost].min()
            names = listed(own.loc[own[cost] == least, "name"].to_list())
            prices.append((names, f"{_count(least)} {TITLES[cost]}"))
    told = [f"{name} ({', '.join(costs)})" for name, costs in grouped(prices).items()]
    possible = int(rows["competes"].sum())
    count = f"{len(there)} of {possible} row{'s' * (possible != 1)} reached it"
    if len(half) and not len(enough):
        count += f", each with fewer than {LEAST} seeds: nothing may be concluded"
    among = "cheapest in the median (not tested):" if len(own) > 1 else "reached by"
    first = f"{among} {', '.join(told)}; " if told else ""
    return f"{opening}: {first}{count}."


# -- laid out --------------------------------------------------------------------------------


def layout(table: TargetTable) -> Layout:
    """Return what the templates of tables need."""
    heads = [Head(title) for title in (*TITLES.values(), "misses", "tuning")]
    return Layout(
        table.id,
        f"Cost to a target: {table.target.title}",
        table.section.title,
        list(_notes(table)),
        *("Algorithm", "reached"),
        [Block(heads, [_line(table, row) for row in records(table.rows)])],
    )


def _line(table: TargetTable, row: Row) -> Line:
    about = table.section.rows.loc[row.at]
    texts = [*(_cost(row, cost) for cost in COSTS), row.misses or MISSING, row.tuning]
    mark = OWN_GENERATOR if about["own_generator"] else ""
    reached = f"{row.reached} of {row.seeds}"
    return Line(about["name"], reached, tuple(map(Cell, texts)), about["brief"], mark)


def _cost(row: Row, cost: str) -> str:
    """Format a median and its interval; what is infinite in words."""
    low, median, high = (getattr(row, f"{cost}{end}") for end in ("_low", "", "_high"))
    if math.isnan(median):
        return MISSING
    if math.isinf(median):
        return f"{MISSING} ({MISSED}{' by half the seeds' if row.reached else ''})"
    ends = (MISSED if math.isinf(end) else _count(end) for end in (low, high))
    return _count(median) + (f" [{', '.join(ends)}]" if row.seeds > 1 else "")


def _count(value: float) -> str:
    """Format a cost: a whole number, or three digits of few seconds."""
    return counted(value) if value >= 100 or value == int(value) else f"{value:.3g}"


def _notes(table: TargetTable) -> Iterator[str]:
    rows, target = table.rows, table.target
    yield (
        f"Target: {table.limits}, together at one evaluation. Source: {target.source}. Rules of "
        f"targets, version {table.rules}."
    )
    yield (
        "What a run had spent at the first evaluation that meets the target, its warm-up included: "
        "median over seeds [interval between two of them]. A seed that does not get there counts "
        f"as infinitely expensive: “{MISSED}”, or a dash where half of them or more do not."
    )
    yield _coverage(rows)
    yield f"Costs are known to the next evaluation: {_grids(table)}."
    yield (
        "Tuning: “tuned (K)” by as many trials on other seeds (docs/tuning.md); “as published” has "
        "the trainer's own options, under the preset's schedule."
    )
    if table.section.changed:
        yield f"Changed for every row: {table.section.changed}."
    yield from spelt_out(table.section.rows.loc[rows["at"]])
    early = rows[rows["in_warmup"] > 0]
    if len(early):
        told = (f"{row.name} ({row.in_warmup} of {row.reached})" for row in records(early))
        yield f"Met in the warm-up, before the row's own training: {', '.join(told)}."
    fresh = rows.loc[~rows["competes"].astype(bool), "name"]
    if len(fresh):
        yield f"New data in every pass, an upper bound and no competitor: {', '.join(fresh)}."
    if table.section.rows.loc[rows["at"], "own_generator"].astype(bool).any():
        yield f"{OWN_GENERATOR} brings its own generator; all others share one LSTM."
    for note in table.notes:
        yield f"{note[0].upper()}{note[1:]}."


def _coverage(rows: pd.DataFrame) -> str:
    known = rows.drop_duplicates("seeds").sort_values("seeds")
    told = [
        f"{row.coverage:.0%} with {row.seeds} seeds".replace("%", " %")
        for row in records(known)
        if row.seeds > 1
    ]
    alone = ["one seed has no interval"] if (rows["seeds"] == 1).any() else []
    return f"Coverage of an interval, whatever the distribution: {'; '.join([*told, *alone])}."


def _grids(table: TargetTable) -> str:
    """Say when the rows were evaluated, those alike together."""
    plans = table.section.runs.drop_duplicates("row").set_index("row")["evaluation"]
    groups = grouped((grid_in_words(plans[row.at]), row.name) for row in records(table.rows))
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{', '.join(names)}: {grid}" for grid, names in groups.items())


def missing(tables: Sequence[TargetTable], section: Section) -> list[str]:
    """Say why a section has no table of some target, or none at all."""
    if not tables:
        return [f"Time to target: no target is declared for task {section.task}."]
    return [
        f"No table of target “{table.target.title}” ({table.limits}): "
        f"{'; '.join(table.notes) or 'no run is over'}."
        for table in tables
        if not len(table.rows)
    ]
