"""Every row of `textbench list` at `ci` size, to the bit: what a change of structure must keep.

    python tests/support/bits.py record FILE     # train every row, write hashes and final metrics
    python tests/support/bits.py check FILE      # train again, name every row that moved

A hash is of the final generator's parameters; metrics are those of the last evaluation. Bits
depend on the processor's instruction set and on the versions of torch and numpy, so a record names
them and is compared to the bit only where they agree.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from corpus import sentences, write
from forked import textbench

from textbench.plan import registry

TINY = ("--task", "synthetic-tiny", "--preset", "ci", "--seeds", "0", "--device", "cpu")
TEXT_ROWS = ("mle", "cot:strong", "seqgan", "leakgan", "maligan:texygen")
"""Rows that are trained on text as well, for the metrics that need words."""

EXPONENTIALS = (3.508326, 1.230385, 0.615044)
"""What the recorded version of PyTorch draws first from seed 0; older ones draw others."""

Record = dict[str, dict[str, Any]]


def draws_as_recorded() -> bool:
    """Tell whether this PyTorch draws the same exponentials as the one of the record."""
    drawn = torch.empty(3).exponential_(generator=torch.Generator().manual_seed(0))
    return torch.allclose(drawn, torch.tensor(EXPONENTIALS), atol=1e-5)


def rows() -> list[str]:
    """Return every trainer and variant that learns without a corpus."""
    found = []
    for name in registry.names("trainer"):
        if not name.startswith("real"):
            found += [name, *(f"{name}:{variant}" for variant in registry.variants(name))]
    return found


def train(results: Path, algos: Sequence[str], *options: str) -> None:
    """Run rows by the command line."""
    words = ["textbench", "run", "--algos", ",".join(algos)]
    words += ["--results", str(results), "--jobs", "2", *options]
    textbench(shlex.join(words), results.parent).check_returncode()


def text_options(folder: Path) -> list[str]:
    """Write a small corpus; return the options that name it."""
    options = ["--task", "text", "--preset", "ci", "--seeds", "0", "--device", "cpu"]
    for number, (part, size) in enumerate({"train": 400, "valid": 100, "test": 200}.items()):
        path = write(folder / f"{part}.txt", sentences(size, seed=number))
        options += ["--set", f"text.{part}={path}"]
    return options


def read(results: Path) -> Record:
    """Return the generator's hash and the final metrics of every run of a store."""
    found: Record = {}
    for path in sorted(results.glob("*/*/*/generator.pt")):
        state = torch.load(path, weights_only=True)
        digest = hashlib.sha256()
        for key, value in state.items():
            digest.update(key.encode() + value.numpy().tobytes())
        lines = (path.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        values = final_values(json.loads(lines[-1]))
        found["/".join(path.parts[-4:-1])] = {"generator": digest.hexdigest(), "metrics": values}
    return found


def final_values(row: dict[str, Any]) -> dict[str, float | None]:
    """Return what an evaluation row says of each metric."""
    return {name: one["value"] for name, one in row["metrics"].items()}


def machine() -> dict[str, str]:
    """Return what bits depend on, besides the code."""
    return {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__.partition("+")[0],
        "numpy": numpy.__version__,
    }


def make(algos: Sequence[str] = (), text: Sequence[str] = TEXT_ROWS) -> Record:
    """Train rows, all by default, and return their record."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        train(results, algos or rows(), *TINY)
        if text:
            train(results, text, *text_options(Path(folder)))
        return read(results)


def moved(old: Record, new: Record, *, exact: bool = True) -> list[str]:
    """Name what of ``new`` is not as in ``old``; rows that only one of them has are left out."""
    lines = []
    for name in sorted(set(old) & set(new)):
        if exact and old[name]["generator"] != new[name]["generator"]:
            lines.append(f"{name}: the final generator is another")
        for metric in sorted({*old[name]["metrics"], *new[name]["metrics"]}):
            pair = [record[name]["metrics"].get(metric, "absent") for record in (old, new)]
            if not _same(*pair, exact=exact):
                lines.append(f"{name}: {metric} was {pair[0]}, is {pair[1]}")
    return lines


def _same(old: Any, new: Any, *, exact: bool) -> bool:
    if exact or not (isinstance(old, float) and isinstance(new, float)):
        return bool(old == new)
    return math.isclose(old, new, rel_tol=0.05, abs_tol=0.05)


def main() -> int:
    """Record or check; return the exit code."""
    what, path = sys.argv[1], Path(sys.argv[2])
    record = make()
    if what == "record":
        text = json.dumps({"machine": machine(), "rows": record}, indent=1, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")
        return 0
    old = json.loads(path.read_text(encoding="utf-8"))
    exact = old["machine"] == machine()
    absent = sorted(set(old["rows"]) ^ set(record))
    lines = [*moved(old["rows"], record, exact=exact), *(f"{name}: only in one" for name in absent)]
    print("\n".join(lines) or f"{len(record)} rows: {'every bit' if exact else 'all'} as recorded")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
