"""Two result stores, metric by metric: what moved, what went missing, what broke.

Rows are matched by task, preset, label and changed options, not by hash: the code that is checked
may have raised a trainer's version. Values are compared where their task data and protocol agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from textbench.judge.tolerance import LEVEL, Direction, Judgement, Pair, judge
from textbench.store.read import Moment, RecordedRun, Results
from textbench.store.replicates import Row, sections
from textbench.store.rows import BROKEN

Values = dict[str, dict[int, float]]
"""Final values by protocol and seed."""


@dataclass(frozen=True)
class Number:
    """One metric of one algorithm, made in the same way in both stores."""

    task: str
    row: str
    metric: str
    protocol: str
    direction: Direction


class Compared(NamedTuple):
    """A number of both stores, and what is to be thought of it."""

    number: Number
    judgement: Judgement


@dataclass(frozen=True)
class Broken:
    """A run of NEW that failed or diverged."""

    run: str
    status: str
    reason: str
    regression: bool
    """Whether BASE finished it, or finished every seed of its row."""


@dataclass
class Comparison:
    """Everything there is to say about two stores."""

    level: float = LEVEL
    compared: list[Compared] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What BASE has and NEW lacks: rows and metrics, one line each."""
    added: list[str] = field(default_factory=list)
    """The other way round."""
    mismatched: list[str] = field(default_factory=list)
    """What both have, made in different ways."""
    notes: list[str] = field(default_factory=list)
    """What a reader must know of the rows compared: seeds, versions, unfinished runs."""

    @property
    def alarms(self) -> list[Compared]:
        """The numbers that got worse, or changed where neither way is better."""
        return [one for one in self.compared if one.judgement.alarm]

    @property
    def unjudged(self) -> list[Compared]:
        """The numbers for which there is no spread to judge them by."""
        return [one for one in self.compared if one.judgement.verdict == "unjudged"]

    @property
    def regressions(self) -> int:
        """How many numbers and runs are regressions."""
        return len(self.alarms) + sum(run.regression for run in self.broken)

    @property
    def judged(self) -> bool:
        """Whether there was a spread, or equality to the bit, to judge any number by."""
        return len(self.unjudged) < len(self.compared)

    @property
    def incomplete(self) -> bool:
        """Whether anything of BASE was not compared or could not be judged."""
        return bool(self.missing or self.mismatched or self.unjudged)

    @property
    def empty(self) -> bool:
        """Whether the stores have nothing in common that says anything."""
        return not (self.compared or self.broken)


@dataclass(frozen=True)
class _Place:
    """A row of a store, and where it stands."""

    task: str
    preset: str
    fingerprint: str
    row: Row

    @property
    def title(self) -> str:
        preset = f", preset {self.preset}" if self.preset else ""
        return f"{self.row.title} ({self.task}{preset})"


def compare_stores(base: Results, new: Results, level: float = LEVEL) -> Comparison:
    """Compare the finished runs of two stores by their final values, and list the others.

    Args:
        base: What is on record.
        new: What is checked.
        level: Probability of a false alarm, over everything that is compared.
    """
    found = Comparison(level)
    pending: list[tuple[Number, Pair]] = []
    for place, other in _matched(_places(base), _places(new), found):
        found.broken += _broken(place.row, other.row)
        found.notes += _notes(place, other)
        if place.fingerprint != other.fingerprint:
            found.mismatched.append(f"{place.title}: the task's data are others")
        elif place.row.done and other.row.done:
            pending += _pairs(place, other, base, new, found)
        elif place.row.done:
            found.missing.append(f"{place.title}: no finished run in NEW")
    judgements = judge([pair for _, pair in pending], level)
    numbers = (number for number, _ in pending)
    found.compared = [Compared(*both) for both in zip(numbers, judgements, strict=True)]
    for name, reason in new.unreadable.items():
        found.notes.append(f"{name} of NEW cannot be read: {reason}")
    for name, reason in base.unreadable.items():
        found.notes.append(f"{name} of BASE cannot be read: {reason}")
    return found


def _places(store: Results) -> list[_Place]:
    return [
        _Place(section.task, section.preset, section.fingerprint, row)
        for section in sections(store)
        for row in section.rows
    ]


