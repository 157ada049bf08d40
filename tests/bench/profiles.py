"""Where the time of each trainer's step and of each metric goes, as Markdown tables.

    python tests/bench/profiles.py [--only TEXT]

Steps are those of the paper's sizes (`gpu_steps`); metrics are computed of 10,000 samples of an
untrained generator, against the seeded oracle or 10,000 sentences with Zipf's frequencies; of eWMD
two critics are trained in 20 steps. What metrics share (samples, scores) is there before.
Processor time of one core, the least of three, and under PyTorch's profiler the operators that take
most of it themselves.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from gpu_steps import KINDS, step_of
from test_bench_bleu import sentences
from textbench.algorithms.cot import CoT
from textbench.algorithms.emo import EMO
from textbench.algorithms.gold import GOLD
from textbench.algorithms.leakgan import LeakGAN
from textbench.algorithms.maligan import MaliGAN
from textbench.algorithms.mixce import MixCE
from textbench.algorithms.rankgan import RankGAN
from textbench.algorithms.relgan import RelGAN
from textbench.algorithms.scheduled_sampling import ScheduledSampling
from textbench.algorithms.tailr import TaiLr
from torch.profiler import ProfilerActivity, profile

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.task import Task
from textbench.contracts.trainer import Position, Trainer
from textbench.plan import registry
from textbench.run.measure import measure
from textbench.tasks.synthetic import Synthetic, SyntheticConfig
from textbench.tasks.text import Text, TextConfig

CPU = torch.device("cpu")
SAMPLES = 10_000
SHOWN = 4
"""Operators of each profile."""
STEPS: dict[str, tuple[type[Trainer[Any]], Position]] = {
    **KINDS,
    "scheduled sampling, last epoch": (ScheduledSampling, Position("scheduled_sampling", 179, 0)),
    "reverse KL (CoT, m_target data)": (CoT, Position("cot", 0, 1)),
    "G update, MaliGAN": (MaliGAN, Position("adversarial", 0, 0)),
    "G update, RankGAN": (RankGAN, Position("adversarial", 0, 0)),
    "likelihood step, LeakGAN": (LeakGAN, Position("pretraining", 0, 0)),
    "G update, LeakGAN": (LeakGAN, Position("adversarial", 0, 0)),
    "MixCE": (MixCE, Position("mixce", 0, 1)),
    "TaiLr": (TaiLr, Position("tailr", 0, 1)),
    "EMO": (EMO, Position("emo", 0, 1)),
    "GOLD": (GOLD, Position("gold", 0, 1)),
    "D update, RelGAN": (RelGAN, Position("adversarial", 0, 1)),
    "G update, RelGAN": (RelGAN, Position("adversarial", 0, 0)),
}
OPTIONS: dict[str, dict[str, object]] = {
    "reverse KL (CoT, m_target data)": {"m_target": "data"},
    "ewmd": {"critics": 2, "steps": 20},  # of 5 and 2,000
}
"""By a step, or by a metric's section."""


def evaluations(folder: Path) -> Iterator[tuple[str, Evaluation]]:
    """Yield an evaluation against the oracle and one of text."""
    for split, seed in (("train", 0), ("valid", 1), ("test", 2)):
        lines = "\n".join(" ".join(words) for words in sentences(SAMPLES, seed))
        (folder / f"{split}.txt").write_text(lines + "\n", encoding="utf-8")
    files = {split: str(folder / f"{split}.txt") for split in ("train", "valid", "test")}
    tasks: list[Task[Any]] = [Synthetic(SyntheticConfig()), Text(TextConfig(**files))]
    for task in tasks:
        generator = LSTMLanguageModel(task.vocab_size, task.length, 32, 32)
        generator.initialise(torch.Generator().manual_seed(0))
        yield task.name, Evaluation(generator, task, seed=0, moment="bench", samples=SAMPLES)


def metrics(evaluation: Evaluation) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what computes each metric that applies; what several share is there before."""
    for name in registry.names("metric"):
        metric = registry.load_metric(name)
        made = metric(metric.config_schema(**OPTIONS.get(metric.section, {})))
        found = measure([made], evaluation)
        if any(one["value"] is not None for one in found.values()):
            yield name, lambda made=made: measure([made], evaluation)  # type: ignore[misc]


def line(name: str, call: Callable[[], object], calls: int) -> str:
    """Return a table's line: the time, and the operators with their shares of it."""
    taken = []
    for _ in range(calls):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        start = time.process_time()
        call()
        whole = 1e6 * (time.process_time() - start)
    found = sorted(seen.key_averages(), key=lambda one: -one.self_cpu_time_total)[:SHOWN]
    shares = (
        f"{one.key.removeprefix('aten::')} {one.self_cpu_time_total / whole:.0%}" for one in found
    )
    return f"| {name} | {1e3 * min(taken):,.1f} | {', '.join(shares)} |"


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="names that contain this")
    only = parser.parse_args().only
    torch.set_num_threads(1)
    print("| step | ms | operators |\n|---|---:|---|")
    for name, (kind, at) in STEPS.items():
        if only in name:
            step = step_of(kind, at, CPU, **OPTIONS.get(name, {}))
            step()
            print(line(name, step, 3), flush=True)
    print("\n| metric | ms | operators |\n|---|---:|---|")
    with tempfile.TemporaryDirectory(prefix="textbench-profiles-") as folder:
        for task, evaluation in evaluations(Path(folder)):
            for name, call in metrics(evaluation):
                if only in (called := f"{name}, {task}"):
                    print(line(called, call, 1), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
