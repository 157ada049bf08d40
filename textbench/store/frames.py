"""A result store as tidy pandas frames: the door for notebooks and for one's own statistics.

Nothing here needs torch. A store may be half finished: a run counts as far as it got, and a
directory that cannot be read is reported in ``frame.attrs["unreadable"]`` and by a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textbench.store.read import RecordedRun, Results, hardware, read_store

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

SHORT = 12
"""Hex digits of a hash that a frame shows."""
RUN_COLUMNS = (
    *("run", "label", "title", "trainer", "variant", "overrides", "preset"),
    *("task", "task_fingerprint", "group", "seed", "status", "reason"),
    *("own_generator", "fresh_data", "warmup_label"),
)
"""What identifies the run; these columns open every frame."""
EVALUATION_COLUMNS = (
    *("evaluation", "warmup", "phase", "step"),
    *("epoch", "final", "seconds", "cpu_seconds"),
)
METRIC_COLUMNS = (
    *("metric", "value", "na_reason", "protocol"),
    *("direction", "unit", "summary"),
)
LOG_COLUMNS = ("warmup", "kind", "phase", "step", "epoch", "name", "value")


def load_results(directory: str | Path) -> pd.DataFrame:
    """Load every evaluation of a result store, one row per (run, evaluation, metric).

    ============================== =========================================================
    run, label, title              the run's name; ``trainer`` or ``trainer:variant``; in tables
    trainer, variant               as registered
    overrides                      what ``--set`` changed, ``"cot.g_lr=0.001"``
    preset, task, task_fingerprint numbers of two fingerprints are not comparable
    group, seed                    start of the hash of the spec without its seed: one group,
                                   replicates
    status, reason                 of the run (`textbench.store.directory.Status`)
    own_generator, fresh_data      not the shared LSTM; new training sequences in every pass
    warmup_label                   the row it starts from, if any
    evaluation                     number of the evaluation within the run, from 0
    warmup                         the row is of the warm-up run that this run started from
    phase, step, epoch, final      where it was made; a warm-up's row is never ``final``
    seconds, cpu_seconds           cumulative training time, evaluation excluded
    metric, value                  NaN where the metric does not apply, with its reason
    na_reason, protocol            numbers of two protocols are not comparable
    direction, unit, summary       which way is better: lower, higher or none; what it is
    generator_updates, ...         the ledger's counts, cumulative, one column each
    ============================== =========================================================

    Args:
        directory: What ``textbench run --results`` wrote; may be empty or absent.
    """
    columns = (*EVALUATION_COLUMNS, *METRIC_COLUMNS)
    return _collect(read_store(directory), evaluation_rows, columns)


def load_curves(directory: str | Path) -> pd.DataFrame:
    """Load the training logs of a result store, one row per (run, log entry, quantity).

    Columns are those of `load_results` up to ``reason``, then ``warmup, kind, phase, step,
    epoch, name, value``. Rows of ``kind`` "loss" carry what the trainer logs; rows of ``kind``
    "epoch" carry that epoch's ``seconds`` and ``cpu_seconds`` of training and the cumulative
    ledger. The log of a warm-up run comes first, flagged ``warmup``.
    """
    return _collect(read_store(directory), log_rows, LOG_COLUMNS)


def load_runs(directory: str | Path) -> pd.DataFrame:
    """Load one row per run: identity, status, progress, warm-up and hardware."""
    import pandas as pd

    store = read_store(directory)
    extra = ["phase", "step", "total", "warmup_run", "hardware"]
    rows = [_run_row(store, run) for run in store.runs]
    return _reported(pd.DataFrame(rows, columns=[*RUN_COLUMNS, *extra]), store)


def _run_row(store: Results, run: RecordedRun) -> Row:
    warmup = store.warmup_of(run)
    progress = asdict(run.status)
    return {
        **identity(run),
        **{key: progress[key] for key in ("phase", "step", "total")},
        "warmup_run": warmup.name if warmup else "",
        "hardware": hardware(run.env),
    }


def identity(run: RecordedRun) -> Row:
    """Return the columns that identify a run."""
    spec = run.spec
    return {
        "run": run.name,
        "label": spec.label,
        "title": spec.title,
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
        "own_generator": spec.own_generator,
        "fresh_data": spec.fresh_data,
        "warmup_label": spec.warmup.label if spec.warmup else "",
    }


def evaluation_rows(store: Results, run: RecordedRun) -> list[Row]:
    """Return one row per evaluation and metric of a run."""
    return [
        {
            "evaluation": number,
            "warmup": moment.warmup,
            "phase": moment.phase,
            "step": moment.step,
            "epoch": moment.epoch,
            "final": moment.final,
            "seconds": moment.seconds,
            "cpu_seconds": moment.cpu_seconds,
            "metric": metric,
            "value": value,
            "na_reason": moment.reasons.get(metric, ""),
            "protocol": moment.protocols.get(metric, ""),
            "direction": moment.numbers[metric].direction,
            "unit": moment.numbers[metric].unit,
            "summary": moment.numbers[metric].summary,
            **moment.ledger,
        }
        for number, moment in enumerate(store.evaluations(run))
        for metric, value in moment.values.items()
    ]


def log_rows(store: Results, run: RecordedRun) -> list[Row]:
    """Return one row per log entry and quantity of a run."""
    return [
        {
            "warmup": entry.warmup,
            "kind": entry.kind,
            "phase": entry.phase,
            "step": entry.step,
            "epoch": entry.epoch,
            "name": name,
            "value": value,
        }
        for entry in store.log(run)
        for name, value in entry.values.items()
    ]


def _collect(
    store: Results, rows_of: Callable[[Results, RecordedRun], list[Row]], columns: tuple[str, ...]
) -> pd.DataFrame:
    """Join the rows of all runs, each behind the columns that identify its run."""
    import pandas as pd

    frames: list[pd.DataFrame] = []
    for run in store.rows:
        frame = pd.DataFrame(rows_of(store, run))
        if len(frame) and run.name not in store.unreadable:
            who = pd.DataFrame([identity(run)], columns=RUN_COLUMNS)
            repeated = who.take([0] * len(frame)).reset_index(drop=True)
            frames.append(pd.concat([repeated, frame], axis=1))
    empty = pd.DataFrame(columns=[*RUN_COLUMNS, *columns])
    return _reported(pd.concat(frames, ignore_index=True) if frames else empty, store)


def _reported(frame: pd.DataFrame, store: Results) -> pd.DataFrame:
    frame.attrs["unreadable"] = dict(store.unreadable)
    for name, reason in store.unreadable.items():
        warnings.warn(f"{name} was left out: {reason}", stacklevel=3)
    return frame
