"""What the report still asks of the first standard of evidence (judge/older.py)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as reference

from textbench.judge.older import (
    compare,
    mann_whitney_test,
    prediction_interval,
    rank_correlation,
    seeds_needed,
    sign_flip_test,
    smallest_p,
    summarise,
    tied_with_best,
)

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=10)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=12))
def test_rank_correlation_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    a, b = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(rank_correlation(a, b))
    else:
        expected = reference.spearmanr(a, b).statistic
        assert rank_correlation(a, b) == pytest.approx(expected, abs=1e-12)


# -- tests -----------------------------------------------------------------------------------

short = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=6)


def test_the_power_floor_is_reached_and_never_passed() -> None:
    assert [round(smallest_p(n), 4) for n in (3, 5, 6)] == [0.25, 0.0625, 0.0312]
    assert [round(smallest_p(n, n), 4) for n in (3, 4, 5)] == [0.1, 0.0286, 0.0079]
    assert sign_flip_test([1.0, 2.0, 4.0]) == smallest_p(3)
    assert mann_whitney_test([1, 2, 3], [4, 5, 6]) == smallest_p(3, 3)


@pytest.mark.parametrize(
    ("comparisons", "paired", "seeds"),
    [(1, True, 6), (1, False, 4), (8, True, 9), (8, False, 6), (28, True, 11), (28, False, 7)],
)
def test_how_many_seeds_it_takes(comparisons: int, paired: bool, seeds: int) -> None:
    assert seeds_needed(comparisons, paired=paired) == seeds


def test_equal_seeds_are_compared_in_pairs() -> None:
    a, b = {0: 1.0, 1: 2.0, 2: 4.0}, {0: 0.5, 1: 1.0, 2: 2.0, 7: 9.0}
    found = compare(a, b)
    assert (found.paired, found.n, found.p) == (True, 3, 0.25)
    expected = summarise([0.5, 1.0, 2.0])
    assert (found.mean, found.low, found.high) == (expected.mean, expected.low, expected.high)
    assert found.effect == pytest.approx(expected.mean / expected.sd)
    back = compare(b, a)
    assert (back.mean, back.low, back.high) == (-found.mean, -found.high, -found.low)


def test_other_seeds_are_compared_as_two_samples() -> None:
    a, b = {0: 1.0, 1: 2.0, 2: 4.0}, {5: 0.5, 6: 1.0, 7: 2.5, 8: 0.1}
    found = compare(a, b)
    welch = reference.ttest_ind(list(a.values()), list(b.values()), equal_var=False)
    interval = welch.confidence_interval()
    assert not found.paired and found.n == 3
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == mann_whitney_test(list(a.values()), list(b.values()))


@pytest.mark.parametrize(("a", "b"), [({}, {}), ({0: 1.0}, {}), ({0: 1.0}, {0: 2.0})])
def test_too_little_to_compare_gives_no_interval_and_p_1(
    a: dict[int, float], b: dict[int, float]
) -> None:
    found = compare(a, b)
    assert math.isnan(found.low) and found.p == found.floor == 1.0


def test_a_single_seed_is_compared_with_its_own_partner() -> None:
    found = compare({1: 5.0}, {0: 90.0, 1: 4.0, 2: 70.0})
    assert (found.paired, found.n, found.mean) == (True, 1, 1.0)
    assert not compare({1: 5.0, 3: 5.0}, {0: 9.0, 1: 4.0}).paired


def test_pairing_finds_what_two_samples_cannot() -> None:
    shared = np.random.default_rng(1).normal(0, 10, size=6)
    a = {seed: float(value) for seed, value in enumerate(shared)}
    b = {seed: value + 0.1 * (seed + 1) for seed, value in a.items()}
    assert compare(a, b).p == pytest.approx(2 / 2**6)
    assert mann_whitney_test(list(a.values()), list(b.values())) > 0.5


def equal_algorithms(rng: np.random.Generator, k: int, n: int) -> dict[int, dict[int, float]]:
    common = rng.normal(size=n)  # what a seed shares: data and initial generator
    draws = common + rng.normal(size=(k, n))
    return {row: dict(enumerate(values.tolist())) for row, values in enumerate(draws)}


def test_a_clear_winner_is_marked_alone_and_ties_together() -> None:
    rows = {
        "best": {seed: 1.0 + 0.01 * seed for seed in range(8)},
        "also": {seed: 1.001 + 0.01 * seed + 0.005 * (-1) ** seed for seed in range(8)},
        "worse": {seed: 2.0 + 0.02 * seed for seed in range(8)},
        "absent": {},
    }
    assert tied_with_best(rows) == {"best", "also"}
    assert tied_with_best(rows, higher=True) == {"worse"}


def test_nothing_is_marked_where_nothing_could_be_significant() -> None:
    rows = {"a": {0: 1.0, 1: 1.0, 2: 1.0}, "b": {0: 9.0, 1: 9.0, 2: 9.0}}
    assert tied_with_best(rows) is None
    assert tied_with_best({"a": {0: 1.0}}) is None and tied_with_best({}) is None


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_prediction_interval_holds_one_more_run_95_times_in_100(n: int) -> None:
    draws = np.random.default_rng(n).normal(size=(4000, n + 1))
    inside = [
        low <= row[-1] <= high
        for row in draws
        for low, high in [prediction_interval(row[:-1].tolist())]
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)
    assert all(math.isnan(end) for end in prediction_interval([1.0]))


@given(samples)
def test_a_prediction_interval_is_wider_than_the_means(values: list[float]) -> None:
    found = summarise(values)
    assume(found.sd > 1e-6)
    low, high = prediction_interval(values)
    assert low < found.low and found.high < high
