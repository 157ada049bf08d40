"""The table of what came after the paper: drawn where it was run, and what it is held against."""

from __future__ import annotations

from pathlib import Path

import pytest
from stores import make_run, spec

from textbench.report import write_report


@pytest.mark.usefixtures("no_figures")
def test_what_came_after_the_paper_has_a_table_where_it_was_run(tmp_path: Path) -> None:
    store, curve = (
        tmp_path / "results",
        [{"nll_oracle": 9.0, "nll_test": 7.6, "nll_validation": 7.7}],
    )
    for trainer in ("mle", "cot", "seqgan"):
        make_run(store, spec(trainer), curve)
    write_report(store, tmp_path / "before")
    assert not list((tmp_path / "before").rglob("*after*"))
    make_run(
        *(store, spec("tailr", title="TaiLr"), curve),
        log={"weight": [0.9, 0.8], "weight_at_floor": [0.0, 0.25]},
    )
    write_report(store, tmp_path / "after")
    (path,) = (tmp_path / "after").rglob("*table_after-synthetic-quick.md")
    text = path.read_text("utf-8")
    for title in ("MLE", "CoT", "TaiLr", "mean weight", "weights at their floor"):
        assert title in text
    assert "SeqGAN" not in text
