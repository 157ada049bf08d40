"""Reading a result store: runs, their evaluations and their logs, as far as they got.

Nothing here needs torch or pandas. A directory that cannot be read is noted, never fatal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, TypeVar, cast

from textbench.contracts.errors import UserError
from textbench.contracts.number import Number
from textbench.contracts.spec import Spec
from textbench.store import verify
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError, one_line
from textbench.store.rows import (
    CURVE,
    METRICS,
    EpochRow,
    EvaluationRow,
    LaterRow,
    LossRow,
    Measurement,
    Status,
)

T = TypeVar("T")
UNREADABLE = (OSError, UserError)
"""What reading a damaged record raises: every value is checked by `textbench.store.records`."""


@dataclass(frozen=True)
class RecordedRun:
    """One run as it lies on disk."""

    directory: RunDirectory
    spec: Spec
    status: Status
    env: dict[str, Any]
    hash: str
    group: str

    @property
    def name(self) -> str:
        """``task/algorithm/s<seed>-<hash8>``, and alpha where it is not 1."""
        alpha = self.spec.alpha
        return self.directory.name if alpha == 1.0 else f"{self.directory.name} alpha={alpha:g}"


@dataclass(frozen=True, slots=True)
class Moment:
    """One evaluation of a run, or of its warm-up."""

    phase: str = ""
    step: int = 0
    epoch: float = 0
    final: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    ledger: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    """NaN where the metric does not apply."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    protocols: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, Number] = field(default_factory=dict)
    """What is known of each, besides its value."""
    warmup: bool = False

    def has(self, *metrics: str) -> bool:
        """Tell whether all of ``metrics`` have a value."""
        return all(math.isfinite(self.values.get(metric, math.nan)) for metric in metrics)

    def missing(self, *metrics: str) -> str:
        """Say why the first of ``metrics`` that has no value has none."""
        absent = next(metric for metric in metrics if not self.has(metric))
        return self.reasons.get(absent) or f"{absent} was not computed"

    def protocol(self, *metrics: str) -> str:
        """Name how ``metrics`` were made."""
        if len(metrics) == 1:
            return self.protocols.get(metrics[0], "")
        return " + ".join(self.protocols.get(metric, "") for metric in metrics)

    def sum(self, *metrics: str) -> float:
        """Add ``metrics`` up."""
        return sum(self.values[metric] for metric in metrics)


class Epoch(NamedTuple):
    """One epoch of the training log."""

    phase: str
    epoch: int
    """Finished epochs of generator training, this one included if it is one."""
    seconds: float
    cpu_seconds: float
    warmup: bool


class LogEntry(NamedTuple):
    """One row of the training log."""

    kind: str
    phase: str
    step: int
    epoch: int
    values: Mapping[str, float]
    warmup: bool


