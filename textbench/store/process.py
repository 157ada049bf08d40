"""Which process is this, and does another one still live?"""

from __future__ import annotations

import contextlib
import os
from functools import cache
from pathlib import Path

from textbench.contracts.plain import JsonObject
from textbench.store import files


def identity() -> JsonObject:
    """Return what tells this process from every other on every machine."""
    return {**_machine(), "pid": os.getpid(), "start": started(os.getpid())}


@cache
def _machine() -> dict[str, str]:
    def read(path: str) -> str:
        with contextlib.suppress(OSError, ValueError):
            return Path(path).read_text(encoding="ascii").strip()
        return ""

    namespace = ""
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return {
        "host": files.host(),
        "boot": read("/proc/sys/kernel/random/boot_id"),
        "namespace": namespace,
    }


def started(pid: int) -> str:
    """Return when a process of this machine started, in the kernel's own count.

    Returns:
        Empty if it is gone, or a zombie; "unknown" where the system does not say when.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *rest = text.rpartition(")")[2].split()
        return "" if state in "ZX" else rest[18]
    except (OSError, IndexError, ValueError):
        if Path("/proc/self/stat").exists():
            return ""
    return "unknown" if _exists(pid) else ""


def _exists(pid: int) -> bool:
    if os.name == "nt":  # there signal 0 is Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
