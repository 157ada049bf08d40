"""`python -m textbench.run.worker RUN_DIR`: execute exactly one run, in this process.

Exit codes: 0 done, 1 failed or diverged, 75 stopped before the end (the same call resumes).
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import math
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

import torch

from textbench.contracts.errors import DivergedError, UserError, one_line
from textbench.contracts.spec import Spec
from textbench.plan import build, registry
from textbench.plan.blame import raised
from textbench.plan.codehash import code_hash
from textbench.run import assemble, checkpoint, conditions
from textbench.run.conditions import Conditions
from textbench.run.endings import INTERRUPTED, discard, requests_to_stop
from textbench.run.loop import Run, Warmup
from textbench.run.provenance import PARENT, provenance
from textbench.store import kept, seal, verify
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.store.rows import (
    CHECKPOINT,
    ENVIRONMENT,
    GENERATOR,
    METRICS,
    PREVIOUS,
    SAMPLES,
    STATUS,
    Status,
    StatusName,
    values_of,
)

POLL = 0.5
"""Seconds between two looks at a run that another process is executing."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system answers when a file cannot be written, and it is nobody's error."""
GO_ON = "the same command goes on from the last checkpoint when that is mended"

STOP = threading.Event()
"""Set by `requests_to_stop`: stop at a checkpoint after the current step."""


