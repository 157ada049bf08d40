"""A result store as tidy pandas frames: the door for notebooks, tables and figures.

Nothing here needs torch. A store may be half finished: a run counts as far as it got, and a
directory that cannot be read is reported in ``frame.attrs["unreadable"]`` and by a warning.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from textbench.spec import Spec
from textbench.store import RunDirectory, Status

Row = dict[str, Any]
Log = list[tuple[bool, Row]]
"""Rows of a log in order; True marks those of the warm-up run."""

SHORT = 12
"""Hex digits of a hash that a frame shows."""

RUN_COLUMNS = (
    *("run", "label", "trainer", "variant", "overrides", "preset"),
    *("task", "task_fingerprint", "group", "seed", "status", "reason"),
)
"""What identifies the run; these columns open every frame."""
EVALUATION_COLUMNS = (
    *("evaluation", "warmup", "phase", "step"),
    *("epoch", "final", "seconds", "cpu_seconds"),
)
METRIC_COLUMNS = ("metric", "value", "na_reason", "protocol")
LOG_COLUMNS = ("warmup", "kind", "phase", "step", "epoch", "name", "value")


@dataclass(frozen=True)
class Run:
    """One run as it lies on disk."""

    directory: RunDirectory
    spec: Spec
    status: Status
    env: dict[str, Any]
    hash: str
    group: str

    @property
    def name(self) -> str:
        """``task/algorithm/s<seed>-<hash8>``."""
        return self.directory.name


@dataclass(frozen=True)
class Store:
    """Every readable run of a directory, and what could not be read."""

    runs: list[Run]
    unreadable: dict[str, str]
    """Run name and the reason, one line each."""

    def warmup_of(self, run: Run) -> Run | None:
        """Return the run that ``run`` started from, if it did and if it is in the store."""
        if run.spec.warmup is None:
            return None
        wanted = run.spec.warmup.hash
        return next((other for other in self.runs if other.hash == wanted), None)


def load_results(directory: str | Path) -> pd.DataFrame:
    """Load every evaluation of a result store, one row per (run, evaluation, metric).

    ============================== =========================================================
    run, label, trainer, variant   the run's name; ``trainer`` or ``trainer:variant``
    overrides                      what ``--set`` changed, ``"cot.g_lr=0.001"``
    preset, task, task_fingerprint numbers of two fingerprints are not comparable
    group, seed                    start of the hash of the spec without its seed: one group,
                                   replicates
    status, reason                 of the run (`textbench.store.Status`)
    evaluation                     number of the evaluation within the run, from 0
    warmup                         the row is of the warm-up run that this run started from
    phase, step, epoch, final      where it was made; a warm-up's row is never ``final``
    seconds, cpu_seconds           cumulative training time, evaluation excluded
    generator_updates, ...         the ledger's counts, cumulative, one column each
    metric, value                  NaN where the metric does not apply, with its reason
    na_reason, protocol            numbers of two protocols are not comparable
    ============================== =========================================================

    Args:
        directory: What ``textbench run --results`` wrote; may be empty or absent.
    """
    store = read_store(directory)
    return _with_warning(evaluations(store), store)


def load_curves(directory: str | Path) -> pd.DataFrame:
    """Load the training logs of a result store, one row per (run, log entry, quantity).

    Columns are those of `load_results` up to ``reason``, then ``warmup, kind, phase, step,
    epoch, name, value``. Rows of ``kind`` "loss" carry what the trainer logs; rows of ``kind``
    "epoch" carry that epoch's ``seconds`` and ``cpu_seconds`` of training and the cumulative
    ledger. The log of a warm-up run comes first, flagged ``warmup``.
    """
    store = read_store(directory)
    return _with_warning(training_log(store), store)


def load_runs(directory: str | Path) -> pd.DataFrame:
    """Load one row per run: identity, status, progress and where it ran."""
    store = read_store(directory)
    return _with_warning(runs(store), store)


def _with_warning(frame: pd.DataFrame, store: Store) -> pd.DataFrame:
    frame.attrs["unreadable"] = dict(store.unreadable)
    for name, reason in store.unreadable.items():
        warnings.warn(f"{name} was left out: {reason}", stacklevel=3)
    return frame


def read_store(directory: str | Path) -> Store:
    """Read every run's spec, status and environment (not its logs)."""
    runs: list[Run] = []
    unreadable: dict[str, str] = {}
    for found in RunDirectory.find(Path(directory)):
        try:
            runs.append(_read_run(found))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            unreadable[found.name] = _one_line(error)
    return Store(runs, unreadable)


