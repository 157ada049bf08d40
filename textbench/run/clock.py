"""Time spent."""

from __future__ import annotations

import time
from typing import TypedDict

import torch


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
