"""How far new replicates may lie from recorded ones by chance: pure functions on numbers.

Where nothing has changed, new seeds are further draws from the distribution of the recorded ones.
Two things are asked of them:

- *Does their mean lie where it should?* Within Student's t times the spread of all replicates,
  pooled, times ``sqrt(1/n + 1/m)``. The pooled spread hardly notices a stray seed among few new
  ones, so their own spread must agree that they moved, by Welch's test at `OWN` without correction.
- *Have all of them broken out?* For what hides behind its own spread: training that collapses, for
  each seed in another way. All must lie beyond any tail that the recorded ones let expect.

Where the recorded seeds are all equal they have no spread, and both answers are yes however little
has moved. What is asked then is whether chance would put all the seeds that differ among the new
ones; where it may, that is not judged.

One seed alone that has broken out is no alarm: where one run in ten goes astray whatever its size,
one in three new ones does so in 27 % of the comparisons. It is reported, and ``--strict`` fails.

One comparison of two stores asks this of many numbers, and may raise a false alarm with all of
them together as rarely as `LEVEL` says. So each is asked at its share divided by their count
(Bonferroni; it holds whatever the dependence, and metrics of one run depend on each other).
docs/evidence.md has the rates, and what a comparison notices.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from textbench.contracts.number import Direction
from textbench.judge.power import LEAST, detectable_samples
from textbench.judge.stats import Summary, summarise

Floats = NDArray[np.float64]
Verdict = Literal["identical", "within", "worse", "better", "changed", "unjudged"]

LEVEL = 0.01
"""How often a comparison of two equal stores may raise an alarm, at most."""
SHARE = 0.3
"""Part of the level that each of the two questions is asked at. They do not add up to 1: recorded
seeds have heavier tails than the normal distribution. Of comparisons of three seeds with ten others
of results/published/ci, 1.0 % were false alarms at all of the level, and 0.5 % at this part."""
OWN = 0.05
"""One-sided level at which the new seeds' own spread must agree."""
TAILS = 3
"""Degrees of freedom of Student's t, at most, by which one seed is judged: whatever their number,
the recorded ones do not show the far tail, and it may fall off as slowly."""
ROUNDING = 1e-6
"""Spread that single precision alone gives, relative to the value: replicates that agree more
closely, such as a rate that is 1 for every seed, may still differ so much between machines."""


@dataclass(frozen=True)
class Pair:
    """What is compared: one metric of one algorithm, by seed, recorded and new."""

    base: Mapping[int, float]
    new: Mapping[int, float]
    direction: Direction = "none"
    """Which way is better; ``none`` where neither is, and any change counts."""


@dataclass(frozen=True)
class Judgement:
    """What is to be thought of a pair."""

    verdict: Verdict
    base: Summary
    new: Summary
    """Of the new draws: not of seeds that only repeat recorded ones, unless there are no others."""
    every: Summary
    """Of all the new seeds."""
    difference: float
    """Mean of the new draws minus mean of the recorded seeds; 0 where there are none."""
    tolerance: float
    """How large that may be by chance; NaN where there is no spread, or nothing to judge."""
    paired: int = 0
    """Seeds on both sides."""
    strayed: tuple[int, ...] = ()
    """New seeds that have broken out."""

    @property
    def alarm(self) -> bool:
        """Whether it is a regression."""
        return self.verdict in ("worse", "changed")


class Moved(NamedTuple):
    """How replicates lie to recorded ones; arrays over all leading axes."""

    difference: Floats
    """Of the means."""
    tolerance: Floats
    strayed: NDArray[np.bool_]
    """Of each new replicate, along the last axis."""


def move(base: ArrayLike, new: ArrayLike, level: ArrayLike) -> Moved:
    """Compare new replicates ``(..., m)`` with recorded ones ``(..., n)``; two of each at least.

    Args:
        base: The recorded replicates.
        new: The new ones.
        level: One-sided probability that equal ones lie beyond the tolerance.
    """
    old, fresh = np.asarray(base, dtype=float), np.asarray(new, dtype=float)
    n, m = old.shape[-1], fresh.shape[-1]
    mean, s, t = old.mean(-1), _spread(old), _spread(fresh)
    difference = fresh.mean(-1) - mean
    pooled = np.sqrt(((n - 1) * s**2 + (m - 1) * t**2) / (n + m - 2))
    beyond = special.stdtrit(n + m - 2, 1 - np.asarray(level)) * pooled
    error = np.hypot(s / math.sqrt(n), t / math.sqrt(m))
    share = np.divide(s / math.sqrt(n), error, out=np.full_like(error, 0.7), where=error > 0) ** 2
    freedom = 1 / (share**2 / (n - 1) + (1 - share) ** 2 / (m - 1))  # Welch's and Satterthwaite's
    own = special.stdtrit(freedom, 1 - OWN) * error
    tolerance = np.maximum(beyond * math.sqrt(1 / n + 1 / m), own)
    return Moved(difference, tolerance, stray(old, fresh, level))


def stray(base: ArrayLike, new: ArrayLike, level: ArrayLike) -> NDArray[np.bool_]:
    """Tell which of the new replicates ``(..., m)`` have broken out of the ``(..., n)`` recorded.

    Args:
        base: The recorded replicates.
        new: The new ones.
        level: One-sided probability that one of them does so by chance.
    """
    old, fresh = np.asarray(base, dtype=float), np.asarray(new, dtype=float)
    n, m = old.shape[-1], fresh.shape[-1]
    limit = _limit(n, m, level) * _spread(old)
    return np.asarray(np.abs(fresh - old.mean(-1)[..., None]) > limit[..., None])


