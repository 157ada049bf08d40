"""One number per run: the final value, the best one, what own training changed.

Every function returns one row per finished run that has the number, with the columns of `KEY`,
``seed``, ``value`` and ``protocol``; numbers of two protocols are never comparable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from textbench.judge.evaluations import Evaluations
from textbench.judge.spacing import common_spacing, grid

KEY = ("label", "group")
"""What makes a row of a table: runs that agree in both are replicates."""
Key: TypeAlias = tuple[str, str]
"""These two of one row."""
OWN = (*KEY, "seed", "run")
MOMENT = (*OWN, "evaluation", "warmup", "epoch", "final")


def moments(evaluated: Evaluations, metrics: Sequence[str]) -> pd.DataFrame:
    """Return one row per evaluation that has all of ``metrics``.

    Returns:
        The columns `MOMENT`, a column per metric that is not called like one of these, ``value``
        (their sum) and ``protocol`` (theirs, joined).
    """
    values = evaluated.numbers(metrics)
    found = evaluated.at[list(MOMENT)].assign(protocol=evaluated.protocol(metrics))
    for metric, column in zip(metrics, values.T, strict=True):
        if metric not in found:  # somebody's metric may be called run
            found[metric] = column
    found["value"] = values.sum(axis=1)
    return found[np.asarray(np.isfinite(values).all(axis=1))]


def final(evaluated: Evaluations, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the values of the last evaluation, that of a finished run's end."""
    return moments(evaluated.done.finals, metrics)


