"""What may share a table: runs on one task (by fingerprint), under one preset."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from textbench.store.read import RecordedRun, Results

NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Row:
    """One algorithm as a table shows it: all runs that differ in nothing but the seed."""

    group: str
    """Empty where the algorithm was not run."""
    label: str
    name: str
    options: str = ""
    """What sets it apart from another row of the same label, ``"g_lr=0.001"``."""
    runs: tuple[RecordedRun, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Unique within a section: two labels may resolve to the same options."""
        return self.label, self.group

    @property
    def title(self) -> str:
        """Name and options in one line."""
        return f"{self.name} [{self.options}]" if self.options else self.name

    @property
    def unchanged(self) -> bool:
        """Whether it is what its name stands for: no option of its own was changed."""
        return not self.runs or not _changed(self.runs[0])

    @property
    def own_generator(self) -> bool:
        """Whether its configuration brings a generator that is not the shared LSTM."""
        return any(run.spec.own_generator for run in self.runs)

    @property
    def done(self) -> tuple[RecordedRun, ...]:
        """The runs that finished; only they enter a mean."""
        return tuple(run for run in self.runs if run.status.status == "done")

    @property
    def seeds(self) -> str:
        """``"3"``, or ``"2 of 3"`` while some have no final result."""
        done, all_runs = len(self.done), len(self.runs)
        return str(done) if done == all_runs else f"{done} of {all_runs}"


@dataclass
class Comparable:
    """One task under one preset, with everything that was run there."""

    task: str
    fingerprint: str
    preset: str
    slug: str
    """Ends the names of the section's files."""
    runs: list[RecordedRun]
    rows: list[Row]
    store: Results = field(repr=False)
    options: str = ""
    """What the user changed of every row's own options, where `only` took it out of the rows."""

    @property
    def title(self) -> str:
        """``task, preset``."""
        return f"{self.task}, {f'preset {self.preset}' if self.preset else 'no preset'}"

    @property
    def task_options(self) -> str:
        """The task's configuration in one line."""
        options = self.runs[0].spec.task_config
        return ", ".join(f"{key}={value}" for key, value in sorted(options.items()))

    @property
    def changed(self) -> str:
        """What the user changed for every run: the task's, backbone's and evaluation's options."""
        common = set.intersection(*(_shared_changes(run) for run in self.runs))
        return ", ".join(filter(None, (self.options, *sorted(common))))

    @property
    def oracles(self) -> set[str]:
        """What the oracle is called; one fingerprint, hence one oracle, asked for in any way.

        Runs of textbench 0.1.0 may not say which oracle they resolved, only what was asked for.
        """
        specs = [run.spec for run in self.runs]
        return {spec.oracle or str(spec.task_config.get("oracle", "")) for spec in specs}

    @property
    def note(self) -> str:
        """What a reader must know about the task's data."""
        return "; ".join(sorted({run.spec.task_note for run in self.runs} - {""}))

    def only(self, *patterns: str) -> Comparable | None:
        """Return the part of the rows that match, and of their warm-ups; None where none does.

        Options that all the rows share are said of the part instead of each row.
        """
        rows = [row for row in self.rows if _matches(row, patterns)]
        if not rows:
            return None
        options = {row.options for row in rows}
        shared = options.pop() if len(options) == 1 else ""
        found = [replace(row, options="") for row in rows] if shared else rows
        return self._part([*(row for row in self.rows if _warms_up(row, rows)), *found], shared)

    def without(self, *patterns: str, keep: Collection[str] = ()) -> Comparable:
        """Return the part of the rows that do not match, or all where nothing else was run.

        Rows whose labels are in ``keep`` stay.
        """
        matching = [row for row in self.rows if _matches(row, patterns)]
        rows = [row for row in matching if row.label not in keep]
        others = [row for row in self.rows if row not in rows]
        return self._part(others) if any(not _warms_up(row, rows) for row in others) else self

    def _part(self, rows: list[Row], options: str = "") -> Comparable:
        runs = [run for row in rows for run in row.runs]
        return replace(self, rows=rows, runs=runs, options=options)


def _matches(row: Row, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(row.label, pattern) for pattern in patterns)


def _warms_up(row: Row, others: list[Row]) -> bool:
    """Tell whether ``row`` is what some of ``others`` started from, and not one of them."""
    started_from = {
        run.spec.warmup.hash for other in others for run in other.runs if run.spec.warmup
    }
    return row not in others and any(run.hash in started_from for run in row.runs)