def _read_run(directory: RunDirectory) -> Run:
    spec = directory.spec()
    has_env = (directory.path / "env.json").exists()
    env = directory.read_json("env.json") if has_env else {}
    return Run(directory, spec, directory.status(), env, spec.hash, spec.group)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def runs(store: Store) -> pd.DataFrame:
    """Return one row per run of ``store``; see `load_runs`."""
    rows = [_run_row(store, run) for run in store.runs]
    extra = ["total", "warmup_run", "warmup_label", "hardware"]
    return pd.DataFrame(rows, columns=[*RUN_COLUMNS, "phase", "step", *extra])


def _run_row(store: Store, run: Run) -> dict[str, Any]:
    warmup = store.warmup_of(run)
    progress = asdict(run.status)
    return {
        **_identity(run),
        **{key: progress[key] for key in ("phase", "step", "total")},
        "warmup_run": warmup.name if warmup else "",
        "warmup_label": run.spec.warmup.label if run.spec.warmup else "",
        "hardware": hardware(run.env),
    }


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


def _identity(run: Run) -> dict[str, Any]:
    spec = run.spec
    return {
        "run": run.name,
        "label": spec.label,
        "trainer": spec.trainer,
        "variant": spec.variant,
        "overrides": " ".join(f"{key}={value}" for key, value in sorted(spec.overrides.items())),
        "preset": spec.preset,
        "task": spec.task,
        "task_fingerprint": spec.task_fingerprint[:SHORT],
        "group": run.group[:SHORT],
        "seed": spec.seed,
        "status": run.status.status,
        "reason": run.status.reason,
    }


def evaluations(store: Store) -> pd.DataFrame:
    """Return one row per (run, evaluation, metric) of ``store``; see `load_results`."""
    columns = [*RUN_COLUMNS, *EVALUATION_COLUMNS, *METRIC_COLUMNS]
    return _collect(store, "metrics.jsonl", _evaluations_of, columns)


def training_log(store: Store) -> pd.DataFrame:
    """Return one row per (run, log entry, quantity) of ``store``; see `load_curves`."""
    return _collect(store, "curve.jsonl", _log_entries_of, [*RUN_COLUMNS, *LOG_COLUMNS])


def _collect(
    store: Store, file: str, frame_of: Callable[[Log], pd.DataFrame], columns: list[str]
) -> pd.DataFrame:
    """Join the frames of all runs; a run whose log cannot be read is noted and left out."""
    logs: dict[str, list[Row]] = {}
    frames: list[pd.DataFrame] = []
    for run in store.runs:
        try:
            frame = frame_of(_log(store, run, file, logs))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            store.unreadable[run.name] = f"{file}: {_one_line(error)}"
            continue
        if len(frame):
            identity = pd.DataFrame([_identity(run)], columns=RUN_COLUMNS)
            repeated = identity.take([0] * len(frame)).reset_index(drop=True)
            frames.append(pd.concat([repeated, frame], axis=1))
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat(frames, ignore_index=True)


def _log(store: Store, run: Run, file: str, read: dict[str, list[Row]]) -> Log:
    """Return a run's log, its warm-up run's first; ``read`` keeps what was parsed before."""
    warmup = store.warmup_of(run)
    joined: Log = []
    for source, flag in ((warmup, True), (run, False)):
        if source is None:
            continue
        if source.name not in read:
            read[source.name] = source.directory.rows(file)
        joined += [(flag, row) for row in read[source.name]]
    return joined


def _evaluations_of(log: Log) -> pd.DataFrame:
    shared: list[Row] = []
    metrics: list[tuple[str, float, str, str]] = []
    place: list[int] = []
    for index, (warmup, row) in enumerate(log):
        final = bool(row["final"]) and not warmup
        at = {key: row[key] for key in ("phase", "step", "epoch")}
        clock = {"seconds": float(row["seconds"]), "cpu_seconds": float(row["cpu_seconds"])}
        shared.append(
            {"evaluation": index, "warmup": warmup, **at, "final": final, **clock, **row["ledger"]}
        )
        reasons, protocols = row.get("reasons", {}), row.get("protocols", {})
        for metric, value in row["values"].items():
            number = math.nan if value is None else float(value)
            metrics.append((metric, number, reasons.get(metric, ""), protocols.get(metric, "")))
            place.append(index)
    repeated = pd.DataFrame(shared).take(place).reset_index(drop=True)
    return pd.concat([repeated, pd.DataFrame(metrics, columns=METRIC_COLUMNS)], axis=1)


def _log_entries_of(log: Log) -> pd.DataFrame:
    entries: list[tuple[Any, ...]] = []
    for warmup, row in log:
        at = (warmup, row["kind"], row["phase"], row["step"], row["epoch"])
        if row["kind"] == "epoch":
            clock = {key: row[key] for key in ("seconds", "cpu_seconds")}
            quantities = {**clock, **row["ledger"]}
        else:
            quantities = row["values"]
        for name, value in quantities.items():
            entries.append((*at, name, math.nan if value is None else float(value)))
    return pd.DataFrame(entries, columns=LOG_COLUMNS)
