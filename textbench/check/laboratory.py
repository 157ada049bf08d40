"""Where trainers are tried: fresh copies in the harness's own hands, and one recorded run."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.check.promise import Violation
from textbench.check.trap import TrappedTask
from textbench.contracts.config import Config
from textbench.contracts.errors import UserError, one_line, shown
from textbench.contracts.returned import LOGGED
from textbench.contracts.spec import Spec
from textbench.contracts.task import Task
from textbench.contracts.trainer import Phase, State
from textbench.plan.blame import raised
from textbench.run import assemble, checkpoint
from textbench.run.conditions import Conditions
from textbench.run.loop import Run, Warmup
from textbench.store.directory import RunDirectory
from textbench.store.rows import EvaluationRow


@dataclass
class Record:
    """The reference run, and everything noted while it went on."""

    run: Run
    trap: TrappedTask
    steps: int
    phases: list[Phase]
    """As returned before `setup`."""
    initial: dict[str, Tensor]
    """The generator's parameters after `setup`."""
    ledger: dict[str, int]
    """As it was before `setup`."""
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    unsaved: str = ""
    """Why there are no snapshots."""
    losses: list[dict[str, float | Tensor]] = field(default_factory=list)
    at_phase_ends: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    longest: float = 0.0
    """Seconds of the longest step."""

    @property
    def trains(self) -> bool:
        """Whether it is meant to train anything; a reference row does not."""
        declared = any(phase.trains_generator for phase in self.run.schedule.phases)
        return declared or bool(self.initial)

    @property
    def spent(self) -> dict[str, int]:
        """What training has cost: the ledger, less that of the warm-up."""
        ledger = self.run.meter.ledger
        return {name: ledger[name] - self.ledger[name] for name in ledger}

    @property
    def generator(self) -> Generator:
        """The generator."""
        return self.run.trainer.generator

    @property
    def summary(self) -> str:
        """What was run, in one line."""
        total = self.run.schedule.total
        part = "" if self.steps == total else f", the first of {total:,}: --steps or --set"
        return f"{self.steps} steps{part}, the longest {1000 * self.longest:.0f} ms"


