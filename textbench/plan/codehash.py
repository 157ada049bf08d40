"""A hash of the source that a trainer's numbers depend on, read without importing anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.plan import registry, source


def code_hash(name: str) -> str:
    """Return the sha256 of the source that a trainer's numbers depend on.

    That is its own file, what it imports from its own package or from packages that hold
    trainers, the backbone, and the trainer contract. Nothing is imported.

    Args:
        name: The trainer.

    Raises:
        UserError: When the trainer, or its file, cannot be found.
    """
    found = registry.entry("trainer", name)
    file = found.file
    if file is None or not file.is_file():
        raise UserError(f"the source of trainer {name!r} cannot be found")
    packages = frozenset(
        e.module.rpartition(".")[0] for e in registry.installed("trainer").values()
    )
    siblings = source.dependencies(file, found.module, packages)
    package = Path(__file__).parents[1]
    harness = [*(package / "backbone").glob("*.py"), package / "contracts" / "trainer.py"]
    return _digest([file, *_by_name(siblings), *_by_name(harness)])


def _by_name(files: Iterable[Path]) -> list[Path]:
    """Sort by folder and name, so that the place of installation does not matter."""
    return sorted(files, key=lambda file: (file.parent.name, file.name))


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.parent.name}/{file.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
