"""Where the numbers come from: versions, commits, machines, commands; runs by status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from textbench import __version__
from textbench.store.read import RecordedRun, Results
from textbench.store.rows import Status

FACTS = ("textbench", "commit", "torch", "python", "machine", "cpu", "device", "threads")


def statuses(runs: Iterable[RecordedRun]) -> str:
    """Count runs by status: ``"5 done, 1 running"``."""
    counts = Counter(run.status.status for run in runs)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def starts(store: Results) -> list[dict[str, Any]]:
    """Return every start of every run, as ``env.json`` has it."""
    return [start for run in store.runs for start in run.env.get("starts", [])]


def facts(store: Results) -> list[tuple[str, str]]:
    """Return what the runs were made with: each fact with all its values and how often."""
    found = []
    all_starts = starts(store)
    for fact in FACTS:
        counts = Counter(_shown(fact, start) for start in all_starts)
        counts.pop("", None)
        several = len(counts) > 1
        values = [f"{v} ({n} starts)" if several else v for v, n in sorted(counts.items())]
        if values:
            found.append((fact, "; ".join(values)))
    return [*found, ("report", f"textbench {__version__}")]


def _shown(fact: str, start: dict[str, Any]) -> str:
    value = start.get(fact)
    if value in (None, ""):
        return ""
    if fact == "commit":
        return str(value)[:12] + (" with local changes" if start.get("dirty") else "")
    return str(value)


def commands(store: Results) -> list[str]:
    """Return the distinct commands that started the runs."""
    return sorted({str(s["command"]) for s in starts(store) if s.get("command")})


def problems(store: Results) -> list[dict[str, str]]:
    """Return every run that has no final result, with its status, progress and reason."""
    rows = [
        {
            "run": run.name,
            "status": run.status.status,
            "progress": progress(run.status),
            "reason": run.status.reason,
            "traceback": run.status.traceback,
        }
        for run in store.runs
        if run.status.status != "done" and run.name not in store.unreadable
    ]
    unreadable = [
        {"run": name, "status": "unreadable", "progress": "", "reason": reason, "traceback": ""}
        for name, reason in store.unreadable.items()
    ]
    return rows + unreadable


def progress(status: Status) -> str:
    """Say how far a run got: ``"adversarial, step 1234 of 3000"``."""
    if not status.total:
        return status.phase
    return f"{status.phase}, step {status.step} of {status.total}".removeprefix(", ")
