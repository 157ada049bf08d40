"""Which rows of two stores are the same algorithm: by task, preset, label and changed options.

Not by hash: the code that is checked may have raised a trainer's version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import pandas as pd

from textbench.judge.record import own_overrides
from textbench.judge.sections import with_tempered
from textbench.store.rows import BROKEN

Fields: TypeAlias = Mapping[str, object]
"""Of a record: a row of a runs frame, or the spec of a warm-up."""
IDENTITY = ("trainer", "version", "config", "backbone", "evaluation", "metrics", "warmup")
"""Those that decide a run's numbers, besides its data and its seed."""
AT = ["task", "preset", "task_fingerprint", "label", "group"]


class Store(NamedTuple):
    """One result store, as its two frames."""

    runs: pd.DataFrame
    """Of `load_runs`; a run that failed before its first evaluation is only there."""
    results: pd.DataFrame
    """Of `load_results`."""


@dataclass(frozen=True, eq=False)
class Place:
    """A row of a store, and where it stands."""

    task: str
    preset: str
    fingerprint: str
    label: str
    group: str
    name: str
    runs: pd.DataFrame = field(repr=False)
    finals: pd.DataFrame = field(repr=False)
    """The final values of its finished runs, one row per seed and metric."""

    @property
    def title(self) -> str:
        """``MLE (synthetic, preset quick)``."""
        preset = f", preset {self.preset}" if self.preset else ""
        return f"{self.name} ({self.task}{preset})"

    @property
    def identity(self) -> tuple[str, ...]:
        """What it is called, its data, its group: from what rows must share to what they may."""
        changed = self.first("overrides")
        changed = sorted(changed.items()) if isinstance(changed, dict) else changed
        name = (self.task, self.preset, self.label, repr(changed))
        return (*name, self.fingerprint, self.group)

    @property
    def done(self) -> set[int]:
        """The seeds that finished."""
        return set(self.runs.loc[self.runs["status"] == "done", "seed"].astype(int))

    @property
    def broken(self) -> dict[int, str]:
        """The seeds that failed or diverged, and the run's name."""
        found = self.runs[self.runs["status"].isin(BROKEN)]
        return dict(zip(found["seed"].astype(int), found["run"], strict=True))

    @property
    def unfinished(self) -> set[int]:
        """The seeds that were started, and have neither finished nor broken."""
        return set(self.runs["seed"].astype(int)) - self.done - set(self.broken)

    @property
    def counts(self) -> str:
        """``"3 run(s), 2 done"``."""
        return f"{len(self.runs)} run(s), {len(self.done)} done"

    @property
    def record(self) -> dict[str, object]:
        """What its runs have of `IDENTITY`; the warm-up's seed is the first run's."""
        return {key: self.first(key) for key in IDENTITY}

    def first(self, column: str) -> object:
        """Return what its runs have in a column; None where the frame has no such column."""
        return self.runs[column].iloc[0] if column in self.runs else None


def places(store: Store) -> list[Place]:
    """Divide a store into its rows."""
    runs = with_tempered(store.results, store.runs)
    finals = store.results[store.results["final"].astype(bool)]
    found = []
    for _, members in runs.groupby(AT, sort=True, dropna=False, observed=True):
        first = members.iloc[0]
        mine = finals[finals["run"].isin(members.loc[members["status"] == "done", "run"])]
        task, preset, fingerprint, label, group = (str(first[column]) for column in AT)
        at = (task, preset, fingerprint, label, group, _name(first))
        found.append(Place(*at, runs=members, finals=mine))
    return found


def _name(first: pd.Series) -> str:
    title = first.get("title")
    name = title if isinstance(title, str) and title else str(first["label"])
    own = own_overrides(first.get("overrides"), str(first["label"]), str(first["trainer"]))
    options = ", ".join(f"{key}={value}" for key, value in sorted(own.items()))
    return f"{name} [{options}]" if options else name


def matched(
    base: list[Place], new: list[Place]
) -> tuple[list[tuple[Place, Place]], list[Place], list[Place]]:
    """Return the rows that both stores have, in pairs, and those that only one has."""
    left, right, pairs = list(base), list(new), []
    for shared in (6, 5, 4):  # replicates; the same on equal data; the same by name
        for place in list(left):
            mine = place.identity[:shared]
            others = [other for other in right if other.identity[:shared] == mine]
            rivals = [rival for rival in left if rival.identity[:shared] == mine]
            if len(others) == len(rivals) == 1:
                left.remove(place)
                right.remove(others[0])
                pairs.append((place, others[0]))
    return pairs, left, right


def altered(base: Place, new: Place) -> Iterator[str]:
    """Say with which other options NEW was trained, where no version tells of a change."""
    told = _options_changed(base.record, new.record)
    if told:
        yield f"{base.title}: {', '.join(told)}"


def _options_changed(before: Fields, after: Fields) -> list[str]:
    """Say which training options differ: of two versions those that both have."""
    same = before.get("version") == after.get("version")
    told = []
    for key in ("config", "backbone"):
        old, fresh = _options(before, key), _options(after, key)
        told += [
            f"{name} {fresh.get(name, 'unknown')} instead of {old.get(name, 'unknown')}"
            for name in sorted({*old, *fresh} if same else {*old} & {*fresh})
            if old.get(name) != fresh.get(name)
        ]
    start, other = before.get("warmup"), after.get("warmup")
    if isinstance(start, Mapping) and isinstance(other, Mapping):
        if start["trainer"] != other["trainer"]:
            told.append(f"another warm-up: {other['trainer']} instead of {start['trainer']}")
        elif changed := _options_changed(start, other):
            told.append(f"another warm-up: {', '.join(changed)}")
    elif same and isinstance(start, Mapping) != isinstance(other, Mapping):
        told.append("no warm-up" if isinstance(start, Mapping) else "a warm-up instead of none")
    return told


def _options(fields: Fields, key: str) -> Fields:
    found = fields.get(key)
    return found if isinstance(found, Mapping) else {}


def _differing(before: Fields, after: Fields) -> Iterator[str]:
    """Yield the names of what differs, seeds and labels aside."""
    for key in IDENTITY:
        old, fresh = before.get(key), after.get(key)
        if key == "warmup" and isinstance(old, Mapping) and isinstance(fresh, Mapping):
            yield from (f"warm-up's {name}" for name in _differing(old, fresh))
        elif old != fresh:
            yield key


def notes(base: Place, new: Place) -> Iterator[str]:
    """Say what else differs between two rows."""
    versions = base.first("version"), new.first("version")
    if versions[0] != versions[1]:
        yield f"{base.title}: version {versions[0]} in BASE, {versions[1]} in NEW"
    elif base.group != new.group and base.fingerprint == new.fingerprint:
        differing = ", ".join(_differing(base.record, new.record))
        if not _options_changed(base.record, new.record):
            yield f"{base.title}: options differ ({differing or 'their hash'})"
    for name, place in (("BASE", base), ("NEW", new)):
        if place.unfinished:
            count = f"{len(place.unfinished)} of {len(place.runs)}"
            yield f"{base.title}: {count} run(s) of {name} are not finished"
    if base.broken:
        count = f"{len(base.broken)} of {len(base.runs)}"
        yield f"{base.title}: {count} run(s) of BASE failed or diverged"
