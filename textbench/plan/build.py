"""From classes to tasks and trainers; what their authors got wrong is one line, with file and line.

Only this module and the conformance kit make instances of somebody's task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from textbench.contracts.config import Config, validate
from textbench.contracts.data import training_data
from textbench.contracts.errors import UserError, shown
from textbench.contracts.returned import (
    wrong_data,
    wrong_lines,
    wrong_phases,
    wrong_rows,
    wrong_task,
)
from textbench.contracts.spec import Spec
from textbench.contracts.streams import stream
from textbench.contracts.task import Task
from textbench.contracts.trainer import Context, State, Trainer
from textbench.plan import registry
from textbench.plan.plugins import where

T = TypeVar("T")


class BrokenPluginError(UserError):
    """A plug-in's own code raised, or gave something that nothing can be done with."""


def task(kind: type[Task[Config]], config: Config) -> Task[Config]:
    """Build a task.

    Raises:
        BrokenPluginError: Its code raises, or leaves out what every task has.
        UserError: What the task itself says of these options.
        OSError: A file of it cannot be read.
    """
    built = _tried(lambda: kind(config), kind, f"task {kind.name} cannot be built")
    if wrong := wrong_task(built):
        raise BrokenPluginError(f"task {kind.name}: {wrong}")
    return built


def fingerprint(built: Task[Config]) -> str:
    """Return a task's fingerprint.

    Raises:
        BrokenPluginError: It is none.
    """
    name = built.name
    found: object = _tried(built.fingerprint, type(built), f"task {name}: fingerprint() failed")
    if not isinstance(found, str) or not found:
        right = "it must return a hash of the data, as text"
        raise BrokenPluginError(f"task {name}: fingerprint() returned {shown(found)}; {right}")
    return found


def trainer(
    spec: Spec,
    kind: type[Trainer[Config]],
    built: Task[Config],
    device: torch.device,
    warmup: State | None = None,
) -> Trainer[Config]:
    """Return a trainer with its context, not yet set up.

    Args:
        spec: The run.
        kind: Its class.
        built: Its task.
        device: Where it trains.
        warmup: The parameters it starts from, if it asked for a warm-up.
    """
    config = validate(kind.config_schema, spec.config, spec.label)
    context = Context(
        vocab_size=built.vocab_size,
        length=built.length,
        data=training_data(built, spec.seed, device, fresh=kind.fresh_data(config)),
        rng=stream(spec.seed, "training", device=device),
        device=device,
        seed=spec.seed,
        backbone=spec.backbone,
        warmup=warmup,
        first_word=built.first_word,
    )
    made = kind(config, context)
    if not hasattr(made, "context"):
        right = "its __init__ must call super().__init__(config, context)"
        raise BrokenPluginError(f"{spec.label}: it has no context: {right}")
    return made


def check_schedule(spec: Spec, built: Task[Config]) -> None:
    """Ask a run on a task for its schedule, before anything is trained.

    Raises:
        BrokenPluginError: The trainer has none.
        UserError: What the trainer itself says of these options.
    """
    cpu, kind = torch.device("cpu"), registry.load_trainer(spec.trainer)
    phases = _tried(
        lambda: trainer(spec, kind, built, cpu).phases(), kind, f"{spec.label}: phases() failed"
    )
    if wrong := wrong_phases(phases):
        raise BrokenPluginError(f"{spec.label}: {wrong}")


def reference_rows(built: Task[Config]) -> list[str] | None:
    """Return the rows that a task asks for; None where it leaves them to the trainers.

    Raises:
        BrokenPluginError: Its code raises, or gives something else.
    """
    name = built.name
    rows = _tried(built.reference_rows, type(built), f"task {name}: reference_rows() failed")
    if wrong := wrong_rows(rows):
        raise BrokenPluginError(f"task {name}: {wrong}")
    return rows


def check_data(built: Task[Config], seed: int) -> None:
    """Ask a task for the sequences of a run and for their text, before anything is trained.

    Raises:
        BrokenPluginError: They are none that a trainer or a metric could read.
    """
    wrong = _tried(
        lambda: wrong_data(built, seed), type(built), f"task {built.name} cannot give its data"
    )
    if wrong:
        raise BrokenPluginError(f"task {built.name}: {wrong}")


def decoded(built: Task[Config], tokens: Tensor) -> list[str]:
    """Return a line of text per sequence.

    Raises:
        BrokenPluginError: The task's code raises, or gives something else.
    """
    name = built.name
    lines = _tried(lambda: built.decode(tokens), type(built), f"task {name}: decode() failed")
    if wrong := wrong_lines(lines, len(tokens)):
        raise BrokenPluginError(f"task {name}: {wrong}")
    return lines


def _tried(make: Callable[[], T], kind: type[object], what: str) -> T:
    """Call a plug-in's code; say in one line where it raised."""
    try:
        return make()
    except (UserError, OSError):
        raise
    except Exception as error:
        raise BrokenPluginError(f"{what}: {where(error, _file(kind))}") from error


def _file(kind: type[object]) -> Path | None:
    try:
        return Path(inspect.getfile(kind))
    except (TypeError, OSError):
        return None
