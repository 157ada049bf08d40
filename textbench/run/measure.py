"""Computing metrics so that nothing of it is left behind in what is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from numbers import Real

from textbench.backbone.generator import Generator
from textbench.contracts.errors import DivergedError, UserError, shown
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.number import Number
from textbench.run import checkpoint
from textbench.store.rows import Measurement


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


def measure(metrics: list[Metric], evaluation: Evaluation) -> dict[str, Measurement]:
    """Compute every metric; return its numbers, sorted by name, with all that is known of each.

    Raises:
        DivergedError: A number that applies is not finite.
        UserError: A metric returns other numbers than it declares, what is no number, or no line
            of protocol: nothing of it may reach the record, where it would make a run unreadable.
    """
    found: dict[str, Measurement] = {}
    for metric in metrics:
        found |= _measure(metric, evaluation)
    return dict(sorted(found.items()))


def computed(metric: Metric, evaluation: Evaluation) -> dict[str, float | NotApplicableError]:
    """Return what a metric computes, by name; where it does not apply at all, why, for each.

    Numbers of other types, numpy's among them, become floats; what is none stays as it is.
    """
    names = [number.name for number in metric.described()]
    try:
        found: object = metric.compute(evaluation)
    except NotApplicableError as error:
        return dict.fromkeys(names, error)
    values = found if isinstance(found, Mapping) else {names[0]: found}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> float | NotApplicableError:
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    return value  # type: ignore[return-value]


def protocols(metric: Metric, evaluation: Evaluation) -> dict[str, str]:
    """Return the protocol of each of a metric's numbers."""
    found = metric.protocol(evaluation)
    names = (number.name for number in metric.described())
    return dict(found) if isinstance(found, Mapping) else dict.fromkeys(names, found)


def _measure(metric: Metric, evaluation: Evaluation) -> dict[str, Measurement]:
    described = {number.name: number for number in metric.described()}
    values = computed(metric, evaluation)
    if changed := evaluation.changed():
        raise UserError(
            f"metric {metric.name} changed evaluation.{changed} in place, which all metrics share; "
            "a metric that edits clones first"
        )
    if values.keys() != described.keys():
        raise UserError(
            f"metric {metric.name}: compute() must return a value of each of its numbers "
            f"({', '.join(described)}), not of {', '.join(map(str, values)) or 'none'}"
        )
    applies = any(not isinstance(value, NotApplicableError) for value in values.values())
    known = protocols(metric, evaluation) if applies else {}
    found = {}
    for name, value in values.items():
        line = known.get(name)
        if not isinstance(value, NotApplicableError) and not _is_line(line):
            of = f" for {name}" if len(described) > 1 else ""
            raise UserError(
                f"metric {metric.name}: protocol() returned {shown(line)}{of}; "
                "one line of text for each number is needed"
            )
        found[name] = _measurement(metric.name, described[name], value, str(line))
    return found


def _measurement(
    metric: str, number: Number, value: float | NotApplicableError, protocol: str
) -> Measurement:
    known: Measurement = {
        "value": None,
        "protocol": "",
        "direction": number.direction,
        "unit": number.unit,
        "summary": number.summary,
    }
    if isinstance(value, NotApplicableError):
        return {**known, "reason": " ".join(str(value).split())}
    plain = _number(metric, number, value)
    if not math.isfinite(plain):
        raise DivergedError(f"{number.name} is {plain}")
    return {**known, "value": plain, "protocol": protocol}


def _is_line(text: object) -> bool:
    return isinstance(text, str) and len(text.splitlines()) == 1


def _number(metric: str, number: Number, value: object) -> float:
    """Return a value as a float: a tensor of one value is a number to a run as well."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError  # float() would read it
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise UserError(
            f"metric {metric}: compute() returned {shown(value)} for {number.name}; "
            "it must be a number, or a NotApplicableError that says why there is none"
        ) from None
