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
    if found.plugin is not None:
        return plugin_hash(file)
    return _digest([(_place(file), file), *_imported(file, found.module)])


def plugin_hash(file: Path) -> str:
    """Return the same of a trainer in a plug-in's file, wherever that lies.

    Raises:
        OSError: It cannot be read.
        SyntaxError: It is not Python.
    """
    return _digest([("plugin", file), *_imported(file, "plugin")])


def _imported(file: Path, module: str) -> list[tuple[str, Path]]:
    """Return what a trainer's file rests on, by folder and name."""
    packages = frozenset(
        e.module.rpartition(".")[0] for e in registry.installed("trainer").values()
    )
    siblings = source.dependencies(file, module, packages)
    package = Path(__file__).parents[1]
    harness = [*(package / "backbone").glob("*.py"), package / "contracts" / "trainer.py"]
    return [(_place(one), one) for part in (siblings, harness) for one in sorted(part, key=_place)]


def _place(file: Path) -> str:
    """Return its folder and name: where the package is installed does not matter."""
    return f"{file.parent.name}/{file.name}"


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, file in files:
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
