"""The planted errors still apply; `tox -e mutants` shows that tests notice them."""

from __future__ import annotations

import pytest
from run_mutants import Mutant, read_mutants


@pytest.mark.parametrize("mutant", read_mutants(), ids=lambda mutant: mutant.name)
def test_the_mutant_can_be_planted(mutant: Mutant) -> None:
    assert mutant.problem() == ""
    assert mutant.replace != mutant.find


def test_a_mutant_whose_text_is_gone_is_noticed() -> None:
    stale = Mutant("stale", "algorithms/mle.py", "no such text", "", ("tests/science/test_mle.py",))
    assert "occurs 0 times" in stale.problem()
    lost = Mutant("lost", "algorithms/mle.py", "class MLE(", "class MLE(", ("tests/none.py",))
    assert "no such tests" in lost.problem()