class StoppedError(Exception):
    """The run stopped at a checkpoint; carries the status to record."""

    def __init__(self, status: StatusName, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def main(arguments: list[str] | None = None) -> int:
    """Parse the arguments, execute the run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m textbench.run.worker")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpoint-every", default="60s", metavar="SECONDSs|STEPS")
    parser.add_argument("--deadline", type=float, default=math.inf, help="by the monotonic clock")
    parser.add_argument("--plugin", action="append", default=[], help="file to load first")
    parser.add_argument("--memory", type=int, default=0, metavar="BYTES")
    given = parser.parse_args(arguments)
    for number in requests_to_stop():
        signal.signal(number, lambda *_: STOP.set())
    torch.set_num_threads(1)
    if given.memory:
        limit_memory(given.memory)
    parent = os.environ.get(PARENT, "")  # a worker whose engine was killed trains on unseen
    every = given.checkpoint_every
    options = Conditions(
        device=torch.device(given.device),
        checkpoint_seconds=float(every[:-1]) if every.endswith("s") else math.inf,
        checkpoint_steps=0 if every.endswith("s") else int(every),
        deadline=given.deadline,
        stop=lambda: STOP.is_set() or parent not in ("", str(os.getppid())),
    )
    conditions.prepare(options.device)
    directory = RunDirectory(given.directory.absolute())  # a plug-in may change where we are
    try:
        registry.load_plugins(given.plugin)
        return execute(directory, options)
    except (OSError, UserError) as error:  # not even its status could be written, or read
        complain(f"{directory.name}: {one_line(error)}\n")
        return 1
    except BaseException as error:  # KeyboardInterrupt, say, which only a plug-in can raise here
        complain(f"{traceback.format_exc()}{directory.name}: {one_line(error)}\n")
        return 1


def complain(text: str) -> None:
    """Write into the run's log, unless a plug-in has closed it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)


def leave(code: int) -> NoReturn:
    """End this process; threads and children of a plug-in are not waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def limit_memory(most: int) -> None:
    """Let allocations beyond ``most`` bytes of data fail, where the system can limit them."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    except (ImportError, ValueError, OSError) as error:
        sys.stderr.write(f"--memory is not enforced here: {error}\n")


def execute(directory: RunDirectory, options: Conditions, *, generator: bool = False) -> int:
    """Execute the run in ``directory`` under its lock and record its status.

    Args:
        directory: The run.
        options: See `Conditions`.
        generator: Whether a run that is done is made again if its parameters are not there.

    Raises:
        OSError: The directory cannot be written.
        UserError: Its spec cannot be used.
    """
    while not directory.acquire():  # another process is at it, perhaps as somebody's warm-up
        if options.stop():
            return INTERRUPTED
        time.sleep(POLL)
    try:
        note = _mended(directory, generator)
        if note is None:
            return 0
        status = _outcome(directory, options, note)
        if directory.is_lost():  # what there is to say of it, another process says by now
            complain(f"{directory.name}: {status.reason}\n")
            return INTERRUPTED
        if status.status == "done":
            status.checksums = verify.checksums(directory)
        directory.write_status(status)
        if status.status == "done":  # its parameters stay in generator.pt, its optimisers go
            for name in (CHECKPOINT, PREVIOUS):
                with contextlib.suppress(OSError):
                    (directory.path / name).unlink(missing_ok=True)
    finally:
        directory.release()
    return {"done": 0, "timeout": INTERRUPTED, "interrupted": INTERRUPTED}.get(status.status, 1)


def _mended(directory: RunDirectory, generator: bool) -> str | None:
    """Make a run fit to go on; return what had to be done for that, or None if it is done."""
    spec = directory.spec()
    try:
        status = directory.status()
    except DamagedError as error:
        directory.set_aside([STATUS])
        if _is_complete(directory, spec):
            return None
        return f"{error.wrong}: written anew"
    if status.status != "done":
        if os.path.lexists(directory.path / GENERATOR) and _is_complete(directory, spec):
            return None
        return status.note if status.status == "queued" else ""
    generator = generator or bool(status.checksums)  # of textbench 0.1.0 it may be elsewhere
    if wrong := verify.contradiction(directory, spec.hash, status, generator=generator):
        return discard(directory, f"it was not done: {wrong}")
    return None


def _is_complete(directory: RunDirectory, spec: Spec) -> bool:
    """Tell whether only the status is missing to a run that is done, and write it then."""
    if any(os.path.lexists(directory.path / name) for name in (CHECKPOINT, PREVIOUS)):
        return False
    try:
        last = directory.evaluations()[-1]
        checkpoint.load_generator(directory, spec.hash)
        sealed = seal.is_sealed(directory.content(GENERATOR))
        directory.curve(), directory.content(SAMPLES)
    except (OSError, DamagedError, IndexError):
        return False
    if not (last["final"] and sealed and os.path.lexists(directory.path / SAMPLES)):
        return False
    status = Status("done", phase=last["phase"], step=last["step"], total=last["step"])
    status.metrics = values_of(last["metrics"])
    status.checksums = verify.checksums(directory)
    directory.write_status(status)
    return True


def _outcome(directory: RunDirectory, options: Conditions, note: str) -> Status:
    run: Run | None = None
    name: StatusName
    try:
        starting = Status("running", phase="starting", device=str(options.device), note=note)
        directory.write_status(starting)
        try:
            run = prepare(directory, options)
            outcome = run.execute()
        except checkpoint.UnusableError as error:
            note = discard(directory, str(error))
            run = prepare(directory, options)
            outcome = run.execute()
        reasons = {"timeout": "the time budget is used up", "interrupted": "told to stop"}
        name, reason, trace = outcome, reasons.get(outcome, ""), ""
    except StoppedError as error:
        name, reason, trace = error.status, str(error), ""
    except DivergedError as error:
        name, reason, trace = "diverged", str(error), ""
    except UserError as error:
        name, reason, trace = "failed", one_line(error), ""
    except OSError as error:
        name, reason, trace = "failed", f"{one_line(error)} ({GO_ON})", ""
        if error.errno not in NO_ROOM:
            reason, trace = one_line(error), traceback.format_exc()
    except (Exception, SystemExit, GeneratorExit) as error:  # recorded whole: a failure is data
        name, reason, trace = "failed", raised(error), traceback.format_exc()
    if trace:
        complain(trace)
    status = run.status if run else Status("running", device=str(options.device))
    status.status, status.reason, status.traceback = name, reason, trace
    status.note = "; ".join(dict.fromkeys(one for one in (note, status.note) if one))
    return status


def prepare(directory: RunDirectory, options: Conditions) -> Run:
    """Resolve the names of a run's spec, and its warm-up, and return it ready to go."""
    spec = directory.spec()
    warmup = _warmed_up(spec, directory, options) if spec.warmup else None
    kind, task = assemble.trainer_class(spec), assemble.task(spec, directory.store)
    build.check_data(task, spec.seed)
    kept.keep(directory.store, spec, task)
    metrics = assemble.metrics(assemble.metric_classes(task.family), spec.metrics)
    _record_start(directory, spec, options)
    return Run(directory, kind, task, metrics, warmup, options)


def _warmed_up(spec: Spec, directory: RunDirectory, options: Conditions) -> Warmup:
    """Return the end of the warm-up run, executing it here if nobody has yet."""
    assert spec.warmup is not None  # noqa: S101 - for the type checker
    source = RunDirectory(spec.warmup.directory(directory.store))
    source.create(spec.warmup)
    if execute(source, options, generator=True) != 0:
        status = source.standing()
        reason = f"warm-up {source.name}: {status.reason or status.status}"
        stopped = status.status in ("timeout", "interrupted") or options.stop()
        name: StatusName = status.status if status.status == "timeout" else "interrupted"
        raise StoppedError(name if stopped else "failed", reason)
    evaluations = source.evaluations()
    if not evaluations:
        raise DamagedError(f"warm-up {source.name}: {METRICS} has no evaluation")
    return Warmup(checkpoint.load_generator(source, spec.warmup.hash), evaluations[-1])


def _record_start(directory: RunDirectory, spec: Spec, options: Conditions) -> None:
    try:
        starts = directory.starts()
    except DamagedError:  # where it was made before is lost, and nothing depends on it
        directory.set_aside([ENVIRONMENT])
        starts = []
    entry = provenance(str(options.device), code_hash(spec.trainer))
    directory.write_json(ENVIRONMENT, {"starts": [*starts, entry]})


if __name__ == "__main__":
    leave(main())
