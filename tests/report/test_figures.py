"""Figures: what a line is made of, what shares a panel, and that nothing hides."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from stores import make_run, points, spec

from textbench.report.curves import Curve, log_curves, metric_curves
from textbench.report.definitions import FigureSpec, figure_specs, row_names
from textbench.report.figures import draw
from textbench.report.fonts import FONT, Fonts, fonts_for
from textbench.report.pairs import Pair, draw_pairs
from textbench.report.panels import Drawn, Strip
from textbench.report.pictures import jobs
from textbench.report.sections import Section, sections
from textbench.report.styles import LINES, Styles, groups
from textbench.store.frames import frames
from textbench.store.read import read_store
from textbench.store.rows import Status

FIGURES = {figure.id: figure for figure in figure_specs()}
CURVES = FigureSpec("c", "C", "curves", ("nll_test",))


def only(store: Path) -> Section:
    (section,) = sections(frames(read_store(store)), row_names())
    return section


def values(curve: Curve) -> list[dict[float, float]]:
    return [dict(points.tolist()) for points in curve.lines.values()]


def drawn(figure: FigureSpec, store: Path) -> Drawn:
    section = only(store)
    found = draw(figure, section, Styles([section]))
    assert found is not None
    return found


def named(ax: Any) -> dict[str, Any]:
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


# -- points ----------------------------------------------------------------------------------


def test_a_curve_leaves_the_warm_up_to_the_warm_ups_own_row(tmp_path: Path) -> None:
    for seed, after in ((0, 9.0), (1, 7.0)):
        warmup = spec("mle", seed, config={"epochs": 2})
        make_run(tmp_path, warmup, points(8.5, 7.6, 7.9))
        make_run(tmp_path, spec("seqgan", seed, warmup=warmup), points(after))
    mle, seqgan = metric_curves(only(tmp_path), "nll_test")
    assert [list(seed) for seed in values(mle)] == [[0, 1, 2]] * 2
    assert values(seqgan) == [{2: 7.9, 3: 9.0}, {2: 7.9, 3: 7.0}]
    assert seqgan.starts_warm and not mle.starts_warm
    assert (seqgan.start, mle.start) == (2.0, 0.0)


def test_a_mean_curve_never_changes_its_seeds(tmp_path: Path) -> None:
    for seed, value in enumerate((1.0, 2.0, 3.0)):
        curve = points(value, value + 1, *([9.0] if seed == 0 else []))
        make_run(tmp_path, spec("x", seed), curve, final=None, status=Status("running"))
    make_run(tmp_path, spec("x", 3), points(99.0), final=None, status=Status("diverged"))
    (curve,) = metric_curves(only(tmp_path), "nll_test")
    assert len(curve.lines) == 4 and len(curve.broken) == 1
    assert curve.mean[["x", "mean"]].to_numpy().tolist() == [[0, 2.0], [1, 3.0]]
    half = 4.30265 / math.sqrt(3)  # t of 2 degrees of freedom
    assert curve.mean["low"].to_list() == pytest.approx([2 - half, 3 - half], abs=1e-4)


def test_two_seeds_have_no_band(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, spec("x", seed), points(1.0 + seed, 2.0))
    (curve,) = metric_curves(only(tmp_path), "nll_test")
    assert curve.mean["low"].isna().all()


def test_a_final_point_of_another_protocol_is_not_on_the_curve(tmp_path: Path) -> None:
    make_run(
        *(tmp_path, spec("x"), points(3.0, 2.0)),
        final={"nll_test": 9.0},
        final_protocol="/1 n=100000",
    )
    (curve,) = metric_curves(only(tmp_path), "nll_test")
    assert values(curve) == [{0: 3.0, 1: 2.0}]


def test_logged_losses_are_averaged_per_epoch(tmp_path: Path) -> None:
    log = {"balanced_nll": (8.0, 7.0, 6.0, 4.0), "other": (1.0,)}
    make_run(tmp_path, spec("cot"), points(1.0, metric="jsd_stepwise"), log=log)
    (curve,) = log_curves(only(tmp_path), "balanced_nll")
    assert values(curve) == [{0.5: 7.5, 1.5: 5.0}]


# -- looks -----------------------------------------------------------------------------------


def test_colours_are_distinct_and_stay_with_listed_algorithms(tmp_path: Path) -> None:
    for trainer in ("mle", "cot", *(f"plugin{i:02}" for i in range(12))):
        make_run(tmp_path / "a", spec(trainer), points(1.0), epoch_seconds=())
    make_run(tmp_path / "b", spec("cot", overrides={"cot.lr": 1}), points(1.0))
    a, b = only(tmp_path / "a"), only(tmp_path / "b")
    styles = Styles([a, b])
    found = styles.of(a)
    assert len(set(found.values())) == len(a.rows) == 14
    ((_, cot),) = styles.of(b).items()  # with changed options it is still CoT
    assert cot == found[a.rows.index[a.rows["label"] == "cot"][0]]


def test_at_most_eight_lines_share_a_panel_and_controls_stand_apart(tmp_path: Path) -> None:
    labels = [f"a{i:02}" for i in range(18)]
    for label in (*labels, "mle", "mle:odd", "policy_gradient"):
        trainer, _, variant = label.partition(":")
        run = spec(trainer, variant=variant, config={"row": label})
        make_run(tmp_path, run, points(3.0 + len(labels), 2.5, 2.0 + 0.01 * hash(label) % 1))
    section = only(tmp_path)
    parts = list(groups(section))
    assert [len(rows) for _, rows in parts] == [8, 8, 3, 2]
    assert set(section.rows.loc[parts[-1][1], "label"]) == {"mle:odd", "policy_gradient"}
    figure = drawn(CURVES, tmp_path).figure
    assert len(figure.axes) == 4
    assert all(len(named(ax)) <= LINES for ax in figure.axes)


def test_a_line_on_another_is_drawn_so_that_both_are_seen(tmp_path: Path) -> None:
    for label, shift in (("cot", 0.0), ("twin", 1e-5), ("other", 0.5)):
        curve = points(*(3.0 - 0.5 * i + shift for i in range(5)))
        make_run(tmp_path, spec(label), curve, final=None)
    (ax,) = drawn(CURVES, tmp_path).figure.axes
    lines = named(ax)
    below, above, other = lines["CoT"], lines["twin"], lines["other"]
    assert below.get_linewidth() > 2 * other.get_linewidth() and below.get_alpha() < 1
    assert above.get_marker() == "o" and above.get_linestyle() == "--"
    assert other.get_marker() == "None"


def test_two_points_are_no_course_and_the_caption_says_so(tmp_path: Path) -> None:
    make_run(tmp_path, spec("cot"), points(3.0, 2.0, 1.0))
    make_run(tmp_path, spec("stub"), points(3.0, 2.0))
    found = drawn(CURVES, tmp_path)
    assert list(named(found.figure.axes[0])) == ["CoT"] and found.stubs == ("stub",)


def test_a_figure_grows_with_its_legend() -> None:
    few = Strip("", ("a", "b"), 1)
    many = Strip("", tuple(f"a name that is long enough {i}" for i in range(8)), 1)
    assert many.legend_lines(6.0) > few.legend_lines(6.0) == 1
    assert many.legend_columns(20.0) > many.legend_columns(6.0)


def test_thirty_long_names_leave_the_panels_their_height(tmp_path: Path) -> None:
    def height(store: Path) -> tuple[float, float]:
        figure = drawn(CURVES, store).figure
        inches = [ax.get_position().height * figure.get_figheight() for ax in figure.axes]
        share = [ax.bbox.height / figure.dpi for ax in figure.axes]
        assert inches
        return figure.get_figheight(), min(share)

    for number in range(30):
        name = f"an algorithm with a name of many letters, {number:02}"
        make_run(tmp_path / "many", spec(name), points(3.0, 2.0 + number / 9, 1.0))
    make_run(tmp_path / "one", spec("x"), points(3.0, 2.0, 1.0))
    (high, panel), (low, alone) = height(tmp_path / "many"), height(tmp_path / "one")
    assert high > 3 * low and panel > 0.8 * alone


# -- stopping time ---------------------------------------------------------------------------


def test_paths_run_through_both_metrics_and_the_papers_pairs_are_points(tmp_path: Path) -> None:
    for seed in range(3):
        curve = [
            {"nll_oracle": 11.0 - i - seed / 10, "nll_test": 8.0 + i * i / 10} for i in range(4)
        ]
        make_run(tmp_path, spec("cot", seed), curve)
    found = drawn(FIGURES["stopping"], tmp_path)
    (ax,) = found.figure.axes
    (line,) = named(ax).values()
    assert line.get_xdata().tolist() == pytest.approx([10.9, 9.9, 8.9, 7.9])
    assert line.get_ydata().tolist() == pytest.approx([8.0, 8.1, 8.4, 8.9])
    stars = {tuple(point.get_xydata()[0]) for point in ax.lines if point.get_marker() == "*"}
    assert {(8.19, 8.03), (9.08, 8.97), (9.43, 7.67)} <= stars and len(stars) == 8
    assert found.other_oracle


# -- letters ---------------------------------------------------------------------------------

WATCH = "\u231a"
"""DejaVu Sans lacks it; STIX, which comes with matplotlib as well, has it."""


def test_a_letter_that_the_usual_font_lacks_is_of_another() -> None:
    assert fonts_for("Plain") == fonts_for("é, Ж, ∑") == Fonts()
    found = fonts_for(f"{WATCH}é")
    assert found.unknown == "" and found.families[0] == FONT and len(found.families) == 2
    other = font_manager.FontProperties(family=[found.families[1]])
    assert ord(WATCH) in FT2Font(font_manager.findfont(other)).get_charmap()


def test_letters_of_no_font_are_boxes_and_the_caption_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textbench.report.fonts._installed", lambda: iter(()))
    make_run(tmp_path, spec("mine", title=f"My {WATCH}"), points(8.5, 7.6, 7.9))
    section = only(tmp_path)
    pictures = [picture for job in jobs(section, Styles([section])) if (picture := job())]
    assert pictures  # drawn without a warning
    for picture in pictures:
        assert f"No font here has {WATCH}: boxes stand in their places." in picture.caption


# -- published pairs -------------------------------------------------------------------------


def test_a_row_that_may_be_a_published_one_is_no_variant_and_has_its_star(tmp_path: Path) -> None:
    for label in ("cot:9ffe475", "cot:150a32a"):
        name, _, variant = label.partition(":")
        curve = [{"nll_oracle": x, "nll_test": y} for x, y in ((10, 8), (9, 7.6), (8.2, 8))]
        own = spec(name, variant=variant, task_config={"oracle": "published"})
        make_run(tmp_path, own, curve)
    section = only(tmp_path)
    parts = {title: list(section.rows.loc[rows, "label"]) for title, rows in groups(section)}
    assert parts == {"Algorithms": ["cot:9ffe475"], "Variants and controls": ["cot:150a32a"]}
    figure = drawn(FIGURES["stopping"], tmp_path).figure
    first, second = (ax for part in figure.subfigs for ax in part.axes)
    assert not any(text.get_text().endswith("paper") for text in second.texts)
    own = Styles([section]).of(section)[
        section.rows.index[section.rows["label"] == "cot:9ffe475"][0]
    ]
    stars = {
        tuple(line.get_xydata()[0]): line.get_color()
        for line in first.lines
        if line.get_marker() == "*"
    }
    assert stars[8.19, 8.03] == own.colour and stars[8.68, 10.1] == "0.7"


def test_a_published_pair_stands_in_every_panel_that_has_one_of_its_rows(tmp_path: Path) -> None:
    """Readers look for CoT's star beside the line that it may be of, whichever panel that is in."""
    plain = ("mle", "seqgan", "rankgan", "maligan", "leakgan", "professor_forcing", "cot")
    for label in (*plain, "scheduled_sampling", "cot:9ffe475"):
        name, _, variant = label.partition(":")
        curve = [{"nll_oracle": x, "nll_test": y} for x, y in ((10, 8), (9, 7.6), (8.2, 8))]
        make_run(tmp_path, spec(name, variant=variant, task_config={"oracle": "published"}), curve)
    figure = drawn(FIGURES["stopping"], tmp_path).figure
    panels = [
        {tuple(line.get_xydata()[0]) for line in ax.lines if line.get_marker() == "*"}
        for part in figure.subfigs
        for ax in part.axes
    ]
    assert len(panels) == 2 and all((8.19, 8.03) in stars for stars in panels)
    assert [(9.08, 8.97) in stars for stars in panels] == [True, False]


