"""The run directory and the spec: what a crash leaves, who holds the lock, what is identity."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import spec as make_spec

from textbench.contracts import spec as specs
from textbench.contracts.spec import Spec
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "synthetic" / "mle" / "s0-abc")
    run.create(make_spec())
    return run


# -- files ---------------------------------------------------------------------------------------


def test_a_plugin_that_was_moved_is_found_at_its_new_place(tmp_path: Path) -> None:
    """An existing directory keeps its spec; only plug-in files that are gone give way."""
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.touch()
    first = make_spec(plugins=(str(old),), variant="said first")
    again = make_spec(plugins=(str(new),), variant="said later")
    run = RunDirectory(tmp_path / "run")
    run.create(first)
    run.create(again)
    assert run.spec() == first
    old.rename(new)
    run.create(again)
    assert run.spec() == replace(first, plugins=(str(new),))
    assert run.read_json("spec.json")["hash"] == first.hash == again.hash


def test_a_new_directory_is_queued_and_holds_its_spec(directory: RunDirectory) -> None:
    assert directory.spec() == make_spec()
    assert directory.read_json("spec.json")["hash"] == make_spec().hash
    assert directory.status() == replace(Status("queued"), heartbeat=directory.status().heartbeat)
    assert directory.name == "synthetic/mle/s0-abc"


def test_creating_again_changes_nothing(directory: RunDirectory) -> None:
    """The same run under another preset's name keeps its first labels and its status."""
    directory.write_status(Status("done"))
    directory.create(make_spec(preset="paper"))
    assert directory.spec().preset == "quick"
    assert directory.status().status == "done"


def test_runs_are_found_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b/mle/s1-x", "a/mle/s0-x", "a/cot/s0-x"):
        RunDirectory(tmp_path / name).create(make_spec())
    (tmp_path / "a" / "mle" / "stray").mkdir()
    found = [run.name for run in RunDirectory.find(tmp_path)]
    assert found == ["a/cot/s0-x", "a/mle/s0-x", "b/mle/s1-x"]
    assert list(RunDirectory.find(tmp_path / "absent")) == []


def test_a_file_is_replaced_whole(directory: RunDirectory) -> None:
    directory.replace("checkpoint.pt", b"old")
    with open(directory.path / "checkpoint.pt", "rb") as reader:
        directory.replace("checkpoint.pt", b"new" * 1000)
        assert reader.read() == b"old"  # who has it open goes on reading the old one
    assert (directory.path / "checkpoint.pt").read_bytes() == b"new" * 1000
    assert not list(directory.path.glob(".checkpoint.pt*"))


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_crash_while_replacing_leaves_the_old_file(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    directory.replace("checkpoint.pt", b"old")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"textbench.store.directory.os.{fails}", crash)
    with pytest.raises(KeyboardInterrupt):
        directory.replace("checkpoint.pt", b"new")
    assert (directory.path / "checkpoint.pt").read_bytes() == b"old"


def test_readers_never_see_half_a_status(directory: RunDirectory) -> None:
    """A child writes as fast as it can; every read parses."""

    def write() -> None:
        while True:
            directory.write_status(Status("running", traceback="x" * 20_000))

    with child(write):
        for _ in range(300):
            directory.read_json("status.json")


def test_rows_are_appended_and_read_back(directory: RunDirectory) -> None:
    assert directory.rows("curve.jsonl") == []
    assert directory.offset("curve.jsonl") == 0
    rows = [{"step": i, "values": {"nll": 0.1 * i}} for i in range(3)]
    for row in rows:
        directory.append("curve.jsonl", row)
    assert directory.rows("curve.jsonl") == rows


@given(cut=st.integers(1, 60))
def test_a_line_cut_off_by_a_crash_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    for i in range(2):
        run.append("curve.jsonl", {"step": i, "text": "äöü" * 3})
    whole = (run.path / "curve.jsonl").read_bytes()
    second = whole.index(b"\n") + 1
    end = min(second + cut, len(whole) - 1)
    (run.path / "curve.jsonl").write_bytes(whole[:end])
    assert [row["step"] for row in run.rows("curve.jsonl")] == [0]


