"""Where runs are executed: the engine that a command's options ask for."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textbench.contracts.errors import UserError
from textbench.plan.arguments import parse_duration, parse_size, parse_timeout

if TYPE_CHECKING:
    from textbench.run.engine import Engine


def prepare(given: Mapping[str, Any]) -> Callable[[], Engine]:
    """Check the options of `textbench run` and return what makes the engine they ask for.

    A time budget begins here. No cluster is looked for before the engine is made.

    Raises:
        UserError: One of them is wrong, or there is no such device.
    """
    from textbench.run.limits import Limits, Terms
    from textbench.run.local import LocalEngine

    budget = given["time_budget"]
    idle, total = parse_timeout(given["timeout"])
    terms = Terms(
        checkpoint_every(given["checkpoint_every"]),
        time.monotonic() + parse_duration(budget, "--time-budget") if budget else math.inf,
        Limits(idle, total, parse_size(given["memory"])),
        retries=int(given["retry"]) if given["retry"].isdecimal() else 0,
    )
    per_gpu = given["per_gpu"]
    if given["engine"] == "ray":
        from textbench.run.cluster import RayEngine

        return partial(
            RayEngine,
            given["results"],
            device=given["device"],
            jobs=given["jobs"] or 0,
            per_gpu=per_gpu,
            address=given["address"],
            cores=given["jobs"] or usable_cores(),
            terms=terms,
        )
    if given["address"]:
        raise UserError("--address is for --engine ray")
    devices = choose_devices(given["device"])
    jobs = given["jobs"] or default_jobs(devices, per_gpu)
    return partial(LocalEngine, given["results"], devices=devices, jobs=jobs, terms=terms)


def choose_devices(device: str) -> list[str]:
    """Return the devices that workers are given in turn.

    Raises:
        UserError: There is no such device.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, index = device.partition(":")
    if device == "cpu" or (device == "auto" and not count):
        return ["cpu"]
    if device in ("auto", "cuda") and count:
        return [f"cuda:{i}" for i in range(count)]
    if kind == "cuda" and index in map(str, range(count)):
        return [device]
    here = f"this machine has {count} CUDA devices"
    raise UserError(f"--device {device}: expected auto, cpu, cuda or cuda:I; {here}")


def compute_on(device: str) -> str:
    """Return the first of the devices meant; this process has one thread from now on, as runs have.

    Raises:
        UserError: There is no such device.
    """
    import torch

    torch.set_num_threads(1)
    return choose_devices(device)[0]


def default_jobs(devices: Sequence[str], per_gpu: int) -> int:
    """Return how many runs go at once, if nobody says."""
    return usable_cores() if devices[0] == "cpu" else len(devices) * per_gpu


def usable_cores() -> int:
    """Return how many cores this process may use, as far as the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows bind no process to cores


def checkpoint_every(text: str) -> str:
    """Return what the worker takes: a number of steps, or seconds with an ``s``."""
    if re.fullmatch(r"0*[1-9]\d{0,17}", text, re.ASCII):
        return text
    return f"{parse_duration(text, '--checkpoint-every'):g}s"
