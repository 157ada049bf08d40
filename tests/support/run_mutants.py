"""Plant known errors in the product, one at a time, and see that the tests notice each.

A mutant is a text substitution kept in ``tests/mutants/*.toml``::

    [[mutant]]
    name = "the generator climbs"
    file = "algorithms/cot.py"
    find = "return total / len(s)"        # must occur exactly once
    replace = "return -total / len(s)"
    tests = ["tests/science/test_cot.py"]

The product is copied to a temporary tree that is imported in place of the checkout; nothing in the
checkout changes. First the unchanged copy must pass, then every mutant must make a test fail.

    python tests/support/run_mutants.py [--jobs 2] [--only TEXT]...

Exits with 1 if a mutant survives or cannot be planted.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import queue
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = ROOT / "tests" / "mutants"
COPIED = {
    "textbench": "textbench",
    "algorithms": "textbench/algorithms",
    "metrics": "textbench/metrics",
    "tests": "tests",
    "docs": "docs",
}
"""Where each folder of the checkout goes; `algorithms` is installed as `textbench.algorithms`."""
TIMEOUT = 1800
"""Seconds for the tests of one mutant, or of the unchanged copy."""
PASSED, FAILED = 0, 1
"""What pytest returns when tests passed, and when tests ran and some failed."""
IMPORTS = "test_imports_come_from_here.py"
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["pandas", "pydantic", "pytest", "scipy.stats", "torch", "torch._dynamo"]  # of any optimiser
)


@dataclass(frozen=True)
class Mutant:
    """One planted error."""

    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    def problem(self) -> str:
        """Say why it cannot be planted, or return an empty string."""
        path = ROOT / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        count = path.read_text(encoding="utf-8").count(self.find)
        if count != 1:
            return f"its text occurs {count} times in {self.file}"
        missing = [test for test in self.tests if not exists(test)]
        return f"no such tests: {', '.join(missing)}" if missing or not self.tests else ""


def exists(test: str) -> bool:
    """Tell whether a file of tests, or ``file::function``, is there."""
    file, _, function = test.partition("::")
    path = ROOT / file
    return path.is_file() and (
        not function or f"def {function.split('[')[0]}(" in path.read_text(encoding="utf-8")
    )


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant."""

    mutant: Mutant
    verdict: str
    """"killed" is the only good one."""
    seconds: float = 0.0
    detail: str = ""


def read_mutants(folder: Path = MUTANTS) -> list[Mutant]:
    """Read every mutant; a name begins with its file's."""
    found: dict[str, Mutant] = {}
    for path in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
            name = f"{path.stem}: {entry['name']}"
            mutant = Mutant(**entry | {"name": name, "tests": tuple(entry["tests"])})
            if mutant.name in found:
                raise SystemExit(f"{path}: a second mutant is called {mutant.name!r}")
            found[mutant.name] = mutant
    return list(found.values())


