"""Promises about configuration, schedule, randomness, resuming, and the ledger."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from numbers import Real

import torch
from torch import Tensor

from textbench.check.laboratory import (
    Laboratory,
    Record,
    Snapshot,
    difference,
    opened,
    parameters,
    state_of,
    train,
)
from textbench.check.promise import Check, Violation, expect_options
from textbench.contracts.errors import one_line, shown
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.returned import LOGGED
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


def _expect_training(record: Record) -> None:
    if not record.trains:
        raise NotApplicableError("a reference row, which trains nothing")


def losses(laboratory: Laboratory, record: Record) -> str:
    """Every logged value is a finite number that keeps no graph alive."""
    _expect_training(record)
    names: dict[str, float] = {}
    for step, values in enumerate(record.losses):
        for name, value in values.items():
            if isinstance(value, Tensor) and (value.dim() or value.requires_grad):
                raise Violation(
                    f"step {step} logs {name} as a tensor of shape {tuple(value.shape)}"
                    f"{' with its graph' if value.requires_grad else ''}",
                    "a float, or a detached tensor of no dimensions",
                )
            if not isinstance(value, Tensor | Real):
                raise Violation(f"step {step} logs {name} = {shown(value)}", LOGGED)
            if not math.isfinite(value):
                raise Violation(f"step {step} logs {name} = {float(value)}", "finite losses")
            names[name] = float(value)
    if not names:
        raise Violation("no step logs anything", "step() returns the losses to log")
    return "finite: " + ", ".join(f"{name} {value:.4g}" for name, value in names.items())


def budget(laboratory: Laboratory, record: Record) -> str:
    """What training costs can be counted, and what is declared untrained stays so."""
    spent = record.spent
    moved = difference(record.initial, parameters(record.generator))
    if moved and not spent["generator_updates"]:
        raise Violation(
            f"the generator's {moved} changed, but no optimiser took a step with it",
            "updates are steps of a torch.optim.Optimizer, which the harness counts",
        )
    counts = record.trains and not record.initial  # an n-gram model, say
    if (counts or spent["generator_updates"]) and not spent["tokens_scored"]:
        learns = "counts" if counts else f"{spent['generator_updates']} updates"
        raise Violation(
            f"the generator learns by {learns}, but no token was seen to be read",
            "it reads through log_probs, or methods marked `textbench.backbone.reads`",
        )
    _expect_still_phases(laboratory, record)
    return ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in spent.items())


def _expect_still_phases(laboratory: Laboratory, record: Record) -> None:
    """The shared LSTM does not move in a phase that is declared not to train it."""
    if laboratory.trainer_class.own_generator:
        return  # LeakGAN's generator reads its discriminator's features: it moves with it
    before, plan = record.initial, record.run.schedule
    for phase, end in zip(plan.phases, plan.ends, strict=True):
        after = record.at_phase_ends.get(end)
        if after is None:
            return
        found = difference(before, after)
        if found and not phase.trains_generator:
            raise Violation(
                f"phase {phase.name} moves the generator's {found}",
                "a phase with trains_generator=False leaves it alone",
            )
        before = after


def gradients(laboratory: Laboratory, record: Record) -> str:
    """Training reaches every parameter of the generator."""
    _expect_training(record)
    after = parameters(record.generator)
    if not after:
        raise NotApplicableError("no parameter of the generator asks for a gradient")
    for name, value in after.items():
        if not value.isfinite().all():
            raise Violation(f"{name} of the generator is not finite", "finite parameters")
    still = [name for name, value in after.items() if value.equal(record.initial[name])]
    if still:
        raise Violation(
            f"after {record.steps} steps the generator's {', '.join(still)} did not change",
            "gradients reach every parameter that requires them",
        )
    updates = record.spent["generator_updates"]
    return f"{len(after)} tensors of the generator changed in {updates} updates"


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
