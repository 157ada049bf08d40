"""The lock where the kernel has none, and what becomes of a dead owner's."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from textbench.contracts.errors import UserError, one_line
from textbench.store import files, kept, lock, printed
from textbench.store.directory import RunDirectory
from textbench.store.process import identity, started

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def no_locks(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture(params=["granted to everybody", "refused", "no fcntl"])
def useless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """File systems whose locks keep nobody out."""
    if request.param == "no fcntl":
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        flock = no_locks if request.param == "refused" else lambda *_: None
        monkeypatch.setattr(lock.fcntl, "flock", flock)
    return str(request.param)


def owner(run: RunDirectory, **changes: Any) -> None:
    """Write an owner as a process elsewhere, or one of this machine, would."""
    (run.path / "owner.json").write_text(json.dumps({**identity(), "token": "t", **changes}))


def age(run: RunDirectory, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(run.path / "owner.json", (then, then))


def test_a_second_owner_is_kept_out_where_locks_are_useless(
    run: RunDirectory, useless: str
) -> None:
    other = RunDirectory(run.path)
    assert run.acquire()
    assert not other.acquire() and other.is_locked()
    run.release()
    assert not other.is_locked() and other.acquire()
    other.release()
    assert [path.name for path in run.path.iterdir()] == ["lock"]


def test_an_owner_elsewhere_lives_by_its_heartbeat(run: RunDirectory, useless: str) -> None:
    owner(run, host="elsewhere")
    age(run, lock.TAKEOVER - 30)
    assert run.is_locked() and not run.acquire()
    age(run, lock.TAKEOVER + 1)
    assert not run.is_locked() and run.acquire()
    run.release()


def test_an_owner_here_lives_as_long_as_its_process(run: RunDirectory, useless: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner(run, pid=process.pid, start=started(process.pid))
    age(run, 10 * lock.TAKEOVER)  # it was suspended, perhaps
    assert run.is_locked() and not run.acquire()
    owner(run, pid=process.pid, start="another process of the same number")
    assert not run.is_locked()
    owner(run, pid=process.pid, start=started(process.pid))
    process.kill()
    deadline = time.monotonic() + 20
    while run.is_locked() and time.monotonic() < deadline:  # a zombie is dead
        time.sleep(0.02)
    assert run.acquire()
    process.communicate()
    run.release()


def test_a_heartbeat_that_is_to_come_is_none(run: RunDirectory, useless: str) -> None:
    """The clock was set back by a day since its process died."""
    owner(run, host="elsewhere")
    age(run, -86400)
    assert not run.is_locked() and run.acquire()
    run.release()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"pid": "x"}', '{"pid": -1}'])
def test_an_owner_that_cannot_be_read_is_none(run: RunDirectory, content: str) -> None:
    (run.path / "owner.json").write_text(content)
    age(run, lock.TAKEOVER + 1)
    assert not run.is_locked()
    assert run.acquire()
    assert json.loads((run.path / "owner.json").read_text())["pid"] == os.getpid()
    run.release()


def test_whoever_was_taken_over_stops_writing(run: RunDirectory) -> None:
    assert run.acquire()
    run.check_lock()
    owner(run, host="elsewhere")
    with pytest.raises(UserError, match="another process has taken this run"):
        run.check_lock()
    run.release()
    assert (run.path / "owner.json").exists()  # it is not ours to remove


def test_whoever_was_taken_over_adds_nothing(run: RunDirectory) -> None:
    assert run.acquire()
    owner(run, host="elsewhere")
    with pytest.raises(UserError, match="another process has taken this run"):
        run.append("metrics.jsonl", {})
    assert not (run.path / "metrics.jsonl").exists()
    run.release()


def test_a_fork_of_the_owner_owns_nothing(run: RunDirectory) -> None:
    """A plug-in forks, and its child goes on training beside it."""
    assert run.acquire()

    def child() -> None:
        try:
            run.append("metrics.jsonl", {"of": "child"})
        except UserError:
            os._exit(7)

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 7
    run.append("metrics.jsonl", {"of": "parent"})
    assert run.rows("metrics.jsonl") == [{"of": "parent"}]
    run.release()


def test_the_heartbeat_beats(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.02)
    assert run.acquire()
    age(run, 500)
    deadline = time.monotonic() + 20
    while time.time() - (run.path / "owner.json").stat().st_mtime > 100:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.release()


def test_a_child_that_is_left_behind_holds_no_lock(run: RunDirectory) -> None:
    """A plug-in's data loader forks, and outlives its worker."""
    ours, theirs = FORK.Pipe()

    def worker() -> None:
        mine = RunDirectory(run.path)
        assert mine.acquire()
        orphan = os.fork()
        if orphan == 0:
            time.sleep(60)
            os._exit(0)
        theirs.send(orphan)
        os._exit(9)  # as if killed: it lets go of nothing

    process = FORK.Process(target=worker)
    process.start()
    orphan = ours.recv()
    process.join()
    try:
        assert not run.is_locked() and run.acquire()
        run.release()
    finally:
        os.kill(orphan, 9)


