"""The training stream: what a trainer sees of a task's data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from textbench.backbone.ledger import counting
from textbench.contracts.config import Config
from textbench.contracts.task import Task


class TrainingData:
    """Training sequences, pass by pass.

    A pass is a pure function of its number, so a resumed run sees the same batches. With
    ``data=fixed`` every pass is the same tensor in the same order, as in the official codes
    (protocol: no reshuffling); with ``data=fresh`` every pass is a new draw.

    Args:
        draw: Maps the pass number to its sequences, ``(N, T)`` int64.
        size: N, equal for all passes.
    """

    def __init__(self, draw: Callable[[int], Tensor], size: int) -> None:
        self._draw = draw
        self.size = size
        self._cached: tuple[int, Tensor] | None = None

    def sequences(self, number: int = 0) -> Tensor:
        """Return pass ``number``, ``(N, T)``."""
        if self._cached is None or self._cached[0] != number:
            with counting(None):  # what an oracle draws is data, not a cost of training
                self._cached = (number, self._draw(number))
        return self._cached[1]

    def batches(self, size: int) -> int:
        """Return the number of full batches in a pass: 9,984 sequences are 156 batches of 64."""
        return max(1, self.size // size)

    def batch(self, index: int, size: int) -> Tensor:
        """Return batch ``index`` of the endless stream, ``(size, T)``; passes follow in order.

        Of fewer sequences than ``size`` a batch is all that there are.
        """
        number, within = divmod(index, self.batches(size))
        return self.sequences(number)[within * size : (within + 1) * size]


def training_data(
    task: Task[Config], seed: int, device: torch.device, *, fresh: bool = False
) -> TrainingData:
    """Return a run's training stream on ``device``; ``fresh`` ones never repeat."""
    draw = task.fresh if fresh else task.train
    last: list[Tensor] = []

    def on_device(number: int) -> Tensor:
        drawn = draw(seed, number)
        if not last or last[0] is not drawn:  # fixed data move once, and stay where they are
            last[:] = [drawn, drawn.to(device)]
        return last[1]

    return TrainingData(on_device, task.train_size())
