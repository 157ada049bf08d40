"""Reading a result store: its runs, and the rows of their logs, as far as they got.

Nothing here needs torch or pandas. A directory that cannot be read is noted, never fatal.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from textbench.contracts.errors import UserError, one_line
from textbench.contracts.spec import Spec
from textbench.store import seal, verify
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.store.rows import (
    CHECKPOINT,
    EVALUATIONS,
    GENERATOR,
    METRICS,
    PREVIOUS,
    EpochRow,
    EvaluationRow,
    LaterRow,
    LossRow,
    Start,
    Status,
    values_of,
)

UNREADABLE = (OSError, UserError)
"""What reading a damaged record raises: every value is checked by `textbench.store.records`."""


@contextmanager
def noting(reasons: dict[str, str], name: str) -> Iterator[None]:
    """Go on after what cannot be read; why it cannot is noted in one line, under its name."""
    try:
        yield
    except UNREADABLE as error:
        reasons[name] = one_line(error)


@contextmanager
def naming(run: RunDirectory) -> Iterator[None]:
    """Turn what reading a damaged run raises into one line that names it.

    Raises:
        UserError: It is damaged.
    """
    try:
        yield
    except UNREADABLE as error:
        raise UserError(f"{run.name}: {one_line(error)}") from None


def damage(read: Callable[[], object]) -> str:
    """Say in one line why ``read`` cannot read a record; an empty string where it can."""
    reasons: dict[str, str] = {}
    with noting(reasons, "it"):
        read()
    return reasons.get("it", "")


@dataclass(frozen=True)
class RecordedRun:
    """One run as it lies on disk."""

    directory: RunDirectory
    spec: Spec
    status: Status
    starts: list[Start]
    hash: str
    group: str

    @property
    def name(self) -> str:
        """``task/algorithm/s<seed>-<hash8>``, and alpha where it is not 1."""
        alpha = self.spec.alpha
        short = f"{alpha:g}"
        shown = short if float(short) == alpha else repr(alpha)  # no two of one run are alike
        return self.directory.name if alpha == 1.0 else f"{self.directory.name} alpha={shown}"

    def evaluations(self) -> list[EvaluationRow]:
        """Return its own evaluations; the last one knows what was computed later.

        Of a row at another inverse temperature, the one evaluation of the finished generator.
        """
        found = self.directory.evaluations()
        if self.spec.alpha != 1.0:
            if not found:
                raise DamagedError(f"{METRICS} has no evaluation")
            return [_extended({**found[-1], "metrics": {}}, self._later())]
        if found and found[-1]["final"]:
            found[-1] = _extended(found[-1], self._later())
        return found

    def log(self) -> list[LossRow | EpochRow]:
        """Return its own training log."""
        if self.spec.alpha != 1.0:
            return []
        return self.directory.curve()

    def _later(self) -> list[LaterRow]:
        """Return what `textbench evaluate` put on record, the run's own sample size last."""
        mine = [row for row in self.directory.later() if row["alpha"] == self.spec.alpha]
        usual = self.spec.evaluation.get("final_samples")
        return sorted(mine, key=lambda row: bool(row["samples"] == usual))


def _extended(row: EvaluationRow, later: list[LaterRow]) -> EvaluationRow:
    """Return an evaluation with what it lacks a value of; of several later ones the last counts."""
    measured = values_of(row["metrics"])
    new = {n: one for row in later for n, one in row["metrics"].items() if n not in measured}
    return {**row, "metrics": {**row["metrics"], **new}}


class Found(NamedTuple):
    """What lies in one run directory."""

    name: str
    """The directory's, as text: the bytes of a folder's name may be none."""
    rows: tuple[RecordedRun, ...]
    """The run, and itself at other inverse temperatures that it was evaluated at."""
    reason: str = ""
    """Why there are none."""


class Results:
    """Every readable run of a directory, and what could not be read."""

    def __init__(self, found: Iterable[Found]) -> None:
        self.rows: list[RecordedRun] = []
        """The runs, each followed by itself at other inverse temperatures it was evaluated at."""
        self.runs: list[RecordedRun] = []
        self.unreadable: dict[str, str] = {}
        """Run name and the reason, one line each; grows while logs are read."""
        for one in found:
            self.rows += one.rows
            self.runs += one.rows[:1]
            if not one.rows:
                self.unreadable[one.name] = one.reason
        self._by_hash = {run.hash: run for run in reversed(self.runs)}

    def warmup_of(self, run: RecordedRun) -> RecordedRun | None:
        """Return the run that ``run`` started from, if it did and if it is in the store."""
        return self._by_hash.get(run.spec.warmup.hash) if run.spec.warmup else None


