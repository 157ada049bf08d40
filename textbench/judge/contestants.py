"""The rows that a claim names, as they were run, and what is measured of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from textbench.judge import measures
from textbench.judge.sections import Line, Section
from textbench.judge.spacing import LEAST_EVALUATIONS
from textbench.judge.statements import CURVE, SECONDS, Measure, Selector
from textbench.judge.target_costs import ACCELERATORS, ELSEWHERE, machines


@dataclass(frozen=True, eq=False)
class Contestant:
    """A row that a claim names, as it was run: one line, or the lines of a grid."""

    selector: Selector
    lines: tuple[Line, ...]
    changed: bool = False
    """Whether there is none, but with options of the user's."""

    @classmethod
    def of(cls, selector: Selector, section: Section) -> Contestant:
        """Find it in a section; without runs it has no lines."""
        if "*" in selector.label:
            lines = [one for one in section.lines if fnmatchcase(one.label, selector.label)]
        else:
            line = section.find(selector.label, selector.options)
            lines = [line] if line else []
        run = tuple(line for line in lines if line.runs)
        others = any(one.label == selector.label and one.seeds for one in section.lines)
        return cls(selector, run, changed=others and not (run or selector.options))

    @property
    def absent(self) -> str:
        """Say that there is no finished run of it."""
        other = " as its name stands for it: its options were changed" if self.changed else ""
        return f"no finished run of {self.name}{other}"

    @property
    def name(self) -> str:
        """As sentences call it."""
        return self.lines[0].name if len(self.lines) == 1 else str(self.selector)

    @property
    def schedules(self) -> str:
        """``"cot: 32 epochs"``."""
        schedules = dict.fromkeys(line.record.schedule for line in self.lines)
        return f"{self.name}: {' or '.join(schedules)}"


@dataclass(frozen=True)
class Side:
    """A measured row: its values by seed, or why there are none."""

    values: Mapping[int, float]
    protocol: str = ""
    why: str = ""
    grid: str = ""


def measured(
    measure: Measure, row: Contestant, section: Section, beside: Contestant | None = None
) -> Side:
    """Return a row's number by seed.

    Args:
        measure: What is measured.
        row: Of whom.
        section: Where they were run.
        beside: Whom they are compared with: a best is taken on the common grid of both.
    """
    if measure.stat == "grid":
        return _grid(measure, row, section)
    if measure.log and not (section.logs["name"] == measure.log).any():
        return Side({}, why=f"no log of {measure.log}")
    frame = _frame(measure, section, row, beside)
    why, line, least = "", row.lines[0], LEAST_EVALUATIONS
    if measure.stat in CURVE and len(frame):
        fewest = measures.of_row(frame, line.key)["evaluations"].min()
        if fewest < least:
            why = f"{int(fewest)} evaluations of own training, {least} are needed"
        frame = frame[frame["evaluations"] >= least]
    if SECONDS in measure.metrics:
        mine = measures.of_row(frame, line.key)
        why = next((one for one in mine["why"] if one), "")
        frame = frame[frame["why"] == ""]
    values, protocol = measures.sample(frame, line.key)
    grids = measures.of_row(frame, line.key)["grid"] if "grid" in frame else ()
    grid = "; ".join(f"{row.name}: {text}" for text in dict.fromkeys(grids))
    if values or why:
        return Side(values, protocol, why, grid)
    still = "its best evaluation is the last: it still falls"
    return Side({}, why=still if measure.stat == "rise" else f"no {measure.name} on record")


def _frame(
    measure: Measure, section: Section, row: Contestant, beside: Contestant | None
) -> pd.DataFrame:
    """Return every run's number, as `measures` gives it."""
    if measure.stat == "best":
        keys = frozenset(line.key for one in (row, beside) if one for line in one.lines)
        return section.once(
            (measure.stat, measure.metrics, keys),
            lambda: measures.best(_of(_curve(measure, section), keys), measure.metrics),
        )
    length = row.lines[0].record.length
    key = (measure.stat, measure.metrics, measure.log, length)
    return section.once(key, lambda: _measure(measure, section, length))


def _curve(measure: Measure, section: Section) -> pd.DataFrame:
    metrics = measure.metrics
    return section.once(("curve", metrics), lambda: measures.curves(section.evaluations, metrics))


def _of(curve: pd.DataFrame, keys: Collection[tuple[str, str]]) -> pd.DataFrame:
    """Return the curves of some rows, each with its label and group."""
    mine = [(curve["label"] == label) & (curve["group"] == group) for label, group in keys]
    return curve[np.logical_or.reduce(mine)]


def _measure(measure: Measure, section: Section, length: float) -> pd.DataFrame:
    evaluated, metrics, logs = section.evaluations, measure.metrics, section.logs
    match measure.stat:
        case "change" | "late" | "rise" as name:
            of_own = {"change": measures.change, "late": measures.late, "rise": measures.rise}
            return measures.own_training(_curve(measure, section), of_own[name])
        case "total":
            found = measures.total(evaluated, metrics)
            return _on_hardware(found, metrics, machines(section.runs))
        case "epoch":
            hardware = section.runs["hardware"]  # a warm-up has epochs of its own
            return _on_hardware(measures.per_epoch(logs), metrics, hardware)
        case "translation":
            return measures.translation(_curve(measure, section), logs, measure.log, length)
        case _:
            return measures.final(evaluated, metrics)


def _on_hardware(
    found: pd.DataFrame, metrics: Sequence[str], where: pd.Series[str]
) -> pd.DataFrame:
    """Make the hardware a part of the protocol of seconds, and leave out what ran on several.

    Args:
        found: What `measures` gives.
        metrics: What it is of.
        where: The machine that made each run.

    Returns:
        Also ``why`` seconds compare with no others; empty where they do.
    """
    if SECONDS not in metrics:
        return found
    at = found["run"].astype(str).map(where).fillna("")
    told = found.assign(protocol=f"{SECONDS} on " + at, why=at.map(_incomparable))
    return told[at != ""]


def _incomparable(machine: str) -> str:
    if machine == ELSEWHERE:
        return "its warm-up was made on another machine"
    if ACCELERATORS.search(machine):  # whose processor prepared and waited
        return f"its processor seconds are of {machine}, where a GPU did the work"
    return ""


def _grid(measure: Measure, row: Contestant, section: Section) -> Side:
    """Return the spread of the final value over the rows of a grid, by seed."""
    finals = Measure("final", measure.metrics)
    frame = section.once(finals, lambda: measures.final(section.evaluations, measure.metrics))
    found = [measures.sample(frame, line.key) for line in row.lines]
    told = sum(bool(values) for values, _ in found)
    protocols = {protocol for _, protocol in found}
    seeds = set.intersection(*(set(values) for values, _ in found)) if found else set()
    if told < max(3, len(found)):
        needed = "a spread takes three, and all that were begun"
        return Side({}, why=f"{told} of its {len(found)} settings are finished; {needed}")
    if not seeds:
        return Side({}, why=f"its {len(found)} settings have no seed in common")
    if len(protocols) > 1:
        return Side({}, why="its settings were measured differently")
    finals_of = {seed: [values[seed] for values, _ in found] for seed in sorted(seeds)}
    spreads = {seed: float(np.std(values, ddof=1)) for seed, values in finals_of.items()}
    return Side(spreads, protocols.pop())
