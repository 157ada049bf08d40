"""The conformance kit: does a trainer keep what the harness promises in its name?

`check` trains a trainer several times, briefly, in the harness's own hands, and answers with one
`Finding` per promise. Nothing is timed, nothing is drawn from anywhere but the seed: a verdict is
the same whenever and wherever it is asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textbench.check import access, generator, training
from textbench.check.laboratory import Check, Laboratory, Record, Violation
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.spec import Spec

STEPS = 300
"""Steps of the schedule that are looked at, unless the caller says otherwise."""

CHECKS: tuple[Check, ...] = (*training.CHECKS, *access.CHECKS, *generator.CHECKS)


@dataclass(frozen=True)
class Finding:
    """The verdict on one promise."""

    check: str
    verdict: Literal["ok", "FAILED", "skipped", "n/a"]
    """``skipped`` says nothing because of another failure; ``n/a`` does not apply at all."""
    seen: str
    """What was seen, in one line; of a check that gave no verdict, why."""
    right: str = ""
    """What would have been right, where it failed."""


def check(spec: Spec, steps: int = STEPS) -> Iterator[Finding]:
    """Yield the findings about one trainer, as they are made.

    Args:
        spec: The trainer with its configuration, on the task to try it on.
        steps: How much of its schedule is looked at, at most.
    """
    judged: dict[str, Finding] = {}
    with tempfile.TemporaryDirectory(prefix="textbench-check-") as folder:
        laboratory = Laboratory(spec, Path(folder), steps)
        record: Record | None = None
        try:
            record = laboratory.reference()
            yield Finding("runs", "ok", record.summary)
        except Violation as violation:
            yield Finding("runs", "FAILED", violation.seen, violation.right)
        for one in CHECKS:
            finding = judged[one.name] = _judge(one, laboratory, record, judged)
            yield finding


def _judge(
    one: Check, laboratory: Laboratory, record: Record | None, judged: dict[str, Finding]
) -> Finding:
    if record is None:
        return Finding(one.name, "skipped", "it does not run")
    for name in one.needs:
        if judged[name].verdict == "n/a":
            return Finding(one.name, "n/a", judged[name].seen)
        if judged[name].verdict != "ok":
            return Finding(one.name, "skipped", f"says nothing while {name!r} fails")
    try:
        return Finding(one.name, "ok", one.judge(laboratory, record))
    except Violation as violation:
        return Finding(one.name, "FAILED", violation.seen, violation.right)
    except NotApplicableError as error:
        return Finding(one.name, "n/a", str(error))
