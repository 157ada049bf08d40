"""Is a record what the run would write? Its first steps, made again and compared.

On the processor and with the versions that made it every number must be the same to the bit.
Elsewhere sums round otherwise and training amplifies it: there a number must lie within the band of
the run's replicates, as far as the store has any.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from textbench.contracts.errors import UserError, one_line
from textbench.contracts.spec import Spec
from textbench.run import conditions, mirror, worker
from textbench.run.conditions import Conditions
from textbench.store import kept
from textbench.store.directory import RunDirectory
from textbench.store.read import UNREADABLE, read_run
from textbench.store.rows import CURVE, GENERATOR, METRICS

PLACE = ("textbench", "torch", "cpu", "device", "threads")
"""What of an environment may move the last bits."""
BAND = 3.0
"""A number may be off its record by so many ranges of the replicates', elsewhere; the range is that
of the replicates and the number, and the record is not asked how wide it is."""

Key = tuple[str, int, bool, str]
"""File, step, whether final, and what: one number of a record."""
Numbers = dict[Key, float | None]


@dataclass
class Repetition:
    """What came of it."""

    steps: int = 0
    compared: int = 0
    """Numbers."""
    elsewhere: list[str] = field(default_factory=list)
    """What of the environment is another, ``torch 2.12.0 instead of 2.13.0``."""
    replicates: int = 0
    differences: list[str] = field(default_factory=list)
    """Numbers that are not what they should be, a line each."""


def repeat(directory: RunDirectory, steps: int, device: str = "cpu") -> Repetition:
    """Make the first steps of a run again, in a store of its own, and compare the records.

    Args:
        directory: The run; nothing of it is changed.
        steps: How many training steps; the whole run, or as far as it has come, if that is less.
        device: Where.

    Raises:
        UserError: The run cannot be made again here: its trainer or data are not the same, or its
            warm-up's parameters are not in the store.
    """
    spec, recorded = directory.spec(), dict(_numbers(directory))
    stands = directory.standing().status
    last = max((step for _, step, _, _ in recorded), default=0)
    reached = math.inf if stands == "done" else last
    conditions.prepare(torch.device(device))
    with tempfile.TemporaryDirectory(prefix="textbench-verify-") as folder:
        again = RunDirectory(spec.directory(Path(folder)))
        again.create(spec)
        _bring_warmup(spec, directory.store, Path(folder))
        kept.copy(directory.store, Path(folder), spec)
        taken = _Steps(min(steps, max(reached, 1)))
        worker.execute(again, Conditions(torch.device(device), math.inf, stop=taken.enough))
        status = again.status()
        sound = {"done", "interrupted", *({stands} & {"diverged"})}
        if status.status not in sound or not again.starts():
            raise UserError(f"{directory.name} cannot be made again: {status.reason}")
        found = Repetition(steps=taken.taken, elsewhere=_elsewhere(directory, again))
        made = {
            key: value
            for key, value in _numbers(again)
            if key in recorded or key[1] < reached  # where it was cut off, some rows may be missing
        }
        others = list(_replicates(directory, spec)) if found.elsewhere else []
        _compare(found, recorded, made, others)
    return found


class _Steps:
    """Says stop after so many training steps: it is asked once after each."""

    def __init__(self, most: float) -> None:
        self.most, self.taken = most, 0

    def enough(self) -> bool:
        self.taken += 1
        return self.taken >= self.most


def _bring_warmup(spec: Spec, store: Path, target: Path) -> None:
    if spec.warmup is None:
        return
    source = RunDirectory(spec.warmup.directory(store))
    if not os.path.lexists(source.path / GENERATOR):
        raise UserError(
            f"the run starts from {source.name}, whose {GENERATOR} is not in {store}; "
            "it is needed to make the run again"
        )
    try:
        status = read_run(source).status.status  # which checks all files of one that is done
        mirror.write(spec.warmup.directory(target), mirror.finished(source))
    except UNREADABLE as error:
        raise UserError(f"the run starts from {source.name}: {one_line(error)}") from None
    if status != "done":
        raise UserError(f"the run starts from {source.name}, which is {status}")


def _elsewhere(directory: RunDirectory, again: RunDirectory) -> list[str]:
    here = again.starts()[-1]
    starts = directory.starts()
    then = {key: {str(start.get(key, "unknown")) for start in starts} for key in PLACE}
    return [
        f"{key} {here.get(key)} instead of {' and '.join(sorted(then[key])) or 'unknown'}"
        for key in PLACE
        if then[key] != {str(here.get(key))}
    ]


def _compare(found: Repetition, recorded: Numbers, made: Numbers, others: list[Numbers]) -> None:
    found.compared, found.replicates = len(made), len(others)
    expected = {key: value for key, value in recorded.items() if key[1] < found.steps}
    for key in sorted(made.keys() | expected.keys(), key=str):
        value, record = made.get(key), recorded.get(key)
        band = [other for one in others if (other := one.get(key)) is not None]
        if record != value and not (band and _within(record, value, band)):
            file, step, _, name = key
            found.differences.append(
                f"{file}, step {step}: {name} is {record} on record and {value} when made again"
            )


def _within(record: float | None, value: float | None, replicates: list[float]) -> bool:
    if record is None or value is None:
        return False
    spread = max(value, *replicates) - min(value, *replicates)
    return abs(record - value) <= BAND * spread


def _numbers(directory: RunDirectory) -> Iterator[tuple[Key, float | None]]:
    """Yield every number of a record that a run of the same spec must repeat: no times."""
    for loss in directory.curve():
        values = loss["values"] if loss["kind"] == "loss" else loss["ledger"]
        for name, value in values.items():
            yield (CURVE, loss["step"], loss["kind"] == "epoch", name), value
    for row in directory.evaluations():
        for name, one in row["metrics"].items():
            yield (METRICS, row["step"], row["final"], name), one["value"]
        for name, count in row["ledger"].items():
            yield (METRICS, row["step"], row["final"], name), count


def _replicates(directory: RunDirectory, spec: Spec) -> Iterator[Numbers]:
    """Yield the records of the store's other runs of this spec, which have other seeds."""
    for other in RunDirectory.find(directory.store):
        try:
            recorded = read_run(other)
            if recorded.group == spec.group and recorded.hash != spec.hash:
                yield dict(_numbers(other))
        except UNREADABLE:
            continue  # a damaged run is no replicate
