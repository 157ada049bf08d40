"""The report's files: right numbers beside the paper's, readable in every format."""

from __future__ import annotations

import ast
import csv
import io
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from stores import make_run, points, spec

from textbench import report
from textbench.cli import cli
from textbench.contracts.errors import UserError
from textbench.plan import registry
from textbench.report import figures, write_report
from textbench.report.curves import log_curves, metric_curves
from textbench.report.definitions import (
    HERE,
    figure_specs,
    published_tables,
    row_names,
    table_specs,
)
from textbench.report.differences import Differences, csv_lines, differences
from textbench.report.differences import layout as difference_layout
from textbench.report.markup import latex, markdown
from textbench.report.tables import Table, build
from textbench.report.writing import layout, to_csv, to_latex, to_markdown
from textbench.store.frames import load_results
from textbench.store.read import read_store
from textbench.store.replicates import Comparable, sections
from textbench.store.rows import Status

NASTY = r"a_b%c&d#e$f{g}h~i^j\k<l>m|n`o--p*q," + '"r"'
TABLE1 = next(table for table in table_specs() if table.id == "table1")
ALL = next(table for table in table_specs() if table.id == "all")


def only(store: Path) -> Comparable:
    (section,) = sections(read_store(store), row_names())
    return section


def table1(store: Path) -> Table:
    table = build(TABLE1, only(store))
    assert table is not None
    return table


def cell(table: Table, row: str, column: str) -> tuple[str, str]:
    """Ours and the paper's text, as Markdown shows them."""
    lines = [re.split(r" (?<!\\)\| ?", line) for line in to_markdown(layout(table)).splitlines()]
    head = next(line for line in lines if line[0] == "| Algorithm")
    body = next(line for line in lines if line[0] == f"| {row}")
    place = head.index(markdown(column))
    theirs = body[place + 1] if head[place + 1].startswith("paper") else ""
    return body[place].strip("*").replace("\\", ""), theirs.replace("\\", "")


def nlls(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"nll_oracle": oracle, "nll_test": test} for oracle, test in pairs]


@pytest.fixture
def warm_store(tmp_path: Path) -> Path:
    """MLE, and SeqGAN warmed up by it; two seeds, of which the second improves on the warm-up."""
    for seed, after in ((0, (8.0, 9.0)), (1, (8.0, 7.0))):
        warmup = spec("mle", seed, config={"epochs": 2})
        make_run(tmp_path, warmup, nlls((11.0, 8.5), (9.5, 7.6), (9.1, 7.9)))
        make_run(tmp_path, spec("seqgan", seed, warmup=warmup), nlls(after))
    return tmp_path


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a report's time; only some tests look at figures."""
    monkeypatch.setattr(report, "figure_specs", tuple)


# -- Table 1 ---------------------------------------------------------------------------------


def test_mean_and_spread_stand_beside_the_paper(tmp_path: Path) -> None:
    for seed, value in enumerate([9.0, 9.1, 9.2]):
        make_run(tmp_path, spec("mle", seed), nlls((value, 8.0)))
    assert cell(table1(tmp_path), "MLE", "NLL_oracle") == ("9.10 ± 0.10", "9.08")


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), nlls((9.1, 8.0)))
    assert cell(table1(tmp_path), "MLE", "NLL_oracle")[0] == "9.10"


def test_final_best_and_best_sum(tmp_path: Path) -> None:
    make_run(tmp_path, spec("cot"), nlls((11.0, 8.5), (9.0, 7.5), (9.2, 7.4), (9.9, 7.8)))
    table = table1(tmp_path)
    assert cell(table, "CoT", "NLL_test, final") == ("7.80", "8.03")
    assert cell(table, "CoT", "NLL_test, best") == ("7.40", "7.54")
    assert cell(table, "CoT", "best NLL_oracle + NLL_test") == ("9.00 + 7.50", "8.19 + 8.03")


