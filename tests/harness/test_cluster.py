"""The Ray engine against a cluster in this process: places, losses, limits, what arrives.

`tests/harness/test_ray.py` does it with Ray itself, where that is installed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_ray
import pytest
import torch
from fake_worker import FAKE, make_spec

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.contracts.task import Kept
from textbench.run import assemble, host, limits, mirror
from textbench.run.cluster import RayEngine, with_warmups
from textbench.run.host import Versions
from textbench.run.limits import Limits
from textbench.store import kept
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status


@pytest.fixture(autouse=True)
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts of these tests execute the fake worker, in folders under ``tmp_path``."""
    script = tmp_path / "worker.py"
    script.write_text(FAKE)
    monkeypatch.setattr(host, "WORKER", (sys.executable, str(script)))
    monkeypatch.setattr(host.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(limits, "LOOK", 0.05)
    monkeypatch.setattr(assemble, "task", lambda spec, store: SimpleNamespace(kept=lambda: None))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def engine(
    results: Path, machines: Any, monkeypatch: pytest.MonkeyPatch, **given: Any
) -> RayEngine:
    monkeypatch.setitem(sys.modules, "ray", machines)
    return RayEngine(results, **given)


def settle(
    found: RayEngine, specs: list[Spec], tick: Any = lambda active: None
) -> dict[str, Status]:
    settled = {spec.label: status for spec, status in found.map(specs, tick)}
    for spec in specs:
        assert not RunDirectory(spec.directory(found.results)).is_locked()
    return settled


def left_behind(results: Path) -> list[Path]:
    return list(results.parent.glob(f"{host.PREFIX}*"))


def test_results_arrive_in_the_store(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = fake_ray.Machines()
    found = engine(results, machines, monkeypatch)
    specs = [make_spec("a"), make_spec("b", "diverged"), make_spec("c", "failed")]
    settled = settle(found, specs)
    assert {k: v.status for k, v in settled.items()} == {
        "a": "done",
        "b": "diverged",
        "c": "failed",
    }
    assert settled["a"].metrics == {"m": 1.5}
    for spec in specs:
        run = RunDirectory(spec.directory(results))
        assert (run.path / "log.txt").read_text() == f"hello from {spec.label}\n"
        assert run.status().status == settled[spec.label].status
    assert not left_behind(results)
    assert machines.initialised["address"] == "local"
    assert machines.initialised["_node_ip_address"] == "127.0.0.1"
    assert found.jobs == 2 and machines.needs["num_cpus"] == 1


def test_a_run_goes_on_elsewhere_when_its_machine_dies(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From what it had told: the fake worker dies by itself unless a file is there."""
    looks = 0

    def fate(actor: fake_ray.Actor, name: str) -> None:
        nonlocal looks
        looks += name == "look"
        if name == "look" and looks == 2:
            actor.die()

    machines = fake_ray.Machines(fate)
    spec = make_spec("a", "wait")
    found = engine(results, machines, monkeypatch)
    seen: list[str] = []

    def tick(active: list[Spec]) -> None:
        status = RunDirectory(spec.directory(results)).standing()
        seen.append(f"{status.status} {status.step}")
        if len(machines.actors) == 2 and looks > 4:
            found.signals = 1
            for job in found._running:
                job.process.terminate()

    settled = settle(found, [spec], tick)
    assert len(machines.actors) == 2
    assert "running 3" in seen
    assert (settled["a"].status, settled["a"].reason) == ("interrupted", "told to stop")


def test_a_run_that_loses_every_machine_is_unfinished(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = fake_ray.Machines(lambda actor, name: actor.die() if name == "look" else None)
    specs = [make_spec("a")]
    settled = settle(engine(results, machines, monkeypatch), specs)
    assert len(machines.actors) == 6  # once, and five times more
    assert (settled["a"].status, settled["a"].reason) == (
        "interrupted",
        "its machine is gone (ActorDiedError)",
    )


def test_an_answer_that_is_lost_on_its_way_is_asked_for_again(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: dict[str, int] = {}

    def fate(actor: fake_ray.Actor, name: str) -> None:
        times[name] = times.get(name, 0) + 1
        if name.startswith("after") and times[name] % 2:
            raise fake_ray.ActorUnavailableError

    machines = fake_ray.Machines(fate)
    spec = make_spec("a")
    settled = settle(engine(results, machines, monkeypatch), [spec])
    assert settled["a"].status == "done"
    assert (spec.directory(results) / "log.txt").read_text() == "hello from a\n"
    assert times["start"] == 2


def test_a_worker_that_crashes_is_no_lost_machine(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = fake_ray.Machines()
    settled = settle(engine(results, machines, monkeypatch), [make_spec("a", "crash")])
    assert (settled["a"].status, settled["a"].reason) == (
        "failed",
        "the worker exited with code 1: luck",
    )
    assert len(machines.actors) == 1


def test_a_full_disk_here_fails_that_run_alone(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = mirror.apply

    def full(directory: RunDirectory, changes: mirror.Changes) -> None:
        if directory.spec().trainer == "a":
            raise OSError(28, "No space left on device", str(directory.path / "curve.jsonl"))
        apply(directory, changes)

    monkeypatch.setattr(mirror, "apply", full)
    found = engine(results, fake_ray.Machines(), monkeypatch)
    settled = settle(found, [make_spec("a", "wait"), make_spec("b")])
    assert settled["a"].reason == "curve.jsonl: No space left on device"
    assert (settled["a"].status, settled["b"].status) == ("failed", "done")
    assert not left_behind(results)  # its worker was ended


def test_a_full_disk_there_is_one_line(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(actor: fake_ray.Actor, name: str) -> None:
        if name == "start":
            error = OSError(28, "No space left on device", "/x/spec.json")
            raise fake_ray.RayTaskError(error)

    settled = settle(engine(results, fake_ray.Machines(full), monkeypatch), [make_spec("a")])
    assert settled["a"].reason == "spec.json: No space left on device"


def test_limits_hold_elsewhere(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = engine(results, fake_ray.Machines(), monkeypatch, limits=Limits(idle=2))
    settled = settle(found, [make_spec("a", "wait")])
    assert (settled["a"].status, settled["a"].reason) == (
        "timeout",
        "no progress for 2 s (--timeout)",
    )


@pytest.mark.parametrize("behave", ["wait", "stubborn"])
def test_signals_stop_workers_elsewhere(
    results: Path, monkeypatch: pytest.MonkeyPatch, behave: str
) -> None:
    found = engine(results, fake_ray.Machines(), monkeypatch, jobs=1)
    spec = make_spec("a", behave)
    sent = 0

    def tick(active: list[Spec]) -> None:
        nonlocal sent
        running = RunDirectory(spec.directory(results)).standing().step == 3
        if running and sent < (1 if behave == "wait" else 2):
            sent += 1
            os.kill(os.getpid(), signal.SIGTERM)

    settled = settle(found, [spec, make_spec("b")], tick)
    reason = "told to stop" if behave == "wait" else "stopped by the user"
    assert (settled["a"].status, settled["a"].reason) == ("interrupted", reason)
    assert settled["b"].status == "queued"
    assert not left_behind(results)


def test_a_run_that_gets_no_place_in_time_is_unfinished(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = fake_ray.Machines(is_open=lambda: False)
    found = engine(results, machines, monkeypatch, deadline=time.monotonic() + 1)
    settled = settle(found, [make_spec("a")])
    assert (settled["a"].status, settled["a"].reason) == ("timeout", "the time budget is used up")


def test_a_signal_does_not_wait_for_a_place(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = fake_ray.Machines(is_open=lambda: False)
    found = engine(results, machines, monkeypatch)
    settled = settle(found, [make_spec("a")], lambda active: os.kill(os.getpid(), signal.SIGINT))
    assert (settled["a"].status, settled["a"].reason) == ("interrupted", "stopped by the user")


def test_warm_ups_that_nobody_named_are_made_here_first(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker elsewhere could not put them into the store."""
    warmup = make_spec("warmup")
    dependant = make_spec("dependant", warmup=warmup)
    assert with_warmups([dependant]) == with_warmups([dependant, warmup]) == [warmup, dependant]
    settled = settle(engine(results, fake_ray.Machines(), monkeypatch), [dependant])
    assert settled.keys() == {"dependant"}
    assert RunDirectory(warmup.directory(results)).status().status == "done"


def test_a_run_of_another_process_is_waited_for(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("a")
    elsewhere = RunDirectory(spec.directory(results))
    elsewhere.create(spec)
    found = engine(results, fake_ray.Machines(), monkeypatch)
    assert elsewhere.acquire()
    assert found.place(spec, RunDirectory(elsewhere.path), 0) is None
    elsewhere.release()


def test_other_versions_are_refused(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Versions("9.9", "1.0", "3.99", "node7")
    monkeypatch.setattr(host.Host, "versions", lambda self: other)
    settled = settle(engine(results, fake_ray.Machines(), monkeypatch), [make_spec("a")])
    assert settled["a"].status == "failed"
    assert settled["a"].reason.startswith("node node7 has textbench 9.9 (here ")
    assert settled["a"].reason.endswith("install the same everywhere")


def test_a_worker_is_told_what_a_local_one_is(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    plugin = tmp_path / "mine.py"
    plugin.write_text("x = 1\n")
    spec = dataclasses.replace(make_spec("a"), plugins=(str(plugin),))
    machines = fake_ray.Machines(resources={"CPU": 8.0, "GPU": 2.0})
    monkeypatch.setenv("TEXTBENCH_DATA", "/data")
    found = engine(
        results, machines, monkeypatch, per_gpu=3, limits=Limits(memory=10**9),
        deadline=time.monotonic() + 500, checkpoint_every="7s",
    )  # fmt: skip
    calls: list[dict[str, Any]] = []
    look = mirror.Mirror.changes

    def changes(self: mirror.Mirror) -> mirror.Changes:
        path = self.directory.path / "call.json"
        if path.exists():
            call = json.loads(path.read_text())
            calls.append(call)
            (told,) = [a for a in call["argv"] if a.endswith("mine.py")]
            assert Path(told).read_text() == "x = 1\n" and told != str(plugin)
        return look(self)

    monkeypatch.setattr(mirror.Mirror, "changes", changes)
    assert settle(found, [spec])["a"].status == "done"
    told = dict(zip(calls[0]["argv"][2::2], calls[0]["argv"][3::2], strict=True))
    assert told["--device"] == "cuda:0" and told["--checkpoint-every"] == "7s"
    assert told["--memory"] == "1000000000"
    assert 0 < float(told["--deadline"]) - time.monotonic() < 500
    assert (
        calls[0]["env"]["OMP_NUM_THREADS"] == "1" and calls[0]["env"]["TEXTBENCH_DATA"] == "/data"
    )
    assert (
        found.jobs == 6 and machines.needs["num_gpus"] * 3 <= 1 < machines.needs["num_gpus"] * 3.01
    )


def test_the_sentences_of_a_text_travel(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = Kept({"vocabulary": ["a", "b"]}, {"train": torch.tensor([[0, 1]])})
    task = SimpleNamespace(kept=lambda: sentences)
    monkeypatch.setattr(assemble, "task", lambda spec, store: task)
    seen: list[Kept | None] = []
    look = mirror.Mirror.changes

    def changes(self: mirror.Mirror) -> mirror.Changes:
        seen.append(kept.kept(self.directory.store, self.directory.spec()))
        return look(self)

    monkeypatch.setattr(mirror.Mirror, "changes", changes)
    spec = make_spec("a")
    assert settle(engine(results, fake_ray.Machines(), monkeypatch), [spec])["a"].status == "done"
    for found in (kept.kept(results, spec), seen[0]):
        assert found is not None and found.described == sentences.described
        assert found.tensors["train"].tolist() == [[0, 1]]


def test_folders_of_hosts_that_died_are_removed_in_time(tmp_path: Path) -> None:
    old, new = tmp_path / f"{host.PREFIX}old", tmp_path / f"{host.PREFIX}new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (1, 1))
    host._sweep()
    assert [path.exists() for path in (old, new)] == [False, True]


def test_versions_that_differ_are_named() -> None:
    here = Versions.here()
    here.check(Versions.here())
    with pytest.raises(UserError, match=r"node n has torch 0 \(here "):
        here.check(Versions(here.textbench, "0", here.python, "n"))
