"""What a machine of a cluster is given, and what it must be."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_ray
import pytest
import torch
from fake_worker import make_spec
from one_process import engine, prepare, settle

from textbench.contracts.errors import UserError
from textbench.contracts.task import Kept
from textbench.run import assemble, host, mirror
from textbench.run.host import Versions
from textbench.run.limits import Limits, Terms
from textbench.store import kept


@pytest.fixture(autouse=True)
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, monkeypatch)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_a_full_disk_there_is_one_line(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(actor: fake_ray.Actor, name: str) -> None:
        if name == "start":
            error = OSError(28, "No space left on device", "/x/spec.json")
            raise fake_ray.RayTaskError(error)

    settled = settle(engine(results, fake_ray.Machines(full), monkeypatch), [make_spec("a")])
    assert settled["a"].reason == "spec.json: No space left on device"


def test_limits_hold_elsewhere(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = engine(results, fake_ray.Machines(), monkeypatch, terms=Terms(limits=Limits(idle=2)))
    settled = settle(found, [make_spec("a", "wait")])
    assert (settled["a"].status, settled["a"].reason) == (
        "timeout",
        "no progress for 2 s (--timeout)",
    )


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
    terms = Terms("7s", deadline=time.monotonic() + 500, limits=Limits(memory=10**9))
    found = engine(results, machines, monkeypatch, per_gpu=3, terms=terms)
    calls: list[dict[str, Any]] = []
    look = mirror.Mirror.changes

    def changes(self: mirror.Mirror) -> mirror.Changes:
        path = self.directory.path / "call.json"
        if path.exists():
            call = json.loads(path.read_text())
            calls.append(call)
            (told,) = [a for a in call["argv"] if a.startswith("--plugin=")]
            there = told.removeprefix("--plugin=")
            assert Path(there).read_text() == "x = 1\n" and there != str(plugin)
        return look(self)

    monkeypatch.setattr(mirror.Mirror, "changes", changes)
    assert settle(found, [spec])["a"].status == "done"
    rest = [one for one in calls[0]["argv"][2:] if not one.startswith("--plugin=")]
    told = dict(zip(rest[::2], rest[1::2], strict=True))
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
