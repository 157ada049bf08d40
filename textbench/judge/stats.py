"""Inference over seeds: means, differences, corrections. Pure functions on numbers.

Seeds are the replicates, and they are few (3 to 10). So intervals are Student's t, differences are
taken seed by seed (equal seeds share data and initial generator), and the tests of one column are
corrected together by Holm's method. docs/evidence.md shows by simulation what that is worth under
noise that is not normal. From `EXACT_FROM` replicates on an exact test stands beside the t-test;
with fewer it cannot fall below 5 %, whatever the data.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from textbench.judge.exact import mann_whitney_test, sign_flip_test
from textbench.judge.power import LEAST, seeds_to_tell
from textbench.judge.two_samples import two_sample_test

K = TypeVar("K", bound=Hashable)
Floats = NDArray[np.float64]
Note = Literal["", "identical", "equal up to rounding", "no spread", "one seed", "no common data"]

LEVEL = 0.05
"""Family-wise error of the comparisons of one column."""
EXACT_FROM = 6
"""Replicates from which the exact tests can be significant: 2 / 2^6 = 3 %."""
ROUNDING = 1e-12
"""What sums in double precision leave of nothing, relative to the values."""


@dataclass(frozen=True)
class Summary:
    """A sample's size, mean, standard deviation and t-interval for the mean."""

    n: int
    mean: float
    sd: float
    """With n - 1 in the denominator; NaN for n < 2."""
    low: float
    """Lower end of the interval for the mean; NaN for n < 2."""
    high: float

    @property
    def flat(self) -> bool:
        """Whether there is no spread but that of rounding."""
        return not self.sd > ROUNDING * abs(self.mean)


@dataclass(frozen=True)
class Difference:
    """A comparison of two sets of replicates, A minus B."""

    paired: bool
    """Whether equal seeds were compared: same data, same initial generator."""
    n: int
    """Pairs; of unpaired samples, the size of the smaller one."""
    mean: float
    sd: float
    """Of the differences; of unpaired samples, the pooled one."""
    low: float
    """Lower end of the 95 % interval of this difference alone (`two_samples` where unpaired)."""
    high: float
    p: float
    """Two-sided, of the t-test; NaN where it cannot be had."""
    p_exact: float
    """Two-sided, of sign flips (paired) or Mann-Whitney; NaN below `EXACT_FROM` replicates."""
    note: Note = ""
    p_holm: float = math.nan
    """`p` corrected for all comparisons of its column."""
    level: float = LEVEL
    """At which Holm's method asked this one of all comparisons of its column."""

    @property
    def separated(self) -> bool:
        """Whether the two differ, at a family-wise error of `LEVEL`."""
        return self.p_holm <= LEVEL

    @cached_property
    def needed(self) -> int | None:
        """Seeds, these included, that would tell at the observed spread.

        None where no spread is known, where it is told already, and where even `power.MOST` would
        not.
        """
        if math.isnan(self.p_holm) or self.separated:
            return None
        if self.note == "no spread":  # p is then the smallest that so many seeds can give
            ways = (2 ** (n - 1) if self.paired else math.comb(2 * n, n) / 2 for n in count(1))
            return next(n for n, several in enumerate(ways, 1) if 1 / several <= self.level)
        if not self.sd > 0:
            return None
        effect = abs(self.mean) / self.sd
        return seeds_to_tell(effect, paired=self.paired, level=self.level)

    @property
    def more(self) -> int | None:
        """How many further seeds would tell."""
        return None if self.needed is None else max(1, self.needed - self.n)


# -- means -----------------------------------------------------------------------------------


def t_interval(x: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats, Floats, Floats]:
    """Return mean, standard deviation and t-interval over the last axis of ``(..., n)``.

    Args:
        x: Replicates along the last axis, two at least.
        level: Confidence of the interval.
    """
    values = np.asarray(x, dtype=float)
    n, unit = values.shape[-1], _unit(values)
    values = values / unit[..., None]  # squares of 1e200 are no numbers
    mean, sd = values.mean(-1), values.std(-1, ddof=1)
    half = special.stdtrit(n - 1, 0.5 + level / 2) * sd / math.sqrt(n)
    return mean * unit, sd * unit, (mean - half) * unit, (mean + half) * unit