def _spread(values: Floats) -> Floats:
    return np.asarray(np.maximum(values.std(-1, ddof=1), ROUNDING * np.abs(values).max(-1)))


@functools.cache
def noticeable(n: int, m: int, numbers: int, level: float = LEVEL) -> float:
    """Return what n recorded and m new seeds notice four times in five, in standard deviations.

    Args:
        n: Recorded seeds.
        m: New ones.
        numbers: How many numbers are judged together.
        level: Of the whole comparison.
    """
    return detectable_samples(n, m, level=2 * SHARE * level / max(1, numbers))


def _limit(n: int, m: int, level: ArrayLike) -> Floats:
    """Return how many standard deviations off one of m seeds has broken out of n recorded ones."""
    t = special.stdtrit(min(n - 1, TAILS), 1 - np.asarray(level) / m)
    return np.asarray(t * math.sqrt(1 + 1 / n))


def reach(n: int, m: int, numbers: int, level: float = LEVEL) -> float:
    """Return how far off one of m new seeds is reported, in standard deviations.

    The arguments are those of `noticeable`.
    """
    return float(_limit(n, m, level * SHARE / max(1, numbers)))


def judge(pairs: Sequence[Pair], level: float = LEVEL) -> list[Judgement]:
    """Judge pairs together; a pair whose seeds agree to the bit needs no tolerance.

    Args:
        pairs: What is compared; at least one finite value on each side.
        level: Probability of an alarm about any of them where nothing has changed, at most.
    """
    judged = [pair for pair in pairs if _independent(pair) and len(pair.base) > 1]
    surprising = _surprising(judged, level)
    return [_judge(pair, level, max(1, len(judged)), surprising) for pair in pairs]


def _independent(pair: Pair) -> dict[int, float]:
    """Return the new values that are draws of their own.

    Seeds that both sides have, all equal to the bit, are the recorded draws over again. If one of
    them differs, the arithmetic does, and all count as new draws: that ignores what they may have
    in common, which only makes the difference smaller. (Pairs would be few where NEW has few seeds:
    three leave two degrees of freedom.)
    """
    common = set(pair.base) & set(pair.new)
    repeated = all(pair.base[seed] == pair.new[seed] for seed in common)
    return {seed: v for seed, v in pair.new.items() if not repeated or seed not in common}


def _judge(pair: Pair, level: float, numbers: int, surprising: float) -> Judgement:
    new, base = _independent(pair), list(pair.base.values())
    paired = len(set(pair.base) & set(pair.new))
    before, every = summarise(base), summarise(list(pair.new.values()))
    if not new:
        return Judgement("identical", before, every, every, 0.0, math.nan, paired)
    after = summarise(list(new.values()))
    difference = after.mean - before.mean
    if len(base) < 2:
        return Judgement("unjudged", before, after, every, difference, math.nan, paired)
    one = level * SHARE / numbers / (2 if pair.direction == "none" else 1)
    out = stray(base, list(new.values()), one)
    strayed = tuple(seed for seed, far in zip(new, out, strict=True) if far)
    if len(new) < 2:
        verdict: Verdict = "unjudged" if strayed else "within"
        return Judgement(verdict, before, after, every, difference, math.nan, paired, strayed)
    found = move(base, list(new.values()), one)
    moved = abs(difference) > found.tolerance or (bool(out.all()) and len(new) >= LEAST)
    verdict = _verdict(pair.direction, difference) if moved else "within"
    if verdict != "within" and _flat(base) and _chance(base, list(new.values())) > surprising:
        verdict = "unjudged"  # a constant has no spread: any change is beyond its tolerance
    tolerance = float(found.tolerance)
    return Judgement(verdict, before, after, every, difference, tolerance, paired, strayed)


def _flat(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= ROUNDING * max(abs(value) for value in values)


def _surprising(pairs: Sequence[Pair], level: float) -> float:
    """Return which chance is small enough, for recorded constants, to say that a number moved.

    Simes's: the j-th smallest chance of k may be ``j / k`` of the level, as an error often changes
    several numbers, and few seeds have no small chance to show: ten against three 1 in 286. Counted
    are the numbers whose values, divided in another way, could be surprising.
    """
    divided = [(list(pair.base.values()), list(_independent(pair).values())) for pair in pairs]
    count = sum(_least(*both) <= level for both in divided)
    chances = sorted(_chance(*both) for both in divided if _flat(both[0]))
    steps = (level * place / max(1, count) for place in range(1, count + 1))
    return max((step for one, step in zip(chances, steps, strict=False) if one <= step), default=0)


def _chance(constant: Sequence[float], new: Sequence[float]) -> float:
    """Return how often chance would find all the seeds that differ from a constant among the new.

    Equal stores are one draw, divided at random; nothing but the numbers of seeds says more.
    """
    off = sum(not _flat((constant[0], value)) for value in new)
    return math.comb(len(new), off) / math.comb(len(constant) + len(new), off)


def _least(base: Sequence[float], new: Sequence[float]) -> float:
    """Return the smallest `_chance` that these values have, however they are divided."""
    values = np.sort([*base, *new])
    ends = ~np.isclose(values[1:], values[:-1], rtol=ROUNDING, atol=0)
    equal = np.diff(np.flatnonzero([True, *ends, True]))
    off = max((k for k in (len(values) - equal).tolist() if k <= len(new)), default=0)
    return math.comb(len(new), off) / math.comb(len(values), off)


def _verdict(direction: Direction, difference: float) -> Verdict:
    if direction == "none":
        return "changed"
    return "worse" if (difference > 0) == (direction == "lower") else "better"
