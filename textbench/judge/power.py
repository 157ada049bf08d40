"""How many seeds would tell, and what the seeds at hand could have told. Pure functions.

A difference that is not significant is not "no difference". What is said instead of p = 1.000 is
how many seeds would find a difference of the size and spread that were observed in `POWER` of the
cases. Both are estimates from few seeds, so the number is a guide, not a promise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

POWER = 0.8
MOST = 100
"""Seeds beyond which "more seeds" is no advice."""
LEAST = 3
"""Seeds below which no verdict is given."""


def t_power(
    shift: NDArray[np.float64] | float, df: NDArray[np.float64] | float, level: float
) -> NDArray[np.float64]:
    """Return the power of a two-sided t-test.

    Args:
        shift: The true mean in units of its standard error.
        df: Degrees of freedom.
        level: Of the test.
    """
    critical = special.stdtrit(df, 1 - level / 2)
    above = 1 - special.nctdtr(df, shift, critical)
    below = special.nctdtr(df, shift, -critical)
    return np.asarray(np.nan_to_num(above, nan=1.0) + np.nan_to_num(below, nan=0.0))


def seeds_to_tell(effect: float, *, paired: bool = True, level: float = 0.05) -> int | None:
    """Return how many seeds, on each side, a t-test needs; None if `MOST` are too few.

    Args:
        effect: Mean difference in units of the differences' standard deviation; or, of two
            independent samples, difference of the means in units of the common one.
        paired: Which of the two it is.
        level: Two-sided level at which the comparison is asked.
    """
    n = np.arange(LEAST, MOST + 1, dtype=float)
    shift, df = (effect * np.sqrt(n), n - 1) if paired else (effect * np.sqrt(n / 2), 2 * n - 2)
    enough = t_power(shift, df, level) >= POWER
    return int(n[np.argmax(enough)]) if enough.any() else None


def detectable_samples(n: int, m: int, *, level: float = 0.05) -> float:
    """Return the difference that n against m seeds find, in standard deviations.

    NaN where a side has less than two.
    """
    if min(n, m) < 2:
        return math.nan
    from scipy import optimize  # takes longer to import than a small report to write

    df = n + m - 2
    critical = float(special.stdtrit(df, 1 - level / 2))
    lacking = lambda shift: float(t_power(shift, df, level)) - POWER  # noqa: E731
    shift = float(optimize.brentq(lacking, 0.0, 4 * critical + 10))
    return shift * math.sqrt(1 / n + 1 / m)
