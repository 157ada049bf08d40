"""The training stream: which pass has which sequences, and how often they move to a device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from textbench.contracts.data import training_data

CPU = torch.device("cpu")


def task(*passes: Tensor) -> Any:
    """Return a task whose training sequences never change, and whose fresh ones are ``passes``."""
    return SimpleNamespace(
        train=lambda seed, number: passes[0],
        fresh=lambda seed, number: passes[number],
        train_size=lambda: len(passes[0]),
    )


def test_fresh_passes_are_each_their_own() -> None:
    passes = [torch.full((4, 3), number) for number in range(3)]
    data = training_data(task(*passes), 0, CPU, fresh=True)
    for number in (0, 1, 1, 2, 0):
        assert torch.equal(data.sequences(number), passes[number])
    assert torch.equal(data.batch(5, 2), passes[2][2:])


def test_fixed_sequences_move_to_a_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    moves, whole = [], torch.arange(12).view(4, 3)
    move = Tensor.to

    def moving(self: Tensor, *arguments: Any) -> Tensor:
        moves.append(arguments)
        return move(self, *arguments).clone()

    monkeypatch.setattr(Tensor, "to", moving)
    data = training_data(task(whole), 0, CPU)
    places = {data.sequences(number).data_ptr() for number in range(4)}
    assert len(moves) == 1 and len(places) == 1
