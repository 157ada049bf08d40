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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.store.directory import RunDirectory
from textbench.store.rows import FINISHED, PRINTED, Status

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


@dataclass
class _Job:
    spec: Spec
    directory: RunDirectory
    process: subprocess.Popen[bytes]
    slot: int


class LocalEngine:
    """Runs specs in subprocesses of this machine.

    Args:
        results: The store.
        jobs: How many runs at once.
        devices: Given to the workers in turn, e.g. ``("cuda:0", "cuda:1")``.
        checkpoint_every: Seconds (``"60s"``) or training steps (``"500"``).
        deadline: Unix time at which workers checkpoint and stop; no run starts after it.
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
        worker: Sequence[str] = WORKER,
    ) -> None:
        self.results = results
        self.jobs = jobs
        self.devices = devices
        self.checkpoint_every = checkpoint_every
        self.deadline = deadline
        self.worker = worker
        self.signals = 0
        """How often the user has asked to stop."""
        self._running: list[_Job] = []
        self._outcomes: dict[Path, Status] = {}

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
            UserError: The store cannot be written.
        """
        for spec in specs:
            self._create(spec)
        waiting = list(specs)
        awaited = {self._directory(spec).path for spec in specs}
        elsewhere: list[Spec] = []
        scanned = -math.inf
        with self._stopped_by_signals():
            while waiting or self._running:
                ended = [job for job in self._running if job.process.poll() is not None]
                for job in ended:
                    self._running.remove(job)
                    yield job.spec, self._settle(job.spec, self._end(job))
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
                self._start(spec)

    # -- deciding --------------------------------------------------------------------------

    def _directory(self, spec: Spec) -> RunDirectory:
        return RunDirectory(spec.directory(self.results))

    def _create(self, spec: Spec) -> None:
        try:
            self._directory(spec).create(spec)
        except OSError as error:
            raise UserError(
                f"cannot write results to {self.results}: {error.strerror or error}"
            ) from None

    def _settle(self, spec: Spec, status: Status) -> Status:
        self._outcomes[self._directory(spec).path] = status
        return status

    def _closed(self) -> bool:
        """Tell whether no further run may start."""
        late = self.deadline is not None and time.time() >= self.deadline
        return late or self.signals > 0

    def _settled_without_running(self, spec: Spec, awaited: set[Path]) -> Status | None:
        """Return the status of a run that needs no process, or None."""
        directory = self._directory(spec)
        status = directory.status()
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
            directory.write_status(status)
        return status

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

    def _start(self, spec: Spec) -> None:
        directory = self._directory(spec)
        slot = min(set(range(self.jobs)) - {job.slot for job in self._running})
        command = [*self.worker, str(directory.path)]
        command += ["--device", self.devices[slot % len(self.devices)]]
        command += ["--checkpoint-every", self.checkpoint_every]
        if self.deadline is not None:
            command += ["--deadline", str(self.deadline)]
        with open(directory.path / PRINTED, "ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own worker
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT},
            )
        self._running.append(_Job(spec, directory, process, slot))

    def _end(self, job: _Job) -> Status:
        """Return the status of a run whose process has ended, and write it where it could not."""
        status = job.directory.status()
        code = job.process.returncode
        if status.status in ENDINGS.get(code, ()) and status.reason != "its process is gone":
            return status
        if job.directory.is_locked():  # it waited in vain for another process that is at this run
            return status
        if self.signals or code == INTERRUPTED:
            status.status, status.reason = "interrupted", "stopped by the user"
        elif code < 0:
            status.status, status.reason = "interrupted", f"killed by signal {-code}"
        else:
            last = _last_line(job.directory.path / PRINTED)
            status.status = "failed"
            status.reason = f"the worker exited with code {code}{last and f': {last}'}"
        job.directory.write_status(status)
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
                job.process.wait()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Ask the workers for a checkpoint; who asks a second time does not wait for it."""
        self.signals += 1
        for job in self._running:
            if job.process.poll() is None:
                job.process.send_signal(signal.SIGTERM if self.signals == 1 else signal.SIGKILL)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
