"""A result store as tidy pandas frames: the door for notebooks and for one's own statistics.

Nothing here needs torch. A store may be half finished: a run counts as far as it got, and a
directory that cannot be read is reported in ``frame.attrs["unreadable"]`` and by a warning.

Every log is parsed once, column by column: a store of 200 runs has 300,000 rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textbench.store import columns as of_run
from textbench.store.columns import Columns, evaluation_columns, log_columns
from textbench.store.logs import Logs, or_why, parse
from textbench.store.read import RecordedRun, Results, hardware, product_rate, read_store
from textbench.store.rows import (
    CURVE,
    EVALUATION_COLUMNS,
    LOG_COLUMNS,
    METRIC_COLUMNS,
    METRICS,
    RUN_COLUMNS,
)

if TYPE_CHECKING:
    import pandas as pd

Reader = Callable[[RecordedRun], Columns | str]
"""Returns a run's own columns, or why there are none."""
SHORT = 12
"""Hex digits of a hash that a frame shows."""
DETAIL_COLUMNS = (
    *("phase", "step", "total", "warmup_run", "hardware", "product_rate", "hash"),
    *("version", "alpha"),
    *("config", "task_config", "oracle", "task_note", "preset_summary", "backbone", "evaluation"),
    *("metrics", "changes", "warmup", "starts", "traceback", "headlines", "path"),
)
"""What else `load_runs` says of a run."""
MAPPINGS = (
    *("config", "task_config", "backbone", "evaluation", "metrics", "changes", "warmup"),
    *("starts", "headlines"),
)
"""Those of them that hold mappings, or several things."""


class Frames(NamedTuple):
    """A store, read once."""

    runs: pd.DataFrame
    """As of `load_runs`, and the rows at other inverse temperatures."""
    results: pd.DataFrame
    """As of `load_results`."""
    logs: pd.DataFrame
    """As of `load_curves`."""
    unreadable: dict[str, str]
    """Run name and the reason, one line each."""