def test_temporary_names_are_of_one_process_on_one_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {files.temporary(tmp_path / "x") for _ in range(3)}
    monkeypatch.setattr(files.socket, "gethostname", lambda: "node/../7")
    names.add(files.temporary(tmp_path / "x"))
    monkeypatch.setattr(files.os, "getpid", lambda: 1)
    names.add(files.temporary(tmp_path / "x"))
    assert len(names) == 5 and all(name.parent == tmp_path for name in names)


def test_what_killed_writers_left_is_removed_and_nothing_else(run: RunDirectory) -> None:
    """Of what engines and those who wait for the lock write as well, only what is a day old."""
    left = {
        run.path / ".checkpoint.pt.elsewhere.1.2.tmp",
        files.temporary(run.path / "curve.jsonl"),
    }
    others = {files.temporary(run.path / name) for name in ("status.json", "owner.json")}
    foreign = {run.path / name for name in (".notes.tmp", ".a.b.c.d.tmp", "x.y.1.2.tmp", ".tmp")}
    (folder := run.path / ".log.txt.here.1.2.tmp").mkdir()
    for path in left | others | foreign:
        path.write_bytes(b"half")
    assert run.acquire()
    there = {path for path in run.path.iterdir() if path.suffix == ".tmp" or path.name == ".tmp"}
    assert there == others | foreign | {folder}
    run.release()
    for path in others | foreign:
        os.utime(path, (time.time() - 90000,) * 2)
    assert run.acquire()
    there = {path for path in run.path.iterdir() if path.suffix == ".tmp" or path.name == ".tmp"}
    assert there == foreign | {folder}
    run.release()


def test_what_lies_beside_the_runs_of_a_task_is_removed_when_it_is_old(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    left = [tmp_path / "mine" / f".data-0123456789abcdef.npz.there.1.{n}.tmp" for n in (0, 1)]
    for path in left:
        path.write_bytes(b"half")
    os.utime(left[0], (time.time() - 90000,) * 2)
    spec: Any = SimpleNamespace(task="mine", task_fingerprint="0" * 64)
    task: Any = SimpleNamespace(kept=lambda: None)
    kept.keep(tmp_path, spec, task)
    assert [path.exists() for path in left] == [False, True]


def test_modules_import_without_fcntl_and_affinity(tmp_path: Path) -> None:
    """Windows has no fcntl, and macOS no `sched_getaffinity`."""
    code = (
        "import os, sys\n"
        "sys.modules['fcntl'] = None\n"
        "sys.modules['resource'] = None\n"
        "del os.sched_getaffinity, os.register_at_fork\n"
        "from textbench.cli.engines import usable_cores\n"
        "from textbench.run import engine\n"
        "from textbench.store.directory import RunDirectory\n"
        "from pathlib import Path\n"
        "run = RunDirectory(Path(sys.argv[1]))\n"
        "assert run.acquire() and not RunDirectory(run.path).acquire()\n"
        "run.release()\n"
        "assert usable_cores() == os.cpu_count()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


# -- a disk that is full -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, number: int, where: str
) -> None:
    run.replace("status.json", b"old")

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, where, full)
    with pytest.raises(OSError, match=os.strerror(number)):
        run.replace("status.json", b"new")
    assert [path.name for path in run.path.iterdir()] == ["status.json"]
    assert (run.path / "status.json").read_bytes() == b"old"


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    """On a real file that may not grow: its limit stands for a full disk."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from textbench.store.directory import RunDirectory\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "run = RunDirectory(Path(sys.argv[1]))\n"
        "run.append('metrics.jsonl', {'a': 1})\n"
        "try:\n"
        "    run.append('metrics.jsonl', {'a': 'x' * 200})\n"
        "except OSError:\n"
        "    sys.exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 7
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"a": 1}\n'


def test_a_log_of_what_was_printed_is_bounded_and_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 5_000_000 + b"\nthe end\n")
    with open(path, "ab") as writer:  # who goes on writing appends to what is left
        printed.bound(path, 1_000_000)
        writer.write(b"and more\n")
    assert path.stat().st_size < 600_000
    assert printed.tail(path, 100).endswith("\nthe end\nand more\n")
    assert printed.tail(tmp_path / "absent") == ""


def test_a_temporary_name_is_that_of_the_file_to_be(tmp_path: Path) -> None:
    name = str(files.temporary(tmp_path / "owner.json"))
    assert one_line(PermissionError(13, "Permission denied", name)) == (
        "owner.json: Permission denied"
    )


def test_an_error_without_words_is_named() -> None:
    assert one_line(MemoryError()) == "MemoryError"
    assert one_line(ValueError("a\nb")) == "ValueError: a"
    assert one_line(OSError(28, "No space left on device", "x/y.pt")) == (
        "y.pt: No space left on device"
    )
