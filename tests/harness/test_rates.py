"""The machine's rates: there at every start, plausible, and without a random number drawn."""

from __future__ import annotations

import json
import math
from itertools import count
from pathlib import Path

import pytest
import torch
from stores import make_run, spec

from textbench.run import rates
from textbench.run.provenance import provenance
from textbench.store.frames import load_runs


def test_every_start_names_the_rates_of_its_machine() -> None:
    before = torch.get_rng_state()
    start = provenance("cpu", "code")
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("product_rate", "exponential_rate"):
        assert 1e6 < start[name] < 1e14
    assert start["product_rate"] > start["exponential_rate"]


def test_a_rate_is_of_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr(rates.time, "process_time", lambda: float(next(ticks)))
    assert rates.product_rate(4) == 2 * rates.SIZE**3 * 4  # four products in one second
    assert rates.exponential_rate(4) == 4 * 2**16


def test_the_frame_has_the_median_of_the_starts(tmp_path: Path) -> None:
    run = make_run(tmp_path, spec(), [{"nll_test": 1.0}])
    found = [{"product_rate": rate} for rate in (1e11, 3e11, 2e11)]
    (run.path / "env.json").write_text(json.dumps({"starts": [*found, {}]}))
    assert load_runs(tmp_path)["product_rate"].tolist() == [2e11]
    (run.path / "env.json").write_text(json.dumps({"starts": [{}]}))
    assert math.isnan(load_runs(tmp_path)["product_rate"].iloc[0])


@pytest.mark.parametrize("rate", ["fast", None, True, [1e11]])
def test_a_rate_that_is_no_number_is_damage(rate: object, tmp_path: Path) -> None:
    run = make_run(tmp_path, spec(), [{"nll_test": 1.0}])
    (run.path / "env.json").write_text(json.dumps({"starts": [{"product_rate": rate}]}))
    with pytest.warns(UserWarning, match="left out"):
        frame = load_runs(tmp_path)
    (reason,) = frame.attrs["unreadable"].values()
    assert "env.json" in reason and "product_rate" in reason and "\n" not in reason
