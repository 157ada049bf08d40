"""The base of every configuration: typed fields whose docstrings are the help text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import to_json

from textbench.contracts.errors import UserError, did_you_mean
from textbench.contracts.plain import JsonObject


class Config(BaseModel):
    """Fields with defaults; unknown keys, wrong types and values out of range are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )
    added_options: ClassVar[frozenset[str]] = frozenset()
    """Options that are younger than recorded runs: at its default such an option is no part of a
    run's identity, so that adding it starts no finished run anew."""

    def identity(self) -> JsonObject:
        """Return the options as JSON data, without `added_options` that are at their defaults."""
        added = {
            key
            for key in self.added_options
            if getattr(self, key) == type(self).model_fields[key].default
        }
        return self.model_dump(mode="json", exclude=added)


C = TypeVar("C", bound=Config)


def tunable(scale: Literal["linear", "log"], low: float, high: float) -> dict[str, JsonValue]:
    """Declare the range that `textbench tune` draws an option from, beside the option.

    For ``Field(..., json_schema_extra=tunable("log", 1e-4, 1e-1))``.
    """
    return {"tune": [scale, low, high]}


NONE = "none"
"""How a user gives None to an option that may be None: TOML has no word for it."""


def may_be_none(schema: type[Config], key: str) -> bool:
    """Tell whether an option is declared as ``... | None``."""
    field = schema.model_fields.get(key)
    return field is not None and type(None) in get_args(field.annotation)


def _read(schema: type[C], given: Mapping[str, object]) -> C:
    """Read values strictly, as JSON: no number is "5", no integer `true`; a text may be a path."""
    values = {k: None if v == NONE and may_be_none(schema, k) else v for k, v in given.items()}
    try:
        return schema.model_validate_json(
            to_json(dict(values), inf_nan_mode="constants"), strict=True
        )
    except ValidationError as error:
        refused = {str(one["loc"][0]) for one in error.errors() if one["loc"]} - values.keys()
        defaults = refused & schema.model_fields.keys()
        if not defaults:
            raise
        # The author's own are read in the same way, where a Path is no text: once more as JSON.
        written = schema.model_construct().model_dump(mode="json", include=defaults, warnings=False)
        return schema.model_validate_json(
            to_json({**written, **values}, inf_nan_mode="constants"), strict=True
        )


def validate(schema: type[C], values: Mapping[str, object], where: str) -> C:
    """Build ``schema`` from ``values``.

    Args:
        schema: The configuration class.
        values: Keys and values as the user gave them.
        where: The prefix of the keys on the command line, e.g. ``"cot"``.

    Raises:
        UserError: One line naming the key, what is wrong with it and what would be right.
    """
    try:
        return _read(schema, values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing" and len(first["loc"]) == 1:
            wrong = f"{where}.{key} has no default; every option needs one"
            raise UserError(f"{wrong}, or a value: {where}.{key}=VALUE") from None
        if first["type"] == "extra_forbidden":
            known = schema.model_fields
            raise UserError(f"{where}.{key} is not an option{did_you_mean(key, known)}") from None
        told = bool(key) and first["loc"][0] in values
        given = f" (given {first['input']!r})" if told else ""
        if key and not told:  # nobody gave it: the author's own default is refused
            given = f" (its default, {first['input']!r}, is no value for it)"
        message = first["msg"].removeprefix("Value error, ")
        if told and may_be_none(schema, str(first["loc"][0])):
            message += f", or {NONE}"
        raise UserError(f"{where}.{key}: {message}{given}".replace(".:", ":")) from None
