"""Is a run that says it is done really done? The engine and a dry run ask as `status` does."""

from __future__ import annotations

from textbench.contracts.errors import one_line
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.store.read import UNREADABLE, damage
from textbench.store.rows import CHECKPOINT, GENERATOR, LOGS, PREVIOUS, Status
from textbench.store.verify import contradiction


def not_done(directory: RunDirectory, run: str, status: Status) -> str:
    """Say why a run that calls itself done has to be trained again, or return an empty string.

    Args:
        directory: The run.
        run: The hash of its spec.
        status: What it says.
    """
    generator = bool(status.checksums)  # of textbench 0.1.0 they may be elsewhere
    try:
        wrong = contradiction(directory, run, status, generator=generator)
    except UNREADABLE as error:
        return one_line(error)
    return wrong or unreadable(directory)


def unreadable(directory: RunDirectory) -> str:
    """Say why nobody can read the evaluations of a run: a metric once wrote what is no record."""
    try:
        directory.evaluations()
    except DamagedError as error:
        return error.wrong
    except UNREADABLE as error:
        return one_line(error)
    return ""


def damage_beside(directory: RunDirectory) -> str:
    """Say what else is damaged, which training again would not mend, and what to do about it."""
    return damage(directory.starts) or damage(directory.later)


def start_again(directory: RunDirectory) -> None:
    """Put all progress of a run aside whose evaluations cannot be read; it is queued then.

    To its worker such a run looks done: its files are what was written, with the right checksums.
    """
    if not directory.acquire():
        return  # another process is at it
    try:
        if wrong := unreadable(directory):
            aside = directory.set_aside([CHECKPOINT, PREVIOUS, *LOGS, GENERATOR])
            note = f"{wrong}: started again, what there was is in {aside}"
            directory.write_status(Status("queued", note=note))
    finally:
        directory.release()
