"""A worker on another machine: the same subprocess, in a folder of its own that is mirrored.

Nothing here knows by what means it is called; `textbench.run.cluster` makes an actor of it.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import textbench
from textbench.contracts.errors import UserError
from textbench.run import mirror
from textbench.run.limits import Terms
from textbench.run.local import WORKER, LocalProcess, worker_options
from textbench.run.mirror import Changes, Mirror
from textbench.store.directory import RunDirectory
from textbench.store.rows import StatusName

PREFIX = "textbench-run-"
LEFT = 86400.0
"""Seconds after which a folder that nobody has looked at was left behind by a host that died."""
LOOK = 0.3
"""Seconds that a look waits for the end of the worker."""


@dataclass(frozen=True)
class Order:
    """What a host is given to execute one run."""

    run: str
    """Its directory, below the worker's folder."""
    plugins: Sequence[str]
    """The user's plug-in files, likewise."""
    files: Mapping[str, bytes]
    """Those of the run, of the one it starts from, what the store keeps of the task's data, and the
    plug-ins: content by path below the worker's folder, as `mirror.write` takes it."""
    device: str
    terms: Terms
    left: float
    """Seconds until it must stop: clocks of two machines have different zeros."""
    environment: Mapping[str, str]
    """Variables for the worker where this machine has none of the name."""


@dataclass
class Look:
    """What a host has to tell of its worker."""

    changes: Changes
    code: int | None = None
    """The worker's exit code, or minus its signal, once it has ended."""
    reason: str = ""
    """Why it was stopped for its limits, if it was."""
    status: StatusName = "timeout"
    """What the run is then."""


@dataclass(frozen=True)
class Versions:
    """What must be the same on every machine, lest a number depend on where it was made."""

    textbench: str
    torch: str
    python: str
    host: str = field(default="", compare=False)

    @classmethod
    def here(cls) -> Versions:
        """Return those of this process."""
        import torch

        release = torch.__version__.partition("+")[0]  # behind it is what devices it was built for
        return cls(
            textbench.__version__,
            release,
            ".".join(map(str, sys.version_info[:2])),
            platform.node(),
        )

    def check(self, other: Versions) -> None:
        """Refuse a machine with other versions.

        Raises:
            UserError: It has; names them.
        """
        if self != other:
            differences = ", ".join(
                f"{name} {getattr(other, name)} (here {getattr(self, name)})"
                for name in ("textbench", "torch", "python")
                if getattr(self, name) != getattr(other, name)
            )
            raise UserError(f"node {other.host} has {differences}: install the same everywhere")


class Host:
    """Executes one run in a folder of this machine."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: LocalProcess | None = None
        self._mirror: Mirror | None = None
        self._last = (0, Look(Changes()))

    def versions(self) -> Versions:
        """Return what this machine has."""
        return Versions.here()

    def start(self, order: Order) -> None:
        """Lay out the run's files and start its worker.

        Raises:
            OSError: There is no room.
        """
        if self._folder is not None:  # asked again: the answer was lost on its way
            return
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        mirror.write(self._folder, order.files)
        directory = RunDirectory(self._folder / order.run)
        plugins = [str(self._folder / file) for file in order.plugins]
        terms = replace(order.terms, deadline=time.monotonic() + order.left)
        options = worker_options(order.device, plugins, terms)
        command = [*WORKER, str(directory.path), *options]
        self._mirror = Mirror(directory)
        new = {key: value for key, value in order.environment.items() if key not in os.environ}
        self._process = LocalProcess(directory, command, terms.limits, new)

    def look(self, number: int) -> Look:
        """Tell what the worker has written since the last look.

        Args:
            number: From 1 on, of this look; one that is repeated has the same answer.
        """
        if number != self._last[0]:
            self._last = (number, self._look())
        return self._last[1]

    def _look(self) -> Look:
        assert self._process and self._mirror and self._folder  # noqa: S101 - it was started
        os.utime(self._folder)
        waited = time.monotonic() + LOOK
        while (code := self._process.poll()) is None and time.monotonic() < waited:
            time.sleep(0.02)
        # The code is older than the changes: all that the worker wrote is in them.
        return Look(self._mirror.changes(), code, self._process.reason, self._process.status)

    def terminate(self) -> None:
        """Ask the worker for a checkpoint and its end."""
        if self._process is not None:
            self._process.terminate()

    def abandon(self) -> None:
        """End the worker and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(LOOK)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _sweep() -> None:
    """Remove the folders of hosts that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.lstat().st_mtime > LEFT:  # those of others stay: no permission
                shutil.rmtree(folder, ignore_errors=True)
