"""The grid of evaluations: after which epochs a run is evaluated, its length known or not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise


def is_due(epoch: int, every: int, early_every: int = 0, early_until: int = 0) -> bool:
    """Tell whether the end of ``epoch`` is a point of the grid.

    Args:
        epoch: Of generator training, those of a warm-up included; from 1.
        every: Epochs between two points.
        early_every: The same up to ``early_until``; 0 makes no difference.
        early_until: The last epoch to which it applies.
    """
    early = early_every and epoch <= early_until
    return epoch % (early_every if early else every) == 0


def widest_gap(options: Mapping[str, int], last: int | None = None) -> int:
    """Return the most epochs between two evaluations.

    Args:
        options: ``every``, and where there are any ``early_every`` and ``early_until``.
        last: The epoch at which training ends, and is evaluated; None where that is not known.
    """
    every, early_every, early_until = _numbers(options)
    end = early_until + 2 * every if last is None else last
    points = [0, *(e for e in range(1, end + 1) if is_due(e, every, early_every, early_until))]
    points += [last] if last is not None and points[-1] != last else []
    return max((b - a for a, b in pairwise(points)), default=0)


def grid_in_words(options: Mapping[str, int], last: int | None = None) -> str:
    """Return ``"every 2 epochs to 20, then every 5"``.

    Args:
        options: As of `widest_gap`, and ``every_steps``.
        last: As of `widest_gap`; what lies beyond it is not said.
    """
    every, early_every, early_until = _numbers(options)
    told = _epochs(every)
    if early_every and early_until and early_every != every:
        told = _epochs(early_every)
        if last is None or early_until < last:
            told += f" to {early_until}, then every {every}"
    steps = options.get("every_steps") or 0
    return told + (f" and every {steps} steps" if steps else "")


def _numbers(options: Mapping[str, int]) -> tuple[int, int, int]:
    found = (options.get(key) or 0 for key in ("every", "early_every", "early_until"))
    every, early_every, early_until = (int(number) for number in found)
    return max(every, 1), early_every, early_until


def _epochs(every: int) -> str:
    return f"every {every} epochs" if every > 1 else "every epoch"
