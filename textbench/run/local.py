"""The local engine: a pool of worker processes on this machine, one per run."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from textbench.contracts.spec import Spec
from textbench.run.endings import Process
from textbench.run.engine import Engine
from textbench.run.limits import USUAL, Limits, Terms, resident, size
from textbench.run.provenance import PARENT
from textbench.store.directory import RunDirectory
from textbench.store.files import open_safely
from textbench.store.printed import bound
from textbench.store.rows import LOGS, PRINTED, StatusName

WORKER = (sys.executable, "-P", "-m", "textbench.run.worker")

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
LONGEST = 8 * 2**20
"""Bytes of `log.txt` from which on it is cut to its last half, before a worker starts."""
MOST_PRINTED = 64 * 2**20
"""The same while one runs."""
LOOK = 1.0
"""Seconds between two looks at one run."""


def worker_options(device: str, plugins: Sequence[str], terms: Terms) -> list[str]:
    """Return what follows the run directory on a worker's command line."""
    options = ["--device", device, "--checkpoint-every", terms.checkpoint_every]
    for plugin in plugins:  # what the user named, not what the record does
        options += [f"--plugin={plugin}"]
    if terms.deadline < math.inf:
        options += ["--deadline", str(terms.deadline)]
    if terms.limits.memory:
        options += ["--memory", str(terms.limits.memory)]
    return options


class LocalProcess(Process):
    """A worker on this machine.

    Args:
        directory: Its run; what it prints goes to the run's log.
        command: The worker's command line.
        limits: What the run may take.
        environment: Variables for it, besides those of this process.

    Raises:
        DamagedError: Something else is in the place of the log.
        OSError: The log cannot be opened.
    """

    status: StatusName = "timeout"

    def __init__(
        self,
        directory: RunDirectory,
        command: Sequence[str],
        limits: Limits,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._directory, self._limits = directory, limits
        self._began = self._progressed = time.monotonic()
        self._looked = self._asked = 0.0
        self._progress: object = None
        bound(directory.path / PRINTED, LONGEST)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(open_safely(directory.path / PRINTED, flags), "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own worker
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    **(environment or {}),
                    **ENVIRONMENT,
                    PARENT: str(os.getpid()),
                },
            )

    def poll(self) -> int | None:
        """Hold it to its limits; return its exit code once it has ended, or minus the signal."""
        code = self._process.poll()
        if code is None and time.monotonic() - self._looked >= LOOK:
            self._look()
        return code

    def _look(self) -> None:
        """Look at the run, and stop its worker by SIGTERM, then SIGKILL, if it must be."""
        now = self._looked = time.monotonic()
        bound(self._directory.path / PRINTED, MOST_PRINTED)
        if self.reason:
            if now - self._asked >= self._limits.grace:
                self.kill()
            return
        self._judge(now)
        if self.reason:
            self._asked = now
            # Who is out of memory has none for a checkpoint.
            self.kill() if self.status == "failed" else self.terminate()

    def _judge(self, now: float) -> None:
        limits = self._limits
        if limits.memory and (used := resident(self._process.pid)) > limits.memory:
            self.status = "failed"
            self.reason = f"used {size(used)} of memory; --memory allows {size(limits.memory)}"
        elif limits.total and now - self._began > limits.total:
            self.reason = f"still running after {limits.total:g} s (--timeout)"
        elif limits.idle:
            status = self._directory.standing()
            grown = tuple(self._directory.offset(name) for name in LOGS)
            progress = (status.step, status.phase, grown)
            if progress != self._progress:
                self._progress, self._progressed = progress, now
            elif now - self._progressed > limits.idle:
                self.reason = f"no progress for {limits.idle:g} s (--timeout)"

    def terminate(self) -> None:
        """Ask for a checkpoint and the end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


class LocalEngine(Engine):
    """Runs specs in subprocesses of this machine.

    Args:
        results: The store.
        jobs: How many runs at once.
        terms: On what terms.
        devices: Given to the workers in turn, e.g. ``("cuda:0", "cuda:1")``.
        worker: The command that is given a run directory; tests put their own here.
    """

    def __init__(
        self,
        results: Path,
        *,
        jobs: int,
        terms: Terms = USUAL,
        devices: Sequence[str] = ("cpu",),
        worker: Sequence[str] = WORKER,
    ) -> None:
        super().__init__(results, jobs=jobs, terms=terms)
        self.devices, self.worker = devices, worker

    def place(self, spec: Spec, directory: RunDirectory, slot: int) -> LocalProcess:
        """Start a run's worker."""
        device = self.devices[slot % len(self.devices)]
        options = worker_options(device, spec.plugins, self.terms)
        # Absolute: a store called -x is no option of the worker's.
        command = [*self.worker, str(directory.path.absolute()), *options]
        return LocalProcess(directory, command, self.terms.limits)
