"""The Ray engine with Ray itself: two nodes on this machine, one of them killed; `tox -e extras`.

The commands are processes of their own, and nothing here goes by the clock: a run takes its time
until the test has done to it what it wants to. Without Ray all of it is skipped; the engine's own
logic is tested in `tests/harness/test_cluster.py` in any case.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brood
import damage as kinds
import pytest

from textbench.run import host
from textbench.store.directory import RunDirectory

LONG = 900.0
"""Seconds that a thing may take on a machine with thirty times its load; it takes some."""
pytestmark = [
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed"),
    pytest.mark.timeout(3 * LONG),
]
SETTINGS = " ".join(f"--set {one}" for one in kinds.SETTINGS if not one.startswith("mle."))
RUN = f"run --task synthetic-tiny --preset ci --device cpu {SETTINGS}"
PLUGIN = """
import time
from pathlib import Path

from textbench.algorithms.mle import MLE


class Unhurried(MLE):
    name = "unhurried"

    def step(self, at):
        if not Path({gate!r}).exists():
            time.sleep(0.2)
        return super().step(at)
"""
"""A trainer that takes its time until there is such a file; the numbers do not depend on it."""


@pytest.fixture(autouse=True)
def _none_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither a process nor a file of Ray's outlives its test, also when that fails."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as short:  # sockets have short names
        monkeypatch.setenv("RAY_TMPDIR", short)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        with brood.none_left(LONG):
            yield


@dataclass
class Gate:
    """The file that lets a run hurry, and the plug-in that looks at it."""

    path: Path
    plugin: Path

    def open(self) -> None:
        self.path.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    found = Gate(tmp_path / "gate", tmp_path / "unhurried.py")
    found.plugin.write_text(PLUGIN.format(gate=str(found.path)), encoding="utf-8")
    return found


def start(line: str, results: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "textbench", *shlex.split(line), "--results", str(results)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a command's end; return what it printed."""
    printed, _ = process.communicate(timeout=LONG)
    assert process.returncode == code, printed
    assert "Traceback" not in printed and "raylet" not in printed, printed
    return printed


def outcomes(results: Path) -> dict[str, Any]:
    return {run.name: kinds.outcome(run) for run in RunDirectory.find(results)}


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for what a command is to bring about; one that has ended never will."""
    until = time.monotonic() + LONG
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def raylet_of(run: RunDirectory) -> int:
    """Return the process of the node on which a run is running: its worker's grandparent."""
    known = brood.parents()
    (worker,) = (
        pid
        for pid in known
        if "textbench.run.worker" in (line := brood.said(pid))
        and host.PREFIX in line
        and run.name in line
    )
    return known[known[worker]]


@dataclass
class Nodes:
    """The cluster of `two_nodes`."""

    process: subprocess.Popen[str]
    address: str
    raylets: list[int]

    def kill(self, raylet: int) -> None:
        assert raylet in self.raylets and self.process.stdin is not None
        self.process.stdin.write(f"{raylet}\n")
        self.process.stdin.flush()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    script = Path(__file__).parents[1] / "support/two_nodes.py"
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        told = next(line for line in process.stdout if line.startswith("{"))
        yield Nodes(process, **json.loads(told))
        process.stdin.close()


def test_jobs_shards_and_a_cluster_that_loses_a_node_change_no_number(
    tmp_path: Path, nodes: Nodes, gate: Gate
) -> None:
    """One job, two jobs, two shards at once, and Ray with a node killed in mid-run."""
    stores = {name: tmp_path / name for name in ("ray", "one", "two", "shards")}
    grid = f"{RUN} --algos unhurried,seqgan --set unhurried.epochs=60 --plugin {gate.plugin}"
    line = f"{grid} --engine ray --address {nodes.address} --checkpoint-every 1"
    command = start(line, stores["ray"])

    def running() -> list[RunDirectory]:
        return [
            run
            for run in RunDirectory.find(stores["ray"])
            if "unhurried" in run.name and (run.path / "checkpoint.previous.pt").exists()
        ]

    wait_until(lambda: bool(running()), command)
    (run,) = running()
    nodes.kill(raylet_of(run))
    gate.open()
    end(command)
    end(start(f"{grid} --jobs 1", stores["one"]))
    end(start(f"{grid} --jobs 2", stores["two"]))
    for shard in [start(f"{grid} --jobs 1 --shard {i}/2", stores["shards"]) for i in range(2)]:
        end(shard)
    found = {name: outcomes(store) for name, store in stores.items()}
    assert len(found["one"]) == 3
    assert found["one"] == found["two"] == found["shards"] == found["ray"]
    assert run.status().resumed >= 1  # it went on from what had been told, did not start again


def test_a_cluster_started_here_stops_at_a_checkpoint_and_goes_on(
    tmp_path: Path, gate: Gate
) -> None:
    line = f"{RUN} --algos unhurried --set unhurried.epochs=60 --plugin {gate.plugin} --jobs 1"
    on_ray = f"{line} --engine ray --checkpoint-every 500"
    command = start(on_ray, tmp_path / "ray")

    def is_running() -> bool:
        return any(run.standing().step > 3 for run in RunDirectory.find(tmp_path / "ray"))

    wait_until(is_running, command)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal's Ctrl-C does: all of its processes
    end(command, 130)
    (run,) = RunDirectory.find(tmp_path / "ray")
    assert run.status().status == "interrupted"
    assert (run.path / "checkpoint.pt").exists() and not run.is_locked()
    gate.open()
    end(start(on_ray, tmp_path / "ray"))
    assert run.status().resumed == 1
    end(start(line, tmp_path / "local"))
    assert outcomes(tmp_path / "ray") == outcomes(tmp_path / "local")
