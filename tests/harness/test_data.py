"""The training stream: full batches, in order, pass after pass, whatever was asked before."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textbench.contracts.data import TrainingData


def numbered(size: int) -> TrainingData:
    """Sequence i of pass n is ``[n, i]``."""

    def draw(number: int) -> torch.Tensor:
        return torch.stack([torch.full((size,), number), torch.arange(size)], 1)

    return TrainingData(draw, size)


@pytest.mark.parametrize("size", [9984, 10_000])
def test_ten_thousand_sequences_are_156_batches_of_64(size: int) -> None:
    """The rest of 16 is dropped, as in SeqGAN's and CoT's loaders; 157 is a known trap."""
    data = numbered(size)
    assert data.batches(64) == 156
    assert data.batch(155, 64).shape == (64, 2)
    assert data.batch(155, 64)[-1].tolist() == [0, 9983]
    assert data.batch(156, 64)[0].tolist() == [1, 0]


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 200))
def test_batches_follow_one_another_in_order(size: int, batch: int, index: int) -> None:
    data = numbered(size)
    rows = data.batch(index, batch)
    number, within = divmod(index, data.batches(batch))
    assert len(rows) == min(batch, size)
    assert rows[:, 0].tolist() == [number] * len(rows)
    assert rows[:, 1].tolist() == list(range(within * batch, within * batch + len(rows)))


@given(st.lists(st.integers(0, 20), max_size=12))
def test_a_batch_does_not_depend_on_what_was_asked_before(indices: list[int]) -> None:
    """A resumed run starts in the middle of the stream."""
    data = numbered(10)
    for index in indices:
        assert torch.equal(data.batch(index, 3), numbered(10).batch(index, 3))


def test_a_pass_is_drawn_once_and_only_the_last_is_kept() -> None:
    drawn: list[int] = []

    def draw(number: int) -> torch.Tensor:
        drawn.append(number)
        return torch.zeros(6, 1)

    data = TrainingData(draw, 6)
    for index in range(9):
        data.batch(index, 2)
    data.sequences(2)
    assert drawn == [0, 1, 2]
    data.sequences(0)
    assert drawn == [0, 1, 2, 0]
