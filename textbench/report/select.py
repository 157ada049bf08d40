"""Selection rules: which evaluation of a run a table's column shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pandas as pd

from textbench.report.definitions import ColumnSpec
from textbench.report.sections import Section
from textbench.results import Run, hardware

UNFINISHED = "not finished"


@dataclass(frozen=True)
class Pick:
    """What a column shows of one run."""

    values: tuple[float, ...] = ()
    """One number per metric of the column; of a time column, one per epoch."""
    protocol: str = ""
    """Values of two protocols never share a column."""
    in_warmup: bool = False
    """Whether the selected evaluation was made before the run's own training."""
    reason: str = ""
    """Why there are no values."""


@dataclass
class Moment:
    """One evaluation of a run, or of its warm-up."""

    warmup: bool
    final: bool
    values: dict[str, float] = field(default_factory=dict)
    protocols: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def has(self, metrics: tuple[str, ...]) -> bool:
        """Tell whether all of ``metrics`` have a value."""
        return all(math.isfinite(self.values.get(metric, math.nan)) for metric in metrics)

    def missing(self, metrics: tuple[str, ...]) -> str:
        """Say why one of ``metrics`` has no value."""
        absent = next(m for m in metrics if not self.has((m,)))
        return self.reasons.get(absent) or f"{absent} was not computed"

    def protocol(self, metrics: tuple[str, ...]) -> str:
        """Name how ``metrics`` were made."""
        return " + ".join(self.protocols[metric] for metric in metrics)

    def sum(self, metrics: tuple[str, ...]) -> float:
        """Add ``metrics`` up."""
        return sum(self.values[metric] for metric in metrics)


def moments(evaluations: pd.DataFrame) -> dict[str, list[Moment]]:
    """Return each run's evaluations in order, by the run's name."""
    found: dict[str, dict[int, Moment]] = {}
    columns = ["run", "evaluation", "warmup", "final", "metric", "value", "protocol", "na_reason"]
    for run, index, warmup, final, metric, value, protocol, reason in zip(
        *(evaluations[name].tolist() for name in columns), strict=True
    ):
        moment = found.setdefault(run, {}).setdefault(index, Moment(warmup, final))
        moment.values[metric] = value
        moment.protocols[metric] = protocol
        moment.reasons[metric] = reason
    return {run: list(by_index.values()) for run, by_index in found.items()}


class Picker:
    """Applies selection rules to the runs of a section."""

    def __init__(self, section: Section) -> None:
        epochs = section.log[section.log["kind"] == "epoch"]
        self._moments = moments(section.evaluations)
        self._epochs = {str(run): rows for run, rows in epochs.groupby("run", sort=False)}

    def pick(self, run: Run, column: ColumnSpec) -> Pick:
        """Apply the column's rule to a run; an unfinished run has no result yet."""
        if run.status.status != "done":
            return Pick(reason=UNFINISHED)
        if column.is_time:
            return self._epoch_times(run, column.select.removeprefix("epoch_"))
        evaluated = self._moments.get(run.name, [])
        if column.select == "final":
            return final(evaluated, column)
        return best(evaluated, column, has_warmup=run.spec.warmup is not None)

    def _epoch_times(self, run: Run, clock: str) -> Pick:
        """Return the seconds of each epoch of the last phase that trains the generator.

        An epoch counts as training the generator when it advances the epoch counter. Earlier
        phases (an inline pre-training) have another rhythm, and a warm-up is a run of its own.
        """
        where = hardware(run.env)
        if not where:
            return Pick(reason="it ran on several kinds of hardware, or on an unknown one")
        log = self._epochs.get(run.name)
        if log is None:
            return Pick(reason="no epoch in the training log")
        rows = log[log["name"] == clock]
        advances = rows["epoch"].diff().fillna(rows["epoch"]) > 0
        own = rows[advances & ~rows["warmup"].astype(bool)]
        if own.empty:
            return Pick(reason="no epoch of generator training")
        last = own[own["phase"] == own["phase"].iloc[-1]]
        return Pick(tuple(float(v) for v in last["value"]), f"{clock}/1 on {where}")


def final(evaluated: list[Moment], column: ColumnSpec) -> Pick:
    """Pick the evaluation after the last step."""
    at = [moment for moment in evaluated if moment.final]
    if not at:
        return Pick(reason="no final evaluation")
    if not at[-1].has(column.metrics):
        return Pick(reason=at[-1].missing(column.metrics))
    return _picked(at[-1], column)


def best(evaluated: list[Moment], column: ColumnSpec, *, has_warmup: bool) -> Pick:
    """Pick the evaluation whose criterion is best, the earliest of equals; warm-up included.

    Only evaluations under the protocol of the run's curve compete: the final one may draw more
    samples, and then its number is another one.
    """
    needed = tuple(dict.fromkeys((*column.metrics, *column.criterion)))
    complete = [moment for moment in evaluated if moment.has(needed)]
    if not complete:
        return Pick(reason=evaluated[-1].missing(needed) if evaluated else "no evaluation")
    own = [moment for moment in complete if not moment.warmup] or complete
    curve = [moment for moment in own if not moment.final] or own
    usual = curve[-1].protocol(needed)
    candidates = [moment for moment in complete if moment.protocol(needed) == usual]
    if has_warmup and not any(moment.warmup for moment in candidates):
        return Pick(reason="its warm-up was not evaluated under the same protocol")
    sign = -1 if column.direction == "higher" else 1
    return _picked(min(candidates, key=lambda moment: sign * moment.sum(column.criterion)), column)


def _picked(moment: Moment, column: ColumnSpec) -> Pick:
    values = tuple(moment.values[metric] for metric in column.metrics)
    return Pick(values, moment.protocol(column.metrics), in_warmup=moment.warmup)
