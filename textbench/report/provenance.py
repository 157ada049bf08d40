"""Where the numbers come from: versions, commits, machines, commands; runs by status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from textbench import __version__
from textbench.contracts.plain import grouped
from textbench.report.sections import Row, records
from textbench.store.read import made_by
from textbench.store.rows import Start

FACTS = ("textbench", "commit", "torch", "python", "machine", "cpu", "device", "threads")


def statuses(names: Iterable[str]) -> str:
    """Count runs by status: ``"5 done, 1 running"``."""
    return ", ".join(f"{count} {status}" for status, count in sorted(Counter(names).items()))


def facts(starts: Iterable[Start]) -> list[tuple[str, str]]:
    """Return what runs were made with: each fact with all its values and how often."""
    found, every = [], list(starts)
    for fact in FACTS:
        counts = Counter(_shown(fact, start) for start in every)
        counts.pop("", None)
        several = len(counts) > 1
        values = [f"{v} ({n} starts)" if several else v for v, n in sorted(counts.items())]
        if values:
            found.append((fact, "; ".join(values)))
    return [*found, ("report", f"textbench {__version__}")]


def _shown(fact: str, start: Start) -> str:
    value = start.get(fact)
    if value in (None, ""):
        return ""
    if fact == "commit":
        return str(value)[:12] + (" with local changes" if start.get("dirty") else "")
    return str(value)


def commands(starts: Iterable[Start]) -> list[str]:
    """Return the distinct commands that started runs."""
    return sorted({str(start["command"]) for start in starts if start.get("command")})


def of_several_codes(runs: pd.DataFrame) -> set[int]:
    """Return the rows whose finished runs were made by several versions of the trainer's code."""
    done = records(runs[runs["status"] == "done"])
    made = grouped((run.row, start.get("code")) for run in done for start in made_by(run.starts))
    return {row for row, codes in made.items() if len(set(codes)) > 1}


def problems(runs: pd.DataFrame, unreadable: Mapping[str, str]) -> list[dict[str, str]]:
    """Return every run that has no final result, with its status, progress and reason."""
    left = records(runs[(runs["status"] != "done") & (runs["alpha"] == 1.0)])
    own = ("run", "status", "reason", "traceback")
    rows = [{key: getattr(run, key) for key in own} | {"progress": progress(run)} for run in left]
    return rows + [
        {"run": name, "status": "unreadable", "progress": "", "reason": reason, "traceback": ""}
        for name, reason in unreadable.items()
    ]


def progress(run: Row) -> str:
    """Say how far a run got, a line of `load_runs`: ``"adversarial, step 1234 of 3000"``."""
    if not run.total:
        return str(run.phase)
    return f"{run.phase}, step {run.step} of {run.total}".removeprefix(", ")
