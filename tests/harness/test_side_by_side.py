"""What other processes do is what would be done here."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from textbench.contracts.errors import UserError
from textbench.store.beside import beside
from textbench.store.process import started


def who(number: int) -> tuple[int, int]:
    return number, os.getpid()


def test_values_come_in_the_order_of_the_jobs_and_from_other_processes() -> None:
    jobs = [partial(who, number) for number in range(5)]
    with beside(jobs, 2) as waiting:
        found = [wait() for wait in waiting]
    assert [number for number, _ in found] == list(range(5))
    assert os.getpid() not in {pid for _, pid in found}


@pytest.mark.parametrize("count", [3, 0])
def test_with_one_processor_it_is_done_here(count: int) -> None:
    with beside([partial(who, number) for number in range(count)], 0) as waiting:
        assert [wait() for wait in waiting] == [(number, os.getpid()) for number in range(count)]


@pytest.mark.parametrize("others", [1, 2])
def test_a_single_job_is_done_beside_what_this_process_does(others: int) -> None:
    with beside([partial(who, 0)], others) as (wait,):
        assert wait()[1] != os.getpid()


def test_systems_that_do_not_fork_draw_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    with beside([partial(who, 0), partial(who, 1)], 2) as waiting:
        assert [wait() for wait in waiting] == [(0, os.getpid()), (1, os.getpid())]


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("_multiprocessing.SemLock", OSError(errno.EROFS, "Read-only file system")),
        ("multiprocessing.context.BaseContext.Lock", ImportError("no synchronize primitives")),
        ("concurrent.futures.process._check_system_limits", NotImplementedError("30 available")),
    ],
    ids=["a /dev/shm of nobody's", "a Python built without them", "a system with too few"],
)
def test_without_semaphores_it_is_done_here(
    monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(where, refuse)
    with beside([partial(who, 0), partial(who, 1)], 2) as waiting:
        assert [wait() for wait in waiting] == [(0, os.getpid()), (1, os.getpid())]


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_one_line() -> None:
    def drawn() -> None:
        with beside([killed, killed], 2) as waiting:
            waiting[0]()

    with pytest.raises(UserError, match="was killed; is there memory left"):
        drawn()


def raises() -> None:
    raise UserError("cannot be drawn")


def test_an_error_in_another_process_is_raised_here() -> None:
    with beside([raises, raises], 2) as waiting, pytest.raises(UserError, match="cannot be drawn"):
        waiting[1]()


def test_children_end_with_a_parent_that_is_killed() -> None:
    """They wait for work that nobody sends, each with the store's frames in its memory."""
    script = """
import os, time
from textbench.store.beside import beside
with beside([os.getpid] * 2, 2) as values:
    print(*(value() for value in values), flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    children = {int(pid) for pid in process.stdout.readline().split()}
    process.kill()
    process.wait()
    process.stdout.close()
    assert children and process.pid not in children
    try:
        end = time.monotonic() + 60
        while any(started(pid) for pid in children):
            assert time.monotonic() < end, "they live on"
            time.sleep(0.1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
