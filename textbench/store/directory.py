"""The run directory: the only truth about a run. Its files are listed in `textbench.store.rows`."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.store.rows import LOCK, SCHEMA, SPEC, STATUS, Status


class RunDirectory:
    """The files of one run, and the only code that writes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @classmethod
    def find(cls, results: Path) -> Iterator[RunDirectory]:
        """Yield every run under ``results``, in a stable order; an absent store has none."""
        for spec in sorted(results.glob(f"*/*/*/{SPEC}")):
            yield cls(spec.parent)

    @property
    def name(self) -> str:
        """``task/algorithm/s<seed>-<hash8>``, what `textbench show` takes."""
        return "/".join(self.path.parts[-3:])

    # -- identity and status ---------------------------------------------------------------

    def create(self, spec: Spec) -> None:
        """Make the directory for ``spec``; an existing one keeps its first spec.

        Only where its plug-in files are: those that are no longer there give way to ``spec``'s.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / SPEC).exists():
            self.write_json(SPEC, {**spec.to_json(), "hash": spec.hash, "schema": SCHEMA})
        elif spec.plugins and not all(Path(file).is_file() for file in self.spec().plugins):
            moved = replace(self.spec(), plugins=spec.plugins)
            self.write_json(SPEC, {**moved.to_json(), "hash": moved.hash, "schema": SCHEMA})
        if not (self.path / STATUS).exists():
            self.write_status(Status("queued"))

    def spec(self) -> Spec:
        """Read ``spec.json``.

        Raises:
            UserError: The record is of another schema.
        """
        data = self.read_json(SPEC)
        check_schema(data.pop("schema", 1))
        data.pop("hash", None)
        return Spec.from_json(data)

    def status(self) -> Status:
        """Read ``status.json``; a running run whose process is gone reads as interrupted."""
        if not (self.path / STATUS).exists():
            return Status("queued")
        status = Status(**self.read_json(STATUS))
        if status.status == "running" and not self.is_locked():
            # It may have ended between the two looks: what it wrote last counts.
            status = Status(**self.read_json(STATUS))
            if status.status == "running":
                status.status, status.reason = "interrupted", "its process is gone"
        return status

    def write_status(self, status: Status) -> None:
        """Replace ``status.json`` atomically."""
        status.heartbeat = time.time()
        self.write_json(STATUS, asdict(status))

    # -- the lock --------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Take the lock for this process; False if another live process holds it."""
        handle = open(self.path / LOCK, "a", encoding="utf-8")  # noqa: SIM115 - kept open
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return False
        self._lock = handle
        return True

    def release(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_locked(self) -> bool:
        """Tell whether a live process holds the lock."""
        if self._lock is not None:
            return True
        if not (self.path / LOCK).exists():
            return False
        try:
            with open(self.path / LOCK, encoding="utf-8") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

    # -- files -----------------------------------------------------------------------------

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object."""
        with open(self.path / name, encoding="utf-8") as handle:
            data: dict[str, Any] = json.load(handle)
        return data

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a JSON object by atomic replacement."""
        self.replace(name, (json.dumps(data, indent=1, sort_keys=True) + "\n").encode())

    def replace(self, name: str, content: bytes) -> None:
        """Replace a file so that a reader or a crash sees the old or the new one, whole."""
        temporary = self.path / f".{name}.{os.getpid()}"
        with open(temporary, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, self.path / name)

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Append one JSON line and flush it to the disk's cache."""
        with open(self.path / name, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(row, allow_nan=False) + "\n")

    def rows(self, name: str, containing: str = "") -> list[dict[str, Any]]:
        """Read a JSON Lines file; a last line cut off by a crash is left out.

        Lines without the text ``containing``, as `append` writes it, are not even parsed.
        """
        path = self.path / name
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1] if containing in line]

    def offset(self, name: str) -> int:
        """Return a log's size in bytes."""
        path = self.path / name
        return path.stat().st_size if path.exists() else 0

    def truncate(self, name: str, offset: int) -> None:
        """Cut a log back to ``offset``, so that resumed rows are not doubled."""
        path = self.path / name
        if path.exists():
            os.truncate(path, offset)


def check_schema(schema: object) -> None:
    """Refuse a record that is older or newer than what this version reads and writes.

    Raises:
        UserError: It is; says what to do.
    """
    if schema == SCHEMA:
        return
    if isinstance(schema, int) and 0 < schema < SCHEMA:
        hint = "`textbench convert STORE` brings it up to date"
    else:
        hint = "it was made by a newer textbench"
    raise UserError(f"a record of schema {schema}, and this version has {SCHEMA}: {hint}")
