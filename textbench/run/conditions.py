"""Under which conditions a run is made: device, checkpoints, when to stop. No number knows them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch


@dataclass
class Conditions:
    """What does not change a run's numbers."""

    device: torch.device
    checkpoint_seconds: float = 60.0
    checkpoint_steps: int = 0
    """Checkpoint every so many steps instead; 0 goes by the clock."""
    deadline: float = math.inf
    """Time by the monotonic clock at which to checkpoint and stop."""
    stop: Callable[[], bool] = lambda: False
    """Asked after every step: stop at a checkpoint now?"""

    def interruption(self) -> Literal["timeout", "interrupted"] | None:
        """Say why the run must stop at a checkpoint now; None where it may go on."""
        if self.stop():
            return "interrupted"
        return "timeout" if time.monotonic() >= self.deadline else None

    def checkpoint_due(self, steps: int, seconds: float) -> bool:
        """Tell whether so many steps and seconds since the last checkpoint are enough."""
        if self.checkpoint_steps:
            return steps >= self.checkpoint_steps
        return seconds >= self.checkpoint_seconds


def prepare(device: torch.device) -> None:
    """Let a GPU compute in float32, and the same each time; a CPU does so anyway.

    PyTorch lets cuDNN's LSTM round what it multiplies to 10 bits (TF32), which moves log-
    probabilities by 1e-3; and under deterministic algorithms it writes NaN into every new tensor,
    a launch each.
    """
    if device.type == "cpu":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.__setattr__("fill_uninitialized_memory", False)  # a module, typed
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