class Results:
    """Every readable run of a directory, and what could not be read."""

    def __init__(self, runs: list[RecordedRun], unreadable: dict[str, str]) -> None:
        self.runs = runs
        self.rows = [row for run in runs for row in (run, *_tempered(run))]
        """The runs, each followed by itself at other inverse temperatures it was evaluated at."""
        self.unreadable = unreadable
        """Run name and the reason, one line each; grows while logs are read."""
        self._by_hash = {run.hash: run for run in reversed(runs)}
        self._parsed: dict[tuple[str, str], list[Any]] = {}
        self._evaluations: dict[str, list[Moment]] = {}

    def number(self, metric: str) -> Number:
        """Return what the record says of a metric's number; the last run that has it decides."""
        for run in reversed(self.rows):
            for moment in reversed(self.evaluations(run)):
                if metric in moment.numbers:
                    return moment.numbers[metric]
        return Number(metric, "none", "", "")

    def warmup_of(self, run: RecordedRun) -> RecordedRun | None:
        """Return the run that ``run`` started from, if it did and if it is in the store."""
        return self._by_hash.get(run.spec.warmup.hash) if run.spec.warmup else None

    def evaluations(self, run: RecordedRun) -> list[Moment]:
        """Return a run's evaluations, its warm-up's first; those are flagged and never final."""
        if run.name not in self._evaluations:
            before = self._warmup(run, _evaluations)
            flagged = [replace(moment, warmup=True, final=False) for moment in before]
            self._evaluations[run.name] = flagged + self._own(run, _evaluations)
        return self._evaluations[run.name]

    def epochs(self, run: RecordedRun) -> list[Epoch]:
        """Return the epochs of a run's training log, its warm-up's first."""
        before = [epoch._replace(warmup=True) for epoch in self._warmup(run, _epochs)]
        return before + self._own(run, _epochs)

    def log(self, run: RecordedRun) -> list[LogEntry]:
        """Return a run's whole training log, its warm-up's first."""
        before = [entry._replace(warmup=True) for entry in self._warmup(run, _log)]
        return before + self._own(run, _log)

    def logged(self, run: RecordedRun, name: str) -> list[tuple[int, float]]:
        """Return (epoch, value) of each entry of a logged quantity, without the warm-up's."""

        def entries(directory: RunDirectory) -> list[tuple[int, float]]:
            rows = directory.curve(containing=json.dumps(name))
            losses = [row for row in rows if row["kind"] == "loss" and name in row["values"]]
            return [(row["epoch"], _numbers(row["values"])[name]) for row in losses]

        return self._read(run, f"{CURVE}: {name}", entries)

    def _warmup(self, run: RecordedRun, read: Callable[[RunDirectory], list[T]]) -> list[T]:
        warmup = self.warmup_of(run)
        return self._own(warmup, read) if warmup else []

    def _own(self, run: RecordedRun, read: Callable[[RunDirectory], list[T]]) -> list[T]:
        if run.spec.alpha != 1.0:
            if read is not _evaluations:
                return []
            return cast(list[T], self._read(run, METRICS, lambda _: [_again(run)]))
        file = METRICS if read is _evaluations else CURVE
        return self._read(run, f"{file}: {read.__name__.strip('_')}", read)

    def _read(
        self, run: RecordedRun, what: str, read: Callable[[RunDirectory], list[T]]
    ) -> list[T]:
        """Parse once; a run whose log is broken is noted and counts as empty."""
        if (run.name, what) not in self._parsed:
            try:
                self._parsed[run.name, what] = read(run.directory)
            except UNREADABLE as error:
                self.unreadable[run.name] = one_line(error)
                self._parsed[run.name, what] = []
        return self._parsed[run.name, what]


def read_store(directory: str | Path) -> Results:
    """Read every run's spec, status and environment; logs are read when asked for."""
    runs: list[RecordedRun] = []
    unreadable: dict[str, str] = {}
    for found in RunDirectory.find(Path(directory)):
        try:
            runs.append(read_run(found))
        except UNREADABLE as error:
            unreadable[found.name] = one_line(error)
    return Results(runs, unreadable)


def read_run(directory: RunDirectory) -> RecordedRun:
    """Read a run's spec, status and environment, and whether they fit together.

    Raises:
        DamagedError: They do not, or are not what a run wrote; says what is wrong and what to do.
        UserError: The record is of another schema, or lies outside the store.
        OSError: It cannot be read.
    """
    directory.check_place("it is not read")
    spec, status = directory.spec(), directory.status()
    if directory.path.name != spec.directory(directory.store).name:
        raise DamagedError("its spec is another run's: the folder's name does not fit")
    if status.status == "done" and (wrong := verify.contradiction(directory, spec.hash, status)):
        raise DamagedError(f"it is not done: {wrong}")
    env = directory.environment()
    return RecordedRun(directory, spec, status, env, spec.hash, spec.group)


def _evaluations(directory: RunDirectory) -> list[Moment]:
    """Return a run's own evaluations; its last one knows what was computed later, at alpha 1."""
    found = [_moment(row) for row in directory.evaluations()]
    later = _later(directory, 1.0)
    if not (found and found[-1].final and later):
        return found
    last = found[-1]
    new = {name for row in later for name in row["metrics"] if not last.has(name)}
    return [*found[:-1], _extended(last, later, new)]


def _later(directory: RunDirectory, alpha: float) -> list[LaterRow]:
    """Return what `textbench evaluate` put on record, the run's own sample size last."""
    rows = [row for row in directory.later() if row["alpha"] == alpha]
    if not rows:
        return rows
    usual = directory.spec().evaluation.get("final_samples")
    return sorted(rows, key=lambda row: bool(row["samples"] == usual))


