"""The tolerance of `textbench compare`. How often it is wrong: test_judge_evidence.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as reference

from textbench.judge.tolerance import (
    LEVEL,
    OWN,
    SHARE,
    Judgement,
    Pair,
    judge,
    move,
    noticeable,
    stray,
)


def pair(base: list[float], new: list[float], direction: str = "lower", first: int = 100) -> Pair:
    """New seeds count from ``first``; 0 pairs them with the recorded ones."""
    return Pair(dict(enumerate(base)), dict(enumerate(new, start=first)), direction)


def judged(base: list[float], new: list[float], direction: str = "lower") -> Judgement:
    (found,) = judge([pair(base, new, direction)])
    return found


SPREAD = [2.9, 3.0, 3.1, 3.0, 2.95, 3.05, 3.0, 3.02, 2.98, 3.0]


# -- the tolerances --------------------------------------------------------------------------


def test_the_tolerance_of_means_is_students_with_the_pooled_spread() -> None:
    base, new = [1.0, 2.0, 4.0, 5.0], [12.0, 13.0, 14.5]
    alarm = reference.ttest_ind(new, base, alternative="greater")
    found = move(base, new, alarm.pvalue)
    assert float(found.difference) == pytest.approx(np.mean(new) - np.mean(base))
    assert float(found.tolerance) == pytest.approx(float(found.difference))


def test_one_stray_seed_moves_no_mean_beyond_the_tolerance() -> None:
    """The pooled spread of 20 and 3 hardly notices it; the new seeds' own spread does."""
    base = np.random.default_rng(0).normal(size=20)
    found = move(base, [0.0, 0.1, 1e6], 0.005)
    welch = reference.ttest_ind([0.0, 0.1, 1e6], base, equal_var=False)
    assert float(found.difference) < float(found.tolerance) and welch.pvalue > 2 * OWN


def test_the_limit_of_a_seed_is_its_prediction_limit() -> None:
    draws = np.random.default_rng(0).normal(size=(20_000, 4))
    strayed = stray(draws[:, :3], draws[:, 3:], np.full(len(draws), 0.025))
    assert np.mean(strayed) == pytest.approx(0.05, abs=0.005)


def test_arrays_are_judged_as_their_rows_are() -> None:
    rng = np.random.default_rng(1)
    base, new = rng.normal(size=(4, 3, 5)), rng.normal(size=(4, 3, 3))
    level = np.array([0.01, 0.005, 0.0025])
    found = move(base, new, level)
    one = move(base[2, 1], new[2, 1], level[1])
    assert found.tolerance[2, 1] == pytest.approx(float(one.tolerance))
    assert found.strayed[2, 1].tolist() == one.strayed.tolist()


def test_what_is_noticed_four_times_in_five_is_said() -> None:
    assert noticeable(3, 3, 72) == pytest.approx(16.3, abs=0.1)
    assert noticeable(10, 3, 1) < noticeable(10, 3, 72) < noticeable(5, 3, 72)
    assert math.isnan(noticeable(10, 1, 72))
    rng = np.random.default_rng(2)
    values = rng.normal(size=(4000, 13))
    values[:, 10:] += noticeable(10, 3, 1)
    moved = move(values[:, :10], values[:, 10:], np.full(4000, LEVEL * SHARE))
    assert np.mean(moved.difference > moved.tolerance) == pytest.approx(0.8, abs=0.03)


# -- verdicts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "shift", "verdict"),
    [
        ("lower", 1.0, "worse"),
        ("lower", -1.0, "better"),
        ("higher", 1.0, "better"),
        ("higher", -1.0, "worse"),
        ("none", 1.0, "changed"),
        ("none", -1.0, "changed"),
        ("lower", 0.01, "within"),
        ("none", 0.01, "within"),
    ],
)
def test_the_metrics_direction_decides(direction: str, shift: float, verdict: str) -> None:
    found = judged(SPREAD, [3.0 + shift, 3.05 + shift, 2.95 + shift], direction)
    assert found.verdict == verdict
    assert found.alarm == (verdict in ("worse", "changed"))
    assert found.difference == pytest.approx(shift)


def test_equal_bits_are_no_change_however_far_those_seeds_lie_from_the_mean() -> None:
    base = [1.0, 1.0, 1.0, 1.0, 1.0, 1.001, 9.0]
    (found,) = judge([Pair(dict(enumerate(base)), {6: 9.0}, "lower")])
    assert (found.verdict, found.difference, found.paired) == ("identical", 0.0, 1)


def test_seeds_that_agree_to_the_bit_do_not_make_others_stricter() -> None:
    """They are no draws of their own, so they do not count in the correction."""
    moved = pair(SPREAD, [3.2, 3.3, 3.25])
    same = pair(SPREAD, SPREAD[:3], first=0)
    alone, *_ = judge([moved])
    among, *_ = judge([moved, *[same] * 100])
    crowded, *_ = judge([moved, *[pair(SPREAD, [3.0, 3.1, 2.9])] * 100])
    assert alone == among and alone.tolerance < crowded.tolerance