def sections(store: Results, names: Mapping[str, str] = NO_NAMES) -> list[Comparable]:
    """Divide a store's readable runs into sections, ordered by task, preset and fingerprint.

    Args:
        store: The runs.
        names: What rows are called, by label, and in which order; a row that is not among them
            is called by its trainer's recorded title, or by its label where it is a variant.
    """
    for run in store.rows:
        store.evaluations(run), store.epochs(run)  # both are needed, so both must be readable
    members: dict[tuple[str, str, str], list[RecordedRun]] = {}
    for run in store.rows:
        if run.name in store.unreadable:
            continue
        key = (run.spec.task, run.spec.preset, run.spec.task_fingerprint)
        chosen = members.setdefault(key, [])
        # A warm-up may have been made, and labelled, by an earlier command with another preset.
        chosen += [r for r in (store.warmup_of(run), run) if r and r not in chosen]
    found = []
    for (task, preset, fingerprint), runs in sorted(members.items()):
        slug = f"{task}-{preset or 'custom'}"
        if sum(key[:2] == (task, preset) for key in members) > 1:
            slug += f"-{fingerprint[:8]}"
        found.append(Comparable(task, fingerprint, preset, slug, runs, rows(runs, names), store))
    return found


def rows(runs: list[RecordedRun], names: Mapping[str, str] = NO_NAMES) -> list[Row]:
    """Group replicates into rows: those that ``names`` lists first, in its order."""
    groups: dict[tuple[str, str], list[RecordedRun]] = {}
    for run in runs:
        groups.setdefault((run.spec.label, run.group), []).append(run)
    options = _options([members[0] for members in groups.values()])
    found = [
        Row(
            group=group,
            label=label,
            name=names.get(label) or _title(members[0]),
            options=options[label, group],
            runs=tuple(sorted(members, key=lambda run: run.spec.seed)),
        )
        for (label, group), members in groups.items()
    ]
    listed = list(names)

    def order(row: Row) -> tuple[int, str, str, str]:
        place = listed.index(row.label) if row.label in listed else len(listed)
        return place, row.label, row.options, row.group

    return sorted(found, key=order)


def _title(run: RecordedRun) -> str:
    return (
        run.spec.label if run.spec.label != run.spec.trainer else run.spec.title or run.spec.label
    )


def _options(examples: list[RecordedRun]) -> dict[tuple[str, str], str]:
    """Say for each group, by one of its runs, what sets it apart.

    That is what the user changed and, where two groups have the same label, whatever else of
    their identity differs: trainer version, backbone, evaluation, warm-up.
    """
    identities = {run.group: dict(_flat(run.spec.identity())) for run in examples}
    rivals: dict[str, list[RecordedRun]] = {}
    for run in examples:
        rivals.setdefault(run.spec.label, []).append(run)
    described: dict[tuple[str, str], str] = {}
    for run in examples:
        others = [identities[rival.group] for rival in rivals[run.spec.label]]
        differing = {
            key: value
            for key, value in identities[run.group].items()
            if any(other.get(key) != value for other in others)
        }
        # An option that shapes the warm-up shows as the run's own, and again in the warm-up.
        own = {k: v for k, v in differing.items() if not k.startswith("warmup.")}
        shown = {**_changed(run), **(own or differing)}
        text = ", ".join(f"{key}={value}" for key, value in sorted(shown.items()))
        described[run.spec.label, run.group] = text
    return described


def _shared_changes(run: RecordedRun) -> set[str]:
    changes = run.spec.overrides.items()
    return {f"{key}={value}" for key, value in changes if not _is_own(key, run)}


def _changed(run: RecordedRun) -> dict[str, Any]:
    """Return the user's changes of the trainer's own options, without the trainer's name."""
    changes = run.spec.overrides.items()
    return {key.rpartition(".")[2]: value for key, value in changes if _is_own(key, run)}


def _is_own(key: str, run: RecordedRun) -> bool:
    """Tell whether ``SECTION.OPTION`` or ``SECTION@PLACE.OPTION`` is the trainer's own."""
    section = key.rpartition(".")[0].partition("@")[0]
    return section in (run.spec.label, run.spec.trainer)


def _flat(identity: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in identity.items():
        if key in ("seed", "format", "task", "task_fingerprint"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, prefix if key == "config" else f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
