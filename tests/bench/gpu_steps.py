"""Milliseconds of each trainer's step at the paper's size on one device, and of K runs at once.

    python tests/bench/gpu_steps.py [--device cuda] [--together 8]

Prints one line a step. With ``--together K`` the first four are made by K processes at the same
time; NVIDIA's MPS has to run for their kernels to share the GPU. docs/performance.md has results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from textbench.algorithms.cot import CoT
from textbench.algorithms.maligan import MaliGAN
from textbench.algorithms.mle import MLE
from textbench.algorithms.policy_gradient import PolicyGradient
from textbench.algorithms.professor_forcing import ProfessorForcing
from textbench.algorithms.rankgan import RankGAN
from textbench.algorithms.seqgan import SeqGAN

from textbench.contracts.data import TrainingData
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.run.conditions import prepare

V, T, SEQUENCES = 5000, 20, 9984
WARM_UP = 8
"""Steps before the clock starts: from the fourth on updates are replayed."""
Step = Callable[[], object]
KINDS: dict[str, tuple[type[Trainer[Any]], Position]] = {
    "MLE update": (MLE, Position("mle", 0, 1)),
    "CoT iteration": (CoT, Position("cot", 0, 1)),
    "D update, SeqGAN": (SeqGAN, Position("adversarial", 0, 2)),
    "G update, SeqGAN": (SeqGAN, Position("adversarial", 0, 0)),
    "D update, MaliGAN": (MaliGAN, Position("adversarial", 0, 2)),
    "ranker update, RankGAN": (RankGAN, Position("adversarial", 0, 2)),
    "G update, policy gradient": (PolicyGradient, Position("policy_gradient", 0, 1)),
    "professor forcing": (ProfessorForcing, Position("professor_forcing", 0, 1)),
}


def step_of(
    kind: type[Trainer[Any]], at: Position, device: torch.device, **options: object
) -> Step:
    """Return one step of a trainer that is set up, its discriminator's load in place."""
    sequences = torch.randint(V, (SEQUENCES, T), generator=stream(0, "bench")).to(device)
    context = Context(
        vocab_size=V,
        length=T,
        data=TrainingData(lambda _: sequences, SEQUENCES),
        rng=stream(0, "training", device=device),
        device=device,
        seed=0,
        backbone={"embedding": 32, "hidden": 32},
    )
    trainer = kind(kind.config_schema(**options), context)
    trainer.setup()
    if at.phase == "adversarial":
        trainer.step(Position("discriminator", 0, 0))
    return lambda: trainer.step(at)


def milliseconds(step: Step, device: torch.device, seconds: float, start: float = 0.0) -> float:
    """Return the mean time of a step, of as many as fit, from the moment ``start`` on."""

    def wait() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    for _ in range(WARM_UP):
        step()
    wait()
    time.sleep(max(0.0, start - time.time()))
    began, steps = time.perf_counter(), 0
    while wait() - began < seconds:
        for _ in range(10 if device.type == "cuda" else 1):  # not one by one: they overlap
            step()
            steps += 1
    return 1e3 * (wait() - began) / steps


def together(count: int, name: str, options: argparse.Namespace) -> list[float]:
    """Let processes make one kind of step at the same time; return their milliseconds."""
    command = [sys.executable, __file__, "--device", options.device, "--only", name]
    command += ["--seconds", str(options.seconds), "--start", str(time.time() + options.wait)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [json.loads(run.communicate()[0])[name] for run in runs]


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--together", type=int, default=0, metavar="K")
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement")
    parser.add_argument("--wait", type=float, default=12.0, help="seconds for K processes to start")
    parser.add_argument("--only", default="", help="print one kind of step as JSON")
    parser.add_argument("--start", type=float, default=0.0, help="moment to begin at")
    options = parser.parse_args()
    if options.together:
        for name in [*KINDS][:4]:
            each = together(options.together, name, options)
            mean = sum(each) / len(each)
            print(f"{name:28} K={len(each)} {mean:9.2f} ms, {mean / len(each):.2f} per run")
        return 0
    device = torch.device(options.device)
    prepare(device)
    torch.set_num_threads(1)
    for name, (kind, at) in KINDS.items():
        if options.only in ("", name):
            found = milliseconds(step_of(kind, at, device), device, options.seconds, options.start)
            print(json.dumps({name: found}) if options.only else f"{name:28} {found:9.2f} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
