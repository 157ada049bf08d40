"""Promises about configuration, schedule, randomness and resuming; all of those of training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import torch

from textbench.check.laboratory import (
    Laboratory,
    Record,
    Snapshot,
    difference,
    opened,
    state_of,
    train,
)
from textbench.check.outcome import budget, gradients, losses
from textbench.check.promise import Check, Violation, expect_options
from textbench.contracts.errors import one_line
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.trainer import Phase
from textbench.run import checkpoint
from textbench.run.loop import Run
from textbench.run.measure import undisturbed

EVALUATIONS = 8
"""How often a run is evaluated, at least, to see whether that changes it."""
FEW = 5
"""Steps after which two seeds must have parted."""


def config(laboratory: Laboratory, record: Record) -> str:
    """Every option has a default and a help text, and survives the run's spec."""
    return expect_options(laboratory.trainer_class.config_schema, laboratory.spec.config)


def schedule(laboratory: Laboratory, record: Record) -> str:
    """`phases` is a function of configuration and data alone, and trains the generator."""
    later = record.run.trainer.phases()
    if later != record.phases:
        raise Violation(
            f"phases() changed from {_brief(record.phases)} to {_brief(later)}",
            "the same list whenever it is called, before setup() too",
        )
    trained = any(phase.trains_generator for phase in record.run.schedule.phases)
    if record.trains and not trained:
        raise Violation("no phase trains the generator", "at least one with trains_generator")
    return _brief(record.phases)


def _brief(phases: list[Phase]) -> str:
    return " + ".join(f"{p.name} {p.epochs} x {p.steps}" for p in phases) or "no phase"


def determinism(laboratory: Laboratory, record: Record) -> str:
    """The same seed gives the same bits, another seed others."""
    _expect_reference(
        laboratory,
        record,
        laboratory.start(),
        "two runs of one seed part",
        "all randomness from context.rng and context.stream(NAME)",
    )
    other = laboratory.start(seed=laboratory.spec.seed + 1)
    few = min(FEW, record.steps)
    train(other, 0, few)
    again = laboratory.start()
    train(again, 0, few)
    if not difference(state_of(other)["trainer"], state_of(again)["trainer"]):
        raise Violation(
            "another seed gives the same bits", "the seed decides, through context.rng and stream"
        )
    return "same seed, same bits; another seed, others"


def global_randomness(laboratory: Laboratory, record: Record) -> str:
    """The global random generators do not matter, and nobody seeds them."""
    _expect_reference(
        laboratory,
        record,
        laboratory.start(world=1),
        "another seed of the global random generators changes the run",
        "draws from context.rng, not from torch's, numpy's or Python's global stream",
    )
    # Both worlds ended alike: the trainer has seeded it, and draws the same whatever its own seed.
    other = dict(checkpoint.global_random_state())
    first = opened(record.snapshots[record.steps].content)["global_random"]
    for name in ("torch", "numpy", "python"):
        if not difference(first[name], other[name], name):
            raise Violation(
                f"it seeds the global random generator of {name} itself",
                "draws from context.rng and context.stream(NAME), which follow from the run's seed",
            )
    return "torch's, numpy's and Python's global streams do not matter"


def _expect_reference(
    laboratory: Laboratory, record: Record, run: Run, seen: str, right: str
) -> None:
    found, step = _parted(record, run)
    if found:
        raise Violation(f"{seen}: {found}, by step {step}", right)


def _parted(
    record: Record, run: Run, before: Callable[[int], None] = lambda step: None
) -> tuple[str, int]:
    """Walk ``run``, freshly set up, along the reference's snapshots.

    Args:
        record: The reference.
        run: The other.
        before: Called before each step.

    Returns:
        What of it is not as expected, or an empty string, and at which step.
    """
    for step in range(record.steps + 1):
        if step in record.snapshots and (found := _differs(run, record.snapshots[step])):
            return found, step
        if step < record.steps:
            before(step)
            train(run, step, step + 1)
    return "", record.steps


def _differs(run: Run, expected: Snapshot) -> str:
    """Return what in ``run`` is not as expected, or an empty string."""
    found = difference(state_of(run), expected.state)
    return found.removeprefix("trainer.")


def state(laboratory: Laboratory, record: Record) -> str:
    """A checkpoint holds data, no code."""
    right = "tensors, numbers, strings, lists and dicts in state_dict()"
    if record.unsaved:
        raise Violation(f"no checkpoint can be written {record.unsaved}", right)
    content = record.snapshots[record.steps].content
    try:
        opened(content)
    except Exception as error:
        line = str(error).splitlines()[0]
        raise Violation(f"a checkpoint cannot be read weights-only: {line}", right) from error
    return f"read weights-only, {len(content) / 1e6:.1f} MB"


def resume(laboratory: Laboratory, record: Record) -> str:
    """Interrupted anywhere, a run continues to the same bits."""
    stops = sorted(record.snapshots)
    for first, end in pairwise(stops):
        run = laboratory.start()
        try:
            run.restore(opened(record.snapshots[first].content))
            train(run, first, end)
        except Exception as error:
            raise Violation(
                f"continuing from step {first} raised {one_line(error)}",
                "load_state_dict restores all of it",
            ) from error
        found = _differs(run, record.snapshots[end])
        if found:
            raise Violation(
                f"interrupted at step {first}, {found} is another at step {end}",
                "everything that changes is in state_dict() and restored by load_state_dict()",
            )
    return f"interrupted at steps {', '.join(map(str, stops[:-1]))}: the same bits"


def evaluation(laboratory: Laboratory, record: Record) -> str:
    """Being evaluated changes nothing, neither training nor the next evaluation."""
    run, every = laboratory.start(), max(1, record.steps // EVALUATIONS)
    evaluated: list[int] = []

    def examine(step: int) -> None:
        if step % every == 0:
            _examine(laboratory, run, step)
            evaluated.append(step)

    found, step = _parted(record, run, examine)
    if found:
        raise Violation(
            f"evaluated every {every} steps, {found} is another at step {step}",
            "log_probs() and sample() of the generator leave no trace",
        )
    return f"evaluated {len(evaluated)} times: the same bits"


def _examine(laboratory: Laboratory, run: Run, step: int) -> None:
    """Evaluate twice and compare."""
    generator, values = run.trainer.generator, []
    for _ in range(2):
        with undisturbed(generator):
            moment = Evaluation(
                generator, laboratory.task, seed=run.spec.seed, moment=f"step {step}", samples=16
            )
            values.append([moment.samples])
            for property_ in ("test_nll", "validation_nll"):
                with suppress(NotApplicableError):
                    values[-1].append(torch.tensor(getattr(moment, property_)))
    if difference(values[0], values[1]):
        raise Violation(
            f"evaluated twice at step {step}, it gives two answers",
            "in evaluation mode a generator depends on its parameters and the given rng alone",
        )


CHECKS = (
    Check("config", config),
    Check("schedule", schedule),
    Check("state", state),
    Check("determinism", determinism, needs=("state",)),
    Check("global randomness", global_randomness, needs=("state", "determinism")),
    Check("resume", resume, needs=("state", "determinism")),
    Check("evaluation", evaluation, needs=("state", "determinism")),
    Check("losses", losses),
    Check("budget", budget),
    Check("gradients", gradients),
)
