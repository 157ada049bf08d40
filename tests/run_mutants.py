"""Plant known errors in the product, one at a time, and see that the tests notice each.

A mutant is a text substitution kept in ``tests/mutants/*.toml``::

    [[mutant]]
    name = "the generator climbs"
    file = "algorithms/cot.py"
    find = "return total / len(s)"        # must occur exactly once
    replace = "return -total / len(s)"
    tests = ["tests/test_cot.py"]

The product is copied to a temporary tree that is imported in place of the checkout; nothing in the
checkout changes. First the unchanged copy must pass, then every mutant must make a test fail.

    python tests/run_mutants.py [--jobs 2] [--only TEXT]...

Exits with 1 if a mutant survives or cannot be planted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = ROOT / "tests" / "mutants"
COPIED = {
    "textbench": "textbench",
    "algorithms": "textbench/algorithms",
    "metrics": "textbench/metrics",
    "tests": "tests",
    "docs": "docs",
}
"""Where each folder of the checkout goes; `algorithms` is installed as `textbench.algorithms`."""
TIMEOUT = 600
"""Seconds for the tests of one mutant."""
PASSED, FAILED = 0, 1
"""What pytest returns when tests passed, and when tests ran and some failed."""


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
        missing = [test for test in self.tests if not (ROOT / test.split("::")[0]).is_file()]
        return f"no such tests: {', '.join(missing)}" if missing or not self.tests else ""


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

    def path(self, file: str) -> Path:
        """Return where a file of the checkout lies in the copy."""
        top, _, rest = file.partition("/")
        return self.folder / COPIED[top] / rest

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the copy; byte code is not written, for it would outlive a mutant."""
        environment = os.environ | {
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def pytest(self, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run tests up to the first failure."""
        quiet = ("-q", "-x", "--tb=line", "-p", "no:cacheprovider")
        return self.python("-m", "pytest", *quiet, *tests)

    def check_imports(self, files: set[str]) -> None:
        """Make sure that these files, and not the checkout's, are what Python imports."""
        for file in sorted(files):
            path = self.path(file)
            module = ".".join(path.relative_to(self.folder).with_suffix("").parts)
            code = f"import importlib.util as u; print(u.find_spec({module!r}).origin)"
            origin = self.python("-c", code).stdout.strip()
            if origin != str(path):
                raise SystemExit(f"{module} would be imported from {origin}, not from {path}")

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


def judge(mutant: Mutant, sandbox: Sandbox) -> Outcome:
    """Plant one mutant and run its tests."""
    began = time.monotonic()
    with sandbox.planted(mutant):
        try:
            result = sandbox.pytest(mutant.tests)
        except subprocess.TimeoutExpired:
            return Outcome(mutant, "timeout", time.monotonic() - began)
    seconds = time.monotonic() - began
    if result.returncode == FAILED:
        failed = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
        return Outcome(mutant, "killed", seconds, failed[0].split(" - ")[0][7:] if failed else "")
    if result.returncode == PASSED:
        return Outcome(mutant, "SURVIVED", seconds)
    return Outcome(mutant, "BROKEN", seconds, result.stdout.strip()[-500:])


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
        first = sandboxes.queue[0]
        first.check_imports({m.file for m in plantable})
        unchanged = first.pytest(sorted({test for m in plantable for test in m.tests}))
        if unchanged.returncode != PASSED:
            raise SystemExit(f"the unchanged copy fails its tests:\n{unchanged.stdout[-3000:]}")

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
    outcomes = run(mutants, options.jobs)
    bad = [outcome for outcome in outcomes if outcome.verdict != "killed"]
    print(f"{len(outcomes) - len(bad)} of {len(outcomes)} mutants killed")
    for outcome in bad:
        show(outcome)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
