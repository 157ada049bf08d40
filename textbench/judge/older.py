"""What the report's tables and verdicts still ask of the first standard of evidence.

Nothing new calls this: `stats`, `ranking`, `verdicts` and `claims` are the standard now. It goes
when the report is rebuilt on them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from scipy import special

from textbench.judge.exact import mann_whitney_test, sign_flip_test
from textbench.judge.matching import IDENTITY, Store
from textbench.judge.stats import holm, summarise
from textbench.store.frames import RUN_COLUMNS

if TYPE_CHECKING:
    from textbench.store.read import Results

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Difference:
    """A comparison of two sets of replicates, A minus B."""

    paired: bool
    """Whether equal seeds were compared: same data, same initial generator."""
    n: int
    """Pairs; of unpaired samples, the size of the smaller one."""
    mean: float
    low: float
    """Lower end of the 95 % t-interval of the difference (Welch's where unpaired)."""
    high: float
    effect: float
    """Cohen's d: the mean difference in units of its standard deviation (paired) or of the pooled
    one; NaN where there is no spread."""
    p: float
    """Two-sided, exact: sign flips (paired) or Mann-Whitney; 1 where nothing can be compared."""
    floor: float
    """The smallest p that this many replicates can give."""


def compare(a: Mapping[int, float], b: Mapping[int, float]) -> Difference:
    """Compare replicates: by common seeds if there are two, or as many as one side has.

    Otherwise as two independent samples.

    Args:
        a: Value by seed.
        b: The same of what ``a`` is compared with.
    """
    common = sorted(set(a) & set(b))
    if len(common) >= 2 or len(common) == min(len(a), len(b)):
        differences = [a[seed] - b[seed] for seed in common]
        found = summarise(differences)
        p = sign_flip_test(differences) if common else 1.0
        effect = _ratio(found.mean, found.sd)
        return Difference(
            *(True, found.n, found.mean, found.low, found.high, effect, p, smallest_p(len(common)))
        )
    return _unpaired(list(a.values()), list(b.values()))


def _unpaired(a: Sequence[float], b: Sequence[float]) -> Difference:
    first, second = summarise(a), summarise(b)
    mean, n = first.mean - second.mean, min(first.n, second.n)
    variances = [s.sd**2 / s.n if s.n else math.nan for s in (first, second)]
    error = math.sqrt(sum(variances))
    low = high = effect = math.nan
    if error > 0:
        parts = sum(v**2 / (s.n - 1) for v, s in zip(variances, (first, second), strict=True))
        half = float(special.stdtrit(error**4 / parts, 0.975)) * error
        low, high = mean - half, mean + half
        degrees = first.n + second.n - 2
        pooled = ((first.n - 1) * first.sd**2 + (second.n - 1) * second.sd**2) / degrees
        effect = _ratio(mean, math.sqrt(pooled))
    p = mann_whitney_test(a, b) if n else 1.0
    return Difference(False, n, mean, low, high, effect, p, smallest_p(first.n, second.n))


def _ratio(value: float, unit: float) -> float:
    return value / unit if unit > 0 else math.nan


def _mid_ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first = {value: ordered.index(value) for value in set(values)}
    counts = {value: ordered.count(value) for value in set(values)}
    return [first[value] + (counts[value] + 1) / 2 for value in values]


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Spearman's correlation, ties by mid-ranks; NaN where one side is constant."""
    first, second = (np.array(_mid_ranks(values)) for values in (a, b))
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return _ratio(float(first @ second), scale)


def smallest_p(n: int, m: int | None = None) -> float:
    """Return the smallest two-sided p that n pairs, or n against m values, can give."""
    possible = 2**n if m is None else math.comb(n + m, n)
    return min(1.0, 2 / possible)


def seeds_needed(comparisons: int, *, paired: bool = True, level: float = 0.05) -> int:
    """Return how many seeds it takes until one of several comparisons can be significant.

    With Holm's correction the smallest p must be at most ``level / comparisons``.
    """
    n = 2
    while smallest_p(n, None if paired else n) * max(1, comparisons) > level:
        n += 1
    return n


def tied_with_best(
    samples: Mapping[T, Mapping[int, float]], *, higher: bool = False, level: float = 0.05
) -> set[T] | None:
    """Return the best row and all that are not significantly worse, or None.

    Which row is the best is read off the same data, so the correction is for all pairs of rows,
    not only for those with the best. None means that so few seeds could not tell any two rows
    apart: nothing is to be marked then.

    Args:
        samples: Values by seed, by row; rows without values are left out.
        higher: Whether more is better.
        level: Family-wise error.
    """
    rows = {row: values for row, values in samples.items() if values}
    pairs = list(itertools.combinations(rows, 2))
    found = [compare(rows[a], rows[b]) for a, b in pairs]
    if not found or min(difference.floor for difference in found) * len(found) > level:
        return None
    sign = -1 if higher else 1
    best = min(rows, key=lambda row: sign * summarise(list(rows[row].values())).mean)
    adjusted = holm([difference.p for difference in found]).tolist()
    worse = {
        row
        for pair, p in zip(pairs, adjusted, strict=True)
        if best in pair and p <= level
        for row in pair
    }
    return (set(rows) - worse) | {best}


def prediction_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return the interval in which one more replicate falls; NaN for n < 2.

    That is what a single published run is to be compared with, not the interval of a mean.
    """
    found = summarise(values, level)
    if found.n < 2:
        return math.nan, math.nan
    half = float(special.stdtrit(found.n - 1, 0.5 + level / 2))
    half *= found.sd * math.sqrt(1 + 1 / found.n)
    return found.mean - half, found.mean + half


def store_frames(store: Results) -> Store:
    """Return a store as frames, with what its records do not say yet looked up in the code."""
    import pandas as pd

    from textbench.report.tables import metric_direction
    from textbench.store.frames import identity
    from textbench.store.replicates import sections

    runs: dict[str, dict[str, Any]] = {}
    values: list[dict[str, Any]] = []
    for row in (row for section in sections(store) for row in section.rows):
        for run in row.runs:
            who = identity(run)
            if run.name in runs:  # a warm-up stands in the section of each preset that uses it
                continue
            spec = run.spec
            details = {key: getattr(spec, key) for key in ("version", *IDENTITY)}
            runs[run.name] = who | details | {"title": row.name, "overrides": spec.overrides}
            last = next((m for m in reversed(store.evaluations(run)) if m.final), None)
            for metric, value in last.values.items() if last else ():
                values.append(
                    {
                        **who,
                        "final": True,
                        "metric": metric,
                        "value": value,
                        "na_reason": last.reasons.get(metric, "") if last else "",
                        "protocol": last.protocols.get(metric, "") if last else "",
                        "direction": metric_direction(metric),
                    }
                )
    columns = [*RUN_COLUMNS, "final", "metric", "value", "na_reason", "protocol", "direction"]
    found = pd.DataFrame(list(runs.values()), columns=None if runs else [*RUN_COLUMNS])
    found.attrs["unreadable"] = dict(store.unreadable)
    return Store(found, pd.DataFrame(values, columns=columns))
