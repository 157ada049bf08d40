"""The report's folder: what is written into it, and what an earlier report left there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from textbench.contracts.errors import UserError, one_line
from textbench.store import files
from textbench.store.files import DamagedError
from textbench.store.left import sweep

MANIFEST = "manifest.json"
"""sha256 of every file that the report wrote, by name."""
SHA256 = re.compile("[0-9a-f]{64}")


class Output:
    """Files of one report; under their own names nothing is there before `write`.

    As a context manager it removes, in the end, what was laid down and never taken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, bytes] = {}
        self._laid_down: dict[str, Path] = {}
        self._taken: dict[str, str] = {}

    def __enter__(self) -> Output:
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Remove what is left of large files."""
        for path in self._laid_down.values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def lay_down(self, name: str, make: Callable[[], Iterable[str]]) -> Callable[[], str]:
        """Plan a large file; what is returned, called in any process, writes it beside its name.

        It is made part by part, and need not be sent from there: what comes back is its sha256, for
        `take`.
        """
        path = self._laid_down[name] = files.temporary(self.folder / name)
        return partial(_lay_down, path, make)

    def take(self, name: str, digest: str) -> None:
        """Plan a file that was laid down."""
        self._taken[name] = digest

    def add(self, name: str, content: str | bytes) -> None:
        """Plan a file."""
        self._files[name] = content.encode() if isinstance(content, str) else content

    def write(self) -> list[Path]:
        """Write every file, each whole or not at all, the index first in the list returned.

        A file of the last report that this one lacks is removed, unless it was edited since.

        Raises:
            UserError: The folder cannot be written, or has files of such names by another hand.
        """
        digests = {name: _digest(content) for name, content in self._files.items()} | self._taken
        manifest = json.dumps(digests, indent=1, sort_keys=True) + "\n"
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            before = self._before()
            self._refuse_foreign(before, digests)
            self._remove_stale(before, digests)
            sweep(self.folder)  # of reports that were killed
            # First of all: what a report that is killed has written is the next one's own.
            self._replace(self.folder / MANIFEST, manifest.encode())
            for name in self._taken:
                os.replace(self._laid_down[name], self.folder / name)
            for name, content in self._files.items():
                self._replace(self.folder / name, content)
        names = sorted(digests, key=lambda name: name != "report.md")
        return [self.folder / name for name in names]

    def _refuse_foreign(self, before: dict[str, str], digests: dict[str, str]) -> None:
        """Refuse to write over what no report has written; an empty file is nobody's loss."""
        own = {MANIFEST, *before} if before else set()
        for name in sorted({MANIFEST, *digests} - own):
            path = self.folder / name
            if path.is_dir():
                raise IsADirectoryError(f"{path} is a folder")
            if path.is_file() and path.stat().st_size and not _is(path, digests.get(name)):
                raise UserError(
                    f"{path} is there already, and no `textbench report` has written it; name "
                    "another folder (--out), or remove it"
                )

    def _remove_stale(self, before: dict[str, str], digests: dict[str, str]) -> None:
        for name in before.keys() - digests.keys():
            path = self.folder / Path(name).name
            if path.is_file() and _is(path, before[name]):
                path.unlink()

    def _before(self) -> dict[str, str]:
        """Return the last report's manifest; that of something else is empty."""
        try:
            content = files.read_bytes(self.folder / MANIFEST, files.LARGEST)
            found = files.parse_object(content, MANIFEST)
        except (FileNotFoundError, DamagedError):
            return {}
        digests = {
            name: digest
            for name, digest in found.items()
            if isinstance(digest, str) and SHA256.fullmatch(digest)
        }
        return digests if len(digests) == len(found) else {}

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        temporary = files.temporary(path)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def _lay_down(path: Path, make: Callable[[], Iterable[str]]) -> str:
    digest = hashlib.sha256()
    with _writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for part in make():
                content = part.encode()
                digest.update(content)
                file.write(content)
    return digest.hexdigest()


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write the report to {folder}: {one_line(error)}") from None


def _is(path: Path, digest: str | None) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
