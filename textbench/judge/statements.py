"""What the paper claims in words, as data: ``claims.toml``, whose head explains the format."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from textbench.judge.published import Toml, read

Relation = Literal["<", ">"]
OfCurve = Literal["change", "late", "rise", "translation"]
"""What is said of a curve, and needs enough evaluations of it."""
CURVE: frozenset[str] = frozenset(get_args(OfCurve))
Stat = OfCurve | Literal["final", "best", "total", "epoch", "grid", "spread", "broken"]
SECONDS = "cpu_seconds"


@dataclass(frozen=True, eq=False)
class Selector:
    """A row of ours."""

    label: str
    options: Mapping[str, object] = field(default_factory=dict)
    like: str = ""
    """Whose published configuration it is, or varies; the label unless given."""
    ignore: tuple[str, ...] = ()
    schedule: Mapping[str, int] | None = None

    @property
    def configuration(self) -> str:
        """The label whose published configuration is asked for."""
        return self.like or self.label

    @property
    def varied(self) -> tuple[str, ...]:
        """The options in which it may differ from that."""
        return (*self.ignore, *self.options)

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.label} [{options}]" if options else self.label


@dataclass(frozen=True)
class Measure:
    """One number of a run, or of a row."""

    stat: Stat
    metrics: tuple[str, ...] = ()
    log: str = ""
    relation: Relation | None = None

    @property
    def name(self) -> str:
        """``"rise of nll_test"``."""
        return f"{self.stat} of {' + '.join(self.metrics)}" if self.metrics else self.stat


@dataclass(frozen=True)
class Claim:
    """A claim of the paper in words, as comparisons that runs can decide."""

    id: str
    text: str
    quote: str
    """The paper's own sentence."""
    source: str
    protocol: str
    """Of `published`: what its runs were made of."""
    relation: Relation
    subjects: tuple[Selector, ...]
    measures: tuple[Measure, ...]
    needs: str
    """What it takes to judge it."""
    others: tuple[Selector, ...] = ()
    bound: float = math.nan
    """What the subject is compared with where there are no others."""
    factor: float = 1.0
    rule: Literal["all", "most"] = "all"
    together: bool = False


@functools.cache
def claims() -> tuple[Claim, ...]:
    """Return the paper's claims."""
    return tuple(_claim(data) for data in read("claims.toml")["claims"])


def _claim(data: Toml) -> Claim:
    rows = {
        key: tuple(_selector(one) for one in data.get(key, ())) for key in ("subjects", "others")
    }
    measures = tuple(
        Measure(**one | {"metrics": tuple(one.get("metrics", ()))}) for one in data["measures"]
    )
    return Claim(**{**data, **rows, "measures": measures})


def _selector(data: str | Toml) -> Selector:
    if isinstance(data, str):
        return Selector(data)
    return Selector(**{**data, "ignore": tuple(data.get("ignore", ()))})
