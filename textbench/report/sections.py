"""What may share a table: the runs on one task's data under one preset, as frames."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import pandas as pd

from textbench.contracts.plain import grouped
from textbench.judge import published
from textbench.judge import sections as divided
from textbench.judge.record import IDENTITY, flat, is_own, own_overrides
from textbench.report.definitions import matches
from textbench.store.frames import Frames

BRIEF = 24
"""Letters of options that a row's title has room for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Section(divided.Section):
    """One task under one preset, with everything that was run there, divided into rows."""

    slug: str
    """Ends the names of the section's files."""
    rows: pd.DataFrame
    """One line per algorithm, that is, runs that differ in nothing but the seed: ``label, group,
    name, options, brief, title, own_generator, fresh_data, runs, done``; in the tables' order."""
    options: str = ""
    """What the user changed of every row's own options, where `only` took it out of the rows."""

    @cached_property
    def task_options(self) -> str:
        """The task's configuration in one line."""
        options = self.runs["task_config"].iloc[0]
        return ", ".join(f"{key}={value}" for key, value in sorted(options.items()))

    @cached_property
    def changed(self) -> str:
        """What the user changed for every run: the task's, backbone's and evaluation's options."""
        each = []
        for run in records(self.runs):
            others = {k: v for k, v in run.changes.items() if not is_own(k, run.label, run.trainer)}
            each.append({f"{key}={value}" for key, value in others.items()})
        return ", ".join(filter(None, (self.options, *sorted(set.intersection(*each)))))

    @cached_property
    def oracles(self) -> set[str]:
        """What the oracle is called; one fingerprint, hence one oracle, asked for in any way."""
        asked = self.runs["task_config"].map(lambda options: str(options.get("oracle", "")))
        return set(self.runs["oracle"].where(self.runs["oracle"] != "", asked))

    @cached_property
    def note(self) -> str:
        """What a reader must know about the task's data."""
        return "; ".join(sorted(set(self.runs["task_note"]) - {""}))

    @cached_property
    def preset_line(self) -> str:
        """The preset's name and its own one line, as recorded."""
        summaries = sorted(set(self.runs["preset_summary"]) - {""})
        return ": ".join([f"preset {self.preset or '(none)'}", *summaries])

    def paper(self, table: str) -> published.Table | None:
        """Return a published table, if it is of this task."""
        found = published.tables().get(table)
        return found if found is not None and found.protocol.task == self.task else None

    def same_oracle(self, paper: published.Table) -> bool:
        """Tell whether a published table's absolute numbers are of the same oracle."""
        return paper.protocol.oracle in ("", *self.oracles)

    def only(self, *patterns: str) -> Section | None:
        """Return the part of the rows that match, and of their warm-ups; None where none does.

        Options that all the rows share are said of the part instead of each row.
        """
        mine = self.rows["label"].map(lambda label: matches(label, patterns))
        if not mine.any():
            return None
        options = set(self.rows.loc[mine, "options"])
        shared = options.pop() if len(options) == 1 else ""
        rows = self.rows.copy()
        if shared:
            rows.loc[mine, ["options", "brief"]] = ""
            rows.loc[mine, "title"] = rows.loc[mine, "name"]
        kept = [*self._warmups(mine), *rows.index[mine]]
        return replace(self.part(kept, rows), options=shared)

    def without(self, *patterns: str, keep: Collection[str] = ()) -> Section:
        """Return the part of the rows that do not match, or all where nothing else was run.

        Rows whose labels are in ``keep`` stay.
        """

        def part() -> Section:
            labels = self.rows["label"]
            out = labels.map(lambda label: matches(label, patterns)) & ~labels.isin(list(keep))
            others = self.rows.index[~out]
            return self.part(list(others)) if set(others) - set(self._warmups(out)) else self

        return self.once(("without", patterns, tuple(keep)), part)

    def _warmups(self, mine: pd.Series[bool]) -> list[int]:
        """Return the rows that some of ``mine`` started from, and that are not among them."""
        started = self.runs.loc[self.runs["row"].isin(mine.index[mine]), "warmup_run"]
        before = set(self.runs.loc[self.runs.index.isin(started), "row"])
        return [row for row in self.rows.index if row in before and not mine[row]]

    def part(self, kept: Sequence[int], rows: pd.DataFrame | None = None) -> Section:
        """Return the part with these rows alone; ``rows`` says anew what they are called."""
        runs = self.runs[self.runs["row"].isin(kept)]
        return replace(
            self,
            rows=(self.rows if rows is None else rows).loc[list(kept)],
            runs=runs,
            evaluations=self.evaluations.of(runs.index),
            logs=self.logs[self.logs["row"].isin(kept)],
        )


Row: TypeAlias = Any
"""A line of a frame as a named tuple of its columns, which no type checker can know."""


def records(frame: pd.DataFrame) -> list[Row]:
    """Return a frame's lines as named tuples."""
    return list(frame.itertuples(index=False, name="Record")) if len(frame) else []


