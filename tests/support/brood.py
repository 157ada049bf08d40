"""Whatever a test starts, and whatever that starts, ends with the test; Linux."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: who loses its parent becomes a child of this process, not of init."""


def parents() -> dict[int, int]:
    """Return every process of this machine that is no zombie, and its parent."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            state, parent, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            if state not in "ZX":
                found[int(entry.name)] = int(parent)
    return found


def descendants() -> set[int]:
    """Return the children of this process, and theirs."""
    known = parents()
    found: set[int] = set()
    new = {os.getpid()}
    while new:
        new = {child for child, parent in known.items() if parent in new} - found
        found |= new
    return found


def said(pid: int) -> str:
    """Return a process's command line, for a message."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    return ""


@contextmanager
def none_left(seconds: float) -> Iterator[None]:
    """End every process that the block has left behind; if the block succeeded, complain of it.

    Args:
        seconds: How long they may take to end by themselves.
    """
    before = descendants()
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(SUBREAPER, 1, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
        until = time.monotonic() + seconds
        while (left := descendants() - before) and time.monotonic() < until:
            time.sleep(0.1)
        assert not left, {pid: said(pid) for pid in left}
    finally:
        while left := descendants() - before:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.05)
        prctl(SUBREAPER, 0, 0, 0, 0)
