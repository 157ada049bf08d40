"""A folder of the store: JSON objects replaced whole, logs appended to line by line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from textbench.contracts.plain import JsonObject
from textbench.store import files
from textbench.store.files import DamagedError

T = TypeVar("T")


class Folder:
    """The files of a folder, by name.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: dict[str, int] = {}
        """How long the files are that this object has appended to."""

    def read_json(self, name: str) -> JsonObject:
        """Read a JSON object.

        Raises:
            DamagedError: The file holds none, or is missing.
            OSError: It cannot be read.
        """
        try:
            content = files.read_bytes(self.path / name, files.LARGEST)
        except FileNotFoundError:
            if self.path.name == "?":
                remedy = "see to its permissions"
                raise DamagedError(f"folder {self.path.parent} cannot be listed", remedy) from None
            raise DamagedError(f"{name} is missing") from None
        return files.parse_object(content, name)

    def write_json(self, name: str, data: Mapping[str, object]) -> None:
        """Write a JSON object by atomic replacement."""
        self.replace(name, files.to_json(data))

    def replace(self, name: str, content: bytes, keep: str = "") -> None:
        """Replace a file so that a reader or a crash sees the old or the new one, whole.

        Args:
            name: The file.
            content: Its new bytes.
            keep: What the old one is called from then on, if it stays.
        """
        for place in (name, keep):
            if place and (self.path / place).is_dir() and not (self.path / place).is_symlink():
                self.set_aside([place])  # nothing is written into a folder's place
        files.replace(self.path / name, content, keep=self.path / keep if keep else None)

    def append(self, name: str, row: Mapping[str, object]) -> None:
        """Append one JSON line, whole; what a crash left of another is taken back first.

        Raises:
            DamagedError: What was appended before is gone.
        """
        self._check_end(name)
        files.append_line(self.path / name, files.to_lines([row]))
        self._ends[name] = self.offset(name)

    def sync(self, *names: str) -> None:
        """Wait until these files are on the disk.

        Raises:
            DamagedError: What was appended to one of them is gone.
        """
        for name in names:
            self._check_end(name)
            files.sync(self.path / name)

    def _check_end(self, name: str) -> None:
        size, known = self.offset(name), self._ends.get(name, 0)
        if size < known:
            raise DamagedError(f"{name} has {size} bytes, {known} were written: somebody cut it")

    def content(self, name: str, most: int = -1) -> bytes:
        """Read a file, or its first ``most`` bytes; an absent one has none."""
        try:
            return files.read_start(self.path / name, most)
        except FileNotFoundError:
            return b""

    def rows(self, name: str) -> list[JsonObject]:
        """Read a JSON Lines file; see `checked`.

        Raises:
            DamagedError: A line is no JSON object; names it.
        """
        return self.checked(name, lambda row, what: row)

    def checked(
        self,
        name: str,
        check: Callable[[JsonObject, str], T],
        quick: Callable[[Sequence[bytes]], list[T] | None] = lambda lines: None,
    ) -> list[T]:
        """Read a JSON Lines file row by row.

        A last line without its newline was cut off by a crash and is left out, unless its checksum
        shows that it is whole.

        Args:
            name: The file.
            check: Is told a row and what to call it; returns it, or raises.
            quick: Returns the rows of sound lines, without more ado, or None: ``check`` decides.
        """
        content = self.content(name)
        *lines, last = content.split(b"\n")
        if files.is_whole(last):
            lines.append(last)
        found = quick(lines)
        if found is None:
            found = []
            for number, line in enumerate(lines, 1):
                what = f"{name} line {number}"
                found.append(check(files.parse_object(line, what), what))
        return found

    def offset(self, name: str) -> int:
        """Return a log's size in bytes."""
        path = self.path / name
        return path.lstat().st_size if os.path.lexists(path) else 0

    def truncate(self, name: str, offset: int) -> None:
        """Cut a log back to ``offset``, so that resumed rows are not doubled.

        Raises:
            DamagedError: It is shorter than that: bytes that a checkpoint counts are gone.
        """
        self._ends.pop(name, None)
        size = self.offset(name)
        if size < offset:
            raise DamagedError(f"{name} has {size} bytes, {offset} were recorded")
        if size > offset:
            with os.fdopen(files.open_safely(self.path / name, os.O_RDWR), "r+b") as handle:
                handle.truncate(offset)

    def set_aside(self, names: Sequence[str]) -> str:
        """Move files into a folder of their own in the directory; return its name."""
        there = [name for name in names if os.path.lexists(self.path / name)]
        if not there:
            return ""
        number = 1
        while os.path.lexists(self.path / f"aside-{number}"):
            number += 1
        aside = self.path / f"aside-{number}"
        aside.mkdir()
        for name in there:
            os.replace(self.path / name, aside / name)
            self._ends.pop(name, None)
        files.sync_folder(self.path)
        return aside.name
