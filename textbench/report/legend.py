"""The legend below a figure's panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = 28
"""Letters of a row's title in a legend, at most."""
LETTER, LINE = 0.075, 0.5
"""About how wide, in inches, a letter is and the line beside a title."""


def add_legend(figure: Figure, axes: Sequence[Axes], columns: int) -> None:
    """Name every line once, below the panels, in the rows' order from left to right."""
    named: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        named |= {label: handle for label, handle in zip(labels, handles, strict=True)}
    shown = {label: _shortened(label) for label in named}
    if len(set(shown.values())) < len(named):
        shown = {label: label for label in named}
    longest = max(map(len, shown.values()), default=1)
    room = figure.get_figwidth() / (LINE + LETTER * longest)
    columns = max(1, min(columns, len(named), int(room)))
    # matplotlib fills a legend column by column.
    order = [label for first in range(columns) for label in list(named)[first::columns]]
    figure.legend(
        [named[label] for label in order],
        [shown[label] for label in order],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )


def _shortened(title: str) -> str:
    """Leave out what a row's long list of changed options has too much; tables have it all."""
    if len(title) <= TITLE or "," not in title[:TITLE]:
        return title
    return title[:TITLE].rpartition(",")[0] + ", …]"
