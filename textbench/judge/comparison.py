"""Two result stores, metric by metric: what moved, what went missing, what broke.

Values are compared where their task data and protocol agree. Which way a number is better, and how
it was made, is read from the records; nothing is looked up in the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from textbench.contracts.number import Direction
from textbench.judge.matching import Place, altered, matched, notes, places
from textbench.judge.tolerance import LEVEL, Judgement, Pair, judge, noticeable, reach
from textbench.store.frames import Frames, frames
from textbench.store.read import Results

Values = dict[str, dict[int, float]]
"""Final values by protocol and seed."""


@dataclass(frozen=True)
class Number:
    """One metric of one algorithm, made in the same way in both stores."""

    task: str
    """With the preset where BASE has it at several."""
    row: str
    metric: str
    """Its name, with the protocol where both stores share several."""
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
    """Whether BASE finished it, or finished every seed of its row, on the same data."""
    other_data: bool = False
    """Whether BASE's runs are of other data, so that they say nothing of this one."""


class Power(NamedTuple):
    """What a comparison of so many seeds notices four times in five."""

    base: int
    """Seeds."""
    new: int
    numbers: int
    """That are judged together."""
    spreads: float
    """The change, in standard deviations between seeds; of one new seed how far it must lie off to
    be reported."""


@dataclass
class Comparison:
    """Everything there is to say about two stores."""

    level: float = LEVEL
    compared: list[Compared] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What BASE has and NEW lacks: rows, metrics and protocols, one line each."""
    lost: list[str] = field(default_factory=list)
    """Seeds of BASE that NEW lacks, and metrics that some of NEW's seeds lack."""
    added: list[str] = field(default_factory=list)
    """What NEW has and BASE lacks."""
    mismatched: list[str] = field(default_factory=list)
    """What both have, made in different ways."""
    altered: list[str] = field(default_factory=list)
    """Rows of one name that were trained with different options, and are compared all the same."""
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
    def strayed(self) -> list[Compared]:
        """The numbers of which a seed has broken out, without being an alarm."""
        return [one for one in self.compared if one.judgement.strayed and not one.judgement.alarm]

    @property
    def regressions(self) -> int:
        """How many numbers and runs are regressions."""
        return len(self.alarms) + sum(run.regression for run in self.broken)

    @property
    def judged(self) -> bool:
        """Whether all is equal to the bit, or something that is not could be judged by a spread."""
        verdicts = {one.judgement.verdict for one in self.compared}
        return verdicts == {"identical"} or bool(verdicts - {"identical", "unjudged"})

    @property
    def identical(self) -> bool:
        """Whether some number is equal to the bit."""
        return any(one.judgement.verdict == "identical" for one in self.compared)

    @property
    def incomplete(self) -> bool:
        """Whether anything of BASE was not compared with its like, not judged, or went astray."""
        gaps = (self.missing, self.lost, self.mismatched, self.altered, self.unjudged, self.strayed)
        return any(gaps)

    @property
    def empty(self) -> bool:
        """Whether the stores have nothing in common that says anything."""
        return not (self.compared or self.broken)

    @property
    def power(self) -> list[Power]:
        """What was noticeable, for each pair of numbers of seeds."""
        mine = [one.judgement for one in self.compared]
        judged = [one for one in mine if one.verdict not in ("identical", "unjudged")]
        sizes = dict.fromkeys((one.base.n, one.new.n) for one in judged)
        count = len(judged)
        return [
            Power(n, m, count, (noticeable if m > 1 else reach)(n, m, count, self.level))
            for n, m in sorted(sizes)
        ]


def compare_frames(base: Frames, new: Frames, level: float = LEVEL) -> Comparison:
    """Compare the finished runs of two stores by their final values, and list the others.

    Args:
        base: What is on record.
        new: What is checked.
        level: Probability of a false alarm, over everything that is compared.
    """
    found = Comparison(level)
    pending: list[tuple[Number, Pair]] = []
    old, fresh = places(base), places(new)
    pairs, left, right = matched(old, fresh)
    tried = {seed for place in fresh for seed in place.done}
    for place, other in pairs:
        found.broken += _broken(place, other)
        found.notes += notes(place, other)
        found.altered += altered(place, other)
        if place.fingerprint != other.fingerprint:
            found.mismatched.append(f"{place.title}: the task's data are others")
        elif place.done and other.done:
            found.lost += _lost_seeds(place, other, tried)
            pending += _pairs(place, other, found)
        elif place.done:
            found.missing.append(f"{place.title}: no finished run in NEW")
    rivals = {place.key for place in left} & {place.key for place in right}
    several = "; of this name there are several, and none is the other's"
    for alone, lines, others, role in (
        (left, found.missing, fresh, "NEW"),
        (right, found.added, old, "BASE"),
    ):
        lines += [
            f"{p.title}: {p.counts}{several * (p.key in rivals)}{_other_presets(p, others, role)}"
            for p in alone
        ]
    judgements = judge([pair for _, pair in pending], level)
    numbers = (number for number, _ in pending)
    found.compared = [Compared(*both) for both in zip(numbers, judgements, strict=True)]
    for role, store in (("NEW", new), ("BASE", base)):
        for run, why in store.unreadable.items():
            found.notes.append(f"{run} of {role} cannot be read: {why}")
    return found


