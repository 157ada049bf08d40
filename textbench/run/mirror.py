"""A run directory on another machine, and its copy in the store, without a shared file system.

The worker's side tells what has changed since it last told, the store's side does the same to its
copy, in an order in which it could be stopped anywhere: logs before the checkpoint that counts
them, the status after what it speaks of.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from textbench.store import files
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError, checksum
from textbench.store.rows import (
    CHECKPOINT,
    CURVE,
    ENVIRONMENT,
    EVALUATIONS,
    GENERATOR,
    METRICS,
    PREVIOUS,
    PRINTED,
    SAMPLES,
    SPEC,
    STATUS,
)

GROWING = (CURVE, METRICS, EVALUATIONS, PRINTED)
"""What is appended to: only the new bytes travel."""
TOLD = (STATUS, CHECKPOINT, GENERATOR, SAMPLES, ENVIRONMENT, *GROWING)
"""What the worker's side looks at, in this order: what is told of a file is never newer than what
is told of those behind it, which it speaks of."""
SENT = (SPEC, PREVIOUS, *TOLD)
"""What a worker needs of a run to go on."""
_ASIDE = re.compile(r"aside-\d+/[^/\\\0.][^/\\\0]*")

Mark = tuple[int, int, int]
"""Inode, size and date: a file in which they are the same was not written."""


@dataclass
class Changes:
    """What has happened to a run directory."""

    whole: dict[str, bytes] = field(default_factory=dict)
    """Files with new content."""
    grown: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Files with new bytes from an offset on."""
    gone: list[str] = field(default_factory=list)


def contents(directory: RunDirectory) -> dict[str, bytes]:
    """Read all that a worker needs of a run; what is no file is put aside first.

    Folders of what was put aside before are among it, empty: a new one is to have another name.
    Only the holder of the run's lock may call this.
    """
    found = {}
    for name in SENT:
        try:
            if os.path.lexists(directory.path / name):
                found[name] = directory.content(name)
        except DamagedError:
            directory.set_aside([name])
    return found | {f"{path.name}/": b"" for path in directory.path.glob("aside-*")}


def finished(directory: RunDirectory) -> dict[str, bytes]:
    """Read what others need of a run that is done.

    Raises:
        DamagedError: Something else is in the place of one of its files.
    """
    names = (SPEC, STATUS, GENERATOR, SAMPLES, CURVE, METRICS)
    return {name: directory.content(name) for name in names if (directory.path / name).exists()}


def write(folder: Path, content: Mapping[str, bytes]) -> None:
    """Lay files out below a folder; a name that ends in a slash is that of a folder."""
    for name, data in content.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


class Mirror:
    """The worker's side: tells what has changed.

    Args:
        directory: The worker's run, as `write` made it.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self._marks: dict[str, Mark] = {}
        self._told: dict[str, tuple[int, str]] = {}
        """Size and checksum of what was told of a growing file."""
        self.changes()

    def changes(self) -> Changes:
        """Return what has changed since the last call."""
        found = Changes()
        for name in (*TOLD, *self._asides()):
            mark = self._mark(name)
            if mark is None or mark == self._marks.get(name):
                continue
            try:
                content = files.read_bytes(self.directory.path / name)
            except FileNotFoundError:  # it went between the two looks
                continue
            self._marks[name] = mark
            if name in GROWING:
                self._grow(found, name, content)
            else:
                found.whole[name] = content
        found.gone = [name for name in (*TOLD, PREVIOUS) if self._mark(name) is None]
        return found

    def _grow(self, found: Changes, name: str, content: bytes) -> None:
        size, known = self._told.get(name, (0, checksum(b"")))
        if len(content) >= size and checksum(content[:size]) == known:
            found.grown[name] = (size, content[size:])
        else:  # it was taken back, or begun again
            found.whole[name] = content
        self._told[name] = (len(content), checksum(content))

    def _asides(self) -> Iterator[str]:
        for path in self.directory.path.glob("aside-*/*"):
            if path.is_file() and not path.is_symlink():
                yield f"{path.parent.name}/{path.name}"

    def _mark(self, name: str) -> Mark | None:
        try:
            found = os.lstat(self.directory.path / name)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def apply(directory: RunDirectory, changes: Changes) -> None:
    """Do to the store's copy what has happened to the worker's.

    Only the holder of the run's lock may call this.

    Raises:
        DamagedError: A file is named that no run has, or the copy is not what it was.
        OSError: The store cannot be written.
    """
    directory.check_lock()
    for name in (*changes.whole, *changes.grown, *changes.gone):
        if name not in (PREVIOUS, *TOLD) and not _ASIDE.fullmatch(name):
            raise DamagedError(f"a worker tells of {name!r}, which no worker writes")
    for name in sorted(changes.whole, key=_order):
        (directory.path / name).parent.mkdir(exist_ok=True)
        if name in (CHECKPOINT, STATUS):
            _append(directory, changes)
            directory.sync(CURVE, METRICS)
        keep = PREVIOUS if name == CHECKPOINT else ""
        directory.replace(name, changes.whole[name], keep=keep)
    _append(directory, changes)
    for name in changes.gone:
        (directory.path / name).unlink(missing_ok=True)


def _order(name: str) -> int:
    """Files put aside first, then logs, the checkpoint, and the status last."""
    return -TOLD.index(name) if name in TOLD else -len(TOLD)


def _append(directory: RunDirectory, changes: Changes) -> None:
    while changes.grown:
        name, (offset, content) = changes.grown.popitem()
        path: Path = directory.path / name
        with os.fdopen(files.open_safely(path, os.O_RDWR | os.O_CREAT), "r+b") as handle:
            size = handle.seek(0, os.SEEK_END)
            if size < offset:
                raise DamagedError(f"{name} has {size} bytes, {offset} were written")
            handle.truncate(offset)
            handle.seek(offset)
            handle.write(content)
