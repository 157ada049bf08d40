"""The first line of the first screen: who is better, by all rankings at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pytest
from framed import Made, finals

from textbench.judge.answer import answer
from textbench.judge.ranking import rankings

Values = Mapping[str, Mapping[str, Sequence[float]]]


def told(values: Values, lengths: Mapping[str, str] | None = None, **titles: str) -> str:
    """Answer for final values by row and metric; every row has the same lengths unless given."""
    made = Made()
    metrics = list(dict.fromkeys(metric for row in values.values() for metric in row))
    for label, row in values.items():
        for metric, numbers in row.items():
            finals(made, label, numbers, metric)
    found = rankings(*made.sections, metrics)
    keys = {(row.label, row.group) for one in found for row in one.rows.itertuples()}
    schedules = {key: (lengths or {}).get(key[0], "9 epochs") for key in keys}
    return answer(found, {key: titles.get(key[0], key[0]) for key in keys}, schedules)


LOW, HIGH = (7.0, 7.01, 7.02), (8.0, 8.01, 8.03)
NEAR = (7.0, 7.03, 6.98)


def test_one_row_that_is_first_by_every_metric() -> None:
    both = {"a": {"x": LOW, "y": LOW}, "b": {"x": HIGH, "y": HIGH}}
    assert told(both) == (
        "Compared at the end of training are a and b: 3 seeds or more, each trained for 9 epochs. "
        "a is the better of the two by x (mean 7.010; other 8.013) and y (mean 7.010; other 8.013)."
    )


def test_a_first_place_of_seeds_far_apart_is_said_to_be_one() -> None:
    """Two of three seeds of `c` collapsed: its mean is the best, and told apart from nothing."""
    rows = {"a": {"x": LOW}, "b": {"x": HIGH}, "c": {"x": (6.3, 6.2, 8.2)}}
    assert told(rows).endswith(
        "By x the mean of c may lie from 4.101 to 9.699: its seeds are far apart."
    )
    alike = {"a": {"x": LOW}, "b": {"x": NEAR}, "c": {"x": (7.0, 7.02, 6.97)}}
    assert "far apart" not in told(alike)  # of usual width, though wider than the means lie apart
    clear = {"a": {"x": (7.0, 7.1, 6.9)}, "b": {"x": (8.0, 8.001, 8.002)}}
    assert "far apart" not in told(clear)  # ten times as wide as the other, and told from it
    constant = {"a": {"x": (0.1, 0.1, 0.1)}, "b": {"x": (0.1, 0.1, 0.1)}}
    assert "far apart" not in told(constant)
    assert "far apart" not in told(rows | {"c": {"x": (20.3, 20.2, 21.2)}})  # not first


def test_metrics_that_disagree_choose_none() -> None:
    """Two people read the same from it: neither row is the better one."""
    crossed = {"a": {"x": LOW, "y": HIGH}, "b": {"x": HIGH, "y": LOW}}
    assert told(crossed, {"a": "9 epochs", "b": "2 epochs"}) == (
        "Compared at the end of training are a and b: 3 seeds or more, not all trained alike (see "
        "below). Which is better depends on the metric: a is the better of the two by x (mean "
        "7.010; other 8.013); b is the better of the two by y (mean 7.010; other 8.013)."
    )


def test_rows_of_too_few_seeds_are_said_first_and_have_no_part_in_it() -> None:
    """A row of one seed that looks best does not keep the others from their answer."""
    values = {"a": {"x": LOW}, "b": {"x": HIGH}, "c": {"x": (1.0,)}, "d": {"x": (2.0, 2.1)}}
    assert told(values) == (
        "Compared at the end of training are a and b: 3 seeds or more, each trained for 9 epochs. "
        "Of c and d (fewer than 3 seeds) nothing may be concluded. a is the better of the two by x "
        "(mean 7.010; other 8.013)."
    )
    many = values | {f"e{i}": {"x": (1.0,)} for i in range(7)}
    assert "Of c, e0, e1, e2 and 5 others (fewer than 3 seeds) nothing may be" in told(many)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"a": (1.0,), "b": (2.0, 3.0)},
            "Not known: of 2 rows none has 3 seeds, and it takes two.",
        ),
        (
            {"a": LOW, "b": (9.0,)},
            "Not known: of 2 rows only a has 3 seeds, and it takes two.",
        ),
        ({"a": LOW}, "Nothing to compare: only one row that competes has a result."),
    ],
)
def test_what_cannot_be_known_is_said_so(values: dict[str, Sequence[float]], text: str) -> None:
    assert told({label: {"x": numbers} for label, numbers in values.items()}) == text


def test_a_shared_first_place_is_no_winner() -> None:
    values = {"a": {"x": LOW, "y": LOW}, "b": {"x": NEAR, "y": LOW}, "c": {"x": HIGH, "y": HIGH}}
    assert told(values, a="MLE, dropout 0.5", b="CoT").endswith(
        "MLE, dropout 0.5; and CoT share the first place, not separated, by x (means 7.003 to "
        "7.010; other 8.013) and y (mean 7.010; other 8.013)."
    )


def test_a_constant_metric_has_no_winner_and_a_row_that_leads_alone_elsewhere_is_named() -> None:
    values = {"a": {"x": LOW, "y": (1.0,) * 3}, "b": {"x": HIGH, "y": (1.0,) * 3}}
    assert told(values).endswith(
        "a is the better of the two by x (mean 7.010; other 8.013); all of them share the first "
        "place, not separated, by y (mean 1.000)."
    )


def test_the_best_of_the_others_goes_by_the_metrics_direction() -> None:
    """And a small number keeps its digits."""
    values = {label: (best, best * 1.01, best * 1.02) for label, best in ROWS.items()}
    assert told({label: {"bleu5": one} for label, one in values.items()}).endswith(
        "a is the first of these 3 by bleu5 (mean 3.030e-05; best other 2.020e-05)."
    )


ROWS = {"a": 3e-5, "b": 2e-5, "c": 1e-5}


def in_two_ways(*second: str, as_second: str = "/2 n=9984") -> Made:
    """Rows of three seeds each, of which some were measured under another protocol."""
    made = Made()
    for label, low, wide in (
        ("a", 8.0, 0.02),
        ("b", 9.0, 0.05),
        ("c", 7.0, 0.03),
        ("d", 6.0, 0.08),
    ):
        values = (low, low + 0.01, low + wide)
        way = as_second if label in second else "/1 n=9984"
        if label in "ab" or second:
            finals(made, label, values, "x", protocol=way)
    return made


def answered(made: Made, metrics: Sequence[str] = ("x",)) -> str:
    found = rankings(*made.sections, list(metrics))
    keys = {(row.label, row.group) for one in found for row in one.rows.itertuples()}
    return answer(found, {key: key[0] for key in keys}, dict.fromkeys(keys, "9 epochs"))


def test_rows_that_were_measured_in_two_ways_are_no_contest() -> None:
    """The second protocol's first row was called the first of all four."""
    assert answered(in_two_ways("c", "d")).endswith(
        "epochs. Of a and b alone a is the better of the two by x (as x/1 n=9984; mean 8.010; "
        "other 9.020); of c and d alone d is the better of the two by x (as x/2 n=9984; mean "
        "6.030; other 7.013)."
    )
    sentences = [one.sentence for one in rankings(*in_two_ways("c", "d").sections, ["x"])]
    assert [text.partition(":")[0] for text in sentences] == [
        "Measured as x/1 n=9984",
        "Measured as x/2 n=9984",
    ]
    unknown = in_two_ways("c", "d", as_second="")
    assert "two by x (in a way that is not on record; mean 6.030" in answered(unknown)
    sentences = [one.sentence for one in rankings(*unknown.sections, ["x"])]
    assert sentences[0].startswith("Measured in a way that is not on record: d has")


