"""Independent named random streams, all derived from a run's seed.

A stream is named, never numbered, so that adding one changes no other: how often a run is
evaluated cannot move its training, and the seeds of different trainers pair (same data, same
initial generator).
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive(seed: int, *names: object) -> int:
    """Return a 63-bit seed that depends on ``seed`` and on every name."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: object, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a fresh torch generator for the stream of these names."""
    return torch.Generator(device=device).manual_seed(derive(seed, *names))


def numpy_stream(seed: int, *names: object) -> np.random.Generator:
    """Return a numpy Philox generator for the stream of these names.

    Used where numbers must not move between torch versions or devices (oracle parameters).
    """
    return np.random.Generator(np.random.Philox(derive(seed, *names)))
