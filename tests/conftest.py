"""Tiny worlds that can be enumerated: V symbols, T positions, V**T sequences.

Fixtures return functions, so that a test names its own sizes::

    def test_it(make_context, all_sequences):
        context = make_context(vocab_size=4, length=3)
        trainer = make_trainer(MLE, context, lr=0.1)  # setup() done
        every = all_sequences(4, 3)  # (64, 3)
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.contracts.data import TrainingData
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer

torch.set_num_threads(1)
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],  # of a busy machine, not of a test
)
settings.load_profile("repeatable")


def _context(
    vocab_size: int = 4,
    length: int = 3,
    *,
    seed: int = 0,
    sequences: Tensor | None = None,
    size: int = 8,
    embedding: int = 3,
    hidden: int = 5,
    warmup: dict[str, Any] | None = None,
) -> Context:
    """Build a Context; the data are ``sequences`` or ``size`` uniform ones."""
    if sequences is None:
        rng = stream(seed, "tests", "data")
        sequences = torch.randint(vocab_size, (size, length), generator=rng)
    fixed = sequences
    return Context(
        vocab_size=vocab_size,
        length=length,
        data=TrainingData(lambda number: fixed, len(fixed)),
        rng=stream(seed, "training"),
        device=torch.device("cpu"),
        seed=seed,
        backbone={"embedding": embedding, "hidden": hidden},
        warmup=warmup,
    )


def _trainer(kind: type[Trainer[Any]], context: Context, **config: Any) -> Trainer[Any]:
    """Build a trainer and set it up; ``config`` changes its defaults."""
    trainer = kind(kind.config_schema(**config), context)
    trainer.setup()
    return trainer


def _all_sequences(vocab_size: int, length: int) -> Tensor:
    """Return every sequence in lexicographic order, ``(V**T, T)`` int64."""
    return torch.tensor(list(itertools.product(range(vocab_size), repeat=length)))


def _sequence_probs(model: Generator) -> Tensor:
    """Return the exact G(s) of every sequence of `all_sequences`, ``(V**T,)``; differentiable."""
    every = _all_sequences(model.vocab_size, model.length)
    return model.log_probs(every).gather(2, every.unsqueeze(2)).squeeze(2).sum(1).exp()


def _positions(trainer: Trainer[Any]) -> Iterator[Position]:
    """Yield the positions of the trainer's whole schedule, in the harness's order."""
    for phase in trainer.phases():
        for epoch in range(phase.epochs):
            for index in range(phase.steps):
                yield Position(phase.name, epoch, index)


def _assert_resumes_exactly(
    kind: type[Trainer[Any]], new_context: Callable[[], Context], steps: int, **config: Any
) -> None:
    """Check that k steps, a checkpoint in a new process's hands, and k more are 2k steps.

    Args:
        kind: The trainer's class.
        new_context: Makes the same Context anew.
        steps: k.
        config: Changes to the trainer's defaults.
    """
    whole = _trainer(kind, new_context(), **config)
    schedule = list(itertools.islice(_positions(whole), 2 * steps))
    assert len(schedule) == 2 * steps
    for at in schedule:
        whole.step(at)
    first = _trainer(kind, new_context(), **config)
    for at in schedule[:steps]:
        first.step(at)
    file = io.BytesIO()
    torch.save((first.state_dict(), first.context.rng.get_state()), file)
    file.seek(0)
    state, rng = torch.load(file, weights_only=True)
    second = _trainer(kind, new_context(), **config)
    second.load_state_dict(state)
    second.context.rng.set_state(rng)
    for at in schedule[steps:]:
        second.step(at)
    _assert_same_state(whole.state_dict(), second.state_dict())
    assert torch.equal(whole.context.rng.get_state(), second.context.rng.get_state())


def _assert_same_state(one: Any, other: Any) -> None:
    """Compare nested checkpoints bit by bit."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            _assert_same_state(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            _assert_same_state(a, b)
    elif isinstance(one, Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


@pytest.fixture
def make_context() -> Callable[..., Context]:
    """See `_context`."""
    return _context


@pytest.fixture
def make_trainer() -> Callable[..., Trainer[Any]]:
    """See `_trainer`."""
    return _trainer


@pytest.fixture
def all_sequences() -> Callable[[int, int], Tensor]:
    """See `_all_sequences`."""
    return _all_sequences


@pytest.fixture
def sequence_probs() -> Callable[[Generator], Tensor]:
    """See `_sequence_probs`."""
    return _sequence_probs


@pytest.fixture
def positions() -> Callable[[Trainer[Any]], Iterator[Position]]:
    """See `_positions`."""
    return _positions


@pytest.fixture
def assert_resumes_exactly() -> Callable[..., None]:
    """See `_assert_resumes_exactly`."""
    return _assert_resumes_exactly


@pytest.fixture(scope="module")
def forked_workers() -> Iterator[None]:
    """Let the engine in this process fork its workers, in a module's tests and fixtures."""
    import forked

    with forked.workers():
        yield


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a report draw nothing: that takes most of its time, and its tables are the same."""
    from textbench.report import pictures

    monkeypatch.setattr(pictures, "figure_specs", tuple)


@pytest.fixture
def gradients() -> Callable[[torch.nn.Module], dict[str, Tensor]]:
    """Return a function that copies a module's gradients by name; a missing one is zero."""

    def copy(module: torch.nn.Module) -> dict[str, Tensor]:
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for name, p in module.named_parameters()
        }

    return copy