def test_a_best_in_the_warm_up_is_the_warm_ups(tmp_path: Path, warm_store: Path) -> None:
    shutil.rmtree(
        warm_store / "synthetic" / "seqgan" / only(warm_store).rows[1].runs[1].directory.path.name
    )
    table = table1(warm_store)
    assert cell(table, "SeqGAN", "NLL_test, best") == ("-(MLE)", "-(MLE)")
    same = "(the same as MLE)"
    warmed = spec("mle", 0, config={"epochs": 2})
    assert warmed.directory(warm_store).exists()
    assert cell(table, "SeqGAN", "best NLL_oracle + NLL_test") == (same, same)


def test_where_seeds_differ_the_share_in_the_warm_up_is_shown(warm_store: Path) -> None:
    ours, _ = cell(table1(warm_store), "SeqGAN", "NLL_test, best")
    assert ours == "7.30 ± 0.42 (1 of 2 in MLE)"


def test_time_ratio_to_mle_is_ours_beside_the_papers(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), nlls((9.0, 8.0)), epoch_seconds=(1.0, 3.0))
    make_run(tmp_path, spec("cot"), nlls((9.0, 8.0)), epoch_seconds=(6.0, 6.0))
    table = table1(tmp_path)
    assert cell(table, "MLE", "s/epoch") == ("2.00 ± 1.41", "16.14 ± 0.97")
    assert cell(table, "CoT", "× MLE") == ("3.0", "3.3")  # noqa: RUF001
    assert cell(table, "CoT", "CPU s/epoch")[0] == "3.00 ± 0.00"


def test_what_was_not_run_or_not_reported_is_a_dash(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), nlls((9.0, 8.0)))
    make_run(tmp_path, spec("plugged"), [{"nll_test": 7.0, "nll_oracle": None}])
    table = table1(tmp_path)
    assert cell(table, "RankGAN", "NLL_oracle") == ("—", "8.37")
    assert cell(table, "plugged", "NLL_oracle") == ("—", "—")
    assert cell(table, "plugged", "NLL_test, final") == ("7.00", "—")
    assert "No value: plugged (NLL_oracle)" in to_latex(layout(table)).replace(r"\_", "_")
    assert "no oracle here" in to_markdown(layout(table))


def test_listed_rows_come_first_in_the_papers_order_then_the_rest(tmp_path: Path) -> None:
    for trainer in ("zeta", "cot", "alpha", "mle"):
        make_run(tmp_path, spec(trainer), nlls((9.0, 8.0)))
    make_run(tmp_path, spec("cot", variant="head", config={"lr": 2}), nlls((9.0, 8.0)))
    assert [row.title for row in table1(tmp_path).rows] == [
        *("MLE", "SeqGAN", "RankGAN", "MaliGAN", "Scheduled Sampling", "Professor Forcing"),
        *("CoT", "alpha", "cot:head", "zeta"),
    ]


def test_another_oracle_is_marked_and_the_published_one_is_not(tmp_path: Path) -> None:
    make_run(tmp_path / "seeded", spec("mle"), nlls((9.0, 8.0)))
    seeded = to_markdown(layout(table1(tmp_path / "seeded")))
    assert "paper†" in seeded and "† Other oracle" in seeded
    published = spec("mle", task_config={"oracle": "published"})
    make_run(tmp_path / "published", published, nlls((9.0, 8.0)))
    assert "†" not in to_markdown(layout(table1(tmp_path / "published")))


