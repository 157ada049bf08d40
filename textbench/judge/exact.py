"""Exact tests over seeds: valid whatever the noise, but blind below six replicates."""

from __future__ import annotations

import functools
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
    d = np.asarray(differences, dtype=float)
    scale = np.abs(d).sum()
    if not scale or len(d) < 2:
        return 1.0
    signs, exact = _signs(len(d))
    sums = np.round(np.abs(signs @ d) / scale, 9)
    as_far = int((sums >= np.round(abs(d.sum()) / scale, 9)).sum())
    return as_far / len(signs) if exact else (1 + as_far) / (1 + len(signs))


@functools.cache
def _signs(n: int) -> tuple[Floats, bool]:
    """Return all signs of n numbers, ``(2^n, n)``, or where they are too many some, and which.

    Drawn once: a report tests hundreds of pairs of rows, and scipy draws anew for each.
    """
    if 2**n <= RESAMPLES:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return np.where(bits, -1.0, 1.0), True
    drawn = np.random.default_rng(0).integers(2, size=(RESAMPLES, n))
    return np.where(drawn, -1.0, 1.0), False


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
