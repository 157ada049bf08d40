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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import FrameType

from textbench.contracts.errors import UserError, one_line
from textbench.contracts.spec import Spec
from textbench.run.endings import Process, ending, write
from textbench.run.limits import GRACE, UNLIMITED, Limits
from textbench.run.standing import damage_beside, not_done, start_again
from textbench.store.directory import RunDirectory
from textbench.store.rows import BROKEN, FINISHED, Status

POLL = 0.1
"""Seconds between two looks at the workers."""
SCAN = 2.0
"""Seconds between two looks at waiting runs that another process may have finished."""
LOSSES = 5
"""How often a run is placed anew because the machine under it died."""


@dataclass
class _Job:
    spec: Spec
    directory: RunDirectory
    process: Process
    slot: int


class Engine(ABC):
    """Runs specs in processes of their own; where, is up to the kind of engine.

    Args:
        results: The store.
        jobs: How many runs at once.
        checkpoint_every: Seconds (``"60s"``) or training steps (``"500"``).
        deadline: Time by the monotonic clock at which workers checkpoint and stop; no run starts
            after it.
        limits: What a run may take.
        retries: How often a run that failed is started again.
    """

    def __init__(
        self,
        results: Path,
        *,
        jobs: int,
        checkpoint_every: str = "60s",
        deadline: float | None = None,
        limits: Limits = UNLIMITED,
        retries: int = 0,
    ) -> None:
        self.results = results
        self.jobs = jobs
        self.checkpoint_every = checkpoint_every
        self.deadline = deadline
        self.limits = limits
        self.retries = retries
        self.signals = 0
        """How often the user has asked to stop."""
        self._running: list[_Job] = []
        self._outcomes: dict[Path, Status] = {}
        self._refused: dict[Path, Status] = {}
        """Runs whose directories cannot be used, and why."""
        self._notes: dict[Path, str] = {}
        """What was put aside before a run could be looked at."""
        self._failures: Counter[Path] = Counter()
        self._losses: Counter[Path] = Counter()
        self._broken: dict[Path, str] = {}
        """What is wrong with runs that say they are done; each is looked at once."""
        self._looked: dict[Path, float] = {}
        """The heartbeat they had then."""

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
        self._create(specs)
        waiting = list(specs)
        awaited = {self._directory(spec).path for spec in specs}
        elsewhere: list[Spec] = []
        scanned = -math.inf
        with self._stopped_by_signals():
            while waiting or self._running:
                ended = [job for job in self._running if job.process.poll() is not None]
                for job in ended:
                    self._running.remove(job)
                    status = ending(job.directory, job.process, stopped=self.signals > 0)
                    if self._is_tried_again(job, status) and not self._closed():
                        waiting.insert(0, job.spec)
                    else:
                        yield job.spec, self._settle(job.spec, status)
                if ended or self._closed() or time.monotonic() - scanned > SCAN:
                    yield from self._scan(waiting, awaited)
                    elsewhere = [spec for spec in waiting if self._directory(spec).is_locked()]
                    scanned = time.monotonic()
                tick([*(job.spec for job in self._running), *elsewhere])
                if waiting or self._running:
                    time.sleep(POLL)

    def _scan(self, waiting: list[Spec], awaited: set[Path]) -> Iterator[tuple[Spec, Status]]:
        """Settle or start what can be, in order; what cannot stays in ``waiting``."""
        for spec in list(waiting):
            status = self._settled_without_running(spec, awaited)
            if status is not None:
                waiting.remove(spec)
                yield spec, self._settle(spec, status)
            elif len(self._running) < self.jobs and self._may_start(spec, awaited):
                started = self._start(spec)
                if started is not None:
                    waiting.remove(spec)
                if started is False:
                    yield spec, self._settle(spec, self._refused[self._directory(spec).path])

    # -- deciding --------------------------------------------------------------------------

    def _directory(self, spec: Spec) -> RunDirectory:
        return RunDirectory(spec.directory(self.results))

    def _create(self, specs: Sequence[Spec]) -> None:
        """Make every run's directory; where one cannot be made, the others go on."""
        for spec in specs:
            directory = self._directory(spec)
            try:
                if note := directory.create(spec):
                    self._notes[directory.path] = note
            except (OSError, UserError) as error:
                self._refused[directory.path] = Status("failed", reason=one_line(error))
                if isinstance(error, OSError) and len(self._refused) == len(specs):
                    why = error.strerror or error
                    raise UserError(f"cannot write results to {self.results}: {why}") from None

    def _settle(self, spec: Spec, status: Status) -> Status:
        path = self._directory(spec).path
        if path in self._notes and not status.reason:
            status.reason = self._notes[path]  # shown once, and not put on record
        self._outcomes[self._directory(spec).path] = status
        return status

    def _closed(self) -> bool:
        """Tell whether no further run may start."""
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return late or self.signals > 0

    def _settled_without_running(self, spec: Spec, awaited: set[Path]) -> Status | None:
        """Return the status of a run that needs no process, or None."""
        directory = self._directory(spec)
        if directory.path in self._refused:
            return self._refused[directory.path]
        status = directory.standing()
        if status.status == "done" and self._is_broken(directory, spec, status):
            status.status, status.reason = "interrupted", self._broken[directory.path]
        elif status.status == "done":
            status.reason = damage_beside(directory)
        if status.status in FINISHED or self._closed():
            return status
        path = self._warmup(spec, awaited)
        warmup = self._outcomes.get(path) if path else None
        if warmup is None or warmup.status == "done" or directory.is_locked():
            return None
        if warmup.status in BROKEN:
            assert spec.warmup is not None  # noqa: S101 - a warm-up's outcome came from one
            name = self._directory(spec.warmup).name
            reason = f"its warm-up {name} {warmup.status}: {warmup.reason}".rstrip(": ")
            status = Status("failed", reason=reason)
            write(directory, status)
        return status

    def _is_broken(self, directory: RunDirectory, spec: Spec, status: Status) -> bool:
        """Tell whether a run that says it is done is not; its worker mends that."""
        if directory.path not in self._broken or status.heartbeat != self._looked[directory.path]:
            self._broken[directory.path] = not_done(directory, spec.hash, status)
            self._looked[directory.path] = status.heartbeat
        return bool(self._broken[directory.path])

    def _is_tried_again(self, job: _Job, status: Status) -> bool:
        path = job.directory.path
        if job.process.lost:
            self._losses[path] += 1
            return status.status == "interrupted" and self._losses[path] <= LOSSES
        self._failures[path] += status.status == "failed"
        return status.status == "failed" and self._failures[path] <= self.retries

    def _warmup(self, spec: Spec, awaited: set[Path]) -> Path | None:
        """Return where the warm-up is that a run waits for; None where it waits for none."""
        path = self._directory(spec.warmup).path if spec.warmup else None
        return path if path in awaited else None

    def _may_start(self, spec: Spec, awaited: set[Path]) -> bool:
        warmup = self._warmup(spec, awaited)
        settled = warmup is None or warmup in self._outcomes
        return settled and not self._directory(spec).is_locked()

    # -- processes -------------------------------------------------------------------------

    def _start(self, spec: Spec) -> bool | None:
        """Start a run's worker; False where that is impossible, None where another is at it."""
        directory = self._directory(spec)
        taken = {job.slot for job in self._running}
        slot = next(slot for slot in count() if slot not in taken)
        try:
            if self._broken.get(directory.path):
                start_again(directory)
            process = self.place(spec, directory, slot)
        except (OSError, UserError) as error:
            self._refused[directory.path] = Status("failed", reason=one_line(error))
            return False
        if process is None:
            return None
        self._running.append(_Job(spec, directory, process, slot))
        return True

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        """Turn Ctrl-C and SIGTERM into a request to the workers; let none outlive the block."""
        previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for job in self._running:
                job.process.terminate()
            for job in self._running:
                job.process.wait(GRACE)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Ask the workers for a checkpoint; who asks a second time does not wait for it."""
        self.signals += 1
        for job in self._running:
            (job.process.terminate if self.signals == 1 else job.process.kill)()
