"""How lines look: the same algorithm the same everywhere in a report, and what shares a panel."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from textbench.judge import published
from textbench.report.definitions import controls, matches, row_names
from textbench.report.fonts import FONT, fonts_for
from textbench.report.sections import Section

LINES = 8
"""At most so many in a panel."""
PALETTE = (
    *("#6B6B6B", "#0173B2", "#029E73", "#CC78BC", "#DE8F05"),
    *("#7A4FBF", "#D55E00", "#8C6D46", "#F08FC0", "#35A7E0"),
)
"""After seaborn's colour-blind palette, in the order of the listed rows."""
OTHERS = (
    *("#0173B2", "#DE8F05", "#029E73", "#CC78BC"),
    *("#CA9161", "#35A7E0", "#D55E00", "#7A4FBF"),
)
"""For all other rows, which are dashed."""
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5))


class Style(NamedTuple):
    """The look of a line."""

    colour: str
    dash: tuple[float, ...] = ()
    """Lengths of strokes and gaps in points; empty for a solid line."""


class Styles:
    """The look of every row of a report."""

    def __init__(self, sections: Sequence[Section]) -> None:
        titles = "".join(title for section in sections for title in section.rows["title"])
        self.fonts = fonts_for(titles)
        self._others: dict[str, Style] = {}
        looks = itertools.cycle(itertools.product(DASHES[1:], OTHERS))
        for section in sections:
            for row, title in section.rows["title"].items():
                if row not in _listed(section) and title not in self._others:
                    dash, colour = next(looks)
                    self._others[title] = Style(colour, dash)

    def of(self, section: Section) -> dict[Hashable, Style]:
        """Return the look of a section's rows.

        Listed algorithms are solid and keep their colour from report to report; all others are
        dashed, and keep theirs within a report.
        """
        listed = _listed(section)
        places = list(row_names())
        return {
            row: Style(PALETTE[places.index(listed[row])]) if row in listed else self._others[title]
            for row, title in section.rows["title"].items()
        }


def _listed(section: Section) -> dict[Hashable, str]:
    """Return the rows that have a colour of their own, with their labels."""
    known = list(row_names())[: len(PALETTE)]
    first = section.rows[section.rows["label"].isin(known)].drop_duplicates("label")
    return first["label"].to_dict()


def by_name(names: Sequence[str]) -> dict[str, Style]:
    """Return the look of a grid's rows: the same for rows of one name, in every panel."""
    looks = itertools.cycle(itertools.product(DASHES, OTHERS))
    return {
        name: Style(colour, dash)
        for name, (dash, colour) in zip(dict.fromkeys(names), looks, strict=False)
    }


def groups(section: Section) -> Iterator[tuple[str, list[Hashable]]]:
    """Yield the rows that share a panel, with a title: algorithms first, then the others.

    Variants that no table lists, and controls, are there to answer a question about the others;
    a variant that may be what the paper ran is none of them.
    """
    rows = section.rows
    shown = {*row_names(), *published.readings()}
    aside = [
        matches(label, controls()) or (":" in label and label not in shown)
        for label in rows["label"]
    ]
    main = [row for row, out in zip(rows.index, aside, strict=True) if not out]
    rest = [row for row, out in zip(rows.index, aside, strict=True) if out]
    for title, members in (("Algorithms", main), ("Variants and controls", rest)):
        parts = [members[i : i + LINES] for i in range(0, len(members), LINES)]
        for number, part in enumerate(parts, start=1):
            yield title + (f" ({number} of {len(parts)})" if len(parts) > 1 else ""), part


@contextmanager
def look(families: Sequence[str] = (FONT,)) -> Iterator[None]:
    """Seaborn's look, as matplotlib ships it, whatever the user's own settings are."""
    from matplotlib import style

    ours: dict[str, object] = {
        "font.family": list(families),
        "axes.edgecolor": "0.3",
        "axes.linewidth": 0.7,
        "axes.titlesize": 9,
        "grid.color": "0.9",
        "grid.linewidth": 0.6,
        "lines.markeredgewidth": 1.0,
        "pdf.fonttype": 42,
    }
    sheets: list[str | dict[str, object]] = [
        "default",
        "seaborn-v0_8-whitegrid",
        "seaborn-v0_8-paper",
        ours,
    ]
    with style.context(sheets), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing", UserWarning)  # captions say so
        yield


def plain(text: str) -> str:
    """Escape text that matplotlib would read as mathematics."""
    return text.replace("$", r"\$")
