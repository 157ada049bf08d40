"""A run from the command line where the system lacks what Linux has; nothing here has other ones.

A `sitecustomize` takes the calls away from every process, the workers included, before any of
our code is loaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NO_PROC = """
import os, pathlib
with open(pathlib.Path(__file__).with_name("loaded"), "a") as seen:
    seen.write("one process\\n")

def without_proc(name, absent):
    original = getattr(pathlib.Path, name)
    def call(self, *arguments, **options):
        return absent() if str(self).startswith("/proc") else original(self, *arguments, **options)
    setattr(pathlib.Path, name, call)

def missing(*_, **__):
    raise FileNotFoundError(2, "No such file or directory")

without_proc("exists", lambda: False)
without_proc("read_text", missing)
readlink = os.readlink
os.readlink = lambda path, **given: missing() if "/proc" in str(path) else readlink(path, **given)
"""
MACOS = NO_PROC + "del os.sched_getaffinity\n"
WINDOWS = (
    NO_PROC
    + """
import asyncio  # that of Linux, which looks for os.sysconf when it is imported from 3.14 on
import signal, subprocess, sys
sys.modules.update(fcntl=None, resource=None)
del os.sched_getaffinity, os.sysconf, os.statvfs
del os.O_NOFOLLOW, os.O_NONBLOCK, os.O_CLOEXEC, os.killpg, signal.SIGKILL, signal.SIGHUP
"""
)
RUN = "run --algos mle --preset ci --task synthetic-tiny --device cpu"


@pytest.mark.parametrize("taken_away", [MACOS, WINDOWS], ids=["macOS", "Windows"])
def test_a_run_where_calls_are_missing(tmp_path: Path, taken_away: str) -> None:
    """Without `--jobs`, so that the cores are counted."""
    (tmp_path / "sitecustomize.py").write_text(taken_away, encoding="utf-8")

    def textbench(words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "textbench", *words.split()],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    textbench(RUN)
    assert len((tmp_path / "loaded").read_text("utf-8").splitlines()) >= 2, "not in the worker"
    assert textbench("status --verify") == "1 run read, 0 damaged\n"
