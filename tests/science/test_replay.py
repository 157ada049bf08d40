"""Recording and replaying, with a stand-in for CUDA graphs that keeps what a function did.

What a GPU itself must keep, the bits, is in ``test_cuda``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from textbench.backbone import replay
from textbench.backbone.ledger import LEDGER, count, counting

RNG: Any = SimpleNamespace(device=SimpleNamespace(type="cuda"))


class FakeGraph:
    """Keeps what is done while it records; on replay does it again, where the data lie."""

    recording: FakeGraph | None = None

    def __init__(self) -> None:
        self.kernels: list[Callable[[], object]] = []
        self.replays = 0

    def register_generator_state(self, rng: object) -> None:
        assert rng is RNG

    def replay(self) -> None:
        self.replays += 1
        for kernel in self.kernels:
            kernel()


@contextmanager
def recorded(graph: FakeGraph) -> Iterator[None]:
    FakeGraph.recording = graph
    yield
    FakeGraph.recording = None


class Double:
    """x + bias, twice; counts itself; a kernel reads and writes memory when it is launched."""

    def __init__(self) -> None:
        self.bias = torch.ones(2)
        self.python_calls = 0

    def __call__(self, x: Tensor) -> tuple[Tensor]:
        self.python_calls += 1
        count({"tokens_scored": 3})
        result, bias = torch.empty_like(x), self.bias

        def kernel() -> None:
            result.copy_(2 * (x + bias))

        if FakeGraph.recording is None:
            kernel()
        else:  # while it is recorded nothing runs
            FakeGraph.recording.kernels.append(kernel)
        return (result,)

    def replayed(self, x: Tensor) -> Tensor:
        return replay.replayed(self, "double", self, x, rng=RNG, reads=[self.bias])[0]


@pytest.fixture(autouse=True)
def without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(replay.SWITCH, raising=False)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", recorded)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(replay, "_aside", lambda function, inputs: function(*inputs))


def inputs(number: int) -> Tensor:
    return torch.tensor([float(number), -1.0])


def test_replays_read_what_they_are_given_and_count_it() -> None:
    double, ledger = Double(), dict.fromkeys(LEDGER, 0)
    found = []
    with counting(ledger):
        for number in range(8):
            found.append(double.replayed(inputs(number)))
    assert [one[0].item() for one in found] == [2.0 * (number + 1) for number in range(8)]
    assert double.python_calls == replay.EAGER + 1
    assert ledger["tokens_scored"] == 3 * 8


def test_what_is_read_in_place_may_change_but_not_move() -> None:
    double = Double()
    for number in range(5):
        double.replayed(inputs(number))
    double.bias.fill_(10.0)
    assert double.replayed(inputs(1))[0].item() == 22.0
    assert double.python_calls == replay.EAGER + 1
    double.bias = torch.full((2,), 100.0)
    assert [double.replayed(inputs(1))[0].item() for _ in range(6)] == [202.0] * 6
    assert double.python_calls == 2 * (replay.EAGER + 1)


def test_another_shape_or_an_open_ledger_is_another_recording() -> None:
    double, ledger = Double(), dict.fromkeys(LEDGER, 0)
    for _ in range(5):
        double.replayed(inputs(1))
    with counting(ledger):
        for _ in range(5):
            double.replayed(inputs(1))
    assert ledger["tokens_scored"] == 15
    double.bias = torch.ones(1)
    assert double.replayed(torch.ones(3)).tolist() == [4.0] * 3


def test_no_more_recordings_are_kept_than_that() -> None:
    double = Double()
    double.bias = torch.zeros(1)
    for size in range(1, 3 * replay.MOST):
        for _ in range(5):
            assert double.replayed(torch.ones(size)).tolist() == [2.0] * size
    assert len(replay._owned[double]) <= replay.MOST


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(replay.SWITCH, "0")
    double = Double()
    for number in range(8):
        double.replayed(inputs(number))
    assert double.python_calls == 8


def test_what_cannot_be_recorded_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def refusing(graph: FakeGraph) -> Iterator[None]:
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "graph", refusing)
    double = Double()
    for number in range(replay.EAGER):
        double.replayed(inputs(number))
    with pytest.raises(RuntimeError, match=r"double cannot be recorded .* TEXTBENCH_CUDA_GRAPHS=0"):
        double.replayed(inputs(9))
