"""A task whose secrets are trapped: whoever reaches for the oracle or held-out data is noted."""

from __future__ import annotations

import traceback
from pathlib import Path

from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.backbone.ledger import counting
from textbench.contracts.config import Config
from textbench.contracts.task import Task

PUBLIC = (bool, int, str, type(None))


class TrappedTask(Task[Config]):
    """Looks like ``task`` to a run; the training sequences are drawn beforehand.

    Args:
        task: The real one. It stays usable through the trap, so that a trainer that peeks goes
            on and is caught by this check alone.
        seed: The run's.
    """

    def __init__(self, task: Task[Config], seed: int) -> None:
        self.caught: list[str] = []
        for name in {*dir(type(task)), *vars(task)}:
            value = getattr(type(task), name, None) if name not in vars(task) else vars(task)[name]
            if not name.startswith("_") and isinstance(value, PUBLIC) and name != "oracle":
                setattr(self, name, value)
        self._original = task.train(seed, 0)
        self._first_pass = self._original.clone()
        self._real = task

    @property
    def oracle(self) -> Generator | None:  # type: ignore[override]
        """A secret."""
        self._note("oracle")
        return self._real.oracle

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        self._note(name)
        return getattr(self._real, name)

    def _note(self, name: str) -> None:
        frame = traceback.extract_stack(limit=3)[0]
        self.caught.append(f"{name} at {Path(frame.filename).name}:{frame.lineno}")

    @property
    def was_changed(self) -> bool:
        """Whether the training sequences are no longer those that were drawn."""
        return not self._first_pass.equal(self._original)

    def fingerprint(self) -> str:
        """See `Task.fingerprint`."""
        return self._real.fingerprint()

    def train(self, seed: int, number: int) -> Tensor:
        """Return the sequences drawn beforehand, or a later pass of a task with fresh data."""
        return self._first_pass if number == 0 else self._real.train(seed, number).clone()

    def fresh(self, seed: int, number: int) -> Tensor:
        """Return the sequences drawn beforehand, or a later pass of fresh ones."""
        return self._first_pass if number == 0 else self._real.fresh(seed, number).clone()

    def train_size(self) -> int:
        """See `Task.train_size`."""
        return self._real.train_size()

    def validation(self) -> Tensor:
        """A secret."""
        self._note("validation()")
        with counting(None):  # drawn when first asked for, which is no cost of training
            return self._real.validation()

    def test(self) -> Tensor:
        """A secret."""
        self._note("test()")
        with counting(None):
            return self._real.test()

    def decode(self, tokens: Tensor) -> list[str]:
        """See `Task.decode`."""
        return self._real.decode(tokens)
