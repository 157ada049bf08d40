"""Compact records of finished runs, to be kept for good: `textbench publish`.

What a reader, a report or a comparison needs of a run goes along: spec, environment, evaluations,
samples, the vocabulary of a text task, and the training log as its means over each epoch.
Checkpoints and sentences stay behind, and of the final generators all but one per row, so that a
store of a hundred runs fits a repository.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path

from textbench.contracts.errors import UserError, printable
from textbench.store import files, kept, process, records, verify
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError, checksum
from textbench.store.read import RecordedRun, read_run
from textbench.store.rows import (
    CURVE,
    ENVIRONMENT,
    EVALUATIONS,
    FINISHED,
    GENERATOR,
    METRICS,
    RECORD,
    SAMPLES,
    SPEC,
    STATUS,
    EpochRow,
    LossRow,
)

FOLDER = ("--results",)
LOCAL = (*FOLDER, "--jobs", "--checkpoint-every")
"""Options of a command that say where and how it was run, and change no number."""
SEEDS = "{seeds}"
MOST_SEEDS = 1000
"""Of a range that is written out; and of parts of a list."""
SAMPLE_LINES = 20
"""Lines of ``samples.txt`` that are kept."""
LARGEST_GENERATOR = 2 * 2**20
"""Bytes of a generator that goes along: a larger one is no compact record, and `textbench sample`
names the command that makes it again."""


def checked(directory: RunDirectory) -> RecordedRun:
    """Read a run and refuse one that is no evidence.

    Raises:
        UserError: It is not finished, its record does not fit together, or it was made by code
            that nobody can look up.
    """
    run = read_run(directory)
    status = run.status
    if status.status not in FINISHED:
        raise UserError(f"it is {status.status}; only finished runs are published")
    if status.status == "done" and not os.path.lexists(directory.path / GENERATOR):
        remedy = "`textbench run` with the same command makes it again"
        raise DamagedError(f"{GENERATOR} is missing", remedy)
    starts = run.starts
    verify.samples(directory, status)
    if not starts:
        raise DamagedError(f"{ENVIRONMENT} does not say what it was made with")
    for start in starts:
        if start.get("dirty"):
            raise UserError(
                f"it was made from a checkout of {str(start.get('commit'))[:12]} with changes that "
                "were not committed; run it from a clean one"
            )
    return run


def sweep(store: Path) -> None:
    """Remove what publishing into ``store`` left half written when it was killed, on this host."""
    for left in store.rglob(".*.tmp"):
        host, pid, *_ = left.name.split(".")[-4:]
        ours = host == files.host() and re.fullmatch(r"[0-9]{1,9}", pid)
        if ours and not process.started(int(pid)):
            with contextlib.suppress(OSError):
                left.unlink()


def publish(run: RecordedRun, store: Path, *, generator: bool) -> bool:
    """Write a run's compact record into ``store``; return whether anything changed.

    Args:
        run: As of `checked`.
        store: The store of published records.
        generator: Whether the final generator goes along.

    Raises:
        UserError: Other numbers are published under the same name already.
        DamagedError: A log cannot be read.
        OSError: A file cannot be read or written.
    """
    target = RunDirectory(run.spec.directory(store))
    target.check_place(f"{target.name} would be written elsewhere")
    content = _content(run, generator=generator)
    before = target.content(METRICS)
    if before and before != content[METRICS]:
        raise UserError(
            f"{target.path} has other numbers of this very run; remove that folder to publish these"
        )
    kept.copy(run.directory.store, store, run.spec, sentences=False)
    target.path.mkdir(parents=True, exist_ok=True)
    changed = False
    for name in RECORD:
        if name in content and content[name] != target.content(name):
            target.replace(name, content[name])
            changed = True
    return changed


def _content(run: RecordedRun, *, generator: bool) -> dict[str, bytes]:
    """Return the files of a run's compact record."""
    read = run.directory.content
    found = {name: read(name) for name in (SPEC, ENVIRONMENT, METRICS, EVALUATIONS)}
    typed = [str(start.get("command", "")) for start in run.starts]
    told = [elsewhere(command, FOLDER) for command in typed]
    if told != typed:
        pairs = zip(run.starts, told, strict=True)
        starts = [{**start, "command": command} for start, command in pairs]
        found[ENVIRONMENT] = files.to_json({"starts": starts})
    # Key by key: what a newer version added stays.
    log = run.directory.checked(CURVE, records.log_entry)
    found[CURVE] = files.to_lines(thinned(log))
    found[SAMPLES] = b"".join(read(SAMPLES).splitlines(keepends=True)[:SAMPLE_LINES])
    if generator and len(parameters := read(GENERATOR)) <= LARGEST_GENERATOR:
        found[GENERATOR] = parameters
    summed = (CURVE, METRICS, GENERATOR, SAMPLES)
    sums = {name: checksum(found[name]) for name in summed if found.get(name)}
    found[STATUS] = files.to_json(asdict(replace(run.status, checksums=sums)))
    return {name: content for name, content in found.items() if content}


