"""How a worker ended, and whether a run is as done as it says.

From a worker's exit code and its own words to the run's status. Of a run that says it is done, the
engine and a dry run ask as `status` does.
"""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from textbench.contracts.errors import UserError, one_line
from textbench.store.directory import GONE, RunDirectory
from textbench.store.files import DamagedError
from textbench.store.printed import tail
from textbench.store.read import UNREADABLE, damage
from textbench.store.rows import (
    BROKEN,
    CHECKPOINT,
    FINISHED,
    GENERATOR,
    LOGS,
    PREVIOUS,
    PRINTED,
    Status,
    StatusName,
)
from textbench.store.verify import contradiction

INTERRUPTED = 75
"""Exit code of a worker that left a checkpoint to resume from (EX_TEMPFAIL)."""
ENDINGS = {
    0: FINISHED,
    1: BROKEN,
    INTERRUPTED: frozenset({"timeout", "interrupted"}),
}
"""What a worker may have said of a run when it exits with these codes."""

CRASHES = frozenset(
    int(number)
    for name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS", "SIGTRAP")
    if (number := getattr(signal, name, None)) is not None
)
"""Signals that a process brings upon itself; it would again."""


def requests_to_stop() -> list[signal.Signals]:
    """Return the signals at which a run writes a checkpoint and stops.

    A terminal that is closed hangs up on everything in it, unless `nohup` has seen to that.
    """
    hang_up: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    heard = hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([hang_up] if hang_up and heard else [])]


class Process(ABC):
    """A worker, wherever an engine has placed it."""

    reason: str = ""
    """Why it was stopped for its limits, or could not be placed; else empty."""
    status: StatusName = "failed"
    """What a run is that was stopped for `reason`."""
    lost: str = ""
    """Why the machine under it is gone, if it is: no fault of the run."""

    @abstractmethod
    def poll(self) -> int | None:
        """See to it; return its exit code once it has ended, or minus the signal."""

    @abstractmethod
    def terminate(self) -> None:
        """Ask for a checkpoint and the end; safe in a signal handler."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once; safe in a signal handler."""

    def wait(self, seconds: float) -> None:
        """Wait for a process that was asked to stop, and kill it when it does not."""
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                self.kill()
            time.sleep(0.05)


def ending(directory: RunDirectory, process: Process, *, stopped: bool) -> Status:
    """Return the status of a run whose process has ended, and write it where it could not.

    Args:
        directory: The run.
        process: Its process, which has ended.
        stopped: Whether the user asked for that.
    """
    status = directory.standing()
    code = process.poll()
    assert code is not None  # noqa: S101 - it has ended
    if not directory.path.is_dir():
        moved = "moved or removed while it ran; --results NEW-PLACE goes on there"
        return replace(status, status="failed", reason=f"{directory.path} is gone: {moved}")
    if process.reason and status.status not in FINISHED:
        status.status, status.reason = process.status, process.reason
    elif process.lost and status.status not in FINISHED:
        status.status, status.reason = "interrupted", process.lost
    elif (
        directory.is_locked()  # it waited in vain for another process at this run
        or (status.status in ENDINGS.get(code, ()) and status.reason != GONE)
        or _is_done(directory, status)  # that process has ended it
    ):
        return status
    elif stopped or code == INTERRUPTED:
        said = "" if stopped else _last_line(directory.path / PRINTED)
        status.status, status.reason = "interrupted", said or "stopped by the user"
    elif code < 0:
        crashed = -code in CRASHES
        status.status = "failed" if crashed else "interrupted"
        status.reason = f"{'crashed with' if crashed else 'killed by'} signal {-code}"
    else:
        last = _last_line(directory.path / PRINTED)
        status.status = "failed"
        status.reason = f"the worker exited with code {code}{last and f': {last}'}"
    write(directory, status)
    return status


def _is_done(directory: RunDirectory, status: Status) -> bool:
    """Tell whether a run that says it is done has all that goes with it."""
    try:
        run = directory.spec().hash
        return status.status == "done" and not not_done(directory, run, status)
    except UNREADABLE:
        return False


def write(directory: RunDirectory, status: Status) -> None:
    """Write a status where that is possible: a full disk is no reason to stop the others."""
    with suppress(OSError):
        directory.write_status(status)


def _last_line(path: Path) -> str:
    lines = tail(path).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


# -- is it as done as it says? ---------------------------------------------------------------


def not_done(directory: RunDirectory, run: str, status: Status) -> str:
    """Say why a run that calls itself done has to be trained again, or return an empty string.

    Args:
        directory: The run.
        run: The hash of its spec.
        status: What it says.

    Raises:
        OSError: A file of it may not be read, or cannot be just now: that says nothing of the run.
    """
    generator = bool(status.checksums)  # of textbench 0.1.0 they may be elsewhere
    try:
        wrong = contradiction(directory, run, status, generator=generator)
        return wrong or unreadable(directory)
    except UserError as error:
        return one_line(error)


def unreadable(directory: RunDirectory) -> str:
    """Say why nobody can read the evaluations of a run: a metric once wrote what is no record.

    Raises:
        OSError: The file may not be read.
    """
    try:
        directory.evaluations()
    except DamagedError as error:
        return error.wrong
    except UserError as error:
        return one_line(error)
    return ""


def damage_beside(directory: RunDirectory) -> str:
    """Say what else is damaged, which training again would not mend, and what to do about it."""
    return damage(directory.starts) or damage(directory.later)


def start_again(directory: RunDirectory) -> None:
    """Put all progress of a run aside whose evaluations cannot be read; it is queued then.

    To its worker such a run looks done: its files are what was written, with the right checksums.
    """
    if not directory.acquire():
        return  # another process is at it
    try:
        if wrong := unreadable(directory):
            directory.write_status(Status("queued", note=discard(directory, wrong)))
    finally:
        directory.release()


def discard(directory: RunDirectory, wrong: str) -> str:
    """Put all of a run's progress aside, and say so in a line."""
    aside = directory.set_aside([CHECKPOINT, PREVIOUS, *LOGS, GENERATOR])
    return f"{wrong}: started again" + (f", what there was is in {aside}" if aside else "")
