"""Rows that collapsed: a generator that repeats one sequence ranks nowhere.

Such a sequence may be likely to the oracle: no generator of varied ones has as low an NLL_oracle.
"""

from __future__ import annotations

from collections.abc import Mapping

from textbench.judge.measures import Key, final, sample
from textbench.judge.sections import Section

COLLAPSED = "collapsed: its samples are all alike"
"""What is noted of such a row."""


def collapsed(section: Section, most: Mapping[str, float]) -> set[Key]:
    """Return the rows of which every seed ended with a metric at or below ``most``.

    Args:
        section: The section.
        most: By metric, such as the generator's entropy: what a sequence repeated for ever has.
    """
    found: set[Key] = set()
    for metric, limit in most.items():
        ended = final(section.evaluations, [metric])
        values = {line.key: sample(ended, line.key)[0].values() for line in section.lines}
        found |= {key for key, own in values.items() if own and max(own) <= limit}
    return found
