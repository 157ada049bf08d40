"""Does a record fit together? Checksums and seals of a run's files, without loading any of them."""

from __future__ import annotations

import os

from textbench.store import seal
from textbench.store.directory import RunDirectory
from textbench.store.files import checksum
from textbench.store.rows import GENERATOR, LOGS, Status


def checksums(directory: RunDirectory) -> dict[str, str]:
    """Return the checksums that a run which is done puts on record; its files are synced first."""
    directory.sync(*LOGS)
    return {name: checksum(directory.content(name)) for name in (*LOGS, GENERATOR)}


def contradiction(
    directory: RunDirectory, run: str, status: Status, *, generator: bool = False
) -> str:
    """Say why a run that calls itself done is not; an empty string where it is.

    Args:
        directory: The run.
        run: The hash of its spec.
        status: What it says.
        generator: Whether its parameters must be there. They are not in a store whose parameters
            were not copied along, which is no contradiction.
    """
    for name in (*LOGS, GENERATOR):
        if not os.path.lexists(directory.path / name):
            if (name in status.checksums and name != GENERATOR) or (
                name == GENERATOR and generator
            ):
                return f"{name} is missing"
            continue
        content = directory.content(name)
        if name == GENERATOR and (wrong := seal.broken(content, run)):
            return f"{name} {wrong}"
        if checksum(content) != status.checksums.get(name, checksum(content)):
            return f"{name} is not what the run wrote: its checksum does not fit"
    return ""
