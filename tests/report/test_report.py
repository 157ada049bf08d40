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

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from stores import make_run, points, spec

from textbench.cli import cli
from textbench.contracts.errors import UserError
from textbench.judge import published
from textbench.plan import registry
from textbench.report import data, pictures, write_report
from textbench.report.definitions import HERE, figure_specs, row_names, table_specs
from textbench.report.differences import compare
from textbench.report.layout import layout, to_csv, to_latex, to_markdown
from textbench.report.markup import latex, markdown
from textbench.report.sections import Section, sections
from textbench.report.tables import Table, build
from textbench.store.frames import frames, load_results
from textbench.store.read import read_store
from textbench.store.rows import Status

NASTY = r"a_b%c&d#e$f{g}h~i^j\k<l>m|n`o--p*q," + '"r"'
NASTY_NAME = NASTY.replace("\\", "")  # a name is part of a path
TABLE1 = next(table for table in table_specs() if table.id == "table1")
ALL = next(table for table in table_specs() if table.id == "all")


def only(store: Path) -> Section:
    (section,) = sections(frames(read_store(store)), row_names())
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
    (second,) = only(warm_store).runs.query("label == 'seqgan' and seed == 1")["path"]
    shutil.rmtree(second)
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
    assert table1(tmp_path).rows["title"].to_list() == [
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
    assert table is not None
    text = to_markdown(layout(table))
    assert "| Metric | better | x |" in text and "| sparkle | lower | 1.235 |" in text
    assert "void" not in text


def test_the_papers_table_1_is_typed_in_right() -> None:
    shown = {
        (row.id, column): cell.warmup or cell.values
        for row in published.tables()["table1"].rows.values()
        for column, cell in row.cells.items()
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
        assert published.tables()["table1"].rows[row].cells["epoch_seconds"].sd == sd
        for column, value in zip(columns, values, strict=True):
            expected[row, column] = (value,) if isinstance(value, float) else value
    assert shown == expected


def test_every_published_number_has_a_row_and_a_column_to_stand_in() -> None:
    for table in table_specs():
        if table.paper:
            rows = {row.label for row in table.rows}
            columns = {column.id for column in table.columns}
            for row in published.tables()[table.paper].rows.values():
                assert row.id in rows and set(row.cells) <= columns


# -- differences and first places ------------------------------------------------------------


def compared(store: Path) -> tuple[pd.DataFrame, str]:
    found = compare(table1(store))
    assert found is not None
    return found[0], to_markdown(found[1]).replace("\\", "")


def test_differences_are_of_equal_seeds_with_interval_and_p(tmp_path: Path) -> None:
    for seed in range(6):
        make_run(tmp_path, spec("mle", seed), nlls((9.0 + seed, 8.0)), epoch_seconds=())
        cot = nlls((8.5 + seed + 0.02 * seed, 8.0))
        make_run(tmp_path, spec("cot", seed), cot, epoch_seconds=())
    make_run(tmp_path, spec("mle", 9), nlls((99.0, 8.0)), epoch_seconds=())  # no partner
    frame, text = compared(tmp_path)
    assert "| CoT | 6 | **−0.45 [−0.49, −0.41] p<0.001** |" in text  # noqa: RUF001
    assert "Differences to MLE" in text
    line = frame.iloc[0]
    assert (line["paired"], line["n"], line["mean"]) == (True, 6, pytest.approx(-0.45))


def test_a_difference_that_is_not_told_says_how_many_seeds_would(tmp_path: Path) -> None:
    for seed in range(3):
        for trainer, value in (("mle", 9.0), ("cot", 8.9 + 0.2 * (seed == 0))):
            make_run(tmp_path, spec(trainer, seed), nlls((value + seed, 8.0)), epoch_seconds=())
    frame, text = compared(tmp_path)
    needed = int(frame.iloc[0]["seeds_needed"])
    assert needed > 3 and f"n≥{needed} |" in text and "p=" not in text.split("\n\n")[1]
    assert "so many seeds would tell" in text and "p=1.000" not in text


def test_equal_bits_are_called_identical(tmp_path: Path) -> None:
    for seed in range(3):
        for trainer in ("mle", "cot"):
            make_run(tmp_path, spec(trainer, seed), nlls((9.0 + seed, 8.0)), epoch_seconds=())
    frame, text = compared(tmp_path)
    assert set(frame["note"]) == {"identical"} and "| CoT | 3 | identical | identical |" in text


def test_holm_corrects_over_the_rows(tmp_path: Path) -> None:
    for seed in range(6):
        make_run(tmp_path, spec("mle", seed), nlls((9.0, 8.0)), epoch_seconds=())
        for trainer in ("cot", "x", "y"):
            make_run(tmp_path, spec(trainer, seed), nlls((5.0 + 0.1 * seed, 8.0)), epoch_seconds=())
    line = compared(tmp_path)[0].iloc[0]
    assert line["p_exact"] == 2 / 2**6 and line["p_holm"] == pytest.approx(3 * line["p"])


def test_no_baseline_no_differences(tmp_path: Path) -> None:
    make_run(tmp_path, spec("cot"), nlls((9.0, 8.0)))
    assert compare(table1(tmp_path)) is None


def test_the_first_place_is_bold_and_shared_by_ties(tmp_path: Path) -> None:
    for seed in range(7):
        for trainer, value in (("mle", 9.0), ("cot", 7.0), ("x", 7.0 + 0.01 * (-1) ** seed)):
            make_run(tmp_path, spec(trainer, seed), nlls((value + seed, 8.0)), epoch_seconds=())
    table = table1(tmp_path)
    best = table.cells[(table.cells["column"] == "nll_oracle") & table.cells["best"]]
    assert set(best["label"]) == {"cot", "x"}
    text = to_markdown(layout(table))
    assert text.count("**10.00 ± 2.16**") == 2 and "| 12.00 ± 2.16 |" in text
    assert r"\textbf{10.00}" in to_latex(layout(table))
    assert "Nothing is bold in a column in which no two rows are separated" in text  # NLL_test


def test_rows_that_copy_the_data_or_see_new_data_are_never_bold(tmp_path: Path) -> None:
    for seed in range(4):
        make_run(tmp_path, spec("mle", seed), nlls((9.0 + 0.01 * seed, 8.0)))
        make_run(tmp_path, spec("cot", seed), nlls((7.0 - 0.01 * seed, 8.0)))
        fresh = spec("mle", seed, variant="fresh", fresh_data=True, config={"fresh": 1})
        make_run(tmp_path, fresh, nlls((1.0, 1.0 + 0.01 * seed)))
    table = table1(tmp_path)
    assert set(table.cells.loc[table.cells["best"], "label"]) == {"cot"}


def test_nothing_is_bold_while_a_row_of_one_seed_looks_better(tmp_path: Path) -> None:
    table = table1(ranked_store(tmp_path))
    bold = table.cells[table.cells["best"]]
    assert not len(bold[bold["column"] == "nll_oracle"])
    assert "has the best mean" in to_markdown(layout(table))
    shutil.rmtree(tmp_path / "synthetic" / "y")
    bold = table1(tmp_path).cells.query("best and column == 'nll_oracle'")
    assert set(bold["label"]) == {"cot"}


def test_counts_have_separated_thousands_and_no_spread_of_nothing(tmp_path: Path) -> None:
    training = next(table for table in table_specs() if table.id == "table_training")
    for seed in (0, 1):
        run = make_run(tmp_path, spec("mle", seed), nlls((9.0, 8.0)))
        text = (run.path / "metrics.jsonl").read_text()
        text = text.replace('"critic_updates": 0', f'"critic_updates": {seed + 1000}')
        text = text.replace('"generator_updates": 0', '"generator_updates": 1234567')
        (run.path / "metrics.jsonl").write_text(text)
    table = build(training, only(tmp_path))
    assert table is not None
    assert "| MLE | 2 | 1,234,567 | 1,000 ± 1 |" in to_markdown(layout(table))


# -- formats ---------------------------------------------------------------------------------


def test_csv_is_in_full_precision_with_intervals_and_the_paper(warm_store: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(table1(warm_store).cells))))
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
    assert "nan" not in to_csv(table1(warm_store).cells)