def curves(evaluated: Evaluations, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the evaluations of each finished run's curve, the warm-up's first.

    Where the final evaluation draws as many samples, it is a second look at the same epoch, and
    left out.
    """
    found = of_curve(moments(evaluated.done, metrics))
    return found.drop_duplicates(["run", "epoch"]).reset_index(drop=True)


def of_curve(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the evaluations of one protocol per run, that of its curve.

    That is the protocol of its own last evaluation but the final one, which may draw more samples,
    and then its number is another one.
    """
    runs, names = pd.factorize(lines["run"])
    protocols, _ = pd.factorize(lines["protocol"])
    own = ~lines["warmup"].to_numpy(bool)
    usual = np.zeros(len(names), int)
    for part in (np.ones_like(own), own, own & ~lines["final"].to_numpy(bool)):
        usual[runs[part]] = protocols[part]  # of a run's several the last stays
    kept: pd.DataFrame = lines[protocols == usual[runs]]
    return kept


def of_row(frame: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    """Return the lines of a table's row, by its label and group."""
    return frame[_is_of(frame, key)]


def _is_of(frame: pd.DataFrame, key: Key) -> NDArray[np.bool_]:
    label, group = ((frame[name] == own).to_numpy(bool) for name, own in zip(KEY, key, strict=True))
    return label & group


def best(
    curve: pd.DataFrame, shown: Sequence[Hashable], *, higher: bool = False, common: bool = True
) -> pd.DataFrame:
    """Return the evaluation of each run with the best ``value``, the earliest of equals.

    The warm-up's count.

    It is selected on the data that it is judged by, and the more often one looks the better it
    gets. So runs of different grids are looked at on their common one, where they have one.

    Args:
        curve: Frame of `curves`.
        shown: Columns of it to return as well.
        higher: Whether more is better.
        common: Whether to thin all curves to the evaluations of a common grid.

    Returns:
        Also ``epoch``, ``in_warmup``, ``evaluations`` (how many were looked at) and ``grid``.
    """
    spacing = common_spacing(curve) if common else None
    if spacing:
        curve = curve[curve["epoch"] % spacing == 0]
    grouped = curve.groupby("run", sort=False, observed=True)
    at = grouped["value"].idxmax() if higher else grouped["value"].idxmin()
    found = curve.loc[at, [*OWN, "protocol", "value", *shown, "epoch"]].reset_index(drop=True)
    found["in_warmup"] = curve.loc[at, "warmup"].to_numpy(bool)
    looked = grouped["epoch"].agg(["nunique", "min", "max"]).loc[at.index]
    found["evaluations"] = looked["nunique"].to_numpy()
    found["grid"] = [grid(n, low, high, spacing) for n, low, high in looked.to_numpy()]
    return found


class Own(NamedTuple):
    """A run's own part of its curve, from where its warm-up ends."""

    run: str
    epochs: NDArray[np.float64]
    values: NDArray[np.float64]
    warmed: bool
    """Whether the first evaluation is the warm-up's last."""


Found: TypeAlias = tuple[float, int] | None
"""A number of a run's own training, and of how many evaluations it is."""


def own_training(curve: pd.DataFrame, number: Callable[[Own], Found]) -> pd.DataFrame:
    """Apply ``number`` to each run's own part of its curve; ``evaluations`` says of how many it is.

    Args:
        curve: Frame of `curves`.
        number: A run of which it returns None is left out.
    """
    epochs, values = curve["epoch"].to_numpy(float), curve["value"].to_numpy(float)
    warmup = curve["warmup"].to_numpy(bool)
    runs, names = pd.factorize(curve["run"])
    found, ends = [], []
    for code, name in enumerate(names):
        at = np.flatnonzero(runs == code)
        before = at[warmup[at]][-1:]
        at = np.concatenate([before, at[~warmup[at]]])
        one = number(Own(str(name), epochs[at], values[at], len(before) > 0))
        if one is not None and not np.isnan(one[0]):
            found.append(one)
            ends.append(at[-1])
    frame = curve.iloc[ends][[*OWN, "protocol"]].reset_index(drop=True)
    return frame.assign(value=[v for v, _ in found], evaluations=[n for _, n in found])


def change(own: Own) -> Found:
    """Return what own training changed since the warm-up's end, if there was one."""
    if len(own.values) < 2 or not own.warmed:
        return None
    return own.values[-1] - own.values[0], len(own.values)


def late(own: Own) -> Found:
    """Return what the second half of own training changed."""
    if len(own.values) < 3:
        return None
    half = own.values[own.epochs >= (own.epochs[0] + own.epochs[-1]) / 2]
    return half[-1] - half[0], len(own.values)


def rise(own: Own) -> Found:
    """Return by how much a number rises per epoch after the best of own training.

    None where that is the last evaluation: the number may still fall.
    """
    best = own.values.argmin()
    epochs = own.epochs[-1] - own.epochs[best]
    if epochs <= 0:
        return None
    return (own.values[-1] - own.values[best]) / epochs, len(own.values)


def translation(curve: pd.DataFrame, logs: pd.DataFrame, name: str, length: float) -> pd.DataFrame:
    """Return how far a logged quantity is from being a metric plus a constant.

    That is the range of ``length · name - metric`` over the evaluations of own training, over the
    range of the metric itself: 0 where the difference is constant, 1 where it moves as much.

    Args:
        curve: Frame of `curves`, of a metric in nats per sequence.
        logs: Frame of `load_curves`.
        name: The logged quantity, in nats per token.
        length: Tokens per sequence.
    """
    logged = logs[(logs["name"] == name) & (logs["kind"] == "loss") & ~logs["warmup"].astype(bool)]
    by_run = logged.groupby("run", observed=True)
    means = {run: one.groupby("epoch", observed=True)["value"].mean() for run, one in by_run}

    def number(own: Own) -> Found:
        log = means.get(own.run)
        if log is None or len(log) < 2:
            return None
        middle = log.index.to_numpy(float) + 0.5  # the mean over an epoch stands in its middle
        logged = (own.epochs >= middle[0]) & (own.epochs <= middle[-1])
        values = own.values[logged]
        span = np.ptp(values) if len(values) else 0.0
        if not span:
            return None
        at = np.interp(own.epochs[logged], middle, log.to_numpy(float))
        return np.ptp(length * at - values) / span, len(values)

    return own_training(curve, number)


# -- cost ------------------------------------------------------------------------------------


def total(evaluated: Evaluations, columns: Sequence[str]) -> pd.DataFrame:
    """Return the sum of cumulative counts or processor seconds at the end, warm-up included."""
    ends = evaluated.done.finals.at.drop_duplicates("run", keep="last")
    counts = ends.reindex(columns=list(columns)).astype(float)  # a ledger may lack one
    value = counts.sum(axis=1, min_count=len(columns))
    found = ends[list(OWN)].assign(protocol=" + ".join(columns), value=value)
    return found.dropna(subset=["value"]).reset_index(drop=True)


def per_epoch(logs: pd.DataFrame) -> pd.DataFrame:
    """Return the processor seconds of an epoch: the mean over the run's last phase."""
    part = generator_epochs(logs, "cpu_seconds")
    found = part[part["status"] == "done"].groupby(list(OWN), sort=False, observed=True)["value"]
    return found.mean().reset_index().assign(protocol="processor seconds an epoch")


def generator_epochs(logs: pd.DataFrame, clock: str) -> pd.DataFrame:
    """Return the seconds of each epoch of the last phase that trains the generator, run by run.

    An epoch does so when it advances the epoch counter. Earlier phases (an inline pre-training)
    have another rhythm, and a warm-up is a run of its own.

    Args:
        logs: Frame of `load_curves`.
        clock: ``seconds`` or ``cpu_seconds``.
    """
    lines = logs[(logs["kind"] == "epoch") & (logs["name"] == clock)]
    before = lines.groupby("run", observed=True)["epoch"].shift(fill_value=0)
    own = lines[(lines["epoch"] > before) & ~lines["warmup"].astype(bool)]
    return own[own["phase"] == own.groupby("run", observed=True)["phase"].transform("last")]


# -- samples ---------------------------------------------------------------------------------


def sample(measured: pd.DataFrame, key: tuple[str, str]) -> tuple[dict[int, float], str]:
    """Return one row's values by seed, of the protocol that most of its seeds have, and that.

    Args:
        measured: What the functions above return.
        key: The row's label and group.
    """
    mine = _is_of(measured, key)  # no frame of its own: hundreds of samples are taken
    protocols = measured["protocol"].to_numpy(object)[mine]
    if not len(protocols):
        return {}, ""
    protocol = str(Counter(protocols).most_common(1)[0][0])
    kept = protocols == protocol
    seeds = measured["seed"].to_numpy(int)[mine][kept].tolist()
    values = measured["value"].to_numpy(float)[mine][kept].tolist()
    return dict(zip(seeds, values, strict=True)), protocol
