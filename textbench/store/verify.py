"""Does a record fit together? Checksums and seals of a run's files, without loading any of them."""

from __future__ import annotations

import os

from textbench.store import seal
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError, checksum
from textbench.store.rows import GENERATOR, LOGS, SAMPLES, Status


def checksums(directory: RunDirectory) -> dict[str, str]:
    """Return the checksums that a run which is done puts on record; its files are synced first."""
    directory.sync(*LOGS)
    return {name: checksum(directory.content(name)) for name in (*LOGS, GENERATOR, SAMPLES)}


def samples(directory: RunDirectory, status: Status) -> bytes:
    """Return the samples of a run, empty where it has none.

    Raises:
        DamagedError: They are not those that the run drew. Its numbers are none the worse for it.
        OSError: They cannot be read.
    """
    remedy = "remove it; no number depends on it, and `textbench sample` draws others"
    try:
        content = directory.content(SAMPLES)
    except DamagedError as error:
        raise DamagedError(error.wrong, remedy) from None
    if content and checksum(content) != status.checksums.get(SAMPLES, checksum(content)):
        wrong = f"{SAMPLES} is not what the run wrote: its checksum does not fit"
        raise DamagedError(wrong, remedy)
    return content


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
            if generator if name == GENERATOR else name in status.checksums:
                return f"{name} is missing"
            continue
        content = directory.content(name)
        if name == GENERATOR and (wrong := seal.broken(content, run)):
            return f"{name} {wrong}"
        if checksum(content) != status.checksums.get(name, checksum(content)):
            return f"{name} is not what the run wrote: its checksum does not fit"
    return ""