def test_a_name_stands_beside_the_last_epoch_of_a_line() -> None:
    ax: Any = Figure(figsize=(6.4, 4.2)).add_subplot()
    ax.set(xlim=(8, 10.5), ylim=(7.4, 11.4))
    draw_pairs(
        ax, [Pair("MLE", (9.08, 8.97), "0.7")], [pd.DataFrame({"x": [9.11], "mean": [8.93]})]
    )
    assert ax.texts[0].get_ha() == "right"


@pytest.mark.parametrize("apart", [(0.05, -0.03), (0.0, 0.1), (0.3, 0.0), (-0.2, 0.05)])
def test_a_name_hides_no_star_no_line_and_no_other_name(apart: tuple[float, float]) -> None:
    ax: Any = Figure(figsize=(6.4, 4.2)).add_subplot()
    ax.set(xlim=(8, 10.5), ylim=(7.4, 11.4))
    line = pd.DataFrame({"x": [9.2, 9.2], "mean": [7.5, 11.0]})
    ax.plot(line["x"], line["mean"])
    at = (8.9, 10.0)
    pairs = [
        Pair("SeqGAN", at, "0.7"),
        Pair("MaliGAN", (at[0] + apart[0], at[1] + apart[1]), "0.7"),
    ]
    draw_pairs(ax, pairs, [line])
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == ["SeqGAN, paper", "MaliGAN, paper"]
    assert not boxes[0].overlaps(boxes[1])
    to_pixels = ax.transData.transform
    hidden = [
        *to_pixels([pair.values for pair in pairs]),
        *to_pixels(np.linspace((9.2, 7.5), (9.2, 11), 200)),
    ]
    assert not any(box.contains(*point) for box in boxes for point in hidden)


@pytest.mark.parametrize("asked", ["", "here"])
def test_a_home_that_cannot_be_written_is_no_news(tmp_path: Path, asked: str) -> None:
    """What the user asks for by MPLCONFIGDIR and cannot be had is."""
    (tmp_path / "file").touch()
    home = str(tmp_path / "file")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", "from textbench.report import figures as f; f.import_matplotlib()"],
        env={**kept, "HOME": home, "USERPROFILE": home, "MPLCONFIGDIR": asked and f"{home}/own"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("MPLCONFIGDIR" in done.stderr) == bool(asked)
    assert ("failed for path" in done.stderr) == bool(asked)
