"""Damage beside a run's numbers: named, taking nobody else along, mended by what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import damage as kinds
import pytest
from damaged_stores import RUN, Store, call

from textbench.run import endings
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.store.rows import ENVIRONMENT, SAMPLES, SPEC

OTHERS = {
    "a digit": lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"2", 1)),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("beside"))


@pytest.mark.parametrize("what", OTHERS)
def test_samples_that_a_run_did_not_draw_are_noticed(
    made: Store, tmp_path: Path, what: str
) -> None:
    store = made.copy(tmp_path)
    victim, neighbour = made.victim.name, made.neighbour.name
    OTHERS[what](store / victim / SAMPLES)
    found = call("status --verify", store)
    assert (found.exit_code, found.stdout.count(f"{victim}: {SAMPLES} is not ")) == (1, 1)
    assert "textbench sample` draws others" in found.stdout
    assert call(f"show {victim}", store).exit_code == 0  # its numbers are none the worse for it
    archive = tmp_path / "all.zip"
    done = call(f"export --zip {archive}", store)
    assert done.exit_code == 1, done.output
    assert f"textbench: {victim} is left out: {SAMPLES} is not " in done.stderr
    names = zipfile.ZipFile(archive).namelist()
    assert any(neighbour in name for name in names)
    assert not any(victim in name for name in names)


def test_what_is_said_of_a_damaged_environment_mends_it(made: Store, tmp_path: Path) -> None:
    store = made.copy(tmp_path)
    (store / made.victim.name / ENVIRONMENT).write_text('{"starts": 3}')
    said = call(f"show {made.victim.name}", store)
    assert said.exit_code == 2 and "remove that file" in said.stderr
    assert "starts it again" not in said.stderr  # it would not: its numbers are sound
    (store / made.victim.name / ENVIRONMENT).unlink()
    assert call(f"show {made.victim.name}", store).exit_code == 0
    assert call("status --verify", store).exit_code == 0


@pytest.mark.parametrize("content", ["{}", '{"a": {"b": 1}}'])
def test_a_spec_that_is_no_spec_is_not_called_one_of_an_older_version(
    made: Store, tmp_path: Path, content: str
) -> None:
    """`convert` would refuse it, and `run` would ask for `convert`, for ever."""
    store = made.copy(tmp_path)
    victim = RunDirectory(store / made.victim.name)
    (victim.path / SPEC).write_text(content)
    with pytest.raises(DamagedError, match="neither schema nor hash; repeat its"):
        victim.spec()
    assert call(RUN, store).exit_code == 0
    assert json.loads((victim.path / SPEC).read_text())["hash"] == made.victim.spec().hash


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminal hangs up here")
@pytest.mark.parametrize("nohup", [False, True])
def test_a_terminal_that_is_closed_asks_for_a_checkpoint(tmp_path: Path, nohup: bool) -> None:
    (spec,) = kinds.specs("0", settings=("mle.epochs=100000",))
    directory = RunDirectory(spec.directory(tmp_path))
    directory.create(spec)
    command = [sys.executable, "-P", "-m", "textbench.run.worker", str(directory.path)]
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    try:
        process = subprocess.Popen(command)
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        _wait_for_step(directory, process, 1)
        process.send_signal(signal.SIGHUP)
        if nohup:  # it is deaf to that, and goes on
            _wait_for_step(directory, process, directory.status().step + 1)
            process.terminate()
        assert process.wait(timeout=60) == endings.INTERRUPTED
    finally:
        process.kill()
        process.wait()
    assert directory.status().status == "interrupted"
    assert (directory.path / "checkpoint.pt").exists()


def _wait_for_step(directory: RunDirectory, process: subprocess.Popen[bytes], step: int) -> None:
    while directory.status().step < step:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
