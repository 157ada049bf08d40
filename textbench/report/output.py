"""The report's folder: what is written into it, and what an earlier report left there."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from textbench.contracts.errors import UserError

MANIFEST = "manifest.json"
"""sha256 of every file that the report wrote, by name."""


class Output:
    """Files of one report; nothing touches the disk before `write`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, bytes] = {}

    def add(self, name: str, content: str | bytes) -> None:
        """Plan a file."""
        self._files[name] = content.encode() if isinstance(content, str) else content

    def write(self) -> list[Path]:
        """Write every file, each whole or not at all, the index first in the list returned.

        A file of the last report that this one lacks is removed, unless it was edited since.

        Raises:
            UserError: The folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            digests = {name: _digest(content) for name, content in self._files.items()}
            manifest = json.dumps(digests, indent=1, sort_keys=True) + "\n"
            for name, content in {**self._files, MANIFEST: manifest.encode()}.items():
                self._replace(self.folder / name, content)
        except OSError as error:
            raise UserError(f"cannot write the report to {self.folder}: {error}") from None
        return [self.folder / name for name in sorted(self._files, key=lambda n: n != "report.md")]

    def _remove_stale(self) -> None:
        manifest = self.folder / MANIFEST
        if not manifest.exists():
            return
        try:
            before: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8"))
        except ValueError:
            return
        for name in set(before) - set(self._files):
            path = self.folder / Path(name).name
            if path.is_file() and _digest(path.read_bytes()) == before[name]:
                path.unlink()

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(content)
        os.replace(temporary, path)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
