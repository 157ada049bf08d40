"""Small real runs, and everything that can happen to one of their files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from textbench.contracts.spec import Spec
from textbench.plan.resolve import Request, expand
from textbench.run import worker
from textbench.run.conditions import Conditions
from textbench.store.directory import RunDirectory
from textbench.store.rows import LOGS

SETTINGS = (
    "synthetic-tiny.train_size=128",
    "synthetic-tiny.test_size=64",
    "synthetic-tiny.validation_size=64",
    "evaluation.samples=64",
    "evaluation.final_samples=96",
    "mle.epochs=3",
)
CLOCKS = ("seconds", "cpu_seconds")
CPU = torch.device("cpu")
Damage = Callable[[Path, Path], None]
"""Does something to a file; the second path is the same file of another run."""


def specs(seeds: str = "0:2", algos: str = "mle", settings: tuple[str, ...] = ()) -> list[Spec]:
    """Return specs of the smallest runs there are."""
    request = Request(
        algos=algos,
        task="synthetic-tiny",
        preset="ci",
        seeds=seeds,
        settings=(*SETTINGS, *settings),
    )
    return expand(request)


def make(results: Path, spec: Spec, steps: int | None = None) -> RunDirectory:
    """Train a run in this process: to its end, or for so many steps with a checkpoint at each."""
    directory = RunDirectory(spec.directory(results))
    directory.create(spec)
    left = steps

    def stop() -> bool:
        nonlocal left
        if left is None:
            return False
        left -= 1
        return left <= 0

    worker.execute(directory, Conditions(CPU, checkpoint_steps=1 if steps else 0, stop=stop))
    return directory


def outcome(directory: RunDirectory) -> dict[str, Any]:
    """Return all that two executions of one run must agree on."""
    logs = {
        name: [
            {key: value for key, value in row.items() if key not in CLOCKS}
            for row in directory.rows(name)
        ]
        for name in LOGS
    }
    files = ("generator.pt", "samples.txt")
    return {
        **logs,
        **{name: (directory.path / name).read_bytes() for name in files},
        "status": directory.status().status,
    }


@contextmanager
def damaged(path: Path, other: Path, damage: Damage) -> Iterator[None]:
    """Damage a file, and put everything back."""
    backup = path.with_name("backup-of-the-test")
    if path.exists():
        shutil.copy2(path, backup)
    try:
        damage(path, other)
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if backup.exists():
            os.replace(backup, path)


# -- kinds of damage -----------------------------------------------------------------------------


def _cut(share: float) -> Damage:
    def cut(path: Path, other: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return cut


def _nul(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 64] = bytes(len(content[half : half + 64]))
    path.write_bytes(content)


def _flip(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    place = next(i for i in range(len(content) // 2, len(content)) if chr(content[i]).isdigit())
    content[place] = ord("7") if content[place] != ord("7") else ord("3")
    path.write_bytes(content)


def _garbage(path: Path, other: Path) -> None:
    path.write_bytes(b'\xff\xfe{"\x00[\x1b[31mbold\n' * 9)


def _another(path: Path, other: Path) -> None:
    shutil.copy2(other, path)


def _absent(path: Path, other: Path) -> None:
    path.unlink()


def _link(path: Path, other: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(other.resolve())


def _dangling(path: Path, other: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/nowhere/at/all")


def _pipe(path: Path, other: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _folder(path: Path, other: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inside").write_text("kept", encoding="utf-8")


def _hole(path: Path, other: Path) -> None:
    os.truncate(path, 2**40)


ANY: dict[str, Damage] = {
    "absent": _absent,
    "empty": lambda path, other: path.write_bytes(b"") and None,
    **{f"cut at {share:.0%}": _cut(share) for share in (0.02, 0.3, 0.5, 0.9, 0.998)},
    "a block of NUL": _nul,
    "garbage": _garbage,
    "another run's": _another,
    "a link": _link,
    "a dangling link": _dangling,
    "a pipe": _pipe,
    "a folder": _folder,
    "a hole of a terabyte": _hole,
}
"""What can happen to any file."""


def _json(change: Callable[[Any], Any]) -> Damage:
    """Change the first JSON object of a file."""

    def damage(path: Path, other: Path) -> None:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            path.write_text(json.dumps(change(json.loads(text))), encoding="utf-8")
            return
        first, newline, rest = text.partition("\n")
        changed = json.dumps(change(json.loads(first)))
        path.write_text(changed + newline + rest, encoding="utf-8")

    return damage


def _raw(text: str) -> Damage:
    return lambda path, other: path.write_text(text, encoding="utf-8") and None


WRONG: tuple[Any, ...] = (None, 7, -1, "x", [], {}, [[1]], True, 10**400, "\x1b[31m", "../../x")
JSON: dict[str, Damage] = {
    "a flipped digit": _flip,
    "nested deeply": _raw("[" * 100_000 + "]" * 100_000 + "\n"),
    "objects nested deeply": _raw('{"a":' * 900 + "1" + "}" * 900 + "\n"),
    "NaN": _raw('{"status": "done", "metrics": {"a": NaN}, "schema": 2}\n'),
    "a lone surrogate": _raw('{"status": "done", "reason": "\\ud800", "schema": 2}\n'),
    "an array": _raw("[1, 2]\n"),
    "an unknown field": _json(lambda data: {**data, "of a newer version": {"x": [1]}}),
    "older schema": _json(lambda data: {**data, "schema": 1}),
    "newer schema": _json(lambda data: {**data, "schema": 99}),
    **{
        f"all values {str(value)[:9]!r}": _json(
            lambda data, value=value: dict.fromkeys(data, value)
        )
        for value in WRONG
    },
}
"""What can happen to a file of JSON, besides."""


def each_value(path: Path, value: Any) -> Iterator[tuple[str, Damage]]:
    """Yield, for each key of the first object of a file, the damage that it has another value."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    data = json.loads(path.read_text(encoding="utf-8") if path.suffix == ".json" else first)
    for key in data:
        yield f"{key} is {value!r}", _json(lambda d, key=key: {**d, key: value})
        yield f"no {key}", _json(lambda d, key=key: {k: v for k, v in d.items() if k != key})