def _frames(made: Made) -> tuple[pd.DataFrame, pd.DataFrame]:
    return made.results, made.runs


def test_a_row_that_nothing_compares_with_has_seeds_enough_all_the_same() -> None:
    """It was said to have fewer than three."""
    made = in_two_ways("d")
    assert (
        "Nothing was measured in the same way as d. c is the first of these 3 by x (as x/1"
        in answered(made)
    )
    two = Made()
    finals(two, "a", LOW, "x")
    finals(two, "b", HIGH, "x", protocol="/2 n=9984")
    assert answered(two) == (
        "Not known: of 2 rows no two with 3 seeds were measured in the same way."
    )


def test_a_metric_that_some_rows_lack_is_won_among_the_others() -> None:
    """`a` was called the first of three by a metric that only two of them have."""
    values = {"a": {"x": LOW, "y": LOW}, "b": {"x": HIGH, "y": HIGH}, "c": {"x": (9.0, 9.1, 9.3)}}
    assert told(values).endswith(
        "a is the first of these 3 by x (mean 7.010; best other 8.013); of a and b alone a is the "
        "better of the two by y (mean 7.010; other 8.013)."
    )
    lost = {"a": {"x": LOW, "y": LOW}, "b": {"x": HIGH, "y": (8.0, 8.01)}}
    assert told(lost).endswith(" by x (mean 7.010; other 8.013). Nothing can be told by y.")


def test_nothing_was_measured() -> None:
    assert answer([], {}, {}) == "Nothing to compare."
