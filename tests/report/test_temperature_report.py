"""Rows of other inverse temperatures: read from the store, named, kept apart, and drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stores import make_run, measured, spec

from textbench.contracts.spec import Spec
from textbench.judge import published
from textbench.report import figures, write_report
from textbench.report.curves import sweeps
from textbench.report.definitions import figure_specs, row_names, table_specs
from textbench.report.sections import Section, sections
from textbench.report.styles import Styles
from textbench.store.directory import RunDirectory
from textbench.store.frames import frames, load_results
from textbench.store.read import RecordedRun, read_store

QUALITY = {"bleu5": 0.2, "self_bleu5": 0.3, "nll_test": 2.0}


def text_spec(trainer: str = "mle", seed: int = 0, **changes: Any) -> Spec:
    plan = {"every": 1, "samples": 50, "final_samples": 100}
    return spec(trainer, seed, task="emnlp_news", task_config={}, evaluation=plan, **changes)


def evaluated(directory: RunDirectory, alpha: float, samples: int = 100, **values: Any) -> None:
    """Append what `textbench evaluate` writes."""
    found = measured(values, f"/1 n={samples}", "no temperature")
    made = {"time": "2026-11-25T12:00:00+00:00", "textbench": "0.1.0", "options": []}
    directory.append(
        "evaluations.jsonl", {**made, "alpha": alpha, "samples": samples, "metrics": found}
    )


def only(results: Path) -> Section:
    (section,) = sections(frames(read_store(results)), row_names())
    return section


def values(run: RecordedRun) -> list[dict[str, float | None]]:
    return [
        {name: one["value"] for name, one in row["metrics"].items()} for row in run.evaluations()
    ]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two seeds of mle swept over three temperatures, and cot:strong at one."""
    for seed in (0, 1):
        run = make_run(tmp_path, text_spec(seed=seed), [QUALITY, QUALITY], final=QUALITY)
        for alpha in (0.5, 1.5, 2.0):
            evaluated(run, alpha, bleu5=0.2 * alpha + 0.01 * seed, self_bleu5=0.3 * alpha)
    strong = make_run(tmp_path, text_spec("cot", variant="strong"), [QUALITY], final=QUALITY)
    evaluated(strong, 1.5, bleu5=0.5, self_bleu5=0.7)
    return tmp_path


def test_each_temperature_is_a_row_of_its_own(results: Path) -> None:
    section = only(results)
    labels = section.rows["label"].to_list()
    assert len(labels) == len(set(labels)) == 6
    assert {label for label in labels if label.startswith("mle")} == {
        "mle",
        "mle alpha=0.5",
        "mle alpha=1.5",
        "mle alpha=2",
    }
    mine = section.runs[section.runs["label"] == "mle alpha=1.5"]
    assert (mine["seed"].to_list(), mine["status"].to_list()) == ([0, 1], ["done", "done"])
    (run,) = [
        row for row in read_store(results).rows if (row.spec.seed, row.spec.alpha) == (1, 1.5)
    ]
    (row,) = run.evaluations()
    assert row["final"]
    assert values(run) == [pytest.approx({"bleu5": 0.31, "self_bleu5": 0.45})]
    assert run.log() == []


def test_runs_are_counted_once(results: Path) -> None:
    store = read_store(results)
    assert len(store.runs) == 3
    assert len(store.rows) == 3 + 2 * 3 + 1
    assert len({row.name for row in store.rows}) == 10


def test_frames_have_the_rows_as_well(results: Path) -> None:
    frame = load_results(results)
    swept = frame[(frame["label"] == "mle alpha=2") & (frame["metric"] == "bleu5")]
    assert sorted(swept["value"]) == pytest.approx([0.4, 0.41])
    assert swept["final"].all()


def test_what_was_computed_later_joins_the_final_evaluation(tmp_path: Path) -> None:
    run = make_run(tmp_path, text_spec(), [QUALITY], final={**QUALITY, "ewmd_test": None})
    evaluated(run, 1.0, bleu5=0.9, ewmd_test=0.4, lm_score=5.0)
    evaluated(run, 1.0, samples=7, lm_score=6.0)
    (found,) = read_store(tmp_path).runs
    first, last = values(found)
    assert first == QUALITY
    assert last == {**QUALITY, "ewmd_test": 0.4, "lm_score": 5.0}  # bleu5 was there
    protocol = found.evaluations()[-1]["metrics"]["lm_score"]["protocol"]
    assert protocol == "lm_score/1 n=100"  # the run's own sample size


