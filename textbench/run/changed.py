"""Whether the code that made a run so far is the code that is here now."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.plan import registry
from textbench.plan.codehash import code_hash, plugin_hash
from textbench.store.directory import RunDirectory
from textbench.store.files import LARGEST
from textbench.store.read import UNREADABLE, made_by
from textbench.store.rows import CHECKPOINT, ENVIRONMENT, FINISHED, PREVIOUS, Start


def is_stale(spec: Spec, starts: Sequence[Start]) -> bool:
    """Tell whether the trainer's source has changed since the run's last start.

    That of a plug-in is read where the record says it was, and not run; where it is not there any
    more, nobody knows.
    """
    known = _codes(spec)
    return bool(starts and known) and starts[-1].get("code") not in known


def _codes(spec: Spec) -> set[str]:
    """Return what the hash of a run's trainer may be here; nothing where it cannot be known."""
    if spec.given:
        return set()
    if spec.plugins and spec.trainer not in registry.installed("trainer"):
        return {_plugin_hash(file) for file in map(Path, spec.plugins) if _is_source(file)}
    return {_installed_hash(spec.trainer)}  # one that is gone has changed


def _is_source(file: Path) -> bool:
    """Tell whether a file that a record names may be read: it may name any."""
    try:
        return file.suffix == ".py" and file.is_file() and file.stat().st_size <= LARGEST
    except (OSError, ValueError):
        return False


@cache
def _plugin_hash(file: Path) -> str:
    try:
        return plugin_hash(file)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # what cannot be read now could be read then


def code_here(trainer: str) -> str:
    """Return the hash of a trainer's source as it is here, empty where it is gone."""
    try:
        return code_hash(trainer)
    except UserError:
        return ""


_installed_hash = cache(code_here)


def record_step(directory: RunDirectory, step: int) -> str:
    """Put on record where a run's last start goes on; say so if other code made the steps before.

    Args:
        directory: The run, locked by this process.
        step: Finished steps; 0 where it begins.
    """
    if not (starts := directory.starts()):
        return ""
    starts[-1] = {**starts[-1], "step": step}
    directory.write_json(ENVIRONMENT, {"starts": starts})
    if len({start.get("code") for start in made_by(starts)}) < 2:
        return ""
    return f"gone on from step {step}; steps before that were made by other code of its trainer"


def goes_on_with_other_code(directory: RunDirectory, code: str) -> bool:
    """Tell whether a run would go on from steps that other code of its trainer made.

    Args:
        directory: The run.
        code: `code_here` of its trainer.
    """
    if not any(os.path.lexists(directory.path / name) for name in (CHECKPOINT, PREVIOUS)):
        return False
    try:
        if directory.status().status in FINISHED:
            return False
        starts = made_by(directory.starts())
    except UNREADABLE:  # which is said elsewhere
        return False
    return any(start.get("code") != code for start in starts)
