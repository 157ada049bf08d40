"""Inference over seeds: against scipy, and the properties that hold whatever the numbers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize
from scipy import stats as reference

from textbench.judge.exact import mann_whitney_test, sign_flip_test
from textbench.judge.power import (
    MOST,
    POWER,
    detectable_samples,
    seeds_to_tell,
    t_power,
)
from textbench.judge.ranking import conclude, dense_ranks, rank
from textbench.judge.stats import (
    Difference,
    compare,
    differences,
    holm,
    summarise,
    t_interval,
    t_test,
)

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=10)
short = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=6)


def by_seed(values: Any, first: int = 0) -> dict[int, float]:
    return {seed: float(value) for seed, value in enumerate(values, first)}


# -- means and tests -------------------------------------------------------------------------


@given(samples, st.floats(0.5, 0.99))
def test_a_summary_equals_scipy(values: list[float], level: float) -> None:
    found = summarise(values, level)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    half = reference.t.ppf((1 + level) / 2, len(values) - 1) * reference.sem(values)
    assert found.high - found.mean == pytest.approx(half, abs=1e-9)
    assert found.mean - found.low == pytest.approx(half, abs=1e-9)


def test_one_value_has_no_spread_and_none_has_no_mean() -> None:
    one = summarise([3.0])
    assert (one.n, one.mean) == (1, 3.0)
    assert math.isnan(one.sd) and math.isnan(one.low) and math.isnan(one.high)
    assert summarise([]).n == 0 and math.isnan(summarise([]).mean)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        summarise([1.0, bad])


@given(samples)
def test_the_t_test_equals_scipy(values: list[float]) -> None:
    assume(np.std(values) > 1e-6)
    expected = reference.ttest_1samp(values, 0.0).pvalue
    assert float(t_test(values)) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_intervals_and_tests_work_on_many_samples_at_once() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3, 5))
    mean, sd, low, high = t_interval(x)
    one = summarise(x[2, 1].tolist())
    assert (mean[2, 1], sd[2, 1], low[2, 1], high[2, 1]) == pytest.approx(
        (one.mean, one.sd, one.low, one.high)
    )
    assert t_test(x).shape == (4, 3)


def test_no_spread_is_no_certainty() -> None:
    assert float(t_test([0.02] * 3)) == 0.25  # what three sign flips can give
    assert float(t_test([0.02] * 8)) == 2 / 2**8
    assert float(t_test([0.0] * 8)) == 1.0


@pytest.mark.parametrize("off", [1e-3, 1e-4])
@pytest.mark.parametrize("values", [(9.13, 9.37, 9.29), (8.671, 8.702, 8.655)])
def test_differences_that_only_rounding_spreads_are_no_certainty(
    values: tuple[float, ...], off: float
) -> None:
    """Small beside the values, they have a spread of their last digits: a t of 1e12."""
    base = dict(enumerate(values))
    found = compare({seed: round(one + off, 4) for seed, one in base.items()}, base)
    assert (found.note, found.p, found.separated) == ("no spread", 0.25, False)


@given(short)
def test_sign_flips_equal_their_enumeration(values: list[float]) -> None:
    flips = itertools.product([1, -1], repeat=len(values))
    sums = [abs(np.dot(signs, values)) for signs in flips]
    expected = np.mean([s >= abs(sum(values)) for s in sums])
    assert sign_flip_test(values) == pytest.approx(expected)


@pytest.mark.parametrize("unit", [1e-13, 1e-300, 1.0, 1e12])
def test_sign_flips_know_no_unit(unit: float) -> None:
    assert sign_flip_test([unit] * 6) == 2 / 2**6
    assert sign_flip_test([unit, -unit, 2 * unit, 3 * unit]) == sign_flip_test(
        [1.0, -1.0, 2.0, 3.0]
    )
    assert sign_flip_test([0.1 * unit, 0.2 * unit, -0.3 * unit]) == 1.0  # a sum of rounding errors


@given(short, short)
def test_mann_whitney_equals_its_enumeration(a: list[float], b: list[float]) -> None:
    ranks = reference.rankdata([*a, *b])
    centre = len(a) * (len(ranks) + 1) / 2
    observed = abs(sum(ranks[: len(a)]) - centre)
    sums = [abs(sum(chosen) - centre) for chosen in itertools.combinations(ranks, len(a))]
    assert mann_whitney_test(a, b) == pytest.approx(np.mean([s >= observed for s in sums]))


def test_mann_whitney_equals_scipy_without_ties() -> None:
    rng = np.random.default_rng(0)
    for n, m in ((3, 3), (5, 5), (4, 9)):
        a, b = rng.normal(size=n), rng.normal(0.8, size=m)
        expected = reference.mannwhitneyu(a, b, method="exact").pvalue
        assert mann_whitney_test(a.tolist(), b.tolist()) == pytest.approx(expected)


# -- Holm ------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8))
def test_holm_is_monotone_and_between_raw_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p).tolist()
    asked = [i for i, value in enumerate(p) if not math.isnan(value)]
    assert [math.isnan(value) for value in adjusted] == [i not in asked for i in range(len(p))]
    for i in asked:
        assert p[i] <= adjusted[i] <= min(1.0, len(asked) * p[i]) or p[i] == adjusted[i] == 0
    order = sorted(asked, key=lambda i: p[i])
    assert [adjusted[i] for i in order] == sorted(adjusted[i] for i in asked)


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([[0.01, 0.04], [0.5, 0.02]]).tolist() == [
        pytest.approx([0.02, 0.04]),
        pytest.approx([0.5, 0.04]),
    ]


# -- differences -----------------------------------------------------------------------------


def test_equal_seeds_are_compared_in_pairs() -> None:
    a, b = by_seed([1.0, 2.0, 4.0]), by_seed([0.5, 1.0, 2.0]) | {7: 2.0}
    found = compare(a, b)
    expected = summarise([0.5, 1.0, 2.0])
    assert (found.paired, found.n) == (True, 3)
    assert (found.mean, found.low, found.high) == (expected.mean, expected.low, expected.high)
    assert found.p == pytest.approx(reference.ttest_1samp([0.5, 1.0, 2.0], 0.0).pvalue)
    assert math.isnan(found.p_exact)
    back = compare(b, a)
    assert (back.mean, back.low, back.high, back.p) == (
        -found.mean,
        -found.high,
        -found.low,
        found.p,
    )


def test_other_seeds_are_compared_as_two_samples() -> None:
    a, b = by_seed([1.0, 2.0, 4.0]), by_seed([0.5, 1.0, 2.5, 0.1], 5)
    found = compare(a, b)
    sides = list(a.values()), list(b.values())
    welch, student = (reference.ttest_ind(*sides, equal_var=equal) for equal in (False, True))
    larger = max(welch, student, key=lambda one: one.pvalue)
    interval = larger.confidence_interval()
    assert not found.paired and found.n == 3
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(larger.pvalue) and welch.pvalue != student.pvalue
    few = compare(by_seed(range(10)), by_seed(range(10, 20), 8))  # two of ten in common
    assert not few.paired


def array_of(side: dict[int, float]) -> np.ndarray:
    return np.array(list(side.values()))


def test_three_seeds_that_agree_by_chance_are_not_certain() -> None:
    """A rate that is 1 in three seeds, and in half of ten others: Welch's p is 0.015."""
    a, b = by_seed([1.0] * 3), by_seed([0.0, 1.0] * 5, 5)
    sides = [(side.mean(), side.std(ddof=1), side.size) for side in map(array_of, (a, b))]
    welch = reference.ttest_ind_from_stats(*sides[0], *sides[1], equal_var=False)
    assert welch.pvalue == pytest.approx(0.015, abs=0.0005)
    found = compare(a, b)
    assert not found.separated and found.low < 0 < found.high


