"""Checkpoints: everything that the rest of a run depends on, in one atomic file."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import torch

from textbench.backbone.generator import Generator
from textbench.store.directory import RunDirectory
from textbench.store.rows import CHECKPOINT, CURVE, GENERATOR, METRICS

LOGS = (CURVE, METRICS)


def save(directory: RunDirectory, state: dict[str, Any]) -> None:
    """Replace the checkpoint by ``state``, the global random state and the logs' offsets."""
    state = {
        **state,
        "offsets": {name: directory.offset(name) for name in LOGS},
        "global_random": global_random_state(),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    directory.replace(CHECKPOINT, buffer.getvalue())


def load(directory: RunDirectory) -> dict[str, Any] | None:
    """Return the checkpoint, weights-only, and cut the logs back to it; None if there is none."""
    path = directory.path / CHECKPOINT
    if not path.exists():
        for name in LOGS:
            directory.truncate(name, 0)
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    for name, offset in state["offsets"].items():
        directory.truncate(name, offset)
    return state


def save_generator(directory: RunDirectory, generator: Generator) -> None:
    """Write the final generator's parameters, on the CPU, to ``generator.pt``."""
    buffer = io.BytesIO()
    torch.save({k: v.cpu() for k, v in generator.state_dict().items()}, buffer)
    directory.replace(GENERATOR, buffer.getvalue())


def seed_global_random(seed: int) -> None:
    """Seed every global random generator, for plugins that draw from one all the same."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def global_random_state() -> dict[str, Any]:
    """Return the state of every global random generator; our own code draws from none of them."""
    cuda = torch.cuda.is_initialized()
    legacy: Any = np.random.get_state(legacy=True)
    kind, keys, position, has_gauss, gauss = legacy
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if cuda else [],
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), position, has_gauss, gauss),
    }


def restore_global_random_state(state: dict[str, Any]) -> None:
    """Undo everything drawn since `global_random_state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(state["numpy"]))
