"""Which algorithm is better: all rankings of a task's runs in one answer.

Nothing is judged anew here. What could not be compared, for want of seeds, is said first; where the
metrics disagree the answer says so, and chooses none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from textbench.contracts.plain import grouped
from textbench.judge.collapse import COLLAPSED
from textbench.judge.measures import Key
from textbench.judge.power import LEAST
from textbench.judge.ranking import Ranking, listed, way
from textbench.judge.stats import ROUNDING

ALL = "all of them"
"""For the sentence that would else name every row."""
PART = "of "
"""Begins what is said of some rows alone."""
WIDER = 5
"""Times the usual width of an interval, from where on a first place says little."""


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
    placed = [_keys(frame[frame["place"].notna()]) for frame in inside]
    compared = list(dict.fromkeys(key for keys in placed for key in keys))
    enough = {key for frame in inside for key in _keys(frame[frame["n"] >= LEAST])}
    if len(rows) < 2:
        return f"Nothing to compare{': only one row that competes has a result' * len(rows)}."
    if len(compared) < 2:
        return _unknown(rows, enough, _in_several_ways(rankings, inside) - enough, titles)
    lengths = {schedules[key] for key in compared}
    same = next(iter(lengths)) if len(lengths) == 1 else ""
    trained = f", each trained for {same}" if same else ", not all trained alike (see below)"
    trained = "" if lengths == {""} else trained
    rest = [key for key in rows if key not in compared]
    few = [key for key in rest if key not in enough]
    alone = [key for key in rest if key in enough]
    contests = [_contest(*both, rankings) for both in zip(rankings, inside, strict=True)]
    parts = (
        f"Compared at the end of training are {_named(compared, titles)}: {LEAST} seeds or more"
        f"{trained}.",
        f"Of {_few(few, compared, titles)} nothing may be concluded." if few else "",
        f"Nothing was measured in the same way as {_named(alone, titles)}." if alone else "",
        _verdict([one for one in contests if len(one.among) > 1], compared, titles),
        _untold(contests),
        _collapsed(rankings, titles),
        *(_wide(one.name, frame, titles) for one, frame in zip(contests, inside, strict=True)),
    )
    return " ".join(filter(None, parts))


class _Contest(NamedTuple):
    """A ranking, as far as the answer needs it."""

    metric: str
    """With its means, and the protocol where it was measured in several ways."""
    name: str
    """Without them."""
    among: tuple[Key, ...]
    """The rows that have places."""
    first: tuple[Key, ...]
    """Those that share the first."""


def _contest(one: Ranking, inside: pd.DataFrame, rankings: Sequence[Ranking]) -> _Contest:
    ways = sum(other.metric == one.metric for other in rankings)
    placed = inside[inside["place"].notna()]
    first = placed["place"] == 1
    how = way(one.protocol) if ways > 1 else ""
    name = f"{one.metric} ({how})" if how else one.metric
    amounts = _amounts(placed.loc[first, "mean"].to_list(), placed.loc[~first, "mean"].to_list())
    metric = f"{one.metric} ({'; '.join(filter(None, (how, amounts)))})"
    return _Contest(metric, name, tuple(sorted(_keys(placed))), tuple(sorted(_keys(placed[first]))))


def _amounts(first: Sequence[float], others: Sequence[float]) -> str:
    """Say by how much the first are ahead, from their means and the others', best first."""
    ends = list(dict.fromkeys(_shown(mean) for mean in first))
    if not ends:
        return ""
    what = f"mean {ends[0]}" if len(ends) == 1 else f"means {ends[0]} to {ends[-1]}"
    return f"{what}; {'best ' * (len(others) > 1)}other {_shown(others[0])}" if others else what


def _shown(mean: float) -> str:
    return f"{mean:#.4g}".rstrip(".")


def _in_several_ways(rankings: Sequence[Ranking], inside: Sequence[pd.DataFrame]) -> set[Key]:
    """Return the rows whose seeds are enough in all, whichever way a metric was measured in."""
    seeds: Counter[tuple[Key, str]] = Counter()
    for one, frame in zip(rankings, inside, strict=True):
        for key, n in zip(_keys(frame), frame["n"], strict=True):
            seeds[key, one.metric] += int(n)
    return {key for (key, _), n in seeds.items() if n >= LEAST}