def read_store(directory: str | Path) -> Results:
    """Read every run's spec, status and environment; logs are read when asked for."""
    return Results(map(look, RunDirectory.find(Path(directory))))


def look(directory: RunDirectory) -> Found:
    """Read a run as of `read_run`; one that cannot be read is noted, not raised."""
    name = os.fsencode(directory.name).decode(errors="backslashreplace")
    try:
        run = read_run(directory)
    except UNREADABLE as error:
        return Found(name, (), one_line(error))
    return Found(name, (run, *_tempered(run)))


def read_run(directory: RunDirectory) -> RecordedRun:
    """Read a run's spec, status and environment, and whether they fit together.

    Raises:
        DamagedError: They do not, or are not what a run wrote; says what is wrong and what to do.
        UserError: The record is of another schema, or lies outside the store.
        OSError: It cannot be read.
    """
    directory.check_place("it is not read")
    spec, status = directory.spec(), directory.status()
    _check_folder(directory, spec)
    if status.status == "done" and (wrong := verify.contradiction(directory, spec.hash, status)):
        raise DamagedError(f"it is not done: {wrong}")
    starts = directory.starts()
    if any(row.get("run", spec.hash) != spec.hash for row in directory.later()):
        raise DamagedError(f"{EVALUATIONS} is another run's", "remove that file")
    return RecordedRun(directory, spec, status, starts, spec.hash, spec.group)


def _check_folder(directory: RunDirectory, spec: Spec) -> None:
    """Refuse a run that lies in another's place: a copy must not count as one more seed."""
    place = spec.directory(directory.store)
    if directory.path.name != place.name:
        raise DamagedError("its spec is another run's: the folder's name does not fit")
    if not directory.alone and directory.path.parts[-3:] != place.parts[-3:]:
        name = RunDirectory(place).name
        raise DamagedError(f"it is {name}, copied or moved", "move it back, or out of the store")


def problems(directory: RunDirectory) -> list[str]:
    """Read a whole run and say everything that is wrong with it, a line each."""
    try:
        return [line for line in _problems(directory) if line]
    except UNREADABLE as error:  # and nothing can be said of the rest
        return [one_line(error)]


def _problems(directory: RunDirectory) -> Iterator[str]:
    from textbench.store import kept  # which imports torch

    recorded = read_run(directory)
    spec, status = recorded.spec, recorded.status
    if status.status == "done":
        there = GENERATOR in status.checksums  # a published record may have left it behind
        yield verify.contradiction(directory, spec.hash, status, generator=there)
    else:
        for name in (CHECKPOINT, PREVIOUS):
            content = directory.content(name)
            wrong = seal.broken(content, spec.hash) if content else ""
            yield wrong and f"{name} {wrong}"
    directory.evaluations(), directory.curve()
    yield damage(lambda: verify.samples(directory, status))
    yield damage(lambda: kept.kept(directory.store, spec))


def _tempered(run: RecordedRun) -> list[RecordedRun]:
    """Return a run as it was evaluated at other inverse temperatures, by `textbench evaluate`."""
    try:
        alphas = {row["alpha"] for row in run.directory.later()}
    except UNREADABLE:
        return []
    specs = [replace(run.spec, alpha=a, warmup=None) for a in sorted(alphas - {1.0})]
    return [replace(run, spec=spec, hash=spec.hash, group=spec.group) for spec in specs]


def made_by(starts: Sequence[Start]) -> Sequence[Start]:
    """Return the starts that a run's numbers come from: those since it last began at step 0."""
    began = [number for number, start in enumerate(starts) if start.get("step") == 0]
    return starts[began[-1] :] if began else starts


def hardware(starts: Sequence[Start]) -> str:
    """Name what a run's seconds were measured on; empty where that is not one thing."""
    starts = made_by(starts)
    kinds = {tuple(str(start.get(key, "")) for key in ("cpu", "device")) for start in starts}
    threads = {start.get("threads") for start in starts}
    if len(kinds) != 1 or len(threads) != 1:
        return ""
    (cpu, device), (count,) = kinds.pop(), threads
    parts = (cpu, device if device != "cpu" else "", f"{count} thread(s)" if count else "")
    return ", ".join(part for part in parts if part)


def product_rate(starts: Sequence[Start]) -> float:
    """Return the floating-point operations per second of matrix products that a run's starts found.

    The median of its starts; NaN where none recorded it.
    """
    from statistics import median  # which imports random

    rates = [rate for start in made_by(starts) if (rate := start.get("product_rate", 0.0)) > 0]
    return median(rates) if rates else math.nan