def load_results(directory: str | Path) -> pd.DataFrame:
    """Load every evaluation of a result store, one row per (run, evaluation, metric).

    ============================== =========================================================
    run, label, title              the run's name; ``trainer`` or ``trainer:variant``; in tables
                                   (`` alpha=1.5`` behind run and label: evaluated at another
                                   inverse temperature)
    trainer, variant               as registered
    overrides                      what ``--set`` changed, ``"cot.g_lr=0.001"``
    preset, task, task_fingerprint numbers of two fingerprints are not comparable
    group, seed                    start of the hash of the spec without its seed: one group,
                                   replicates
    status, reason                 of the run (`textbench.store.rows.Status`)
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
    return _reported(directory, partial(_results, read=partial(or_why, evaluation_columns)))


def load_curves(directory: str | Path) -> pd.DataFrame:
    """Load the training logs of a result store, one row per (run, log entry, quantity).

    Columns are those of `load_results` up to ``warmup_label``, then ``warmup, kind, phase, step,
    epoch, name, value``. Rows of ``kind`` "loss" carry what the trainer logs; rows of ``kind``
    "epoch" carry that epoch's ``seconds`` and ``cpu_seconds`` of training and the cumulative
    ledger. The log of a warm-up run comes first, flagged ``warmup``.
    """
    return _reported(directory, partial(_logs, read=partial(or_why, log_columns)))


def load_runs(directory: str | Path) -> pd.DataFrame:
    """Load one row per run: identity, status, progress, warm-up, hardware, and its whole spec.

    ``config``, ``task_config``, ``backbone``, ``evaluation``, ``metrics``, ``changes`` (what the
    user set) and ``warmup`` (the spec of the run that it started from, or None) are mappings, as in
    ``spec.json``. ``product_rate`` is that of the machine (`textbench.run.rates`).
    """
    return _reported(directory, lambda store: _runs(store, store.runs))


def frames(store: Results, parsed: Mapping[str, Logs] | None = None) -> Frames:
    """Read everything of a store that a report or a comparison needs; unreadable runs are left out.

    Text columns are categories, which makes grouping and comparing them several times as fast.

    Args:
        store: As of `read_store`; whatever of it cannot be read is noted there.
        parsed: The logs of its runs (`textbench.store.logs.reading`); else they are read here.
    """
    read = {run.name: parse(run) for run in store.rows} if parsed is None else parsed
    results = _results(store, lambda run: read[run.name].evaluations, compact=True)
    logs = _logs(store, lambda run: read[run.name].log, compact=True)
    sound = [run for run in store.rows if run.name not in store.unreadable]
    known = set(store.unreadable)
    runs = _runs(store, sound)
    return Frames(
        runs,
        results[~results["run"].isin(known)] if known else results,
        logs[~logs["run"].isin(known)] if known else logs,
        dict(store.unreadable),
    )


# -- runs ------------------------------------------------------------------------------------


def _runs(store: Results, runs: Sequence[RecordedRun]) -> pd.DataFrame:
    import pandas as pd

    if not runs:
        return of_run.without_rows((*RUN_COLUMNS, *DETAIL_COLUMNS), MAPPINGS)
    rows = [{**identity(run), **_details(store, run)} for run in runs]
    return pd.DataFrame(rows, columns=[*RUN_COLUMNS, *DETAIL_COLUMNS])


def identity(run: RecordedRun) -> dict[str, object]:
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


def _details(store: Results, run: RecordedRun) -> dict[str, object]:
    spec, status, warmup = run.spec, run.status, store.warmup_of(run)
    copied = ("version", "alpha", "config", "task_config", "oracle", "task_note", "preset_summary")
    return {
        "phase": status.phase,
        "step": status.step,
        "total": status.total,
        "warmup_run": warmup.name if warmup else "",
        "hardware": hardware(run.starts),
        "product_rate": product_rate(run.starts),
        "hash": run.hash,
        **{key: getattr(spec, key) for key in (*copied, "backbone", "evaluation", "metrics")},
        "changes": spec.overrides,
        "warmup": asdict(spec.warmup) if spec.warmup else None,
        "starts": run.starts,
        "traceback": status.traceback,
        "headlines": tuple(status.headlines),
        "path": str(run.directory.path),
    }


# -- evaluations and logs --------------------------------------------------------------------


def _results(store: Results, read: Reader, *, compact: bool = False) -> pd.DataFrame:
    return _collect(store, read, METRICS, (*EVALUATION_COLUMNS, *METRIC_COLUMNS), compact)


def _logs(store: Results, read: Reader, *, compact: bool = False) -> pd.DataFrame:
    return _collect(store, read, CURVE, LOG_COLUMNS, compact)


def _collect(
    store: Results,
    read: Reader,
    file: str,
    columns: Sequence[str],
    compact: bool,
) -> pd.DataFrame:
    """Join all runs' columns, the warm-up's rows first, behind what identifies the run.

    Args:
        store: The runs; one whose log is broken is noted there, and left out.
        read: Returns a run's own columns, or why there are none.
        file: What they were read from.
        columns: The frame's columns, after those of the run; further ones follow.
        compact: Make text columns categories.
    """
    found: list[tuple[RecordedRun, Columns]] = []
    for run in store.rows:
        start, before = 0, store.warmup_of(run)
        if run.name in store.unreadable:
            continue
        for one, warmup in ((before, True), (run, False)):
            if one is None or one.name in store.unreadable:
                continue
            part = read(one)
            if isinstance(part, str):
                store.unreadable[one.name] = f"{file}: {part}"
                continue
            found.append((run, of_run.placed(part, warmup=warmup, start=start)))
            start = len(part.sizes)
    return _joined(
        [one for one in found if one[0].name not in store.unreadable],
        [*RUN_COLUMNS, *columns],
        compact,
    )


def _joined(
    found: list[tuple[RecordedRun, Columns]], columns: list[str], compact: bool
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    parts = [part for _, part in found]
    lines = [int(part.sizes.sum()) for part in parts]
    if not sum(lines):
        return of_run.without_rows(columns)
    data: dict[str, object] = {}
    for level, times in (
        (
            [of_run.of_one({key: identity(run)[key] for key in RUN_COLUMNS}) for run, _ in found],
            lines,
        ),
        ([part.entries for part in parts], np.concatenate([part.sizes for part in parts])),
        ([part.lines for part in parts], 1),
    ):
        texts, numbers = of_run.one_below_the_other(level)
        data |= {key: np.repeat(column, times) for key, column in numbers.items()}
        for key, (known, few) in texts.items():
            codes = np.repeat(few, times)
            if compact:
                data[key] = pd.Categorical.from_codes(codes, pd.Index(known))
            else:
                data[key] = np.array(known, dtype=object)[codes]
    frame = pd.DataFrame({key: data[key] for key in dict.fromkeys([*columns, *data])})
    for key in ("epoch", *(k for k in data if k not in columns)):
        if key in frame and np.array_equal(frame[key], np.floor(frame[key])):
            frame[key] = frame[key].astype(int)  # counts, and epochs that are whole
    return frame


def _reported(directory: str | Path, make: Callable[[Results], pd.DataFrame]) -> pd.DataFrame:
    """Make a frame of a store, and warn of what is not in it."""
    store = read_store(directory)
    frame = make(store)
    frame.attrs["unreadable"] = dict(store.unreadable)
    if not (store.runs or store.unreadable):
        there = "holds no run" if Path(directory).is_dir() else "does not exist"
        warnings.warn(f"{directory} {there}: the frame is empty", stacklevel=3)
    for name, reason in store.unreadable.items():
        warnings.warn(f"{name} was left out: {reason}", stacklevel=3)
    return frame
