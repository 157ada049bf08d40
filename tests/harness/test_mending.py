"""What damage, a power loss or a broken checkpoint leaves is mended by `run`, to the same bits."""

from __future__ import annotations

import errno
import os
import shutil
from functools import cache
from pathlib import Path

import damage as kinds
import pytest
import torch
from damaged_stores import Store, call

from textbench.cli.dry_run import say_what_would_run
from textbench.run import checkpoint, worker
from textbench.run.conditions import Conditions
from textbench.run.local import LocalEngine
from textbench.store import files
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.store.read import read_store
from textbench.store.rows import CHECKPOINT, LOGS, PREVIOUS

CPU = torch.device("cpu")
SLOWLY = [pytest.mark.slow, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("damage"))


# -- mending -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["metrics.jsonl", "curve.jsonl", "generator.pt", "status.json"])
@pytest.mark.parametrize(
    "kind", ["absent", "empty", "cut at 50%", "a block of NUL", "another run's"]
)
def test_run_makes_a_damaged_run_again(store: Store, tmp_path: Path, name: str, kind: str) -> None:
    results = store.copy(tmp_path)
    (spec, other) = kinds.specs()
    run, neighbour = (RunDirectory(one.directory(results)) for one in (spec, other))
    expected, beside = kinds.outcome(run), kinds.outcome(neighbour)
    kinds.ANY[kind](run.path / name, neighbour.path / name)
    assert (
        not (run.standing().status == "done" and name == "status.json") or kind == "another run's"
    )
    run.create(spec)
    assert worker.execute(run, Conditions(CPU)) == 0, run.status()
    assert kinds.outcome(run) == expected
    assert kinds.outcome(neighbour) == beside
    assert read_store(results).unreadable == {}
    assert call("status --verify", results).exit_code == 0


def test_a_finished_run_that_lost_its_status_is_not_trained_again(
    store: Store, tmp_path: Path
) -> None:
    results = store.copy(tmp_path)
    (spec, _) = kinds.specs()
    run = RunDirectory(spec.directory(results))
    (run.path / "status.json").unlink()
    before = (run.path / "metrics.jsonl").read_bytes()
    run.create(spec)
    assert worker.execute(run, Conditions(CPU)) == 0
    assert (run.path / "metrics.jsonl").read_bytes() == before
    assert run.status().status == "done" and run.status().checksums


@pytest.mark.parametrize("name", ["metrics.jsonl", "generator.pt"])
def test_what_may_not_be_read_is_not_trained_again(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    results = store.copy(tmp_path)
    (spec, _) = kinds.specs()
    run = RunDirectory(spec.directory(results))
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    read = files.read_start

    def refuses(path: Path, most: int = -1) -> bytes:
        if path == run.path / name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path, most)

    monkeypatch.setattr(files, "read_start", refuses)
    ((_, status),) = LocalEngine(results, jobs=1).map([spec])
    assert (status.status, status.reason) == ("failed", f"{name}: Permission denied")
    say_what_would_run(results, [spec])
    assert capsys.readouterr().out.startswith("fail    ")
    monkeypatch.undo()
    after = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    assert after == before


def test_a_checkpoint_that_may_not_be_read_is_not_given_up(
    interrupted: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path, most: int = -1) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    before = sorted(path.name for path in interrupted.path.iterdir())
    monkeypatch.setattr(files, "read_start", refuses)
    with pytest.raises(PermissionError):
        checkpoint.load(interrupted, interrupted.path.name)
    assert before == sorted(path.name for path in interrupted.path.iterdir())


def test_the_record_of_another_run_gives_way(store: Store, tmp_path: Path) -> None:
    results = store.copy(tmp_path)
    (spec, other) = kinds.specs()
    run = RunDirectory(spec.directory(results))
    expected = kinds.outcome(run)
    shutil.rmtree(run.path)
    shutil.copytree(other.directory(results), run.path)
    assert "another run's" in read_store(results).unreadable[run.name]
    assert "another run's record" in run.create(spec)
    assert worker.execute(run, Conditions(CPU)) == 0
    assert kinds.outcome(run) == expected
    assert (run.path / "aside-1" / "spec.json").exists()


# -- power loss ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with two checkpoints, stopped after a few steps."""
    (spec,) = kinds.specs("5")
    run = kinds.make(tmp_path_factory.mktemp("interrupted"), spec, steps=5)
    assert run.status().status == "interrupted"
    assert (run.path / "checkpoint.previous.pt").exists()
    return run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    (spec,) = kinds.specs("5")
    return kinds.outcome(kinds.make(tmp_path_factory.mktemp("undisturbed"), spec))