class Laboratory:
    """Makes fresh copies of one trainer.

    Args:
        spec: What to build.
        folder: Where run directories may be made.
        steps: The longest schedule to walk through.
    """

    def __init__(self, spec: Spec, folder: Path, steps: int) -> None:
        self.spec, self.folder, self.limit = spec, folder, steps
        self.trainer_class, self.task = assemble.trainer_class(spec), assemble.task(spec)

    @cached_property
    def warmup(self) -> Warmup | None:
        """What it starts from, if it asked for that."""
        return self._warm_up(self.spec.warmup) if self.spec.warmup else None

    def _warm_up(self, spec: Spec) -> Warmup:
        source = Laboratory(replace(spec, seed=self.spec.seed), self.folder, self.limit)
        run = source.start()
        steps = min(run.schedule.total, self.limit)
        train(run, 0, steps)
        last: EvaluationRow = {
            "step": steps,
            "phase": "",
            "epoch": run.schedule.epoch(steps),
            "final": True,
            "ledger": dict(run.meter.ledger),
            "seconds": 0.0,
            "cpu_seconds": 0.0,
            "metrics": {},
        }
        return Warmup(run.trainer.generator.state_dict(), last)

    def start(self, *, seed: int | None = None, world: int = 0) -> Run:
        """Return a run that is set up and has taken no step.

        Args:
            seed: The run's seed, if not the spec's.
            world: Seed of the global random generators, which should not matter.
        """
        spec = self.spec if seed is None else replace(self.spec, seed=seed)
        run = self.build(spec, TrappedTask(self.task, spec.seed))
        checkpoint.seed_global_random(world)
        with run.meter:
            run.trainer.setup()
        return run

    def build(self, spec: Spec, task: Task[Config]) -> Run:
        """Return a run that is not even set up."""
        directory = RunDirectory(spec.directory(self.folder))
        directory.create(spec)
        cpu = Conditions(torch.device("cpu"))
        return Run(directory, self.trainer_class, task, [], self.warmup, cpu)

    def reference(self) -> Record:
        """Train once, with the task's secrets trapped, and note everything.

        Raises:
            Violation: The trainer raises an exception.
        """
        trap = TrappedTask(self.task, self.spec.seed)
        where = "its warm-up"
        try:
            _ = self.warmup
            where = "phases()"
            run = self.build(self.spec, trap)
            where, phases = "setup()", run.trainer.phases()
            checkpoint.seed_global_random(0)
            ledger = dict(run.meter.ledger)
            with run.meter:
                run.trainer.setup()
            steps = min(run.schedule.total, self.limit)
            before = parameters(run.trainer.generator)
            record = Record(run, trap, steps, phases, before, ledger)
            for step in range(steps):
                where = f"step {step}"
                self._note_before(record, step)
                began = time.perf_counter()
                with run.meter:
                    record.losses.append(_logged(run.trainer.step(run.schedule.at(step))))
                record.longest = max(record.longest, time.perf_counter() - began)
                if step + 1 in run.schedule.ends:
                    record.at_phase_ends[step + 1] = parameters(run.trainer.generator)
        except Violation:
            raise
        except UserError as error:
            seen, _, right = one_line(error).partition("; it must return ")
            raise Violation(seen, right or "it trains on this task") from error
        except Exception as error:
            raise Violation(f"{where} raised {raised(error)}", "it trains on this task") from error
        self._note_before(record, steps)
        return record

    def _note_before(self, record: Record, step: int) -> None:
        """Keep the whole state at the start, after one step, on the way, and at the end."""
        n = record.steps
        if step in {0, 1, n // 4, n // 2, 3 * n // 4, n - 1, n} and not record.unsaved:
            try:
                record.snapshots[step] = Snapshot.of(record.run)
            except Exception as error:  # whatever pickling may run into
                record.unsaved = f"at step {step}: {error}".splitlines()[0]


def _logged(values: object) -> dict[str, float | Tensor]:
    """Return what a step returned; of what it holds, the promise about losses is the judge."""
    if not isinstance(values, Mapping):
        raise Violation(f"step() returned {shown(values)}", LOGGED)
    return dict(values)


def train(run: Run, first: int, end: int) -> None:
    """Take steps ``first`` to ``end`` - 1."""
    for step in range(first, end):
        with run.meter:
            run.trainer.step(run.schedule.at(step))


class Snapshot(NamedTuple):
    """A run at one step, as a checkpoint would hold it, and as it was."""

    content: bytes
    state: State

    @classmethod
    def of(cls, run: Run) -> Snapshot:
        """Take one."""
        buffer = io.BytesIO()
        world = checkpoint.global_random_state()
        torch.save({**run.progress(), "global_random": world}, buffer)
        return cls(buffer.getvalue(), copy.deepcopy(state_of(run)))


def state_of(run: Run) -> State:
    """Return everything that the seed alone should decide."""
    progress = run.progress()
    return {"trainer": progress["trainer"], "ledger": progress["ledger"], "rng": progress["rng"]}


def opened(content: bytes) -> checkpoint.Checkpoint:
    """Read a snapshot as `Run` reads a checkpoint: no code in it is run."""
    state: checkpoint.Checkpoint = torch.load(io.BytesIO(content), weights_only=True)
    return state


def difference(one: object, other: object, where: str = "") -> str:
    """Return the place of the first difference in two nested states, or an empty string."""
    if type(one) is not type(other):
        return where or "the whole"
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"{where} (its keys)"
        pairs = [(f"{where}.{key}".lstrip("."), one[key], other[key]) for key in one]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return f"{where} (its length)"
        pairs = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, Tensor) and isinstance(other, Tensor):
        same = one.shape == other.shape and one.dtype == other.dtype
        return "" if same and one.equal(other) else where
    else:
        return "" if one == other or (one != one and other != other) else where
    return next((found for name, a, b in pairs if (found := difference(a, b, name))), "")


def parameters(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the parameters that are meant to be trained."""
    named = module.named_parameters()
    return {name: p.detach().clone() for name, p in named if p.requires_grad}
