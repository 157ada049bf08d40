"""Training runs of preset `ci` on `synthetic-tiny`, in the process that asks for them.

    python tests/support/fresh.py

records ``results/published/ci`` anew: 20 seeds of every algorithm, a second or two each. It is to
be repeated, in a committed clone, whenever a change moves a trainer's numbers on purpose.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

RECORDED = Path(__file__).resolve().parents[2] / "results" / "published" / "ci"
SEEDS = "0:20"

ALGORITHMS = (
    *("mle", "scheduled_sampling", "seqgan", "rankgan", "maligan"),
    *("leakgan", "professor_forcing", "policy_gradient", "cot"),
    *("mixce", "tailr", "gold", "emo", "relgan"),
)
"""What results/published/ci has: every shipped trainer that learns."""


def train(results: Path, algos: str, seeds: str) -> None:
    """Train and evaluate into a store, as `textbench run --device cpu` does."""
    # Imported here: `compare_mutants` calls this where nothing of the product may be loaded before.
    import torch

    from textbench.plan.resolve import Request, expand
    from textbench.run import worker
    from textbench.run.conditions import Conditions
    from textbench.store.directory import RunDirectory

    torch.set_num_threads(1)
    specs = expand(Request(algos=algos, task="synthetic-tiny", preset="ci", seeds=seeds))
    for spec in specs:
        directory = RunDirectory(spec.directory(results))
        directory.create(spec)
        worker.execute(directory, Conditions(torch.device("cpu")))


def record() -> int:
    """Replace the recorded store; return the exit code."""
    from textbench.run.provenance import COMMAND, commit
    from textbench.store.read import read_store

    if commit()["dirty"] is not False:
        print("only the numbers of committed code are recorded: `git status` must be clean")
        return 1
    os.environ[COMMAND] = "python tests/support/fresh.py"
    shutil.rmtree(RECORDED, ignore_errors=True)
    for algorithm in ALGORITHMS:
        train(RECORDED, algorithm, SEEDS)
        print(f"{algorithm}: recorded", flush=True)
    unfinished = [run.name for run in read_store(RECORDED).runs if run.status.status != "done"]
    print(f"{len(unfinished)} run(s) did not finish {' '.join(unfinished)}")
    return 1 if unfinished else 0


if __name__ == "__main__":
    sys.exit(record())
