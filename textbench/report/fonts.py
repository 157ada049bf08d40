"""Letters that the figures' font does not have: another installed font that does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

FONT = "DejaVu Sans"
"""Comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew, and signs of mathematics."""

LAST_RESORT = "Last Resort High-Efficiency"
"""Comes with matplotlib, too, and has a box for every letter."""


class Fonts(NamedTuple):
    """What to set a text with."""

    families: tuple[str, ...] = (FONT,)
    """In this order: a letter is of the first that has it."""
    unknown: str = ""
    """Letters that none of them has; they are drawn as boxes."""


def fonts_for(text: str) -> Fonts:
    """Choose fonts for a text: the usual one, and as few others as have what it lacks.

    Of several fonts that have a letter the first by name is taken, so that one machine always
    gives the same figure.
    """
    if text.isascii():
        return Fonts()
    from matplotlib.font_manager import FontProperties, findfont

    families, lacking = [FONT], {letter for letter in text if letter.isprintable()}
    lacking -= _letters(findfont(FontProperties(family=[FONT])))
    for family, file in _installed() if lacking else ():
        if found := lacking & _letters(file):
            families.append(family)
            lacking -= found
        if not lacking:
            break
    return Fonts(tuple(families), "".join(sorted(lacking)))


def _installed() -> Iterator[tuple[str, str]]:
    """Yield the upright fonts that matplotlib knows, by name, with their files."""
    from matplotlib.font_manager import fontManager

    for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.name, entry.fname)):
        upright = entry.style == "normal" and entry.weight in (400, "normal", "regular")
        if upright and entry.name not in (FONT, LAST_RESORT):
            yield entry.name, entry.fname


@cache
def _letters(file: str) -> frozenset[str]:
    """Return the letters that a font has; none where its file is broken."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(file).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()
