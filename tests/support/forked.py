"""Workers and command lines in processes that are forked from this one, which has imported torch.

A fresh interpreter imports for three seconds of the processor first, and a tiny run takes half of
one. A forked process has its own memory, environment, streams, signals and exit code; what it does
not show is what a fresh one imports, and that `python -m` finds it. Tests about that start a fresh
one.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from textbench.plan import registry
from textbench.run import local, worker

FORK = multiprocessing.get_context("fork")
QUIET = {"COLUMNS": "120", "CUDA_VISIBLE_DEVICES": ""}
DRAWING = ("textbench.report.figures", "textbench.judge.comparison", "textbench.cli.progress")
"""What imports most of what a command that draws or compares or runs needs, besides torch."""
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class Forked:
    """What the local engine asks of `subprocess.Popen`, with a worker that is forked."""

    def __init__(
        self, command: Sequence[str], *, stdin: int, stdout: Any, stderr: int, env: dict[str, str]
    ) -> None:
        assert (stdin, stderr) == (subprocess.DEVNULL, subprocess.STDOUT)
        arguments = [*command[len(local.WORKER) :]]

        def work() -> int:
            worker.STOP.clear()
            return worker.main(arguments)

        log = stdout.fileno()
        self._process = FORK.Process(
            target=child, args=(work, ["worker", *arguments], env, (log, log))
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.terminate, self.kill = self._process.terminate, self._process.kill

    def poll(self) -> int | None:
        """Return its exit code once it has ended, or minus the signal."""
        return self._process.exitcode


def child(
    work: Callable[[], int],
    argv: Sequence[str],
    environment: Mapping[str, str],
    streams: tuple[int, int],
) -> None:
    """Make this forked process as like a fresh one as it can be, do the work, and end."""
    code = 1
    try:
        faulthandler.disable()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # which a fresh one inherits
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        for number, stream in zip((1, 2), streams, strict=True):
            os.dup2(stream, number)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, closefd=False, encoding="utf-8")  # noqa: SIM115 - to the end
            for number, mode in enumerate("rww")
        )
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [*argv]
        registry._plugins.clear()
        torch.set_num_threads(1)
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        worker.leave(code)


def open_worker(command: Sequence[str], **given: Any) -> Any:
    """Start a process, forked if it is a worker of ours."""
    ours = tuple(command[: len(local.WORKER)]) == local.WORKER
    return Forked(command, **given) if ours else subprocess.Popen(command, **given)


@cache
def warm() -> None:
    """Import torch._dynamo here, as the first optimiser does, and not in every forked process."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


@contextmanager
def workers() -> Iterator[None]:
    """Fork the workers that the block's runs are executed by."""
    warm()
    with pytest.MonkeyPatch.context() as patch:
        forking = vars(subprocess) | {"Popen": open_worker}
        patch.setattr(local, "subprocess", SimpleNamespace(**forking))
        yield


def textbench(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line in a forked process whose current folder is this; and its workers too."""
    from textbench.cli import main

    warm()
    for module in DRAWING:
        import_module(module)
    words = shlex.split(line)

    def work() -> int:
        os.chdir(folder)
        with workers():
            main()
        return 0

    environment = os.environ | QUIET
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = (out.fileno(), err.fileno())
        process = FORK.Process(target=child, args=(work, words, environment, streams))
        process.start()
        try:
            process.join()
        finally:
            process.kill()  # if the test's time is up
        assert process.exitcode is not None
        for file in (out, err):
            file.seek(0)
        printed = [file.read().decode() for file in (out, err)]
    return subprocess.CompletedProcess(words, process.exitcode, *printed)