class Sandbox:
    """A copy of the product and its tests, importable on its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns("__pycache__", ".*")
        for source, target in COPIED.items():
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target, ignore=ignore, dirs_exist_ok=True)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def write_import_test(self, files: set[str]) -> str:
        """Write a test that these files, and not the checkout's, are what Python imports."""
        paths = {
            ".".join(path.relative_to(self.folder).with_suffix("").parts): str(path)
            for path in map(self.path, sorted(files))
        }
        (self.folder / "tests" / IMPORTS).write_text(
            "import importlib.util\n\n\ndef test_imports():\n"
            f"    paths = {paths!r}\n"
            "    found = {name: importlib.util.find_spec(name).origin for name in paths}\n"
            "    assert found == paths\n",
            encoding="utf-8",
        )
        return f"tests/{IMPORTS}"

    def path(self, file: str) -> Path:
        """Return where a file of the checkout lies in the copy."""
        top, _, rest = file.partition("/")
        return self.folder / COPIED[top] / rest

    def pytest(self, tests: Sequence[str]) -> tuple[int | None, str]:
        """Run tests up to the first failure; return the exit code (None: no end) and the output.

        In a process forked from one that has imported the libraries, but nothing of the product.
        """
        output = self.folder / "output.txt"
        process = FORKS.Process(target=run_tests, args=(self.folder, tests, output))
        process.start()
        process.join(TIMEOUT)
        if process.exitcode is None:
            process.kill()
            process.join()
            return None, ""
        return process.exitcode, output.read_text(encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """Make the substitution, and take it back."""
        path = self.path(mutant.file)
        original = path.read_text(encoding="utf-8")
        path.write_text(original.replace(mutant.find, mutant.replace), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(original, encoding="utf-8")


def run_tests(folder: Path, tests: Sequence[str], output: Path) -> None:
    """Run pytest on the copy in ``folder``; byte code is not written, for it outlives a mutant."""
    import pytest

    with output.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:] = [
        str(folder),
        *(path for path in sys.path if path != str(ROOT / "tests" / "support")),
    ]
    sys.exit(pytest.main(["-q", "-x", "--tb=line", "-p", "no:cacheprovider", *tests]))


def judge(mutant: Mutant, sandbox: Sandbox) -> Outcome:
    """Plant one mutant and run its tests."""
    began = time.monotonic()
    with sandbox.planted(mutant):
        code, output = sandbox.pytest(mutant.tests)
    seconds = time.monotonic() - began
    if code is None:
        return Outcome(mutant, "timeout", seconds)
    if code == FAILED:
        failed = [line for line in output.splitlines() if line.startswith("FAILED")]
        return Outcome(mutant, "killed", seconds, failed[0].split(" - ")[0][7:] if failed else "")
    if code == PASSED:
        return Outcome(mutant, "SURVIVED", seconds)
    return Outcome(mutant, "BROKEN", seconds, output.strip()[-500:])


def run(mutants: Sequence[Mutant], jobs: int) -> list[Outcome]:
    """Judge every mutant, ``jobs`` at a time; print each as it is done."""
    outcomes = [Outcome(m, "STALE", detail=m.problem()) for m in mutants if m.problem()]
    plantable = [m for m in mutants if not m.problem()]
    for outcome in outcomes:
        show(outcome)
    with tempfile.TemporaryDirectory(prefix="textbench-mutants-") as folder:
        sandboxes: queue.Queue[Sandbox] = queue.Queue()
        for number in range(jobs):
            sandboxes.put(Sandbox(Path(folder).resolve() / str(number)))
        tests = sorted({test for mutant in plantable for test in mutant.tests})
        first = sandboxes.queue[0]
        code, output = first.pytest([first.write_import_test({m.file for m in plantable}), *tests])
        if code != PASSED:
            raise SystemExit(f"the unchanged copy fails its tests:\n{output[-3000:]}")

        def work(mutant: Mutant) -> Outcome:
            sandbox = sandboxes.get()
            try:
                return judge(mutant, sandbox)
            finally:
                sandboxes.put(sandbox)

        with ThreadPoolExecutor(jobs) as pool:
            for done in as_completed([pool.submit(work, mutant) for mutant in plantable]):
                outcomes.append(done.result())
                show(outcomes[-1])
    return outcomes


def show(outcome: Outcome) -> None:
    """Print one line."""
    print(
        f"{outcome.verdict:9}{outcome.seconds:6.1f} s  {outcome.mutant.name}"
        + (f"  [{outcome.detail}]" if outcome.detail else ""),
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at the same time")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="names that contain this"
    )
    options = parser.parse_args(arguments)
    mutants = read_mutants()
    if options.only:
        mutants = [m for m in mutants if any(text in m.name for text in options.only)]
    if not mutants:
        print("no mutant has such a name")
        return 1
    os.environ["OMP_NUM_THREADS"] = "1"
    outcomes = run(mutants, options.jobs)
    bad = [outcome for outcome in outcomes if outcome.verdict != "killed"]
    print(f"{len(outcomes) - len(bad)} of {len(outcomes)} mutants killed")
    for outcome in bad:
        show(outcome)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
