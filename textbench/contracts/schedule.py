"""Where a step number falls in a trainer's phases."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from textbench.contracts.trainer import Phase, Position


class Schedule:
    """The phases laid end to end.

    Args:
        phases: As the trainer returns them; phases of no length are dropped.
        start_epoch: Epochs of generator training that a warm-up has already done.
    """

    def __init__(self, phases: list[Phase], start_epoch: int = 0) -> None:
        self.phases = [phase for phase in phases if phase.epochs * phase.steps > 0]
        self.ends = list(accumulate(phase.epochs * phase.steps for phase in self.phases))
        counted = [phase.epochs * phase.trains_generator for phase in self.phases]
        self._epochs_before = list(accumulate(counted, initial=start_epoch))
        self.total = self.ends[-1] if self.ends else 0

    def phase_index(self, step: int) -> int:
        """Return the phase that step ``step`` (from 0) belongs to."""
        return bisect_right(self.ends, step)

    def at(self, step: int) -> Position:
        """Return the position of step ``step``."""
        i = self.phase_index(step)
        phase = self.phases[i]
        epoch, index = divmod(step - (self.ends[i] - phase.epochs * phase.steps), phase.steps)
        return Position(phase.name, epoch, index)

    def ends_epoch(self, done: int) -> bool:
        """Tell whether ``done`` finished steps end an epoch."""
        position = self.at(done - 1)
        return position.index == self.phases[self.phase_index(done - 1)].steps - 1

    def epoch(self, done: int) -> int:
        """Return how many epochs of generator training ``done`` finished steps complete."""
        if done >= self.total:
            return self._epochs_before[-1]
        i = self.phase_index(done)
        trains = self.phases[i].trains_generator
        return self._epochs_before[i] + (self.at(done).epoch if trains else 0)

    def progress(self, done: int) -> float:
        """Return `epoch`, and the part of the current epoch where it trains the generator."""
        if done >= self.total or not self.phases[self.phase_index(done)].trains_generator:
            return self.epoch(done)
        steps = self.phases[self.phase_index(done)].steps
        index = self.at(done).index
        return self.epoch(done) + (round(index / steps, 4) if index else 0)

    def evaluates(self, done: int, due: Callable[[int], bool], every_steps: int) -> bool:
        """Tell whether an evaluation is due after ``done`` steps.

        Due where ``due`` says so of an epoch of generator training, at the end of each phase that
        trains the generator, and every ``every_steps`` steps of such a phase where that is not 0.
        """
        i = self.phase_index(done - 1)
        if not self.phases[i].trains_generator:
            return False
        if every_steps and done % every_steps == 0:
            return True
        if not self.ends_epoch(done):
            return False
        return due(self.epoch(done)) or done == self.ends[i]

    def evaluations_left(self, done: int, due: Callable[[int], bool], every_steps: int) -> int:
        """Return about how many evaluations are still to come, the final one included."""
        left = 1
        for i, phase in enumerate(self.phases):
            steps = self.ends[i] - max(done, self.ends[i] - phase.epochs * phase.steps)
            if steps > 0 and phase.trains_generator:
                first = self._epochs_before[i] + phase.epochs - steps // phase.steps
                left += sum(due(first + n + 1) for n in range(steps // phase.steps))
                left += steps // every_steps if every_steps else 0
        return left