@pytest.mark.parametrize("left", [b"", b'{"step": 2, "che', b'{"step": 2}', b"x", b"[]"])
def test_a_last_line_that_lacks_its_newline_alone_is_a_line(
    directory: RunDirectory, left: bytes
) -> None:
    """As an editor leaves it; its checksum shows that it is whole."""
    rows = [{"step": step, "checksum": specs.digest({"step": step})} for step in (0, 1)]
    name = "evaluations.jsonl"
    for row in rows:
        directory.append(name, row)
    path = directory.path / name
    path.write_bytes(path.read_bytes() + left if left else path.read_bytes().rstrip(b"\n"))
    assert directory.rows(name) == rows
    RunDirectory(directory.path).append(name, {"step": 3})
    assert directory.rows(name) == [*rows, {"step": 3}]


def test_not_a_number_cannot_be_logged(directory: RunDirectory) -> None:
    """JSON has no NaN; a missing value is null with a reason."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        directory.append("metrics.jsonl", {"value": float("nan")})
    assert directory.rows("metrics.jsonl") == []


def test_truncating_drops_what_came_after_the_checkpoint(directory: RunDirectory) -> None:
    directory.append("curve.jsonl", {"step": 1})
    offset = directory.offset("curve.jsonl")
    directory.append("curve.jsonl", {"step": 2})
    directory.truncate("curve.jsonl", offset)
    directory.append("curve.jsonl", {"step": 3})
    assert [row["step"] for row in directory.rows("curve.jsonl")] == [1, 3]
    directory.truncate("absent.jsonl", 0)
    assert not (directory.path / "absent.jsonl").exists()


# -- the lock --------------------------------------------------------------------------------------


@contextmanager
def child(work: Any) -> Iterator[int]:
    """Run ``work`` in another process, and kill that process in the end."""
    process = FORK.Process(target=work)
    process.start()
    assert process.pid is not None
    try:
        yield process.pid
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()


@contextmanager
def held_by_another(directory: RunDirectory) -> Iterator[int]:
    """Another process holds the lock, and says that it is running."""
    ours, theirs = FORK.Pipe()

    def hold(pipe: Connection) -> None:
        mine = RunDirectory(directory.path)
        acquired = mine.acquire()
        mine.write_status(Status("running", step=7))
        pipe.send(acquired)
        signal.pause()

    with child(lambda: hold(theirs)) as pid:
        assert ours.recv() is True
        yield pid


def test_one_process_holds_the_lock(directory: RunDirectory) -> None:
    with held_by_another(directory):
        assert not directory.acquire()
        assert directory.is_locked()
        assert directory.status().status == "running"
    assert directory.acquire()
    assert directory.is_locked()
    directory.release()
    assert not directory.is_locked()
    directory.release()  # twice is once


def test_a_killed_process_leaves_the_lock_and_reads_as_interrupted(
    directory: RunDirectory,
) -> None:
    with held_by_another(directory) as pid:
        os.kill(pid, signal.SIGKILL)
    status = directory.status()
    assert (status.status, status.reason, status.step) == ("interrupted", "its process is gone", 7)
    assert directory.read_json("status.json")["status"] == "running"  # reading writes nothing


def test_looking_does_not_take_the_lock(directory: RunDirectory) -> None:
    other = RunDirectory(directory.path)
    assert other.acquire()
    assert directory.is_locked()
    other.release()
    assert not directory.is_locked()
    assert other.acquire()
    other.release()


def test_a_run_that_ends_between_two_looks_is_not_interrupted(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write_status(Status("running"))

    def ends_now(_: RunDirectory) -> bool:
        directory.write_status(Status("done"))
        return False

    monkeypatch.setattr(RunDirectory, "is_locked", ends_now)
    assert directory.status().status == "done"


@pytest.mark.parametrize("name", ["queued", "done", "failed", "diverged", "timeout", "interrupted"])
def test_other_states_need_no_process(directory: RunDirectory, name: Any) -> None:
    directory.write_status(Status(name, reason="because"))
    assert (directory.status().status, directory.status().reason) == (name, "because")


def test_a_directory_without_a_status_is_queued(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path).status().status == "queued"


# -- specs -----------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
values = scalars | st.floats(allow_nan=False, allow_infinity=False)
options = st.dictionaries(st.text(min_size=1, max_size=5), values | st.lists(values, max_size=3))
base_specs = st.builds(
    Spec,
    trainer=st.sampled_from(["mle", "cot"]),
    version=st.integers(1, 3),
    config=options,
    task=st.just("synthetic"),
    task_config=options,
    task_fingerprint=st.text("0123456789abcdef", min_size=4, max_size=4),
    backbone=options,
    evaluation=options,
    seed=st.integers(0, 10**9),
    variant=st.sampled_from(["", "head"]),
    preset=st.sampled_from(["quick", ""]),
    overrides=options,
    plugins=st.lists(st.text(max_size=4), max_size=2).map(tuple),
)
all_specs = base_specs | st.builds(lambda s, w: replace(s, warmup=w), base_specs, base_specs)


@settings(max_examples=20)
@given(all_specs)
def test_a_spec_survives_json(spec: Spec) -> None:
    restored = Spec.from_json(json.loads(json.dumps(spec.to_json())))
    assert restored == spec
    assert restored.hash == spec.hash
    assert restored.group == spec.group


LABELS: dict[str, Any] = {
    "variant": "head",
    "preset": "paper",
    "overrides": {"mle.lr": 1.0},
    "plugins": ("mine.py",),
    "task_note": "a note",
    "oracle": "published",
    "own_generator": True,
    "fresh_data": True,
    "title": "CoT",
    "preset_summary": "all of it",
}
IDENTITY: dict[str, Any] = {
    "trainer": "cot",
    "version": 2,
    "config": {"epochs": 4},
    "task": "synthetic-tiny",
    "task_fingerprint": "0" * 64,
    "backbone": {"embedding": 32, "hidden": 33},
    "evaluation": {"every": 2, "samples": 100},
    "seed": 1,
    "warmup": make_spec(),
    "metrics": {"bleu": {"references": 500}},
    "alpha": 1.5,
}
NAMED_BY_ITS_FINGERPRINT = {"task_config"}
FIELDS = {field.name for field in dataclasses.fields(Spec)}


def test_every_field_is_either_identity_or_a_label() -> None:
    """A new field must be decided upon, here and in `Spec.identity`."""
    assert {*LABELS, *IDENTITY} | NAMED_BY_ITS_FINGERPRINT >= FIELDS


@pytest.mark.parametrize("field", sorted(IDENTITY.keys() & FIELDS))
def test_what_moves_the_numbers_moves_the_hash(field: str) -> None:
    changed = make_spec(**{field: IDENTITY[field]})
    assert changed.hash != make_spec().hash
    assert (changed.group != make_spec().group) == (field != "seed")
    assert changed.directory(Path()) != make_spec().directory(Path())


@pytest.mark.parametrize("field", sorted(LABELS.keys() & FIELDS))
def test_labels_do_not(field: str) -> None:
    changed = make_spec(**{field: LABELS[field]})
    assert changed.hash == make_spec().hash
    assert changed.group == make_spec().group


def test_the_group_ignores_the_warm_ups_seed_as_well_and_nothing_else_of_it() -> None:
    def warmed(seed: int, **changes: Any) -> Spec:
        return make_spec("seqgan", seed, warmup=make_spec(seed=seed, **changes))

    assert warmed(0).group == warmed(1).group
    assert warmed(0).hash != warmed(1).hash
    assert warmed(0).group != warmed(0, config={"epochs": 9}).group
    assert warmed(0).hash != warmed(0, config={"epochs": 9}).hash


@given(options)
def test_the_order_of_keys_is_not_identity(config: dict[str, Any]) -> None:
    backwards = dict(reversed(config.items()))
    assert make_spec(config=config).hash == make_spec(config=backwards).hash


def test_the_hash_is_the_same_in_every_version() -> None:
    """A change here would start every finished run anew."""
    assert make_spec().hash == "e120073aff03b329acf0a1fc0897caa390c4f1c4a159a4941637ff4130d23795"
    assert (
        make_spec(warmup=make_spec()).group
        == "0cf52253afd20de358d77b6b6a52e1ae918357eb4113b4e056dcb225a4b7e243"
    )


def test_a_config_with_nan_has_no_identity() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        specs.digest({"lr": float("nan")})


def test_the_directorys_name_tells_task_row_seed_and_hash() -> None:
    spec = make_spec("cot", 3, variant="head")
    assert spec.label == "cot:head"
    assert spec.directory(Path("results")) == Path(f"results/synthetic/cot-head/s3-{spec.hash[:8]}")
    assert make_spec().label == "mle"
