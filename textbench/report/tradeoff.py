"""Quality against diversity: what inverse temperature trades for what (Caccia et al., 2018).

One number for quality says little: sharpening improves it at the price of diversity. Lines over the
temperatures say which algorithm is better at equal diversity, if any is.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from textbench.store.replicates import Comparable, Row


@dataclass(frozen=True)
class Sweep:
    """One algorithm over its inverse temperatures."""

    row: Row
    """The row at alpha 1, or the first one where there is none."""
    points: tuple[tuple[float, float, float], ...]
    """(alpha, x, y), means over seeds, by alpha."""


def sweeps(section: Comparable, x: str, y: str) -> list[Sweep]:
    """Return each algorithm's points of two metrics; none unless some temperature was tried."""
    found: dict[tuple[str, str], list[tuple[float, Row, float, float]]] = {}
    for row in section.rows:
        values = _means(section, row, x, y)
        if values:
            spec = row.runs[0].spec
            base = (spec.label.partition(" alpha=")[0], row.options)
            found.setdefault(base, []).append((spec.alpha, row, *values))
    if all(alpha == 1.0 for tried in found.values() for alpha, *_ in tried):
        return []
    result = []
    for tried in found.values():
        ordered = sorted(tried, key=lambda point: point[0])
        first = next((row for alpha, row, *_ in ordered if alpha == 1.0), ordered[0][1])
        result.append(Sweep(first, tuple((alpha, x, y) for alpha, _, x, y in ordered)))
    return result


def _means(section: Comparable, row: Row, x: str, y: str) -> tuple[float, float] | tuple[()]:
    """Return the means over seeds of the final evaluations that have both metrics."""
    last = [section.store.evaluations(run)[-1:] for run in row.done]
    pairs = [(m.values[x], m.values[y]) for found in last for m in found if m.has(x, y)]
    return (fmean(a for a, _ in pairs), fmean(b for _, b in pairs)) if pairs else ()
