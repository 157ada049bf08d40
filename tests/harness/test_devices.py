"""What a run on a GPU asks of PyTorch, and when the clock waits for one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from textbench.run.clock import Clock

SWITCHES = """
import os, torch
from textbench.run.conditions import prepare
prepare(torch.device({device!r}))
print(
    torch.are_deterministic_algorithms_enabled(),
    torch.backends.cudnn.allow_tf32,
    torch.backends.cuda.matmul.allow_tf32,
    torch.utils.deterministic.fill_uninitialized_memory,
    os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
)
"""


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cuda", "True False False False :4096:8"), ("cpu", "False True False True None")],
)
def test_a_gpu_computes_in_float32_and_the_same_each_time(
    device: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own: the switches are global."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", SWITCHES.format(device=device)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected


def test_the_clock_waits_for_a_gpu_where_time_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after every step; and the time it waits is counted."""
    now, waited = [0.0], []

    def synchronise() -> None:
        waited.append(now[0])
        now[0] += 5.0

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronise)
    monkeypatch.setattr("textbench.run.clock.time.perf_counter", lambda: now[0])
    clock = Clock()
    for _ in range(3):
        with clock:
            now[0] += 1.0
    now[0] += 100.0  # an evaluation, say
    assert not waited
    readings: list[Callable[[], object]] = [clock.total, clock.lap, clock.state]
    for number, read in enumerate(readings, 1):
        read()
        assert len(waited) == number
        assert clock.seconds == 3.0 + 5.0 * number
