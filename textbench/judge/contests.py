"""The comparisons that a claim makes: one measure of one row against another's, or a bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
import pandas as pd

from textbench.judge import measures
from textbench.judge.power import LEAST
from textbench.judge.sections import Line, Section
from textbench.judge.statements import CURVE, SECONDS, Claim, Measure, Selector
from textbench.judge.stats import LEVEL, Difference, differences, holm, summarise

Pair = tuple[Mapping[int, float], Mapping[int, float]]
"""The values of both sides by seed."""
Word = Literal["better", "worse", "undecided", "not run"]


@dataclass(frozen=True, eq=False)
class Contestant:
    """A row that a claim names, as it was run: one line, or the lines of a grid."""

    selector: Selector
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, selector: Selector, section: Section) -> Contestant:
        """Find it in a section; without finished runs it has no lines."""
        if "*" in selector.label:
            lines = [one for one in section.lines if fnmatchcase(one.label, selector.label)]
        else:
            line = section.find(selector.label, selector.options)
            lines = [line] if line else []
        return cls(selector, tuple(line for line in lines if line.runs))

    @property
    def name(self) -> str:
        """As sentences call it."""
        return self.lines[0].name if len(self.lines) == 1 else str(self.selector)

    @property
    def schedules(self) -> str:
        """``"cot: 32 epochs"``."""
        schedules = dict.fromkeys(line.record.schedule for line in self.lines)
        return f"{self.name}: {' or '.join(schedules)}"


@dataclass(frozen=True)
class Contest:
    """One comparison of a claim."""

    subject: str
    other: str
    """Empty where the subject is compared with a bound."""
    measure: str
    relation: str
    answer: Word
    """Whether the subject lies significantly on the paper's side of the other."""
    why: str
    """Why it is not decided, and what would decide it."""
    n: int = 0
    left: float = math.nan
    """The subject's mean."""
    right: float = math.nan
    """The other's, times the claim's factor."""
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p_holm: float = math.nan
    needed: int | None = None
    factor: float = 1.0
    grid: tuple[str, ...] = ()
    """Of a best: the evaluations that each side was selected from."""

    @property
    def shown(self) -> str:
        """The other side, ``"8.68 seqgan"``; a bound, ``"0"``."""
        times = f"{self.factor:g} x " if self.factor != 1 else ""
        return f"{self.right:.4g} {times}{self.other}".strip()


@dataclass(frozen=True)
class Side:
    """A measured row: its values by seed, or why there are none."""

    values: Mapping[int, float]
    protocol: str = ""
    why: str = ""
    grid: str = ""


def contests(
    claim: Claim,
    sides: Mapping[Selector, Contestant],
    subjects: Sequence[Selector],
    section: Section,
) -> list[Contest]:
    """Make every comparison of a claim, corrected together."""
    made = [
        (subject, other, measure)
        for subject in subjects
        for measure in claim.measures
        for other in (claim.others or (None,))
    ]
    keys = list(range(len(made)))
    drafts: dict[int, Contest] = {}
    pairs: dict[int, Pair] = {}
    for key, (subject, other, measure) in zip(keys, made, strict=True):
        mine = sides[subject]
        theirs = sides[other] if other is not None else None
        draft, pair = _prepared(claim, mine, theirs, measure, section)
        drafts[key] = draft
        if pair is not None:
            pairs[key] = pair
    spreads = {key for key in pairs if made[key][2].stat == "spread"}
    found = differences({key: pair for key, pair in pairs.items() if key not in spreads})
    judged = {
        key: _decided(drafts[key], made[key][2], pairs[key], one) for key, one in found.items()
    }
    judged |= _spreads({key: (drafts[key], pairs[key]) for key in spreads})
    return [judged.get(key, drafts[key]) for key in keys]


