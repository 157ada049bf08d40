"""What writers that were killed have left half written, under `files.temporary`'s names."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

_OURS = re.compile(r"\.(.+)\.[^.]{1,40}\.\d{1,9}\.\d{1,9}\.tmp")
OLD = 86400.0
"""Seconds after which whoever wrote it, on whatever machine, is gone: it is written in one go."""


def sweep(folder: Path, mine: Callable[[str], bool] = lambda name: False) -> None:
    """Remove temporaries in a folder that are old, or of files that this process alone writes.

    Args:
        folder: Nothing below it is looked at.
        mine: Tells by a file's name whether nobody else may be writing it now.
    """
    for path in folder.glob(".*.tmp"):
        found = _OURS.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if found and (mine(found[1]) or time.time() - path.lstat().st_mtime > OLD):
                path.unlink()
