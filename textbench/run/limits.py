"""What runs may take, each of them and all together."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

GRACE = 60.0
"""Seconds from SIGTERM, at which a worker writes a checkpoint, to SIGKILL."""


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


@dataclass(frozen=True)
class Terms:
    """On what terms the runs of one command are executed; no number depends on them."""

    checkpoint_every: str = "60s"
    """Seconds (``"60s"``) or training steps (``"500"``)."""
    deadline: float = math.inf
    """Time by the monotonic clock at which workers checkpoint and stop; no run starts after it."""
    limits: Limits = Limits()
    retries: int = 0
    """How often a run that failed is started again."""


USUAL = Terms()


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