def _prepared(
    claim: Claim, mine: Contestant, theirs: Contestant | None, measure: Measure, section: Section
) -> tuple[Contest, Pair | None]:
    """Measure both sides; return the comparison as far as it got, and what is to be tested."""
    right_name = theirs.name if theirs else ""
    relation = measure.relation or claim.relation
    names = (mine.name, right_name, measure.name)
    draft = Contest(*names, relation, "not run", "", factor=claim.factor)
    if measure.stat == "broken":
        return _broken(draft, mine), None
    for side in (mine, theirs):
        if side is not None and not any(line.seeds for line in side.lines):
            return replace(draft, why=f"no finished run of {side.name}"), None
    left = measured(measure, mine, section)
    right = (
        measured(measure, theirs, section)
        if theirs
        else Side(dict.fromkeys(left.values, claim.bound), left.protocol)
    )
    draft = replace(draft, grid=tuple(filter(None, (left.grid, right.grid))))
    for found, name in ((left, mine.name), (right, right_name)):
        if not found.values:
            return replace(draft, answer="undecided", why=f"{name}: {found.why}"), None
    if left.protocol != right.protocol:
        return replace(draft, answer="undecided", why=_protocols(mine, theirs, left, right)), None
    scaled = {seed: claim.factor * value for seed, value in right.values.items()}
    return draft, (left.values, scaled)


def _protocols(mine: Contestant, theirs: Contestant | None, left: Side, right: Side) -> str:
    other = theirs.name if theirs else ""
    return f"{mine.name} and {other} were measured differently ({left.protocol}; {right.protocol})"


def _broken(draft: Contest, mine: Contestant) -> Contest:
    """Judge that something sometimes breaks: one broken run shows it, and none refutes it."""
    runs, broken = (sum(getattr(line, what) for line in mine.lines) for what in ("runs", "broken"))
    why = f"{broken} of {runs} runs of {mine.name} failed or diverged"
    if broken:
        return replace(draft, answer="better", why=why, n=runs, left=broken / runs, right=0.0)
    most = 1 - LEVEL ** (1 / runs)
    why += f"; up to {most:.0%} may, at 95 % confidence"
    return replace(draft, answer="undecided", why=why, n=runs, left=0.0, right=0.0)


# -- measuring -------------------------------------------------------------------------------


def measured(measure: Measure, row: Contestant, section: Section) -> Side:
    """Return a row's number by seed."""
    if measure.stat == "grid":
        return _grid(measure, row, section)
    frame = _frame(measure, section, row)
    if frame is None:
        return Side({}, why=f"no log of {measure.log or 'epochs'}")
    why = ""
    if measure.stat in CURVE and len(frame):
        mine = frame[
            (frame["label"] == row.lines[0].label) & (frame["group"] == row.lines[0].group)
        ]
        enough = mine["evaluations"] >= measures.LEAST_EVALUATIONS
        if len(mine) and not enough.all():
            least = measures.LEAST_EVALUATIONS
            why = (
                f"{int(mine['evaluations'].min())} evaluations of own training, {least} are needed"
            )
        frame = frame[frame["evaluations"] >= measures.LEAST_EVALUATIONS]
    values, protocol = measures.sample(frame, *row.lines[0].key)
    grids = frame.loc[frame["label"] == row.lines[0].label, "grid"] if "grid" in frame else ()
    grid = "; ".join(f"{row.name}: {text}" for text in dict.fromkeys(grids))
    if values or why:
        return Side(values, protocol, why, grid)
    still = "its best evaluation is the last: it still falls"
    return Side({}, why=still if measure.stat == "rise" else f"no {measure.name} on record")


def _frame(measure: Measure, section: Section, row: Contestant) -> pd.DataFrame | None:
    """Return every run's number, as `measures` gives it."""
    results, metrics = section.results, list(measure.metrics)
    match measure.stat:
        case "final" | "spread":
            return measures.final(results, metrics)
        case "best":
            return measures.best(results, metrics)
        case "change":
            return measures.change(results, metrics)
        case "late":
            return measures.late(results, metrics)
        case "rise":
            return measures.rise(results, metrics)
        case "total":
            return _on_hardware(measures.total(results, metrics), metrics, section)
    if section.logs is None:
        return None
    if measure.stat == "epoch":
        return _on_hardware(measures.per_epoch(section.logs), metrics, section)
    length = float(row.lines[0].record.task_config.get("length", math.nan))
    return measures.translation(results, section.logs, metrics[0], measure.log, length)