def _unit(values: Floats) -> Floats:
    """Return the power of two just below the largest value of the last axis: exact to divide by."""
    return np.asarray(np.ldexp(1.0, np.frexp(np.abs(values).max(-1))[1] - 1))


def summarise(values: Sequence[float], level: float = 0.95) -> Summary:
    """Summarise replicates.

    Args:
        values: One finite number per replicate.
        level: Confidence of the interval.

    Raises:
        ValueError: On NaN or infinite values: leaving them out is the caller's decision.
    """
    sample = np.asarray(values, dtype=float)
    if not np.isfinite(sample).all():
        raise ValueError("a value is not finite")
    if len(sample) < 2:
        mean = float(sample[0]) if len(sample) else math.nan
        return Summary(len(sample), mean, math.nan, math.nan, math.nan)
    return Summary(len(sample), *(float(part) for part in t_interval(sample, level)))


def t_test(x: ArrayLike) -> Floats:
    """Return the two-sided p of "the mean over the last axis of ``(..., n)`` is 0".

    Differences without any spread say nothing about it, so t would be infinite however few they
    are: of them p is the smallest that n sign flips can give.
    """
    values = np.asarray(x, dtype=float)
    n = values.shape[-1]
    mean, sd = values.mean(-1), values.std(-1, ddof=1)
    flat = sd <= ROUNDING * np.abs(values).max(-1)
    error = np.where(flat, 1.0, sd / math.sqrt(n))
    p = 2 * special.stdtr(n - 1, -np.abs(mean) / error)
    return np.asarray(np.where(flat, np.where(mean == 0, 1.0, 2.0 ** (1 - n)), p))


# -- differences -----------------------------------------------------------------------------


def holm(p_values: ArrayLike) -> Floats:
    """Return Holm's adjusted p-values over the last axis; a NaN is no test and stays NaN.

    All that are at most 0.05 may be called significant at a family-wise error of 5 %.
    """
    p = np.asarray(p_values, dtype=float)
    order, steps = _holm_steps(p)
    adjusted = np.take_along_axis(p * steps, order, -1)
    adjusted = np.minimum(1.0, np.maximum.accumulate(adjusted, -1))  # NaN is sorted to the end
    found = np.empty_like(p)
    np.put_along_axis(found, order, adjusted, -1)
    return found


