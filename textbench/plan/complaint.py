"""What a class must be before anything is done with it: found wrong later, it would cost runs."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast, get_args

from textbench.contracts.errors import one_line
from textbench.contracts.number import Direction, Number

if TYPE_CHECKING:
    from textbench.contracts.config import Config
    from textbench.contracts.metric import Metric
    from textbench.contracts.trainer import Trainer

_REQUIRED = {
    "trainer": ("name", "config_schema"),
    "metric": ("name",),
    "task": ("name", "config_schema"),
}
_TEXTS = {
    "trainer": ("title", "reference_for"),
    "metric": ("family", "section"),
    "task": ("family",),
}
"""Class attributes that are put on record, or looked up, as text."""
_OF_THE_CLASS = {"trainer": ("warmup", "fresh_data", "brings_generator"), "task": ("restored",)}
"""Methods that are called before there is an instance."""


def base_class(kind: str) -> type[object]:
    """Return `Trainer`, `Metric` or `Task`."""
    base: type[object] = getattr(import_module(f"textbench.contracts.{kind}"), kind.capitalize())
    return base


def complaint(kind: str, loaded: object) -> str:
    """Return why ``loaded`` cannot be registered as a ``kind``, or an empty string."""
    base = base_class(kind)
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        return f"is not a {base.__name__}"
    return _of_class(kind, cast("Hashable", loaded))


@cache  # a command of 1,000 seeds asks as many times
def _of_class(kind: str, loaded: type) -> str:
    missing = sorted(getattr(loaded, "__abstractmethods__", ()))
    required = _REQUIRED[kind]
    if kind == "metric" and not getattr(loaded, "numbers", ()):
        required = (*required, "direction", "summary")
    missing += [name for name in required if not hasattr(loaded, name)]
    if missing:
        none = " (one without options says config_schema = textbench.Config)"
        return f"does not define {', '.join(missing)}{none * ('config_schema' in missing)}"
    return next(_wrong(kind, loaded), "")


def _wrong(kind: str, loaded: type) -> Iterator[str]:
    """Yield what is defined, and not as it must be."""
    yield from _of_config(cast("type[Metric]", loaded).config_schema)  # as all kinds have it
    for name in _TEXTS[kind]:
        if not isinstance(getattr(loaded, name), str):
            yield f"has {name} = {getattr(loaded, name)!r}, which is no text"
    for name in _OF_THE_CLASS.get(kind, ()):
        if not isinstance(inspect.getattr_static(loaded, name), classmethod | staticmethod):
            yield f"defines {name} as a method of an instance; put @classmethod above it"
    if kind == "trainer":
        version = cast("type[Trainer[Config]]", loaded).version
        if type(version) is not int or version < 0:
            yield f"has version = {version!r}; it must be a whole number from 0"
    if kind == "metric":
        yield from _of_numbers(cast("type[Metric]", loaded))


def _of_config(schema: object) -> Iterator[str]:
    """Yield why a schema is none, or cannot be put on record: a run's options are JSON."""
    from textbench.contracts.config import Config

    if not (isinstance(schema, type) and issubclass(schema, Config)):
        yield f"has config_schema = {_name(schema)}, which is no subclass of textbench.Config"
        return
    for name in schema.model_fields:
        if wrong := _undumped(schema, name):
            yield f"has an option {name} whose default JSON cannot hold ({wrong})"


def _undumped(schema: type[Config], name: str) -> str:
    """Return why the default of an option cannot be written as JSON, if it has one."""
    try:
        schema.model_construct().model_dump_json(include={name}, warnings=False)
    except Exception as error:  # a serializer, or a default_factory, may be anybody's
        return one_line(error)
    return ""


def _of_numbers(metric: type[Metric]) -> Iterator[str]:
    """Yield what of a metric's description no record could hold."""
    try:
        described = tuple(metric.described())
    except Exception as error:
        yield f"cannot say what its numbers are: {one_line(error)}"
        return
    directions = ", ".join(map(repr, get_args(Direction)))
    for one in described:
        if not isinstance(one, Number):
            yield f"has {one!r} among its numbers; it must be a textbench.Number"
        elif one.direction not in get_args(Direction):
            yield f"says of {one.name} direction = {one.direction!r}; one of {directions} is right"
        elif not (isinstance(one.unit, str) and isinstance(one.summary, str)):
            known: Mapping[str, object] = {"unit": one.unit, "summary": one.summary}
            said = ", ".join(f"{k} = {v!r}" for k, v in known.items() if not isinstance(v, str))
            yield f"says of {one.name} {said}; it must be text"


def _name(value: object) -> str:
    return value.__qualname__ if isinstance(value, type) else repr(value)