def indexed(frame: pd.DataFrame) -> Iterator[tuple[int, Row]]:
    """Return a frame's lines as named tuples, each behind its place in the index."""
    return zip(frame.index, records(frame), strict=True)


def sections(frames: Frames, names: Mapping[str, str]) -> list[Section]:
    """Divide a store's readable runs into sections and rows, ordered as `judge.sections` has them.

    Args:
        frames: The store.
        names: What rows are called, by label, and in which order; a row that is not among them
            is called by its trainer's recorded title, or by its label where it is a variant.
    """
    found = []
    for one in divided.sections(frames):
        slug = f"{one.task}-{one.preset or 'custom'}"
        slug += "-" + re.sub(r"[^\w-]", "-", one.fingerprint[:8]) if one.among else ""
        rows, row = _rows(one.runs, names)
        runs = one.runs.assign(row=row)
        logs = one.logs.assign(row=one.logs["run"].map(row).astype(int))
        at = (one.task, one.preset, one.fingerprint, runs, one.evaluations, logs, one.among)
        found.append(Section(*at, slug=slug, rows=rows))
    return found


def _rows(runs: pd.DataFrame, names: Mapping[str, str]) -> tuple[pd.DataFrame, pd.Series[int]]:
    """Group replicates into rows: those that ``names`` lists first, in its order."""
    replicates = runs.groupby(["label", "group"], sort=False, observed=True)
    rows = replicates.first()[["title", "trainer", "own_generator", "fresh_data"]].reset_index()
    own = rows["label"].where(rows["label"] != rows["trainer"], rows["title"])
    rows["name"] = rows["label"].map(names).fillna(own.where(own != "", rows["label"]))
    examples = runs.drop_duplicates(["label", "group"])
    options = _options(examples)
    rows["options"] = [_text(one) for one in options]
    rivals = grouped(zip(rows["name"], options, strict=True))
    rows["brief"] = [_brief(o, rivals[name]) for o, name in zip(options, rows["name"], strict=True)]
    namesakes = rows.groupby(["name", "brief"], observed=True)["label"].transform("nunique") > 1
    rows.loc[namesakes, "name"] += " (" + rows["label"] + ")"
    brief = rows["brief"]
    rows["title"] = rows["name"] + brief.where(brief == "", " [" + brief + "]")
    rows["runs"] = replicates.size().to_numpy()
    done = (runs["status"] == "done").groupby(
        [runs["label"], runs["group"]], sort=False, observed=True
    )
    rows["done"] = done.sum().to_numpy()
    listed = list(names)
    rows["place"] = rows["label"].map(lambda x: listed.index(x) if x in listed else len(listed))
    rows = rows.sort_values(["place", "label", "options", "group"], ignore_index=True)
    at = {key: i for i, key in enumerate(zip(rows["label"], rows["group"], strict=True))}
    pairs = zip(runs["label"], runs["group"], strict=True)
    return rows, pd.Series([at[key] for key in pairs], index=runs.index)


def _options(examples: pd.DataFrame) -> list[dict[str, object]]:
    """Return for each group, by one of its runs, what sets it apart.

    That is what the user changed and, where two groups have the same label, whatever else of
    their identity differs: trainer version, backbone, evaluation, warm-up.
    """
    runs = records(examples)
    identities = [dict(flat({key: getattr(run, key) for key in IDENTITY})) for run in runs]
    rivals = grouped(zip([run.label for run in runs], identities, strict=True))
    described: list[dict[str, object]] = []
    for run, identity in zip(runs, identities, strict=True):
        differing = {
            key: value
            for key, value in identity.items()
            if any(other.get(key) != value for other in rivals[run.label])
        }
        # An option that shapes the warm-up shows as the run's own, and again in the warm-up.
        own = {k: v for k, v in differing.items() if not k.startswith("warmup.")}
        shown = {**own_overrides(run.changes, run.label, run.trainer), **(own or differing)}
        described.append(dict(sorted(shown.items())))
    return described


def _text(options: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


def _brief(options: Mapping[str, object], rivals: Sequence[Mapping[str, object]]) -> str:
    """Shorten a row's options for its title: to what sets rows of one name apart, or to a count."""
    text = _text(options)
    if len(text) <= BRIEF:
        return text
    if len(rivals) == 1:
        return f"{len(options)} options"
    others = [one for one in rivals if one is not options]
    apart = {k: v for k, v in options.items() if any(_differ(k, v, one) for one in others)}
    unmistakable = all(any(_differ(k, v, one) for k, v in apart.items()) for one in others)
    short = _text(apart) + ", …"
    return short if unmistakable and len(short) < len(text) else text


def _differ(option: str, value: object, other: Mapping[str, object]) -> bool:
    return option not in other or other[option] != value


def spelt_out(rows: pd.DataFrame) -> list[str]:
    """Return, in sentences, the options of rows whose titles are too short for them."""
    short = rows[rows["brief"] != rows["options"]]
    pairs = zip(short["options"], short["title"], strict=True)
    return [f"{', '.join(titles)}: {options}." for options, titles in grouped(pairs).items()]
