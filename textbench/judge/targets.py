"""Time to target: what a run has spent when an evaluation first meets several numbers at once.

The value at the end of somebody's schedule says as much of the schedule as of the method. Living
benchmarks of training algorithms (AlgoPerf) therefore compare the cost to a fixed target. Targets
are data (``targets.toml``) and two-sided; costs are read from the record, a warm-up's included; a
seed that does not get there counts as infinitely expensive and is shown, never dropped.

Costs are known to the next evaluation only. Processor seconds compare within one machine, and
between machines whose rates are on record.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    import pandas as pd

COSTS = ("generator_updates", "tokens", "cpu_seconds")
"""What reaching a target is measured in; tokens are those sampled and those scored."""
ROW = ("task_fingerprint", "label", "overrides", "group")
"""What makes a row: replicates differ in their seed alone."""
_TOKENS = ("tokens_sampled", "tokens_scored")
TUNED = re.compile(r"tuned-k(\d+)")


@dataclass(frozen=True)
class Target:
    """Numbers that one evaluation must reach together."""

    name: str
    title: str
    task: str
    source: str
    """Where the numbers come from."""
    at_most: Mapping[str, float]


def load_targets(path: Path | None = None) -> tuple[int, list[Target]]:
    """Read targets and the version of their rules; the shipped ones by default.

    Raises:
        ValueError: A target has fewer than two numbers.
    """
    source = path or files("textbench.judge") / "targets.toml"
    data = tomllib.loads(source.read_text(encoding="utf-8"))
    found = [Target(**entry) for entry in data["target"]]
    for target in found:
        if len(target.at_most) < 2:
            raise ValueError(f"target {target.name}: one number alone can be gamed; name two")
    return int(data["rules"]), found


def tuning(label: str, overrides: str = "") -> str:
    """Say how a row's options were chosen: "tuned (K)", "changed by hand" or "as published"."""
    match = TUNED.fullmatch(label.partition(":")[2])
    if match:
        return f"tuned ({match[1]})"
    return "changed by hand" if overrides else "as published"


