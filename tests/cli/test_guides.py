"""The guides to a plugin: each page's files and commands, as they stand, in an empty folder.

Nothing of the checkout is in that folder; the files import `textbench` alone.
"""

from __future__ import annotations

import ast
import csv
import os
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import forked
import pytest
from guides import PAGES, blocks

Command = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def textbench(tmp_path: Path) -> Command:
    """Run a command line in the empty folder, as a user would: the first by a fresh interpreter."""
    called = 0

    def run(line: str) -> subprocess.CompletedProcess[str]:
        nonlocal called
        called += 1
        assert line.startswith("textbench ")
        if called > 1:
            return forked.textbench(line, tmp_path)
        return subprocess.run(
            [sys.executable, "-m", *shlex.split(line)],
            cwd=tmp_path,
            env=os.environ | forked.QUIET,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def follow(page: str, folder: Path, textbench: Command) -> dict[str, str]:
    """Write the page's files and run its commands; return what each printed."""
    files, commands = blocks(page)
    assert files and commands
    for name, code in files.items():
        (folder / name).write_text(code, encoding="utf-8")
    printed = {}
    for line in commands:
        done = textbench(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        printed[line] = done.stdout
    return printed


def table(folder: Path) -> list[dict[str, str]]:
    """Return the report's data, one row per number of a run's evaluation."""
    with open(folder / "reports" / "data.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def the(printed: dict[str, str], start: str) -> str:
    """Return what the one command that starts so printed."""
    (found,) = [text for line, text in printed.items() if line.startswith(start)]
    return found


# -- the pages -----------------------------------------------------------------------------------


def test_a_trainer(tmp_path: Path, textbench: Command) -> None:
    printed = follow("adding-a-trainer.md", tmp_path, textbench)
    assert "every promise is kept" in the(printed, "textbench check")
    assert "Maximum likelihood with some of the words" in the(printed, "textbench list")
    assert {row["label"] for row in table(tmp_path)} == {"word_dropout", "mle"}
    assert "No regression" in the(printed, "textbench compare")


def test_a_metric(tmp_path: Path, textbench: Command) -> None:
    """And its file may be deleted afterwards: records say what there is to know."""
    printed = follow("adding-a-metric.md", tmp_path, textbench)
    assert "How the samples' symbols are spread" in the(printed, "textbench list")
    assert "unigrams.least" in the(printed, "textbench show")
    assert "unigrams: every promise is kept" in the(printed, "textbench check")
    assert the(printed, "textbench evaluate").count("coverage") == 2
    rows = [row for row in table(tmp_path) if row["metric"] in ("coverage", "unigram_kl")]
    known = {(row["metric"], row["direction"], row["unit"]) for row in rows}
    assert known == {("coverage", "higher", ""), ("unigram_kl", "lower", "nats")}
    assert all(0 < float(row["value"]) <= 1 for row in rows if row["metric"] == "coverage")

    before = (tmp_path / "reports" / "data.csv").read_bytes()
    (tmp_path / "unigrams.py").unlink()
    shutil.rmtree(tmp_path / "reports")
    assert textbench("textbench report").returncode == 0
    assert (tmp_path / "reports" / "data.csv").read_bytes() == before
    again = textbench("textbench compare results results").stdout
    assert again == the(printed, "textbench compare") and "No regression" in again


def test_a_task(tmp_path: Path, textbench: Command) -> None:
    draw = random.Random(0)  # noqa: S311 - words, not a secret
    spelled = {"".join(draw.choices("abcde", k=draw.randint(2, 6))) for _ in range(150)}
    (tmp_path / "words.txt").write_text(" ".join(sorted(spelled)), encoding="utf-8")
    printed = follow("adding-a-task.md", tmp_path, textbench)
    assert "Sequences of a random Markov chain" in the(printed, "textbench list")
    assert "chain.sharpness" in the(printed, "textbench show")
    checked = [out for line, out in printed.items() if line.startswith("textbench check ")]
    kept = ["chain: every", "mle: every", "letters: every"]
    assert all(f"{start} promise is kept" in out for start, out in zip(kept, checked, strict=True))
    rows = table(tmp_path)
    found = {(row["task"], row["label"], row["metric"]) for row in rows if row["value"]}
    assert {("chain", "mle", "nll_oracle"), ("chain", "mle:fresh", "jsd_stepwise")} <= found
    assert {("letters", row, "bleu2") for row in ("mle", "real", "real_corrupted")} <= found
    broken = textbench("textbench run --algos mle --task letters --plugin letters.py")
    assert broken.returncode == 2 and broken.stderr.count("\n") == 1
    assert "letters.file= cannot be read" in broken.stderr


@pytest.mark.parametrize("page", PAGES)
def test_plugins_need_the_public_face_alone(page: str) -> None:
    files, _ = blocks(page)
    for name, code in files.items():
        imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
        own = {str(node.module) for node in imports if str(node.module).startswith("textbench")}
        assert own <= {"textbench", "textbench.backbone"}, name
        assert code.count("\n") < (40 if page == "adding-a-trainer.md" else 75), name
