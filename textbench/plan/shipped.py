"""Data files that ship with the package and are known by name: presets and grids."""

from __future__ import annotations

from pathlib import Path

from textbench.contracts.errors import UnknownNameError


def names(folder: Path) -> list[str]:
    """Return the names of a folder's TOML files, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def path(folder: Path, kind: str, name: str) -> Path:
    """Return the file called ``name``.

    Args:
        folder: Where the files are.
        kind: What they are, for the message: ``"preset"``.
        name: What the user wrote.

    Raises:
        UnknownNameError: With the nearest names.
    """
    if name not in names(folder):
        raise UnknownNameError(kind, name, names(folder), "`textbench list` shows all")
    return folder / f"{name}.toml"
