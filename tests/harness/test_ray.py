"""The Ray engine with Ray itself: two nodes on this machine, one of them killed; `tox -e ray`.

The commands are processes of their own. Without Ray all of it is skipped; the engine's own logic
is tested in `tests/harness/test_cluster.py` in any case.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import damage as kinds
import pytest

from textbench.run import host
from textbench.store.directory import RunDirectory

pytestmark = [
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed"),
    pytest.mark.timeout(600),
]
SETTINGS = " ".join(f"--set {one}" for one in kinds.SETTINGS if not one.startswith("mle."))
RUN = f"run --task synthetic-tiny --preset ci --device cpu {SETTINGS}"
GRID = f"{RUN} --algos mle,seqgan --set mle.epochs=150"
"""Two runs and a warm-up; the first takes long enough to be killed."""


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    """End what a test that failed has started."""
    yield
    for process in STARTED:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    STARTED.clear()


def start(line: str, results: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "textbench", *shlex.split(line), "--results", str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    STARTED.append(process)
    return process


def end(process: subprocess.Popen[str]) -> str:
    """Wait for a command that succeeds; return what it printed."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert "Traceback" not in printed and "raylet" not in printed, printed
    return printed


def outcomes(results: Path) -> dict[str, Any]:
    return {run.name: kinds.outcome(run) for run in RunDirectory.find(results)}


def wait_until(condition: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def raylet_of(run: RunDirectory) -> int:
    """Return the process of the node on which a run is running: its worker's grandparent."""

    def parent(pid: int) -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    (worker,) = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"textbench.run.worker" in (line := path.read_bytes())
        and host.PREFIX.encode() in line
        and run.name.encode() in line
    ]
    return parent(parent(worker))


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
    tmp_path: Path, nodes: Nodes
) -> None:
    """One job, two jobs, two shards at once, and Ray with a node killed in mid-run."""
    stores = {name: tmp_path / name for name in ("ray", "one", "two", "shards")}
    line = f"{GRID} --engine ray --address {nodes.address} --checkpoint-every 5"
    command = start(line, stores["ray"])

    def running() -> list[RunDirectory]:
        return [
            run
            for run in RunDirectory.find(stores["ray"])
            if run.standing().status == "running" and (run.path / "checkpoint.previous.pt").exists()
        ]

    wait_until(lambda: bool(running()))
    nodes.kill(raylet_of(running()[0]))
    end(command)
    end(start(f"{GRID} --jobs 1", stores["one"]))
    end(start(f"{GRID} --jobs 2", stores["two"]))
    for shard in [start(f"{GRID} --jobs 1 --shard {i}/2", stores["shards"]) for i in range(2)]:
        end(shard)
    found = {name: outcomes(store) for name, store in stores.items()}
    assert len(found["one"]) == 3
    assert found["one"] == found["two"] == found["shards"] == found["ray"]
    resumed = [run.status().resumed for run in RunDirectory.find(stores["ray"])]
    assert sum(resumed) >= 1  # it went on from what had been told, and did not start again


def test_a_cluster_started_here_stops_at_a_checkpoint_and_goes_on(tmp_path: Path) -> None:
    line = f"{RUN} --algos mle --set mle.epochs=400 --engine ray --jobs 1 --checkpoint-every 500"
    command = start(line, tmp_path / "ray")

    def is_running() -> bool:
        return any(run.standing().step > 3 for run in RunDirectory.find(tmp_path / "ray"))

    wait_until(is_running)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal's Ctrl-C does: all of its processes
    printed, _ = command.communicate(timeout=120)
    assert command.returncode == 130, printed
    (run,) = RunDirectory.find(tmp_path / "ray")
    assert run.status().status == "interrupted"
    assert (run.path / "checkpoint.pt").exists() and not run.is_locked()
    end(start(line, tmp_path / "ray"))
    assert run.status().resumed == 1
    end(start(line.replace("--engine ray", ""), tmp_path / "local"))
    assert outcomes(tmp_path / "ray") == outcomes(tmp_path / "local")
