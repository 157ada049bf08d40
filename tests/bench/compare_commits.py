"""Compare the speed of two commits, benchmark by benchmark, pair by pair.

    python tests/bench/compare_commits.py OLD [NEW] [--pairs 3] [--only EXPRESSION]

Each commit's own ``tests/bench`` runs on its own files, turn by turn (old, new, old, new, ...), so
that what else the machine does falls on both. Times are processor time, the least of a turn; a
ratio is that of one pair. NEW is the working tree if it is left out. Benchmarks that only one of
the commits has are left out, and said.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
"""What the harness gives its workers."""
Times = dict[str, float]


def check_out(commit: str, folder: Path) -> None:
    """Put a commit's files into ``folder``, importable; the working tree's if it is empty."""
    if commit:
        command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{commit}: {done.stderr.decode().strip()}")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
    else:
        for path in ROOT.iterdir():
            if not path.name.startswith("."):
                (folder / path.name).symlink_to(path)
    packages = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    if not commit:  # a link that can hold links
        (folder / "textbench").unlink()
        (folder / "textbench").mkdir()
        for path in (ROOT / "textbench").iterdir():
            (folder / "textbench" / path.name).symlink_to(path)
    for package, place in packages["tool"]["setuptools"]["package-dir"].items():
        link = folder.joinpath(*package.split("."))
        if not link.exists():
            link.symlink_to(folder / place)


def run(folder: Path, selection: Sequence[str]) -> Times:
    """Run a tree's benchmarks; return the least processor time of each, in seconds."""
    output = folder / "benchmarks.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *selection]
    command += ["--benchmark-enable", "--benchmark-only", f"--benchmark-json={output}"]
    command += ["--benchmark-timer=time.process_time"]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the benchmarks in {folder} failed:\n{done.stdout[-3000:]}")
    found = json.loads(output.read_text(encoding="utf-8"))["benchmarks"]
    return {one["name"]: one["stats"]["min"] for one in found}


def table(old: Sequence[Times], new: Sequence[Times]) -> list[str]:
    """Return the lines of the comparison, a benchmark each."""
    shared = [name for name in old[0] if name in new[0]]
    lines = [f"{'':58} {'old ms':>9} {'new ms':>9}  old/new (its pairs)"]
    for name in shared:
        ratios = sorted(a[name] / b[name] for a, b in zip(old, new, strict=True))
        before, after = (1e3 * min(turn[name] for turn in turns) for turns in (old, new))
        lines.append(
            f"{name:58} {before:9.2f} {after:9.2f}  {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    for label, ours, theirs in (("old", old[0], new[0]), ("new", new[0], old[0])):
        alone = [name for name in ours if name not in theirs]
        if alone:
            lines.append(f"only in {label}: {', '.join(alone)}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old")
    parser.add_argument("new", nargs="?", default="", help="the working tree if left out")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", default="", metavar="EXPRESSION", help="pytest's -k")
    parser.add_argument("--files", nargs="+", default=["tests/bench"], help="which benchmarks")
    options = parser.parse_args(arguments)
    selection = [*options.files, *(["-k", options.only] if options.only else [])]
    turns: dict[str, list[Times]] = {"old": [], "new": []}
    with tempfile.TemporaryDirectory(prefix="textbench-speed-") as folder:
        for side, commit in (("old", options.old), ("new", options.new)):
            (Path(folder) / side).mkdir()
            check_out(commit, Path(folder) / side)
        for _ in range(options.pairs):
            for side, times in turns.items():
                times.append(run(Path(folder) / side, selection))
    print("\n".join(table(turns["old"], turns["new"])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
