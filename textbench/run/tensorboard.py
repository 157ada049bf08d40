"""TensorBoard's view of runs: scalars written beside the store, from what the logs say.

Whoever draws them only reads the record: no number of a run can depend on it, and nothing of it is
in a store. So runs that were finished before have their curves as well.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.store.directory import RunDirectory
from textbench.store.read import UNREADABLE
from textbench.store.rows import values_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVERY = 5.0
"""Seconds between two looks at the logs of active runs."""
SUFFIX = ".textbench"
"""Of our event files: only those are replaced."""

Point = tuple[str, float, int]
"""Tag, value and training step."""


class Scalars:
    """Writes the logs of runs as event files, ``FOLDER/task/algorithm/s<seed>-<hash8>``.

    Args:
        folder: Where they go.
        results: The store.

    Raises:
        UserError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, results: Path) -> None:
        if find_spec("tensorboard") is None:
            raise UserError("--tensorboard needs an extra: pip install 'textbench[tensorboard]'")
        self.folder, self.results = folder, results
        self._writers: dict[str, SummaryWriter] = {}
        self._written: dict[str, list[int]] = {}
        """How many points of each of a run's logs have been written."""
        self._looked = 0.0

    def tick(self, active: Sequence[Spec]) -> None:
        """Write what is new of the active runs, every few seconds."""
        now = time.monotonic()
        if now - self._looked >= EVERY:
            self._looked = now
            for spec in active:
                self.update(spec)

    def update(self, spec: Spec) -> None:
        """Write what is new of a run; all of it, if it has been started again."""
        directory = RunDirectory(spec.directory(self.results))
        try:
            found = [list(losses(directory)), list(evaluations(directory))]
        except UNREADABLE:  # whoever trains or reads the run says what is wrong with it
            return
        name = directory.name
        sizes = [len(log) for log in found]
        before = self._written.get(name, [0, 0])
        if name not in self._writers or any(a < b for a, b in zip(sizes, before, strict=True)):
            self._open(name)
            before = [0, 0]
        writer = self._writers[name]
        for log, written in zip(found, before, strict=True):
            for tag, value, step in log[written:]:
                writer.add_scalar(tag, value, step)
        self._written[name] = sizes
        writer.flush()

    def _open(self, name: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if name in self._writers:
            self._writers[name].close()
        for old in (self.folder / name).glob(f"events.out.tfevents.*{SUFFIX}"):
            with contextlib.suppress(OSError):
                old.unlink()
        self._writers[name] = SummaryWriter(str(self.folder / name), filename_suffix=SUFFIX)

    def close(self) -> None:
        """Close every file."""
        for writer in self._writers.values():
            writer.close()


def losses(directory: RunDirectory) -> Iterator[Point]:
    """Yield a run's training log.

    Raises:
        DamagedError: A log is not what a run wrote.
        OSError: It cannot be read.
    """
    for row in directory.curve():
        if row["kind"] == "loss":
            for name, value in row["values"].items():
                if value is not None:
                    yield f"train/{name}", value, row["step"]
        else:
            yield "epoch/seconds", row["seconds"], row["step"]


def evaluations(directory: RunDirectory) -> Iterator[Point]:
    """Yield a run's evaluations.

    Raises:
        DamagedError: A log is not what a run wrote.
        OSError: It cannot be read.
    """
    for evaluation in directory.evaluations():
        for name, value in values_of(evaluation["metrics"]).items():
            yield f"evaluation/{name}", value, evaluation["step"]
