"""Statistics over seeds: pure functions on numbers, nothing about runs or files.

Seeds are the replicates. They are few (3 to 10), so everything here is valid at small n: the
interval is Student's t (a percentile bootstrap covers 76 % instead of 95 % at n = 3), the tests
are exact, and a test that cannot reach significance at its n says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


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
    n = len(sample)
    mean = float(sample.mean()) if n else math.nan
    if n < 2:
        return Summary(n, mean, math.nan, math.nan, math.nan)
    sd = float(sample.std(ddof=1))
    half = float(special.stdtrit(n - 1, 0.5 + level / 2)) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half)
