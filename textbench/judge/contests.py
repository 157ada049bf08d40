"""The comparisons that a claim makes: one measure of one row against another's, or a bound."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from textbench.judge.broken import broken
from textbench.judge.contestants import Contestant, Side, measured
from textbench.judge.power import LEAST
from textbench.judge.sections import Section
from textbench.judge.statements import SECONDS, Claim, Measure, Selector
from textbench.judge.stats import LEVEL, Difference, differences, holm, summarise

Pair = tuple[Mapping[int, float], Mapping[int, float]]
"""The values of both sides by seed."""
Word = Literal["better", "worse", "undecided", "not run"]


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
    factor: float = 1.0
    grid: tuple[str, ...] = ()
    """Of a best: the evaluations that each side was selected from."""

    @property
    def shown(self) -> str:
        """The other side, ``"8.68 seqgan"``, ``"50 = 10 x mle"``; a bound, ``"0"``."""
        times = f"= {self.factor:g} x " if self.factor != 1 else ""
        return f"{self.numbers[1]} {times}{self.other}".strip()

    @property
    def numbers(self) -> tuple[str, str]:
        """Both sides, with so many digits that two that differ, but for rounding, look it."""
        pairs = ((f"{self.left:.{n}g}", f"{self.right:.{n}g}") for n in range(4, 13))
        return next((pair for pair in pairs if pair[0] != pair[1]), (f"{self.left:.4g}",) * 2)


def contests(
    claim: Claim,
    sides: Mapping[Selector, Contestant],
    subjects: Sequence[Selector],
    section: Section,
) -> list[Contest]:
    """Make every comparison of a claim, corrected together."""
    made = list(itertools.product(subjects, claim.measures, claim.others or (None,)))
    drafts: dict[int, Contest] = {}
    pairs: dict[int, Pair] = {}
    for key, (subject, measure, other) in enumerate(made):
        theirs = sides[other] if other is not None else None
        drafts[key], pair = _prepared(claim, sides[subject], theirs, measure, section)
        if pair is not None:
            pairs[key] = pair
    spreads = {key for key in pairs if made[key][1].stat == "spread"}
    found = differences({key: pair for key, pair in pairs.items() if key not in spreads})
    judged = {
        key: _decided(drafts[key], made[key][1], pairs[key], one) for key, one in found.items()
    }
    judged |= _spreads({key: (drafts[key], pairs[key]) for key in spreads})
    return [judged.get(key, draft) for key, draft in drafts.items()]


def _prepared(
    claim: Claim, mine: Contestant, theirs: Contestant | None, measure: Measure, section: Section
) -> tuple[Contest, Pair | None]:
    """Measure both sides; return the comparison as far as it got, and what is to be tested."""
    other = theirs.name if theirs else ""
    relation = measure.relation or claim.relation
    draft = Contest(mine.name, other, measure.name, relation, "not run", "", factor=claim.factor)
    if measure.stat == "broken":
        return _broken(draft, mine, section), None
    for side in (mine, theirs):
        if side is not None and not any(line.seeds for line in side.lines):
            return replace(draft, why=side.absent), None
    left = measured(measure, mine, section, theirs)
    right = (
        measured(measure, theirs, section, mine)
        if theirs
        else Side(dict.fromkeys(left.values, claim.bound), left.protocol)
    )
    draft = replace(draft, grid=tuple(filter(None, (left.grid, right.grid))))
    for found, name in ((left, mine.name), (right, other)):
        if not found.values:
            return replace(draft, answer="undecided", why=f"{name}: {found.why}"), None
    if left.protocol != right.protocol:
        ways = f"({left.protocol}; {right.protocol})"
        why = f"{mine.name} and {other} were measured differently {ways}"
        return replace(draft, answer="undecided", why=why), None
    scaled = {seed: claim.factor * value for seed, value in right.values.items()}
    return draft, (left.values, scaled)


def _broken(draft: Contest, mine: Contestant, section: Section) -> Contest:
    """Judge that something sometimes breaks: one broken run shows it, and none refutes it.

    A run that failed otherwise (a full disk) shows neither.
    """
    keys = {line.key for line in mine.lines}
    own = [key in keys for key in zip(section.runs["label"], section.runs["group"], strict=True)]
    count = int(broken(section.runs[own]).sum())
    runs = count + sum(len(line.seeds) for line in mine.lines)  # what still runs may yet break
    failed = sum(line.broken for line in mine.lines) - count
    apart = f" ({failed} more failed, with no numerical error, and count for nothing)"
    if not runs:
        return replace(draft, why=mine.absent + (apart if failed else ""))
    why = f"{count} of {runs} runs of {mine.name} that ended failed or diverged"
    why += apart if failed else ""
    if count:
        return replace(draft, answer="better", why=why, n=runs, left=count / runs, right=0.0)
    most = 1 - LEVEL ** (1 / runs)
    why += f"; up to {most:.0%} may, at 95 % confidence"
    return replace(draft, answer="undecided", why=why, n=runs, left=0.0, right=0.0)


# -- deciding --------------------------------------------------------------------------------


def _decided(draft: Contest, measure: Measure, pair: Pair, found: Difference) -> Contest:
    left, right = (summarise(list(side.values())).mean for side in pair)
    draft = replace(draft, n=found.n, left=left, right=right)
    right_way = (found.mean < 0) == (draft.relation == "<")
    certain = found.separated or _counted(measure, pair)
    if certain and (found.n >= LEAST or _counted(measure, pair)):
        return replace(draft, answer="better" if right_way else "worse")
    why = _open(found)
    if found.note and found.paired and found.n < max(map(len, pair)):
        why += f" in the {found.n} seeds in common"
    return replace(draft, answer="undecided", why=why)


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


def _spreads(drafts: Mapping[int, tuple[Contest, Pair]]) -> dict[int, Contest]:
    """Compare standard deviations: Levene's test about the median, corrected by Holm's method."""
    raw: list[float] = []
    filled: dict[int, Contest] = {}
    for key, (draft, pair) in drafts.items():
        sides = [list(side.values()) for side in pair]
        n = min(map(len, sides))
        left, right = (summarise(side).sd for side in sides)
        filled[key] = replace(draft, n=n, left=left, right=right)
        enough = n >= LEAST and (left > 0 or right > 0)
        raw.append(levene(*sides) if enough else math.nan)
    both = zip(filled.items(), holm(raw), strict=True)
    return {key: _spread_decided(one, float(p)) for (key, one), p in both}


def levene(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the p of Levene's test about the medians (Brown and Forsythe, 1974) of two samples.

    `scipy.stats` has it, and takes longer to import than a report takes to judge all claims.
    """
    off = [np.abs(side - np.median(side)) for side in (np.asarray(a, float), np.asarray(b, float))]
    largest = max(float(one.max()) for one in off) or 1.0
    off = [one / largest for one in off]  # squares of 1e200 are no numbers
    n, m = map(len, off)
    between = n * m / (n + m) * float(off[0].mean() - off[1].mean()) ** 2
    within = sum(float(np.square(one - one.mean()).sum()) for one in off) / (n + m - 2)
    if within == 0.0:
        return 1.0 if between == 0.0 else 0.0
    return float(special.fdtrc(1, n + m - 2, between / within))


def _spread_decided(draft: Contest, p: float) -> Contest:
    if p <= LEVEL:
        right_way = (draft.left < draft.right) == (draft.relation == "<")
        return replace(draft, answer="better" if right_way else "worse")
    few = draft.n < LEAST
    why = f"{draft.subject}, {draft.other}: " if draft.n < 2 else ""  # which have no numbers
    why += _too_few(draft.n) if few else f"not separated at n = {draft.n}: spreads take many seeds"
    return replace(draft, answer="undecided", why=why)
