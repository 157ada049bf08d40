"""Table 4: samples side by side, as they were drawn, in every format."""

from __future__ import annotations

import csv
from pathlib import Path

import damage as kinds
import pytest
from stores import make_run, spec

from textbench.report import write_report
from textbench.store.directory import RunDirectory

pytestmark = pytest.mark.usefixtures("no_figures")
QUALITY = {"bleu5": 0.2}
AWKWARD = "100 % of it , a_b | c & d"


def with_samples(results: Path, label: str, lines: list[str], seed: int = 0) -> RunDirectory:
    trainer, _, variant = label.partition(":")
    run = make_run(
        results,
        spec(trainer, seed, variant=variant, task="text", task_config={}),
        [QUALITY],
        final=QUALITY,
    )
    (run.path / "samples.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    results = tmp_path / "results"
    with_samples(results, "mle", [f"mle sample {i}" for i in range(9)])
    with_samples(results, "mle", ["of another seed"], seed=1)
    with_samples(results, "cot:strong", [AWKWARD, "été <unk>"])
    run = with_samples(results, "seqgan", ["x"])
    (run.path / "samples.txt").unlink()
    write_report(results, tmp_path / "out")
    return tmp_path / "out"


def test_the_first_samples_of_every_row_stand_in_one_table(out: Path) -> None:
    table = (out / "table4-text-quick.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == ["| MLE", "| CoT-strong"]
    assert "(1) mle sample 0<br>(2) mle sample 1<br>" in rows[0]
    assert "(5) mle sample 4 |" in rows[0]
    assert "sample 5" not in table
    assert "of another seed" not in table
    assert r"(1) 100 % of it , a\_b \| c & d<br>(2) été \<unk\> |" in rows[1]
    assert table in (out / "report.md").read_text(encoding="utf-8")


def test_it_compiles_as_latex_where_plain_pdflatex_does(out: Path) -> None:
    table = (out / "table4-text-quick.tex").read_text(encoding="utf-8")
    assert r"(1)~100 \% of it , a\_b \textbar{} c \& d\par" in table
    assert table.isascii()
    assert table.count(r"\midrule") == 2
    assert table.count("{") == table.count("}")


def test_it_can_be_read_as_data(out: Path) -> None:
    with (out / "table4-text-quick.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["seed"], row["number"]) for row in rows][4:] == [
        ("mle", "0", "5"),
        ("cot:strong", "0", "1"),
        ("cot:strong", "0", "2"),
    ]
    assert rows[5]["sample"] == AWKWARD


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder", "a hole of a terabyte"])
def test_what_stands_in_the_place_of_samples_is_neither_followed_nor_waited_for(
    kind: str, tmp_path: Path
) -> None:
    """A store from somebody else: a report would print what a link leads to."""
    secret = tmp_path / "secret"
    secret.write_text("not for others\n")
    with_samples(tmp_path / "results", "mle", ["mine"])
    run = with_samples(tmp_path / "results", "cot", ["theirs"])
    kinds.ANY[kind](run.path / "samples.txt", secret)
    write_report(tmp_path / "results", tmp_path / "out")
    table = (tmp_path / "out" / "table4-text-quick.md").read_text(encoding="utf-8")
    assert "mine" in table and f"The samples of {run.name} are left out: samples.txt " in table
    pages = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [page for page in pages if b"not for others" in page.read_bytes()]


def test_token_numbers_of_the_synthetic_task_are_no_table(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", spec(), [QUALITY], final=QUALITY)
    (run.path / "samples.txt").write_text("1 2 3\n", encoding="utf-8")
    write_report(tmp_path / "r", tmp_path / "out")
    assert not list((tmp_path / "out").glob("table4*"))


def test_control_characters_of_a_corpus_or_a_reason_are_never_written_raw(tmp_path: Path) -> None:
    """What a terminal would obey, and what turns the direction of a page."""
    evil = "\x1b[31mred\x07 \u202eback\u202c <b>bold</b>"
    with_samples(tmp_path / "results", "mle", [evil])
    failed = with_samples(tmp_path / "results", "cot", ["x"])
    status = failed.status()
    status.status, status.reason = "failed", f"because {evil}"
    failed.write_status(status)
    write_report(tmp_path / "results", tmp_path / "out")
    pages = [p for p in (tmp_path / "out").rglob("*") if p.suffix in (".md", ".html", ".tex")]
    assert len(pages) > 3
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not set("\x1b\x07\u202e\u202c") & set(text), page
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>bold</b>" not in page and "[31mred" in page
    table = (tmp_path / "out" / "table4-text-quick.csv").read_text(encoding="utf-8")
    assert "\ufffd[31mred\ufffd \ufffdback\ufffd" in table
