"""Promises of a metric: described, repeatable numbers that leave what they measure alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import get_args

import torch
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.check.metric_laboratory import SAMPLES, Examined, Laboratory, Record
from textbench.check.promise import Check, Violation, changes, expect_options
from textbench.contracts.config import Config
from textbench.contracts.errors import one_line
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.number import Direction
from textbench.contracts.stored import StoredSequences
from textbench.contracts.task import Task, TextTask
from textbench.plan import registry
from textbench.plan.plugins import is_name
from textbench.run.measure import computed, undisturbed

FEWER = 30
"""Samples of another evaluation; a number that moves with them has another protocol."""
WHEN = ("always", "final")
CLOSE = 1e-6
"""Relative difference of a value of stored samples from that of the generator that drew them."""


def config(laboratory: Laboratory, record: Record) -> str:
    """Every option has a default and a help text."""
    return expect_options(laboratory.kind.config_schema, laboratory.config.model_dump(mode="json"))


def numbers(laboratory: Laboratory, record: Record) -> str:
    """Each number says what it is: direction, unit, a line, and when it is computed."""
    kind = laboratory.kind
    described = kind.described()
    for one in described:
        if one.direction not in get_args(Direction):
            raise Violation(
                f"{one.name}: direction {one.direction!r}",
                f"one of {', '.join(get_args(Direction))}",
            )
        if not is_name(one.name):
            raise Violation(f"{one.name!r} is no name", "letters, digits, '-' and '_'")
        if not isinstance(one.summary, str) or len(one.summary.splitlines()) != 1:
            raise Violation(f"{one.name} has no summary of one line", "a line for footnotes")
        if not isinstance(one.unit, str):
            raise Violation(f"{one.name}: unit {one.unit!r}", "a string; empty where there is none")
    if kind.when not in WHEN:
        raise Violation(f"when is {kind.when!r}", f"one of {', '.join(WHEN)}")
    if set(record.values) != {one.name for one in described}:
        raise Violation(
            f"compute() returns {', '.join(map(str, record.values)) or 'nothing'}",
            f"a value of each of its numbers: {', '.join(one.name for one in described)}",
        )
    return ", ".join(f"{one.name} ({one.direction})" for one in described)


def values(laboratory: Laboratory, record: Record) -> str:
    """What applies is a finite number, what does not has a reason."""
    for name, value in record.values.items():
        _expect_value(name, value, "")
    applies = [v for v in record.values.values() if not isinstance(v, NotApplicableError)]
    return (
        f"{len(applies)} finite, {len(record.values) - len(applies)} not applicable, with a reason"
    )


def _expect_value(name: str, value: object, where: str) -> None:
    if isinstance(value, NotApplicableError):
        lines = str(value).strip().splitlines()
        if len(lines) != 1:
            said = "several lines say" if lines else "no line says"
            raise Violation(f"{where}{name} does not apply, and {said} why", "a reason of one line")
        return
    if not isinstance(value, float):  # numbers of other types have become one
        raise Violation(f"{where}{name} is a {type(value).__name__}", "a number")
    if not math.isfinite(value):
        raise Violation(
            f"{where}{name} is {value}", "a finite number, or NotApplicableError that says why not"
        )


def edges(laboratory: Laboratory, record: Record) -> str:
    """Two samples, and samples that are all alike, have values or a reason as well."""
    task = laboratory.task
    cases = {"of two samples ": laboratory.examined(samples=2)}
    same = task.test()[:1].expand(SAMPLES, -1).clone()
    cases["of samples that are all alike "] = laboratory.examined(_stored(same, task))
    if isinstance(task, TextTask):
        cases["of empty sentences "] = laboratory.examined(_stored(torch.zeros_like(same), task))
    for where, examined in cases.items():
        for name, value in laboratory.tried(examined, where.strip()).items():
            _expect_value(name, value, where)
    return f"{', '.join(map(str.strip, cases))}: finite, or a reason"


def determinism(laboratory: Laboratory, record: Record) -> str:
    """The same evaluation has the same values."""
    _expect_same(record, laboratory.compute(laboratory.examined()), "computed again, ")
    return "the same evaluation, the same bits"


def global_randomness(laboratory: Laboratory, record: Record) -> str:
    """The global random generators do not matter."""
    _expect_same(
        record,
        laboratory.compute(laboratory.examined(), world=1),
        "with other global random numbers, ",
        'draws from textbench.stream(evaluation.seed, "my metric", evaluation.moment)',
    )
    return "torch's, numpy's and Python's global streams do not matter"


def _expect_same(
    record: Record,
    found: Mapping[str, float | NotApplicableError],
    where: str,
    right: str = "the same value, to the bit",
) -> None:
    for name, value in record.values.items():
        if _shown(found.get(name)) != _shown(value):
            raise Violation(
                f"{where}{name} is {_shown(found.get(name))} instead of {_shown(value)}", right
            )


def _shown(value: object) -> str:
    return f"n/a ({value})" if isinstance(value, NotApplicableError) else repr(value)


def no_trace(laboratory: Laboratory, record: Record) -> str:
    """Generator, samples and data are only read; torch's settings stay."""
    changed = record.examined.changed() or laboratory.setting
    if changed:
        raise Violation(f"{changed} was changed", "a metric that edits clones first")
    return f"{len(record.examined.before)} tensors and torch's settings are as they were"


