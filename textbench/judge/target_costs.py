"""What a target costs: medians over seeds that keep the misses, and performance profiles.

Processor seconds compare within one machine, and between machines whose rates are on record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from textbench.judge.stats import median_interval
from textbench.judge.targets import COSTS, ROW, tuning

WHY = {
    "unfinished": "training is not over",
    "unmeasured": "a number of the target is not on record (runs of an older version)",
}
"""Of the outcomes that do not count."""

ACCELERATORS = re.compile("GPU|NVIDIA|Instinct|(?<!with )(?<!w/ )Radeon")
"""What PyTorch calls a GPU has one of these words; a "Ryzen 7 with Radeon Graphics" is none."""

ELSEWHERE = "a machine that did not make the warm-up"
"""Stands for the machine of a run whose warm-up was made on another one, or on an unknown one."""


def time_to_target(
    met: pd.DataFrame, runs: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Summarise `meetings` over seeds.

    Args:
        met: What `meetings` returned; with a column ``name``, notes call the rows by it.
        runs: `textbench.store.frames.load_runs`: where each run was made (`on_one_scale`).

    Returns:
        One row per target and row of a table: ``seeds`` that finished, ``reached``, ``misses`` in
        words, ``in_warmup`` (seeds that met it before their own training), ``tuning``, and for each
        of `COSTS` the median over seeds (a miss is infinite) with ``_low`` and ``_high``, the ends
        of `median_interval`, and ``coverage``; cheapest first, those that miss it last. And notes:
        what was left out, and why.
    """
    met, notes = on_one_scale(met, runs)
    if "name" not in met:
        overrides = met["overrides"].where(met["overrides"] == "", " " + met["overrides"])
        met = met.assign(name=met["label"] + overrides)
    over = met[met["outcome"].isin(["met", "missed"])]
    rows = [
        dict(zip(("target", *ROW), key, strict=True)) | _summary(group)
        for key, group in over.groupby(["target", *ROW], sort=True, observed=True)
    ]
    notes += _left_out(met)
    table = pd.DataFrame(rows)
    if rows:
        table["misses_last"] = -table["reached"]
        order = ["target", "generator_updates", "misses_last", "label", "overrides"]
        table = table.sort_values(order, ignore_index=True).drop(columns="misses_last")
    return table, notes


def _summary(group: pd.DataFrame) -> dict[str, object]:
    """Summarise the seeds of one row that are over."""
    first = group.iloc[0]
    row = {key: first[key] for key in ("title", "name")}
    row |= {"seeds": len(group), "reached": int((group["outcome"] == "met").sum())}
    missed = group[group["outcome"] == "missed"]
    last = f"{len(missed)} not within {missed['epoch'].max():g} epochs" if len(missed) else ""
    row |= {"misses": last, "in_warmup": int(group["in_warmup"].sum())}
    row["tuning"] = tuning(str(first["label"]), str(first["overrides"]))
    row["coverage"] = median_interval([0.0] * len(group))[3]  # which depends on their number alone
    for cost in COSTS:
        low = median = high = math.nan
        if not group[cost].isna().any():
            low, median, high, _ = median_interval(group[cost].tolist())
        row |= {cost: median, f"{cost}_low": low, f"{cost}_high": high}
    return row


def _left_out(met: pd.DataFrame) -> list[str]:
    """Say, of each target and reason once, which rows have runs that do not count."""
    notes = []
    for (target, outcome), group in met.groupby(["target", "outcome"], sort=True, observed=True):
        if outcome in WHY:
            counts = group.groupby("name", sort=False, observed=True).size()
            told = ", ".join(f"{name} ({count})" for name, count in counts.items())
            notes.append(f"{target}: runs left out, {WHY[outcome]}: {told}")
    return notes


def on_one_scale(met: pd.DataFrame, runs: pd.DataFrame | None) -> tuple[pd.DataFrame, list[str]]:
    """Put the processor seconds of several machines on one scale, or leave them out, and say so.

    A second counts by the rate at which its machine multiplies matrices, which is most of what
    training does: the scale is that of the runs' median rate.

    Args:
        met: What `meetings` returned.
        runs: `textbench.store.frames.load_runs`; None means one machine.

    Returns:
        The meetings, NaN for seconds that cannot be compared, and notes.
    """
    if runs is None or met.empty:
        return met, []
    where = machines(runs).reindex(met["run"]).fillna("")
    rates = runs.set_index("run")["product_rate"].reindex(met["run"]).to_numpy(float, copy=True)
    rates[(where == ELSEWHERE).to_numpy()] = math.nan
    kinds = " and ".join(sorted(set(where) - {""})) or "machines that are not named"
    if any(ACCELERATORS.search(machine) for machine in set(where)):
        left_out = f"processor seconds are of {kinds}, where a GPU did the work, and are left out"
        return met.assign(cpu_seconds=math.nan), [left_out]
    if where.nunique() == 1 and where.iloc[0] not in ("", ELSEWHERE):
        return met, []
    if np.isnan(rates).any():
        left_out = f"processor seconds are of {kinds}, not all of known rates, and are left out"
        return met.assign(cpu_seconds=math.nan), [left_out]
    middle = float(np.median(rates))
    scaled = met["cpu_seconds"] * rates / middle
    return met.assign(cpu_seconds=scaled), [
        f"processor seconds are of {kinds}; they are put on the scale of a machine that multiplies "
        f"matrices at {middle / 1e9:.0f} GF/s"
    ]


def machines(runs: pd.DataFrame) -> pd.Series[str]:
    """Return, by run, the machine that its processor seconds are of, its warm-up's included.

    Args:
        runs: `textbench.store.frames.load_runs`, with the warm-up runs.

    Returns:
        Its hardware, empty where that is unknown, or `ELSEWHERE`.
    """
    known = runs.set_index("run")
    own = known["hardware"].fillna("")
    if "warmup_run" not in known:
        return own
    there = own.reindex(known["warmup_run"]).set_axis(own.index)
    return own.mask((known["warmup_label"] != "") & (there != own), ELSEWHERE)


def performance_profile(
    table: pd.DataFrame,
    cost: str = "generator_updates",
    by: Sequence[str] = ("label", "overrides"),
) -> pd.DataFrame:
    """Return the share of targets that a row meets within τ times the cheapest row's cost.

    Dolan and Moré, *Mathematical Programming* 91, 2002.

    Args:
        table: What `time_to_target` returned.
        cost: One of `COSTS`.
        by: What makes a row the same at several targets.

    Returns:
        Steps: ``by``, ``tau, share``, τ from 1; a row that meets no target has share 0.

    Raises:
        ValueError: Two rows of a target are the same by ``by``.
    """
    targets = ["task_fingerprint", "target"]
    if table.duplicated([*targets, *by]).any():
        raise ValueError(f"several rows of a target have the same {' and '.join(by)}")
    best = table.groupby(targets, observed=True)[cost].transform("min")
    # The cheapest may cost nothing: a target that the initial generator meets.
    ratios = (table[cost] / best).mask(table[cost] == best, 1.0)
    ratios = ratios.where(np.isfinite(table[cost]), math.inf)
    possible = len(table[targets].drop_duplicates())
    steps = sorted({1.0, *ratios[np.isfinite(ratios)]})
    rows = []
    for key, own in ratios.groupby([table[name] for name in by], observed=True):
        for tau in steps:
            share = float((own <= tau).sum()) / possible
            rows.append({**dict(zip(by, key, strict=True)), "tau": tau, "share": share})
    return pd.DataFrame(rows, columns=[*by, "tau", "share"])
