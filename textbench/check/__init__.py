"""The conformance kit: does a plug-in keep what the harness promises in its name?

`check` trains a trainer several times, briefly, in the harness's own hands, and answers with one
`Finding` per promise; `check_metric` and `check_task` do the like. Nothing is timed, nothing is
drawn from anywhere but the seed: a verdict is the same whenever and wherever it is asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from textbench.check import access, generator, metric, task, training
from textbench.check.laboratory import Laboratory
from textbench.check.metric_laboratory import Laboratory as MetricLaboratory
from textbench.check.promise import Check as Check
from textbench.check.promise import Finding as Finding
from textbench.check.promise import findings
from textbench.check.task_laboratory import Laboratory as TaskLaboratory
from textbench.contracts.config import Config
from textbench.contracts.metric import Metric
from textbench.contracts.spec import Spec
from textbench.contracts.task import Task

STEPS = 300
"""Steps of the schedule that are looked at, unless the caller says otherwise."""

CHECKS: tuple[Check, ...] = (*training.CHECKS, *access.CHECKS, *generator.CHECKS)
"""What trainers promise."""
METRIC_CHECKS: tuple[Check, ...] = metric.CHECKS
TASK_CHECKS: tuple[Check, ...] = task.CHECKS


def check(spec: Spec, steps: int = STEPS) -> Iterator[Finding]:
    """Yield the findings about one trainer, as they are made.

    Args:
        spec: The trainer with its configuration, on the task to try it on.
        steps: How much of its schedule is looked at, at most.
    """
    with tempfile.TemporaryDirectory(prefix="textbench-check-") as folder:
        yield from findings(Laboratory(spec, Path(folder), steps), CHECKS)


def check_metric(kind: type[Metric], config: Config, on: Task[Config]) -> Iterator[Finding]:
    """Yield the findings about one metric, as they are made.

    Args:
        kind: The metric.
        config: Its options.
        on: The task to try it on.
    """
    yield from findings(MetricLaboratory(kind, config, on), METRIC_CHECKS)


def check_task(
    kind: type[Task[Config]], config: Config, plugins: Sequence[Path] = ()
) -> Iterator[Finding]:
    """Yield the findings about one task, as they are made.

    Args:
        kind: The task.
        config: Its options.
        plugins: The files that define it, for a process of its own.

    Raises:
        UserError: It cannot be built with these options.
    """
    with tempfile.TemporaryDirectory(prefix="textbench-check-") as folder:
        yield from findings(TaskLaboratory(kind, config, Path(folder), plugins), TASK_CHECKS)
