"""The run directory: the only truth about a run. Its files are listed in `textbench.store.rows`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from textbench.contracts.errors import UserError, one_line
from textbench.contracts.spec import Spec
from textbench.store import quick, records
from textbench.store.files import DamagedError
from textbench.store.folder import Folder
from textbench.store.left import sweep
from textbench.store.lock import Lock
from textbench.store.rows import (
    CURVE,
    ENVIRONMENT,
    EVALUATIONS,
    FINISHED,
    METRICS,
    OWNER,
    SCHEMA,
    SPEC,
    STATUS,
    EpochRow,
    EvaluationRow,
    LaterRow,
    LossRow,
    Start,
    Status,
)

_RUN = re.compile(r"s\d+-[0-9a-f]{8}")
GONE = "its process is gone"
"""The reason of a run that says it is running, and is not."""


class RunDirectory(Folder):
    """The files of one run, and the only code that writes them.

    Args:
        path: Where it is.
        alone: Whether it was named by its path: then the folders above need not be a store's.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        super().__init__(path)
        self.alone = alone
        self._lock = Lock(path)

    @classmethod
    def find(cls, results: Path) -> Iterator[RunDirectory]:
        """Yield every run under ``results``, in a stable order; an absent store has none.

        A run whose spec is lost is one by its folder's name. A folder that cannot be listed is
        yielded as a run called ``?``: whoever reads it is told why.
        """
        folders = [results]
        for level in range(3):
            inside = [folder for folder in folders if folder.name == "?"]
            for folder in folders:
                try:
                    inside += map(Path, filter(_is_folder, os.scandir(folder)))
                except (FileNotFoundError, NotADirectoryError):
                    continue
                except OSError:
                    inside.append(folder / "?")
            folders = inside if level < 2 else [path for path in inside if _is_run(path)]
        for path in sorted(folders):
            yield cls(path)

    @property
    def name(self) -> str:
        """``task/algorithm/s<seed>-<hash8>``, what `textbench show` takes."""
        return "/".join(self.path.parts[-3:])

    @property
    def store(self) -> Path:
        """The store it lies in."""
        return self.path.parents[2] if len(self.path.parents) > 2 else self.path.parent

    # -- identity and status ---------------------------------------------------------------

    def create(self, spec: Spec) -> str:
        """Make the directory for ``spec``; an existing one keeps its first spec.

        Only where its plug-in files and its data are is brought up to date. A record that cannot be
        read, or that is another run's, is put aside.

        Returns:
            What was put aside and why, or an empty string.

        Raises:
            UserError: It would lie outside the store, or is of another schema.
            OSError: It cannot be written.
        """
        self.check_place(f"{self.name} would be written elsewhere")
        self.path.mkdir(parents=True, exist_ok=True)
        locked = self.is_locked()
        note = "" if locked else self._mend(spec)
        if not os.path.lexists(self.path / SPEC):
            self.write_json(SPEC, {**spec.to_json(), "hash": spec.hash, "schema": SCHEMA})
        elif not locked:
            self._follow(spec)
        if not os.path.lexists(self.path / STATUS):
            self.write_status(Status("queued", note=note))
        return note

    def _follow(self, spec: Spec) -> None:
        """Bring up to date where the files are that a run needs, if it is still to use them."""
        recorded = self.spec()
        moved = recorded
        if spec.plugins and not all(Path(file).is_file() for file in recorded.plugins):
            moved = replace(moved, plugins=spec.plugins)
        if spec.task_config != recorded.task_config and self.standing().status not in FINISHED:
            moved = replace(moved, task_config=spec.task_config, overrides=spec.overrides)
        if moved != recorded:
            self.write_json(SPEC, {**moved.to_json(), "hash": moved.hash, "schema": SCHEMA})

    def _mend(self, spec: Spec) -> str:
        """Put aside a spec that is no spec of this run, with everything that belongs to it."""
        if not os.path.lexists(self.path / SPEC):
            return ""
        try:
            recorded = self.spec()
        except DamagedError as error:
            self.set_aside([SPEC])
            return f"{error.wrong}: written anew"
        if recorded.hash == spec.hash:
            return ""
        inside = [entry.name for entry in os.scandir(self.path)]
        ours = [name for name in inside if not name.startswith(("lock", "owner", "aside-"))]
        self.set_aside(ours)
        return "the folder held another run's record: put aside, started"

    def spec(self) -> Spec:
        """Read ``spec.json``.

        Raises:
            DamagedError: It is not what a run wrote.
            UserError: The record is of another schema.
        """
        data = self.read_json(SPEC)
        if "schema" not in data and "hash" not in data:  # 0.1.0 wrote none of the first
            raise DamagedError(f"{SPEC} is no spec: it has neither schema nor hash")
        check_schema(data.get("schema", 1))
        spec = records.spec(data)
        try:
            fits = data.get("hash") == spec.hash
        except (ValueError, RecursionError):
            raise DamagedError(f"{SPEC} is nested too deeply") from None
        if not fits:
            raise DamagedError(f"{SPEC} was edited: its hash does not fit")
        return spec

    def status(self) -> Status:
        """Read ``status.json``; a running run whose process is gone reads as interrupted.

        Raises:
            DamagedError: It is not what a run wrote.
        """
        if not os.path.lexists(self.path / STATUS):
            return Status("queued")
        status = self._status()
        if status.status == "running" and not self.is_locked():
            # It may have ended between the two looks: what it wrote last counts.
            status = self._status()
            if status.status == "running":
                status.status, status.reason = "interrupted", GONE
        return status

    def _status(self) -> Status:
        return records.status(self.read_json(STATUS))

    def standing(self) -> Status:
        """Return the status, or an interrupted one that says why it cannot be read."""
        try:
            return self.status()
        except (OSError, UserError) as error:
            return Status("interrupted", reason=one_line(error))

    def write_status(self, status: Status) -> None:
        """Replace ``status.json`` atomically."""
        status.heartbeat = time.time()
        self.write_json(STATUS, asdict(status))

    def check_place(self, complaint: str) -> None:
        """Refuse a directory that a symbolic link in the store leads out of it.

        Raises:
            UserError: It does; says where to.
        """
        path = Path(os.path.abspath(self.path))
        found = path.resolve()
        if len(path.parts) > 3 and found != path.parents[2].resolve().joinpath(*path.parts[-3:]):
            raise UserError(f"{complaint}: a symbolic link in the store leads to {found}")

    # -- the lock --------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Take the lock for this process; False if another live process holds it."""
        if not self._lock.acquire():
            return False
        sweep(self.path, lambda name: name not in (STATUS, OWNER))  # which engines write as well
        return True

    def release(self) -> None:
        """Let go of the lock."""
        self._lock.release()

    def is_locked(self) -> bool:
        """Tell whether a live process holds the lock."""
        try:
            return self._lock.is_held()
        except OSError:
            return False

    def is_lost(self) -> bool:
        """Tell whether another process has taken over, because ours seemed dead."""
        return self._lock.lost()

    def check_lock(self) -> None:
        """Refuse to go on when another process has taken over, because ours seemed dead.

        Raises:
            UserError: It has.
        """
        if self.is_lost():
            raise UserError("another process has taken this run over")

    # -- the logs --------------------------------------------------------------------------

    def append(self, name: str, row: Mapping[str, object]) -> None:
        """Append one JSON line, unless the run is another process's by now.

        Raises:
            UserError: It is.
        """
        self.check_lock()
        super().append(name, row)

    def evaluations(self) -> list[EvaluationRow]:
        """Read the evaluations made during training."""
        return self.checked(METRICS, records.evaluation, quick.evaluations)

    def later(self) -> list[LaterRow]:
        """Read the evaluations made by `textbench evaluate`."""
        try:
            return self.checked(EVALUATIONS, records.later)
        except DamagedError as error:
            remedy = "remove that file and repeat `textbench evaluate`"
            raise DamagedError(error.wrong, remedy) from None

    def curve(self) -> list[LossRow | EpochRow]:
        """Read the training log."""
        return self.checked(CURVE, records.log_entry, quick.log_entries)

    def starts(self) -> list[Start]:
        """Read what the run was made with, start by start; empty where it has not started."""
        if not os.path.lexists(self.path / ENVIRONMENT):
            return []
        try:
            return records.starts(self.read_json(ENVIRONMENT))
        except DamagedError as error:  # training again is not what a finished run lacks
            remedy = "remove that file: no number is in it, only what the run was made with"
            raise DamagedError(error.wrong, remedy) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symbolic link that leads to itself leads nowhere
        return False


def _is_run(path: Path) -> bool:
    return bool(_RUN.fullmatch(path.name)) or path.name == "?" or os.path.lexists(path / SPEC)


def check_schema(schema: object) -> None:
    """Refuse a record that is older or newer than what this version reads and writes.

    Raises:
        UserError: It is; says what to do.
    """
    if schema == SCHEMA:
        return
    if type(schema) is not int or schema < 1:
        raise DamagedError(f"{SPEC}: schema is {schema!r}, which is none")
    old, new = "`textbench convert STORE` brings it up to date", "it was made by a newer textbench"
    hint = old if schema < SCHEMA else new
    raise UserError(f"a record of schema {schema}, and this version has {SCHEMA}: {hint}")
