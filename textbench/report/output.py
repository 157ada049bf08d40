"""The report's folder: what is written into it, and what an earlier report left there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.store import files
from textbench.store.files import DamagedError

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
        for name, digest in self._before().items():
            path = self.folder / Path(name).name
            if name in self._files or not path.is_file():
                continue
            if _digest(path.read_bytes()) == digest:
                path.unlink()

    def _before(self) -> dict[str, str]:
        """Return the last report's manifest; that of something else is empty."""
        try:
            content = files.read_bytes(self.folder / MANIFEST, files.LARGEST)
            found = files.parse_object(content, MANIFEST)
        except (FileNotFoundError, DamagedError):
            return {}
        digests = {name: digest for name, digest in found.items() if isinstance(digest, str)}
        return digests if len(digests) == len(found) else {}

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
