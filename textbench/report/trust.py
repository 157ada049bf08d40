"""What the numbers of a section are worth: seeds, schedules, data, code, comparability."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from textbench.contracts.plain import grouped
from textbench.judge.comparable import UNPUBLISHED
from textbench.judge.measures import of_row
from textbench.judge.power import LEAST
from textbench.judge.published import tables
from textbench.judge.sections import Line
from textbench.report.definitions import grid_rows
from textbench.report.layout import seeds
from textbench.report.provenance import of_several_codes, statuses
from textbench.report.rankings import titles
from textbench.report.sections import Section, indexed, records, spelt_out
from textbench.store.rows import BROKEN


def trust(section: Section, numbers: pd.DataFrame) -> Iterator[str]:
    """Yield line by line what a section's numbers are worth.

    Args:
        section: The section.
        numbers: Verdicts on published numbers, of `judge.verdicts.numbers`.
    """
    general = section.without(*grid_rows())
    yield f"Seeds: {_seeds(general)}."
    if options := spelt_out(general.rows):
        yield f"Options: {' '.join(options)}"
    called = titles(general)
    lengths = {line.key: length(general, line) or "of its own" for line in general.lines}
    yield f"Schedules: {_told((lengths[key], title) for key, title in called.items())}."
    if several_sizes := sizes(general):
        told = ((several_sizes[key], called[key]) for key in called if key in several_sizes)
        yield f"Sizes of the shared generator differ: {_told(told)}."
    data = section.note or section.task_options
    yield f"Data: {data}; fingerprint {section.fingerprint}{_held_to_be(section)}."
    by_several = of_several_codes(general.runs)
    if several := [row.title for key, row in indexed(general.rows) if key in by_several]:
        yield f"Code: the seeds of {', '.join(several)} were made by several versions of it."
    about = section.evaluations.about
    if disputed := [m for m in section.evaluations.measured if about.loc[m, "disputed"]]:
        yield f"Better is less in some records, and more in others, by {', '.join(disputed)}."
    yield f"Comparable: {_comparable(section, numbers)}."


def _held_to_be(section: Section) -> str:
    """Say whose data a copy is held to be all the same: else the two lines seem to disagree."""
    papers = dict.fromkeys(
        one.document.title.partition(":")[0]
        for one in tables().values()
        if one.protocol.fingerprints and section.fingerprint.startswith(one.protocol.fingerprints)
    )
    if not papers or not UNPUBLISHED.search(section.note):
        return ""
    return f", which is on the list of copies taken for the data of {' and '.join(papers)}"


def _seeds(section: Section) -> str:
    groups = grouped((seeds(row.done, row.runs), row.title) for row in records(section.rows))
    told = "; ".join(
        f"{count}: {', '.join(rows)}" if len(groups) > 1 else f"{count} of every row"
        for count, rows in groups.items()
    )
    few = (section.rows["done"] < LEAST).any()
    told += f"; fewer than {LEAST} finished ones have no place and no verdict" if few else ""
    broken = section.runs["status"].isin(BROKEN)
    return told + (f"; {statuses(section.runs.loc[broken, 'status'])}" if broken.any() else "")


def _told(pairs: Iterable[tuple[str, str]]) -> str:
    """Return ``"A, B: this; C: that"`` of pairs (this, A), (this, B), (that, C)."""
    return "; ".join(f"{', '.join(rows)}: {what}" for what, rows in grouped(pairs).items())


def sizes(section: Section) -> dict[tuple[str, str], str]:
    """Return each row's sizes of the shared LSTM, where they are not the same for all."""
    told = {
        line.key: ", ".join(f"{name} {n}" for name, n in sorted(line.record.backbone.items()))
        for line in section.lines
        if not line.record.own_generator
    }
    return told if len(set(told.values())) > 1 else {}


def length(section: Section, line: Line) -> str:
    """Return how long a row was trained, in words, and where it stopped if that was earlier."""
    record = line.record
    ends = of_row(section.evaluations.finals.at, line.key)["epoch"]
    if not record.last_epoch or not len(ends) or ends.min() >= record.last_epoch:
        return record.schedule
    when = " to ".join(f"{epoch:g}" for epoch in sorted({ends.min(), ends.max()}))
    return f"{record.schedule}, stopped after {when}"


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
        f"{fit[of].sum()} of {len(of)}{' published numbers' * (not i)} of "
        f"{sources[str(document)]}'s paper"
        for i, (document, of) in enumerate(
            mine.groupby("document", sort=False, observed=True).groups.items()
        )
    ]
    first = mine[~fit & (mine["document"] == mine["document"].iloc[0])]
    reasons = grouped(
        (reason, called.get((line.label, line.group), line.name))
        for line in records(first)
        for reason in line.reasons or (line.why,)
    )
    # Rows that have reasons in common are named once.
    groups = grouped((", ".join(dict.fromkeys(rows)), why) for why, rows in reasons.items())
    told = (f"{names}: {', '.join(found)}" for names, found in groups.items())
    return "; ".join([", ".join(counted), *told])
