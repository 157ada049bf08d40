"""Minutes of killing: commands of every kind on one store, and nothing is lost or double."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import damage as kinds
import pytest

from textbench.plan import registry
from textbench.store.directory import RunDirectory
from textbench.store.read import read_store

KILLS = 30
ALGORITHMS = [name for name in registry.names("trainer") if not name.startswith("real")]
OPTIONS = "".join(f" --set {setting}" for setting in kinds.SETTINGS)
RUN = f"run --algos {','.join(ALGORITHMS)} --task synthetic-tiny --preset ci --device cpu{OPTIONS}"
EVALUATE = "evaluate --device cpu --metrics nll_test --alpha 0.5:2.0:0.1"


def start(line: str, results: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "textbench", *shlex.split(line), "--results", str(results)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def outcomes(results: Path) -> dict[str, Any]:
    assert read_store(results).unreadable == {}
    return {run.name: kinds.outcome(run) for run in RunDirectory.find(results)}


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_kills_of_every_command_lose_and_double_nothing(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311 - not for cryptography
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    assert start(f"{RUN} --jobs 2", calm).wait() == 0
    lines = [
        f"{RUN} --jobs 2 --checkpoint-every 2",
        f"{RUN} --jobs 1 --checkpoint-every 1",
        EVALUATE,
        f"report --out {tmp_path / 'report'}",
    ]
    for kill in range(KILLS):
        chosen = [lines[0], *chance.sample(lines, k=kill % 3)]  # up to three at a time
        processes = [start(line, stormy) for line in chosen]
        time.sleep(chance.uniform(4.0, 14.0))
        for process in processes:
            if process.poll() is None:  # the engine and all its workers
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert start(f"{RUN} --jobs 2", stormy).wait() == 0
    assert outcomes(stormy) == outcomes(calm)
    assert start(EVALUATE, stormy).wait() == 0
    for run in RunDirectory.find(stormy):
        alphas = [row["alpha"] for row in run.later()]
        assert len(alphas) == len(set(alphas)) == 16


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_jobs_and_shards_change_no_number(tmp_path: Path) -> None:
    """One job, two jobs, and two shards at once in one store."""
    line = RUN.replace(",".join(ALGORITHMS), "mle,cot,seqgan") + " --seeds 0:2"
    stores = [tmp_path / name for name in ("one", "two", "shards")]
    assert start(f"{line} --jobs 1", stores[0]).wait() == 0
    assert start(f"{line} --jobs 2", stores[1]).wait() == 0
    shards = [start(f"{line} --jobs 1 --shard {i}/2", stores[2]) for i in range(2)]
    assert [process.wait() for process in shards] == [0, 0]
    found = [outcomes(store) for store in stores]
    assert len(found[0]) == 8  # SeqGAN has a warm-up of its own
    assert found[0] == found[1] == found[2]
