"""A grid's rows in the report: tables and figures of their own, and out of the general ones."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from stores import make_run, points, spec

from textbench.contracts.spec import Spec
from textbench.plan import registry
from textbench.plan.arguments import read_config
from textbench.plan.shipped import grids
from textbench.report import figures, pictures, write_report
from textbench.report.curves import Curve
from textbench.report.definitions import FigureSpec, figure_specs, grid_rows, row_names, table_specs
from textbench.report.figures import Panel, draw, panels
from textbench.report.panels import Drawn
from textbench.report.sections import Section, sections
from textbench.report.styles import Styles
from textbench.store.frames import frames
from textbench.store.read import read_store

FIGURES = {figure.id: figure for figure in figure_specs()}
ABLATIONS = next(table for table in table_specs() if table.id == "table_cot_ablations")
METRICS = ("nll_oracle", "nll_test", "jsd_stepwise")


def curve(*values: float) -> list[dict[str, float | None]]:
    return [dict.fromkeys(METRICS, value) for value in values]


def run(folder: Path, label: str, *values: float, **changes: Any) -> Spec:
    trainer, _, variant = label.partition(":")
    made = spec(trainer, variant=variant, **{"config": {"row": label}, **changes})
    make_run(folder, made, curve(*values))
    return made


def only(folder: Path) -> Section:
    (section,) = sections(frames(read_store(folder)), row_names())
    return section


def labels(section: Section | None) -> list[str]:
    return section.rows["label"].to_list() if section else []


def drawn(name: str, folder: Path) -> Drawn | None:
    section = only(folder)
    return draw(FIGURES[name], section, Styles([section]))


def strip(name: str, folder: Path) -> list[Panel]:
    [(_, found)], _ = panels(FIGURES[name], only(folder))
    return found


def values(curve: Curve) -> dict[float, float]:
    ((_, points),) = curve.lines.items()
    return dict(points.tolist())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """General rows beside rows of all three grids."""
    warmup = run(tmp_path, "mle", 5.0, 4.0, 3.9, config={"epochs": 2})
    run(tmp_path, "cot", 3.0, 2.0)
    run(tmp_path, "seqgan", 3.9, warmup=warmup)
    run(tmp_path, "seqgan:fig2a-g1-d5-k3", 3.8, 3.7, warmup=warmup)
    for rate in ("1e-2", "3e-3"):
        for ratio, values in {"g1-m1": (3.0, 2.5, 2.0), "g3-m1": (3.0, 2.4, 1.0)}.items():
            run(
                *(tmp_path, f"cot:fig2b-lr{rate}-{ratio}", *values),
                overrides={"cot@paper.epochs": 30},
            )
    run(tmp_path, "cot:abl-m64", 2.5)
    run(tmp_path, "cot:abl-n5-drop0", 2.6)
    return tmp_path


# -- which rows are where --------------------------------------------------------------------


def test_the_interactive_chart_leaves_grids_rows_to_their_figures(store: Path) -> None:
    write_report(store, store / "report")
    page = (store / "report" / "report.html").read_text("utf-8")
    (chart,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    names = {row["name"] for row in json.loads(chart)["rows"].values()}
    assert names == {"MLE", "SeqGAN", "CoT"}


def test_every_row_of_a_shipped_grid_has_its_place() -> None:
    rows = {name: read_config(Path(name))[0]["algos"] for name in grids.names()}
    for name in ("figure2a", "figure2b"):
        patterns = FIGURES[name].panels.values()
        for row in rows[name]:
            assert sum(figures_match(row, pattern) for pattern in patterns) == 1, row
    assert {row.label for row in ABLATIONS.rows} == set(rows["cot_ablations"])
    for row in rows["cot_ablations"]:
        assert any(figures_match(row, pattern) for pattern in ABLATIONS.only)
    others = {
        "cot_regularisation",
        "mixce_eta",
        "tailr_gamma",
        "gold_constants",
        "relgan_temperature",
        "texygen_coco",
    }
    assert set(rows) == {"figure2a", "figure2b", "cot_ablations"} | others


def figures_match(label: str, pattern: str) -> bool:
    prefix, star, rest = pattern.partition("*")
    assert star and not rest
    return label.startswith(prefix)


def test_no_other_row_that_ships_is_taken_for_a_grids() -> None:
    for trainer in registry.names("trainer"):
        for label in (trainer, *(f"{trainer}:{v}" for v in registry.variants(trainer))):
            assert not any(fnmatchcase(label, pattern) for pattern in grid_rows())


def test_general_tables_leave_a_grids_rows_out(store: Path) -> None:
    section = only(store)
    assert labels(section.without(*grid_rows())) == ["mle", "seqgan", "cot"]
    assert labels(section.only(*ABLATIONS.only)) == ["cot:abl-m64", "cot:abl-n5-drop0"]
    assert section.only("cot:absent-*") is None


def test_a_part_has_the_warm_ups_of_its_rows(store: Path) -> None:
    assert labels(only(store).only("seqgan:fig2a-*")) == ["mle", "seqgan:fig2a-g1-d5-k3"]
    assert labels(only(store).only("seqgan")) == ["mle", "seqgan"]
    assert labels(only(store).only("cot")) == ["cot"]


def test_where_only_a_grid_was_run_it_is_shown_everywhere(tmp_path: Path) -> None:
    warmup = run(tmp_path, "mle", 5.0, 4.0, config={"epochs": 1})
    run(tmp_path, "seqgan:fig2a-g1-d5-k3", 3.8, warmup=warmup)
    rows = ["mle", "seqgan:fig2a-g1-d5-k3"]
    assert labels(only(tmp_path).without(*grid_rows())) == rows
    run(tmp_path, "cot", 3.0)
    assert labels(only(tmp_path).without(*grid_rows())) == ["mle", "cot"]


def test_the_report_has_each_row_in_its_own_files(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, list[str]] = {}

    def note(figure: FigureSpec, section: Section, styles: Styles) -> None:
        shown[figure.id] = labels(section)

    monkeypatch.setattr(figures, "draw", note)
    out = tmp_path / "out"
    write_report(store, out)
    general = ["mle", "seqgan", "cot"]
    assert shown["figure2a"] == ["mle", "seqgan:fig2a-g1-d5-k3"]
    assert len(shown["figure2b"]) == 4 and shown["curves"] == shown["figure3a"] == general
    table1 = (out / "table1-synthetic-quick.csv").read_text()
    every = (out / "all-synthetic-quick.csv").read_text()
    ablations = (out / "table_cot_ablations-synthetic-quick.md").read_text()
    for label in ("seqgan:fig2a-g1-d5-k3", "cot:fig2b-lr1e-2-g1-m1", "cot:abl-m64"):
        assert label not in table1 and label in every
    assert "| CoT with width 64, dropout 0.5 and N\\_m = 1 | 1 | 2.50 |" in ablations
    assert "| CoT without dropout and with N\\_m = 5 | 1 | 2.60 |" in ablations
    assert "MLE" not in ablations and "fig2" not in ablations


def test_without_a_grids_rows_there_is_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pictures, "figure_specs", lambda: (FIGURES["figure2a"], FIGURES["figure2b"])
    )
    run(tmp_path, "cot", 3.0)
    files = [file.name for file in write_report(tmp_path, tmp_path / "out")]
    assert not [name for name in files if "figure2" in name or "ablations" in name]


# -- options of a grid's rows ----------------------------------------------------------------


def test_what_all_rows_of_a_grid_share_is_said_once(store: Path) -> None:
    section = only(store)
    rows = section.rows.set_index("label")
    assert rows.loc["cot:fig2b-lr1e-2-g1-m1", "options"] == "epochs=30"
    part = section.only("cot:fig2b-*")
    assert part is not None and part.changed == "epochs=30"
    assert set(part.rows["options"]) == {""}


def test_what_sets_rows_of_a_grid_apart_stays_with_them(store: Path) -> None:
    longer = {"overrides": {"cot@paper.epochs": 60}, "config": {"row": "", "epochs": 60}}
    run(store, "cot:fig2b-lr1e-2-g1-m1", 3.0, **longer)
    part = only(store).only("cot:fig2b-*")
    assert part is not None and part.changed == ""
    titles = part.rows.loc[part.rows["label"] == "cot:fig2b-lr1e-2-g1-m1", "title"]
    assert len(titles) == 2 and any("epochs=60" in title for title in titles)


# -- figures ---------------------------------------------------------------------------------


def test_figure_2b_has_a_panel_per_learning_rate(store: Path) -> None:
    found = strip("figure2b", store)
    assert [panel.title for panel in found] == ["learning rate 0.01", "learning rate 0.003"]
    for panel in found:
        assert panel.metric == "jsd_stepwise"
        assert [curve.title for curve in panel.curves] == ["g1-m1", "g3-m1"]
        assert [values(curve)[2] for curve in panel.curves] == [2.0, 1.0]


def test_figure_2b_has_one_scale_and_one_style_per_ratio(store: Path) -> None:
    found = drawn("figure2b", store)
    assert found is not None
    figure = found.figure
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim() == pytest.approx((0.9, 3.1))
    styles = [{line.get_label(): line.get_color() for line in ax.lines} for ax in (left, right)]
    assert styles[0] == styles[1] and len(set(styles[0].values())) == 2
    assert [ax.get_title() for ax in figure.axes] == ["learning rate 0.01", "learning rate 0.003"]
    (legend,) = figure.subfigs[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["g1-m1", "g3-m1"]


def test_figure_2a_begins_with_the_warm_up(store: Path) -> None:
    (panel,) = strip("figure2a", store)
    shown = {curve.title: values(curve) for curve in panel.curves}
    assert shown == {"MLE": {0: 5.0, 1: 4.0, 2: 3.9}, "g1-d5-k3": {2: 3.9, 3: 3.8, 4: 3.7}}


@pytest.mark.parametrize("name", ["figure3a", "figure3b"])
def test_the_range_of_x_starts_where_the_warm_up_ends(tmp_path: Path, name: str) -> None:
    """A warm-up as long as the paper's axis must not push what follows out of sight."""
    warmup = spec("mle", config={"epochs": 120})
    make_run(tmp_path, warmup, points(*[9.0] * 121, metric="jsd_stepwise"))
    log = {"balanced_nll": [8.0] * 700}
    make_run(
        *(tmp_path, spec("seqgan", warmup=warmup)),
        points(*[7.0] * 119, *[3.0] * 81, metric="jsd_stepwise"),
        log=log,
    )
    late = [*[6.0] * 121, *[1.0] * 200]
    make_run(tmp_path, spec("cot"), points(*late, metric="jsd_stepwise"), log=log)
    found = drawn(name, tmp_path)
    assert found is not None
    metric_axes = [ax for ax in found.figure.axes if "JSD" in ax.get_ylabel()]
    ends = [ax.get_xlim()[1] for ax in metric_axes]
    lows = [ax.get_ylim()[0] for ax in metric_axes]
    if name == "figure3a":  # one panel: 120 epochs after the longest warm-up
        assert ends == [240] and lows[0] < 1.0
    else:  # a panel each: only 120 epochs of CoT, and its later values do not set the scale
        assert ends == [240, 120] and lows[0] > 2.5 and lows[1] > 5.0


