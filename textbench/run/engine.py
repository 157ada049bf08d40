"""What every engine does: which run starts when, and how it ended.

An engine only places processes. Every run has its own directory, so an engine, or the machine
under it, can die without losing more than the time since the last checkpoints.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import FrameType

from textbench.contracts.errors import UserError, one_line
from textbench.contracts.spec import Spec
from textbench.run.endings import (
    Process,
    damage_beside,
    ending,
    not_done,
    requests_to_stop,
    start_again,
    write,
)
from textbench.run.limits import GRACE, Terms
from textbench.store.directory import RunDirectory
from textbench.store.rows import BROKEN, FINISHED, Status

POLL = 0.1
"""Seconds between two looks at the workers."""
SCAN = 2.0
"""Seconds between two looks at waiting runs that another process may have finished."""
LOSSES = 5
"""How often a run is placed anew because the machine under it died."""


@dataclass(eq=False)
class _Run:
    """One run of a command, and what has become of it so far."""

    spec: Spec
    directory: RunDirectory
    warmup: _Run | None = None
    """The run that it waits for, if that is one of the command's."""
    slot: int = 0
    """A number that no other running worker has."""
    outcome: Status | None = None
    """Its status, once it is settled."""
    refused: Status | None = None
    """Why its directory cannot be used, if it cannot."""
    note: str = ""
    """What was put aside before it could be looked at."""
    failures: int = 0
    losses: int = 0
    broken: str = ""
    """What is wrong with it, although it says that it is done."""
    looked: float | None = None
    """The heartbeat it had when that was looked at, which is done once."""

    def standing(self) -> Status:
        """Return its status; where it is not as done as it says, interrupted: a worker mends it."""
        status = self.directory.standing()
        if status.status != "done":
            return status
        if status.heartbeat != self.looked:
            try:
                self.broken = not_done(self.directory, self.spec.hash, status)
            except OSError as error:
                self.refused = Status("failed", reason=one_line(error))
                return self.refused
            self.looked = status.heartbeat
        if self.broken:
            status.status, status.reason = "interrupted", self.broken
        else:
            status.reason = damage_beside(self.directory)
        return status

    def may_start(self) -> bool:
        """Tell whether it waits neither for its warm-up nor for another process."""
        ready = self.warmup is None or self.warmup.outcome is not None
        return ready and not self.directory.is_locked()

    def settle(self, status: Status) -> tuple[Spec, Status]:
        """Return what the engine has to say of it."""
        if self.note and not status.reason:
            status.reason = self.note  # shown once, and not put on record
        self.outcome = status
        return self.spec, status


