"""Which rows of two stores are the same algorithm: by task, preset, label and changed options.

Not by hash: the code that is checked may have raised a trainer's version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import pandas as pd

from textbench.contracts.plain import grouped
from textbench.judge.record import IDENTITY, flat, own_overrides
from textbench.store.frames import Frames
from textbench.store.rows import BROKEN

Fields: TypeAlias = Mapping[str, object]
"""Of a record: a row of a runs frame, or the spec of a warm-up."""
AT = ["task", "preset", "task_fingerprint", "label", "group"]


@dataclass(frozen=True, eq=False)
class Place:
    """A row of a store, and where it stands."""

    task: str
    preset: str
    fingerprint: str
    label: str
    group: str
    name: str
    """What tables call it, with the options that set it apart."""
    where: str
    """The task, with the preset where the store has it at several."""
    runs: pd.DataFrame = field(repr=False)
    finals: pd.DataFrame = field(repr=False)
    """The final values of its finished runs, one row per seed and metric."""

    @property
    def title(self) -> str:
        """``MLE (synthetic, preset quick)``."""
        preset = f", preset {self.preset}" if self.preset else ""
        return f"{self.name} ({self.task}{preset})"

    @property
    def key(self) -> tuple[str, ...]:
        """What rows must share to be held against each other: they are asked for alike."""
        changed = self.first("overrides")
        changed = sorted(changed.items()) if isinstance(changed, dict) else changed
        return (self.task, self.preset, self.label, repr(changed))

    @property
    def identity(self) -> tuple[str, ...]:
        """Its key, its data, its group: from what rows must share to what they may."""
        return (*self.key, self.fingerprint, self.group)

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

    @property
    def details(self) -> dict[str, object]:
        """Its record and its data, option by option."""
        return {**dict(flat(self.record)), "data": self.fingerprint}

    def first(self, column: str) -> object:
        """Return what its runs have in a column; None where the frame has no such column."""
        return self.runs[column].iloc[0] if column in self.runs else None


def places(store: Frames) -> list[Place]:
    """Divide a store into its rows; no two of a task and preset are called the same."""
    runs = store.runs
    finals = store.results[store.results["final"].astype(bool)]
    presets = runs.groupby("task", observed=True)["preset"].nunique()
    found = []
    for _, members in runs.groupby(AT, sort=True, dropna=False, observed=True):
        first = members.iloc[0]
        mine = finals[finals["run"].isin(members.loc[members["status"] == "done", "run"])]
        task, preset, fingerprint, label, group = (str(first[column]) for column in AT)
        where = f"{task}, preset {preset}" if presets[first["task"]] > 1 else task
        at = (task, preset, fingerprint, label, group, _called(first, _own(first)), where)
        found.append(Place(*at, runs=members, finals=mine))
    rivals = grouped(((one.task, one.preset, one.name), one) for one in found)
    return [_told_apart(one, rivals[one.task, one.preset, one.name]) for one in found]


def _called(first: pd.Series, options: Fields) -> str:
    """Return what tables call a row; the title is the trainer's, no variant's or temperature's."""
    label, title = str(first["label"]), first.get("title")
    titled = label == first["trainer"] and isinstance(title, str) and title
    text = ", ".join(f"{key}={value}" for key, value in sorted(options.items()))
    return (str(title) if titled else label) + (f" [{text}]" if text else "")


def _own(first: pd.Series) -> dict[str, object]:
    return own_overrides(first.get("overrides"), str(first["label"]), str(first["trainer"]))


def _told_apart(place: Place, rivals: list[Place]) -> Place:
    """Add to a row's name whatever else sets it apart from the others of this name."""
    if len(rivals) == 1:
        return place
    others = [rival.details for rival in rivals]
    apart = {
        key: value
        for key, value in place.details.items()
        if any(key not in other or other[key] != value for other in others)
    }
    first = place.runs.iloc[0]
    return replace(place, name=_called(first, {**_own(first), **(apart or {"group": place.group})}))


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