def test_every_format_is_of_one_frame(warm_store: Path) -> None:
    """What the frame says, Markdown, LaTeX and CSV say: changed there, it is changed everywhere."""
    table = table1(warm_store)
    at = (table.cells["label"] == "mle") & (table.cells["column"] == "nll_oracle")
    table.cells.loc[at, "mean"] = 1234.5
    assert "| MLE | 2 | 1234.50 ± 0.00 |" in to_markdown(layout(table))
    assert "1234.50" in to_latex(layout(table)) and ",1234.5," in to_csv(table.cells)


@pytest.mark.parametrize("character", [*NASTY, "±", "—", "×", "中", "\n"])  # noqa: RUF001
def test_latex_has_no_live_special_character(character: str) -> None:
    escaped = latex(f"x{character}y")
    assert re.fullmatch(r"x.+y", escaped) and escaped.isascii()
    bare = re.sub(r"\\[_%&#${}]|\\[a-z]+|\$\\[a-z]+\$|\{\}", "", escaped)
    assert not set("_%&#$~^\\{}") & set(bare)


@pytest.mark.parametrize(
    ("text", "plain", "unicode"),
    [
        ("Müller", r"M\"{u}ller", r"M\"{u}ller"),
        ("Žižek, naïve", r"\v{Z}i\v{z}ek, na\"{\i}ve", r"\v{Z}i\v{z}ek, na\"{\i}ve"),
        ("Øresund, Łódź, ß", r"\O{}resund, \L{}\'{o}d\'{z}, \ss{}", None),
        ("e\N{COMBINING ACUTE ACCENT}", r"\'{e}", r"\'{e}"),
        ("中", "[U+4E2D]", "中"),
        ("Жд_", r"[U+0416][U+0434]\_", r"Жд\_"),
    ],
)
def test_latex_sets_accents_and_leaves_scripts_to_unicode_engines(
    text: str, plain: str, unicode: str | None
) -> None:
    assert latex(text) == plain and latex(text).isascii()
    assert latex(text, unicode=True) == (plain if unicode is None else unicode)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.toml")), ids=lambda path: path.stem)
