"""The promise of a fingerprint: other data have another one, the same data always the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from textbench.check.laboratory import difference
from textbench.check.promise import Violation, changes
from textbench.check.task_laboratory import Laboratory, Record, splits
from textbench.contracts.config import Config
from textbench.contracts.task import Task

ELSEWHERE = """
import sys, json
from textbench.plan import registry
name, options, files = json.loads(sys.argv[1])
registry.load_plugins(files)
kind = registry.load_task(name)
print(kind(kind.config_schema(**options)).fingerprint())
"""


def fingerprint(laboratory: Laboratory, record: Record) -> str:
    """The data decide it: other data, another one; the same data elsewhere, the same."""
    line = record.fingerprint
    if not isinstance(line, str) or len(line) < 16 or not line.isalnum():
        raise Violation(f"the fingerprint is {line!r}", "a hash of the data, in hex")
    _expect_process_does_not_matter(laboratory, record)
    tried = _variants(laboratory, record)
    return f"the same in another process; {tried} options part it where they part the data"


def _expect_process_does_not_matter(laboratory: Laboratory, record: Record) -> None:
    """Ask for it in a process whose hashes of strings are others."""
    options = laboratory.config.model_dump(mode="json")
    given = [laboratory.kind.name, options, [str(path) for path in laboratory.plugins]]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", ELSEWHERE, json.dumps(given)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stdout.strip() != record.fingerprint:
        last = (done.stderr.strip().splitlines() or ["another fingerprint"])[-1]
        raise Violation(
            f"in another process: {last}", "the same; hash() of a string is not, hashlib's is"
        )


def _variants(laboratory: Laboratory, record: Record) -> int:
    """Try every option that can be changed, and files with other content or in another place."""
    tried, right = 0, "a hash of everything that a number on the task depends on"
    for option, changed in changes(laboratory.config):
        task = _with(laboratory, changed)
        if task is not None:
            _expect_parted(record, task, f"{option}={getattr(changed, option)!r} gives", right)
            tried += 1
    for option, file in named_files(laboratory.config):
        tried += _try_file(laboratory, record, option, file)
    return tried


def _expect_parted(record: Record, task: Task[Config], which: str, right: str) -> None:
    """Refuse the same fingerprint of other sequences."""
    found = difference(record.splits, splits(task))
    if found and task.fingerprint() == record.fingerprint:
        raise Violation(f"{which} other {found} sequences and the same fingerprint", right)


def _with(laboratory: Laboratory, changed: Config) -> Task[Config] | None:
    """Return the task with other options; None where they fit nothing (too small a size)."""
    try:
        task = laboratory.build(changed)
        splits(task)
    except Exception:
        return None
    return task


def named_files(options: Config) -> list[tuple[str, Path]]:
    """Return the options that name files, and the files."""
    given = {name: getattr(options, name) for name in type(options).model_fields}
    return [
        (k, Path(v)) for k, v in given.items() if isinstance(v, str) and v and Path(v).is_file()
    ]


def _try_file(laboratory: Laboratory, record: Record, option: str, file: Path) -> bool:
    """The same file in another place is the same task, a file of other lines another."""
    right = "a hash of the data, not of how they were asked for"
    values = laboratory.config.model_dump(mode="json")
    place = laboratory.folder / f"copy-of-{file.name}"
    shutil.copyfile(file, place)
    moved = type(laboratory.config)(**{**values, option: str(place)})
    if laboratory.build(moved).fingerprint() != record.fingerprint:
        raise Violation(f"{option} in another place has another fingerprint", right)
    lines = file.read_bytes().splitlines(keepends=True)
    place.write_bytes(b"".join(lines[:-1]))
    shorter = _with(laboratory, moved)
    if shorter is not None:
        _expect_parted(record, shorter, f"{option} without its last line has", right)
    return shorter is not None