# -- what a reader must know -----------------------------------------------------------------


def texts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(pictures, "figure_specs", tuple)
    files = write_report(folder, folder / "out")
    return {f.name: f.read_text(encoding="utf-8") for f in files if f.suffix in (".md", ".tex")}


def test_the_published_oracle_is_known_from_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "a", "mle", 9.0, task_config={"oracle": "mine.npz"}, oracle="published")
    assert "†" not in texts(tmp_path / "a", monkeypatch)["table1-synthetic-quick.md"]
    run(tmp_path / "b", "mle", 9.0, task_config={"oracle": "mine.npz"}, oracle="mine.npz")
    text = texts(tmp_path / "b", monkeypatch)["table1-synthetic-quick.md"]
    assert "paper†" in text and "ours of oracle=mine.npz" in text


def test_the_tasks_note_stands_in_the_index_and_under_every_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "a", "mle", 9.0, task_note="120 / 30 / 40 sentences")
    found = texts(tmp_path / "a", monkeypatch)
    for name, text in found.items():
        if "differences" not in name:
            assert "Data: 120 / 30 / 40 sentences." in text, name
    head, _, _ = found["report.md"].partition("| Algorithm")
    assert "Data: 120" in head
    run(tmp_path / "b", "mle", 9.0)
    assert not any("Data: 120" in text for text in texts(tmp_path / "b", monkeypatch).values())


def test_a_configuration_with_its_own_generator_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "cot", 3.0)
    run(tmp_path, "cot:strong", 2.0, own_generator=True)
    run(tmp_path, "leakgan", 2.0, own_generator=True)
    text = texts(tmp_path, monkeypatch)["all-synthetic-quick.md"]
    assert "| CoT | LeakGAN§ | CoT-strong§ |" in text
    assert "§ brings its own generator" in text
