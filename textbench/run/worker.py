"""`python -m textbench.run.worker RUN_DIR`: execute exactly one run, in this process.

Exit codes: 0 done, 1 failed or diverged, 75 stopped before the end (the same call resumes).
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import cast

import torch

from textbench.contracts.errors import DivergedError, UserError
from textbench.contracts.spec import Spec
from textbench.contracts.trainer import State
from textbench.plan import registry
from textbench.plan.codehash import code_hash
from textbench.run import assemble
from textbench.run.loop import Conditions, Run, Warmup
from textbench.run.provenance import provenance
from textbench.store.directory import RunDirectory
from textbench.store.rows import (
    CHECKPOINT,
    ENVIRONMENT,
    GENERATOR,
    METRICS,
    SPEC,
    EvaluationRow,
    Status,
    StatusName,
)

TRY_AGAIN = 75
"""Exit code of a run that stopped at a checkpoint (EX_TEMPFAIL)."""
POLL = 0.5
"""Seconds between two looks at a run that another process is executing."""

STOP = threading.Event()
"""Set by SIGTERM and SIGINT: stop at a checkpoint after the current step."""


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
    parser.add_argument("--deadline", type=float, default=math.inf)
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: STOP.set())
    torch.set_num_threads(1)
    every = given.checkpoint_every
    options = Conditions(
        device=torch.device(given.device),
        checkpoint_seconds=float(every[:-1]) if every.endswith("s") else math.inf,
        checkpoint_steps=0 if every.endswith("s") else int(every),
        deadline=given.deadline,
        stop=STOP.is_set,
    )
    if options.device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    return execute(RunDirectory(given.directory), options)


def execute(directory: RunDirectory, options: Conditions) -> int:
    """Execute the run in ``directory`` under its lock and record its status."""
    while not directory.acquire():  # another process is at it, perhaps as somebody's warm-up
        if options.stop():
            return TRY_AGAIN
        time.sleep(POLL)
    try:
        if directory.status().status == "done":
            return 0
        status = _outcome(directory, options)
        directory.write_status(status)
        if status.status == "done":  # its parameters stay in generator.pt, its optimisers go
            (directory.path / CHECKPOINT).unlink(missing_ok=True)
    finally:
        directory.release()
    return {"done": 0, "timeout": TRY_AGAIN, "interrupted": TRY_AGAIN}.get(status.status, 1)


def _outcome(directory: RunDirectory, options: Conditions) -> Status:
    run: Run | None = None
    try:
        directory.write_status(Status("running", phase="starting", device=str(options.device)))
        run = prepare(directory, options)
        outcome = run.execute()
        reasons = {"timeout": "the time budget is used up", "interrupted": "told to stop"}
        name: StatusName = outcome
        reason = reasons.get(outcome, "")
        trace = ""
    except StoppedError as error:
        name, reason, trace = error.status, str(error), ""
    except DivergedError as error:
        name, reason, trace = "diverged", str(error), ""
    except UserError as error:
        name, reason, trace = "failed", str(error), ""
    except Exception as error:  # recorded whole: a failure is data
        name, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0]
        trace = traceback.format_exc()
        sys.stderr.write(trace)
    status = run.status if run else Status("running", device=str(options.device))
    status.status, status.reason, status.traceback = name, reason, trace
    return status


def prepare(directory: RunDirectory, options: Conditions) -> Run:
    """Resolve the names of a run's spec, and its warm-up, and return it ready to go."""
    spec = directory.spec()
    for plugin in spec.plugins:
        if not Path(plugin).is_file():
            raise UserError(
                f"{directory.name} was made with plugin {plugin}, which is no longer there: repeat "
                "the command with --plugin FILE"
            )
        registry.load_plugin(plugin)
    if spec.hash != directory.read_json(SPEC)["hash"]:
        raise UserError(f"{directory.path / SPEC} was edited: its hash does not fit")
    warmup = _warmed_up(spec, directory, options) if spec.warmup else None
    kind, task = assemble.trainer_class(spec), assemble.task(spec)
    metrics = assemble.metrics(assemble.metric_classes(task.family), spec.metrics)
    _record_start(directory, spec, options)
    return Run(directory, kind, task, metrics, warmup, options)


def _warmed_up(spec: Spec, directory: RunDirectory, options: Conditions) -> Warmup:
    """Return the end of the warm-up run, executing it here if nobody has yet."""
    assert spec.warmup is not None  # noqa: S101 - for the type checker
    source = RunDirectory(spec.warmup.directory(directory.path.parents[2]))
    source.create(spec.warmup)
    if source.status().status != "done" and execute(source, options) != 0:
        status = source.status()
        reason = f"warm-up {source.name}: {status.reason or status.status}"
        stopped = status.status in ("timeout", "interrupted") or options.stop()
        name: StatusName = status.status if status.status == "timeout" else "interrupted"
        raise StoppedError(name if stopped else "failed", reason)
    state: State = torch.load(source.path / GENERATOR, weights_only=True)
    return Warmup(state, cast(EvaluationRow, source.rows(METRICS)[-1]))


def _record_start(directory: RunDirectory, spec: Spec, options: Conditions) -> None:
    path = directory.path / ENVIRONMENT
    starts = directory.read_json(ENVIRONMENT)["starts"] if path.exists() else []
    entry = provenance(str(options.device), code_hash(spec.trainer))
    directory.write_json(ENVIRONMENT, {"starts": [*starts, entry]})


if __name__ == "__main__":
    sys.exit(main())