def goes_on(run: RunDirectory, folder: Path, change: object) -> RunDirectory:
    """Copy an interrupted run, change it, and go on."""
    copy = RunDirectory(folder.joinpath("results", *run.path.parts[-3:]))
    shutil.copytree(run.path, copy.path)
    change(copy)  # type: ignore[operator]
    assert worker.execute(copy, Conditions(CPU)) == 0, copy.status()
    return copy


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=SLOWLY)])
@pytest.mark.parametrize("left", ["nothing", "NUL"])
@pytest.mark.parametrize("name", LOGS)
def test_at_every_length_a_log_is_cut_back_to_where_the_run_has_been(
    interrupted: RunDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    left: str,
    every: int,
) -> None:
    """What a power loss leaves, at each of thousands of lengths: of a log's end nothing, or NUL.

    A run goes on from the newest checkpoint that the log has the bytes of, both logs being what
    they were at that moment. That it then reaches the same bits, the next test shows.
    """
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(checkpoint, "_unsealed", cache(checkpoint._unsealed))
    spec, names = interrupted.spec(), (CHECKPOINT, PREVIOUS)
    states = [checkpoint._read(interrupted, one, spec.hash) for one in names]
    whole = {log: interrupted.content(log) for log in LOGS}
    assert states[0]["offsets"][name] == len(whole[name])
    ends = {one["offsets"][name] - 1 for one in states} | {states[1]["offsets"][name]}
    for length in sorted({*range(0, len(whole[name]), every), *ends} - {len(whole[name])}):
        run = RunDirectory(tmp_path / str(length))
        run.path.mkdir()
        for one in names:
            os.link(interrupted.path / one, run.path / one)
        rest = bytes(len(whole[name]) - length) if left == "NUL" else b""
        for log in LOGS:
            (run.path / log).write_bytes(whole[log])
        (run.path / name).write_bytes(whole[name][:length] + rest)
        state, note = checkpoint.load(run, spec.hash)
        possible = [one["step"] for one in states if one["offsets"][name] <= length]
        assert [state["step"] if state else 0] == (possible or [0]), length
        counted = state["offsets"] if state else dict.fromkeys(LOGS, 0)
        assert {log: run.content(log) for log in LOGS} == {
            log: whole[log][: counted[log]] for log in LOGS
        }, length
        assert f"{name} " in note and "\n" not in note, length
        aside = run.path / "aside-1"
        if not state:  # nothing of what there was is gone
            assert (aside / name).read_bytes() == whole[name][:length] + rest, length
        assert (aside / CHECKPOINT).samefile(interrupted.path / CHECKPOINT), length
        shutil.rmtree(run.path)


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_lost_bytes_which_a_checkpoint_counts(
    interrupted: RunDirectory, undisturbed: dict[str, object], tmp_path: Path, name: str
) -> None:
    """At lengths on either side of what each checkpoint counts, the run reaches the same bits."""
    spec = interrupted.spec()
    counted = {
        checkpoint._read(interrupted, one, spec.hash)["offsets"][name]
        for one in (CHECKPOINT, PREVIOUS)
    }
    for length in sorted({0, 1, *counted, *(size - 1 for size in counted)} - {max(counted)}):
        folder = tmp_path / str(length)

        def cut(run: RunDirectory, length: int = length) -> None:
            os.truncate(run.path / name, length)

        run = goes_on(interrupted, folder, cut)
        assert kinds.outcome(run) == undisturbed, length
        assert name in run.status().note, length
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", LOGS)
def test_a_log_whose_counted_bytes_changed(
    interrupted: RunDirectory, undisturbed: dict[str, object], tmp_path: Path, name: str
) -> None:
    """A block that was allocated and never written reads as NUL."""

    def change(run: RunDirectory) -> None:
        kinds.ANY["a block of NUL"](run.path / name, run.path / name)

    run = goes_on(interrupted, tmp_path, change)
    assert kinds.outcome(run) == undisturbed
    assert f"{name} is not what checkpoint.pt counted" in run.status().note


@pytest.mark.parametrize(
    "broken", [("checkpoint.pt",), ("checkpoint.pt", "checkpoint.previous.pt")]
)
@pytest.mark.parametrize(
    "kind",
    ["empty", "cut at 90%", "a block of NUL", "garbage", "a pipe", "a hole of a terabyte"],
)
def test_a_broken_checkpoint_gives_way_to_the_one_before(
    interrupted: RunDirectory,
    undisturbed: dict[str, object],
    tmp_path: Path,
    broken: tuple[str, ...],
    kind: str,
) -> None:
    def change(run: RunDirectory) -> None:
        for name in broken:
            kinds.ANY[kind](run.path / name, run.path / name)

    run = goes_on(interrupted, tmp_path, change)
    assert kinds.outcome(run) == undisturbed
    note = run.status().note
    expected = "gone back to step 4" if len(broken) == 1 else "started again"
    assert "checkpoint.pt" in note and expected in note
    assert (run.path / "aside-1" / "checkpoint.pt").exists() or kind == "a pipe"


@pytest.mark.parametrize(
    "name",
    ["checkpoint.previous.pt", "generator.pt", "samples.txt", "status.json", "owner.json"],
)
def test_a_folder_in_the_place_of_a_file_is_put_aside(
    interrupted: RunDirectory, undisturbed: dict[str, object], tmp_path: Path, name: str
) -> None:
    """Nothing can be written over it, and what is in it may be somebody's."""

    def change(run: RunDirectory) -> None:
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).mkdir()
        (run.path / name / "inside").write_text("kept")

    run = goes_on(interrupted, tmp_path, change)
    assert kinds.outcome(run) == undisturbed
    places = (run.path / "aside-1" / name, run.path / name)
    assert [place / "inside" for place in places if (place / "inside").exists()]
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]


