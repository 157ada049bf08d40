"""What the code of a plug-in returns, looked at where the harness takes it.

Each function says in one line what is wrong, or returns an empty string.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

from torch import Tensor

from textbench.contracts.config import Config
from textbench.contracts.errors import shown
from textbench.contracts.task import Task
from textbench.contracts.trainer import Phase

PHASES = "a list of Phase(name, epochs, steps), whole numbers from 0"
LOGGED = "a dict of names and numbers"


def wrong_phases(phases: object) -> str:
    """Look at what `Trainer.phases` returned."""
    if isinstance(phases, list | tuple) and not isinstance(phases, Phase):
        odd = [phase for phase in phases if not _is_phase(phase)]
        if not odd:
            return ""
        return f"phases() returned {shown(odd[0], 100)} in its list; it must return {PHASES}"
    return f"phases() returned {shown(phases, 100)}; it must return {PHASES}"


def _is_phase(phase: object) -> bool:
    return (
        isinstance(phase, Phase)
        and isinstance(phase.name, str)
        and all(type(count) is int and count >= 0 for count in (phase.epochs, phase.steps))
    )


def wrong_logged(values: object) -> str:
    """Look at what `Trainer.step` returned."""
    if not isinstance(values, Mapping):
        return f"step() returned {shown(values)}; it must return {LOGGED}"
    for key, value in values.items():
        if not (isinstance(key, str) and key.isprintable()):
            return f"it logs {key!a}, which is no name"
        if not (isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)):
            return f"step() returned {shown(value)} for {key}; it must return {LOGGED}"
    return ""


def wrong_warmup(asked: object) -> str:
    """Look at what `Trainer.warmup` returned."""
    match asked:
        case None | (str(), Mapping()):
            return ""
    right = '("TRAINER", {"OPTION": value}), or None for no warm-up'
    return f"warmup() returned {shown(asked)}; it must return {right}"


def wrong_task(task: Task[Config]) -> str:
    """Look at what a task has when it is built."""
    if not isinstance(getattr(task, "config", None), Config):
        return "it has no config: its __init__ must call super().__init__(config)"
    for name in ("vocab_size", "length"):
        size = getattr(task, name, None)
        if type(size) is not int or size < 1:
            return f"{name} is {shown(size)}; it must be a whole number from 1"
    for name in ("note", "oracle_name"):
        if not isinstance(getattr(task, name), str):
            return f"{name} is {shown(getattr(task, name))}; it must be text"
    warnings: object = task.warnings
    if not isinstance(warnings, tuple | list) or not all(isinstance(one, str) for one in warnings):
        return f"warnings is {shown(warnings)}; it must be a tuple of lines of text"
    return ""
