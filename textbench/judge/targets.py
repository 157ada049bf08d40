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

import numpy as np
import pandas as pd

from textbench.judge.broken import broken
from textbench.judge.record import own_overrides
from textbench.judge.stats import median_interval

COSTS = ("generator_updates", "tokens", "cpu_seconds")
"""What reaching a target is measured in; tokens are those sampled and those scored."""
ROW = ("task_fingerprint", "label", "overrides", "group")
"""What makes a row: replicates differ in their seed alone."""
COLUMNS = ("target", "run", *ROW, "title", "seed", "outcome", "epoch", "in_warmup", *COSTS)
"""Of `meetings`."""
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
    """Say how a row's options were chosen: "tuned (K)", "changed by hand" or "as published".

    Args:
        label: ``trainer`` or ``trainer:variant``.
        overrides: As in a frame; those of the evaluation, the task and the backbone are of every
            row and say nothing of one.
    """
    trainer, _, variant = label.partition(":")
    match = TUNED.fullmatch(variant)
    if match:
        return f"tuned ({match[1]})"
    return "changed by hand" if own_overrides(overrides, label, trainer) else "as published"


def meetings(results: pd.DataFrame, targets: Sequence[Target]) -> pd.DataFrame:
    """Return what every run had spent when it first met each target of its task.

    Args:
        results: `textbench.store.frames.load_results`.
        targets: See `load_targets`.

    Returns:
        One row per target and run: ``target``, the run's identity, ``outcome`` ("met" or "missed"
        of a run that is over, "unfinished" of another, whatever it has met, or "unmeasured": a
        number of the target is not on record), ``epoch`` of the meeting or of the last evaluation,
        ``in_warmup``, and `COSTS`: infinite where missed, NaN where the run does not count.
    """
    names = list(dict.fromkeys(name for target in targets for name in target.at_most))
    evaluations = _evaluations(results, names)
    found = [_meetings(evaluations[evaluations["task"] == one.task], one) for one in targets]
    parts = [part for part in found if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def _evaluations(results: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return a line per evaluation, in order: its moment, and a column for each of some metrics."""
    keys = ["run", "evaluation"]
    results = results.assign(run=results["run"].astype(str))
    lines = results.drop_duplicates(keys).drop(columns=["metric", "value"])
    for name in names:
        own = results.loc[results["metric"] == name, [*keys, "value"]]
        lines = lines.merge(own.rename(columns={"value": name}), on=keys, how="left")
    return lines.sort_values(keys, ignore_index=True)


def _meetings(lines: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Return `meetings` of one target, given the evaluations of its task."""
    values = lines[list(target.at_most)]
    measured = values.notna().groupby(lines["run"], observed=True).any().all(axis=1)
    met = lines[(values <= pd.Series(target.at_most)).all(axis=1)]
    met = met.drop_duplicates("run").set_index("run")
    ends = lines.drop_duplicates("run", keep="last").set_index("run")
    there = ends.index.isin(met.index)
    # Whether a run counts must not depend on what it met: of those under way, those that met it are
    # the quick ones. What failed of another cause than its numbers can be started again.
    over = (ends["status"] == "done") | broken(ends)
    outcome = np.where(over, np.where(there, "met", "missed"), "unfinished")
    outcome = np.where(~measured.loc[ends.index], "unmeasured", outcome)
    found = ends[[*ROW, "title", "seed"]].assign(target=target.name, outcome=outcome)
    counted = outcome == "met"
    found["epoch"] = met["epoch"].reindex(ends.index).where(counted, ends["epoch"])
    found["in_warmup"] = met["warmup"].reindex(ends.index).eq(True) & counted
    spent = met.reindex(columns=[*COSTS, *_TOKENS]).astype(float)
    spent["tokens"] = spent[list(_TOKENS)].sum(axis=1, skipna=False)
    for cost in COSTS:
        known = spent[cost].reindex(ends.index).where(counted)
        found[cost] = known.mask(outcome == "missed", math.inf)
    return found.reset_index()[list(COLUMNS)]


def best_of(results: pd.DataFrame, target: Target, rows: Sequence[str]) -> str:
    """Return the row that did best at a target, on validation data alone.

    The one that more seeds bring there; then the one with the lower median of generator updates;
    then, where none gets there, the one that comes nearer: the median over seeds of what an
    evaluation lacks at least, in the number that lacks most. Of equals, as where the warm-up that
    all start from gets there, the one that ends with the lower sum of the target's numbers; then
    the first.

    Args:
        results: `textbench.store.frames.load_results`, of finished runs.
        target: The target.
        rows: Labels to choose among.

    Raises:
        ValueError: A row has no runs on which the target could be read.
    """
    met = _counted(results, target)
    ranked = []
    for place, label in enumerate(rows):
        own = met[met["label"] == label]
        if own.empty:
            raise ValueError(f"{label} has no finished run that measured target {target.name}")
        median = median_interval(own["generator_updates"].tolist())[1]
        reached = int((own["outcome"] == "met").sum())
        runs = [results[results["run"] == run] for run in own["run"]]
        lack = float(np.median([_lack(run, target) for run in runs]))
        ended = float(np.median([_ended(run, target) for run in runs]))
        ranked.append((-reached, median, lack, ended, place, label))
    return min(ranked)[-1]


def measured(results: pd.DataFrame, target: Target, rows: Sequence[str]) -> list[str]:
    """Return those of some rows that have a run on which the target could be read."""
    known = set(_counted(results, target)["label"])
    return [label for label in rows if label in known]


def _counted(results: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Return `meetings` of the runs that count: they are over, and measured what is asked."""
    met = meetings(results, [target])
    return met[met["outcome"].isin(["met", "missed"])]


def _lack(evaluations: pd.DataFrame, target: Target) -> float:
    """Return by how much the best evaluation of a run misses the target; 0 if it does not."""
    limits = evaluations["metric"].map(target.at_most)
    lacking = (evaluations["value"] - limits).clip(lower=0.0)
    known = lacking[limits.notna()]
    return float(known.groupby(evaluations["evaluation"], observed=True).max().min())


def _ended(evaluations: pd.DataFrame, target: Target) -> float:
    """Return the sum of a target's numbers at a run's last evaluation; infinite if one is not."""
    last = evaluations[evaluations["evaluation"] == evaluations["evaluation"].max()]
    values = last.set_index("metric")["value"].reindex(list(target.at_most)).astype(float)
    return float(values.sum()) if values.notna().all() else math.inf
