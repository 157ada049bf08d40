"""The Ray engine against a cluster in this process: places, losses, limits, what arrives.

`tests/harness/test_ray.py` does it with Ray itself, where that is installed.
"""

from __future__ import annotations

import gc
import os
import signal
import time
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_ray
import pytest
from fake_worker import make_spec
from one_process import engine, left_behind, prepare, settle

from textbench.contracts.spec import Spec
from textbench.run import cluster, mirror
from textbench.run.cluster import RayProcess, with_warmups
from textbench.run.host import Look, Versions
from textbench.run.limits import Terms
from textbench.run.mirror import Changes
from textbench.store.directory import RunDirectory


@pytest.fixture(autouse=True)
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, monkeypatch)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


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
    """The machine dies once the run's progress has arrived; the next one's is waited for, too."""
    seen: list[tuple[str, int]] = []
    died: list[fake_ray.Actor] = []

    def fate(actor: fake_ray.Actor, name: str) -> None:
        if name == "look" and not died and ("running", 3) in seen:
            died.append(actor)
            actor.die()

    machines = fake_ray.Machines(fate)
    spec = make_spec("a", "wait")
    found = engine(results, machines, monkeypatch)

    def tick(active: list[Spec]) -> None:
        status = RunDirectory(spec.directory(results)).standing()
        seen.append((status.status, status.step))
        if len(machines.actors) == 2 and seen[-1] == ("running", 3) and not found.signals:
            os.kill(os.getpid(), signal.SIGTERM)

    settled = settle(found, [spec], tick)
    assert len(machines.actors) == 2
    assert machines.actors[0] is died[0]
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


def test_a_machine_that_falls_silent_is_gone(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is placed anew; one that has no place yet is waited for as long as it takes."""
    monkeypatch.setattr(cluster, "SILENCE", 1.0)
    looked: list[float] = []

    def fate(actor: fake_ray.Actor, name: str) -> None:
        if name == "look":
            looked.append(time.monotonic())

    machines = fake_ray.Machines(fate, is_open=lambda: not looked)
    found = engine(results, machines, monkeypatch, jobs=1)
    reasons = []

    def tick(active: list[Spec]) -> None:
        if len(machines.actors) == 2 and time.monotonic() - looked[0] > 4 and not found.signals:
            reasons.append(RunDirectory(spec.directory(results)).standing().reason)
            os.kill(os.getpid(), signal.SIGTERM)

    spec = make_spec("a", "wait")
    settled = settle(found, [spec], tick)
    assert settled["a"].status == "interrupted" and len(machines.actors) == 2
    assert reasons == ["its machine has not answered for 1 s"]


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
    found = engine(results, machines, monkeypatch, terms=Terms(deadline=time.monotonic() + 1))
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


def test_one_run_under_two_names_is_two_rows(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is a warm-up under a third: each has its own directory."""
    spec = make_spec("a")
    named = [replace(spec, variant=variant) for variant in ("x", "y")]
    dependant = make_spec("dependant", warmup=spec)
    found = with_warmups([*named, dependant])
    assert [one.label for one in found] == ["a:x", "a:y", "a", "dependant"]
    machines = engine(results, fake_ray.Machines(), monkeypatch)
    settled = [one.label for one, _ in machines.map([*named, dependant])]
    assert sorted(settled) == ["a:x", "a:y", "dependant"]


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


@pytest.mark.parametrize("polls", [0, 1, 2, 3])
def test_a_run_that_has_ended_keeps_no_actor(tmp_path: Path, polls: int) -> None:
    """Ray frees an actor's place with its last handle, and the next run waits for that."""

    class Method:
        def __init__(self, actor: Actor, answer: object) -> None:
            self.actor, self.answer = actor, answer

        def remote(self, *given: object) -> object:
            return self.answer

    class Actor:
        def __getattr__(self, name: str) -> Method:
            answers = {"versions": Versions.here(), "look": Look(Changes())}
            return Method(self, answers.get(name))

    ray = SimpleNamespace(
        wait=lambda answers, timeout: (answers, []),
        get=lambda answer: answer,
        put=lambda order: order,
        exceptions=fake_ray,
    )
    run = RunDirectory(make_spec("a").directory(tmp_path))
    run.create(make_spec("a"))
    assert run.acquire()
    actor = Actor()
    order: Any = dict  # nobody reads it
    process, there = RayProcess(ray, actor, run, order, float("inf")), weakref.ref(actor)
    del actor
    for _ in range(polls):
        assert process.poll() is None
    assert there() is not None
    process.kill()
    assert process.poll() is not None
    gc.collect()
    assert there() is None
