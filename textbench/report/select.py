"""Selection rules: which evaluation of a run a table's column shows."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from textbench.report.definitions import ColumnSpec
from textbench.store.read import Epoch, Moment, RecordedRun, hardware
from textbench.store.replicates import Comparable

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


def pick(section: Comparable, run: RecordedRun, column: ColumnSpec) -> Pick:
    """Apply a column's rule to a run; an unfinished run has no result yet."""
    if run.status.status != "done":
        return Pick(reason=UNFINISHED)
    if column.is_time:
        return epoch_times(section.store.epochs(run), column.clock, hardware(run.env))
    if column.select == "logged":
        return last_logged(section.store.logged(run, column.metrics[0]), column.metrics[0])
    evaluated = section.store.evaluations(run)
    if column.select == "change":
        return change(evaluated, column)
    if column.select == "ledger":
        return counted(evaluated, column)
    if column.select == "final":
        return final(evaluated, column)
    return best(evaluated, column, has_warmup=run.spec.warmup is not None)


def epoch_times(epochs: list[Epoch], clock: Literal["seconds", "cpu_seconds"], where: str) -> Pick:
    """Pick the seconds of each epoch of the last phase that trains the generator.

    An epoch counts as training the generator when it advances the epoch counter. Earlier
    phases (an inline pre-training) have another rhythm, and a warm-up is a run of its own.
    """
    if not where:
        return Pick(reason="it ran on several kinds of hardware, or on an unknown one")
    before = [0, *(epoch.epoch for epoch in epochs)]
    own = [
        epoch
        for epoch, counted in zip(epochs, before, strict=False)
        if epoch.epoch > counted and not epoch.warmup
    ]
    if not own:
        return Pick(reason="no epoch of generator training in its log")
    values = tuple(getattr(epoch, clock) for epoch in own if epoch.phase == own[-1].phase)
    return Pick(values, f"{clock}/1 on {where}")


def final(evaluated: list[Moment], column: ColumnSpec) -> Pick:
    """Pick the evaluation after the last step."""
    at = [moment for moment in evaluated if moment.final]
    if not at:
        return Pick(reason="no final evaluation")
    if not at[-1].has(*column.metrics):
        return Pick(reason=at[-1].missing(*column.metrics))
    return _picked(at[-1], column)


def change(evaluated: list[Moment], column: ColumnSpec) -> Pick:
    """Pick the difference between the last evaluation and the warm-up's last, of one protocol."""
    if not any(moment.warmup for moment in evaluated):
        return Pick(reason="it starts from no warm-up")
    end = final(evaluated, column)
    if not end.values:
        return end
    comparable = [
        moment
        for moment in evaluated
        if moment.warmup
        and moment.has(*column.metrics)
        and moment.protocol(*column.metrics) == end.protocol
    ]
    if not comparable:
        return Pick(reason="its warm-up was not evaluated under the same protocol")
    start = (comparable[-1].values[metric] for metric in column.metrics)
    values = tuple(after - before for after, before in zip(end.values, start, strict=True))
    return Pick(values, end.protocol)


def counted(evaluated: list[Moment], column: ColumnSpec) -> Pick:
    """Pick counts of the ledger at the end of training, the warm-up's included."""
    at = [moment for moment in evaluated if moment.final]
    if not at:
        return Pick(reason="no final evaluation")
    missing = [name for name in column.metrics if name not in at[-1].ledger]
    if missing:
        return Pick(reason=f"its ledger has no {missing[0]}")
    return Pick(tuple(float(at[-1].ledger[name]) for name in column.metrics), "ledger/1")


def last_logged(logged: list[tuple[int, float]], name: str) -> Pick:
    """Pick the mean of a logged quantity over the last epoch that has it."""
    if not logged:
        return Pick(reason=f"it logs no {name}")
    last = max(epoch for epoch, _ in logged)
    return Pick((fmean(value for epoch, value in logged if epoch == last),), "log/1")


def best(evaluated: list[Moment], column: ColumnSpec, *, has_warmup: bool) -> Pick:
    """Pick the evaluation whose criterion is best, the earliest of equals; warm-up included.

    Only evaluations under the protocol of the run's curve compete: the final one may draw more
    samples, and then its number is another one.
    """
    needed = tuple(dict.fromkeys((*column.metrics, *column.criterion)))
    complete = [moment for moment in evaluated if moment.has(*needed)]
    if not complete:
        return Pick(reason=evaluated[-1].missing(*needed) if evaluated else "no evaluation")
    own = [moment for moment in complete if not moment.warmup] or complete
    curve = [moment for moment in own if not moment.final] or own
    usual = curve[-1].protocol(*needed)
    candidates = [moment for moment in complete if moment.protocol(*needed) == usual]
    if has_warmup and not any(moment.warmup for moment in candidates):
        return Pick(reason="its warm-up was not evaluated under the same protocol")
    sign = -1 if column.direction == "higher" else 1
    return _picked(min(candidates, key=lambda moment: sign * moment.sum(*column.criterion)), column)


def _picked(moment: Moment, column: ColumnSpec) -> Pick:
    values = tuple(moment.values[metric] for metric in column.metrics)
    return Pick(values, moment.protocol(*column.metrics), in_warmup=moment.warmup)
