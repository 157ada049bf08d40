"""May a run's number be held against a published one? Decided from the run's own record.

Every way in which the run is not the published experiment is a reason, and all are listed: other or
less data, another oracle, a smaller backbone, other options, a shorter schedule, fewer evaluation
samples, a best of fewer evaluations, another metric protocol. Evaluating more often, or on more
samples, is no difference.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase

from textbench.contracts.grid import grid_in_words, widest_gap
from textbench.judge.published import Column, Protocol, TrainerProtocol
from textbench.judge.record import SCHEDULE, Record

UNPUBLISHED = re.compile(r"\b(?:train|valid|test) is not the published file\b")
"""How the note of a corpus that is downloaded states that a copy of it is another file."""


def reasons(
    record: Record,
    protocol: Protocol,
    label: str,
    column: Column | None = None,
    *,
    measured: str = "",
    curve: bool = False,
    schedule: bool = True,
    changed: Collection[str] = (),
    length: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """Return every way in which a run is not the published experiment; empty if it is that.

    Args:
        record: The run.
        protocol: The published experiment.
        label: Under which of its trainers the run is judged.
        column: The number in question; None judges training alone, not its evaluation.
        measured: Protocol id of the run's number.
        curve: Whether the number is taken from the curve, whatever the column says.
        schedule: Whether the length of training counts.
        changed: Options that are meant to differ: what a comparison is about.
        length: A schedule in place of the published one, of which longer is no difference.
    """
    found = [*_data(record, protocol), *_backbone(record, protocol)]
    found += _training(record, protocol, label, schedule, changed, length)
    found += _evaluation(record, protocol, column, measured, curve) if column else ()
    return tuple(dict.fromkeys(found))


# -- data ------------------------------------------------------------------------------------


def _data(record: Record, protocol: Protocol) -> Iterator[str]:
    if record.task != protocol.task:
        yield f"task {record.task} instead of {protocol.task}"
        return
    if protocol.oracle and record.oracle != protocol.oracle:
        yield f"another oracle ({record.oracle or 'unknown'} instead of {protocol.oracle})"
    if record.fresh_data:
        yield "new training sequences in every pass"
    if protocol.fingerprints and record.fingerprint.startswith(protocol.fingerprints):
        return  # the very data
    yield from _size(record.size("train"), protocol.train, "trained on {}", "training sequences")
    yield from _size(record.size("test"), protocol.test, "tested on {}", "held-out sequences")
    for key, published in protocol.task_options.items():
        yield from _option(key, record.task_config.get(key), published)
    if protocol.train or protocol.test:  # else nobody states on which part of it theirs is
        yield from UNPUBLISHED.findall(record.note)


def _size(size: int | None, published: int, text: str, what: str) -> Iterator[str]:
    if not published or size == published:
        return
    if size is None:
        yield f"the number of {what} is not on record (published: {published:,})"
    elif size < published:
        yield text.format(f"{size:,} of {published:,} sequences")
    else:
        yield text.format(f"{size:,} instead of {published:,} sequences")


def _option(key: str, value: object, published: object) -> Iterator[str]:
    if value is None:
        yield f"{key} is not on record (published: {_shown(published)})"
    elif _plain(value) != _plain(published):
        yield f"{key} {_shown(value)} instead of {_shown(published)}"


def _plain(value: object) -> object:
    """Return a value in a form in which equal ones are equal: 1 and 1.0, lists and tuples."""
    if isinstance(value, list | tuple):
        return tuple(_plain(one) for one in value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(_shown(one) for one in value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)


# -- training --------------------------------------------------------------------------------


def _backbone(record: Record, protocol: Protocol) -> Iterator[str]:
    for key, published in protocol.backbone.items():
        yield from _option(key, record.backbone.get(key), published)
    if record.own_generator and protocol.backbone:
        yield "a generator of its own instead of the shared one"


def _training(
    record: Record,
    protocol: Protocol,
    label: str,
    schedule: bool,
    changed: Collection[str],
    length: Mapping[str, int] | None,
) -> Iterator[str]:
    published = protocol.trainers.get(label)
    if published is None:
        if protocol.trainers:
            yield f"no published configuration of {label}"
        return
    for key, value in published.options.items():
        if key not in changed:
            yield from _option(key, record.config.get(key), value)
    known = {*published.options, *published.schedule, *changed}
    for key, value in record.own_overrides.items():
        if key not in known:
            yield f"{key} changed to {_shown(value)}"
    if schedule:
        asked = {**published.schedule, **(length or {})}
        longer = published.at_least or length is not None
        for key, value in asked.items():
            if key not in changed:
                yield from _length(key, record.config.get(key), value, longer)
    yield from _warmup(record, protocol, published)


def _length(key: str, value: object, published: int, longer: bool) -> Iterator[str]:
    what = SCHEDULE.get(key)
    if not isinstance(value, int) or what is None:
        if key == "d_samples" and value == 0 != published:
            yield f"all sequences instead of {published:,} of each kind in a discriminator load"
        elif key == "d_samples" and value != published and isinstance(value, int):
            whole = f"{published:,}" if published else "all"
            yield f"{value:,} sequences of each kind in a discriminator load instead of {whole}"
        elif value != published:
            yield from _option(key, value, published)
    elif value < published:
        yield f"{value:,} of {published:,} {what}"
    elif value > published and not longer:
        yield f"{value:,} instead of {published:,} {what}"


def _warmup(record: Record, protocol: Protocol, published: TrainerProtocol) -> Iterator[str]:
    """Compare the warm-up's options; its length and rate are among the run's own."""
    like = protocol.trainers.get(record.warmup.trainer) if record.warmup else None
    if record.warmup is None or like is None:
        return
    own = {"lr": published.options.get("warmup_lr")}
    for key, value in like.options.items():
        if own.get(key) is None:
            for text in _option(key, record.warmup.config.get(key), value):
                yield f"warm-up: {text}"


# -- evaluation ------------------------------------------------------------------------------


def _evaluation(
    record: Record, protocol: Protocol, column: Column, measured: str, curve: bool
) -> Iterator[str]:
    key = "samples" if curve or column.select == "best" else "final_samples"
    samples = record.evaluation.get(key)
    if samples is None:
        if protocol.samples:
            yield f"the number of samples is not on record (published: {protocol.samples:,})"
    elif samples < protocol.samples:
        yield f"evaluated on {samples:,} instead of {protocol.samples:,} samples"
    if protocol.every and column.select == "best" and not curve:
        yield from _grid(record, protocol.every)
    if column.protocol and measured and not fnmatchcase(measured, column.protocol):
        yield f"another protocol: {measured}"


def _grid(record: Record, published: int) -> Iterator[str]:
    """Compare the evaluations that a best is chosen from; a warm-up's, made apart, are among them.

    How many steps an epoch has is not on record: additional evaluations every so many steps are
    named, and do not make up for epochs without one.
    """
    own, before = (_coarse(run, published) if run else "" for run in (record, record.warmup))
    if before and before != own:
        yield f"warm-up: {before}"
    if own:
        yield own


def _coarse(run: Record, published: int) -> str:
    """Say how a run's evaluations lie further apart than published; empty if they do not."""
    if "every" not in run.evaluation:
        return "how often it was evaluated is not on record"
    if widest_gap(run.evaluation, run.last_epoch) <= published:
        return ""
    told = grid_in_words(run.evaluation, run.last_epoch)
    return f"evaluated {told}{',' if ',' in told else ''} instead of every {published}"
