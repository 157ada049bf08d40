"""Plug-ins that do what no trainer should: the run is done, or failed in one line; never doubled.

The worker runs in a forked child, as in `tests/harness/test_resume.py`.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import brood
import damage as kinds
import pytest
import torch

from textbench.plan import registry
from textbench.plan.resolve import Request, expand
from textbench.run import endings, worker
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
FORK = multiprocessing.get_context("fork")
SETTINGS = tuple(one for one in kinds.SETTINGS if not one.startswith("mle."))
PLUGIN = """
import os, signal, sys, threading, time
from textbench.algorithms.mle import MLE


class Unruly(MLE):
    name = "unruly"
    done = False

    def step(self, at):
        if at.index == 1 and not Unruly.done:
            Unruly.done = True
            {does}
        return super().step(at)
"""
QUIET = "pass"
HARMLESS = {
    "closes every file it finds": "os.closerange(3, 4096)",
    "forks, and both go on": "os.fork()",
    "goes elsewhere": "os.chdir('/')",
    "goes where nothing is": "os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())",
    "prints what is no text": "os.write(1, bytes(range(256)) * 99)",
    "overwrites the status": "open(sys.argv[1] + '/status.json', 'w').write('{')",
}
FAILING = {
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "SystemExit: 0": "sys.exit(0)",
    "GeneratorExit": "raise GeneratorExit",
    "Strange: a": "raise type('Strange', (BaseException,), {})('a')",
    "ValueError: late": "[os.close(i) for i in (0, 1, 2)]; raise ValueError('late')",
    "ValueError: mute": "sys.stdout = sys.stderr = None; raise ValueError('mute')",
    "exited with code 0": "os._exit(0)",
    "crashed with signal 6": "os.abort()",
    "it logs '\\ud800', which is no name": r"return {'\ud800': 1.0}",
    "it logs 1, which is no name": "return {1: 1.0}",
}


def made(folder: Path, does: str) -> tuple[RunDirectory, Path]:
    """Create a run of the unruly trainer."""
    plugin = folder / "unruly.py"
    folder.mkdir(exist_ok=True)
    plugin.write_text(PLUGIN.format(does=does), encoding="utf-8")
    registry._plugins.clear()
    request = Request(
        algos="unruly",
        task="synthetic-tiny",
        preset="ci",
        settings=(*SETTINGS, "unruly.epochs=2"),
        plugins=(plugin,),
    )
    (spec,) = expand(request)
    registry._plugins.clear()
    run = RunDirectory(spec.directory(folder / "results"))
    run.create(spec)
    return run, plugin


def executed(run: RunDirectory, plugin: Path) -> Status:
    """Execute a run as an engine would, by a path that is relative; return how it ended."""
    arguments = [str(run.path.relative_to(plugin.parent)), "--plugin", str(plugin)]

    def child() -> None:
        os.chdir(plugin.parent)
        log = os.open(run.path / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        sys.stdout, sys.stderr = (open(i, "w", closefd=False) for i in (1, 2))  # noqa: SIM115
        sys.argv = ["worker", *arguments]
        torch.set_num_threads(1)
        faulthandler.disable()
        worker.leave(worker.main([*arguments, "--checkpoint-every", "1"]))

    with brood.none_left(60):
        process = FORK.Process(target=child)
        process.start()
        process.join()
    code = process.exitcode
    ended: Any = SimpleNamespace(reason="", status="failed", lost="", poll=lambda: code)
    return endings.ending(run, ended, stopped=False)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run, plugin = made(tmp_path_factory.mktemp("quiet"), QUIET)
    assert executed(run, plugin).status == "done"
    return kinds.outcome(run)


@pytest.mark.parametrize("does", list(HARMLESS.values()), ids=list(HARMLESS))
def test_what_harms_nobody_changes_nothing(
    does: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    run, plugin = made(tmp_path / "here", does)
    status = executed(run, plugin)
    assert (status.status, status.reason) == ("done", ""), status
    assert kinds.outcome(run) == expected
    assert not run.is_locked()


@pytest.mark.parametrize(("reason", "does"), list(FAILING.items()), ids=list(FAILING))
def test_what_no_run_survives_is_one_line(reason: str, does: str, tmp_path: Path) -> None:
    run, plugin = made(tmp_path / "here", does)
    status = executed(run, plugin)
    assert status.status == "failed" and reason in status.reason, status
    assert "\n" not in status.reason and run.status() == status
    assert not run.is_locked()


def test_a_thread_that_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    """The run is done; whoever waits for its process would wait for ever."""
    run, plugin = made(tmp_path, "threading.Thread(target=signal.pause).start()")
    command = [sys.executable, "-P", "-m", "textbench.run.worker", str(run.path)]
    done = subprocess.run([*command, "--plugin", str(plugin)], timeout=600)
    assert done.returncode == 0 and run.status().status == "done"


def test_a_run_that_was_taken_over_leaves_the_last_word_to_the_other(tmp_path: Path) -> None:
    """Its machine slept for minutes, and another has ended the run since."""
    run, plugin = made(tmp_path / "here", QUIET)
    assert executed(run, plugin).status == "done"
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.suffix != ".txt"}
    for name in ("status.json", "metrics.jsonl", "curve.jsonl", "generator.pt"):
        (plugin.parent / name).write_bytes(before[name])
        (run.path / name).unlink()
    (plugin.parent / "owner.json").write_text('{"host": "elsewhere"}')
    takes = (
        "import shutil; [shutil.copy(n, sys.argv[1]) for n in"
        " ('owner.json', 'status.json', 'metrics.jsonl', 'curve.jsonl', 'generator.pt')]"
    )
    plugin.write_text(PLUGIN.format(does=takes), encoding="utf-8")
    run.write_status(Status("queued"))
    assert executed(run, plugin).status == "done"
    (run.path / "owner.json").unlink()
    for name in ("status.json", "metrics.jsonl", "curve.jsonl", "generator.pt"):
        assert (run.path / name).read_bytes() == before[name], name


def test_a_worker_that_is_told_to_stop_goes_on_later(
    expected: dict[str, Any], tmp_path: Path
) -> None:
    """In the second step of every epoch."""
    run, plugin = made(tmp_path / "here", f"os.kill(os.getpid(), {signal.SIGTERM:d})")
    for _ in range(2):
        status = executed(run, plugin)
        assert (status.status, status.reason) == ("interrupted", "told to stop")
    assert executed(run, plugin).status == "done"
    assert kinds.outcome(run) == expected