def test_of_repeated_and_fresh_seeds_only_the_fresh_ones_count() -> None:
    (found,) = judge([Pair(dict(enumerate(SPREAD)), {0: 2.9, 20: 4.0, 21: 4.1}, "lower")])
    assert (found.new.n, found.paired, found.verdict) == (2, 1, "worse")
    assert found.every.n == 3 and found.every.mean == pytest.approx(11 / 3)
    assert found.difference == pytest.approx(4.05 - np.mean(SPREAD))


def test_one_recorded_seed_cannot_be_judged_unless_it_is_repeated() -> None:
    one = {0: 3.0}
    assert judge([Pair(one, {0: 3.5, 1: 3.4}, "lower")])[0].verdict == "unjudged"
    assert judge([Pair(one, {0: 3.0}, "lower")])[0].verdict == "identical"


def test_one_seed_that_collapses_is_reported_and_no_alarm() -> None:
    found = judged(SPREAD, [3.0, 3.0, 60.0])
    assert (found.verdict, found.strayed, found.alarm) == ("within", (102,), False)
    alone = judged(SPREAD, [60.0])
    assert (alone.verdict, alone.strayed) == ("unjudged", (100,))
    assert judged(SPREAD, [3.1]).verdict == "within"


def test_seeds_that_all_collapse_are_an_alarm_though_their_own_spread_hides_them() -> None:
    found = judged(SPREAD, [5.0, 60.0, 200.0])
    assert abs(found.difference) < found.tolerance
    assert (found.verdict, found.strayed) == ("worse", (100, 101, 102))
    assert judged(SPREAD, [5.0, 60.0]).verdict == "within"


def test_two_constants_are_told_apart_by_their_numbers_alone() -> None:
    assert judged([1.0] * 10, [0.9] * 3).verdict == "better"
    assert judged([1.0] * 3, [0.9] * 3).verdict == "unjudged"


def test_three_equal_recorded_seeds_are_no_spread_to_call_others_worse_by() -> None:
    """Zeros and a few small numbers, half of each, fall so in one of twenty equal stores."""
    assert judged([0.0] * 3, [0.001, 0.002, 0.001]).verdict == "unjudged"
    assert judged([0.0] * 5, [0.001, 0.002, 0.001]).verdict == "unjudged"
    assert judged([0.0] * 10, [0.001, 0.002, 0.001]).verdict == "worse"


def test_new_seeds_that_are_the_recorded_constant_make_the_others_less_surprising() -> None:
    """Five of five among ten are new once in 252 times, four of four once in 42."""
    assert judged([0.0] * 5, [0.01] * 5).verdict == "worse"
    assert judged([0.0] * 5, [0.0, 0.01, 0.01, 0.01, 0.01]).verdict == "unjudged"
    assert judged([0.0] * 20, [0.0, 0.01, 0.01, 0.01, 0.01]).verdict == "worse"


def test_constants_that_move_together_are_worse_and_one_of_many_is_not() -> None:
    """Of ten zeros and three other values those three are the new ones once in 286 times."""
    moved = pair([0.0] * 10, [0.1, 0.2, 0.3])
    scattered = pair([0.0] * 7 + [0.1, 0.2, 0.3], [0.0] * 3)
    assert {one.verdict for one in judge([moved] * 4)} == {"worse"}
    assert judge([moved, scattered])[0].verdict == "worse"
    assert judge([moved, *[scattered] * 3])[0].verdict == "unjudged"


@pytest.mark.parametrize(("recorded", "new"), [(3, 3), (5, 3), (5, 5)])
def test_numbers_that_are_often_zero_raise_no_more_alarms_than_others(
    recorded: int, new: int
) -> None:
    """Three against three raised one in 16 % of the comparisons."""
    rng = np.random.default_rng(0)
    shape = (400, 12, recorded + new)
    values = np.where(rng.random(shape) < 0.5, 0.0, rng.poisson(3, shape) / 1000 + 0.001)
    alarms = 0
    for store in values:
        pairs = [pair(one[:recorded].tolist(), one[recorded:].tolist()) for one in store]
        alarms += any(one.alarm for one in judge(pairs))
    assert alarms <= 4


def test_replicates_without_spread_may_differ_by_rounding() -> None:
    assert judged([1.0] * 10, [1.0 + 1e-7] * 3, "higher").verdict == "within"
    assert judged([1.0] * 10, [0.99] * 3, "higher").verdict == "worse"


@given(
    st.lists(st.floats(-10, 10), min_size=3, max_size=8),
    st.lists(st.floats(-10, 10), min_size=3, max_size=5),
    st.floats(-100, 100),
    st.floats(0.1, 10),
    st.randoms(),
)
def test_a_judgement_knows_no_order_no_origin_and_no_unit(
    base: list[float], new: list[float], shift: float, unit: float, random: Any
) -> None:
    found = judged(base, new)
    assume(min(found.base.sd, found.new.sd) > 0.01)
    assume(abs(abs(found.difference) / found.tolerance - 1) > 1e-6)
    moved = judged(
        [unit * value + shift for value in random.sample(base, len(base))],
        [unit * value + shift for value in random.sample(new, len(new))],
    )
    assert moved.verdict == found.verdict
    assert moved.tolerance == pytest.approx(unit * found.tolerance, rel=1e-6)
    turned = judged([-value for value in base], [-value for value in new], "higher")
    assert turned.verdict == found.verdict
