"""Which row is better, by how much, and may one say so: per task and metric.

Two rows are *separated* where their difference, seed by seed, is significant after Holm's
correction for all pairs of rows: which row is the best is read off the same data. Places are dense,
and rows share a place unless something separates them: a row's place is the one after the last
place among the rows that are separated from it and better.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeVar

import pandas as pd

from textbench.judge.collapse import COLLAPSED
from textbench.judge.measures import Key, final, sample
from textbench.judge.power import LEAST, MOST
from textbench.judge.sections import Line, Section
from textbench.judge.stats import Difference, differences, summarise

K = TypeVar("K", bound=Hashable)
Direction = Literal["lower", "higher"]

NAMED = 8
"""Rows that a sentence names; of more it names half as many, and says how many others there are."""
COLUMNS = (
    *("place", "label", "group", "title", "name", "n", "mean", "sd", "low", "high"),
    *("distance", "distance_low", "distance_high", "paired", "p_holm", "p_exact", "separated"),
    *("compared", "more_seeds", "note", "in_ranking"),
)


@dataclass(frozen=True)
class Ranking:
    """The rows of one metric, best first."""

    section: str
    metric: str
    direction: Direction
    unit: str
    protocol: str
    rows: pd.DataFrame = field(repr=False)
    """With the columns of `COLUMNS`; ``distance`` is row minus best, of ``compared`` seeds."""
    sentence: str
    """What may be concluded."""


def dense_ranks(order: Sequence[K], separated: Collection[tuple[K, K]]) -> dict[K, int]:
    """Return each row's place, 1 the best.

    Args:
        order: The rows, best mean first.
        separated: Pairs (better, worse) that are told apart.
    """
    places: dict[K, int] = {}
    pairs = set(separated)
    for row in order:
        above = [place for better, place in places.items() if (better, row) in pairs]
        places[row] = 1 + max(above, default=0)
    return places


def rank(
    values: Mapping[K, Mapping[int, float]], direction: Direction = "lower"
) -> tuple[list[K], dict[K, int], dict[tuple[K, K], Difference]]:
    """Order rows, compare all pairs of them, and give places.

    Args:
        values: Each row's values by seed; a row of less than `power.LEAST` is compared with none.
        direction: Which way is better.

    Returns:
        The rows, best mean first; places of the rows with seeds enough; and the differences, second
        minus first, of all pairs of these in that order.
    """
    sign = -1.0 if direction == "higher" else 1.0
    means = {row: sign * summarise(list(one.values())).mean for row, one in values.items()}
    order = sorted(means, key=lambda row: means[row])
    judged = [row for row in order if len(values[row]) >= LEAST]
    pairs = {(a, b): (values[b], values[a]) for a, b in itertools.combinations(judged, 2)}
    found = differences(pairs)
    apart = {
        (pair if sign * difference.mean > 0 else pair[::-1])
        for pair, difference in found.items()
        if difference.separated
    }
    return order, dense_ranks(judged, apart), found


def rankings(
    section: Section,
    metrics: Sequence[str],
    *,
    outside: Collection[str] = (),
    apart: Collection[Key] = (),
    names: Mapping[Key, str] | None = None,
) -> list[Ranking]:
    """Rank the rows of a section by every one of ``metrics`` that has a better direction.

    Args:
        section: The section.
        metrics: The headline metrics; those that it lacks are left out.
        outside: Labels of rows that are shown but compete for no place, such as real text. Rows
            that see new data in every pass never compete.
        apart: Rows, by label and group, that compete for none as they collapsed.
        names: What sentences call rows, by label and group; else by their labels.
    """
    found: list[Ranking] = []
    out = {line for line in section.lines if line.label in outside or line.key in apart}
    out |= {line for line in section.lines if line.record.fresh_data}
    for metric in metrics:
        found += _by(metric, section, out, apart, names or {})
    return found


def _by(
    metric: str,
    section: Section,
    out: Collection[Line],
    apart: Collection[Key],
    names: Mapping[Key, str],
) -> Iterator[Ranking]:
    measured = final(section.evaluations, [metric])
    direction = section.evaluations.direction(metric)
    if direction == "none":
        return
    ways = measured.groupby("protocol", sort=True, observed=True)
    for protocol, same in ways:
        values = {line: sample(same, line.key)[0] for line in section.lines}
        values = {line: by_seed for line, by_seed in values.items() if by_seed}
        rows, sentence = _ranked(values, direction, metric, out, names)
        fell = [key in apart for key in zip(rows["label"], rows["group"], strict=True)]
        rows.loc[fell, "note"] = COLLAPSED
        yield Ranking(
            section=section.title,
            metric=metric,
            direction=direction,
            unit=section.evaluations.unit(metric),
            protocol=str(protocol),
            rows=rows,
            sentence=f"Measured {way(protocol)}: {sentence}" if len(ways) > 1 else sentence,
        )


def way(protocol: Hashable) -> str:
    """Say how numbers were measured; records of textbench 0.1.0 may not."""
    return f"as {protocol}" if protocol else "in a way that is not on record"


def _ranked(
    values: Mapping[Line, Mapping[int, float]],
    direction: Direction,
    metric: str,
    out: Collection[Line],
    names: Mapping[Key, str],
) -> tuple[pd.DataFrame, str]:
    inside = {line: own for line, own in values.items() if line not in out}
    order, places, found = rank(inside, direction)
    if len(places) < 2:
        places = {}  # a place is one among several
    top = next((line for line in order if line in places), None)
    others = [line for line in values if line not in inside]
    rows = [_row(line, values[line], places, top, found, line in inside) for line in values]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    at = [list(values).index(line) for line in (*order, *others)]
    called = {line: names.get(line.key, line.name) for line in order}
    if len(set(called.values())) < len(called):
        called = {line: line.name for line in order}
    sentence = conclude(
        [(called[line], len(values[line])) for line in order],
        {called[line]: place for line, place in places.items()},
        {(called[a], called[b]): difference for (a, b), difference in found.items()},
        metric,
        direction,
        others=bool(others),
    )
    frame = frame.astype(dict.fromkeys(("place", "compared", "more_seeds"), "Int64"))
    return frame.iloc[at].reset_index(drop=True), sentence


def _row(
    line: Line,
    values: Mapping[int, float],
    places: Mapping[Line, int],
    top: Line | None,
    found: Mapping[tuple[Line, Line], Difference],
    in_ranking: bool,
) -> dict[str, object]:
    row = {
        **{key: getattr(line, key) for key in ("label", "group", "title", "name")},
        **asdict(summarise(list(values.values()))),
        **{"place": places.get(line), "in_ranking": in_ranking},
    }
    difference = found.get((top, line)) if top is not None else None
    if difference is None:
        n = len(values)
        return row | {"note": f"{n} seed{'s' * (n != 1)}: no place" if n < LEAST else ""}
    return row | {
        "distance": difference.mean,
        "distance_low": difference.low,
        "distance_high": difference.high,
        "paired": difference.paired,
        "p_holm": difference.p_holm,
        "p_exact": difference.p_exact,
        "separated": difference.separated,
        "compared": difference.n,
        "more_seeds": difference.more,
        "note": difference.note,
    }


# -- the sentence ----------------------------------------------------------------------------


def conclude(
    order: Sequence[tuple[str, int]],
    places: Mapping[str, int],
    found: Mapping[tuple[str, str], Difference],
    metric: str,
    direction: Direction,
    *,
    others: bool = False,
) -> str:
    """Say in one sentence what may be concluded from a ranking.

    Args:
        order: Names and numbers of seeds, best mean first.
        places: Of the rows that could be compared.
        found: Differences of the pairs of these, better mean first.
        metric: What is ranked.
        direction: Which way is better.
        others: Whether there are rows that do not compete.
    """
    if len(order) < 2:
        alone = f"{order[0][0]} is the only row that has it" if order else "No row competes"
        return f"{alone}: nothing to compare."
    if len(places) < 2:
        return f"Nothing can be told about {metric}: it takes two rows of {LEAST} seeds."
    least = min(n for name, n in order if name in places)
    first = [name for name, _ in order if places.get(name) == 1]
    some = len(places) < len(order)
    start = f"Of the {len(places)} rows with {LEAST} seeds or more " if some else ""
    end = f" (n >= {least}){_without_place(order, places, first[0], direction)}."
    if len(first) == 1:
        beaten = sum(found[pair].separated for pair in found if first[0] in pair)
        every = f"every other row{' that competes' * others}"
        whom = every if beaten == len(places) - 1 else f"{beaten} of the others"
        return f"{start}{first[0]} has the {direction[:-2]}est {metric}, separated from {whom}{end}"
    return f"{start}{listed(first)} share the first place in {metric}{_told(first, found)}{end}"


def _without_place(
    order: Sequence[tuple[str, int]], places: Mapping[str, int], first: str, direction: Direction
) -> str:
    """Mention the rows of too few seeds that look better; the table below names all."""
    names = [name for name, _ in order]
    better = [name for name in names[: names.index(first)] if name not in places]
    if not better:
        return ""
    lies = "lies" if len(better) == 1 else "lie"
    return f"; {listed(better)} {lies} {direction}, with fewer than {LEAST} seeds"


def _told(first: Sequence[str], found: Mapping[tuple[str, str], Difference]) -> str:
    """Say how many more seeds would tell the best mean from the others that share its place."""
    pairs = {pair: one for pair, one in found.items() if pair[0] == first[0] and pair[1] in first}
    notes = {one.note for one in pairs.values()}
    if notes <= {"identical", "equal up to rounding"}:
        return (
            f": their values agree {'to the bit' if notes == {'identical'} else 'up to rounding'}"
        )
    told = {pair[1]: one.more for pair, one in pairs.items() if one.more is not None}
    if not told:
        return f", not separated; more than {MOST} seeds would be needed to tell"
    name, more = min(told.items(), key=lambda item: item[1])
    what = "" if len(first) == 2 else f" {first[0]} from {name}"
    return f", not separated; {more} more seed{'s' * (more != 1)} would tell{what}"


def listed(names: Sequence[str]) -> str:
    """Return names in a row, of more than `NAMED` the first few.

    Names that hold a comma are told apart by semicolons.
    """
    if len(names) > NAMED:
        names = [*names[: NAMED // 2], f"{len(names) - NAMED // 2} others"]
    *most, last = names
    if any(", " in name for name in names):
        return f"{'; '.join(most)}; and {last}" if most else last
    return f"{', '.join(most)} and {last}" if most else last
