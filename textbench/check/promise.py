"""What all conformance kits have in common: promises, their breach, and one finding for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from textbench.contracts.config import Config
from textbench.contracts.errors import UserError
from textbench.contracts.metric import NotApplicableError
from textbench.plan.blame import raised

R_co = TypeVar("R_co", covariant=True)


class Violation(Exception):  # noqa: N818 - a broken promise, not an error of ours
    """A promise that was not kept."""

    def __init__(self, seen: str, right: str) -> None:
        super().__init__(seen)
        self.seen, self.right = seen, right


class Check(NamedTuple):
    """One promise."""

    name: str
    judge: Callable[[Any, Any], str]
    """Given the laboratory and its record; returns what was seen, or raises `Violation`."""
    needs: tuple[str, ...] = ()
    """Checks without which this one says nothing."""


class Recorded(Protocol):
    """What a laboratory has noted of the first, ordinary try."""

    @property
    def summary(self) -> str:
        """What was tried, in one line."""


class Laboratory(Protocol[R_co]):
    """Where one plug-in is tried."""

    def reference(self) -> R_co:
        """Try it once as the harness would.

        Raises:
            Violation: It does not even run.
        """


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


def findings(laboratory: Laboratory[Recorded], checks: Sequence[Check]) -> Iterator[Finding]:
    """Yield the findings about one plug-in, as they are made."""
    judged: dict[str, Finding] = {}
    record, first = _tried(laboratory)
    yield first
    for one in checks:
        finding = judged[one.name] = _judge(one, laboratory, record, judged)
        yield finding


def _tried(laboratory: Laboratory[Recorded]) -> tuple[Recorded | None, Finding]:
    """Try the plug-in once; return what was noted, if it runs, and the finding about that."""
    try:
        record = laboratory.reference()
        return record, Finding("runs", "ok", record.summary)
    except Violation as violation:
        return None, Finding("runs", "FAILED", violation.seen, violation.right)
    except UserError:
        raise  # the options it was given are of no use: that is the caller's to mend
    except Exception as error:
        return None, Finding("runs", "FAILED", f"it raised {raised(error)}", "no exception")


def _judge(
    one: Check,
    laboratory: Laboratory[Recorded],
    record: Recorded | None,
    judged: dict[str, Finding],
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
    except Exception as error:  # whatever the plug-in's code does that no promise foresees
        return Finding(one.name, "FAILED", f"it raised {raised(error)}", "no exception")


def expect(wrong: str) -> None:
    """Check that nothing is wrong with what a plug-in has (`textbench.contracts.returned`).

    Raises:
        Violation: Something is.
    """
    if wrong:
        seen, _, right = wrong.partition("; it must be ")
        raise Violation(seen, right or "what every plug-in has")


def expect_options(schema: type[Config], values: Mapping[str, object]) -> str:
    """Check that every option has a default and a help text, and survives JSON.

    Args:
        schema: The options.
        values: Those that are tried, where a default does not serve.

    Returns:
        What was seen.

    Raises:
        Violation: One has not.
    """
    fields = schema.model_fields
    silent = [name for name, field in fields.items() if not field.description]
    if silent:
        raise Violation(f"no help text for {', '.join(silent)}", "a docstring below every field")
    bound = [name for name, field in fields.items() if field.is_required()]
    if bound:
        raise Violation(f"no default for {', '.join(bound)}", "every option has a default")
    built = schema(**values)
    if schema(**built.model_dump(mode="json")) != built:
        raise Violation("a configuration read back from JSON is another", "plain, typed fields")
    return f"{len(fields)} options, each with a default and a help text"


def changes(config: Config) -> Iterator[tuple[str, Config]]:
    """Yield the configuration with one option changed, for each that can be: its name, and it."""
    for name in type(config).model_fields:
        for value in _others(getattr(config, name), type(config).model_fields[name].annotation):
            try:
                changed = type(config)(**{**config.model_dump(mode="json"), name: value})
            except ValueError:
                continue
            yield name, changed
            break


def _others(value: object, annotation: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [1.5 * value, 0.5 * value, value + 1.0]
    choices = getattr(annotation, "__args__", ()) if isinstance(value, str) else ()
    return [one for one in choices if isinstance(one, str) and one != value]