def _matched(
    base: list[_Place], new: list[_Place], found: Comparison
) -> Iterator[tuple[_Place, _Place]]:
    """Yield the rows that both stores have; note the others."""
    left, right = list(base), list(new)
    for alike in (_same_runs, _same_data, _same_name):
        for place in list(left):
            others = [other for other in right if alike(place) == alike(other)]
            rivals = [rival for rival in left if alike(rival) == alike(place)]
            if len(others) == len(rivals) == 1:
                left.remove(place)
                right.remove(others[0])
                yield place, others[0]
    names = {place.title for place in base} & {place.title for place in new}
    several = "; of this name there are several, and none is the other's"
    for places, lines in ((left, found.missing), (right, found.added)):
        lines += [f"{p.title}: {_runs(p.row)}{several * (p.title in names)}" for p in places]


def _same_name(place: _Place) -> tuple[str, ...]:
    overrides = place.row.runs[0].spec.overrides
    return place.task, place.preset, place.row.label, repr(sorted(overrides.items()))


def _same_data(place: _Place) -> tuple[str, ...]:
    return *_same_name(place), place.fingerprint


def _same_runs(place: _Place) -> tuple[str, ...]:
    return *_same_data(place), place.row.group


def _runs(row: Row) -> str:
    return f"{len(row.runs)} run(s), {len(row.done)} done"


def _broken(base: Row, new: Row) -> Iterator[Broken]:
    """Yield the runs of NEW that failed or diverged, unless BASE's did as well."""
    before = {run.spec.seed: run.status.status for run in base.runs}
    sound = not any(status in BROKEN for status in before.values()) and bool(base.done)
    for run in new.runs:
        if run.status.status in BROKEN:
            was = before.get(run.spec.seed, "done" if sound else "")
            yield Broken(run.name, run.status.status, run.status.reason, was == "done")


def _notes(base: _Place, new: _Place) -> Iterator[str]:
    """Say what else differs between two rows."""
    title = base.title
    first, second = base.row.runs[0], new.row.runs[0]
    if first.spec.version != second.spec.version:
        yield f"{title}: version {first.spec.version} in BASE, {second.spec.version} in NEW"
    elif first.group != second.group and base.fingerprint == new.fingerprint:
        yield f"{title}: options differ ({_differing(first, second)})"
    for name, row in (("BASE", base.row), ("NEW", new.row)):
        left = [run for run in row.runs if run.status.status not in ("done", *BROKEN)]
        if left:
            yield f"{title}: {len(left)} of {len(row.runs)} run(s) of {name} are not finished"
        if name == "BASE" and any(run.status.status in BROKEN for run in row.runs):
            count = sum(run.status.status in BROKEN for run in row.runs)
            yield f"{title}: {count} of {len(row.runs)} run(s) of BASE failed or diverged"


def _differing(first: RecordedRun, second: RecordedRun) -> str:
    one, other = first.spec.identity(), second.spec.identity()
    return ", ".join(key for key in one if key != "seed" and one[key] != other.get(key))


def _pairs(
    place: _Place, other: _Place, base: Results, new: Results, found: Comparison
) -> Iterator[tuple[Number, Pair]]:
    """Yield what can be compared of two rows, metric by metric; note what cannot."""
    before, after = _metrics(place.row, base), _metrics(other.row, new)
    for metric in sorted({*before, *after}):
        shared = sorted(set(before.get(metric, {})) & set(after.get(metric, {})))
        for protocol in shared:
            direction = new.number(metric).direction
            pair = Pair(before[metric][protocol], after[metric][protocol], direction)
            yield Number(place.task, place.row.title, metric, protocol, direction), pair
        if shared:
            continue
        if metric in before and metric in after:
            ways = [" or ".join(sorted(values[metric])) for values in (before, after)]
            found.mismatched.append(f"{place.title}: {ways[0]} in BASE, {ways[1]} in NEW")
        elif metric in before:
            found.missing.append(f"{place.title}: {metric}{_reason(other.row, new, metric)}")
        else:
            found.added.append(f"{place.title}: {metric}")


def _metrics(row: Row, store: Results) -> dict[str, Values]:
    """Return the final values of a row's finished runs, by metric."""
    found: dict[str, Values] = {}
    for run in row.done:
        moment = _last(run, store)
        for metric in moment.values:
            if moment.has(metric):
                by_protocol = found.setdefault(metric, {})
                values = by_protocol.setdefault(moment.protocol(metric), {})
                values[run.spec.seed] = moment.values[metric]
    return found


def _last(run: RecordedRun, store: Results) -> Moment:
    """Return a run's final evaluation; an empty one where there is none."""
    finals: Sequence[Moment] = [m for m in store.evaluations(run) if m.final]
    return finals[-1] if finals else Moment()


def _reason(row: Row, store: Results, metric: str) -> str:
    reasons = {_last(run, store).reasons.get(metric, "") for run in row.done} - {""}
    return f": {'; '.join(sorted(reasons))}" if reasons else ""
