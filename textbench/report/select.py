"""Selection rules: which number of a run a table's column shows.

Every rule takes a section and a column, and returns a line per run that it says anything of,
indexed by the run: one column per number (0, 1, ...), ``protocol`` (values of two protocols never
share a column) and ``reason`` (why there are no numbers).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from textbench.judge.evaluations import Evaluations
from textbench.judge.measures import best as best_evaluation
from textbench.judge.measures import generator_epochs, of_curve
from textbench.judge.spacing import common_spacing
from textbench.judge.target_costs import ACCELERATORS
from textbench.report.definitions import ColumnSpec, Select
from textbench.report.sections import Section

UNFINISHED = "not finished"


def pick(section: Section, column: ColumnSpec) -> pd.DataFrame:
    """Apply a column's rule to every run of a section; an unfinished run has no result yet.

    Returns:
        A line per run: ``row, seed, protocol, reason``, the numbers, ``in_warmup`` (the selected
        evaluation was made before the run's own training) and ``grid`` (those it was selected
        from); of times also ``epochs`` and ``squares`` (summed squared deviations within a run).
        ``judged`` is what rows are compared by: the numbers' sum, and of a best that of the
        evaluation selected from those that all runs have, NaN where they have too few in common.
    """
    found = RULES[column.select](section, column)
    numbers = list(range(len(column.metrics) or 1))
    shown = ["protocol", "reason", *numbers, "in_warmup", "grid", "epochs", "squares"]
    picked = section.runs[["row", "seed", "status"]].join(found.reindex(columns=shown))
    done = picked.pop("status") == "done"
    picked["reason"] = picked["reason"].astype(object).where(done, UNFINISHED).fillna("")
    absent = ~done | (picked["reason"] != "")
    picked[numbers] = picked[numbers].astype(float).mask(absent)
    picked["protocol"] = picked["protocol"].astype(object).where(~absent, "").fillna("")
    picked["in_warmup"] = picked["in_warmup"].eq(True)
    totals = picked[numbers].sum(axis=1)
    picked["judged"] = found.get("judged", totals).reindex(picked.index).mask(absent)
    return picked


def relative(picked: pd.DataFrame, base: pd.Series[bool], name: str) -> pd.DataFrame:
    """Divide every run's number by the base's of the same seed and protocol (hardware).

    By the mean of the base's where a row has other seeds.

    Args:
        picked: As of `pick`.
        base: Which of the runs are divided by.
        name: What that row is called in a reason.
    """
    measured = picked[base & (picked["protocol"] != "")]
    means = measured.groupby("protocol", observed=True)[0].mean()
    found = picked.copy()
    keys = pd.MultiIndex.from_frame(picked[["protocol", "seed"]])
    by_seed = measured.drop_duplicates(["protocol", "seed"]).set_index(["protocol", "seed"])[0]
    own = pd.Series(by_seed.reindex(keys).to_numpy(float), picked.index)
    mean = picked["protocol"].map(means)
    paired = (own.notna() | mean.isna()).groupby(picked["row"], observed=True).transform("all")
    found[0] = picked[0] / own.where(paired, mean)
    lost = np.isfinite(picked[0]) & found[0].isna()
    found.loc[lost, "reason"] = f"{name} has no time on the same hardware"
    found.loc[lost, "protocol"] = ""
    return found.assign(epochs=np.nan, squares=np.nan, judged=found[0])


def _lines(evaluated: Evaluations, metrics: tuple[str, ...]) -> pd.DataFrame:
    """Return a line per evaluation: the moment, a column per metric, protocol and reason."""
    values = pd.DataFrame(evaluated.numbers(metrics), index=evaluated.at.index)
    reason = evaluated.missing(metrics)
    found = pd.concat([evaluated.at, values], axis=1)
    return found.assign(protocol=evaluated.protocol(metrics), reason=reason)


def _or_reason(section: Section, found: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Add the runs of which a rule found nothing."""
    reasons = pd.DataFrame({"reason": reason}, index=section.runs.index.difference(found.index))
    return pd.concat([found, reasons]) if len(reasons) else found


def final(section: Section, column: ColumnSpec) -> pd.DataFrame:
    """Select the evaluation after the last step."""
    lines = _lines(section.evaluations.finals, column.metrics)
    last = lines.drop_duplicates("run", keep="last").set_index("run")
    return _or_reason(section, last, "no final evaluation")