def meetings(results: pd.DataFrame, targets: Sequence[Target]) -> pd.DataFrame:
    """Return what every run had spent when it first met each target of its task.

    Args:
        results: `textbench.store.frames.load_results`.
        targets: See `load_targets`.

    Returns:
        One row per target and run: ``target``, the run's identity, ``outcome`` ("met", "missed":
        the run is over, "unfinished", or "unmeasured": a number of the target is not on record),
        ``epoch`` of the meeting or of the last evaluation, ``in_warmup``, and `COSTS`: infinite
        where missed, NaN where it is not known yet.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for target in targets:
        of_task = results[results["task"] == target.task]
        for run, evaluations in of_task.groupby("run", sort=True):
            rows.append({"target": target.name, "run": run, **_meeting(evaluations, target)})
    columns = ["target", "run", *ROW, "title", "seed", "outcome", "epoch", "in_warmup", *COSTS]
    return pd.DataFrame(rows, columns=columns)


def _meeting(evaluations: pd.DataFrame, target: Target) -> dict[str, Any]:
    first = evaluations.iloc[0]
    values = evaluations.pivot_table(
        index="evaluation", columns="metric", values="value", dropna=False
    ).sort_index()
    moments = evaluations.drop_duplicates("evaluation").set_index("evaluation").sort_index()
    known = [name for name in target.at_most if name in values and values[name].notna().any()]
    found = {key: first[key] for key in (*ROW, "title", "seed")}
    found |= {"in_warmup": False, **dict.fromkeys(COSTS, math.nan)}
    if len(known) < len(target.at_most):
        return {**found, "outcome": "unmeasured", "epoch": moments["epoch"].iloc[-1]}
    limits = target.at_most.items()
    met = np.logical_and.reduce([(values[name] <= limit).to_numpy() for name, limit in limits])
    if met.any():
        moment = moments.loc[values.index[int(met.argmax())]]
        return {**found, "outcome": "met", **_costs(moment)}
    over = first["status"] in ("done", "diverged")  # a run that failed can be started again
    outcome = "missed" if over else "unfinished"
    cost = dict.fromkeys(COSTS, math.inf if over else math.nan)
    return {**found, "outcome": outcome, "epoch": moments["epoch"].iloc[-1], **cost}


def _costs(moment: pd.Series[Any]) -> dict[str, Any]:
    spent = {name: float(moment.get(name, math.nan)) for name in (*COSTS, *_TOKENS)}
    spent["tokens"] = sum(spent.pop(name) for name in _TOKENS)
    return {"epoch": moment["epoch"], "in_warmup": bool(moment["warmup"]), **spent}


def time_to_target(
    met: pd.DataFrame, runs: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Summarise `meetings` over seeds.

    Args:
        met: What `meetings` returned.
        runs: `textbench.store.frames.load_runs`: where each run was made (`on_one_scale`).

    Returns:
        One row per target and row of a table: ``seeds`` that finished, ``reached``, ``misses`` in
        words, ``tuning``, and for each of `COSTS` the median over seeds (a miss is infinite) with
        ``_low`` and ``_high``, the ends of `median_interval`, and ``coverage``; cheapest first. And
        notes: what was left out, and why.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    met, notes = on_one_scale(met, runs)
    for (target, *key), group in met.groupby(["target", *ROW], sort=True):
        name = f"{target}: {key[1]}{' ' if key[2] else ''}{key[2]}"
        for outcome in ("unfinished", "unmeasured"):
            count = int((group["outcome"] == outcome).sum())
            if count:
                notes.append(f"{name}: {count} run(s) left out, {_WHY[outcome]}")
        over = group[group["outcome"].isin(["met", "missed"])]
        if over.empty:
            continue
        row = {"target": target, **dict(zip(ROW, key, strict=True)), "title": over["title"].iloc[0]}
        row |= {"seeds": len(over), "reached": int((over["outcome"] == "met").sum())}
        missed = over[over["outcome"] == "missed"]
        row["misses"] = (
            f"{len(missed)} not within {missed['epoch'].max():g} epochs" if len(missed) else ""
        )
        row["in_warmup"] = bool(over["in_warmup"].any())
        row["tuning"] = tuning(str(key[1]), str(key[2]))
        for cost in COSTS:
            low = median = high = math.nan
            if not over[cost].isna().any():
                low, median, high, row["coverage"] = median_interval(over[cost].tolist())
            row |= {cost: median, f"{cost}_low": low, f"{cost}_high": high}
        rows.append(row)
    table = pd.DataFrame(rows)
    if len(table):
        table = table.sort_values(["target", "generator_updates", "label"], ignore_index=True)
    return table, notes


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
    known = runs.set_index("run")
    machines = known["hardware"].reindex(met["run"]).fillna("")
    if machines.nunique() == 1 and machines.iloc[0]:
        return met, []
    rates = known["product_rate"].reindex(met["run"]).to_numpy(float)
    kinds = " and ".join(sorted(set(machines) - {""})) or "machines that are not named"
    if np.isnan(rates).any() or machines.str.contains("GPU|NVIDIA", regex=True).any():
        left_out = f"processor seconds are of {kinds}, not all of known rates, and are left out"
        return met.assign(cpu_seconds=math.nan), [left_out]
    middle = float(np.median(rates))
    scaled = met["cpu_seconds"] * rates / middle
    return met.assign(cpu_seconds=scaled), [
        f"processor seconds are of {kinds}; they are put on the scale of a machine that multiplies "
        f"matrices at {middle / 1e9:.0f} GF/s"
    ]


_WHY = {
    "unfinished": "training is not over and the target not met yet",
    "unmeasured": "a number of the target is not on record (runs of an older version)",
}


def median_interval(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return (low, median, high, coverage) of a sample that may hold infinities.

    The interval lies between two order statistics, so that it holds whatever the distribution is
    (Conover, *Practical Nonparametric Statistics*). It is the narrowest that covers 95 %; below six
    values there is none, and it is the whole range, with the coverage that this has.

    Raises:
        ValueError: There are no values, or one is NaN.
    """
    sample = np.sort(np.asarray(values, dtype=float))
    n = len(sample)
    if not n or np.isnan(sample).any():
        raise ValueError("a median needs numbers")
    middle = sample[(n - 1) // 2 : n // 2 + 1]
    median = float(middle[0] if np.isinf(middle[0]) else middle.mean())
    inside = [k for k in range(1, n // 2 + 1) if 2 * stats.binom.cdf(k - 1, n, 0.5) <= 0.05]
    k = max(inside, default=1)
    coverage = float(max(0.0, 1 - 2 * stats.binom.cdf(k - 1, n, 0.5)))
    return float(sample[k - 1]), median, float(sample[n - k]), coverage


def performance_profile(table: pd.DataFrame, cost: str = "generator_updates") -> pd.DataFrame:
    """Return the share of targets that a row meets within τ times the cheapest row's cost.

    Dolan and Moré, *Mathematical Programming* 91, 2002.

    Args:
        table: What `time_to_target` returned.
        cost: One of `COSTS`.

    Returns:
        Steps: ``label, overrides, tau, share``, τ from 1; a row that meets no target has share 0.
    """
    import pandas as pd

    best = table.groupby(["task_fingerprint", "target"])[cost].transform("min")
    ratios = (table[cost] / best).where(np.isfinite(table[cost]), math.inf)
    possible = table[["task_fingerprint", "target"]].drop_duplicates().shape[0]
    steps = sorted({1.0, *ratios[np.isfinite(ratios)]})
    rows = []
    for (label, overrides), own in ratios.groupby([table["label"], table["overrides"]]):
        for tau in steps:
            share = float((own <= tau).sum()) / possible
            rows.append({"label": label, "overrides": overrides, "tau": tau, "share": share})
    return pd.DataFrame(rows, columns=["label", "overrides", "tau", "share"])


def best_of(results: pd.DataFrame, target: Target, rows: Sequence[str]) -> str:
    """Return the row that did best at a target, on validation data alone.

    The one that more seeds bring there; then the one with the lower median of generator updates;
    then, where none gets there, the one that comes nearer: the median over seeds of what an
    evaluation lacks at least, in the number that lacks most. The first of equals.

    Args:
        results: `textbench.store.frames.load_results`, of finished runs.
        target: The target.
        rows: Labels to choose among.

    Raises:
        ValueError: A row has no runs on which the target could be read.
    """
    met = meetings(results, [target])
    ranked = []
    for place, label in enumerate(rows):
        own = met[(met["label"] == label) & met["outcome"].isin(["met", "missed"])]
        if own.empty:
            raise ValueError(f"{label} has no finished run that measured target {target.name}")
        median = median_interval(own["generator_updates"].tolist())[1]
        lacks = [_lack(results[results["run"] == run], target) for run in own["run"]]
        reached = int((own["outcome"] == "met").sum())
        ranked.append((-reached, median, float(np.median(lacks)), place, label))
    return min(ranked)[-1]


def _lack(evaluations: pd.DataFrame, target: Target) -> float:
    """Return by how much the best evaluation of a run misses the target; 0 if it does not."""
    limits = evaluations["metric"].map(target.at_most)
    lacking = (evaluations["value"] - limits).clip(lower=0.0)
    known = lacking[limits.notna()]
    return float(known.groupby(evaluations["evaluation"]).max().min())