def _on_hardware(found: pd.DataFrame, metrics: Sequence[str], section: Section) -> pd.DataFrame:
    """Make the hardware a part of the protocol of seconds, and leave out what ran on several."""
    if SECONDS not in metrics:
        return found
    where = dict(zip(section.runs["run"], section.runs["hardware"], strict=True))
    named = found.assign(protocol=[f"{SECONDS} on {where.get(run) or '?'}" for run in found["run"]])
    return named[~named["protocol"].str.endswith("?")]


def _grid(measure: Measure, row: Contestant, section: Section) -> Side:
    """Return the spread of the final value over the rows of a grid, by seed."""
    frame = measures.final(section.results, list(measure.metrics))
    found = [measures.sample(frame, *line.key) for line in row.lines]
    protocols = {protocol for _, protocol in found}
    seeds = set.intersection(*(set(values) for values, _ in found)) if found else set()
    if len(found) < 3 or not seeds:
        return Side({}, why=f"{len(found)} of its settings were run with common seeds")
    if len(protocols) > 1:
        return Side({}, why="its settings were measured differently")
    each = {
        seed: float(np.std([values[seed] for values, _ in found], ddof=1)) for seed in sorted(seeds)
    }
    return Side(each, protocols.pop())


# -- deciding --------------------------------------------------------------------------------


def _decided(draft: Contest, measure: Measure, pair: Pair, found: Difference) -> Contest:
    left, right = (summarise(list(side.values())).mean for side in pair)
    draft = replace(
        draft,
        n=found.n,
        left=left,
        right=right,
        difference=found.mean,
        low=found.low,
        high=found.high,
        p_holm=found.p_holm,
        needed=found.needed,
    )
    right_way = (found.mean < 0) == (draft.relation == "<")
    certain = found.separated or _counted(measure, pair)
    if certain and (found.n >= LEAST or _counted(measure, pair)):
        return replace(draft, answer="better" if right_way else "worse")
    return replace(draft, answer="undecided", why=_open(found))


def _counted(measure: Measure, pair: Pair) -> bool:
    """Tell whether the sides are counts, which need no seeds: all of one lie beyond the other's."""
    if measure.stat != "total" or SECONDS in measure.metrics:
        return False
    lower, upper = sorted((list(side.values()) for side in pair), key=max)
    return max(lower) < min(upper)


def _open(found: Difference) -> str:
    """Say why a comparison is undecided, and what would decide it."""
    if found.n < LEAST:
        return _too_few(found.n)
    if found.note:
        return found.note
    if found.more is None:
        return "not separated, and hundreds of seeds would not tell"
    return f"not separated; {found.more} more seed{'s' * (found.more != 1)} would tell"


def _too_few(n: int) -> str:
    return f"{n} seed{'s' * (n != 1)} where a claim needs {LEAST}"


def _spreads(
    drafts: Mapping[int, tuple[Contest, Pair]],
) -> dict[int, Contest]:
    """Compare standard deviations: Levene's test about the median, corrected by Holm's method."""
    from scipy import stats

    if not drafts:
        return {}
    raw: dict[int, float] = {}
    filled: dict[int, Contest] = {}
    for key, (draft, pair) in drafts.items():
        sides = [list(side.values()) for side in pair]
        n = min(map(len, sides))
        left, right = (summarise(side).sd for side in sides)
        filled[key] = replace(draft, n=n, left=left, right=right, difference=left - right)
        enough = n >= LEAST and (left > 0 or right > 0)
        raw[key] = float(stats.levene(*sides, center="median").pvalue) if enough else math.nan
    corrected = holm(list(raw.values()))
    return {
        key: _spread_decided(filled[key], float(p)) for key, p in zip(raw, corrected, strict=True)
    }


def _spread_decided(draft: Contest, p: float) -> Contest:
    draft = replace(draft, p_holm=p)
    if p <= LEVEL:
        right_way = (draft.left < draft.right) == (draft.relation == "<")
        return replace(draft, answer="better" if right_way else "worse")
    few = draft.n < LEAST
    why = _too_few(draft.n) if few else f"not separated at n = {draft.n}: spreads take many seeds"
    return replace(draft, answer="undecided", why=why)
