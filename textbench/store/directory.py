"""The run directory: the only truth about a run.

====================  ===========================================================================
``spec.json``         the spec, labels included (`textbench.contracts.spec.Spec`)
``env.json``          versions, commit, machine, threads, trainer code hash; one entry per start
``curve.jsonl``       training log, append-only; rows of ``kind`` "loss" and "epoch"
``metrics.jsonl``     evaluations, append-only
``checkpoint.pt``     atomically replaced; holds the random streams and the logs' offsets
``generator.pt``      the final generator's state
``samples.txt``       decoded samples of the final generator
``log.txt``           what the run printed, with tracebacks
``status.json``       atomically replaced heartbeat (`Status`)
``lock``              held by the live process; the kernel lets go of it when that process dies
====================  ===========================================================================

A row of ``metrics.jsonl``::

    {"step": 3120, "phase": "mle", "epoch": 20, "final": false,
     "ledger": {"generator_updates": 3120, ...}, "seconds": 61.2, "cpu_seconds": 60.9,
     "values": {"nll_test": 7.66, "nll_oracle": null}, "reasons": {"nll_oracle": "no oracle"},
     "protocols": {"nll_test": "nll_test/1 n=9984", ...}}

Rows of ``curve.jsonl``::

    {"kind": "loss", "step": 10, "phase": "mle", "epoch": 0, "values": {"loss": 8.41}}
    {"kind": "epoch", "step": 156, "phase": "mle", "epoch": 1, "seconds": 5.1,
     "cpu_seconds": 5.0, "ledger": {...}}

``epoch`` counts finished epochs of phases that train the generator, the warm-up's included; a
"loss" row has the number finished before its last step, an evaluation within an epoch a
fraction. ``seconds`` of an "epoch" row is that
epoch's training time, evaluation excluded; ``ledger`` and ``seconds`` of an evaluation are
cumulative and include the warm-up's.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

from textbench.contracts.spec import Spec

StatusName = Literal["queued", "running", "done", "failed", "diverged", "timeout", "interrupted"]
FINISHED: frozenset[StatusName] = frozenset({"done", "diverged"})
"""Repeating the command does not touch these; every other state is resumed."""


@dataclass
class Status:
    """Where a run stands."""

    status: StatusName
    reason: str = ""
    """Why, for everything but queued, running and done; the last line of a traceback."""
    phase: str = ""
    step: int = 0
    total: int = 0
    rate: float = 0.0
    """Training steps per second of wall time, lately."""
    eta: float = 0.0
    """Estimated seconds of wall time to the end, evaluations included."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The newest evaluation's finite values."""
    heartbeat: float = 0.0
    """Unix time of writing."""
    pid: int = 0
    device: str = ""
    resumed: int = 0
    """How often the run was picked up from a checkpoint."""
    traceback: str = ""


class RunDirectory:
    """The files of one run, and the only code that writes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @classmethod
    def find(cls, results: Path) -> Iterator[RunDirectory]:
        """Yield every run under ``results``, in a stable order; an absent store has none."""
        for spec in sorted(results.glob("*/*/*/spec.json")):
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
        if not (self.path / "spec.json").exists():
            self.write_json("spec.json", {**spec.to_json(), "hash": spec.hash})
        elif spec.plugins and not all(Path(file).is_file() for file in self.spec().plugins):
            moved = replace(self.spec(), plugins=spec.plugins)
            self.write_json("spec.json", {**moved.to_json(), "hash": moved.hash})
        if not (self.path / "status.json").exists():
            self.write_status(Status("queued"))

    def spec(self) -> Spec:
        """Read ``spec.json``."""
        data = self.read_json("spec.json")
        data.pop("hash", None)
        return Spec.from_json(data)

    def status(self) -> Status:
        """Read ``status.json``; a running run whose process is gone reads as interrupted."""
        if not (self.path / "status.json").exists():
            return Status("queued")
        status = Status(**self.read_json("status.json"))
        if status.status == "running" and not self.is_locked():
            # It may have ended between the two looks: what it wrote last counts.
            status = Status(**self.read_json("status.json"))
            if status.status == "running":
                status.status, status.reason = "interrupted", "its process is gone"
        return status

    def write_status(self, status: Status) -> None:
        """Replace ``status.json`` atomically."""
        status.heartbeat = time.time()
        self.write_json("status.json", asdict(status))

    # -- the lock --------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Take the lock for this process; False if another live process holds it."""
        handle = open(self.path / "lock", "a", encoding="utf-8")  # noqa: SIM115 - kept open
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
        if not (self.path / "lock").exists():
            return False
        try:
            with open(self.path / "lock", encoding="utf-8") as handle:
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