class Engine(ABC):
    """Runs specs in processes of their own; where, is up to the kind of engine.

    Args:
        results: The store.
        jobs: How many runs at once.
        terms: On what terms.
    """

    def __init__(self, results: Path, *, jobs: int, terms: Terms) -> None:
        self.results, self.jobs, self.terms = results, jobs, terms
        self.signals = 0
        """How often the user has asked to stop."""
        self.stopped_by = 0
        """The signal of the first time."""
        self._running: dict[_Run, Process] = {}

    @abstractmethod
    def place(self, spec: Spec, directory: RunDirectory, slot: int) -> Process | None:
        """Start a run's worker; return None if another process has taken the run meanwhile.

        Args:
            spec: The run.
            directory: Its directory in the store, which exists.
            slot: A number that no other running worker has, as small as possible.

        Raises:
            UserError: It cannot be started there.
            OSError: Neither.
        """

    def close(self) -> None:
        """Let go of what the engine holds besides its workers."""
        return

    def map(
        self, specs: Sequence[Spec], tick: Callable[[list[Spec]], None] = lambda active: None
    ) -> Iterator[tuple[Spec, Status]]:
        """Run ``specs``; yield each with its status as soon as it is settled.

        Finished runs settle at once. A run waits for its warm-up when that is among ``specs``
        (else the worker sees to it), and for another process that is already at it.

        Args:
            specs: Warm-ups before their dependants.
            tick: Called with the runs that are active, some ten times a second.

        Raises:
            UserError: No directory of the store can be written.
        """
        waiting = self._created(specs)
        elsewhere: list[Spec] = []
        scanned = -math.inf
        with self._stopped_by_signals():
            while waiting or self._running:
                ended = [
                    run for run, process in self._running.items() if process.poll() is not None
                ]
                for run in ended:
                    process = self._running.pop(run)
                    status = ending(run.directory, process, stopped=self.signals > 0)
                    if self._is_tried_again(run, process, status) and not self._closed():
                        waiting.insert(0, run)
                    else:
                        yield run.settle(status)
                if ended or self._closed() or time.monotonic() - scanned > SCAN:
                    yield from self._scan(waiting)
                    elsewhere = [run.spec for run in waiting if run.directory.is_locked()]
                    scanned = time.monotonic()
                tick([*(run.spec for run in self._running), *elsewhere])
                if waiting or self._running:
                    time.sleep(POLL)

    def _created(self, specs: Sequence[Spec]) -> list[_Run]:
        """Make every run's directory; where one cannot be made, the others go on."""
        runs: dict[Path, _Run] = {}
        for spec in specs:
            directory = RunDirectory(spec.directory(self.results))
            warmup = runs.get(spec.warmup.directory(self.results)) if spec.warmup else None
            run = runs[directory.path] = _Run(spec, directory, warmup)
            try:
                run.note = directory.create(spec)
            except (OSError, UserError) as error:
                run.refused = Status("failed", reason=one_line(error))
                refused = sum(one.refused is not None for one in runs.values())
                if isinstance(error, OSError) and refused == len(specs):
                    why = error.strerror or error
                    raise UserError(f"cannot write results to {self.results}: {why}") from None
        return list(runs.values())

    def _scan(self, waiting: list[_Run]) -> Iterator[tuple[Spec, Status]]:
        """Settle or start what can be, in order; what cannot stays in ``waiting``."""
        for run in list(waiting):
            status = self._settled_without_running(run)
            if status is None and len(self._running) < self.jobs and run.may_start():
                self._start(run)
                status = run.refused
            if status is not None or run in self._running:
                waiting.remove(run)
            if status is not None:
                yield run.settle(status)

    def _closed(self) -> bool:
        """Tell whether no further run may start."""
        return time.monotonic() >= self.terms.deadline or self.signals > 0

    def _settled_without_running(self, run: _Run) -> Status | None:
        """Return the status of a run that needs no process, or None."""
        if run.refused is not None:
            return run.refused
        status = run.standing()
        if status.status in FINISHED or run.refused is not None or self._closed():
            return status
        before = run.warmup.outcome if run.warmup else None
        if before is None or before.status == "done" or run.directory.is_locked():
            return None
        if run.warmup and before.status in BROKEN:
            reason = f"its warm-up {run.warmup.directory.name} {before.status}: {before.reason}"
            status = Status("failed", reason=reason.rstrip(": "))
            write(run.directory, status)
        return status

    def _is_tried_again(self, run: _Run, process: Process, status: Status) -> bool:
        if process.lost:
            run.losses += 1
            return status.status == "interrupted" and run.losses <= LOSSES
        run.failures += status.status == "failed"
        return status.status == "failed" and run.failures <= self.terms.retries

    # -- processes -------------------------------------------------------------------------

    def _start(self, run: _Run) -> None:
        """Start a run's worker, unless another process is at it; refuse it where that fails."""
        taken = {other.slot for other in self._running}
        run.slot = next(slot for slot in count() if slot not in taken)
        try:
            if run.broken:
                start_again(run.directory)
            process = self.place(run.spec, run.directory, run.slot)
        except (OSError, UserError) as error:
            run.refused = Status("failed", reason=one_line(error))
            return
        if process is not None:
            self._running[run] = process

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        """Turn what asks to stop into a request to the workers; let none outlive the block."""
        previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in requests_to_stop():
                previous[number] = signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for process in self._running.values():
                process.terminate()
            for process in self._running.values():
                process.wait(GRACE)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Ask the workers for a checkpoint; who asks a second time does not wait for it."""
        self.signals += 1
        self.stopped_by = self.stopped_by or number
        for process in list(self._running.values()):
            (process.terminate if self.signals == 1 else process.kill)()
