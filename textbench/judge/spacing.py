"""At which epochs runs were evaluated, and at which all of them were."""

from __future__ import annotations

import numpy as np
import pandas as pd

LEAST_EVALUATIONS = 10
"""Of own training, for any statement about a curve."""
WIDEST = 100_000
"""Epochs between two evaluations of a grid, at most: a store may say that it trained for 1e30."""


def common_spacing(curve: pd.DataFrame) -> int | None:
    """Return the smallest k for which every run was evaluated at all multiples of k epochs.

    From the first to the last epoch of its curve. 0 where nothing needs thinning, since every run
    was evaluated wherever another was. None where there is no such k, or where it would leave a run
    less than `LEAST_EVALUATIONS` of more: a sharp best between them would be overlooked.
    """
    anywhere, at = np.unique(curve["epoch"].to_numpy(float), return_inverse=True)
    runs, names = pd.factorize(curve["run"])
    there = np.zeros((len(names), len(anywhere)), bool)
    there[runs, at] = True
    begun, over = (np.logical_or.accumulate(one, axis=1) for one in (there, there[:, ::-1]))
    if (there == (begun & over[:, ::-1])).all():
        return 0
    sets = [set(anywhere[one]) for one in there]
    ends = [(min(one), max(one)) for one in sets]
    shortest = min((int(high) for _, high in ends), default=0)
    for k in range(1, min(shortest // 2, WIDEST) + 1):
        wanted = [(-(-int(low) // k), int(high) // k) for low, high in ends]
        if any(b - a >= len(one) for (a, b), one in zip(wanted, sets, strict=True)):
            continue
        kept = [{k * i for i in range(a, b + 1)} for a, b in wanted]
        if all(few <= one for few, one in zip(kept, sets, strict=True)):
            left = zip(kept, sets, strict=True)
            enough = all(len(few) >= min(LEAST_EVALUATIONS, len(one)) for few, one in left)
            return k if enough else None
    return None


def grid(count: float, first: float, last: float, spacing: int | None) -> str:
    """Describe the evaluations of a run that were looked at."""
    if count == 1:
        return f"1 evaluation, at epoch {first:g}"
    every = f", every {spacing}" if spacing else ""
    return f"{count:.0f} evaluations, epochs {first:g} to {last:g}{every}"
