"""The local engine: a pool of worker processes, one per run.

An engine only places processes. Every worker writes its own run directory, so an engine, or the
machine under it, can die without losing more than the time since the last checkpoints.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import FrameType

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.run.limits import GRACE, UNLIMITED, Limits, Watch
from textbench.run.provenance import PARENT
from textbench.store.directory import GONE, RunDirectory
from textbench.store.files import bound, one_line, open_safely, tail
from textbench.store.rows import FINISHED, PRINTED, Status
from textbench.store.verify import contradiction

WORKER = (sys.executable, "-P", "-m", "textbench.run.worker")
POLL = 0.1
"""Seconds between two looks at the workers."""
SCAN = 2.0
"""Seconds between two looks at waiting runs that another process may have finished."""
INTERRUPTED = 75
"""Exit code of a worker that left a checkpoint to resume from (EX_TEMPFAIL)."""
ENDINGS = {
    0: FINISHED,
    1: frozenset({"failed", "diverged"}),
    INTERRUPTED: frozenset({"timeout", "interrupted"}),
}
"""What a worker may have said of a run when it exits with these codes."""

ENVIRONMENT = {
    # One thread per run, whatever --jobs: parallelism is processes.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    # glibc otherwise returns every large buffer to the kernel, and a third of sampling is spent
    # in page faults.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


CRASHES = frozenset(
    int(number)
    for name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS", "SIGTRAP")
    if (number := getattr(signal, name, None)) is not None
)
"""Signals that a process brings upon itself; it would again."""
LONGEST = 8 * 2**20
"""Bytes of `log.txt` from which on it is cut to its last half."""


@dataclass
class _Job:
    spec: Spec
    directory: RunDirectory
    process: subprocess.Popen[bytes]
    slot: int
    watch: Watch


class LocalEngine:
    """Runs specs in subprocesses of this machine.

    Args:
        results: The store.
        jobs: How many runs at once.
        devices: Given to the workers in turn, e.g. ``("cuda:0", "cuda:1")``.
        checkpoint_every: Seconds (``"60s"``) or training steps (``"500"``).
        deadline: Time by the monotonic clock at which workers checkpoint and stop; no run starts
            after it.
        limits: What a run may take.
        retries: How often a run that failed is started again.
        worker: The command that is given a run directory; tests put their own here.
    """

    def __init__(
        self,
        results: Path,
        *,
        jobs: int,
        devices: Sequence[str] = ("cpu",),
        checkpoint_every: str = "60s",
        deadline: float | None = None,
        limits: Limits = UNLIMITED,
        retries: int = 0,
        worker: Sequence[str] = WORKER,
    ) -> None:
        self.results = results
        self.jobs = jobs
        self.devices = devices
        self.checkpoint_every = checkpoint_every
        self.deadline = deadline
        self.limits = limits
        self.retries = retries
        self.worker = worker
        self.signals = 0
        """How often the user has asked to stop."""
        self._running: list[_Job] = []
        self._outcomes: dict[Path, Status] = {}
        self._refused: dict[Path, Status] = {}
        """Runs whose directories cannot be used, and why."""
        self._notes: dict[Path, str] = {}
        """What was put aside before a run could be looked at."""
        self._failures: Counter[Path] = Counter()
        self._broken: dict[Path, str] = {}
        """What is wrong with runs that say they are done; each is looked at once."""
        self._looked: dict[Path, float] = {}
        """The heartbeat they had then."""

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
                    status = self._end(job)
                    if self._is_tried_again(job, status):
                        waiting.insert(0, job.spec)
                    else:
                        yield job.spec, self._settle(job.spec, status)
                for job in self._running:
                    job.watch.look(job.process, job.directory)
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
                waiting.remove(spec)
                if not self._start(spec):
                    yield spec, self._settle(spec, self._refused[self._directory(spec).path])

    # -- deciding --------------------------------------------------------------------------

    def _directory(self, spec: Spec) -> RunDirectory:
        return RunDirectory(spec.directory(self.results))

    def _create(self, specs: Sequence[Spec]) -> None:
        """Make every run's directory; where one cannot be made, the others go on."""
        last = ""
        for spec in specs:
            directory = self._directory(spec)
            try:
                if note := directory.create(spec):
                    self._notes[directory.path] = note
            except (OSError, UserError) as error:
                strerror = getattr(error, "strerror", None)
                last = str(strerror or error)
                self._refused[directory.path] = Status("failed", reason=one_line(error))
                mine = isinstance(error, OSError)
                if mine and len(self._refused) == len(specs):
                    raise UserError(f"cannot write results to {self.results}: {last}") from None

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
        if status.status in FINISHED or self._closed():
            return status
        warmup = self._warmup_outcome(spec, awaited)
        if warmup is None or warmup.status == "done" or directory.is_locked():
            return None
        if warmup.status in ("failed", "diverged"):
            assert spec.warmup is not None  # noqa: S101 - a warm-up's outcome came from one
            name = self._directory(spec.warmup).name
            reason = f"its warm-up {name} {warmup.status}: {warmup.reason}".rstrip(": ")
            status = Status("failed", reason=reason)
            self._write(directory, status)
        return status

    def _is_broken(self, directory: RunDirectory, spec: Spec, status: Status) -> bool:
        """Tell whether a run that says it is done is not; its worker mends that."""
        if directory.path not in self._broken or status.heartbeat != self._looked[directory.path]:
            generator = bool(status.checksums)  # of textbench 0.1.0 they may be elsewhere
            try:
                wrong = contradiction(directory, spec.hash, status, generator=generator)
            except (OSError, UserError) as error:
                wrong = one_line(error)
            self._broken[directory.path] = wrong
            self._looked[directory.path] = status.heartbeat
        return bool(self._broken[directory.path])

    def _is_tried_again(self, job: _Job, status: Status) -> bool:
        self._failures[job.directory.path] += status.status == "failed"
        tries = self._failures[job.directory.path]
        return status.status == "failed" and tries <= self.retries and not self._closed()

    def _write(self, directory: RunDirectory, status: Status) -> None:
        """Write a status where that is possible: a full disk is no reason to stop the others."""
        with suppress(OSError):
            directory.write_status(status)

    def _warmup_outcome(self, spec: Spec, awaited: set[Path]) -> Status | None:
        if spec.warmup is None or self._directory(spec.warmup).path not in awaited:
            return None
        return self._outcomes.get(self._directory(spec.warmup).path)

    def _may_start(self, spec: Spec, awaited: set[Path]) -> bool:
        if self._directory(spec).is_locked():
            return False
        if spec.warmup is None or self._directory(spec.warmup).path not in awaited:
            return True
        return self._warmup_outcome(spec, awaited) is not None

    # -- processes -------------------------------------------------------------------------

    def _start(self, spec: Spec) -> bool:
        """Start a run's worker; False where its log cannot be opened."""
        directory = self._directory(spec)
        taken = {job.slot for job in self._running}
        slot = next(slot for slot in count() if slot not in taken)
        command = [*self.worker, str(directory.path)]
        command += ["--device", self.devices[slot % len(self.devices)]]
        command += ["--checkpoint-every", self.checkpoint_every]
        for plugin in spec.plugins:  # what the user named, not what the record does
            command += ["--plugin", plugin]
        if self.deadline is not None:
            command += ["--deadline", str(self.deadline)]
        if self.limits.memory:
            command += ["--memory", str(self.limits.memory)]
        bound(directory.path / PRINTED, LONGEST)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            log = os.fdopen(open_safely(directory.path / PRINTED, flags), "ab")
        except (OSError, UserError) as error:
            self._refused[directory.path] = Status("failed", reason=one_line(error))
            return False
        with log:
            process = subprocess.Popen(  # noqa: S603 - our own worker
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT, PARENT: str(os.getpid())},
            )
        self._running.append(_Job(spec, directory, process, slot, Watch(self.limits)))
        return True

    def _end(self, job: _Job) -> Status:
        """Return the status of a run whose process has ended, and write it where it could not."""
        status = job.directory.standing()
        code = job.process.returncode
        if job.watch.reason and status.status not in FINISHED:
            status.status, status.reason = job.watch.status, job.watch.reason
        elif job.directory.is_locked() or (  # it waited in vain for another process at this run
            status.status in ENDINGS.get(code, ()) and status.reason != GONE
        ):
            return status
        elif self.signals or code == INTERRUPTED:
            status.status, status.reason = "interrupted", "stopped by the user"
        elif code < 0:
            crashed = -code in CRASHES
            status.status = "failed" if crashed else "interrupted"
            status.reason = f"{'crashed with' if crashed else 'killed by'} signal {-code}"
        else:
            last = _last_line(job.directory.path / PRINTED)
            status.status = "failed"
            status.reason = f"the worker exited with code {code}{last and f': {last}'}"
        self._write(job.directory, status)
        return status

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
                _wait(job.process, GRACE)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Ask the workers for a checkpoint; who asks a second time does not wait for it."""
        self.signals += 1
        for job in self._running:
            if job.process.poll() is None:
                (job.process.terminate if self.signals == 1 else job.process.kill)()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for a process that was asked to stop, and kill it when it does not."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(path: Path) -> str:
    lines = tail(path).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
