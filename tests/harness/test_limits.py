"""Workers that hang, crash, eat memory, fail, or lose their engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import damage as kinds
import pytest
from stores import spec as make_spec

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.plan.arguments import parse_retry, parse_size, parse_timeout
from textbench.plan.sizes import check_memory
from textbench.run import endings, local, worker
from textbench.run.limits import Limits, Terms
from textbench.run.local import LocalEngine
from textbench.run.provenance import PARENT
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status

FAKE = """
import os, signal, sys, time
from pathlib import Path
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status

run = RunDirectory(Path(sys.argv[1]))
assert run.acquire()
behave = run.spec().config["behave"]
with open(run.path / "tries", "a") as handle:
    handle.write("x")
run.write_status(Status("running", step=3, total=9))

def stop(*_):
    run.write_status(Status("interrupted", reason="told to stop", step=3, total=9))
    sys.exit(75)

signal.signal(signal.SIGTERM, signal.SIG_IGN if behave == "deaf" else stop)
if behave in ("hang", "deaf"):
    while True:
        time.sleep(0.02)
if behave == "slow":  # it makes progress, and takes too long in all
    for step in range(10**6):
        run.append("curve.jsonl", {"step": step})
        time.sleep(0.02)
if behave == "crash":
    import ctypes, resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)
if behave == "greedy":
    hoard = bytearray(os.urandom(1) * 300_000_000)
    time.sleep(60)
if behave == "third time" and os.path.getsize(run.path / "tries") < 3:
    run.write_status(Status("failed", reason="bad luck"))
    sys.exit(1)
run.write_status(Status("done"))
"""
Run = Callable[..., Status]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a worker which behaves so, and a good one beside it."""
    monkeypatch.setattr(local, "LOOK", 0.05)
    script = tmp_path / "fake.py"
    script.write_text(FAKE)

    def start(
        behave: str,
        allowed: Limits = Limits(),  # noqa: B008 - frozen
        retries: int = 0,
        written: bool = True,
    ) -> Status:
        specs = [make_spec("mle", config={"behave": one}) for one in (behave, "good")]
        engine = LocalEngine(
            tmp_path / "results",
            jobs=2,
            worker=[sys.executable, str(script)],
            terms=Terms(limits=allowed, retries=retries),
        )
        settled = {spec.hash: status for spec, status in engine.map(specs)}
        assert settled[specs[1].hash].status == "done"
        directory = RunDirectory(specs[0].directory(tmp_path / "results"))
        assert not written or directory.status().status == settled[specs[0].hash].status
        return settled[specs[0].hash]

    return start


def test_a_run_without_progress_is_stopped(run: Run) -> None:
    status = run("hang", Limits(idle=4))
    assert (status.status, status.reason) == ("timeout", "no progress for 4 s (--timeout)")
    assert status.step == 3


def test_who_does_not_stop_is_killed(run: Run) -> None:
    status = run("deaf", Limits(idle=4, grace=0.3))
    assert (status.status, status.reason) == ("timeout", "no progress for 4 s (--timeout)")


def test_a_run_that_takes_too_long_in_all_is_stopped(run: Run) -> None:
    status = run("slow", Limits(idle=60, total=5.0))
    assert (status.status, status.reason) == ("timeout", "still running after 5 s (--timeout)")


def test_a_crash_of_its_own_is_a_failure(run: Run) -> None:
    status = run("crash")
    assert (status.status, status.reason) == ("failed", f"crashed with signal {signal.SIGSEGV:d}")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say")
def test_a_greedy_run_is_stopped_before_the_machine_is_full(run: Run) -> None:
    status = run("greedy", Limits(memory=200_000_000))
    assert status.status == "failed"
    assert "of memory; --memory allows 200 MB" in status.reason


@pytest.mark.parametrize(("retries", "expected"), [(0, "failed"), (1, "failed"), (2, "done")])
def test_failures_are_tried_again_so_often(run: Run, retries: int, expected: str) -> None:
    assert run("third time", retries=retries).status == expected


def test_a_directory_that_cannot_be_used_is_one_run_that_failed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = RunDirectory.create

    def refuse(self: RunDirectory, spec: Spec) -> str:
        if spec.config["behave"] == "refused":
            raise PermissionError(13, "Permission denied", str(self.path / "spec.json"))
        return create(self, spec)

    monkeypatch.setattr(RunDirectory, "create", refuse)
    status = run("refused", written=False)
    assert (status.status, status.reason) == ("failed", "spec.json: Permission denied")


