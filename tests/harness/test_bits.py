"""Variants at `ci` size, to the bit where the record was made, and nearly so elsewhere.

`test_ci_store.py` does this for every trainer; here are rows that it does not have. The whole of it
is `python tests/support/bits.py check tests/support/bits.json`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bits import draws_as_recorded, machine, make, moved, rows

RECORD = Path(__file__).parents[1] / "support" / "bits.json"
FEW = ("cot:head", "maligan:texygen", "scheduled_sampling:paper")
OTHER_TORCH = (
    json.loads(RECORD.read_text(encoding="utf-8"))["machine"]["torch"] != (machine()["torch"])
)
same_draws = pytest.mark.skipif(
    OTHER_TORCH and not draws_as_recorded(),  # with the record's own version nothing is skipped
    reason="this PyTorch draws other exponentials than the record's",
)


def compare(algos: list[str], text: tuple[str, ...]) -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    found = make(algos, text)
    assert found and set(found) <= set(record["rows"])
    assert moved(record["rows"], found, exact=record["machine"] == machine()) == []


@same_draws
@pytest.mark.timeout(900)
def test_a_few_variants_are_as_recorded() -> None:
    compare([*FEW], ("leakgan",))


@same_draws
@pytest.mark.slow
def test_every_row_is_as_recorded() -> None:
    compare(rows(), ("mle", "cot:strong", "seqgan", "leakgan", "maligan:texygen"))


def test_the_record_has_every_row() -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["rows"]
    folders = {name.split("/")[1] for name in recorded}
    assert folders >= {row.replace(":", "-") for row in rows()}


def test_what_moved_is_named() -> None:
    old = {"a/mle": {"generator": "1", "metrics": {"x": 1.0, "y": None}}}
    new = {"a/mle": {"generator": "2", "metrics": {"x": 1.5, "y": 0.0}}}
    assert len(moved(old, new)) == 3
    assert moved(old, old) == []
    near = {"a/mle": {"generator": "2", "metrics": {"x": 1.001, "y": None}}}
    assert moved(old, near, exact=False) == []
    assert len(moved(old, near)) == 2