def draws(laboratory: Laboratory, record: Record) -> str:
    """The generator's samples are drawn once for all metrics."""
    if record.draws:
        raise Violation(
            f"it draws {record.draws} times from the generator itself",
            "evaluation.samples, whose cost all metrics share",
        )
    return "nothing is drawn but evaluation.samples"


def company(laboratory: Laboratory, record: Record) -> str:
    """Other metrics of the same evaluation change nothing, and are not changed."""
    before = laboratory.examined()
    others = list(_others(laboratory))
    theirs = {kind.name: _quietly(kind, config, before) for kind, config in others}
    _expect_same(record, laboratory.compute(before), "after other metrics, ")
    after = laboratory.examined()
    laboratory.compute(after)
    for kind, config in others:
        if _quietly(kind, config, after) != theirs[kind.name]:
            raise Violation(
                f"after it {kind.name} has other values",
                "keys of its own in evaluation.once, and values that nobody edits",
            )
    return f"before and after {len(others)} other metrics: the same bits"


def _others(laboratory: Laboratory) -> Iterator[tuple[type[Metric], Config]]:
    """Yield the cheap metrics that the same evaluation would have."""
    for name in registry.installed("metric"):
        kind = registry.load_metric(name)
        applies = kind.family in ("", laboratory.task.family) and kind.when == "always"
        if applies and kind is not laboratory.kind:
            yield kind, kind.config_schema()


def _quietly(kind: type[Metric], config: Config, examined: Examined) -> str:
    with undisturbed(examined.evaluation.generator):
        try:
            found = computed(kind(config), examined.evaluation)
        except Exception as error:
            return one_line(error)
    return ", ".join(f"{name} {_shown(value)}" for name, value in found.items())


def stored(laboratory: Laboratory, record: Record) -> str:
    """Of samples alone, without their generator, it says the same or that it does not apply."""
    drawn = record.examined.before["evaluation.samples"]
    examined = laboratory.examined(_stored(drawn, laboratory.task))
    found = laboratory.tried(examined, "of stored samples")
    same = []
    for name, value in found.items():
        _expect_value(name, value, "of stored samples ")
        if isinstance(value, NotApplicableError):
            continue
        expected = record.values[name]
        if isinstance(expected, NotApplicableError) or not math.isclose(
            value, expected, rel_tol=CLOSE, abs_tol=CLOSE
        ):
            raise Violation(
                f"of stored samples {name} is {value!r}, of the generator that drew them "
                f"{_shown(expected)}",
                "the same, or NotApplicableError where samples are not enough",
            )
        same.append(name)
    if not same:
        return "samples alone are not enough for it, and it says so"
    return f"samples alone are enough for {', '.join(same)}"


def _stored(sequences: Tensor, task: Task[Config]) -> Generator:
    return StoredSequences(sequences, task.vocab_size)


def protocol(laboratory: Laboratory, record: Record) -> str:
    """Whatever changes a number changes its protocol: sizes and options."""
    examined = laboratory.examined()
    known = laboratory.protocols(examined)
    for name in record.values:
        line = known.get(name)
        if not isinstance(line, str) or len(line.splitlines()) != 1:
            raise Violation(f"the protocol of {name} is {line!r}", "one line for each number")
    if laboratory.protocols(laboratory.examined()) != known:
        raise Violation("the same evaluation has another protocol", "what the sizes decide")
    fewer = laboratory.examined(samples=FEWER)
    _expect_parted(laboratory, record, known, fewer, None, f"{FEWER} samples instead of {SAMPLES}")
    tried = list(changes(laboratory.config))
    for option, changed in tried:
        given = f"{option}={getattr(changed, option)!r}"
        _expect_parted(laboratory, record, known, laboratory.examined(), changed, given)
    return f"{len(set(known.values()))} protocols; sizes and {len(tried)} options part them"


def _expect_parted(
    laboratory: Laboratory,
    record: Record,
    known: Mapping[str, str],
    examined: Examined,
    changed: Config | None,
    given: str,
) -> None:
    """Expect that numbers which ``given`` moves are under another protocol."""
    found, lines = laboratory.compute(examined, changed), laboratory.protocols(examined, changed)
    for name, value in found.items():
        expected = record.values[name]
        if isinstance(value, NotApplicableError) or isinstance(expected, NotApplicableError):
            continue
        if value != expected and lines.get(name) == known[name]:
            raise Violation(
                f"with {given} {name} is {value:.6g} instead of {expected:.6g} under the same "
                f"protocol, {known[name]!r}",
                "a protocol that holds whatever changes the number",
            )


CHECKS = (
    Check("config", config),
    Check("numbers", numbers),
    Check("values", values, needs=("numbers",)),
    Check("edges", edges, needs=("values",)),
    Check("determinism", determinism),
    Check("global randomness", global_randomness, needs=("determinism",)),
    Check("no trace", no_trace),
    Check("draws", draws),
    Check("company", company, needs=("determinism", "global randomness", "no trace")),
    Check("stored samples", stored, needs=("values", "determinism", "global randomness")),
    Check("protocol", protocol, needs=("values", "determinism", "global randomness")),
)