def test_the_newest_value_wins_and_reasons_are_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path, text_spec("real"), [QUALITY], final=QUALITY)
    evaluated(run, 1.5, bleu5=None)
    evaluated(run, 1.5, self_bleu5=0.1)
    evaluated(run, 1.5, self_bleu5=0.2)
    (row,) = read_store(tmp_path).rows[1].evaluations()
    assert row["metrics"]["bleu5"]["reason"] == "no temperature"
    assert row["metrics"]["self_bleu5"]["value"] == 0.2


def test_tables_show_the_temperatures_they_list(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_report(results, out)
    table2 = (out / "table2-emnlp_news-quick.md").read_text(encoding="utf-8")
    assert "CoT-strong at alpha = 1.5" in table2
    assert "mle alpha=" not in table2
    every = (out / "all-emnlp_news-quick.md").read_text(encoding="utf-8")
    assert "mle alpha=0.5" in every
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "Quality against diversity over inverse temperatures" in report
    assert (out / "quality_diversity-emnlp_news-quick.pdf").exists()
    assert "3 run(s)" in report


def test_lines_run_through_the_temperatures(results: Path) -> None:
    section = only(results)
    found = {line.label: line.points for line in sweeps(section, "bleu5", "self_bleu5")}
    assert set(found) == {"mle", "cot:strong"}
    assert [alpha for alpha, _, _ in found["mle"]] == [0.5, 1.0, 1.5, 2.0]
    assert found["mle"][2][1:] == pytest.approx((0.305, 0.45))
    assert found["mle"][1][1:] == (0.2, 0.3)
    assert sweeps(section, "lm_score", "reverse_lm_score") == []


def test_without_other_temperatures_there_is_no_such_figure(tmp_path: Path) -> None:
    make_run(tmp_path / "r", text_spec(), [QUALITY], final=QUALITY)
    write_report(tmp_path / "r", tmp_path / "out")
    assert not list((tmp_path / "out").glob("quality_diversity*"))


def test_an_algorithm_looks_the_same_in_every_panel_and_as_elsewhere(results: Path) -> None:
    (run,) = (r for r in RunDirectory.find(results) if "/mle/s0" in r.name)
    for alpha, lm in ((0.5, 6.0), (1.0, 5.0)):
        evaluated(run, alpha, lm_score=lm, reverse_lm_score=7.0 - lm)
    section = only(results)
    (spec,) = (spec for spec in figure_specs() if spec.kind == "tradeoff")
    styles = Styles([section])
    drawn = figures.draw(spec, section, styles)
    assert drawn is not None
    alone = section.only("mle")
    assert alone is not None
    ((colour, _),) = styles.of(alone).values()
    axes = drawn.figure.axes
    lines = [line for ax in axes for line in ax.lines if line.get_label() == "MLE"]
    assert len(lines) == len(axes) == 2
    assert {(line.get_color(), line.get_linestyle()) for line in lines} == {(colour, "-")}


def test_a_temperature_names_a_row_and_not_a_protocol() -> None:
    plain = text_spec("cot", variant="strong")
    tempered = replace(plain, alpha=1.5)
    assert tempered.label == "cot:strong alpha=1.5"
    assert tempered.label in published.tables()["table2"].rows
    assert tempered.hash != plain.hash


@pytest.mark.parametrize("name", ["table2", "table3", "table5"])
def test_the_papers_text_tables_have_their_columns_and_rows(name: str) -> None:
    (table,) = (table for table in table_specs() if table.id == name)
    paper = published.tables()[table.paper]
    assert set(paper.columns) <= {column.id for column in table.columns}
    assert set(paper.rows) <= {row.label for row in table.rows}
    if name != "table5":
        assert [row.label for row in table.rows[:2]] == ["real", "real_corrupted"]


@pytest.mark.usefixtures("no_figures")
def test_table_5_shows_only_its_rows(results: Path, tmp_path: Path) -> None:
    make_run(results, text_spec("cot"), [QUALITY], final=QUALITY)
    write_report(results, tmp_path / "out")
    table5 = (tmp_path / "out" / "table5-emnlp_news-quick.md").read_text(encoding="utf-8")
    assert "MLE" not in table5.split("\n\n")[1]
    assert "Reverse KL" in table5
