"""Which runs broke in training: its numbers ended, not its disk, its memory or its machine."""

from __future__ import annotations

import re

import pandas as pd

_NUMERICAL = re.compile(
    r"(FloatingPointError|OverflowError|ZeroDivisionError|\w*LinAlgError)\b"
    r"|(RuntimeError|ValueError): .*(\b(nan|inf)\b|invalid values)",
    re.IGNORECASE,
)
"""How the reason of a failed run begins where its training met a number that is none.

Exceptions by name, and what PyTorch says of probabilities: "probability tensor contains either
`inf`, `nan` or element < 0", "found invalid values". A warm-up that broke is another run's.
"""


def broken(runs: pd.DataFrame) -> pd.Series[bool]:
    """Tell which runs diverged, or failed with a numerical error of their own training.

    Args:
        runs: A frame with the columns ``status`` and ``reason``.
    """
    status = runs["status"].astype(str)
    numerical = runs["reason"].astype(str).map(lambda reason: bool(_NUMERICAL.match(reason)))
    return (status == "diverged") | ((status == "failed") & numerical.astype(bool))