def test_a_folder_in_the_place_of_a_file_is_told_from_one_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows says of both that permission is denied; only the first is damage."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    def denied(path: Path, *how: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(DamagedError, match="folder is not a regular file"):
        files.open_safely(tmp_path / "folder")
    with pytest.raises(PermissionError):
        files.open_safely(tmp_path / "file")


@pytest.mark.parametrize("name", [*LOGS, "log.txt"])
def test_a_copy_made_of_hard_links_is_a_copy(
    interrupted: RunDirectory, undisturbed: dict[str, object], tmp_path: Path, name: str
) -> None:
    """`cp -al store backup`: to go on in one of them adds nothing to the other."""
    backup, whole = tmp_path / name, interrupted.content(name)

    def change(run: RunDirectory) -> None:
        (run.path / name).touch()
        backup.hardlink_to(run.path / name)

    run = goes_on(interrupted, tmp_path, change)
    bound = os.O_WRONLY | os.O_APPEND
    os.close(files.open_safely(run.path / name, bound))
    assert kinds.outcome(run) == undisturbed
    assert backup.read_bytes() == whole and not backup.samefile(run.path / name)


def test_a_log_that_somebody_cut_during_the_run_is_noticed(
    undisturbed: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be done, with rows that are not there."""
    (spec,) = kinds.specs("5")
    run = RunDirectory(spec.directory(tmp_path))
    run.create(spec)
    append = RunDirectory.append

    def append_and_lose(self: RunDirectory, name: str, row: dict[str, object]) -> None:
        append(self, name, row)
        if name == "metrics.jsonl" and row["step"] == 2:
            (self.path / name).unlink()

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "append", append_and_lose)
        assert worker.execute(run, Conditions(CPU)) == 1
    assert "metrics.jsonl has 0 bytes" in run.status().reason and not run.status().traceback
    assert worker.execute(run, Conditions(CPU)) == 0
    assert kinds.outcome(run) == undisturbed


def test_the_checkpoint_of_another_run_is_not_believed(
    interrupted: RunDirectory, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    (spec,) = kinds.specs("6")
    other = kinds.make(tmp_path / "other", spec, steps=3)

    def change(run: RunDirectory) -> None:
        for name in ("checkpoint.pt", "checkpoint.previous.pt"):
            shutil.copy(other.path / "checkpoint.pt", run.path / name)

    run = goes_on(interrupted, tmp_path, change)
    assert kinds.outcome(run) == undisturbed
    assert "checkpoint.pt is another run's" in run.status().note


def test_the_log_is_on_disk_before_the_checkpoint_that_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of system calls: fsync of both logs, then the checkpoint's new name."""
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        order.append(f"-> {Path(target).name}")
        replace(source, target)

    (spec,) = kinds.specs("5")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    kinds.make(tmp_path, spec, steps=5)
    last = len(order) - 1 - order[::-1].index("-> checkpoint.pt")
    before = order[:last]
    written = max(i for i, name in enumerate(before) if name.startswith(".checkpoint.pt."))
    for log in LOGS:
        assert log in before[:written]
    assert before[-1] == "-> checkpoint.previous.pt"


def test_a_log_is_never_extended(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.append("metrics.jsonl", {"a": 1})
    with pytest.raises(DamagedError, match="has 9 bytes, 99 were recorded"):
        run.truncate("metrics.jsonl", 99)
    assert run.offset("metrics.jsonl") == 9


def test_an_unfinished_line_is_taken_back_before_the_next(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.append("evaluations.jsonl", {"a": 1})
    for torn in (b'{"a": 2', b"\0" * 9000):
        with open(tmp_path / "evaluations.jsonl", "ab") as handle:
            handle.write(torn)
        run.append("evaluations.jsonl", {"a": 3})
    assert run.rows("evaluations.jsonl") == [{"a": 1}, {"a": 3}, {"a": 3}]


def test_checkpoints_hold_what_is_checked(interrupted: RunDirectory) -> None:
    spec = interrupted.spec()
    state = checkpoint._read(interrupted, "checkpoint.pt", spec.hash)
    assert set(state["checksums"]) == set(state["offsets"]) == set(checkpoint.LOGS)


def test_an_evaluation_that_cannot_be_written_names_the_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: RunDirectory) -> bool:
        raise OSError(30, "Read-only file system", str(self.path / "lock"))

    monkeypatch.setattr(RunDirectory, "acquire", refuse)
    name = store.victim.name
    result = call(f"evaluate --device cpu --metrics nll_test --alpha 3 {name}", store.path)
    assert result.exit_code == 2
    assert result.stderr == f"textbench: error: {name}: lock: Read-only file system\n"
