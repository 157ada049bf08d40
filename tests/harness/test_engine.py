"""The engine against a worker of the tests: it only places processes and believes run directories.

The fake worker does what its spec's config says: nothing of it needs torch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_worker import FAKE, make_spec

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.run.limits import Terms
from textbench.run.local import ENVIRONMENT, LocalEngine, worker_options
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status

Map = Callable[..., dict[str, Status]]


@pytest.fixture
def worker(tmp_path: Path) -> list[str]:
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(FAKE))
    return [sys.executable, str(script)]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def run_all(results: Path, worker: list[str]) -> Map:
    """Return a function that maps specs to ``{label: status}``, in the order of settling."""

    def run(specs: Sequence[Spec], tick: Any = None, jobs: int = 1, **given: Any) -> Any:
        engine = LocalEngine(results, jobs=jobs, worker=worker, **given)
        found = engine.map(specs, tick) if tick else engine.map(specs)
        settled = {spec.label: status for spec, status in found}
        settled_signals.append(engine.signals)
        return settled

    settled_signals: list[int] = []
    return run


def events(results: Path) -> list[str]:
    path = results / "events.txt"
    return path.read_text().splitlines() if path.exists() else []


def names(settled: dict[str, Status]) -> dict[str, str]:
    return {label: status.status for label, status in settled.items()}


# -- the ordinary course ---------------------------------------------------------------------


def test_every_spec_is_run_once_and_its_status_returned(run_all: Map, results: Path) -> None:
    settled = run_all([make_spec("a"), make_spec("b", "diverged")])
    assert names(settled) == {"a": "done", "b": "diverged"}
    assert settled["a"].metrics == {"m": 1.5}
    assert settled["b"].reason == "as told"
    assert events(results) == ["start a", "end a", "start b", "end b"]


def test_what_the_worker_prints_is_appended_to_its_log(run_all: Map, results: Path) -> None:
    spec = make_spec("a", "failed")
    run_all([spec])
    run_all([spec])
    log = spec.directory(results) / "log.txt"
    assert log.read_text() == "hello from a\nhello from a\n"


def test_finished_runs_are_skipped_and_all_others_started_again(
    run_all: Map, results: Path
) -> None:
    behaviours = ("done", "diverged", "failed", "timeout", "once")
    specs = [make_spec(behave, behave) for behave in behaviours]
    first = run_all(specs)
    assert names(first) == {b: b if b != "once" else "interrupted" for b in behaviours}
    assert first["once"].reason == "killed by signal 9"
    (results / "events.txt").unlink()
    second = run_all(specs)
    assert names(second) == {b: b if b != "once" else "done" for b in behaviours}
    started = [line for line in events(results) if line.startswith("start")]
    assert started == ["start failed", "start timeout", "start once"]


def test_a_killed_worker_leaves_its_progress_and_the_reason(run_all: Map, results: Path) -> None:
    spec = make_spec("a", "once")
    run_all([spec])
    status = RunDirectory(spec.directory(results)).status()
    assert (status.status, status.reason) == ("interrupted", "killed by signal 9")
    assert (status.step, status.total) == (3, 9)


def test_a_crash_without_a_status_is_a_failure_with_its_last_line(
    run_all: Map, results: Path
) -> None:
    spec = make_spec("a", "crash")
    (status,) = run_all([spec]).values()
    assert status.status == "failed"
    assert status.reason == "the worker exited with code 1: luck"
    assert RunDirectory(spec.directory(results)).status().status == "failed"


def test_exit_code_0_without_a_finished_run_is_a_failure(run_all: Map) -> None:
    (status,) = run_all([make_spec("a", "lies")]).values()
    assert (status.status, status.reason[:31]) == ("failed", "the worker exited with code 0: ")


def test_worker_is_told_device_checkpoints_and_deadline(run_all: Map, results: Path) -> None:
    specs = [make_spec(name, "meet") for name in "ab"]
    deadline = 4e9
    run_all(specs, jobs=2, devices=["d0", "d1"], terms=Terms("7s", deadline))
    calls = [json.loads((s.directory(results) / "call.json").read_text()) for s in specs]
    for call, spec, device in zip(calls, specs, ("d0", "d1"), strict=True):
        assert call["argv"][1:] == [
            str(spec.directory(results)),
            "--device",
            device,
            "--checkpoint-every",
            "7s",
            "--deadline",
            str(deadline),
        ]
        assert ENVIRONMENT.items() <= call["env"].items()
        assert call["env"]["OMP_NUM_THREADS"] == "1"
        assert call["env"]["PATH"] == os.environ["PATH"]


def test_a_store_may_be_called_like_an_option(
    tmp_path: Path, worker: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec, store = make_spec("a"), Path("--dash")
    engine = LocalEngine(store, jobs=1, worker=worker, terms=Terms("7s"))
    assert [status.status for _, status in engine.map([spec])] == ["done"]
    call = json.loads((spec.directory(store) / "call.json").read_text())
    assert call["argv"][1] == str(spec.directory(tmp_path / store))
    assert worker_options("cpu", ["-p.py"], Terms("7s"))[-1] == "--plugin=-p.py"


def test_a_store_that_is_moved_meanwhile_is_said_to_be_gone(run_all: Map, results: Path) -> None:
    spec, moved = make_spec("a", "meet"), results.with_name("moved")

    def tick(running: list[Spec]) -> None:
        if (spec.directory(results) / "call.json").exists():  # its status is written by then
            results.rename(moved)

    (status,) = run_all([spec], tick).values()
    gone = f"{spec.directory(results)} is gone: moved or removed while it ran; "
    assert (status.status, status.reason) == (
        "failed",
        gone + "--results NEW-PLACE goes on there",
    )
    assert not results.exists()
    assert RunDirectory(spec.directory(moved)).status().status == "interrupted"


# -- jobs and warm-ups -----------------------------------------------------------------------


def test_jobs_run_at_the_same_time(run_all: Map) -> None:
    assert names(run_all([make_spec(n, "meet") for n in "ab"], jobs=2)) == {
        "a": "done",
        "b": "done",
    }


def test_no_more_than_jobs_run_at_once(run_all: Map, results: Path) -> None:
    run_all([make_spec(name) for name in "abcde"], jobs=2)
    running = most = 0
    for line in events(results):
        running += {"start": 1, "end": -1}[line.split()[0]]
        most = max(most, running)
    assert len(events(results)) == 10 and most <= 2


def test_a_run_waits_for_its_warm_up_but_others_do_not(run_all: Map, results: Path) -> None:
    warmup = make_spec("warmup")
    specs = [warmup, make_spec("dependant", warmup=warmup), make_spec("other")]
    assert names(run_all(specs, jobs=3)).keys() == {"warmup", "dependant", "other"}
    order = events(results)
    assert order.index("end warmup") < order.index("start dependant")
    assert order.index("start other") < order.index("start dependant")


@pytest.mark.parametrize("behave", ["failed", "diverged"])
def test_a_failed_warm_up_fails_its_dependants_unstarted(
    run_all: Map, results: Path, behave: str
) -> None:
    warmup = make_spec("warmup", behave)
    dependant = make_spec("dependant", warmup=warmup)
    settled = run_all([warmup, dependant])
    assert names(settled) == {"warmup": behave, "dependant": "failed"}
    name = RunDirectory(warmup.directory(results)).name
    assert settled["dependant"].reason == f"its warm-up {name} {behave}: as told"
    assert RunDirectory(dependant.directory(results)).status().status == "failed"
    assert "start dependant" not in events(results)


def test_an_unfinished_warm_up_leaves_its_dependants_queued(run_all: Map, results: Path) -> None:
    warmup = make_spec("warmup", "timeout")
    settled = run_all([warmup, make_spec("dependant", warmup=warmup)])
    assert names(settled) == {"warmup": "timeout", "dependant": "queued"}
    assert events(results) == ["start warmup", "end warmup"]


def test_a_warm_up_outside_this_shard_is_the_workers_business(run_all: Map) -> None:
    dependant = make_spec("dependant", warmup=make_spec("warmup"))
    assert names(run_all([dependant])) == {"dependant": "done"}


def test_a_run_of_another_process_is_waited_for(run_all: Map, results: Path) -> None:
    spec = make_spec("a")
    elsewhere = RunDirectory(spec.directory(results))
    elsewhere.create(spec)
    assert elsewhere.acquire()
    elsewhere.write_status(Status("running"))
    seen: list[list[str]] = []

    def tick(active: list[Spec]) -> None:
        seen.append([spec.label for spec in active])
        if len(seen) == 3:
            elsewhere.write_status(Status("done", metrics={"m": 2.0}))
            elsewhere.release()

    settled = run_all([spec], tick)
    assert settled["a"].metrics == {"m": 2.0}
    assert seen[:3] == [["a"]] * 3
    assert events(results) == []


# -- stopping --------------------------------------------------------------------------------


def stop_when(results: Path, line: str, number: int) -> Callable[[list[Spec]], None]:
    """Return a tick that sends ``number`` to this process once for every ``line`` so far."""
    sent: list[str] = []

    def tick(active: list[Spec]) -> None:
        if len(sent) < events(results).count(line):
            sent.append(line)
            os.kill(os.getpid(), number)

    return tick


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_workers_at_their_checkpoints(
    results: Path, worker: list[str], number: int
) -> None:
    before = signal.getsignal(signal.SIGINT)
    engine = LocalEngine(results, jobs=1, worker=worker)
    specs = [make_spec("a", "wait"), make_spec("b")]
    found = engine.map(specs, stop_when(results, "ready a", number))
    settled = {spec.label: status for spec, status in found}
    assert engine.signals == 1
    assert names(settled) == {"a": "interrupted", "b": "queued"}
    assert settled["a"].reason == "told to stop"
    assert settled["a"].step == 7
    assert events(results) == ["start a", "ready a", "end a"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_signal_does_not_wait(results: Path, worker: list[str]) -> None:
    engine = LocalEngine(results, jobs=1, worker=worker)
    ready = stop_when(results, "ready a", signal.SIGINT)
    ignored = stop_when(results, "ignored a", signal.SIGINT)
    found = engine.map([make_spec("a", "stubborn")], lambda a: (ready(a), ignored(a))[0])
    ((_, status),) = found
    assert engine.signals == 2
    assert (status.status, status.reason) == ("interrupted", "stopped by the user")


def test_workers_do_not_outlive_an_abandoned_engine(results: Path, worker: list[str]) -> None:
    spec = make_spec("a", "wait")
    engine = LocalEngine(results, jobs=2, worker=worker)

    def tick(active: list[Spec]) -> None:
        if "ready a" in events(results):
            raise RuntimeError("the table broke")

    with pytest.raises(RuntimeError, match="the table broke"):
        list(engine.map([spec], tick))
    assert not RunDirectory(spec.directory(results)).is_locked()
    assert events(results)[-1] == "end a"


def test_nothing_starts_after_the_deadline(run_all: Map, results: Path) -> None:
    done = make_spec("done")
    run_all([done])
    settled = run_all([done, make_spec("late")], terms=Terms(deadline=1.0))
    assert names(settled) == {"done": "done", "late": "queued"}
    assert "start late" not in events(results)


def test_an_unwritable_store_is_one_line(results: Path, worker: list[str]) -> None:
    results.write_text("a file, not a folder")
    engine = LocalEngine(results, jobs=1, worker=worker)
    with pytest.raises(UserError, match=r"cannot write results to .*: Not a directory"):
        list(engine.map([make_spec("a")]))
