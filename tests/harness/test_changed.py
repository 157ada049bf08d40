"""A trainer whose file is edited while its run is interrupted: said, and kept on record."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from textbench.cli import cli
from textbench.plan import codehash, registry
from textbench.plan.resolve import Request, expand
from textbench.report.provenance import of_several_codes
from textbench.run import changed, worker
from textbench.run.conditions import Conditions
from textbench.store.directory import RunDirectory
from textbench.store.frames import load_runs
from textbench.store.read import hardware
from textbench.store.rows import Start

PLUGIN = """
from textbench.algorithms.mle import MLE

class Mine(MLE):
    name = "mine"

    def step(self, at):
        {does}
        return super().step(at)
"""
LINE = "run --algos mine --task synthetic-tiny --preset ci --plugin mine.py --set mine.epochs=1"
FORK = multiprocessing.get_context("fork")
torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports torch._dynamo here, once


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    registry._plugins.clear()
    yield
    registry._plugins.clear()


def write(does: str = "pass", file: str = "mine.py") -> Path:
    path = Path(file)
    path.parent.mkdir(exist_ok=True)
    path.write_text(PLUGIN.format(does=does), encoding="utf-8")
    changed._plugin_hash.cache_clear()  # a command is a process, and its files stay as they are
    return path


def execute(*, stop: bool = False) -> RunDirectory:
    """Execute the run in a forked child, which loads its plug-in; ``stop`` after the first step."""

    def child() -> None:
        torch.set_num_threads(1)
        code = 3
        try:
            options = Conditions(torch.device("cpu"), stop=lambda: stop)
            request = Request(
                algos="mine",
                task="synthetic-tiny",
                preset="ci",
                plugins=(Path("mine.py"),),
                settings=("mine.epochs=1",),
            )
            (spec,) = expand(request)
            run = RunDirectory(spec.directory(Path("results")))
            run.create(spec)
            code = worker.execute(run, options)
        finally:
            os._exit(code)

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode != 3
    (run,) = RunDirectory.find(Path("results"))
    return run


def said(line: str) -> tuple[str, str]:
    result = CliRunner().invoke(cli, line.split(), prog_name="textbench")
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_a_run_that_goes_on_with_other_code_says_so_once_and_keeps_it(tmp_path: Path) -> None:
    write()
    run = execute(stop=True)
    assert run.status().step == 1
    assert "stale" not in said("status")[0]
    assert "other code" not in said(f"{LINE} --dry-run")[0]
    write("int(1)")
    assert " (stale)" in said("status")[0]
    registry._plugins.clear()
    assert "its steps so far were made by other code" in said(f"{LINE} --dry-run")[0]
    shown, warned = said(LINE)
    assert warned == (
        "textbench: warning: the source of trainer mine has changed while 1 of its runs was "
        "interrupted: their steps so far were made by other code, and the rest is made by this; "
        f"to start anew, delete {run.path}\n"
    )
    note = "gone on from step 1; steps before that were made by other code of its trainer"
    assert "[1/1] mine seed 0: done in" in shown and note in shown
    assert run.status().note == note
    assert [start["step"] for start in run.starts()] == [0, 1]
    assert of_several_codes(load_runs("results").assign(row=0)) == {0}


def test_a_run_of_the_same_code_goes_on_without_a_word(tmp_path: Path) -> None:
    write()
    run = execute(stop=True)
    assert said(LINE)[1] == ""
    assert (run.status().status, run.status().note) == ("done", "")


def test_what_was_begun_anew_is_of_one_code(tmp_path: Path) -> None:
    write("1 / 0")
    run = execute()
    assert run.status().status == "failed"
    write()
    execute(stop=True)
    assert [start["step"] for start in run.starts()] == [0, 0]
    assert said(LINE)[1] == ""
    assert "other code" not in run.status().note
    assert of_several_codes(load_runs("results").assign(row=0)) == set()


def test_where_a_plugin_lies_does_not_matter_but_what_it_says(tmp_path: Path) -> None:
    here, there = write(), write(file="elsewhere/other.py")
    assert codehash.plugin_hash(here) == codehash.plugin_hash(there)
    registry.load_plugin(here)
    assert codehash.code_hash("mine") == codehash.plugin_hash(here)
    other = write("int(1)", "elsewhere/other.py")
    assert codehash.plugin_hash(here) != codehash.plugin_hash(other)


@pytest.mark.parametrize("becomes", ["gone", "no Python", "a folder"])
def test_status_of_a_plugin_that_is_not_what_it_was(becomes: str) -> None:
    file = write()
    execute(stop=True)
    file.unlink()
    changed._plugin_hash.cache_clear()
    if becomes == "no Python":
        file.write_bytes(b"class\0")
    elif becomes == "a folder":
        file.mkdir()
    assert ("stale" in said("status")[0]) == (becomes == "no Python")  # else nobody knows


def test_only_the_starts_that_count_say_what_a_run_was_measured_on() -> None:
    def start(cpu: str, **more: int) -> Start:
        return {"cpu": cpu, "threads": 1, **more}  # type: ignore[typeddict-item]

    assert hardware([start("A"), start("B")]) == ""  # of older records nobody knows
    assert hardware([start("A", step=0), start("B", step=7)]) == ""
    assert hardware([start("A", step=0), start("B", step=0), start("B", step=7)]).startswith("B")
