"""The heartbeat of a run: ``status.json``, with how far it got and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from textbench.contracts.metric import Metric
from textbench.contracts.schedule import Schedule
from textbench.plan.resolve import EvaluationConfig
from textbench.store.directory import RunDirectory
from textbench.store.rows import Measurement, Status, values_of

PERIOD = 1.0
"""Seconds of wall time between two status files."""


class Speedometer:
    """Recent speed and what it says of the time left."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._last: tuple[int, float] | None = None
        self._per_phase: dict[str, float] = {}
        self._evaluation = 0.0

    def at(self, step: int, phase: str, seconds: float) -> None:
        """Be told how many seconds of training ``step`` steps have taken."""
        if self._last and step > self._last[0]:
            per_step = (seconds - self._last[1]) / (step - self._last[0])
            known = self._per_phase.get(phase, per_step)
            self._per_phase[phase] = 0.7 * known + 0.3 * per_step
            self.rate = 1.0 / max(self._per_phase[phase], 1e-9)
        self._last = (step, seconds)

    def evaluated(self, seconds: float) -> None:
        """Be told how long an evaluation took."""
        self._evaluation = max(seconds, 0.5 * self._evaluation)

    def eta(self, schedule: Schedule, step: int, evaluations: int) -> float:
        """Return seconds to the end: each phase at its own speed where that is known."""
        total = evaluations * self._evaluation
        for phase, end in zip(schedule.phases, schedule.ends, strict=True):
            left = end - max(step, end - phase.epochs * phase.steps)
            total += max(left, 0) * self._per_phase.get(phase.name, 1.0 / max(self.rate, 1e-9))
        return total if self.rate else 0.0


class Heartbeat:
    """Writes the status of a run in progress.

    Args:
        directory: The run's, locked by this process.
        schedule: Its schedule.
        plan: When it is evaluated.
        device: Where it trains.
    """

    def __init__(
        self, directory: RunDirectory, schedule: Schedule, plan: EvaluationConfig, device: str
    ) -> None:
        self.directory, self.schedule, self.plan = directory, schedule, plan
        self.status = Status("running", device=device, total=schedule.total)
        self._speed = Speedometer()

    def beat(self, step: int, phase: str, seconds: float, *, force: bool = False) -> None:
        """Write the status, unless that was done just before.

        Args:
            step: Finished steps.
            phase: The phase of the last one.
            seconds: Training time so far.
            force: Write it in any case.

        Raises:
            UserError: The run is another process's by now.
        """
        if not force and abs(time.time() - self.status.heartbeat) < PERIOD:
            return
        left = self.schedule.evaluations_left(step, self.plan.due, self.plan.every_steps)
        self._speed.at(step, phase, seconds)
        self.status.step, self.status.phase = step, phase
        self.status.rate = self._speed.rate
        self.status.eta = self._speed.eta(self.schedule, step, left)
        self.directory.check_lock()
        self.directory.write_status(self.status)

    def evaluated(
        self, metrics: Iterable[Metric], measured: Mapping[str, Measurement], seconds: float
    ) -> None:
        """Put the newest values into the status; they took so many seconds."""
        headlines = {n.name for metric in metrics for n in metric.described() if n.headline}
        shown = values_of(measured)
        self.status.metrics, self.status.headlines = shown, sorted(headlines & shown.keys())
        self._speed.evaluated(seconds)
