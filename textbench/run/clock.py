"""Time spent and time left."""

from __future__ import annotations

import time
from typing import TypedDict

import torch

from textbench.contracts.schedule import Schedule


class Seconds(TypedDict):
    """Wall and processor time."""

    seconds: float
    cpu_seconds: float


class Clock:
    """Wall and CPU seconds spent in training steps; evaluation and checkpoints do not count.

    A GPU works behind the host's back; it is waited for where somebody reads the time (`settle`),
    not after every step.
    """

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self._lap = (0.0, 0.0)

    def __enter__(self) -> None:
        self._began = (time.perf_counter(), time.process_time())

    def __exit__(self, *exception: object) -> None:
        self.seconds += time.perf_counter() - self._began[0]
        self.cpu_seconds += time.process_time() - self._began[1]

    def settle(self) -> None:
        """Wait until a GPU has done what it was given, and count that time."""
        if torch.cuda.is_initialized():
            with self:
                torch.cuda.synchronize()

    def total(self) -> Seconds:
        """Return the seconds since the run began, earlier starts included."""
        self.settle()
        return {"seconds": round(self.seconds, 4), "cpu_seconds": round(self.cpu_seconds, 4)}

    def lap(self) -> Seconds:
        """Return the seconds since the last lap."""
        self.settle()
        wall, cpu = self.seconds - self._lap[0], self.cpu_seconds - self._lap[1]
        self._lap = (self.seconds, self.cpu_seconds)
        return {"seconds": round(wall, 4), "cpu_seconds": round(cpu, 4)}

    def state(self) -> list[float]:
        """Return what `restore` takes."""
        self.settle()
        return [self.seconds, self.cpu_seconds, *self._lap]

    def restore(self, state: list[float]) -> None:
        """Continue from an earlier start's clock."""
        self.seconds, self.cpu_seconds = state[:2]
        self._lap = (state[2], state[3])


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