def thinned(rows: Iterable[LossRow | EpochRow]) -> Iterator[LossRow | EpochRow]:
    """Yield a training log with one row of losses per phase and epoch, the mean of its rows.

    That is what figures and tables make of it: the mean over an epoch.
    """
    for (kind, *_), group in groupby(
        rows, key=lambda row: (row["kind"], row["phase"], row["epoch"])
    ):
        if kind == "epoch":
            yield from group
            continue
        losses = [row for row in group if row["kind"] == "loss"]
        logged: dict[str, list[float]] = {}
        for row in losses:
            for name, value in row["values"].items():
                if value is not None:
                    logged.setdefault(name, []).append(value)
        means: dict[str, float | None] = {name: _mean(values) for name, values in logged.items()}
        yield {**losses[-1], "values": means}


def _mean(values: Sequence[float]) -> float:
    try:
        return statistics.fmean(values)
    except OverflowError:  # of their sum
        return float(statistics.mean(values))


def with_generators(runs: Iterable[RecordedRun], store: Path, *, others: bool = True) -> set[str]:
    """Return the hashes of the runs whose generators go along: one seed of each row.

    The one that is published already stays; else, with ``others``, it is the lowest seed of those
    that are done.
    """
    chosen: dict[str, RecordedRun] = {}
    for run in sorted(runs, key=lambda run: run.spec.seed):
        if run.status.status != "done":
            continue
        there = (RunDirectory(run.spec.directory(store)).path / GENERATOR).exists()
        if there or (others and run.group not in chosen):
            chosen[run.group] = run
    return {run.hash for run in chosen.values()}


def page(name: str, runs: Iterable[RecordedRun]) -> str:
    """Return the ``README.md`` of a published store: its rows, and the commands that made them."""
    rows: dict[tuple[str, str], list[RecordedRun]] = {}
    for run in runs:
        rows.setdefault((run.spec.label, _options(run.spec.overrides)), []).append(run)
    lines = [
        f"# {name}",
        "",
        "Made by `textbench publish` from finished runs; every `env.json` names the commit, the "
        "versions, the machine and the command of its run.",
        "",
        "| row | changed options | seeds | commit | machine |",
        "| :-- | :-- | :-- | :-- | :-- |",
    ]
    for (label, options), group in sorted(rows.items()):
        seeds = ", ".join(str(seed) for seed in sorted({run.spec.seed for run in group}))
        starts = [start for run in group for start in run.starts]
        commits = _values(str(start.get("commit", ""))[:12] for start in starts)
        machines = _values(f"{start.get('cpu', '')}, {start.get('device', '')}" for start in starts)
        lines.append(f"| `{_plain(label)}` | {options or '-'} | {seeds} | {commits} | {machines} |")
    every = [run for group in rows.values() for run in group]
    if plugins := sorted({Path(file).name for run in every for file in run.spec.plugins}):
        named = ", ".join(f"`{_plain(file)}`" for file in plugins)
        lines += [
            "",
            f"Plug-ins were loaded, which need not be part of these commits: {named}. Keep them "
            "beside the records; `code` in `env.json` is the hash of a trainer's source.",
        ]
    starts = [start for run in every for start in run.starts]
    lines += ["", "```sh", *commands(str(start.get("command", "")) for start in starts), "```"]
    return "\n".join(lines) + "\n"


def commands(given: Iterable[str]) -> list[str]:
    """Return the commands that make the runs elsewhere.

    Without the options that no number depends on and that are of one place alone; those that
    differ in their seeds as one.
    """
    seeds: dict[str, list[str]] = {}
    for command in sorted({_line(one) for one in given if one}):
        words = elsewhere(command, LOCAL).split(" ")
        at = words.index("--seeds") + 1 if "--seeds" in words[:-1] else 0
        number = words[at] if at else ""
        if at:
            words[at] = SEEDS
        seeds.setdefault(" ".join(words), []).append(number)
    return sorted(text.replace(SEEDS, _all_seeds(numbers)) for text, numbers in seeds.items())


def elsewhere(command: str, options: Sequence[str]) -> str:
    """Return a command without these options and their values."""
    value = r"""(?:'[^']*'|"[^"]*"|[^\s'"])+"""  # as `shlex.join` quotes
    return re.sub(rf" (?:{'|'.join(options)})[= ]{value}", "", command)


def _all_seeds(numbers: Sequence[str]) -> str:
    """Return one value of ``--seeds`` for several."""
    text, found = ",".join(numbers), set()
    if text.count(",") >= MOST_SEEDS:
        return text
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?::(\d{1,9}))?", part)
        first, end = (int(match[1]), int(match[2] or int(match[1]) + 1)) if match else (0, 0)
        if not first < end <= first + MOST_SEEDS:
            return text
        found |= set(range(first, end))
    return ",".join(str(seed) for seed in sorted(found))


def _options(overrides: Mapping[str, object]) -> str:
    return " ".join(f"`{_plain(f'{key}={value}')}`" for key, value in sorted(overrides.items()))


def _values(found: Iterable[str]) -> str:
    known = {_plain(value).replace("<", "&lt;") for value in found if value}
    return "; ".join(sorted(known)) or "unknown"


def _plain(text: object) -> str:
    """Return what a record says as one line that ends neither code nor a table's cell."""
    return _line(text).replace("`", "'").replace("|", "/")


def _line(text: object) -> str:
    """Return what a record says as one line that ends no block of code."""
    return " ".join(printable(str(text)).split()).replace("```", "(code)")
