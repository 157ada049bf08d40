"""How far new replicates may lie from recorded ones by chance: pure functions on numbers.

Where nothing has changed, new seeds are further draws from the distribution of the recorded ones.
Two things are asked of them:

- *Does their mean lie where it should?* Within Student's t times the spread of all replicates,
  pooled, times ``sqrt(1/n + 1/m)``. One stray seed moves the mean but widens the spread as well, so
  that tails heavier than normal raise few false alarms.
- *Has one of them broken out?* For what hides behind its own spread: training that collapses for
  one seed, or for each in another way. It must lie beyond any tail that was seen, and is measured
  by the recorded spread alone.

One comparison of two stores asks this of many numbers, and may raise a false alarm with all of
them together as rarely as `LEVEL` says. So each is asked at its share divided by their count
(Bonferroni; it holds whatever the dependence, and metrics of one run depend on each other).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import special

from textbench.judge.stats import Summary, summarise

Direction = Literal["lower", "higher", "none"]
Verdict = Literal["identical", "within", "worse", "better", "changed", "unjudged"]

LEVEL = 0.01
"""How often a comparison of two equal stores may raise an alarm, at most."""
SHARE = 0.1
"""Part of the level that each of the two questions is asked at. They do not add up to 1: recorded
seeds have heavier tails than the normal distribution. Of comparisons of three seeds with ten others
of results/published/ci, 1.7 % were false alarms at all of the level, and 0.2 % at this part."""
TAILS = 5
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
    difference: float
    """Mean of the new seeds minus mean of the recorded ones."""
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


def mean_tolerance(base: Sequence[float], new: Sequence[float], level: float) -> float:
    """Return how far the means may lie apart by chance.

    Args:
        base: The recorded replicates.
        new: The new ones.
        level: One-sided probability that equal ones lie further apart.

    Returns:
        NaN where one side has less than two replicates.
    """
    if min(len(base), len(new)) < 2:
        return math.nan
    n, m = len(base), len(new)
    squares = ((k - 1) * _spread(side) ** 2 for k, side in ((n, base), (m, new)))
    pooled = math.sqrt(sum(squares) / (n + m - 2))
    return float(special.stdtrit(n + m - 2, 1 - level)) * pooled * math.sqrt(1 / n + 1 / m)


def seed_tolerance(base: Sequence[float], level: float) -> float:
    """Return how far one new replicate may lie from the mean of ``base``; NaN for less than two."""
    if len(base) < 2:
        return math.nan
    t = float(special.stdtrit(min(len(base) - 1, TAILS), 1 - level))
    return t * _spread(base) * math.sqrt(1 + 1 / len(base))


def _spread(values: Sequence[float]) -> float:
    return max(summarise(values).sd, ROUNDING * max(abs(value) for value in values))


def judge(pairs: Sequence[Pair], level: float = LEVEL) -> list[Judgement]:
    """Judge pairs together; a pair whose seeds agree to the bit needs no tolerance.

    Args:
        pairs: What is compared; at least one finite value on each side.
        level: Probability of an alarm about any of them where nothing has changed, at most.
    """
    judged = [pair for pair in pairs if _independent(pair) and len(pair.base) > 1]
    return [_judge(pair, level / max(1, len(judged))) for pair in pairs]


def _independent(pair: Pair) -> dict[int, float]:
    """Return the new values that are draws of their own.

    Seeds that both sides have, all equal to the bit, are the recorded draws over again. If one of
    them differs, the arithmetic does, and all count as new draws: that ignores what they may have
    in common, which only makes the difference smaller.
    """
    common = set(pair.base) & set(pair.new)
    repeated = all(pair.base[seed] == pair.new[seed] for seed in common)
    return {seed: v for seed, v in pair.new.items() if not repeated or seed not in common}


def _judge(pair: Pair, level: float) -> Judgement:
    new, base = _independent(pair), list(pair.base.values())
    paired = len(set(pair.base) & set(pair.new))
    before = summarise(base)
    if not new:
        values = summarise(list(pair.new.values()))
        return Judgement("identical", before, values, 0.0, math.nan, paired)
    after = summarise(list(new.values()))
    difference = after.mean - before.mean
    level /= 2 if pair.direction == "none" else 1
    of_seeds = seed_tolerance(base, level * SHARE / len(new))
    of_means = mean_tolerance(base, list(new.values()), level * SHARE)
    strayed = {s: v - before.mean for s, v in new.items() if abs(v - before.mean) > of_seeds}
    verdicts = [
        *(_verdict(pair.direction, moved, 0.0) for moved in strayed.values()),
        _verdict(pair.direction, difference, of_means),
    ]
    order: tuple[Verdict, ...] = ("changed", "worse", "better", "within", "unjudged")
    verdict = min(verdicts, key=order.index)
    if verdict == "unjudged" and len(base) > 1:  # a single new seed, that has not broken out
        verdict = "within"
    tolerance = of_seeds if math.isnan(of_means) else of_means
    return Judgement(verdict, before, after, difference, tolerance, paired, tuple(strayed))


def _verdict(direction: Direction, difference: float, tolerance: float) -> Verdict:
    if math.isnan(tolerance):
        return "unjudged"
    if abs(difference) <= tolerance:
        return "within"
    if direction == "none":
        return "changed"
    return "worse" if (difference > 0) == (direction == "lower") else "better"