def _holm_steps(p: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Return the order of the tests, and what each p is multiplied with: m for the smallest."""
    order = np.argsort(p, axis=-1)
    count = np.isfinite(p).sum(-1, keepdims=True)
    steps = np.empty_like(p)
    np.put_along_axis(steps, order, count - np.arange(p.shape[-1], dtype=float), -1)
    return order, steps


def compare(a: Mapping[int, float], b: Mapping[int, float]) -> Difference:
    """Compare two sets of replicates, given by seed, as the only comparison that is made."""
    return differences({None: (a, b)})[None]


def differences(
    pairs: Mapping[K, tuple[Mapping[int, float], Mapping[int, float]]],
) -> dict[K, Difference]:
    """Compare the two sides of every pair, and correct the tests together.

    Args:
        pairs: The comparisons of one column: A and B by seed. Seeds that both have are compared
            with each other if there are `LEAST` of them and half of the smaller side, or all of it;
            else A and B are two independent samples. So they are where the other seeds turn the
            order of the means round: what is said of a difference is said of the means shown.

    Returns:
        A minus B for each.
    """
    found = {key: _difference(*pair) for key, pair in pairs.items()}
    p = np.array([difference.p for difference in found.values()], dtype=float)
    if not len(p):
        return found
    corrected, (_, steps) = holm(p), _holm_steps(p)
    return {
        key: replace(one, p_holm=float(adjusted), level=LEVEL / max(1.0, float(step)))
        for (key, one), adjusted, step in zip(found.items(), corrected, steps, strict=True)
    }


def _difference(a: Mapping[int, float], b: Mapping[int, float]) -> Difference:
    common = sorted(set(a) & set(b))
    smaller = min(len(a), len(b))
    if not smaller:
        return Difference(True, 0, *(math.nan,) * 6, note="no common data")
    unit = float(_unit(np.array([*a.values(), *b.values()])))
    left, right = ({seed: one / unit for seed, one in side.items()} for side in (a, b))
    if len(common) == smaller or (len(common) >= LEAST and 2 * len(common) >= smaller):
        found = _paired([left[seed] for seed in common], [right[seed] for seed in common])
        all_seeds = np.mean(list(left.values())) - np.mean(list(right.values()))
        turned = len(left) + len(right) > 2 * len(common) and found.mean * all_seeds < 0
        if not turned:
            return _times(found, unit)
    return _times(_unpaired(list(left.values()), list(right.values())), unit)


def _times(found: Difference, unit: float) -> Difference:
    own = {name: getattr(found, name) * unit for name in ("mean", "sd", "low", "high")}
    return replace(found, **own)


def _paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    d = np.subtract(a, b)
    found = summarise(d.tolist())
    size = max(np.abs(a).max(), np.abs(b).max())
    shown = (found.mean, found.sd, found.low, found.high)
    if not d.any():
        return Difference(True, found.n, *shown, math.nan, math.nan, "identical")
    if np.abs(d).max() <= ROUNDING * size:
        return Difference(True, found.n, *shown, math.nan, math.nan, "equal up to rounding")
    if found.n < 2:
        return Difference(True, found.n, *shown, math.nan, math.nan, "one seed")
    exact = sign_flip_test(d.tolist()) if found.n >= EXACT_FROM else math.nan
    note: Note = "no spread" if found.sd <= ROUNDING * size else ""
    p = 2.0 ** (1 - found.n) if note else float(t_test(d))  # the smallest of sign flips
    return Difference(True, found.n, *shown, p, exact, note)


def _unpaired(a: Sequence[float], b: Sequence[float]) -> Difference:
    first, second = summarise(a), summarise(b)
    n, mean = min(first.n, second.n), first.mean - second.mean
    if n < 2:
        return Difference(False, n, mean, *(math.nan,) * 5, note="one seed")
    squares = (first.n - 1) * first.sd**2 + (second.n - 1) * second.sd**2
    pooled = math.sqrt(squares / (first.n + second.n - 2))
    size = max(np.abs(a).max(), np.abs(b).max())
    if pooled <= ROUNDING * size:
        flat = Difference(False, n, mean, pooled, mean, mean, math.nan, math.nan)
        if abs(mean) <= ROUNDING * size:
            return replace(flat, note="equal up to rounding" if mean else "identical")
        smallest = 2 / math.comb(first.n + second.n, first.n)  # as in `t_test`
        return replace(flat, p=min(1.0, smallest), note="no spread")
    _, p, low, high = map(float, two_sample_test(a, b))
    exact = mann_whitney_test(a, b) if n >= EXACT_FROM else math.nan
    return Difference(False, n, mean, pooled, low, high, p, exact)


def median_interval(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return (low, median, high, coverage) of a sample that may hold infinities.

    The interval lies between two order statistics, so that it holds whatever the distribution is
    (Conover, *Practical Nonparametric Statistics*). It is the narrowest that covers 95 %; below six
    values there is none, and it is the whole range, with the coverage that this has.

    Raises:
        ValueError: There are no values, or one is NaN.
    """
    sample = np.sort(np.asarray(values, dtype=float))
    n = len(sample)
    if not n or np.isnan(sample).any():
        raise ValueError("a median needs numbers")
    middle = sample[(n - 1) // 2 : n // 2 + 1]
    median = float(middle[0] if np.isinf(middle[0]) else middle.mean())
    inside = [k for k in range(1, n // 2 + 1) if 2 * special.bdtr(k - 1, n, 0.5) <= 0.05]
    k = max(inside, default=1)
    coverage = float(max(0.0, 1 - 2 * special.bdtr(k - 1, n, 0.5)))
    return float(sample[k - 1]), median, float(sample[n - k]), coverage
