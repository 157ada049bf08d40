"""The common grid of several runs' evaluations, against its definition run by run."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from textbench.judge.spacing import LEAST_EVALUATIONS, common_spacing

GRIDS = st.lists(st.sets(st.integers(0, 40), min_size=1), min_size=1, max_size=4)
REGULAR = st.lists(
    st.builds(
        lambda low, length, step: set(range(low * step, (low + length) * step, step)),
        *(st.integers(0, 3), st.integers(2, 30), st.integers(1, 4)),
    ),
    min_size=1,
    max_size=4,
)


def by_definition(grids: list[set[int]]) -> int | None:
    """Return the smallest k at whose multiples every run was evaluated, as the docstring has it."""
    spans = [set(range(min(one), max(one) + 1)) for one in grids]
    anywhere = set().union(*grids)
    if all(one == anywhere & span for one, span in zip(grids, spans, strict=True)):
        return 0
    for k in range(1, min(max(one) for one in grids) // 2 + 1):
        kept = [{e for e in span if e % k == 0} for span in spans]
        if all(few <= one for few, one in zip(kept, grids, strict=True)):
            counts = zip(kept, grids, strict=True)
            lost = any(len(few) < min(LEAST_EVALUATIONS, len(one)) for few, one in counts)
            return None if lost else k
    return None


@given(GRIDS | REGULAR)
def test_the_common_spacing_is_that_of_its_definition(grids: list[set[int]]) -> None:
    lines = [(f"run {i}", epoch) for i, one in enumerate(grids) for epoch in sorted(one)]
    assert common_spacing(pd.DataFrame(lines, columns=["run", "epoch"])) == by_definition(grids)


def test_no_epoch_is_so_late_that_its_grid_fills_the_memory() -> None:
    for late in (1e30, 2.0**62):
        for grids in ([{0, 1, 2, late}, {0, 1, 2, 3}], [{0, late}, {0, 2 * late}]):
            lines = [(f"run {i}", float(e)) for i, one in enumerate(grids) for e in sorted(one)]
            assert common_spacing(pd.DataFrame(lines, columns=["run", "epoch"])) is None