def test_latex_can_set_what_our_tables_say(path: Path) -> None:
    assert "[U+" not in latex(path.read_text(encoding="utf-8").replace("\n", " "))


def nasty_store(folder: Path) -> Path:
    make_run(folder, spec("mle"), nlls((9.0, 8.0)), protocol=f"/1 {NASTY}")
    make_run(folder, spec("b_c%d"), nlls((8.0, 8.0)), protocol=f"/1 {NASTY}")
    changed = {f"{NASTY}.x": NASTY}
    run = spec(NASTY_NAME, config={"x": NASTY}, overrides=changed)
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
        log = {"balanced_nll": (8.0, 7.5, 7.0, 6.5, 6.2, 6.1)}
        make_run(folder, spec("cot", seed), curve, log=log)
    diverged = Status("diverged", reason="loss is nan", phase="cot", step=5, total=30)
    make_run(folder, spec("cot", 2), curve[:2], final=None, status=diverged)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A store and the files of its report."""
    folder = tmp_path_factory.mktemp("written")
    return folder / "results", write_report(full_store(folder / "results"), folder / "out")


def test_the_same_store_gives_the_same_bytes_however_many_processes_draw(
    tmp_path: Path, written: tuple[Path, list[Path]]
) -> None:
    store, files = written
    first = {path.name: path.read_bytes() for path in files}
    again = write_report(store, tmp_path / "b", processes=3)
    second = {path.name: path.read_bytes() for path in again}
    everywhere = ("curves", "twin", "paths")
    drawn = [f.id for f in figure_specs() if f.kind in everywhere and not f.panels]
    assert set(first) == {
        *("report.md", "report.html", "data.csv", "verdicts.csv", "figures.py"),
        *("claims.csv", "rankings.csv"),
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


@pytest.mark.parametrize("processes", [1, 2])
def test_figures_stand_in_their_order_below_their_own_section(
    tmp_path: Path, processes: int
) -> None:
    """They are begun in another order: the dearest first."""
    names = ("nll_oracle", "nll_test", "jsd_stepwise")
    curve = [dict.fromkeys(names, value) for value in (9.0, 8.5, 8.2)]
    for task in ("other", "synthetic"):
        make_run(tmp_path / "results", spec("cot", 0, task=task), curve)
    write_report(tmp_path / "results", tmp_path / "out", processes=processes)
    found = re.findall(r"!\[.*?\]\((.*?)\.png\)", (tmp_path / "out/report.md").read_text("utf-8"))
    ids = [figure.id for figure in figure_specs()]
    shown = [one.rpartition("-")[0].rpartition("-") for one in found]
    order = [(task, ids.index(figure)) for figure, _, task in shown]
    assert len(order) >= 4 and order == sorted(order), found


def test_the_index_links_every_file_and_says_what_is_missing(
    written: tuple[Path, list[Path]],
) -> None:
    _, files = written
    assert files[0].name == "report.md"
    index = files[0].read_text(encoding="utf-8")
    for file in files[1:]:
        assert f"({file.name})" in index
    assert "7 run(s): 1 diverged, 6 done" in index
    assert "the paper's claims: in these runs" in index and "not run" in index
    assert "loss is nan" in index and "Test CPU" in index and "0123456789ab" in index


def test_the_exported_script_draws_the_curves(written: tuple[Path, list[Path]]) -> None:
    folder = written[1][0].parent
    warnings = ("-W", "error::UserWarning", "-W", "ignore::DeprecationWarning")  # pyparsing's: both
    subprocess.run(
        [sys.executable, *warnings, "figures.py"],
        cwd=folder,
        check=True,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert (folder / "figures.pdf").read_bytes().startswith(b"%PDF")


def ranked_store(folder: Path) -> Path:
    """Three seeds: CoT is best; MLE and x are not separated; y has one seed, and looks better."""
    for seed, noise in enumerate((0.02, -0.01, 0.03)):
        values = {"cot": 7.0 + 0.01 * seed, "mle": 8.0 + 0.3 * (seed == 0), "x": 8.1 + noise}
        for trainer, value in values.items():
            make_run(folder, spec(trainer, seed), nlls(*[(value, 7.5)] * 4), epoch_seconds=())
    make_run(folder, spec("y"), nlls(*[(6.0, 7.0)] * 4), epoch_seconds=())
    return folder


def test_a_row_that_stopped_before_its_schedules_end_is_said_to_have(
    tmp_path: Path, no_figures: None
) -> None:
    """Early stopping at epochs 1 and 2 was "each trained for 3 epochs"."""
    for seed in range(3):
        make_run(tmp_path / "a", spec("mle", seed), nlls(*[(9.0, 8.0 + seed)] * 4))
        early = nlls(*[(9.0, 8.1 + seed)] * (2 + (seed > 0)))
        make_run(tmp_path / "a", spec("cot", seed), early)
    write_report(tmp_path / "a", tmp_path / "out")
    index = (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "3 seeds or more, not all trained alike (see below)." in index
    assert "- Schedules: MLE: 3 epochs; CoT: 3 epochs, stopped after 1 to 2." in index


def test_the_first_screen_ranks_and_says_what_may_be_concluded(
    tmp_path: Path, no_figures: None
) -> None:
    write_report(ranked_store(tmp_path / "results"), tmp_path / "out")
    index = (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    first, _, _ = index.partition("Does the paper reproduce?")
    screen, _, _ = first.partition("Likelihood-based benchmark")
    assert screen.index("who is better?") < screen.index("What this is worth")
    assert "| 1 | CoT | 3 | 7.010 [6.985, 7.035] | the best mean |" in screen  # t-interval
    assert "| 2 | MLE | 3 | " in screen and "| 2 | x | 3 | " in screen
    assert "Without a place (fewer than 3 seeds): y 6.000." in screen
    (concluded,) = [li for li in screen.splitlines() if li.startswith("**nll_oracle**")]
    assert "CoT has the lowest nll_oracle, separated from every other row" in concluded
    assert (
        "**Compared at the end of training are CoT, MLE and x: 3 seeds or more, each trained for 3 "
        "epochs. Of y (fewer than 3 seeds) nothing may be concluded. "
        "CoT is the first of these 3 by nll_oracle"
    ) in screen
    for line in ("Seeds: 3: MLE, CoT, x; 1: y", "Schedules: MLE, CoT, x, y: 3 epochs", "Data: "):
        assert line in screen
    assert "Comparable: 0 of " in screen and "another oracle (seeded" in screen
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.index("who is better?") < page.index("Does the paper reproduce?</h2>")
    assert "1. CoT" in page and "CoT has the lowest nll_oracle" in page


def test_the_command_ends_with_the_first_screen(tmp_path: Path, no_figures: None) -> None:
    store = ranked_store(tmp_path / "results")
    line = ["report", "--results", str(store), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, line)
    assert result.exit_code == 0
    _, _, last = result.stdout.partition("\n\n")
    head, answer, ranking, sentence, *_, runs, numbers, claims = last.splitlines()
    assert head == "synthetic, preset quick"
    assert answer.startswith(
        "  Compared at the end of training are CoT, MLE and x: 3 seeds or more"
    )
    assert ranking.startswith("  nll_oracle: 1. CoT 7.010; 2. ")
    assert "CoT has the lowest nll_oracle" in sentence
    assert runs == "10 run(s): 10 done"
    assert numbers.startswith("published numbers: ") and "not comparable" in numbers
    assert claims.startswith("the paper's claims: in these runs ") and "not run" in claims


def test_other_scripts_stay_as_they_are_where_that_is_asked_for(
    tmp_path: Path, no_figures: None
) -> None:
    make_run(tmp_path / "results", spec("中文"), nlls((9.0, 8.0)))
    for option, shown in (("", "[U+4E2D]"), ("--unicode", "中文")):
        line = ["report", "--results", str(tmp_path / "results"), "--out", str(tmp_path / "out")]
        assert CliRunner().invoke(cli, [*line, *filter(None, [option])]).exit_code == 0
        assert shown in (tmp_path / "out" / "all-synthetic-quick.tex").read_text(encoding="utf-8")


def test_thirty_rows_with_long_unicode_names_are_reported(tmp_path: Path) -> None:
    for number in range(30):
        run = spec(f"algorithme-à-très-long-nom-été-{number:02}")
        make_run(tmp_path / "results", run, nlls((9.0, 8.0), (8.5, 7.9), (8.2 + number / 9, 7.8)))
    files = write_report(tmp_path / "results", tmp_path / "out")
    assert {"curves-synthetic-quick.png", "stopping-synthetic-quick.png"} <= {f.name for f in files}
    tex = (tmp_path / "out" / "all-synthetic-quick.tex").read_text(encoding="utf-8")
    assert tex.isascii() and tex.count(r"\begin{table}") == 5  # six algorithms across, at most
    assert r"tr\`{e}s" in tex


@pytest.mark.parametrize("part", [1, 7, data.PART])
@pytest.mark.parametrize("fill", [full_store, nasty_store])
def test_data_csv_is_the_tidy_frame(
    tmp_path: Path,
    no_figures: None,
    monkeypatch: pytest.MonkeyPatch,
    fill: Callable[[Path], Path],
    part: int,
) -> None:
    monkeypatch.setattr(data, "PART", part)
    store = fill(tmp_path / "results")
    write_report(store, tmp_path / "out")
    read = pd.read_csv(
        tmp_path / "out" / "data.csv", keep_default_na=False, na_values={"value": ""}
    )
    frame = load_results(store)
    assert list(read.columns) == list(frame.columns)
    for column in frame.columns:
        assert read[column].tolist() == frame[column].tolist(), column


@pytest.mark.parametrize("name", ["run", "seed", "label", "final", "protocol", "epoch", "value"])
def test_a_metric_may_be_called_like_a_column(tmp_path: Path, name: str) -> None:
    for trainer, shift in (("mle", 0.0), ("cot", 0.5)):
        for seed in range(3):
            curve = [{name: 9.0 - i + shift + seed / 8} for i in range(4)]
            make_run(tmp_path / "results", spec(trainer, seed), curve)
    write_report(tmp_path / "results", tmp_path / "out")
    table = (tmp_path / "out" / "all-synthetic-quick.md").read_text(encoding="utf-8")
    assert "6.125" in table or "6.13" in table or "6.12" in table
    assert "6.625" in table or "6.63" in table or "6.62" in table


@given(st.lists(st.floats() | st.floats(-4, 16).map(lambda e: 10**e)))
@example([1e16, 9999999999999998.0, 1e-4, 9.999999999999999e-05, -0.0, 5e-324, math.nan, math.inf])
def test_digits_are_those_of_repr(values: list[float]) -> None:
    expected = ["" if math.isnan(value) else repr(value) for value in values]
    assert data.digits(np.array(values, float)) == expected


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
    with pytest.raises(UserError, match="--results 'my store'`"):  # which a shell takes
        write_report(Path("my store"), tmp_path / "out")
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
    folder = Path(pictures.__file__).parent
    trainers = set(registry.names("trainer"))
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in trainers, f"{file.name}:{node.lineno}"


def test_a_row_whose_gate_never_opened_is_marked(tmp_path: Path) -> None:
    for trainer, share in (("idle", 0.0), ("busy", 0.25)):
        for seed in (0, 1):
            shares = [0.0, share] if seed else [0.0, 0.0]
            run = spec(trainer, seed)
            make_run(tmp_path, run, nlls((9.0, 8.0), (8.5, 7.9)), log={"g_follows": shares})
    make_run(tmp_path, spec("mle"), nlls((9.0, 8.0), (8.5, 7.9)))
    text = to_markdown(layout(table1(tmp_path)))
    assert "| idle‡ |" in text and "| busy |" in text and "| MLE |" in text
    assert "‡ The gate on the critic's accuracy never opened" in text and "alone (idle)" in text
