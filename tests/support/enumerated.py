"""All sequences of a tiny world as the training set, and trainers compared on it with autograd."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Position, Trainer

V, T = 4, 3


def unequal() -> Tensor:
    """Return every sequence, the smaller half of them twice, ``(96, T)``."""
    every = torch.tensor(list(itertools.product(range(V), repeat=T)))
    return torch.cat([every, every[: len(every) // 2]])


def apart(model: nn.Module, seed: int = 0) -> None:
    """Move a model to float64 and away from uniform, so that no term is small by accident."""
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 1.0, generator=stream(seed, "tests", "apart"))


def log_likelihoods(model: Generator, x: Tensor) -> Tensor:
    """Return log G(x_t | x_<t) from materialised distributions, ``(B, T)``; differentiable."""
    return model.log_probs(x).gather(2, x.unsqueeze(2)).squeeze(2)


def assert_step_descends(
    trainer: Trainer[Any],
    expected: Callable[[Generator], Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """Compare the gradient of the trainer's first step with that of ``expected``.

    Returns:
        What the step logged.
    """
    G = trainer.generator
    G.zero_grad()
    expected(G).backward()
    exact = {name: p.grad.clone() for name, p in G.named_parameters() if p.grad is not None}
    monkeypatch.setattr(trainer.optimiser, "step", lambda: None)
    log = trainer.step(Position(trainer.phases()[0].name, 0, 0))
    for name, parameter in G.named_parameters():
        torch.testing.assert_close(parameter.grad, exact[name], atol=1e-12, rtol=1e-9)
        assert exact[name].abs().max() > 0, name
    return log


def assert_same_training(one: Trainer[Any], other: Trainer[Any], steps: int = 20) -> None:
    """Check that two trainers move their generators to the same bits."""
    for i in range(steps):
        for trainer in (one, other):
            trainer.step(Position(trainer.phases()[0].name, 0, i))
    pairs = zip(one.generator.parameters(), other.generator.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def parts_from(one: Trainer[Any], other: Trainer[Any], steps: int = 20) -> float:
    """Return the largest difference of two trainers' parameters after some steps."""
    for i in range(steps):
        for trainer in (one, other):
            trainer.step(Position(trainer.phases()[0].name, 0, i))
    pairs = zip(one.generator.parameters(), other.generator.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)
