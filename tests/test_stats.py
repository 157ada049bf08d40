"""Statistics over seeds: against scipy, and against what they promise at small n."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from textbench.stats import summarise

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=10)


@given(samples, st.floats(0.5, 0.99))
def test_summary_equals_scipy(values: list[float], level: float) -> None:
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


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_covers_the_mean_95_times_in_100(n: int) -> None:
    draws = np.random.default_rng(n).normal(2.0, 3.0, size=(4000, n))
    intervals = [summarise(row.tolist()) for row in draws]
    covered = np.mean([found.low <= 2.0 <= found.high for found in intervals])
    assert covered == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors
