"""One trainer's whole run at the smallest size, for questions like "does this option matter?"."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from textbench.contracts.data import TrainingData
from textbench.contracts.schedule import Schedule
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, State
from textbench.plan import registry

V, T, SIZE = 6, 4, 16
VALIDATION = (1.5, 1.0, 1.25, 1.75)
"""What `Trainer.observe` is told after the first epochs, and the last of it ever after."""


def _data(fresh: bool) -> TrainingData:
    def draw(number: int) -> Tensor:
        rng = stream(0, "tests", "data", number if fresh else 0)
        return torch.randint(V, (SIZE, T), generator=rng)

    return TrainingData(draw, SIZE)


def digest(state: Mapping[str, Tensor]) -> str:
    """Return a hash of every bit of a module's state."""
    sha = hashlib.sha256()
    for name, value in state.items():
        sha.update(name.encode() + value.numpy().tobytes())
    return sha.hexdigest()


@cache
def _warmed_up(trainer: str, options: tuple[tuple[str, Any], ...]) -> State:
    return final_state(trainer, dict(options))


def final_state(name: str, options: Mapping[str, Any], *, fresh: bool = False) -> State:
    """Return the generator at the end of a run, its warm-up's run before it included.

    Told to stop, a run stops, as in the harness.

    Args:
        name: The trainer.
        options: What differs from its defaults.
        fresh: New sequences in every pass of this run, but not of its warm-up's.
    """
    kind = registry.load_trainer(name)
    config = kind.config_schema(**options)
    wanted = kind.warmup(config)
    context = Context(
        vocab_size=V,
        length=T,
        data=_data(fresh or kind.fresh_data(config)),
        rng=stream(0, "training"),
        device=torch.device("cpu"),
        seed=0,
        backbone={"embedding": 3, "hidden": 5},
        warmup=_warmed_up(wanted[0], tuple(wanted[1].items())) if wanted else None,
    )
    trainer = kind(config, context)
    trainer.setup()
    schedule = Schedule(trainer.phases())
    told = itertools.chain(VALIDATION, itertools.repeat(VALIDATION[-1]))
    for step in range(schedule.total):
        trainer.step(schedule.at(step))
        trains = schedule.phases[schedule.phase_index(step)].trains_generator
        if trains and schedule.ends_epoch(step + 1) and trainer.observe(next(told)):
            break
    return {name: value.clone() for name, value in trainer.generator.state_dict().items()}