def _other_presets(place: Place, others: Sequence[Place], role: str) -> str:
    """Say that the other store has a row at another preset, which is another experiment."""
    same = (place.task, place.label)
    found = {o.preset for o in others if (o.task, o.label) == same} - {place.preset}
    if not found:
        return ""
    return f"; {role} has it at preset {' and '.join(sorted(found))}: two presets are not compared"


def compare_stores(base: Results, new: Results, level: float = LEVEL) -> Comparison:
    """Compare two stores as they were read; see `compare_frames`."""
    return compare_frames(frames(base), frames(new), level)


def _broken(base: Place, new: Place) -> Iterator[Broken]:
    """Yield the runs of NEW that failed or diverged, unless BASE's did as well."""
    sound = not base.broken and bool(base.done)
    other_data = base.fingerprint != new.fingerprint
    for seed, run in new.broken.items():
        row = new.runs[new.runs["run"] == run].iloc[0]
        known = seed in set(base.runs["seed"].astype(int))
        regression = not other_data and (seed in base.done or (sound and not known))
        yield Broken(str(run), str(row["status"]), str(row["reason"]), regression, other_data)


def _lost_seeds(base: Place, new: Place, tried: set[int]) -> Iterator[str]:
    """Yield the seeds that BASE finished and NEW should have.

    A few of many seeds may be run again on purpose. A seed is lost where it was started and has no
    result, where other rows of NEW have it, or where NEW has half of BASE's seeds or more. Seeds
    that failed are reported as such.
    """
    absent = base.done - new.done - set(new.broken)
    most = 2 * len(base.done & new.done) >= len(base.done)
    lost = absent if most else absent & (tried | new.unfinished)
    lost |= new.unfinished
    if lost:
        yield f"{base.title}: no finished run in NEW of seed {_seeds(lost)}"


def _seeds(seeds: set[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _pairs(place: Place, other: Place, found: Comparison) -> Iterator[tuple[Number, Pair]]:
    """Yield what can be compared of two rows, metric by metric; note what cannot."""
    before, after = _metrics(place), _metrics(other)
    for metric in sorted({*before, *after}):
        shared = sorted(set(before.get(metric, {})) & set(after.get(metric, {})))
        direction = _direction(place, other, metric, found)
        for protocol in shared:
            pair = Pair(before[metric][protocol], after[metric][protocol], direction)
            name = metric if len(shared) == 1 else f"{metric} as {protocol}"
            yield Number(place.where, place.name, name, direction), pair
        if shared:
            gone = set(before[metric]) - set(shared)
            found.missing += [f"{place.title}: {metric} as {one}" for one in sorted(gone)]
            found.lost += _lost_values(place, other, metric, before[metric], after[metric])
        elif metric in before and metric in after:
            ways = [" or ".join(sorted(values[metric])) for values in (before, after)]
            found.mismatched.append(f"{place.title}: {ways[0]} in BASE, {ways[1]} in NEW")
        elif metric in before:
            found.missing.append(f"{place.title}: {metric}{_reason(other, metric)}")
        else:
            found.added.append(f"{place.title}: {metric}")


def _lost_values(
    base: Place, new: Place, metric: str, before: Values, after: Values
) -> Iterator[str]:
    """Yield the finished seeds of NEW that lack a metric, but for those that lack it in BASE."""
    had, has = ({seed for one in values.values() for seed in one} for values in (before, after))
    absent = new.done - has - (base.done - had)
    if absent:
        yield f"{base.title}: {metric} of seed {_seeds(absent)}{_reason(new, metric)}"


def _direction(base: Place, new: Place, metric: str, found: Comparison) -> Direction:
    """Return which way a metric is better, as both records have it."""
    ways: set[Direction] = set()
    for finals in (base.finals, new.finals):
        ways.update(finals.loc[finals["metric"] == metric, "direction"])
    if len(ways) > 1:
        told = " or ".join(sorted(ways))
        found.notes.append(f"{base.title}: which way {metric} is better is on record as {told}")
    return ways.pop() if len(ways) == 1 else "none"


def _metrics(place: Place) -> dict[str, Values]:
    """Return the final values of a row's finished runs, by metric."""
    found: dict[str, Values] = {}
    columns = place.finals[["metric", "protocol", "seed", "value"]]
    for metric, protocol, seed, value in columns.itertuples(index=False):
        if np.isfinite(value):
            by_protocol = found.setdefault(str(metric), {})
            by_protocol.setdefault(str(protocol), {})[int(seed)] = float(value)
    return found


def _reason(place: Place, metric: str) -> str:
    mine = place.finals[place.finals["metric"] == metric]
    told = {text for text in mine["na_reason"] if isinstance(text, str) and text}
    return f": {'; '.join(sorted(told))}" if told else ""
