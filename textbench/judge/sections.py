"""What may be compared at all: the runs of one task's data under one preset, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import pandas as pd

from textbench.judge.evaluations import Evaluations
from textbench.judge.measures import KEY
from textbench.judge.record import Record
from textbench.store.frames import Frames
from textbench.store.rows import BROKEN

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Line:
    """One row of a table: the runs that differ in nothing but the seed."""

    label: str
    group: str
    title: str
    record: Record
    seeds: tuple[int, ...]
    """Of finished runs."""
    runs: int
    """All that were started."""
    broken: int = 0
    """Of these, failed or diverged."""
    name: str = ""
    """The label and what sets the row apart, ``cot [epochs=32]``; unique within a section."""

    @property
    def key(self) -> tuple[str, str]:
        """Label and group."""
        return self.label, self.group


@dataclass(frozen=True, eq=False)
class Section:
    """The runs on one task's data under one preset, and their warm-ups."""

    task: str
    preset: str
    fingerprint: str
    runs: pd.DataFrame = field(repr=False)
    """One line per run, as of `textbench.load_runs`, indexed by name."""
    evaluations: Evaluations = field(repr=False)
    logs: pd.DataFrame = field(repr=False)
    """As of `textbench.load_curves`."""
    among: bool = False
    """Whether there are other data of this task under this preset."""
    _kept: dict[object, Any] = field(init=False, repr=False, default_factory=dict)

    def once(self, key: object, make: Callable[[], T]) -> T:
        """Return what ``make`` gave for this key before: many ask for the same numbers."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    @property
    def title(self) -> str:
        """``"task, preset"``, and the data where others stand beside them."""
        preset = f"preset {self.preset}" if self.preset else "no preset"
        data = f", data {self.fingerprint[:8]}" if self.among else ""
        return f"{self.task}, {preset}{data}"

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Its rows, in the order of their labels."""
        found = [
            _line(members) for _, members in self.runs.groupby(list(KEY), sort=True, observed=True)
        ]
        for tell in (_schedule, _group):
            names = Counter(line.name for line in found)
            found = [
                replace(line, name=line.name + tell(line)) if names[line.name] > 1 else line
                for line in found
            ]
        return tuple(found)

    def find(self, label: str, options: Mapping[str, object] | None = None) -> Line | None:
        """Return the row of a label: with these options, else as its name stands for it.

        Of several the one with most finished runs. Where an algorithm was only run with changed
        options, and in one way, that row stands in.
        """
        found = [line for line in self.lines if line.label == label]
        for key, value in (options or {}).items():
            found = [line for line in found if line.record.config.get(key) == value]
        if not options:
            own = [line for line in found if not line.record.own_overrides]
            found = own if own or len(found) > 1 else found
        return max(found, key=lambda line: len(line.seeds), default=None)


def _schedule(line: Line) -> str:
    return f" ({line.record.schedule})" if line.record.schedule else ""


def _group(line: Line) -> str:
    return f" {line.group[:6]}"


def _line(members: pd.DataFrame) -> Line:
    first = {str(key): value for key, value in members.iloc[0].items()}
    label = str(first["label"])
    done = members[members["status"] == "done"]
    title = first["title"] if isinstance(first.get("title"), str) and first["title"] else label
    record = Record.of(first)
    changed = ", ".join(f"{key}={value}" for key, value in record.own_overrides.items())
    return Line(
        label=label,
        group=str(first["group"]),
        title=str(title),
        record=record,
        seeds=tuple(sorted(int(seed) for seed in done["seed"])),
        runs=len(members),
        broken=int(members["status"].isin(BROKEN).sum()),
        name=f"{label} [{changed}]" if changed else label,
    )


def sections(frames: Frames) -> Iterator[Section]:
    """Divide a store into sections, ordered by task, preset and fingerprint."""
    runs = frames.runs.set_index("run", drop=False).rename_axis(None)
    at = ["task", "preset", "task_fingerprint"]
    data = Counter(zip(*(runs.drop_duplicates(at)[key] for key in at[:2]), strict=True))
    for (task, preset, fingerprint), members in runs.groupby(at, sort=True, observed=True):
        # A warm-up may have been made, and labelled, by a command with another preset.
        names = {*members["run"], *members["warmup_run"]} - {""}
        results, logs = (one[one["run"].isin(names)] for one in (frames.results, frames.logs))
        yield Section(
            task=str(task),
            preset=str(preset),
            fingerprint=str(fingerprint),
            runs=runs[runs["run"].isin(names)],
            evaluations=Evaluations.build(results),
            logs=logs,
            among=data[task, preset] > 1,
        )
