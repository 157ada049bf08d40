"""Whose code raised an exception, and where: a plug-in is rarely one file of many."""

from __future__ import annotations

import traceback
from pathlib import Path

from textbench.contracts.errors import one_line
from textbench.plan import registry


def raised(error: BaseException) -> str:
    """Name an exception and where it was raised: ``ValueError: too few (mine.py:12)``.

    That is the last line of a plug-in that it came through; of any file where there is none.
    """
    frames = traceback.extract_tb(error.__traceback__)
    found = (entry.file for kind in registry.KINDS for entry in registry.entries(kind).values())
    files = {str(file) for file in found if file}
    last = next((frame for frame in reversed(frames) if frame.filename in files), frames[-1])
    return f"{one_line(error)} ({Path(last.filename).name}:{last.lineno})"