def test_few_seeds_of_a_larger_spread_are_not_certain_either() -> None:
    """Student's test takes most of its spread from the twenty."""
    a, b = by_seed([1.0, 2.0, 6.0]), by_seed([0.01 * seed for seed in range(20)], 5)
    student = reference.ttest_ind(list(a.values()), list(b.values()))
    assert student.pvalue < 0.001 and not compare(a, b).separated


def test_two_seeds_in_common_are_no_pairs() -> None:
    """Two pairs that agree by chance separated rows of three seeds each."""
    a, b = {0: 9.5, 1: 9.2, 2: 9.0}, {1: 9.1, 2: 8.9001, 3: 9.6}
    found = compare(a, b)
    assert (found.paired, found.n) == (False, 3) and not found.separated


def test_seeds_that_only_one_row_has_turn_no_place_round() -> None:
    """The row with the best mean was ranked first, and found worse by the seeds in common."""
    rows = {
        "ten": by_seed([9.5, 9.51, 9.49, 9.0, 9.01, 9.02, 8.99, 9.0, 9.01, 9.0]),
        "three": by_seed([9.3, 9.312, 9.289]),
    }
    order, places, found = rank(rows)
    one = found["ten", "three"]
    assert order == ["ten", "three"] and one.mean > 0 and not one.paired
    assert one.mean == pytest.approx(
        sum(rows["three"].values()) / 3 - sum(rows["ten"].values()) / 10
    )
    assert places["ten"] < places["three"] if one.separated else set(places.values()) == {1}
    near = compare(rows["ten"] | {0: 9.0, 1: 9.01, 2: 9.0}, rows["three"])
    assert (near.paired, near.n) == (True, 3)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**1000])
