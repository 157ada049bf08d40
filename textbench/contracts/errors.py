"""Errors that are the user's to mend: one clear line, exit code 2, no traceback."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

TEMPORARY = re.compile(r"\.(.+)\.[^.]+\.\d+\.\d+\.tmp")
"""What files are called until they are whole (`textbench.store.files.temporary`), and then."""


class UserError(Exception):
    """Input that cannot be used; the message says what is wrong, where, and what would be right."""


class DivergedError(Exception):
    """A loss or a metric is no longer finite."""


class UnknownNameError(UserError):
    """A name that is not registered; the message carries the nearest ones.

    Args:
        kind: What was looked for, e.g. ``"trainer"``.
        name: What the user wrote.
        known: Every name that would have been right.
        where: Where all names are listed, e.g. ``"textbench list"``.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        super().__init__(
            f"unknown {kind} {name!r}{did_you_mean(name, known)}{where and f' ({where})'}"
        )


def one_line(error: BaseException) -> str:
    """Name an exception in one line."""
    if isinstance(error, UserError | DivergedError):
        return " ".join(_message(error).split())
    if isinstance(error, OSError) and error.strerror:
        name = Path(os.fsdecode(error.filename)).name if error.filename else ""
        of = TEMPORARY.fullmatch(name)
        return ": ".join(filter(None, (of[1] if of else name, error.strerror)))
    said = f"{type(error).__name__}: {_message(error)}".splitlines()[0]
    return said.removesuffix(": ")  # a MemoryError says nothing


def _message(error: BaseException) -> str:
    """Return what an exception says; one of a plug-in may fail to say it."""
    said: Callable[[], str] = error.__str__
    try:
        return str(said())
    except Exception:
        return "(its message cannot be shown)"


def shown(value: object, most: int = 60) -> str:
    """Show what somebody's code returned, in a part of a line: ``None``, ``2.5``, or its type."""
    try:
        text = repr(value)
    except Exception:  # that code may be anybody's
        text = ""
    whole = text and len(text) <= most and text.isprintable()
    return text if whole else f"a {type(value).__name__}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'a' or 'b'?"``, or every known name when none is near."""
    options = sorted(set(known))
    folded = {option.casefold(): option for option in reversed(options)}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    near = [folded[one] for one in close]
    if near:
        return f"; did you mean {' or '.join(repr(n) for n in near)}?"
    return f"; known: {', '.join(options)}" if options else "; none is known"


_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and new line, surrogates, and what turns the direction of text."""


def printable(text: str) -> str:
    """Return text without what a terminal would obey or could not show.

    Control characters (a reason may hold escape sequences), lone surrogates and what turns the
    direction of the text that follows become ``\ufffd``; new lines and tabs stay.
    """
    return _UNSHOWN.sub("\ufffd", text)
