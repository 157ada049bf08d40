"""Every evaluation of a store as one line, with a column per metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from textbench.contracts.number import Direction
from textbench.store.rows import METRIC_COLUMNS, RUN_COLUMNS

Objects = NDArray[np.object_]
N = TypeVar("N", bound=np.generic)
KEPT = ("run", "label", "group", "seed", "status")


@dataclass(frozen=True, eq=False)
class Evaluations:
    """A frame of evaluations, and matrices of what was measured in them."""

    at: pd.DataFrame
    """One line per evaluation: run, label, group, seed, status, then moment and ledger."""
    metrics: dict[str, int]
    """The columns of the matrices."""
    values: NDArray[np.float64]
    """``(evaluations, metrics)``; NaN where a metric does not apply or was not computed."""
    protocols: Objects
    reasons: Objects
    about: pd.DataFrame
    """Direction, unit and summary by metric; the last run that has it decides. `disputed`: of some
    records another direction, so that it has none."""

    @classmethod
    def build(cls, results: pd.DataFrame) -> Evaluations:
        """Spread a frame of `textbench.load_results`."""
        metrics, names = pd.factorize(results["metric"])
        runs, _ = pd.factorize(results["run"])
        numbers = results["evaluation"].to_numpy(int) if len(results) else np.zeros(0, int)
        span = numbers.max(initial=0) + 1
        line, _ = pd.factorize(runs * span + numbers)  # in order of appearance
        first = ~pd.Series(line).duplicated().to_numpy()
        dropped = [c for c in (*RUN_COLUMNS, *METRIC_COLUMNS) if c not in KEPT]
        at = results.loc[first].drop(columns=dropped, errors="ignore").reset_index(drop=True)
        shape = (len(at), len(names))
        values = np.full(shape, np.nan)
        protocols, reasons = np.full(shape, "", dtype=object), np.full(shape, "", dtype=object)
        values[line, metrics] = results["value"].to_numpy(float)
        protocols[line, metrics] = results["protocol"].to_numpy(object)
        reasons[line, metrics] = results["na_reason"].to_numpy(object)
        about = results.drop_duplicates("metric", keep="last").set_index("metric")
        known = results[["metric", "direction"]].drop_duplicates()["metric"].value_counts()
        about = about[["direction", "unit", "summary"]].astype(object)
        about["disputed"] = known.reindex(about.index) > 1
        about.loc[about["disputed"], "direction"] = "none"
        index = {str(name): i for i, name in enumerate(names)}
        return cls(at, index, values, protocols, reasons, about)

    def of(self, runs: pd.Index) -> Evaluations:
        """Return the evaluations of some runs."""
        return self.where(self.at["run"].isin(runs).to_numpy())

    def where(self, mask: NDArray[np.bool_]) -> Evaluations:
        """Return the evaluations for which a mask holds."""
        if mask.all():
            return self
        return Evaluations(
            self.at[mask].reset_index(drop=True),
            self.metrics,
            self.values[mask],
            self.protocols[mask],
            self.reasons[mask],
            self.about,
        )

    @cached_property
    def finals(self) -> Evaluations:
        """Those at the end of training."""
        return self.where(self.at["final"].to_numpy(bool))

    @cached_property
    def done(self) -> Evaluations:
        """Those of finished runs, and of their warm-ups."""
        return self.where((self.at["status"] == "done").to_numpy())

    @cached_property
    def measured(self) -> list[str]:
        """Return the metrics that have a value, or a reason for having none, in some evaluation."""
        known = (np.isfinite(self.values) | (self.reasons != "")).any(axis=0)
        return [name for name, i in self.metrics.items() if known[i]]

    @cached_property
    def ended(self) -> list[str]:
        """The metrics that have a value in some run's final evaluation."""
        ends = self.finals.values
        return [name for name, i in self.metrics.items() if np.isfinite(ends[:, i]).any()]

    def direction(self, metric: str) -> Direction:
        """Return which way a metric is better."""
        found: Direction = self.about["direction"].get(metric, "none")
        return found

    def unit(self, metric: str) -> str:
        """Return what a metric is counted in."""
        return str(self.about["unit"].get(metric, ""))

    def summary(self, metric: str) -> str:
        """Return a metric's one line."""
        return str(self.about["summary"].get(metric, ""))

    def numbers(self, metrics: Sequence[str]) -> NDArray[np.float64]:
        """Return ``(evaluations, len(metrics))``; NaN where one has no value."""
        return np.stack([self._column(self.values, m, np.nan) for m in metrics], axis=1)

    def protocol(self, metrics: Sequence[str]) -> Objects:
        """Return how several metrics were made, joined by " + "."""
        first, *others = (self._column(self.protocols, m, "") for m in metrics)
        for other in others:
            first = first + " + " + other
        return first

    def missing(self, metrics: Sequence[str]) -> Objects:
        """Return why the first of several metrics that has no value has none."""
        found = np.full(len(self.at), "", dtype=object)
        for metric in reversed(metrics):
            absent = ~np.isfinite(self.numbers([metric])[:, 0])
            why = self._column(self.reasons, metric, "")
            found = np.where(absent, np.where(why == "", f"{metric} was not computed", why), found)
        return found

    def _column(self, of: NDArray[N], metric: str, absent: object) -> NDArray[N]:
        """Return a column of an array; of a metric that nobody measured, what is absent."""
        at = self.metrics.get(metric)
        return np.full(len(self.at), absent, of.dtype) if at is None else of[:, at]
