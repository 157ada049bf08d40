"""What a run may take: time without progress, time in all, memory. Watched from outside."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from textbench.store.directory import RunDirectory
from textbench.store.printed import bound
from textbench.store.rows import LOGS, PRINTED, StatusName

GRACE = 60.0
"""Seconds from SIGTERM, at which a worker writes a checkpoint, to SIGKILL."""
LOOK = 1.0
"""Seconds between two looks at one run."""
MOST_PRINTED = 64 * 2**20
"""Bytes of `log.txt` that a run in progress may have before the older half goes."""


@dataclass(frozen=True)
class Limits:
    """Limits of one run in one command; 0 is none."""

    idle: float = 0.0
    """Seconds without a training step or an evaluation."""
    total: float = 0.0
    """Seconds in all."""
    memory: int = 0
    """Bytes of resident memory."""
    grace: float = GRACE


UNLIMITED = Limits()


@dataclass
class Watch:
    """Watches one worker, and stops it by SIGTERM, then SIGKILL."""

    limits: Limits
    reason: str = ""
    """Why it was stopped, if it was."""
    status: StatusName = "timeout"
    """What a run is that was stopped for `reason`."""
    _began: float = field(default_factory=time.monotonic)
    _looked: float = 0.0
    _progress: object = None
    _progressed: float = field(default_factory=time.monotonic)
    _asked: float = 0.0

    def look(self, process: subprocess.Popen[bytes], directory: RunDirectory) -> None:
        """Look at the run, once in `LOOK` seconds, and stop its worker if it must be."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        bound(directory.path / PRINTED, MOST_PRINTED)
        if self.reason:
            if now - self._asked >= self.limits.grace:
                process.kill()
            return
        self._judge(process, directory, now)
        if self.reason:
            self._asked = now
            # Who is out of memory has none for a checkpoint.
            process.kill() if self.status == "failed" else process.terminate()

    def _judge(self, process: subprocess.Popen[bytes], directory: RunDirectory, now: float) -> None:
        limits = self.limits
        if limits.memory and (used := resident(process.pid)) > limits.memory:
            self.status = "failed"
            self.reason = f"used {size(used)} of memory; --memory allows {size(limits.memory)}"
        elif limits.total and now - self._began > limits.total:
            self.reason = f"still running after {limits.total:g} s (--timeout)"
        elif limits.idle:
            status = directory.standing()
            grown = tuple(directory.offset(name) for name in LOGS)
            progress = (status.step, status.phase, grown)
            if progress != self._progress:
                self._progress, self._progressed = progress, now
            elif now - self._progressed > limits.idle:
                self.reason = f"no progress for {limits.idle:g} s (--timeout)"


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds; 0 where the system does not say."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def size(count: float) -> str:
    """Return bytes as people say them: ``"1.5 GB"``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