def test_numbers_whose_squares_are_none_are_judged_as_others(unit: float) -> None:
    """Perplexities of 1e200 had a spread of infinity, and those of 1e-200 none."""
    a, b = [1.0, 1.1, 1.25], [1.5, 1.7, 1.6]
    few, many = compare(by_seed(a), by_seed(b)), compare(by_seed(a), by_seed(b, 7))
    for plain, first in ((few, 0), (many, 7)):
        times = by_seed([x * unit for x in a]), by_seed([x * unit for x in b], first)
        huge = compare(*times)
        assert (huge.p, huge.p_holm, huge.needed) == (plain.p, plain.p_holm, plain.needed)
        scaled = [getattr(plain, name) * unit for name in ("mean", "sd", "low", "high")]
        assert [getattr(huge, name) for name in ("mean", "sd", "low", "high")] == scaled


def test_exact_tests_stand_beside_from_six_seeds_on() -> None:
    up = [0.1, 0.3, 0.2, 0.4, 0.1, 0.2]
    six = compare(by_seed(up), by_seed([0.0] * 6))
    assert six.p_exact == 2 / 2**6
    assert math.isnan(compare(by_seed(up[:5]), by_seed([0.0] * 5)).p_exact)
    apart = compare(by_seed(up), by_seed([1.0, 1.1, 1.2, 1.3, 1.4, 1.5], 50))
    assert apart.p_exact == pytest.approx(2 / math.comb(12, 6))


@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        ([9.1, 9.2, 9.3], [9.1, 9.2, 9.3], "identical"),
        ([9.1, 9.2, 9.3], [9.1 + 1e-13, 9.2 - 1e-13, 9.3], "equal up to rounding"),
        ([9.1], [9.2], "one seed"),
        ([], [9.2], "no common data"),
        ([1.0, 1.0, 1.0], [0.98, 0.98, 0.98], "no spread"),
    ],
)
def test_what_cannot_be_told_is_said_in_words_not_as_p_1(
    a: list[float], b: list[float], note: str
) -> None:
    found = compare(by_seed(a), by_seed(b))
    assert found.note == note and not found.separated
    assert note == "no spread" or math.isnan(found.p)


def test_what_was_not_tested_does_not_count_in_the_correction() -> None:
    worse = by_seed([2.0, 2.1, 2.2]), by_seed([1.0, 1.12, 1.19])
    alone = compare(*worse)
    among = differences({0: worse, **{i: (by_seed([1.0]), by_seed([2.0])) for i in range(1, 9)}})
    assert vars(among[0]) == vars(alone) and alone.p_holm == alone.p  # where a NaN is itself
    two = differences({0: worse, 1: (by_seed([1.0, 2.0, 3.0]), by_seed([3.0, 2.0, 1.5]))})
    assert two[0].p_holm == pytest.approx(2 * alone.p)


def test_pairing_finds_what_two_samples_cannot() -> None:
    shared = np.random.default_rng(1).normal(0, 10, size=6)
    a, b = by_seed(shared), by_seed(shared + np.array([0.1, 0.2, 0.15, 0.12, 0.11, 0.14]))
    assert compare(a, b).separated
    assert not compare(a, {seed + 50: value for seed, value in b.items()}).separated


