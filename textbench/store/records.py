"""What a record must look like, checked key by key; what a newer version added is ignored.

Every function takes what `textbench.store.files.parse_object` returned, and raises `DamagedError`
in one line that names the key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from textbench.contracts.number import Direction, is_alpha
from textbench.contracts.spec import Spec
from textbench.store.files import DamagedError, is_intact
from textbench.store.rows import (
    LEDGER_TAKEN,
    EpochRow,
    EvaluationRow,
    LaterRow,
    LossRow,
    Start,
    Status,
    StatusName,
)

Unchecked = Mapping[str, Any]
"""What was parsed: a table whose values may be anything until they are looked at here."""
NUMBER = (int, float)
_NAMES: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    dict: "a table",
    list: "a list",
    type(None): "null",
}
_NAME = re.compile(r"\w[^/\\\x00-\x1f\x7f]*")
_LONGEST = {"trainer": 200, "variant": 200, "task": 100, "preset": 60}
"""Bytes of names at most: folders have them, and files of a report begin with the last two."""
_LARGEST = 2**63
_WARMUPS = 4
"""How many warm-ups may have warm-ups of their own."""
_DIRECTIONS = get_args(Direction)
_STATUSES = frozenset(get_args(StatusName))


class _Shape(NamedTuple):
    """What a table must look like."""

    types: dict[str, tuple[type, ...]]
    """By key."""
    required: frozenset[str]


def _shape(kind: type) -> _Shape:
    """Read the shape of a dataclass or TypedDict of `textbench.store.rows` off its annotations."""
    hints = get_type_hints(kind, localns={"Json": object}, include_extras=True)
    if is_dataclass(kind):
        required = {
            one.name
            for one in fields(kind)
            if one.default is MISSING and one.default_factory is MISSING
        }
    else:
        total = getattr(kind, "__total__", True)
        required = {key for key in hints if total and get_origin(hints[key]) is not NotRequired}
    return _Shape({key: _parsed(hint) for key, hint in hints.items()}, frozenset(required))


def _parsed(hint: object) -> tuple[type, ...]:
    """Return what JSON's parser makes of a type."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (NotRequired, Annotated):
        return _parsed(inside[0])
    if origin in (Union, UnionType):
        return tuple(dict.fromkeys(kind for one in inside for kind in _parsed(one)))
    if hint is float:
        return NUMBER
    if origin is Literal:
        return (str,)
    if is_dataclass(hint):
        return (dict,)
    kind = origin or hint
    return (list,) if kind is tuple else (kind,) if isinstance(kind, type) else ()


_SPEC, _STATUS, _START = _shape(Spec), _shape(Status), _shape(Start)
_EVALUATION, _LATER = _shape(EvaluationRow), _shape(LaterRow)
_LOSS, _EPOCH = _shape(LossRow), _shape(EpochRow)


def spec(data: Unchecked, what: str = "spec.json") -> Spec:
    """Check a spec; its names are safe to be parts of a path.

    Raises:
        DamagedError: It is none.
    """
    return Spec.from_json(_spec(data, what, _WARMUPS))


def _spec(data: Unchecked, what: str, warmups: int) -> Unchecked:
    known: dict[str, Any] = {one.name: data[one.name] for one in fields(Spec) if one.name in data}
    _require(known, _SPEC, what)
    for key, most in _LONGEST.items():
        name = known.get(key, "")
        optional = key in ("variant", "preset") and not name
        if not (optional or _NAME.fullmatch(name)) or len(name.encode("utf-8", "replace")) > most:
            raise DamagedError(f"{what}: {key} is {_shown(name)}, which is no name")
    if known["seed"] < 0 or not all(type(file) is str for file in known.get("plugins", [])):
        raise DamagedError(f"{what}: seed or plugins are not what they must be")
    _alpha(known.get("alpha", 1.0), what)
    _counts(known["backbone"], f"{what}: backbone")
    if not all(type(table) is dict for table in known.get("metrics", {}).values()):
        raise DamagedError(f"{what}: metrics must be tables of options")
    warmup = known.get("warmup")
    if warmup is not None:
        if not warmups:
            raise DamagedError(f"{what} is nested too deeply")
        known["warmup"] = _spec(warmup, f"{what}: warmup", warmups - 1)
    return known


def status(data: Unchecked, what: str = "status.json") -> Status:
    """Check a status.

    Raises:
        DamagedError: It is none.
    """
    known = {key: value for key, value in data.items() if key in _STATUS.types}
    _require(known, _STATUS, what)
    if known["status"] not in _STATUSES:
        raise DamagedError(f"{what}: status is {_shown(known['status'])}, which is none")
    shown = {k: v for k, v in known.get("metrics", {}).items() if v is not None}
    _numbers(shown, f"{what}: metrics")
    texts = [*known.get("headlines", []), *known.get("checksums", {}).values()]
    if not all(type(text) is str for text in texts):
        raise DamagedError(f"{what}: headlines and checksums must be text")
    known |= {"metrics": shown, "headlines": [n for n in known.get("headlines", []) if n in shown]}
    return Status(**known)