def best(section: Section, column: ColumnSpec) -> pd.DataFrame:
    """Select the evaluation with the best number, or sum, the earliest of equals; warm-up included.

    Only evaluations under the protocol of the run's curve compete: the final one may draw more
    samples, and then its number is another one.
    """
    lines = _lines(section.evaluations, column.metrics)
    lines["shown"] = lines["protocol"]
    complete = of_curve(lines[lines["reason"] == ""])
    numbers = list(range(len(column.metrics)))
    judged = complete.assign(value=complete[numbers].sum(axis=1))
    kept, higher = [*numbers, "shown"], column.direction == "higher"
    chosen = best_evaluation(judged, kept, higher=higher, common=False).set_index("run")
    chosen = chosen.assign(protocol=chosen["shown"], reason="", judged=np.nan)
    if common_spacing(judged) is not None:  # else no two rows had the same chances
        alike = best_evaluation(judged, kept, higher=higher).set_index("run")
        chosen["judged"] = alike[numbers].sum(axis=1)
    started = section.runs["warmup"].notna()
    covered = complete.loc[complete["warmup"].astype(bool), "run"].unique()
    lost = started[started].index.intersection(chosen.index).difference(list(covered))
    chosen.loc[lost, "reason"] = "its warm-up was not evaluated under the same protocol"
    last = lines.drop_duplicates("run", keep="last").set_index("run")
    others = last.loc[last.index.difference(chosen.index), ["reason"]]
    return _or_reason(section, pd.concat([chosen, others]), "no evaluation")


def change(section: Section, column: ColumnSpec) -> pd.DataFrame:
    """Take the difference of the last evaluation and the warm-up's last, of one protocol."""
    lines = _lines(section.evaluations, column.metrics)
    before = lines[lines["warmup"].astype(bool)]
    end = final(section, column)
    numbers = list(range(len(column.metrics)))
    alike = before[
        (before["reason"] == "") & (before["protocol"] == before["run"].map(end["protocol"]))
    ]
    start = alike.drop_duplicates("run", keep="last").set_index("run")
    end[numbers] = end[numbers] - start[numbers].reindex(end.index)
    sound = end["reason"] == ""
    warm = end.index.isin(before["run"])
    lost = sound & ~end.index.isin(start.index)
    end.loc[lost, "reason"] = "its warm-up was not evaluated under the same protocol"
    end.loc[~warm, "reason"] = "it starts from no warm-up"
    return end


def counted(section: Section, column: ColumnSpec) -> pd.DataFrame:
    """Take counts of the ledger at the end of training, the warm-up's included."""
    ends = section.evaluations.finals.at.drop_duplicates("run", keep="last")
    ends = ends.set_index("run").reindex(columns=list(column.metrics)).astype(float)
    reason = pd.Series("", index=ends.index)
    for name in reversed(column.metrics):
        reason = reason.where(ends[name].notna(), f"its ledger has no {name}")
    found = ends.set_axis(range(len(column.metrics)), axis=1)
    found = found.assign(protocol="ledger/1", reason=reason)
    return _or_reason(section, found, "no final evaluation")


def logged(section: Section, column: ColumnSpec) -> pd.DataFrame:
    """Take the mean of a logged quantity over the last epoch that has it."""
    (name,) = column.metrics
    logs = section.logs
    mine = logs[(logs["name"] == name) & (logs["kind"] == "loss") & ~logs["warmup"].astype(bool)]
    last = mine[mine["epoch"] == mine.groupby("run", observed=True)["epoch"].transform("max")]
    means = last.groupby("run", observed=True)["value"].mean()
    found = means.to_frame(0).assign(protocol="log/1", reason="")
    return _or_reason(section, found, f"it logs no {name}")


def epoch_times(section: Section, column: ColumnSpec) -> pd.DataFrame:
    """Take the seconds of each epoch of the last phase that trains the generator."""
    clock = column.select.removeprefix("epoch_")
    own = generator_epochs(section.logs, clock)
    values = own.groupby("run", observed=True)["value"]
    found = pd.DataFrame({0: values.mean(), "epochs": values.size()})
    apart = (own["value"] - own["run"].map(found[0]).astype(float)) ** 2
    where = section.runs["hardware"].reindex(found.index)
    found["squares"] = apart.groupby(own["run"], observed=True).sum()
    found["protocol"] = f"{clock}/1 on " + where
    found["reason"] = ""
    found = _or_reason(section, found, "no epoch of generator training in its log")
    machine = section.runs["hardware"].reindex(found.index)
    nowhere = machine == ""
    if clock == "cpu_seconds":
        waited = machine.str.contains(ACCELERATORS)
        found.loc[waited, "reason"] = "a GPU did the work, which processor seconds do not show"
    found.loc[nowhere, "reason"] = "it ran on several kinds of hardware, or on an unknown one"
    return found


RULES: dict[Select, Callable[[Section, ColumnSpec], pd.DataFrame]] = {
    "final": final,
    "best": best,
    "change": change,
    "ledger": counted,
    "logged": logged,
    "epoch_seconds": epoch_times,
    "epoch_cpu_seconds": epoch_times,
}
