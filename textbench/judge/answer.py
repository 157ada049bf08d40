"""Which algorithm is better: all rankings of a task's runs in one answer.

Nothing is judged anew here. What could not be compared, for want of seeds, is said first; where the
metrics disagree the answer says so, and chooses none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from textbench.contracts.plain import grouped
from textbench.judge.power import LEAST
from textbench.judge.ranking import Ranking, listed

Key = tuple[str, str]
"""Label and group of a row."""
ALL = "all of them"
"""For the sentence that would else name every row."""


def answer(
    rankings: Sequence[Ranking], titles: Mapping[Key, str], schedules: Mapping[Key, str]
) -> str:
    """Say which row is better, as far as the rankings carry it.

    Args:
        rankings: Of one section, metric by metric.
        titles: What the rows are called.
        schedules: How long they were trained, and of what size where that differs, in words.
    """
    inside = [one.rows[one.rows["in_ranking"].astype(bool)] for one in rankings]
    rows = list(dict.fromkeys(key for frame in inside for key in _keys(frame)))
    placed = [frame[frame["place"].notna()] for frame in inside]
    compared = list(dict.fromkeys(key for frame in placed for key in _keys(frame)))
    enough = {key for frame in inside for key in _keys(frame[frame["n"] >= LEAST])}
    if len(rows) < 2:
        return "Nothing to compare: there is only one row." if rows else "Nothing to compare."
    if len(compared) < 2:
        have = f"only {_named(sorted(enough), titles)} has" if len(enough) == 1 else "none has"
        return f"Not known: of {len(rows)} rows {have} {LEAST} seeds, and it takes two."
    lengths = {schedules.get(key, "") for key in compared}
    same = next(iter(lengths)) if len(lengths) == 1 else ""
    trained = f"each trained for {same}" if same else "not all trained alike (see below)"
    firsts = {
        one.metric: tuple(_keys(frame[frame["place"] == 1]))
        for one, frame in zip(rankings, placed, strict=True)
        if len(frame) > 1
    }
    rest = [key for key in rows if key not in compared]
    return " ".join(
        (
            f"Compared are {_named(compared, titles)}: {LEAST} seeds or more, {trained}.",
            *([f"Of {_few(rest, titles)} nothing may be concluded."] if rest else []),
            _verdict(firsts, len(compared), titles),
        )
    )


def _keys(frame: pd.DataFrame) -> list[Key]:
    return list(zip(frame["label"], frame["group"], strict=True))


def _few(rest: Sequence[Key], titles: Mapping[Key, str]) -> str:
    """Name the rows of too few seeds, without what was changed for them."""
    names = dict.fromkeys(titles.get(key, key[0]).partition(" [")[0] for key in rest)
    return f"{listed(list(names))} (fewer than {LEAST} seeds)"


def _verdict(firsts: Mapping[str, tuple[Key, ...]], rows: int, titles: Mapping[Key, str]) -> str:
    """Say who is first by which metric, metrics with the same first rows together."""
    metrics = grouped((tuple(sorted(keys)), metric) for metric, keys in firsts.items())
    told = []
    for keys, names in metrics.items():
        if len(keys) == 1:
            of = "the better of the two" if rows == 2 else f"the first of these {rows}"
            told.append(f"{titles.get(keys[0], keys[0][0])} is {of} by {listed(names)}")
        else:
            all_of = ALL if len(keys) == rows else _named(keys, titles)
            told.append(f"{all_of} share the first place by {listed(names)} (not separated)")
    shared = set.intersection(*(set(keys) for keys in metrics))
    text = "; ".join(told)
    if not shared:
        return f"Which is better depends on the metric: {text}."
    return f"{'All' + text[3:] if text.startswith(ALL) else text}."


def _named(keys: Sequence[Key], titles: Mapping[Key, str]) -> str:
    return listed([titles.get(key, key[0]) for key in keys])
