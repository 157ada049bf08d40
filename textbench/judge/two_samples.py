"""Two independent samples whose spreads may differ: the larger p of Welch's and Student's tests.

Welch's test takes a spread from each side. Where one has few seeds, these may agree by chance (a
rate that is 1 in all three of them), and it is then certain of whatever the others show. Student's
pooled spread is not fooled by that, but by few seeds of a larger spread, as Welch's is not. What
both tell apart is separated at most as often as either promises: docs/evidence.md has the rates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]


class TwoSamples(NamedTuple):
    """The comparison of two samples, A minus B; arrays over all leading axes."""

    mean: Floats
    """Of A minus that of B."""
    p: Floats
    """Two-sided, the larger one; NaN where neither sample has a spread."""
    low: Floats
    """Lower end of the interval by the test that gave it."""
    high: Floats


def two_sample_test(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> TwoSamples:
    """Compare the means of samples ``(..., n)`` and ``(..., m)``, two replicates of each at least.

    Args:
        a: Replicates along the last axis.
        b: The same.
        level: Confidence of the interval.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    n, m = first.shape[-1], second.shape[-1]
    mean = first.mean(-1) - second.mean(-1)
    u, v = first.var(-1, ddof=1) / n, second.var(-1, ddof=1) / m
    pooled = (n * (n - 1) * u + m * (m - 1) * v) / (n + m - 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = u / (u + v)
        welch = 1 / (share**2 / (n - 1) + (1 - share) ** 2 / (m - 1))  # Satterthwaite's freedom
        errors = np.sqrt(np.stack([u + v, pooled * (1 / n + 1 / m)]))
        freedom = np.stack([welch, np.full_like(welch, n + m - 2)])
        p = 2 * special.stdtr(freedom, -np.abs(mean) / errors)
    half = special.stdtrit(freedom, 0.5 + level / 2) * errors
    student = p[1] > p[0]
    width = np.where(student, half[1], half[0])
    return TwoSamples(mean, np.where(student, p[1], p[0]), mean - width, mean + width)
