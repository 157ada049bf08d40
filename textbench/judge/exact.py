"""Exact tests over seeds: valid whatever the noise, but blind below six replicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2**14
"""The tests enumerate so many cases (14 pairs); where there are more, they draw so many."""


def sign_flip_test(differences: Sequence[float]) -> float:
    """Return the two-sided p of "the differences are symmetric about 0".

    It is the share of all signs whose sum is at least as far from 0. Sums are compared on the scale
    of the differences, however small that is: two that differ by rounding are equal.
    """
    from scipy import stats  # half a second, that few differences need

    d = np.asarray(differences, dtype=float)
    scale = np.abs(d).sum()
    if not scale or len(d) < 2:
        return 1.0

    def distance(x: Floats, axis: int) -> Floats:
        return np.asarray(np.round(np.abs(x.sum(axis)) / scale, 9))

    found = stats.permutation_test(
        (d,),
        distance,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=0,
    )
    return float(found.pvalue)


def mann_whitney_test(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the two-sided p of the Mann-Whitney test, exact with ties (mid-ranks) too."""
    from scipy import stats

    ranks = stats.rankdata([*a, *b])
    if min(len(a), len(b)) == 1:  # scipy wants two on each side
        off = np.abs(ranks - ranks.mean())
        return float(np.mean(off >= off[0 if len(a) == 1 else -1]))

    def distance(x: Floats, y: Floats, axis: int) -> Floats:
        return np.asarray(np.abs(x.mean(axis) - ranks.mean()))

    found = stats.permutation_test(
        (ranks[: len(a)], ranks[len(a) :]),
        distance,
        permutation_type="independent",
        alternative="greater",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=0,
    )
    return float(found.pvalue)