def test_another_task_has_no_paper_beside_it(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle", task="synthetic-tiny"), nlls((1.0, 2.0)))
    text = to_markdown(layout(table1(tmp_path)))
    assert "| paper" not in text and "Table 1" not in text and "RankGAN" not in text


def test_unfinished_runs_are_counted_and_listed_with_their_reasons(tmp_path: Path) -> None:
    make_run(tmp_path, spec("cot", 0), nlls((9.0, 8.0)))
    diverged = Status("diverged", reason="g_loss is nan at step 7", phase="cot", step=7, total=9)
    make_run(tmp_path, spec("cot", 1), nlls((1.0, 1.0)), status=diverged)
    make_run(tmp_path, spec("cot", 2), [], final=None, status=Status("queued"))
    table = table1(tmp_path)
    assert cell(table, "CoT", "seeds")[0] == "1 of 3"
    assert cell(table, "CoT", "NLL_oracle")[0] == "9.00"
    notes = to_markdown(layout(table)).replace("\\", "")
    assert "CoT, seed 1: diverged (cot, step 7 of 9): g_loss is nan at step 7." in notes
    assert "CoT, seed 2: queued." in notes


def test_seeds_of_two_versions_of_the_code_are_said_so(tmp_path: Path) -> None:
    make_run(tmp_path, spec("cot", 0), nlls((9.0, 8.0)), env={"code": "1"})
    make_run(tmp_path, spec("cot", 1), nlls((9.0, 8.0)), env={"code": "2"})
    assert "not all made by the same version of the code" in to_markdown(layout(table1(tmp_path)))


def test_two_protocols_are_two_columns_each_with_its_id(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle"), nlls((9.0, 8.0)), protocol="/1 n=10")
    make_run(tmp_path, spec("cot"), nlls((7.0, 6.0)), protocol="/2 n=10")
    table = table1(tmp_path)
    assert cell(table, "MLE", "NLL_oracle (1)")[0] == "9.00"
    assert cell(table, "MLE", "NLL_oracle (2)")[0] == "—"
    assert cell(table, "CoT", "NLL_oracle (2)")[0] == "7.00"
    text = to_markdown(layout(table)).replace("\\", "")
    assert "Protocol: nll_oracle/1 n=10" in text and "Protocol: nll_oracle/2 n=10" in text


def test_every_metric_has_a_column_somewhere(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x", task="my-task"), [{"sparkle": 1.23456, "void": None}])
    table = build(ALL, only(tmp_path))
    assert table is not None and cell(table, "x", "sparkle")[0] == "1.235"
    assert "void" not in to_markdown(layout(table))


def test_the_papers_table_1_is_typed_in_right() -> None:
    shown = {
        key: published.warmup or published.values
        for key, published in published_tables()["table1"].cells.items()
    }
    rows = {
        "mle": (9.08, 8.97, 7.60, (9.43, 7.67), 16.14, 0.97),
        "seqgan": (8.68, 10.10, "mle", "mle", 817.64, 5.41),
        "rankgan": (8.37, 11.19, "mle", "mle", 1270.0, 13.01),
        "maligan": (8.73, 10.07, "mle", "mle", 741.31, 1.45),
        "scheduled_sampling": (8.89, 8.71, "mle", "mle", 32.54, 1.14),
        "professor_forcing": (9.43, 8.31, "mle", "mle", 487.13, 0.95),
        "cot": (8.19, 8.03, 7.54, (8.19, 8.03), 53.94, 1.01),
    }
    columns = ("nll_oracle", "nll_test", "nll_test_best", "best_sum", "epoch_seconds")
    expected = {}
    for row, (*values, sd) in rows.items():
        assert published_tables()["table1"].cells[row, "epoch_seconds"].sd == sd
        for column, value in zip(columns, values, strict=True):
            expected[row, column] = (value,) if isinstance(value, float) else value
    assert shown == expected


def test_every_published_number_has_a_row_and_a_column_to_stand_in() -> None:
    for table in table_specs():
        if table.paper:
            rows = {row.label for row in table.rows}
            columns = {column.id for column in table.columns}
            for row, column in published_tables()[table.paper].cells:
                assert row in rows and column in columns


# -- differences and first places ------------------------------------------------------------


def compared(store: Path) -> Differences:
    found = differences(table1(store))
    assert found is not None
    return found


def test_differences_are_of_equal_seeds_with_interval_and_p(tmp_path: Path) -> None:
    for seed in range(6):
        make_run(tmp_path, spec("mle", seed), nlls((9.0 + seed, 8.0)), epoch_seconds=())
        cot = nlls((8.5 + seed + 0.02 * seed, 8.0))
        make_run(tmp_path, spec("cot", seed), cot, epoch_seconds=())
    make_run(tmp_path, spec("mle", 9), nlls((99.0, 8.0)), epoch_seconds=())  # no partner
    text = to_markdown(difference_layout(compared(tmp_path))).replace("\\", "")
    assert "| CoT | 6 | **−0.45 [−0.49, −0.41] p=0.031** |" in text  # noqa: RUF001
    assert "Differences to MLE" in text and "nothing can be significant" not in text
    line = next(csv_lines(compared(tmp_path)))
    assert line[11:14] == [True, 6, pytest.approx(-0.45)]


def test_the_power_floor_is_printed(tmp_path: Path) -> None:
    for seed in range(3):
        for trainer, value in (("mle", 9.0), ("cot", 5.0), ("x", 1.0)):
            make_run(tmp_path, spec(trainer, seed), nlls((value + seed, 8.0)))
    text = to_markdown(difference_layout(compared(tmp_path)))
    assert "p cannot fall below 0.25" in text and "2 comparison(s) need 7 paired seeds" in text
    assert "**−" not in text  # noqa: RUF001
    table = to_markdown(layout(table1(tmp_path)))
    assert "3 pair(s) of rows need 7 seeds" in table and "**" not in table.split("\n", 1)[1]


def test_holm_corrects_over_the_rows(tmp_path: Path) -> None:
    for seed in range(6):
        make_run(tmp_path, spec("mle", seed), nlls((9.0, 8.0)), epoch_seconds=())
        for trainer in ("cot", "x", "y"):
            make_run(tmp_path, spec(trainer, seed), nlls((5.0 + 0.1 * seed, 8.0)), epoch_seconds=())
    found = compared(tmp_path)
    (raw, corrected) = found.cells[found.rows[0].key, 0]
    assert raw.p == 2 / 2**6 and corrected == pytest.approx(3 * raw.p)


def test_no_baseline_no_differences(tmp_path: Path) -> None:
    make_run(tmp_path, spec("cot"), nlls((9.0, 8.0)))
    assert differences(table1(tmp_path)) is None


def test_the_first_place_is_bold_and_shared_by_ties(tmp_path: Path) -> None:
    for seed in range(7):
        for trainer, value in (("mle", 9.0), ("cot", 7.0), ("x", 7.0 + 0.01 * (-1) ** seed)):
            make_run(tmp_path, spec(trainer, seed), nlls((value + seed, 8.0)), epoch_seconds=())
    table = table1(tmp_path)
    assert table.best[0] == {row.key for row in table.rows if row.label in ("cot", "x")}
    text = to_markdown(layout(table))
    assert text.count("**10.00 ± 2.16**") == 2 and "| 12.00 ± 2.16 |" in text
    assert r"\textbf{10.00}" in to_latex(layout(table))


# -- formats ---------------------------------------------------------------------------------


def test_csv_is_in_full_precision_with_intervals_and_the_paper(warm_store: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(table1(warm_store)))))
    line = next(li for li in lines if (li["label"], li["column"]) == ("seqgan", "nll_test"))
    assert float(line["mean"]) == 8.0 and float(line["sd"]) == pytest.approx(math.sqrt(2))
    assert float(line["ci95_high"]) == pytest.approx(8.0 + 12.7062 * 1.0, abs=1e-3)
    assert (line["n"], line["runs"], line["paper"]) == ("2", "2", "10.1")
    assert line["seeds"] == "0=9.0 1=7.0"
    pair = [li for li in lines if (li["label"], li["column"]) == ("mle", "best_sum")]
    assert [(li["metric"], li["paper"]) for li in pair] == [
        ("nll_oracle", "9.43"),
        ("nll_test", "7.67"),
    ]
    absent = next(li for li in lines if li["label"] == "rankgan")
    assert (absent["mean"], absent["n"], absent["reason"]) == ("", "0", "not run")
    assert "nan" not in to_csv(table1(warm_store))


@pytest.mark.parametrize("character", [*NASTY, "±", "—", "×", "中", "\n"])  # noqa: RUF001
def test_latex_has_no_live_special_character(character: str) -> None:
    escaped = latex(f"x{character}y")
    assert re.fullmatch(r"x.+y", escaped) and escaped.isascii()
    bare = re.sub(r"\\[_%&#${}]|\\[a-z]+|\$\\[a-z]+\$|\{\}", "", escaped)
    assert not set("_%&#$~^\\{}") & set(bare)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.toml")), ids=lambda path: path.stem)
def test_latex_can_set_what_our_tables_say(path: Path) -> None:
    assert "[U+" not in latex(path.read_text(encoding="utf-8").replace("\n", " "))


def nasty_store(folder: Path) -> Path:
    make_run(folder, spec("mle"), nlls((9.0, 8.0)), protocol=f"/1 {NASTY}")
    make_run(folder, spec("b_c%d"), nlls((8.0, 8.0)), protocol=f"/1 {NASTY}")
    changed = {f"{NASTY}.x": NASTY}
    run = spec(NASTY.replace("/", ""), config={"x": NASTY}, overrides=changed)
    failed = Status("failed", reason=NASTY)
    make_run(folder, run, nlls((9.0, 8.0)))
    make_run(folder, spec(run.trainer, 1, config=run.config), [], final=None, status=failed)
    return folder


def test_latex_tables_compile(tmp_path: Path) -> None:
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("no pdflatex on this machine")
    write_report(nasty_store(tmp_path / "results"), tmp_path / "out")
    tables = sorted((tmp_path / "out").glob("*.tex"))
    assert [table.stem.split("-")[0] for table in tables] == [
        *("all", "table1", "table1", "table_training"),
    ]
    inputs = "".join(rf"\input{{{table.stem}}}" for table in tables)
    (tmp_path / "out" / "doc.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
        rf"{inputs}\end{{document}}",
        encoding="utf-8",
    )
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "doc.tex"]
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_latex_table_is_balanced(tmp_path: Path) -> None:
    text = to_latex(layout(table1(nasty_store(tmp_path))))
    assert text.count(r"\begin") == text.count(r"\end")
    spec_line = re.search(r"\\begin\{tabular\}\{@\{\}(l[r]+)@\{\}\}", text)
    assert spec_line is not None
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.rstrip().endswith(r"\\")]
    assert len(rows) > 7
    for line in rows:
        assert len(re.findall(r"(?<!\\)&", line)) == len(spec_line[1]) - 1, line


