"""What is known of a number besides its value: enough to judge it where its code is gone."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Direction = Literal["lower", "higher", "none"]


class Number(NamedTuple):
    """One named number of a metric."""

    name: str
    direction: Direction
    """Which way is better; ``none`` where neither is."""
    unit: str
    """E.g. ``nats/token``; empty for shares and scores without one."""
    summary: str
    """One line for `textbench list` and the report's footnotes."""
    headline: bool = False
    """True where the terminal, which is narrow, should show it before others."""


LARGEST_ALPHA = 1e6
"""Logits are float32: long before they overflow every draw is of a likeliest symbol."""


def is_alpha(value: float) -> bool:
    """Tell whether a number is an inverse temperature: above 0, its inverse finite, not too large.

    Too large is what is above `LARGEST_ALPHA`.
    """
    return 0 < value <= LARGEST_ALPHA and 1 / value < math.inf
