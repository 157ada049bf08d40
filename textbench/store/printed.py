"""What runs printed: files that others append to, read from their end and kept short."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from textbench.store.files import DamagedError, open_safely


def tail(path: Path, most: int = 65536) -> str:
    """Return the last ``most`` bytes of a file as text; empty where it cannot be read."""
    try:
        with os.fdopen(open_safely(path), "rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - most))
            return handle.read().decode("utf-8", errors="replace")
    except (OSError, DamagedError):
        return ""


def bound(path: Path, most: int) -> None:
    """Cut a file that others append to down to its last half, if it is longer than ``most``."""
    with contextlib.suppress(OSError, DamagedError):
        if path.lstat().st_size <= most:
            return
        kept = tail(path, most // 2)
        with os.fdopen(open_safely(path, os.O_WRONLY | os.O_APPEND), "ab") as handle:
            handle.truncate(0)
            handle.write(f"... (cut to its last {most // 2**20} MiB or less)\n{kept}".encode())
