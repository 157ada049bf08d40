"""Where tasks are tried: built again and again, with their data copied."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from textbench.check.promise import Violation, expect
from textbench.contracts.config import Config
from textbench.contracts.errors import UserError, shown
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.returned import wrong_task
from textbench.contracts.task import Task
from textbench.plan.blame import raised
from textbench.run import checkpoint


@dataclass
class Record:
    """The task, built once, and its sequences."""

    task: Task[Config]
    fingerprint: str
    splits: dict[str, Tensor]
    """``train``, ``test`` and, where there is one, ``validation``, copied."""
    world: dict[str, object] = field(default_factory=dict)
    """The global random state before and after."""

    @property
    def summary(self) -> str:
        """Sizes, in one line."""
        sizes = " / ".join(f"{len(tokens):,}" for tokens in self.splits.values())
        return f"V = {self.task.vocab_size:,}, T = {self.task.length}, {sizes} sequences"


class Laboratory:
    """Builds one task again and again.

    Args:
        kind: The task.
        config: Its options.
        folder: Where files may be written.
        plugins: Files that define it.
    """

    def __init__(
        self, kind: type[Task[Config]], config: Config, folder: Path, plugins: Sequence[Path]
    ) -> None:
        self.kind, self.config, self.folder, self.plugins = kind, config, folder, plugins

    def build(self, config: Config | None = None, world: int = 0) -> Task[Config]:
        """Return a fresh one.

        Args:
            config: Options, if not the usual ones.
            world: Seed of the global random generators, which should not matter.
        """
        checkpoint.seed_global_random(world)
        return self.kind(config or self.config)

    def reference(self) -> Record:
        """Build it and ask for everything.

        Raises:
            Violation: It raises an exception.
        """
        where = "building it"
        before = checkpoint.global_random_state()
        try:
            checkpoint.seed_global_random(0)
            start = checkpoint.global_random_state()
            task = self.kind(self.config)
            expect(wrong_task(task))
            where = "asking for its data"
            found = Record(task, task.fingerprint(), splits(task))
            found.world = {"before": start, "after": checkpoint.global_random_state()}
            return found
        except (UserError, Violation):
            raise
        except Exception as error:
            raise Violation(
                f"{where} raised {raised(error)}",
                "a task with these options, or a UserError that says what they should be",
            ) from error
        finally:
            checkpoint.restore_global_random_state(before)


def splits(task: Task[Config]) -> dict[str, Tensor]:
    """Return copies of a task's sequences, of one seed."""
    found = {"train": task.train(0, 0), **not_for_training(task)}
    for name, tokens in found.items():
        if not isinstance(tokens, Tensor):
            raise Violation(f"{name} is {shown(tokens)}", f"a tensor (N, {task.length}), int64")
    return {name: tokens.clone() for name, tokens in found.items()}


def not_for_training(task: Task[Config]) -> dict[str, Tensor]:
    """Return the sequences that no trainer may see; a task may have none for validation."""
    found = {}
    with suppress(NotApplicableError):
        found["validation"] = task.validation()
    return {**found, "test": task.test()}