@given(
    st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=3, max_size=7),
    st.floats(-100, 100),
    st.floats(0.01, 100),
    st.randoms(),
)
def test_a_difference_knows_no_order_no_origin_and_no_unit(
    pairs: list[tuple[float, float]], shift: float, unit: float, random: Any
) -> None:
    d = [x - y for x, y in pairs]
    assume(np.std(d) > 1e-3)
    one = compare(by_seed(x for x, _ in pairs), by_seed(y for _, y in pairs))
    mixed = random.sample(pairs, len(pairs))
    names = random.sample(range(1000), len(pairs))
    moved = compare(
        {seed: unit * x + shift for seed, (x, _) in zip(names, mixed, strict=True)},
        {seed: unit * y + shift for seed, (_, y) in zip(names, mixed, strict=True)},
    )
    assert moved.p == pytest.approx(one.p, rel=1e-4, abs=1e-9)
    assert moved.mean == pytest.approx(unit * one.mean, abs=1e-8 * (1 + unit))
    assert (moved.paired, moved.n, moved.note) == (one.paired, one.n, one.note)
    if not math.isnan(one.p_exact):
        assert moved.p_exact == pytest.approx(one.p_exact, abs=0.02)  # ties by rounding may split


# -- how many seeds would tell ---------------------------------------------------------------


def test_power_is_that_of_the_t_test() -> None:
    rng = np.random.default_rng(3)
    for n, effect in ((3, 2.0), (5, 1.0), (10, 0.9)):
        found = float(t_power(effect * math.sqrt(n), n - 1, 0.05))
        seen = np.mean(t_test(rng.normal(effect, 1.0, size=(20_000, n))) <= 0.05)
        assert found == pytest.approx(seen, abs=0.012)
    expected = 1 - reference.nct.cdf(reference.t.ppf(0.975, 4), 4, 3.0)
    expected += reference.nct.cdf(-reference.t.ppf(0.975, 4), 4, 3.0)
    assert float(t_power(3.0, 4, 0.05)) == pytest.approx(expected)


@pytest.mark.parametrize("level", [0.05, 0.05 / 7, 0.05 / 28])
@pytest.mark.parametrize("effect", [0.6, 1.0, 2.0, 5.0])
def test_the_seeds_that_tell_are_the_fewest(effect: float, level: float) -> None:
    n = seeds_to_tell(effect, level=level)
    assert n is not None
    assert t_power(effect * math.sqrt(n), n - 1, level) >= POWER
    assert n == 3 or t_power(effect * math.sqrt(n - 1), n - 2, level) < POWER
    m = seeds_to_tell(effect, paired=False, level=level)
    assert m is not None and detectable_samples(m, m, level=level) <= effect + 1e-6
    assert m == 3 or detectable_samples(m - 1, m - 1, level=level) > effect


def test_what_hundreds_of_seeds_would_not_tell_has_no_number() -> None:
    assert seeds_to_tell(0.01) is None and seeds_to_tell(0.0) is None
    assert seeds_to_tell(1e6) == 3
    assert seeds_to_tell(0.3) is not None and seeds_to_tell(0.3) <= MOST


@pytest.mark.parametrize("n", [3, 5, 10])
def test_what_is_detectable_is_what_so_many_seeds_tell(n: int) -> None:
    def lacking(effect: float) -> float:
        """Power of a paired t-test by scipy's own noncentral t, less what is asked."""
        shift, critical = effect * math.sqrt(n), reference.t.ppf(0.975, n - 1)
        law = reference.nct(n - 1, shift)
        other_way = float(np.nan_to_num(law.cdf(-critical)))  # scipy's NaN where it is 0
        return float(law.sf(critical)) + other_way - POWER

    effect = float(optimize.brentq(lacking, 0.0, 4.0))
    assert seeds_to_tell(effect + 1e-6) == n and seeds_to_tell(effect - 1e-3) == n + 1
    effect = detectable_samples(n, n)
    assert seeds_to_tell(effect + 1e-6, paired=False) == n
    assert seeds_to_tell(effect - 1e-3, paired=False) == n + 1
    assert math.isnan(detectable_samples(1, 9))
    assert detectable_samples(n, 10**6) == pytest.approx(2.8016 / math.sqrt(n), rel=1e-3)


def test_differences_without_spread_need_as_many_seeds_as_sign_flips_do() -> None:
    """Smallest p of n pairs: 2^(1-n); of n against n: 2 / C(2n, n). So six pairs, or four each."""
    a, b = by_seed([1.0, 1.5, 2.0]), by_seed([3.0, 3.5, 4.0])
    found = compare(a, b)
    assert (found.note, found.needed, found.more) == ("no spread", 6, 3)
    six = compare(by_seed([1.0] * 6), by_seed([3.0] * 6))
    assert six.separated and six.p == pytest.approx(2**-5) and six.needed is None
    apart = compare(by_seed([1.0] * 3), {seed: 3.0 for seed in range(10, 13)})
    assert (apart.paired, apart.note, apart.needed) == (False, "no spread", 4)
    eight = {i: (by_seed([1.0, 1.5, 2.0]), by_seed([3.0, 3.5, 4.0])) for i in range(8)}
    assert next(iter(differences(eight).values())).needed == 9  # 2^-8 is below 0.05 / 8