def test_a_worker_whose_engine_is_gone_stops_at_a_checkpoint(tmp_path: Path) -> None:
    """It would train on unseen, and hold its lock against the next command."""
    (spec,) = kinds.specs("0", settings=("mle.epochs=100000",))
    directory = RunDirectory(spec.directory(tmp_path))
    directory.create(spec)
    command = [sys.executable, "-P", "-m", "textbench.run.worker", str(directory.path)]
    environment = {**os.environ, PARENT: str(os.getpid() + 1)}  # not this process
    assert subprocess.run(command, env=environment).returncode == endings.INTERRUPTED
    assert directory.status().status == "interrupted"
    assert (directory.path / "checkpoint.pt").exists()


def test_a_full_disk_is_one_line_and_the_same_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC at each write in turn: nothing lost, nothing double, no traceback."""
    import torch

    from textbench.run.conditions import Conditions
    from textbench.store import files

    (spec,) = kinds.specs("0", settings=("mle.epochs=1",))
    expected = kinds.outcome(kinds.make(tmp_path / "whole", spec))
    directory = RunDirectory(spec.directory(tmp_path / "full"))
    directory.create(spec)
    conditions = Conditions(torch.device("cpu"), checkpoint_steps=2)
    calls = 0
    originals = {name: getattr(files, name) for name in ("replace", "append_line")}

    def failing(name: str, at: int) -> Callable[..., None]:
        def write(path: Path, *arguments: object, **keywords: object) -> None:
            nonlocal calls
            counts = path.name != "status.json"
            calls += counts
            if counts and calls == at:
                raise OSError(28, "No space left on device", str(path))
            originals[name](path, *arguments, **keywords)

        return write

    failures = 0
    for at in range(1, 40):
        calls = 0
        for name in originals:
            monkeypatch.setattr(files, name, failing(name, at))
        code = worker.execute(directory, conditions)
        status = directory.status()
        if code == 0:
            break
        failures += 1
        assert status.status == "failed" and "No space left on device" in status.reason
        assert not status.traceback and "\n" not in status.reason
        assert not list(directory.path.glob(".*.tmp"))
    monkeypatch.undo()
    assert failures > 3
    assert worker.execute(directory, conditions) == 0
    assert kinds.outcome(directory) == expected


def test_a_clock_that_jumps_ends_no_budget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--time-budget goes by the monotonic clock."""
    import torch

    from textbench.run.conditions import Conditions

    (spec,) = kinds.specs("0", settings=("mle.epochs=1",))
    directory = RunDirectory(spec.directory(tmp_path))
    directory.create(spec)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 10**7 * (time.monotonic_ns() % 3 - 1))
    deadline = time.monotonic() + 600
    assert worker.execute(directory, Conditions(torch.device("cpu"), deadline=deadline)) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", (0, 0)), ("10m", (600, 0)), ("10m,6h", (600, 21600)), (",6h", (0, 21600))],
)
def test_timeouts(text: str, expected: tuple[float, float]) -> None:
    assert parse_timeout(text) == expected


@pytest.mark.parametrize("text", ["soon", ",", "1h,", "0", "-1", "1h,2h,3h"])
def test_what_is_no_timeout(text: str) -> None:
    if text == "1h,":
        assert parse_timeout(text) == (3600, 0)
        return
    with pytest.raises(UserError, match="--timeout"):
        parse_timeout(text)


def test_sizes_and_retries() -> None:
    sizes = {"4GB": 4 * 10**9, "500M": 5 * 10**8, "2.5g": 25 * 10**8, "": 0, "77b": 77}
    assert {text: parse_size(text) for text in sizes} == sizes
    for text in ("0", "-1", "much", "4 parsecs", "1e9", "nan", "4", "77"):
        with pytest.raises(UserError, match=r"--memory .* a size with its unit"):
            parse_size(text)
    assert [parse_retry(text) for text in ("", "failed", "3")] == ["", "failed", "3"]
    for text in ("0", "-1", "done", "1000"):
        with pytest.raises(UserError, match="--retry"):
            parse_retry(text)


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ("backbone.hidden=1000000", "backbone.hidden=1000000 would need at least 64,001 GB"),
        (
            f"evaluation.final_samples={10**12}",
            r"evaluation.final_samples=1000000000000 and synthetic-tiny.length=8 would need at "
            "least 64,000 GB, and this machine has 16 GB",
        ),
        (f"evaluation.samples={10**400}", "evaluation.samples=10+ and .* need at least 640,000,"),
        (f"backbone.hidden={10**400}", r"would need at least 6,400(,\d{3}){200}"),
        (f"synthetic-tiny.train_size={10**12}", "tiny.train_size=10+ and .*=8 would need"),
    ],
)
def test_sizes_that_cannot_be_allocated_are_said_before_trying(settings: str, needs: str) -> None:
    (spec,) = kinds.specs("0", settings=(settings,))
    with pytest.raises(UserError, match=needs):
        check_memory(spec, available=16 * 10**9)
    check_memory(kinds.specs("0")[0], available=16 * 10**9)
    check_memory(spec, available=0)  # a system that does not say