def _unknown(
    rows: Sequence[Key],
    enough: Collection[Key],
    several: Collection[Key],
    titles: Mapping[Key, str],
) -> str:
    start = f"Not known: of {len(rows)} rows"
    if len(enough) > 1:
        return f"{start} no two with {LEAST} seeds were measured in the same way."
    have = f"only {_named(sorted(enough), titles)} has" if enough else "none has"
    alike = " measured alike" * bool(several)
    return f"{start} {have} {LEAST} seeds{alike}, and it takes two."


def _untold(contests: Sequence[_Contest]) -> str:
    """Name the metrics by which nothing is known, beside those by which something is."""
    names = [one.name for one in contests if len(one.among) < 2]
    return f"Nothing can be told by {listed(names)}." if names else ""


def _collapsed(rankings: Sequence[Ranking], titles: Mapping[Key, str]) -> str:
    """Name the rows that have no place since every seed's samples are all alike."""
    found = [key for one in rankings for key in _keys(one.rows[one.rows["note"] == COLLAPSED])]
    if not found:
        return ""
    names = _named([*dict.fromkeys(found)], titles)
    return f"Without a place, for in every seed all samples are alike: {names}."


def _wide(metric: str, inside: pd.DataFrame, titles: Mapping[Key, str]) -> str:
    """Name rows whose first place their spread alone gives them: no row is told apart from them.

    Their interval is wider than all means lie apart, and `WIDER` times that of most others.
    """
    placed = inside[inside["place"].notna()]
    widths, found = placed["high"] - placed["low"], []
    apart = placed["mean"].max() - placed["mean"].min()
    spread = placed["sd"] > ROUNDING * placed["mean"].abs()
    for at in placed.index[(placed["place"] == 1) & spread]:
        if widths[at] > max(apart, WIDER * widths.drop(at).median()):
            row = placed.loc[at]
            name = titles[row["label"], row["group"]]
            found.append(f"the mean of {name} may lie from {row['low']:.3f} to {row['high']:.3f}")
    if not found:
        return ""
    return f"By {metric} {listed(found)}: its seeds are far apart."


def _keys(frame: pd.DataFrame) -> list[Key]:
    return list(zip(frame["label"], frame["group"], strict=True))


def _few(rest: Sequence[Key], compared: Sequence[Key], titles: Mapping[Key, str]) -> str:
    """Name the rows of too few seeds, without what was changed for them where that is no use."""
    taken = {titles[key].partition(" [")[0] for key in compared}
    called = [(titles[key], titles[key].partition(" [")[0]) for key in rest]
    names = dict.fromkeys(full if short in taken else short for full, short in called)
    return f"{listed(list(names))} (fewer than {LEAST} seeds)"


def _verdict(
    contests: Sequence[_Contest], compared: Sequence[Key], titles: Mapping[Key, str]
) -> str:
    """Say who is first by which metric, metrics with the same rows and first rows together."""
    groups = grouped(((one.among, one.first), one.metric) for one in contests)
    told = [
        _told(among, first, listed(names), set(among) == set(compared), titles)
        for (among, first), names in groups.items()
    ]
    text = "; ".join(told)
    if not any(_leads(key, contests) for key in compared):
        return f"Which is better depends on the metric: {text}."
    return f"{text[0].upper()}{text[1:]}." if text.startswith((ALL, PART)) else f"{text}."


def _told(
    among: Sequence[Key],
    first: Sequence[Key],
    metrics: str,
    everyone: bool,
    titles: Mapping[Key, str],
) -> str:
    only = "" if everyone else f"{PART}{_named(among, titles)} alone "
    if len(first) == 1:
        rank = "the better of the two" if len(among) == 2 else f"the first of these {len(among)}"
        return f"{only}{titles[first[0]]} is {rank} by {metrics}"
    rows = ALL if len(first) == len(among) else _named(first, titles)
    return f"{only}{rows} share the first place, not separated, by {metrics}"


def _leads(key: Key, contests: Sequence[_Contest]) -> bool:
    """Tell whether a row is among the first by all metrics by which it is compared."""
    return all(key in one.first for one in contests if key in one.among)


def _named(keys: Sequence[Key], titles: Mapping[Key, str]) -> str:
    return listed([titles[key] for key in keys])
