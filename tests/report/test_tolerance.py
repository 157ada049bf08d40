"""The tolerance of `textbench compare`: few false alarms, and power where it matters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from scipy import stats as reference

from textbench.judge.tolerance import LEVEL, Judgement, Pair, judge, mean_tolerance, seed_tolerance

Draw = Callable[[Generator, tuple[int, ...]], np.ndarray]


def pair(base: list[float], new: list[float], direction: str = "lower", first: int = 100) -> Pair:
    """New seeds count from ``first``; 0 pairs them with the recorded ones."""
    return Pair(dict(enumerate(base)), dict(enumerate(new, start=first)), direction)


def judged(base: list[float], new: list[float], direction: str = "lower") -> Judgement:
    (found,) = judge([pair(base, new, direction)])
    return found


SPREAD = [2.9, 3.0, 3.1, 3.0, 2.95, 3.05, 3.0, 3.02, 2.98, 3.0]


# -- the tolerances --------------------------------------------------------------------------


def test_the_tolerance_of_means_is_students_with_the_pooled_spread() -> None:
    base, new = [1.0, 2.0, 4.0, 5.0], [2.0, 3.0, 7.0]
    alarm = reference.ttest_ind(new, base, alternative="greater")
    level = alarm.pvalue
    assert mean_tolerance(base, new, level) == pytest.approx(np.mean(new) - np.mean(base))


def test_the_tolerance_of_a_seed_is_its_prediction_limit() -> None:
    draws = np.random.default_rng(0).normal(size=(20_000, 6))
    limits = [seed_tolerance(row[:5].tolist(), 0.05) for row in draws[:4000]]
    beyond = draws[:4000, 5] - draws[:4000, :5].mean(1) > limits
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("base", [[], [1.0]])
def test_without_spread_there_is_no_tolerance(base: list[float]) -> None:
    assert math.isnan(seed_tolerance(base, 0.01))
    assert math.isnan(mean_tolerance(base, [1.0, 2.0], 0.01))


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


def test_one_recorded_seed_cannot_be_judged_unless_it_is_repeated() -> None:
    one = {0: 3.0}
    assert judge([Pair(one, {0: 3.5, 1: 3.4}, "lower")])[0].verdict == "unjudged"
    assert judge([Pair(one, {0: 3.0}, "lower")])[0].verdict == "identical"


def test_a_seed_that_collapses_is_noticed_though_its_own_spread_hides_it_in_the_mean() -> None:
    found = judged(SPREAD, [3.0, 3.0, 60.0])
    assert abs(found.difference) < found.tolerance
    assert (found.verdict, found.strayed) == ("worse", (102,))
    assert judged(SPREAD, [60.0]).verdict == "worse"
    assert judged(SPREAD, [3.1]).verdict == "within"


def test_replicates_without_spread_may_differ_by_rounding() -> None:
    assert judged([1.0] * 10, [1.0 + 1e-7] * 3, "higher").verdict == "within"
    assert judged([1.0] * 10, [0.99] * 3, "higher").verdict == "worse"


# -- how often it is wrong -------------------------------------------------------------------


def normal(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=size)


def heavy(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    return rng.standard_t(5, size=size)


def skewed(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    return rng.gamma(3.0, size=size) / math.sqrt(3.0)


def dependent(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    """Metrics of one run, which mostly move together."""
    return 0.9 * rng.normal(size=(*size[:-1], 1)) + 0.44 * rng.normal(size=size)


def comparisons(values: np.ndarray, recorded: int, shift: float = 0.0) -> list[list[Judgement]]:
    """Judge families of numbers, ``(family, replicate, number)``, the last replicates as new."""
    directions = ("lower", "higher", "none")
    families = []
    for family in values:
        pairs = [
            pair(column[:recorded].tolist(), (column[recorded:] + shift).tolist(), direction)
            for column, direction in zip(family.T, directions * len(family.T), strict=False)
        ]
        families.append(judge(pairs))
    return families


@pytest.mark.parametrize(
    ("draw", "recorded", "new"),
    [
        *((draw, 10, 3) for draw in (normal, heavy, skewed, dependent)),
        *((heavy, 20, 3), (heavy, 10, 1), (normal, 3, 3), (normal, 10, 10)),
    ],
)
def test_false_alarms_over_all_numbers_are_rare(draw: Draw, recorded: int, new: int) -> None:
    rng = np.random.default_rng([recorded, new])
    families = comparisons(draw(rng, (200, recorded + new, 12)), recorded)
    alarms = sum(any(one.alarm for one in family) for family in families)
    assert alarms <= LEVEL * len(families)


def test_three_new_seeds_find_a_change_of_a_few_spreads() -> None:
    """Among 72 numbers: of 7 spreads with 10 recorded seeds, of 5 with 20."""
    rng = np.random.default_rng(1)
    for recorded, shift in ((10, 7.0), (20, 5.0)):
        moved = comparisons(normal(rng, (8, recorded + 3, 72)), recorded, shift)
        lower = [one for family in moved for one in family[::3]]
        assert np.mean([one.alarm for one in lower]) > 0.95