def test_markdown_rows_have_as_many_cells_as_the_heading(tmp_path: Path) -> None:
    text = to_markdown(layout(table1(nasty_store(tmp_path))))
    counts = {len(re.findall(r"(?<!\\)\|", li)) for li in text.splitlines() if li.startswith("|")}
    assert len(counts) == 1


# -- figures ---------------------------------------------------------------------------------


def test_a_curve_leaves_the_warm_up_to_the_warm_ups_own_row(warm_store: Path) -> None:
    mle, seqgan = metric_curves(only(warm_store), "nll_test", "epoch")
    assert [list(values) for values in mle.seeds.values()] == [[0, 1, 2]] * 2
    for values, after in zip(seqgan.seeds.values(), (9.0, 7.0), strict=True):
        assert values == {2: 7.9, 3: after}
    assert seqgan.starts_warm and not mle.starts_warm


def test_a_mean_curve_never_changes_its_seeds(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x", 0), points(1.0, 2.0, 3.0))
    make_run(tmp_path, spec("x", 1), points(3.0, 4.0), final=None, status=Status("running"))
    make_run(tmp_path, spec("x", 2), points(99.0), final=None, status=Status("diverged"))
    (curve,) = metric_curves(only(tmp_path), "nll_test", "epoch")
    assert len(curve.seeds) == 3 and len(curve.broken) == 1
    root2 = pytest.approx(math.sqrt(2))
    assert curve.band() == [(0, 2.0, root2), (1, 3.0, root2)]


def test_a_final_point_of_another_protocol_is_not_on_the_curve(tmp_path: Path) -> None:
    make_run(
        *(tmp_path, spec("x"), points(3.0, 2.0)),
        final={"nll_test": 9.0},
        final_protocol="/1 n=100000",
    )
    (curve,) = metric_curves(only(tmp_path), "nll_test", "epoch")
    assert [*curve.seeds.values()] == [{0: 3.0, 1: 2.0}]


def test_logged_losses_are_averaged_per_epoch(tmp_path: Path) -> None:
    log = {"balanced_nll": (8.0, 7.0, 6.0, 4.0), "other": (1.0,)}
    make_run(tmp_path, spec("cot"), points(1.0, metric="jsd_stepwise"), log=log)
    (curve,) = log_curves(only(tmp_path), "balanced_nll")
    assert [*curve.seeds.values()] == [{0.5: 7.5, 1.5: 5.0}]


def test_colours_are_distinct_and_stay_with_listed_algorithms(tmp_path: Path) -> None:
    for trainer in ("mle", "cot", *(f"plugin{i}" for i in range(12))):
        make_run(tmp_path, spec(trainer), points(1.0), epoch_seconds=())
    rows = only(tmp_path).rows
    styles = figures.colours(rows)
    assert len({str(style) for style in styles.values()}) == len(rows)
    assert figures.colours(rows[1:2])[rows[1].key] == styles[rows[1].key]


# -- the whole report ------------------------------------------------------------------------


def full_store(folder: Path) -> Path:
    curve = [
        {"nll_test": 8.5 - i / 4, "nll_oracle": 11.0 - i, "jsd_stepwise": 8.4 - i / 3}
        for i in range(3)
    ]
    for seed in (0, 1):
        warmup = spec("mle", seed, config={"epochs": 2})
        make_run(folder, warmup, curve)
        make_run(folder, spec("seqgan", seed, warmup=warmup), curve[1:])
        log = {"balanced_nll": (8.0, 7.5, 7.0, 6.5)}
        make_run(folder, spec("cot", seed), curve, log=log)
    diverged = Status("diverged", reason="loss is nan", phase="cot", step=5, total=30)
    make_run(folder, spec("cot", 2), curve[:2], final=None, status=diverged)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A store and the files of its report."""
    folder = tmp_path_factory.mktemp("written")
    return folder / "results", write_report(full_store(folder / "results"), folder / "out")


def test_the_same_store_gives_the_same_bytes(
    tmp_path: Path, written: tuple[Path, list[Path]]
) -> None:
    store, files = written
    first = {path.name: path.read_bytes() for path in files}
    second = {path.name: path.read_bytes() for path in write_report(store, tmp_path / "b")}
    everywhere = ("curves", "twin")
    drawn = [f.id for f in figure_specs() if f.kind in everywhere and not f.panels]
    assert set(first) == {
        *("report.md", "report.html", "data.csv", "verdicts.csv", "figures.py"),
        *(f"table1-synthetic-quick.{kind}" for kind in ("tex", "csv", "md")),
        *(f"table1-differences-synthetic-quick.{kind}" for kind in ("tex", "csv", "md")),
        *(f"all-synthetic-quick.{kind}" for kind in ("tex", "csv", "md")),
        *(f"table_training-synthetic-quick.{kind}" for kind in ("tex", "csv", "md")),
        *(f"{name}-synthetic-quick.{kind}" for name in drawn for kind in ("pdf", "png")),
    }
    assert first == second
    for name, content in first.items():
        if name.endswith(".pdf"):
            assert content.startswith(b"%PDF") and b"CreationDate" not in content
        elif name.endswith(".png"):
            assert content.startswith(b"\x89PNG")


def test_the_index_links_every_file_and_says_what_is_missing(
    written: tuple[Path, list[Path]],
) -> None:
    _, files = written
    assert files[0].name == "report.md"
    index = files[0].read_text(encoding="utf-8")
    for file in files[1:]:
        assert f"({file.name})" in index
    assert "7 run(s): 1 diverged, 6 done" in index
    assert "the paper's claims: " in index and "not run" in index
    assert "loss is nan" in index and "Test CPU" in index and "0123456789ab" in index


def test_the_exported_script_draws_the_curves(written: tuple[Path, list[Path]]) -> None:
    folder = written[1][0].parent
    subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "figures.py"],
        cwd=folder,
        check=True,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert (folder / "figures.pdf").read_bytes().startswith(b"%PDF")


def test_the_command_ends_with_the_counts_of_runs_and_verdicts(
    tmp_path: Path, no_figures: None
) -> None:
    store = full_store(tmp_path / "results")
    line = ["report", "--results", str(store), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, line)
    assert result.exit_code == 0
    *_, runs, numbers, claims = result.stdout.splitlines()
    assert runs == "7 run(s): 1 diverged, 6 done"
    assert numbers.startswith("the paper's numbers: ") and "not comparable" in numbers
    assert claims.startswith("the paper's claims: ") and "not run" in claims


@pytest.mark.parametrize("fill", [full_store, nasty_store])
def test_data_csv_is_the_tidy_frame(
    tmp_path: Path, no_figures: None, fill: Callable[[Path], Path]
) -> None:
    store = fill(tmp_path / "results")
    write_report(store, tmp_path / "out")
    read = pd.read_csv(
        tmp_path / "out" / "data.csv", keep_default_na=False, na_values={"value": ""}
    )
    frame = load_results(store)
    assert list(read.columns) == list(frame.columns)
    for column in frame.columns:
        assert read[column].tolist() == frame[column].tolist(), column


@pytest.mark.parametrize("status", ["queued", "running", "failed", "diverged", "interrupted"])
def test_a_store_with_nothing_finished_is_still_reported(
    tmp_path: Path, no_figures: None, status: str
) -> None:
    curve = points(8.0, 7.0) if status != "queued" else []
    make_run(tmp_path / "results", spec("cot"), curve, final=None, status=Status(status))
    files = write_report(tmp_path / "results", tmp_path / "out")
    index = files[0].read_text(encoding="utf-8")
    assert "0 of 1" in index and "—" in index
    assert "cot" in index.split("Runs without a final result")[1]


def test_an_unreadable_run_does_not_stop_the_report(tmp_path: Path, no_figures: None) -> None:
    store = full_store(tmp_path / "results")
    broken = make_run(store, spec("cot", 9), points(1.0))
    (broken.path / "metrics.jsonl").write_text("oops\n", encoding="utf-8")
    index = write_report(store, tmp_path / "out")[0].read_text(encoding="utf-8")
    line = next(li for li in index.splitlines() if broken.name in li)
    assert "unreadable" in line and "metrics.jsonl" in line


def test_an_empty_store_names_the_folder_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"no runs in {tmp_path}.*textbench run --algos"):
        write_report(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    folder = make_run(tmp_path, spec(), points(1.0))
    (folder.path / "spec.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="no readable run"):
        write_report(tmp_path, tmp_path / "out")


def test_an_unwritable_folder_is_the_users_to_mend(tmp_path: Path) -> None:
    make_run(tmp_path / "results", spec(), points(1.0))
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write the report to"):
        write_report(tmp_path / "results", tmp_path / "out")


def test_stale_files_go_but_nothing_else_does(tmp_path: Path, no_figures: None) -> None:
    out = tmp_path / "out"
    make_run(tmp_path / "results", spec(preset="quick"), points(1.0))
    make_run(tmp_path / "results", spec(preset="paper", seed=5), points(1.0))
    write_report(tmp_path / "results", out)
    (out / "mine.txt").write_text("kept", encoding="utf-8")
    (out / "all-synthetic-paper.md").write_text("edited, kept", encoding="utf-8")
    assert (out / "table1-synthetic-paper.tex").exists()

    shutil.rmtree(spec(preset="paper", seed=5).directory(tmp_path / "results"))
    write_report(tmp_path / "results", out)

    left = {path.name for path in out.glob("*paper*")}
    assert left == {"all-synthetic-paper.md"}
    assert (out / "mine.txt").exists() and (out / "table1-synthetic-quick.tex").exists()


def test_the_report_knows_no_trainer_by_name() -> None:
    folder = Path(report.__file__).parent
    trainers = set(registry.names("trainer"))
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in trainers, f"{file.name}:{node.lineno}"
