"""What a number was made with: versions, commit, machine and its rates, threads, determinism."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from textbench.store.rows import Start

COMMAND = "TEXTBENCH_COMMAND"
"""Environment variable by which `textbench run` tells its workers what the user typed."""

PARENT = "TEXTBENCH_PARENT"
"""Environment variable by which an engine tells its workers its process; they stop without it."""


def provenance(device: str, code: str) -> Start:
    """Return one entry of ``env.json``.

    Args:
        device: Where the run trains, e.g. ``cpu``.
        code: Hash of the trainer's source (`textbench.plan.codehash.code_hash`).
    """
    import numpy
    import torch

    import textbench
    from textbench.run import rates

    cuda = torch.device(device).type == "cuda"
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "textbench": textbench.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        **commit(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "cuda": torch.version.cuda if cuda else None,
        "threads": torch.get_num_threads(),
        "product_rate": float(f"{rates.product_rate():.3g}"),
        "exponential_rate": float(f"{rates.exponential_rate():.3g}"),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "code": code,
        "command": os.environ.get(COMMAND, " ".join(sys.argv)),
    }


def commit() -> Start:
    """Return the commit the code is from, and whether the tree was changed; empty if unknown."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {"commit": "", "dirty": None}
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", "textbench", "algorithms", "metrics")
    return {"commit": head or "", "dirty": None if changed is None else bool(changed)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(root), *arguments],  # noqa: S607 - git is looked up on PATH
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
