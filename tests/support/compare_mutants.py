"""See that `textbench compare` notices planted errors by the numbers of trained runs.

``tests/visible_mutants.toml`` names mutants of ``tests/mutants/`` that show at the size of preset
`ci`. Each is planted in a copy of the product, its trainer is run there with three seeds, and
comparing them with ``results/published/ci`` must give a regression.

    python tests/support/compare_mutants.py [--jobs 2] [--only TEXT]...  # `tox -e compare-mutants`
    python tests/support/compare_mutants.py --every  # which others would show?

Exits with 1 if a listed mutant is not noticed, or the unchanged copy is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from run_mutants import FORKS, ROOT, Mutant, Sandbox, read_mutants

BASE = ROOT / "results" / "published" / "ci"
LIST = ROOT / "tests" / "visible_mutants.toml"
SEEDS = "0:3"
TRAINED = {
    "algorithms/adversarial.py": "seqgan",
    "algorithms/discriminator.py": "seqgan",
    "algorithms/goal_generator.py": "leakgan",
    "algorithms/leak_generator.py": "leakgan",
    "algorithms/loads.py": "seqgan",
    "textbench/backbone/cell.py": "mle,cot",
    "textbench/backbone/descent.py": "mle,cot",
    "textbench/backbone/losses.py": "mle,cot",
    "textbench/backbone/lstm.py": "mle,cot",
    "textbench/backbone/output.py": "mle,cot",
    "textbench/backbone/rollout.py": "seqgan",
    "textbench/backbone/sampling.py": "cot",
}
"""Who shows an error of what trainers share; a trainer's own file is run by itself."""


def listed() -> list[str]:
    """Return the names of the mutants that must be noticed."""
    names: list[str] = tomllib.loads(LIST.read_text(encoding="utf-8"))["visible"]
    return names


def trained(mutant: Mutant) -> str:
    """Return which algorithms show a mutant; empty where none of the store's does."""
    from fresh import ALGORITHMS

    own = Path(mutant.file).stem if mutant.file.startswith("algorithms/") else ""
    return TRAINED.get(mutant.file, own if own in ALGORITHMS else "")


def noticed(sandbox: Sandbox, mutant: Mutant | None, algos: str, base: Path = BASE) -> str:
    """Train in the copy, with the error planted; return what `compare` says, or nothing."""
    from textbench.judge.comparison import compare_stores
    from textbench.store.read import read_store

    results = sandbox.folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    with sandbox.planted(mutant) if mutant else contextlib.nullcontext():
        process = FORKS.Process(target=train, args=(sandbox.folder, algos, results))
        process.start()
        process.join()
    if process.exitcode:
        return f"it cannot be trained: exit code {process.exitcode}"
    found = compare_stores(read_store(base), read_store(results))
    if found.empty:
        return "nothing could be compared"
    broken = [f"{run.run} {run.status}" for run in found.broken if run.regression]
    moved = [f"{one.number.row} {one.number.metric}" for one in found.alarms]
    return ", ".join(broken + moved)


def train(folder: Path, algos: str, results: Path) -> None:
    """Train with the copy in ``folder`` in place of the checkout."""
    output = (folder / "output.txt").open("w", encoding="utf-8")
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    os.chdir(folder)
    sys.dont_write_bytecode = True
    sys.path[:] = [str(folder), str(folder / "tests" / "support"), *sys.path]
    import fresh

    import textbench

    if not str(textbench.__file__).startswith(str(folder)):
        sys.exit(3)
    fresh.train(results, algos, SEEDS)


def check(mutants: Sequence[Mutant], jobs: int, base: Path = BASE) -> dict[str, str]:
    """Return what `compare` says of each mutant; print it as it comes."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="textbench-mutants-") as folder:
        sandboxes: queue.Queue[Sandbox] = queue.Queue()
        for number in range(jobs):
            sandboxes.put(Sandbox(Path(folder).resolve() / str(number)))

        def work(mutant: Mutant | None) -> None:
            sandbox = sandboxes.get()
            every = ",".join(map(trained, [mutant] if mutant else mutants))
            algos = ",".join(dict.fromkeys(every.split(",")))
            name = mutant.name if mutant else ""
            try:
                found[name] = noticed(sandbox, mutant, algos, base)
            finally:
                sandboxes.put(sandbox)
            shown = found[name] or "not noticed"
            print(f"{name or 'unchanged'}: {shown}", flush=True)

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(work, [None, *mutants]))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at the same time")
    parser.add_argument("--base", type=Path, default=BASE, metavar="STORE", help="recorded runs")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="names that contain this"
    )
    parser.add_argument("--every", action="store_true", help="the mutants that are not listed too")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    wanted = listed()
    mutants = [m for m in read_mutants() if trained(m) and (options.every or m.name in wanted)]
    if options.only:
        mutants = [m for m in mutants if any(text in m.name for text in options.only)]
    found = check(mutants, options.jobs, options.base)
    missed = [m.name for m in mutants if m.name in wanted and not found[m.name]]
    print(f"{sum(map(bool, found.values())) - bool(found[''])} of {len(mutants)} mutants noticed")
    for name in missed:
        print(f"listed, and not noticed: {name}")
    if found[""]:
        print(f"the unchanged copy is not the recorded one: {found['']}")
    return 1 if missed or found[""] else 0


if __name__ == "__main__":
    raise SystemExit(main())
