"""Computing metrics so that nothing of it is left behind in what is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from textbench.backbone.generator import Generator
from textbench.contracts.errors import DivergedError
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.run import checkpoint


@contextmanager
def undisturbed(generator: Generator) -> Iterator[None]:
    """Put ``generator`` in evaluation mode; afterwards every trace of the evaluation is gone.

    Each module gets its own mode back, and the global random generators theirs.
    """
    random_state = checkpoint.global_random_state()
    modes = [(module, module.training) for module in generator.modules()]
    generator.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        checkpoint.restore_global_random_state(random_state)


def measure(
    metrics: list[Metric], evaluation: Evaluation
) -> tuple[dict[str, float | None], dict[str, str], dict[str, str]]:
    """Compute every metric: (values, reasons of the missing ones, protocols).

    Raises:
        DivergedError: A metric that applies is not finite.
    """
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    protocols: dict[str, str] = {}
    for metric in metrics:
        try:
            value = metric.compute(evaluation)
        except NotApplicableError as error:
            values[metric.name], reasons[metric.name] = None, str(error)
            continue
        if not math.isfinite(value):
            raise DivergedError(f"{metric.name} is {value}")
        values[metric.name] = value
        protocols[metric.name] = metric.protocol(evaluation)
    return values, reasons, protocols
