"""What the numbers of a section are worth: seeds, schedules, data, code, comparability."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import pandas as pd

from textbench.judge.power import LEAST
from textbench.judge.published import tables
from textbench.judge.record import Record
from textbench.report.definitions import grid_rows
from textbench.report.layout import seeds
from textbench.report.provenance import codes, statuses
from textbench.report.rankings import titles
from textbench.report.sections import Section, records
from textbench.store.rows import BROKEN


def trust(section: Section, numbers: pd.DataFrame) -> Iterator[str]:
    """Yield line by line what a section's numbers are worth.

    Args:
        section: The section.
        numbers: Verdicts on published numbers, of `judge.verdicts.numbers`.
    """
    general = section.without(*grid_rows())
    yield f"Seeds: {_seeds(general)}."
    yield f"Schedules: {_schedules(general)}."
    if several_sizes := sizes(general):
        rows = zip(general.rows.index, records(general.rows), strict=True)
        told = _grouped(
            (several_sizes[key], row.title) for key, row in rows if key in several_sizes
        )
        yield f"Sizes of the shared generator differ: {told}."
    data = section.note or section.task_options
    yield f"Data: {data}; fingerprint {section.fingerprint}."
    several = [
        row.title
        for key, row in zip(general.rows.index, records(general.rows), strict=True)
        if len(codes(_done(general, key))) > 1
    ]
    if several:
        yield f"Code: the seeds of {', '.join(several)} were made by several versions of it."
    yield f"Comparable: {_comparable(section, numbers)}."


def _done(section: Section, row: int) -> pd.DataFrame:
    runs = section.runs
    return runs[(runs["row"] == row) & (runs["status"] == "done")]


def _seeds(section: Section) -> str:
    groups: dict[str, list[str]] = {}
    for row in records(section.rows):
        groups.setdefault(seeds(row.done, row.runs), []).append(row.title)
    told = "; ".join(
        f"{count}: {', '.join(rows)}" if len(groups) > 1 else f"{count} of every row"
        for count, rows in groups.items()
    )
    few = (section.rows["done"] < LEAST).any()
    told += f"; fewer than {LEAST} finished ones have no place and no verdict" if few else ""
    broken = section.runs["status"].isin(BROKEN)
    return told + (f"; {statuses(section.runs.loc[broken, 'status'])}" if broken.any() else "")


def _schedules(section: Section) -> str:
    rows = zip(section.rows.index, records(section.rows), strict=True)
    return _grouped((length(section, key) or "of its own", row.title) for key, row in rows)


def _grouped(pairs: Iterable[tuple[str, str]]) -> str:
    """Return ``"A, B: this; C: that"`` of pairs (this, A), (this, B), (that, C)."""
    groups: dict[str, list[str]] = {}
    for what, title in pairs:
        groups.setdefault(what, []).append(title)
    return "; ".join(f"{', '.join(rows)}: {what}" for what, rows in groups.items())


def sizes(section: Section) -> dict[Hashable, str]:
    """Return each row's sizes of the shared LSTM, where they are not the same for all."""
    own = section.runs.drop_duplicates("row").set_index("row")
    told = {
        key: ", ".join(f"{name} {size}" for name, size in sorted(backbone.items()))
        for key, backbone in own.loc[~own["own_generator"].astype(bool), "backbone"].items()
    }
    return told if len(set(told.values())) > 1 else {}


def length(section: Section, row: int) -> str:
    """Return how long a row was trained, in words."""
    runs = section.runs[section.runs["row"] == row]
    return Record.of({str(key): value for key, value in runs.iloc[0].items()}).schedule


def _comparable(section: Section, numbers: pd.DataFrame) -> str:
    known = numbers[numbers["section"] == section.title]
    mine = known[known["n"] > 0]
    if not len(mine) and len(known):
        return "nothing of what is published of these rows has been measured to the end yet"
    if not len(mine):
        return "nothing is published of these rows on this task"
    called = titles(section)
    fit = ~mine["outcome"].isin(["not comparable", "not stated"])
    sources = {one.document.id: one.document.title.partition(":")[0] for one in tables().values()}
    counted = [
        f"{fit[of].sum()} of {len(of)}{' published numbers' * (not i)} of {sources[str(document)]}"
        for i, (document, of) in enumerate(
            mine.groupby("document", sort=False, observed=True).groups.items()
        )
    ]
    first = mine[~fit & (mine["document"] == mine["document"].iloc[0])]
    reasons: dict[str, list[str]] = {}
    for line in records(first):
        for reason in line.reasons or (line.why,):
            reasons.setdefault(reason, []).append(called.get((line.label, line.group), line.name))
    groups: dict[str, list[str]] = {}  # rows that have reasons in common are named once
    for reason, names in reasons.items():
        groups.setdefault(", ".join(dict.fromkeys(names)), []).append(reason)
    told = (f"{names}: {', '.join(found)}" for names, found in groups.items())
    return "; ".join([", ".join(counted), *told])
