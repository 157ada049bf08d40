"""Work that other processes do while this one goes on: no job needs what another found."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import TypeVar, cast

from textbench.contracts.errors import UserError

T = TypeVar("T")

POLL = 1.0
"""Seconds between two looks of a child at whether its parent is there."""
_jobs: Sequence[Callable[[], object]] = ()
"""What a forked child finds in its memory: a store's frames need not be sent to it."""


@contextmanager
def beside(jobs: Sequence[Callable[[], T]], others: int) -> Iterator[list[Callable[[], T]]]:
    """Begin jobs in processes of their own; yield a function per job, which waits for its value.

    Where there are to be no others, or on a system that does not fork or has no semaphores
    (without a /dev/shm to write to, say), each is done when asked for.
    Values are the same in either case, and come back pickled.

    Args:
        jobs: Each is independent of all others.
        others: How many processes there are beside this one, at most.
    """
    pool = _pool(min(others, len(jobs))) if others > 0 and jobs else None
    if pool is None:
        yield list(jobs)
        return
    global _jobs
    _jobs = jobs
    gc.freeze()  # a child that looked for garbage among what it shares would copy it all
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads; numpy's, which wait, know of forks.
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
            futures = [cast(Future[T], pool.submit(_do, at)) for at in range(len(jobs))]
        yield [partial(_value, future) for future in futures]
    finally:
        gc.unfreeze()
        _jobs = ()
        pool.shutdown(cancel_futures=True)


def _pool(processes: int) -> ProcessPoolExecutor | None:
    if "fork" not in multiprocessing.get_all_start_methods():
        return None
    context = multiprocessing.get_context("fork")
    try:
        return ProcessPoolExecutor(processes, context, _begin, (os.getpid(),))
    except (OSError, ImportError, NotImplementedError):  # what a system without semaphores says
        return None


def _do(at: int) -> object:
    return _jobs[at]()


def _begin(parent: int) -> None:
    """Leave interrupts to the parent, and end with it: what it was killed by may not be shared."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_it() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(1)

    threading.Thread(target=end_with_it, name="textbench-orphan", daemon=True).start()


def _value(future: Future[T]) -> T:
    try:
        return future.result()
    except BrokenProcessPool:
        wrong = "a process that read logs or drew figures was killed; is there memory left?"
        raise UserError(wrong) from None
