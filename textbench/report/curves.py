"""The points of learning curves: what figures draw, seed by seed and as a mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from textbench.store.read import Moment, RecordedRun, Results
from textbench.store.replicates import Comparable, Row
from textbench.store.rows import BROKEN

Points = dict[float, float]
"""Values by x, in the order of the run."""


@dataclass(frozen=True)
class Curve:
    """One algorithm's line."""

    row: Row
    seeds: dict[str, Points]
    """By run."""
    broken: frozenset[str]
    """Runs that failed or diverged: drawn, ended by a cross, and left out of the mean."""

    @property
    def starts_warm(self) -> bool:
        """Whether the line takes over from a warm-up."""
        return self.row.runs[0].spec.warmup is not None

    @property
    def start(self) -> float:
        """Where training took over from the warm-up; 0 without one."""
        return max(map(min, self.seeds.values())) if self.starts_warm else 0.0

    def band(self) -> list[tuple[float, float, float]]:
        """Return (x, mean, sd) where every sound run has a value: a mean never changes its seeds.

        The sd of a single seed is 0: there is no band to draw.
        """
        sound = [points for run, points in self.seeds.items() if run not in self.broken]
        if not sound:
            return []
        shared = sorted(set.intersection(*(set(points) for points in sound)))
        values = np.array([[points[x] for x in shared] for points in sound])
        sd = values.std(axis=0, ddof=1) if len(sound) > 1 else np.zeros(len(shared))
        return list(zip(shared, values.mean(axis=0).tolist(), sd.tolist(), strict=True))


def metric_curves(section: Comparable, metric: str, x: str) -> list[Curve]:
    """Return every row's curve of a metric against ``epoch``, ``seconds`` or a ledger's count.

    The warm-up's part is left to the warm-up's own row, but for its last point: the line starts
    where training took over. A final evaluation is left out where its protocol is another one
    than the curve's.
    """

    def points(run: RecordedRun, store: Results) -> Points:
        found = [moment for moment in store.evaluations(run) if moment.has(metric)]
        regular = [moment for moment in found if not moment.final] or found
        usual = regular[-1].protocol(metric) if regular else ""
        same = [moment for moment in found if moment.protocol(metric) == usual]
        handover = [moment for moment in same if moment.warmup][-1:]
        own = [moment for moment in same if not moment.warmup]
        return {position(moment, x): moment.values[metric] for moment in (*handover, *own)}

    return _curves(section, points)


def position(moment: Moment, x: str) -> float:
    """Return where an evaluation stands on an axis: epochs, seconds or a ledger's count."""
    if x in ("epoch", "seconds", "cpu_seconds"):
        return float(getattr(moment, x))
    return float(moment.ledger[x])


def log_curves(section: Comparable, name: str) -> list[Curve]:
    """Return every row's curve of a logged quantity: its mean over each epoch.

    An entry carries the number of epochs finished when it was logged, so those of epoch e lie
    between e and e + 1 and their mean stands in the middle.
    """

    def points(run: RecordedRun, store: Results) -> Points:
        by_epoch: dict[int, list[float]] = {}
        for epoch, value in store.logged(run, name):
            by_epoch.setdefault(epoch, []).append(value)
        return {epoch + 0.5: fmean(values) for epoch, values in by_epoch.items()}

    return _curves(section, points)


def _curves(section: Comparable, points: Callable[[RecordedRun, Results], Points]) -> list[Curve]:
    curves = []
    for row in section.rows:
        seeds = {run.name: points(run, section.store) for run in row.runs}
        seeds = {run: found for run, found in seeds.items() if found}
        if seeds:
            curves.append(Curve(row, seeds, broken(row.runs)))
    return curves


def broken(runs: Iterable[RecordedRun]) -> frozenset[str]:
    """Return the names of the runs that failed or diverged."""
    return frozenset(run.name for run in runs if run.status.status in BROKEN)
