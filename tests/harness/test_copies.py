"""Copies: of a run's folder in its store, of a run alone, of a store while a run is under way."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stores import make_run, points, spec

from textbench.cli import cli
from textbench.contracts.errors import UserError
from textbench.store.directory import RunDirectory
from textbench.store.read import read_store
from textbench.store.rows import Status


def call(*words: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, words)), prog_name="textbench")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two seeds of a row."""
    for seed in (0, 1):
        make_run(tmp_path / "results", spec(seed=seed), points(3.0, 2.0))
    return tmp_path / "results"


def name_of(seed: int = 0) -> str:
    return f"synthetic/mle/s{seed}-{spec(seed=seed).hash[:8]}"


@pytest.mark.parametrize("what", ["run", "row", "task"])
def test_a_copy_is_no_further_seed(store: Path, what: str) -> None:
    run = store / name_of()
    place = {
        "run": store / "synthetic" / "backup" / run.name,
        "row": store / "synthetic" / "mle-backup",
        "task": store / "backup",
    }[what]
    shutil.copytree({"run": run, "row": run.parent, "task": store / "synthetic"}[what], place)
    found = read_store(store)
    assert [one.name for one in found.runs] == sorted(map(name_of, (0, 1)))
    assert len(found.unreadable) == (1 if what == "run" else 2)
    for copy, reason in found.unreadable.items():
        assert "backup" in copy
        assert reason.startswith(f"it is synthetic/mle/{Path(copy).name}, copied or moved; ")
    shown = call("status", "--results", store).output
    assert "2 done" in shown and f"{len(found.unreadable)} damaged" in shown


def test_the_owner_of_a_run_does_not_own_its_copy(store: Path) -> None:
    """A store that is copied while a run is under way."""
    run = RunDirectory(store / name_of())
    run.write_status(Status("running"))
    assert run.acquire()
    try:
        other = Path(shutil.copytree(store, store.parent / "copy"))
        copy = RunDirectory(other / name_of())
        assert run.is_locked() and RunDirectory(run.path).is_locked()
        assert not copy.is_locked() and copy.status().status == "interrupted"
        assert copy.acquire()
        copy.release()
        assert not run.is_lost() and not RunDirectory(run.path).acquire()
        moved = store.rename(store.parent / "moved") / name_of()
        assert RunDirectory(moved).is_locked()
    finally:
        run.release()


@pytest.mark.parametrize("told", ["nothing", "no inodes"])
def test_an_owner_that_names_no_folder_owns_this_one(
    store: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    run = RunDirectory(store / name_of())
    if told == "no inodes":
        monkeypatch.setattr("textbench.store.lock.Lock._place", lambda self: {})
    assert run.acquire()
    owner = run.read_json("owner.json")
    left = {key: value for key, value in owner.items() if key not in ("device", "inode")}
    (run.path / "owner.json").write_text(json.dumps(left), encoding="utf-8")
    assert RunDirectory(run.path).is_locked()
    run.release()


@pytest.mark.parametrize("place", [".", "synthetic", "synthetic/mle"])
def test_a_link_to_itself_hides_no_run(store: Path, place: str) -> None:
    (store / place / "loop").symlink_to("loop")
    found = read_store(store)
    assert [run.name for run in found.runs] == [name_of(0), name_of(1)] and not found.unreadable


@pytest.mark.skipif(sys.platform != "linux", reason="where names may be any bytes")
def test_a_folder_whose_name_is_no_text_is_left_out_in_words(store: Path) -> None:
    target = os.fsencode(store / "synthetic") + b"/m\xffe"
    shutil.copytree(store / "synthetic" / "mle", os.fsdecode(target))
    found = read_store(store)
    assert len(found.runs) == 2
    assert sorted(found.unreadable) == sorted(
        name_of(seed).replace("mle", "m\\xffe") for seed in (0, 1)
    )
    for line in (
        ("export", "--zip", store / "all.zip", "--results", store),
        ("report", "--out", store / "report", "--results", store),
        ("status", "--json", "--results", store),
    ):
        done = call(*line)
        assert isinstance(done.exception, SystemExit | None), done.exception


def test_a_run_alone_is_shown_wherever_it_lies(tmp_path: Path) -> None:
    warmed = make_run(tmp_path / "results", spec("seqgan", warmup=spec()), points(2.0))
    place = shutil.copytree(warmed.path, tmp_path / "elsewhere" / warmed.path.name)
    done = call("show", place)
    assert done.exit_code == 0 and "Warm-up" in done.output, done.output


def test_a_run_alone_is_of_the_task_that_its_record_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textbench.cli.evaluate import check_settings

    run = make_run(tmp_path / "results", spec(), points(2.0))
    folder = tmp_path / run.path.name
    shutil.copytree(run.path, folder)
    monkeypatch.chdir(tmp_path)
    alone = RunDirectory(Path(run.path.name), alone=True)
    check_settings({spec().task: {"train_size": 64}}, [alone])
    with pytest.raises(UserError, match="no run here is of task text"):
        check_settings({"text": {}}, [alone])
    (folder / "spec.json").write_text("{")
    with pytest.raises(UserError, match="no run here is of task"):
        check_settings({spec().task: {}}, [alone])


def test_a_run_near_the_root_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `/elsewhere/s0-...`, whose folder has no third one above it."""
    from textbench.cli.recorded import show_run

    warmed = make_run(tmp_path / "results", spec("seqgan", warmup=spec()), points(2.0))
    folder = tmp_path / warmed.path.name
    shutil.copytree(warmed.path, folder)
    monkeypatch.chdir(tmp_path)
    show_run(RunDirectory(Path(warmed.path.name), alone=True))
