"""Promises about what a trainer may see: the training sequences, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType

import numpy as np
import torch
from torch import Tensor

from textbench.check.laboratory import Laboratory, Record
from textbench.check.promise import Check, Violation
from textbench.check.task_laboratory import not_for_training
from textbench.contracts.config import Config
from textbench.contracts.task import Task

RIGHT = "a trainer learns from context.data alone"
ATOMS = (str, bytes, bool, int, float, complex, type(None), type, ModuleType)
FEWEST = 4
"""Held-out sequences found together that are no coincidence."""


def access(laboratory: Laboratory, record: Record) -> str:
    """Neither the oracle nor held-out data are asked for, or found anywhere in the trainer."""
    if record.trap.caught:
        first, *rest = record.trap.caught
        more = f", and {len(rest)} more times" if rest else ""
        raise Violation(f"it asks the task for {first}{more}", RIGHT)
    trainer = record.run.trainer
    secrets = _Secrets(laboratory.task, record.trap.train(laboratory.spec.seed, 0))
    name = type(trainer).__name__
    roots = ((name, trainer), (f"type({name})", _class_variables(trainer)))
    looked_at = 0
    for root, value in roots:
        # The stream of training data is the harness's own; the trap watches what lies behind it.
        for where, found in reachable(value, root, {id(trainer.context.data)}):
            looked_at += 1
            what = secrets.name(found)
            if what:
                raise Violation(f"{where} is {what}", RIGHT)
    return f"nothing secret among {looked_at:,} objects within reach"


def training_data(laboratory: Laboratory, record: Record) -> str:
    """The training sequences, which evaluation scores as well, are only read."""
    if record.trap.was_changed:
        raise Violation(
            "the training sequences were changed in place", "a trainer that edits them clones first"
        )
    return "the training sequences are as they were"


class _Secrets:
    """Recognises the oracle's parameters and the held-out sequences by their values."""

    def __init__(self, task: Task[Config], known: Tensor) -> None:
        self.parameters: list[tuple[str, Tensor]] = []
        if task.oracle is not None:
            state = task.oracle.state_dict()
            self.parameters = [(f"the oracle's {name}", value) for name, value in state.items()]
        seen = set(map(tuple, known.tolist()))
        self.sequences = {
            name: set(map(tuple, tokens.tolist())) - seen
            for name, tokens in not_for_training(task).items()
        }
        self.length = task.length

    def name(self, value: object) -> str:
        """Say which secret ``value`` is, or return an empty string."""
        if isinstance(value, Task):
            return "the task"
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            value = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
        if not isinstance(value, Tensor) or value.device.type != "cpu":
            return ""
        if value.is_floating_point():
            return self._parameter(value)
        return self._sequences(value)

    def _parameter(self, value: Tensor) -> str:
        for name, secret in self.parameters:
            forms = (secret, secret.t()) if secret.dim() == 2 else (secret,)
            if any(torch.equal(value.to(secret.dtype), form) for form in forms):
                return name
        return ""

    def _sequences(self, value: Tensor) -> str:
        if value.dim() != 2 or value.shape[1] != self.length or len(value) < FEWEST:
            return ""
        rows = list(map(tuple, value.tolist()))
        for name, secret in self.sequences.items():
            if sum(row in secret for row in rows) >= max(FEWEST, 0.5 * len(rows)):
                return f"the {name} sequences"
        return ""


def _class_variables(trainer: object) -> dict[str, object]:
    """Return what the trainer's own classes hold; the harness's are left out."""
    found: dict[str, object] = {}
    for kind in type(trainer).__mro__:
        if kind.__module__ not in ("builtins", "abc", "typing", "textbench.contracts.trainer"):
            found |= {k: v for k, v in vars(kind).items() if not k.startswith("__")}
    return found


def reachable(root: object, name: str, skip: set[int]) -> Iterator[tuple[str, object]]:
    """Yield everything that can be reached from ``root``, with its path.

    Attributes, containers, closures and default arguments are followed; classes, modules and
    the globals of functions are not.
    """
    pending, seen = [(name, root)], set(skip)
    alive = []  # an id is only an object's own while it lives
    while pending:
        where, value = pending.pop()
        if isinstance(value, ATOMS) or id(value) in seen:
            continue
        seen.add(id(value))
        alive.append(value)
        yield where, value
        pending += _parts(where, value)


def _parts(where: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(f"{where}[{key!r}]", item) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"{where}[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        inside = [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return [(f"{where} (closure)", item) for item in inside]
    if isinstance(value, MethodType):
        return [(f"{where} (self)", value.__self__), (f"{where} (function)", value.__func__)]
    if isinstance(value, partial):
        return [(f"{where} (arguments)", (value.func, value.args, value.keywords))]
    attributes = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot != "__dict__" and hasattr(value, slot):
                attributes[slot] = getattr(value, slot)
    return [(f"{where}.{key}", item) for key, item in attributes.items()]


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


CHECKS = (Check("access", access), Check("training data", training_data))
