"""What may be compared at all: the runs of one task's data under one preset, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from textbench.judge.measures import KEY
from textbench.judge.record import Record
from textbench.store.rows import BROKEN


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
    fingerprint: str
    preset: str
    runs: pd.DataFrame = field(repr=False)
    results: pd.DataFrame = field(repr=False)
    logs: pd.DataFrame | None = field(repr=False, default=None)
    among: bool = False
    """Whether there are other data of this task under this preset."""
    _kept: dict[object, pd.DataFrame] = field(repr=False, default_factory=dict)

    def once(self, key: object, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return what ``make`` gave for this key before: many claims ask for the same numbers."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @property
    def title(self) -> str:
        """As `section_title` has it."""
        return section_title(self.task, self.preset, self.fingerprint if self.among else "")

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


def section_title(task: str, preset: str, fingerprint: str = "") -> str:
    """Return ``"task, preset"``, and the data where others stand beside them."""
    data = f", data {fingerprint[:8]}" if fingerprint else ""
    return f"{task}, {f'preset {preset}' if preset else 'no preset'}{data}"


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


def with_tempered(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Add the rows that `textbench evaluate` made of runs at other inverse temperatures.

    They are no runs of their own, so `load_runs` has none of them; they are named after their run,
    ``RUN alpha=1.5``, and have its record.
    """
    again = results[~results["run"].isin(runs["run"])].drop_duplicates("run")
    if not len(again):
        return runs
    whose = again["run"].str.rpartition(" alpha=")
    found = runs.set_index("run").reindex(whose[0]).reset_index(drop=True)
    own = ["run", "label", "group", "seed", "status"]
    found = found.assign(**{key: again[key].to_numpy() for key in own}, warmup_run="")
    made = pd.concat([runs, found[found["trainer"].notna()]], ignore_index=True)
    made.attrs.update(runs.attrs)
    return made


def sections(
    results: pd.DataFrame, runs: pd.DataFrame, logs: pd.DataFrame | None = None
) -> Iterator[Section]:
    """Divide frames into sections, ordered by task, preset and fingerprint.

    Args:
        results: Frame of `load_results`.
        runs: Frame of `load_runs`, with the details of the spec that `Record.of` names.
        logs: Frame of `load_curves`, where claims about logged quantities are to be judged.
    """
    runs = with_tempered(results, runs)
    at = ["task", "preset", "task_fingerprint"]
    data = Counter(zip(*(runs.drop_duplicates(at)[key] for key in at[:2]), strict=True))
    for (task, preset, fingerprint), members in runs.groupby(at, sort=True, observed=True):
        # A warm-up may have been made, and labelled, by a command with another preset.
        names = {*members["run"], *members["warmup_run"]} - {""}
        chosen = runs[runs["run"].isin(names)]
        yield Section(
            task=str(task),
            fingerprint=str(fingerprint),
            preset=str(preset),
            runs=chosen,
            results=results[results["run"].isin(names)],
            logs=None if logs is None else logs[logs["run"].isin(names)],
            among=data[task, preset] > 1,
        )
