"""Published pairs of numbers as stars in a figure, and where their names may stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textbench.report.panels import mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Points = NDArray[np.float64]
"""``(n, 2)``."""
AXES = np.array([400.0, 240.0])
"""Points that the axes of a panel are wide and high, more or less."""
LETTER, LINE = 4.0, 8.0
"""Points that a letter is wide and a line high, at this size."""
STAR = np.array([[0, 0], [5, 0], [-5, 0], [0, 5], [0, -5]], dtype=float)
"""A star's middle and ends, in points from its middle."""
END = np.array([[x, y] for x in (0, 6, 12, 18) for y in (0, 4, 8)], dtype=float)
"""Where the last epoch of a line is written, in points from its end."""
ANCHORS = (
    *(((8, 0), "left"), ((-8, 0), "right"), ((5, -9), "left"), ((5, 9), "left")),
    *(((-5, -9), "right"), ((-5, 9), "right")),
)
"""Where a name may stand beside its star: points to the right and up, and which end is there."""
OUTSIDE = 10_000
"""Hides as much as so many points."""


class Pair(NamedTuple):
    """Two published numbers of one row."""

    title: str
    values: tuple[float, float]
    colour: str
    """That of the row of ours that may be it; grey where none was run."""


class Box(NamedTuple):
    """A name's corners, in points."""

    low: Points
    high: Points

    def hides(self, at: Points) -> int:
        """Return how many points lie behind it, or how much it lies outside the axes."""
        behind = int(((at > self.low) & (at < self.high)).all(axis=1).sum())
        return behind + OUTSIDE * int((self.low < 0).any() or (self.high > AXES).any())


def draw_pairs(ax: Axes, pairs: Sequence[Pair], lines: Sequence[pd.DataFrame]) -> None:
    """Draw stars, each with its name where it hides the least of lines, stars and other names.

    Args:
        ax: With its limits set.
        pairs: What to draw.
        lines: What is drawn already: two columns, across and up; each with a name at its end.
    """
    taken = np.concatenate(
        [
            *(_dense(_points(ax, line.to_numpy(float))) for line in lines if len(line)),
            *(_points(ax, line.to_numpy(float)[-1:]) + END for line in lines if len(line)),
            *(_points(ax, np.array([pair.values])) + STAR for pair in pairs),
        ]
    )
    for pair in pairs:
        text = f"{pair.title}, paper"
        (star,) = _points(ax, np.array([pair.values]))
        boxes = [_box(star, text, offset, end) for offset, end in ANCHORS]
        best = int(np.argmin([box.hides(taken) for box in boxes]))
        _draw(ax, pair, text, best)
        low, high = boxes[best]
        taken = np.concatenate([taken, np.linspace(low, high, len(text))])


def _draw(ax: Axes, pair: Pair, text: str, anchor: int) -> None:
    offset, end = ANCHORS[anchor]
    ax.plot(*pair.values, "*", color=pair.colour, markersize=11, markeredgecolor="0.15", zorder=5)
    mark(ax, text, pair.values, offset, "0.25", end, "center")


def _points(ax: Axes, values: Points) -> Points:
    """Return values as points from the lower left corner of the axes."""
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    found: Points = (values - low) / (high - low) * AXES
    return found


def _dense(path: Points) -> Points:
    """Return points of a path that no name fits between."""
    at = np.linspace(0, len(path) - 1, 20 * len(path))
    return np.column_stack([np.interp(at, np.arange(len(path)), path[:, i]) for i in (0, 1)])


def _box(star: Points, text: str, offset: tuple[int, int], end: str) -> Box:
    width = LETTER * len(text)
    low = star + np.array(offset) - np.array([width if end == "right" else 0, LINE / 2])
    return Box(low, low + np.array([width, LINE]))