def _extended(moment: Moment, rows: list[LaterRow], names: Collection[str]) -> Moment:
    """Return ``moment`` with the values that ``rows`` have of ``names``, the last ones winning."""
    newest = {n: one for row in rows for n, one in row["metrics"].items() if n in names}
    later = _measured(newest)
    return replace(
        moment,
        values={**moment.values, **later["values"]},
        reasons={**moment.reasons, **later["reasons"]},
        protocols={**moment.protocols, **later["protocols"]},
        numbers={**moment.numbers, **later["numbers"]},
    )


class _Measured(TypedDict):
    """The part of a `Moment` that is measured."""

    values: dict[str, float]
    reasons: dict[str, str]
    protocols: dict[str, str]
    numbers: dict[str, Number]


def _measured(found: Mapping[str, Measurement]) -> _Measured:
    return {
        "values": _numbers({name: one["value"] for name, one in found.items()}),
        "reasons": {name: one["reason"] for name, one in found.items() if "reason" in one},
        "protocols": {name: one["protocol"] for name, one in found.items() if one["protocol"]},
        "numbers": {
            name: Number(name, one["direction"], one["unit"], one["summary"])
            for name, one in found.items()
        },
    }


def _tempered(run: RecordedRun) -> list[RecordedRun]:
    """Return a run as it was evaluated at other inverse temperatures, by `textbench evaluate`."""
    try:
        alphas = {float(row["alpha"]) for row in run.directory.later()}
    except UNREADABLE:
        return []
    specs = [replace(run.spec, alpha=a, warmup=None) for a in sorted(alphas - {1.0})]
    return [replace(run, spec=spec, hash=spec.hash, group=spec.group) for spec in specs]


def _again(run: RecordedRun) -> Moment:
    """Return the evaluation of a finished run at another inverse temperature."""
    own = run.directory.evaluations()
    if not own:
        raise DamagedError(f"{METRICS} has no evaluation, and evaluations were made of it later")
    last = _moment(own[-1])
    nothing = replace(last, values={}, reasons={}, protocols={}, numbers={})
    rows = _later(run.directory, run.spec.alpha)
    return _extended(nothing, rows, {name for row in rows for name in row["metrics"]})


def _moment(row: EvaluationRow) -> Moment:
    return Moment(
        phase=row["phase"],
        step=row["step"],
        epoch=row["epoch"],
        final=row["final"],
        seconds=float(row["seconds"]),
        cpu_seconds=float(row["cpu_seconds"]),
        ledger=dict(row["ledger"]),
        **_measured(row["metrics"]),
    )


def _epochs(directory: RunDirectory) -> list[Epoch]:
    rows = directory.curve(containing='"kind": "epoch"')
    return [
        Epoch(row["phase"], row["epoch"], row["seconds"], row["cpu_seconds"], warmup=False)
        for row in rows
        if row["kind"] == "epoch"
    ]


def _log(directory: RunDirectory) -> list[LogEntry]:
    return [_log_entry(row) for row in directory.curve()]


def _log_entry(row: LossRow | EpochRow) -> LogEntry:
    values: Mapping[str, float | None]
    if row["kind"] == "epoch":
        clock = {"seconds": row["seconds"], "cpu_seconds": row["cpu_seconds"]}
        values = {**clock, **row["ledger"]}
    else:
        values = row["values"]
    at = (row["kind"], row["phase"], row["step"], row["epoch"])
    return LogEntry(*at, _numbers(values), warmup=False)


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in values.items()}


def hardware(env: Mapping[str, Any]) -> str:
    """Name what a run's seconds were measured on; empty where that is not one thing."""
    starts = env.get("starts", [])
    kinds = {tuple(str(start.get(key, "")) for key in ("cpu", "device")) for start in starts}
    threads = {start.get("threads") for start in starts}
    if len(kinds) != 1 or len(threads) != 1:
        return ""
    (cpu, device), (count,) = kinds.pop(), threads
    parts = (cpu, device if device != "cpu" else "", f"{count} thread(s)" if count else "")
    return ", ".join(part for part in parts if part)
