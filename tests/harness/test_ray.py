"""The Ray engine with Ray itself: two nodes on this machine, one of them killed; `tox -e ray`.

The commands are processes of their own. Without Ray all of it is skipped; the engine's own logic
is tested in `tests/harness/test_cluster.py` in any case.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import damage as kinds
import pytest

from textbench.run import host
from textbench.store.directory import RunDirectory

pytestmark = [
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed"),
    pytest.mark.filterwarnings("default"),  # Ray's own
    pytest.mark.timeout(600),
]
SETTINGS = " ".join(f"--set {one}" for one in kinds.SETTINGS if not one.startswith("mle."))
RUN = f"run --task synthetic-tiny --preset ci --device cpu {SETTINGS}"
GRID = f"{RUN} --algos mle,seqgan --set mle.epochs=150"
"""Two runs and a warm-up; the first takes long enough to be killed."""
STORE = 80 * 2**20
"""Bytes of shared memory that a node of these tests takes."""


def start(line: str, results: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "textbench", *shlex.split(line), "--results", str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    """Wait for a command that succeeds; return what it printed."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert "Traceback" not in printed and "raylet" not in printed, printed
    return printed


def outcomes(results: Path) -> dict[str, Any]:
    return {run.name: kinds.outcome(run) for run in RunDirectory.find(results)}


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def node_of(run: RunDirectory, cluster: Any) -> Any:
    """Return the node on which a run is running: its worker's grandparent is the node's raylet."""

    def parent(pid: int) -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    (worker,) = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"textbench.run.worker" in (line := path.read_bytes())
        and host.PREFIX.encode() in line
        and run.name.encode() in line
    ]
    raylet = parent(parent(worker))
    (node,) = [
        node
        for node in cluster.worker_nodes
        if node.all_processes["raylet"][0].process.pid == raylet
    ]
    return node


@pytest.fixture
def nodes() -> Iterator[Any]:
    """Yield a cluster with a head that executes nothing, and two nodes with a core each."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
    yield cluster
    cluster.shutdown()


def test_jobs_shards_and_a_cluster_that_loses_a_node_change_no_number(
    tmp_path: Path, nodes: Any
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
    nodes.remove_node(node_of(running()[0], nodes), allow_graceful=False)
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
