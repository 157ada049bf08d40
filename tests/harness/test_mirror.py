"""A run directory and its copy on another machine: the same bytes, whole at every moment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import damage as kinds
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textbench.run import mirror, worker
from textbench.run.conditions import Conditions
from textbench.run.mirror import Changes, Mirror
from textbench.store import files
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError

CPU = torch.device("cpu")
NAMES = ("metrics.jsonl", "curve.jsonl", "log.txt", "checkpoint.pt", "status.json", "aside-1/x")


def told(directory: RunDirectory) -> dict[str, bytes]:
    names = [*mirror.TOLD, "aside-1/x"]
    return {n: (directory.path / n).read_bytes() for n in names if (directory.path / n).exists()}


def pair(folder: Path, content: dict[str, bytes]) -> tuple[RunDirectory, RunDirectory]:
    """Return a run in the store and its copy elsewhere."""
    here, there = (RunDirectory(folder / name / "t/a/s0-00000000") for name in ("here", "there"))
    for run in (here, there):
        run.path.mkdir(parents=True)
    mirror.write(here.path, content)
    mirror.write(there.path, mirror.contents(here))
    return here, there


STEPS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["append", "replace", "cut", "remove", "again"]),
        st.binary(max_size=40),
    ),
    max_size=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.dictionaries(st.sampled_from(NAMES[:5]), st.binary(max_size=30)), steps=STEPS)
def test_the_copy_follows_whatever_is_written(
    tmp_path: Path, before: dict[str, bytes], steps: list[tuple[str, str, bytes]]
) -> None:
    shutil.rmtree(tmp_path)
    here, there = pair(tmp_path, before)
    watched = Mirror(there)
    for name, what, content in steps:
        path = there.path / name
        path.parent.mkdir(exist_ok=True)
        if what == "append":
            with open(path, "ab") as handle:
                handle.write(content)
        elif what == "replace":
            files.replace(path, content)
        elif what == "cut" and path.exists():
            os.truncate(path, path.stat().st_size // 2)
        elif what == "remove" and not name.startswith("aside"):
            path.unlink(missing_ok=True)
        if what == "again":  # nobody looks every time
            mirror.apply(here, watched.changes())
            assert told(here) == told(there)
    mirror.apply(here, watched.changes())
    assert told(here) == told(there)


def test_only_new_bytes_of_a_log_travel(tmp_path: Path) -> None:
    _, there = pair(tmp_path, {"curve.jsonl": b"a" * 10_000})
    watched = Mirror(there)
    with open(there.path / "curve.jsonl", "ab") as handle:
        handle.write(b"new\n")
    offset, content = watched.changes().grown["curve.jsonl"]
    assert (offset, content) == (10_000, b"new\n")
    assert not watched.changes().grown


@pytest.mark.parametrize(
    "name", ["spec.json", "lock", "../x", "aside-1/../x", "aside-1/.x", "aside-x/y", "/etc/x", "a"]
)
def test_a_worker_writes_nothing_else(tmp_path: Path, name: str) -> None:
    here, _ = pair(tmp_path, {"spec.json": b"{}"})
    for changes in (
        Changes(whole={name: b"x"}),
        Changes(grown={name: (0, b"x")}),
        Changes({}, {}, [name]),
    ):
        with pytest.raises(DamagedError, match="which no worker writes"):
            mirror.apply(here, changes)
    assert sorted(os.listdir(here.path)) == ["spec.json"]


def test_a_copy_that_lost_bytes_is_not_extended(tmp_path: Path) -> None:
    here, _ = pair(tmp_path, {"curve.jsonl": b"12345\n"})
    with pytest.raises(DamagedError, match=r"curve.jsonl has 6 bytes, 7 were written"):
        mirror.apply(here, Changes(grown={"curve.jsonl": (7, b"x")}))
    assert (here.path / "curve.jsonl").read_bytes() == b"12345\n"


def test_a_pipe_in_the_place_of_a_file_is_put_aside(tmp_path: Path) -> None:
    here, _ = pair(tmp_path, {"spec.json": b"{}"})
    os.mkfifo(here.path / "curve.jsonl")
    assert mirror.contents(here) == {"spec.json": b"{}", "aside-1/": b""}
    assert (here.path / "aside-1/curve.jsonl").is_fifo()


def test_the_status_is_written_after_all_that_it_speaks_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair(tmp_path, {"spec.json": b"{}"})
    written: list[str] = []
    monkeypatch.setattr(RunDirectory, "replace", lambda _, name, *a, **k: written.append(name))
    names = ("status.json", "generator.pt", "aside-1/curve.jsonl", "checkpoint.pt", "samples.txt")
    mirror.apply(here, Changes(whole=dict.fromkeys(names, b"x")))
    assert written[0] == "aside-1/curve.jsonl" and written[-2:] == ["checkpoint.pt", "status.json"]
    assert sorted(written) == sorted(names)


def test_the_store_can_be_stopped_between_any_two_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there then goes on to the same bits: logs, checkpoint and status agree."""
    (spec,) = kinds.specs("5")
    expected = kinds.outcome(kinds.make(tmp_path / "whole", spec))
    there = RunDirectory(spec.directory(tmp_path / "there"))
    there.create(spec)
    here = RunDirectory(spec.directory(tmp_path / "here"))
    mirror.write(here.path, mirror.contents(there))
    watched = Mirror(there)
    copies: list[tuple[str, Path]] = []
    replace, remove = files.replace, Path.unlink

    def keep(name: str) -> None:
        copies.append((name, tmp_path / f"copy-{len(copies)}"))
        shutil.copytree(tmp_path / "here", copies[-1][1])

    def stop() -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(files, "replace", lambda p, *a, **k: (replace(p, *a, **k), keep(p.name)))
            patch.setattr(Path, "unlink", lambda p, **k: (remove(p, **k), keep("removed")))
            mirror.apply(here, watched.changes())
        return False

    worker.execute(there, Conditions(CPU, checkpoint_steps=2, stop=stop))
    stop()
    assert kinds.outcome(here) == expected
    behind = [copy for name, copy in copies if name == "checkpoint.pt"]
    assert len(behind) >= 2
    for copy in behind + [copy for _, copy in copies[:: max(1, len(copies) // 9)]]:
        run = RunDirectory(spec.directory(copy))
        begun = (run.path / "checkpoint.pt").exists()
        assert worker.execute(run, Conditions(CPU)) == 0, run.status()
        assert kinds.outcome(run) == expected, copy
        assert not (begun and run.status().note), copy  # nothing had to be mended