def test_an_undecided_difference_says_how_many_more_would_tell() -> None:
    found = compare(by_seed([1.0, 1.3, 0.8]), by_seed([0.9, 0.9, 0.85]))
    assert not found.separated and found.needed is not None
    effect = abs(found.mean) / found.sd
    assert found.needed == seeds_to_tell(effect) and found.more == found.needed - 3
    told = compare(by_seed([1.0, 1.1, 1.2]), by_seed([0.0, 0.11, 0.19]))
    assert told.separated and told.needed is told.more is None


# -- places ----------------------------------------------------------------------------------


@given(
    st.integers(1, 7).flatmap(
        lambda k: st.tuples(
            st.just(k),
            st.sets(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1))),
        )
    )
)
def test_places_are_dense_and_agree_with_every_separation(
    drawn: tuple[int, set[tuple[int, int]]],
) -> None:
    k, pairs = drawn
    apart = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    places = dense_ranks(range(k), apart)
    for better, worse in apart:
        assert places[better] < places[worse]
    assert set(places.values()) == set(range(1, max(places.values()) + 1))
    for row, place in places.items():
        above = [other for other in places if (other, row) in apart and places[other] == place - 1]
        assert place == 1 or above, "a place below the first is due to a row of the place above"


def test_rows_share_a_place_unless_separated() -> None:
    noise = [0.0, 0.01, -0.01, 0.005, 0.0]
    rows = {
        "best": by_seed(1.0 + np.array(noise)),
        "also": by_seed(1.003 - np.array(noise)),
        "next": by_seed(2.0 + 2 * np.array(noise)),
        "once": {0: 0.5},
    }
    order, places, found = rank(rows)
    assert order == ["once", "best", "also", "next"]
    assert places == {"best": 1, "also": 1, "next": 2}
    assert found["best", "next"].separated and not found["best", "also"].separated
    _, turned, _ = rank(rows, "higher")
    assert turned == {"next": 1, "best": 2, "also": 2}


def told(rows: dict[str, dict[int, float]], metric: str = "nll_test") -> str:
    order, places, found = rank(rows)
    sizes = [(name, len(rows[name])) for name in order]
    return conclude(sizes, places, found, metric, "lower")


def test_one_sentence_says_what_may_be_concluded() -> None:
    clear = {"a": by_seed([1.0, 1.01, 1.02]), "b": by_seed([2.0, 2.01, 2.03])}
    assert told(clear) == "a has the lowest nll_test, separated from every other row (n >= 3)."
    close = {"a": by_seed([1.0, 1.1, 1.2]), "b": by_seed([1.1, 1.12, 1.3])}
    more = compare(close["b"], close["a"]).more
    assert told(close) == (
        f"a and b share the first place in nll_test, not separated; {more} more seeds would tell "
        "(n >= 3)."
    )
    same = {"a": by_seed([1.0, 1.1, 1.2]), "b": by_seed([1.0, 1.1, 1.2])}
    assert (
        told(same)
        == "a and b share the first place in nll_test: their values agree to the bit (n >= 3)."
    )
    nearly = {"a": by_seed([1.0, 1.1, 1.2]), "b": by_seed([1.0 + 2e-16, 1.1, 1.2 - 3e-16])}
    assert ": their values agree up to rounding (n >= 3)." in told(nearly)
    assert told({"a": {0: 1.0}, "b": {0: 2.0}}).startswith("Nothing can be told about nll_test")
    assert told({"a": {0: 1.0}}) == "a is the only row that has it: nothing to compare."
    better = told(clear | {"c": {0: 0.1}})
    assert better == (
        "Of the 2 rows with 3 seeds or more a has the lowest nll_test, separated from every other "
        "row (n >= 3); c lies lower, with fewer than 3 seeds."
    )


def test_a_difference_that_no_seeds_would_tell_is_said_so() -> None:
    values = {"a": by_seed([1.0, 1.5, 0.5]), "b": by_seed([1.5, 0.5, 1.0001])}
    assert "more than 100 seeds would be needed to tell" in told(values)
    assert isinstance(compare(values["a"], values["b"]), Difference)
