"""The tests' own net: what a test leaves behind is ended, and complained of."""

from __future__ import annotations

import subprocess
import sys

import pytest
from brood import descendants, none_left

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
LEAVES = "(sleep 600 & setsid sleep 600 &) && exec true"
"""A shell that ends at once and leaves two orphans, one of them in a session of its own."""


def test_what_a_failed_test_has_left_is_ended() -> None:
    before = descendants()
    with pytest.raises(ZeroDivisionError), none_left(60):
        subprocess.run(["/bin/sh", "-c", LEAVES], check=True)
        assert len(descendants() - before) == 2
        raise ZeroDivisionError
    assert descendants() == before


def test_what_a_test_has_left_fails_it() -> None:
    before = descendants()
    with pytest.raises(AssertionError, match="sleep 600"), none_left(0.2):
        subprocess.run(["/bin/sh", "-c", LEAVES], check=True)
    assert descendants() == before


def test_what_ends_by_itself_is_waited_for() -> None:
    with none_left(60):
        subprocess.run(["/bin/sh", "-c", "(sleep 0.3 &)"], check=True)
