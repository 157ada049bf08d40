"""Promises about what training logs, what it costs and what it reaches."""

from __future__ import annotations

import math

from torch import Tensor

from textbench.check.laboratory import (
    Laboratory,
    Record,
    difference,
    parameters,
)
from textbench.check.promise import Violation
from textbench.contracts.errors import shown
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.returned import LOGGED, is_name, is_number


def _expect_training(record: Record) -> None:
    if not record.trains:
        raise NotApplicableError("a reference row, which trains nothing")


def losses(laboratory: Laboratory, record: Record) -> str:
    """Every logged value is a finite number that keeps no graph alive."""
    _expect_training(record)
    names: dict[str, float] = {}
    for step, values in enumerate(record.losses):
        for name, value in values.items():
            if not is_name(name):
                raise Violation(f"step {step} logs {name!a}, which is no name", LOGGED)
            if isinstance(value, Tensor) and (value.dim() or value.requires_grad):
                raise Violation(
                    f"step {step} logs {name} as a tensor of shape {tuple(value.shape)}"
                    f"{' with its graph' if value.requires_grad else ''}",
                    "a float, or a detached tensor of no dimensions",
                )
            if not isinstance(value, Tensor) and not is_number(value):
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
