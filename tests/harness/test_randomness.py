"""Streams are named: each is its own, all derive from the seed, none moves another."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from textbench.contracts.streams import derive, numpy_stream, stream

names = st.lists(st.text("abc/ 1", max_size=4), max_size=3)


@given(st.integers(0, 2**40), names)
def test_a_derived_seed_is_a_63_bit_number_and_a_function(
    seed: int, given_names: list[str]
) -> None:
    found = derive(seed, *given_names)
    assert 0 <= found < 2**63
    assert found == derive(seed, *given_names)


def test_seeds_and_names_all_matter() -> None:
    given_ = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", "b"), (0, "b", "a"), (1, "a"), (0, 1)]
    assert len({derive(*one) for one in given_}) == len(given_)


def test_derived_seeds_are_the_same_in_every_version() -> None:
    assert derive(0, "training") == 3451234928535173333
    assert derive(94, "data", "test") == 4751387374636668372


def test_streams_of_one_name_are_equal_and_of_two_are_not() -> None:
    one, again, other = (stream(0, name) for name in ("training", "training", "evaluation"))
    drawn = torch.rand(8, generator=one)
    assert torch.equal(drawn, torch.rand(8, generator=again))
    assert not torch.equal(drawn, torch.rand(8, generator=other))
    assert np.array_equal(numpy_stream(0, "a").random(3), numpy_stream(0, "a").random(3))
    assert not np.array_equal(numpy_stream(0, "a").random(3), numpy_stream(1, "a").random(3))


def test_a_stream_is_not_moved_by_another_nor_by_the_global_one() -> None:
    alone = torch.rand(8, generator=stream(0, "training"))
    training, evaluation = stream(0, "training"), stream(0, "evaluation")
    parts = []
    for _ in range(4):
        parts.append(torch.rand(2, generator=training))
        torch.rand(3, generator=evaluation)
        torch.rand(3)
    assert torch.equal(alone, torch.cat(parts))
    state = torch.get_rng_state()
    torch.rand(5, generator=stream(0, "training"))
    assert torch.equal(state, torch.get_rng_state())


def test_numpy_streams_are_philox_the_same_in_every_version() -> None:
    generator = numpy_stream(94, "oracle", "b_i")
    assert type(generator.bit_generator) is np.random.Philox
    drawn = generator.standard_normal(3, dtype=np.float32)
    assert drawn.tolist() == [-0.10399818420410156, -0.2693859338760376, 0.1104891374707222]
