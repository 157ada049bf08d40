"""The points of figures: a metric along training, seed by seed and as a mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from textbench.judge.measures import final, moments, of_curve
from textbench.judge.power import LEAST
from textbench.judge.stats import t_interval
from textbench.report.sections import Section
from textbench.store.rows import BROKEN

FEWEST = 3
"""Points of a curve that is drawn: fewer show no course."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One algorithm's line."""

    row: int
    title: str
    points: pd.DataFrame = field(repr=False)
    """``run, epoch, x, value``, in the order of the runs and of training."""
    broken: frozenset[str]
    """Runs that failed or diverged: drawn, ended by a cross, and left out of the mean."""
    starts_warm: bool
    """Whether the line takes over from a warm-up."""

    @cached_property
    def start(self) -> float:
        """Where training took over from the warm-up; 0 without one."""
        begins = (float(points[:, 0].min()) for points in self.lines.values())
        return max(begins) if self.starts_warm else 0.0

    @property
    def length(self) -> int:
        """How many points the longest run has."""
        return max(map(len, self.lines.values()))

    @cached_property
    def lines(self) -> dict[str, NDArray[np.float64]]:
        """Each run's ``(points, 2)``."""
        places = self.points[["x", "value"]].to_numpy(float)
        runs, names = pd.factorize(self.points["run"])
        return {str(name): places[runs == run] for run, name in enumerate(names)}

    @cached_property
    def mean(self) -> pd.DataFrame:
        """The mean where every sound run has a value, so that it never changes its seeds.

        Columns ``epoch, x, mean, low, high``; the last two are the 95 % t-interval, NaN below
        `power.LEAST` seeds. Seeds meet at an epoch: against seconds or counts, its mean stands at
        the mean of where they were.
        """
        sound = self.points[~self.points["run"].isin(self.broken)]
        columns = ["epoch", "x", "mean", "low", "high"]
        if not len(sound):
            return pd.DataFrame(columns=columns, dtype=float)
        epochs, at = np.unique(sound["epoch"].to_numpy(float), return_inverse=True)
        runs, known = pd.factorize(sound["run"])
        points = np.full((2, len(epochs), len(known)), np.nan)
        points[:, at, runs] = sound[["value", "x"]].to_numpy(float).T
        complete = np.isfinite(points[0]).all(axis=1)
        matrix, places = points[:, complete]
        count, n = matrix.shape
        low = high = np.full(count, np.nan)
        with np.errstate(over="ignore", invalid="ignore"):  # of the sums of finite values
            if n >= LEAST and count:
                *_, low, high = t_interval(matrix)
            found = (epochs[complete], places.mean(axis=1), matrix.mean(axis=1), low, high)
        return pd.DataFrame(dict(zip(columns, found, strict=True)))


def metric_curves(section: Section, metric: str, x: str = "epoch") -> list[Curve]:
    """Return every row's curve of a metric against ``epoch``, ``seconds``, a count or a metric.

    The warm-up's part is left to the warm-up's own row, but for its last point: the line starts
    where training took over. A final evaluation is left out where its protocol is another one
    than the curve's.
    """
    return section.once((metric, x), lambda: _metric_curves(section, metric, x))


def _metric_curves(section: Section, metric: str, x: str) -> list[Curve]:
    evaluated = section.evaluations
    if metric not in evaluated.metrics or x not in (*evaluated.metrics, *evaluated.at.columns):
        return []
    lines = moments(evaluated, (metric, x) if x in evaluated.metrics else (metric,))
    places = lines if x in evaluated.metrics else evaluated.at
    value = lines[metric] if x in evaluated.metrics else lines["value"]
    lines = lines.assign(x=places.loc[lines.index, x].astype(float), value=value)
    lines = of_curve(lines[np.isfinite(lines["x"])])
    warm = lines["warmup"].astype(bool)
    last = lines[warm].drop_duplicates("run", keep="last").index
    kept = lines[~warm | lines.index.isin(last)]
    kept = kept.drop_duplicates(["run", "epoch"], keep="last")
    return _curves(section, kept[["run", "epoch", "x", "value"]])


def log_curves(section: Section, name: str) -> list[Curve]:
    """Return every row's curve of a logged quantity: its mean over each epoch.

    An entry carries the number of epochs finished when it was logged, so those of epoch e lie
    between e and e + 1 and their mean stands in the middle.
    """
    logs = section.logs
    mine = logs[(logs["name"] == name) & (logs["kind"] == "loss") & ~logs["warmup"].astype(bool)]
    means = mine.groupby(["run", "epoch"], sort=False, observed=True)["value"].mean().reset_index()
    means["epoch"] = means["epoch"].astype(float) + 0.5
    return _curves(section, means.assign(x=means["epoch"]))


def _curves(section: Section, points: pd.DataFrame) -> list[Curve]:
    runs = section.runs
    row = points["run"].map(runs["row"]).astype(int)
    broken = frozenset(runs.index[runs["status"].isin(BROKEN)])
    warm = set(runs.loc[runs["warmup_label"] != "", "row"])
    grouped = dict(tuple(points.groupby(row, observed=True)))
    titles = section.rows["title"]
    return [
        Curve(key, titles[key], grouped[key], broken & set(grouped[key]["run"]), key in warm)
        for key in section.rows.index
        if key in grouped
    ]


@dataclass(frozen=True)
class Sweep:
    """One algorithm over its inverse temperatures.

    One number for quality says little: sharpening improves it at the price of diversity (Caccia et
    al., 2018). Lines over the temperatures say which algorithm is better at equal diversity.
    """

    row: int
    """The row at alpha 1, or the first one where there is none."""
    title: str
    label: str
    points: tuple[tuple[float, float, float], ...]
    """(alpha, x, y), means over seeds, by alpha."""


def sweeps(section: Section, x: str, y: str) -> list[Sweep]:
    """Return each algorithm's points of two metrics; none unless some temperature was tried."""
    ends = final(section.evaluations, [x, y])
    ends["row"] = ends["run"].map(section.runs["row"]).astype(int)
    means = ends.groupby("row", observed=True)[[x, y]].mean()
    means = means.join(section.runs.drop_duplicates("row").set_index("row")["alpha"])
    if (means["alpha"] == 1.0).all():
        return []
    about = section.rows.loc[[row for row in section.rows.index if row in means.index]]
    base = about["label"].str.partition(" alpha=")[0]
    found = []
    for _, rows in about.groupby([base, about["options"]], sort=False, observed=True):
        tried = means.loc[rows.index].sort_values("alpha", kind="stable")
        plain = tried.index[tried["alpha"] == 1.0]
        first = plain[0] if len(plain) else tried.index[0]
        points = tuple(tried[["alpha", x, y]].itertuples(index=False, name=None))
        found.append(Sweep(first, rows.loc[first, "title"], rows.loc[first, "label"], points))
    return found


def long_enough(curves: Sequence[Curve]) -> tuple[list[Curve], list[Curve]]:
    """Part curves into those that show a course and those of too few points."""
    kept = [curve for curve in curves if curve.length >= FEWEST]
    return kept, [curve for curve in curves if curve.length < FEWEST]