def starts(data: Unchecked, what: str = "env.json") -> list[Start]:
    """Check what a run was made with, start by start.

    Raises:
        DamagedError: It has no list of starts.
    """
    found = data.get("starts", [])
    if type(found) is not list or not all(type(start) is dict for start in found):
        raise DamagedError(f"{what}: starts must be a list of tables")
    for start in found:
        _require(start, _START, f"{what}: a start")
        for value in start.values():
            if type(value) in (dict, list):
                raise DamagedError(f"{what}: a start is text and numbers")
    return cast(list[Start], found)


def evaluation(row: Unchecked, what: str) -> EvaluationRow:
    """Check a line of ``metrics.jsonl``.

    Raises:
        DamagedError: It is none.
    """
    _require(row, _EVALUATION, what)
    _ledger(row["ledger"], what)
    _metrics(row["metrics"], what)
    return cast(EvaluationRow, row)


def later(row: Unchecked, what: str) -> LaterRow:
    """Check a line of ``evaluations.jsonl``.

    Raises:
        DamagedError: It is none.
    """
    _require(row, _LATER, what)
    _alpha(row["alpha"], what)
    _metrics(row["metrics"], what)
    for pair in row["options"]:
        if type(pair) is not list or [type(one) for one in pair] != [str, dict]:
            raise DamagedError(f"{what}: options must be pairs of a name and a table")
    if "checksum" in row and not is_intact(row):
        raise DamagedError(f"{what} was changed: its checksum does not fit")
    return cast(LaterRow, row)


def log_entry(row: Unchecked, what: str) -> LossRow | EpochRow:
    """Check a line of ``curve.jsonl``.

    Raises:
        DamagedError: It is none.
    """
    kind = row.get("kind")
    if kind == "loss":
        _require(row, _LOSS, what)
        _numbers(row["values"], f"{what}: values")
        return cast(LossRow, row)
    if kind == "epoch":
        _require(row, _EPOCH, what)
        _ledger(row["ledger"], what)
        return cast(EpochRow, row)
    raise DamagedError(f"{what}: kind is {_shown(kind)}, not loss or epoch")


def _metrics(measured: Unchecked, what: str) -> None:
    """Check what a row says of its metrics; spelt out, since a store has 300,000 of them."""
    for name, one in measured.items():
        if type(one) is not dict:
            raise DamagedError(f"{what}: {name} is not a table")
        value = one.get("value", "")
        if not (
            (type(value) is float and value - value == 0.0)  # finite
            or value is None
            or (type(value) is int and _fits(value))
        ):
            raise DamagedError(f"{what}: {name} has the value {_shown(value)}, not a number")
        if one.get("direction") not in _DIRECTIONS or not (
            type(one.get("protocol", "")) is str
            and type(one.get("unit", "")) is str
            and type(one.get("summary", "")) is str
            and type(one.get("reason", "")) is str
        ):
            raise DamagedError(f"{what}: {name} is not described as it must be")
        if not ("protocol" in one and "unit" in one and "summary" in one):
            raise DamagedError(f"{what}: {name} lacks its protocol, unit or summary")


def _require(row: Unchecked, shape: _Shape, what: str) -> None:
    for key, allowed in shape.types.items():
        if key not in row:
            if key in shape.required:
                raise DamagedError(f"{what} has no {key}")
            continue
        value = row[key]
        if type(value) not in allowed or (type(value) in NUMBER and not _fits(value)):
            wanted = " or ".join(_NAMES[kind] for kind in allowed if kind in _NAMES)
            wanted = "a number" if allowed == NUMBER else wanted
            raise DamagedError(f"{what}: {key} is {_shown(value)}, not {wanted}")


def _numbers(values: Unchecked, what: str) -> None:
    for name, value in values.items():
        if not (value is None or (type(value) in NUMBER and _fits(value))):
            raise DamagedError(f"{what}: {name} is {_shown(value)}, not a number")


def _alpha(value: float, what: str) -> None:
    if not is_alpha(value):
        raise DamagedError(f"{what}: alpha is {_shown(value)}, not an inverse temperature")


def _ledger(ledger: Unchecked, what: str) -> None:
    _counts(ledger, what)
    if not LEDGER_TAKEN.isdisjoint(ledger):
        name = min(LEDGER_TAKEN & ledger.keys())
        raise DamagedError(f"{what}: no count may be called {name}, which is a column")


def _counts(ledger: Unchecked, what: str) -> None:
    for name, value in ledger.items():
        if type(value) is not int or not _fits(value):
            raise DamagedError(f"{what}: {name} is {_shown(value)}, not a count")


def _fits(value: float) -> bool:
    return -_LARGEST < value < _LARGEST if type(value) is int else math.isfinite(value)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of many digits, a table of many levels
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
