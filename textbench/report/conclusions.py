"""What the report's first screen says: who is better, by how much, and what that is worth.

All of it is judged in `textbench.judge`; here it is only put into frames and lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from textbench.judge import answer, claims, collapse, ranking, statements, verdicts
from textbench.report.definitions import (
    collapsed,
    grid_rows,
    headlines,
    references,
    usual_headlines,
)
from textbench.report.provenance import statuses
from textbench.report.rankings import titles
from textbench.report.sections import Section, records
from textbench.report.trust import length, sizes, trust
from textbench.store.frames import Frames

SHOWN = 4
"""Metrics that a ranking shows of a task that no data file knows."""
RANKING_COLUMNS = ("section", "metric", "direction", "unit", "protocol", *ranking.COLUMNS)


@dataclass(frozen=True)
class Conclusions:
    """Everything that is judged about a store."""

    rankings: dict[str, list[ranking.Ranking]] = field(repr=False)
    """By the section's slug."""
    trust: dict[str, list[str]]
    """By the section's slug: what makes its numbers trustworthy, or not."""
    numbers: pd.DataFrame = field(repr=False)
    """Verdicts on published numbers, as of `judge.verdicts.numbers`."""
    claims: pd.DataFrame = field(repr=False)

    @property
    def ranked(self) -> pd.DataFrame:
        """All rankings as one frame with `RANKING_COLUMNS`."""
        heads = ("section", "metric", "direction", "unit", "protocol")
        parts = [
            one.rows.assign(**{key: getattr(one, key) for key in heads})
            for found in self.rankings.values()
            for one in found
        ]
        return pd.concat(parts) if parts else pd.DataFrame(columns=list(RANKING_COLUMNS))


def judge(sections: Sequence[Section]) -> Conclusions:
    """Judge a store: rankings of every section, the published numbers, the claims in words."""
    numbers = verdicts.numbers(sections)
    return Conclusions(
        {section.slug: _rankings(section) for section in sections},
        {section.slug: list(trust(section, numbers)) for section in sections},
        numbers,
        claims.judge_claims(sections, statements.claims()),
    )


def _rankings(section: Section) -> list[ranking.Ranking]:
    general = section.without(*grid_rows())
    metrics = _headlines(general)
    apart = collapse.collapsed(general, collapsed())
    return ranking.rankings(
        general, metrics, outside=references(), apart=apart, names=titles(section)
    )


def _headlines(section: Section) -> list[str]:
    """Return the metrics that rank a section's rows: of those that some run ended with."""
    there = section.evaluations.ended
    if known := headlines(section.task):
        return [metric for metric in known if metric in there]
    first = set(itertools.chain.from_iterable(section.runs["headlines"]))
    usual = usual_headlines()
    able = [metric for metric in there if section.evaluations.direction(metric) != "none"]
    able.sort(key=lambda m: (m not in first, usual.index(m) if m in usual else len(usual), m))
    return able[:SHOWN]


# -- laid out --------------------------------------------------------------------------------


def better(section: Section, found: Sequence[ranking.Ranking]) -> str:
    """Return in a few words who is better, by all rankings of a section."""
    differing = sizes(section)
    lengths = {
        line.key: ", ".join(filter(None, (length(section, line), differing.get(line.key))))
        for line in section.lines
    }
    if not found:
        return ""
    return f"{answer.answer(found, titles(section), lengths)}{_unfinished(section)}"


def _unfinished(section: Section) -> str:
    """Name the rows of which no run has finished: they are in no ranking."""
    general = section.without(*grid_rows())
    rows = general.rows[general.rows["done"] == 0]
    if not len(rows):
        return ""
    how = statuses(general.runs.loc[general.runs["row"].isin(rows.index), "status"])
    return f" No run of {ranking.listed(rows['title'].to_list())} has finished: {how}."


def number_lines(found: pd.DataFrame) -> list[dict[str, object]]:
    """Return the verdicts on published numbers, those that say nothing joined by their reason."""
    if not len(found):
        return []
    mute = found["outcome"].isin(["not comparable", "not run", "not stated"])
    lines = [line._asdict() for line in records(found[~mute])]
    keys = ["outcome", "document", "source", "section", "why"]
    for (outcome, document, source, section, why), group in found[mute].groupby(
        keys, sort=False, observed=True
    ):
        rows = ", ".join(dict.fromkeys(group["row"]))
        count = f"{len(group)} number{'s' * (len(group) != 1)}"
        lines.append(
            {
                **dict(outcome=outcome, document=document, source=source, section=section, why=why),
                **dict(row=rows, column=count, published="", ours="", n=""),
            }
        )
    return lines


def counts(found: pd.Series[str], order: Sequence[str]) -> str:
    """Return ``"3 reproduced, 1 differs, ..."``, in a fixed order, zeros left out."""
    sizes = found.value_counts()
    return ", ".join(f"{sizes[word]} {word}" for word in order if word in sizes)


def summary(frames: Frames, found: Conclusions) -> list[str]:
    """Return the counts of runs and verdicts, line by line."""
    own = frames.runs[frames.runs["alpha"] == 1.0]
    numbers = counts(found.numbers["outcome"], verdicts.OUTCOMES)
    judged = found.claims
    return [
        f"{len(own)} run(s): {statuses(own['status'])}",
        f"published numbers: {numbers}",
        f"the paper's claims: in these runs {counts(judged['here'], claims.ANSWERS)}; "
        f"of the paper {counts(judged['paper'], claims.ANSWERS)}",
    ]
