"""Reading what the user typed: rows, seeds, settings, durations. No torch, no pydantic."""

from __future__ import annotations

import datetime
import math
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from textbench.contracts.errors import UnknownNameError, UserError
from textbench.contracts.number import LARGEST_ALPHA, is_alpha
from textbench.contracts.plain import Json, JsonObject
from textbench.plan import product, registry
from textbench.plan.plugins import is_name
from textbench.plan.shipped import grids, presets
from textbench.plan.toml import read_toml

MAX_SEEDS = 10_000
MAX_ALPHAS = 1000

Layer = dict[str, JsonObject]
"""Section, option, value."""

TOP_LEVEL = ("algos", "task", "preset", "seeds", "summary")
"""Keys of a config file outside its sections."""


def parse_rows(given: Json, where: str = "--algos") -> list[str]:
    """Return the rows of ``--algos``, or of a file: ``"mle,cot:head"`` or a list of them.

    Raises:
        UserError: None given, one twice, or unknown trainers (variants are checked later).
    """
    parts = map(str, given) if isinstance(given, list) else str(given).split(",")
    rows = [part.strip() for part in parts if part.strip()]
    if not rows:
        raise UserError("no algorithm given; say --algos mle,cot (`textbench list` shows all)")
    for row in rows:
        registry.entry("trainer", row.partition(":")[0])
        if rows.count(row) > 1:
            raise UserError(f"{where} names {row!r} twice")
        if row.endswith(":"):
            raise UserError(f"{where}: {row!r} lacks the variant after its colon")
    return rows


def parse_seeds(given: Json, where: str = "--seeds") -> list[int]:
    """Return the seeds of ``"0:5"`` (half-open), ``"0,3,7"``, ``"0:3,7"``, or a list.

    Raises:
        UserError: Not a seed list, empty, negative, or with a seed twice.
    """
    text = ",".join(map(str, given)) if isinstance(given, list) else str(given)
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})(?::(\d{1,18}))?\s*", part)
        if match is None:
            raise UserError(
                f"{where} {text}: {part.strip()!r} is neither a seed nor a range; "
                "say 0:5 or 0,3,7 (seeds are whole numbers from 0)"
            )
        first, end = int(match[1]), int(match[2] or int(match[1]) + 1)
        if end <= first:
            raise UserError(f"{where} {text}: {part.strip()!r} is empty (its end is not included)")
        if len(seeds) + end - first > MAX_SEEDS:
            raise UserError(f"{where} {text}: more than {MAX_SEEDS} seeds")
        seeds.extend(range(first, end))
    seed, times = Counter(seeds).most_common(1)[0]
    if times > 1:
        raise UserError(f"{where} {text}: seed {seed} is given twice")
    return seeds


def parse_settings(settings: Sequence[str]) -> Layer:
    """Return the layer of all ``--set SECTION.KEY=VALUE``; the last of equals wins.

    Raises:
        UserError: Not of that form.
    """
    layer: Layer = {}
    for setting in settings:
        target, equals, value = setting.partition("=")
        section, dot, key = target.strip().rpartition(".")
        if not (equals and dot and section and key):
            raise UserError(f"--set {setting}: expected SECTION.KEY=VALUE, e.g. cot.g_lr=1e-3")
        layer.setdefault(section, {})[key] = parse_value(value.strip())
    return layer


def parse_value(text: str) -> Json:
    """Return ``text`` as a TOML value, or else as a number (``.5``), or else as itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except ValueError:  # no TOML, or a whole number of thousands of digits
        parsed = {}
    value = parsed.get("value", text) if len(parsed) == 1 else text
    if isinstance(value, datetime.date | datetime.time):
        return text
    if value == text:
        try:
            number = float(text)
        except ValueError:
            return text
        return number if math.isfinite(number) else text
    return value


_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str, option: str) -> float:
    """Return the seconds of ``"90"``, ``"90s"``, ``"30m"``, ``"1h30m"`` or ``"2d"``.

    Raises:
        UserError: Not a duration, or none at all.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    whole = "".join(number + unit for number, unit in parts) == text.strip()
    if not (whole and 0 < seconds < math.inf):
        raise UserError(f"{option} {text}: expected a duration such as 90s, 30m or 1h30m")
    return seconds


def parse_timeout(text: str) -> tuple[float, float]:
    """Return the seconds of ``"10m"`` or ``"10m,6h"``: without progress, and in all; 0 is never.

    Raises:
        UserError: Not of that form.
    """
    if not text.strip():
        return 0.0, 0.0
    idle, _, total = text.partition(",")
    first = parse_duration(idle, "--timeout") if idle.strip() else 0.0
    return first, parse_duration(total, "--timeout") if total.strip() or not idle.strip() else 0.0


_SIZES = {"b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def parse_size(text: str) -> int:
    """Return the bytes of ``"4GB"``, ``"500M"`` or ``"2.5g"``; empty is 0.

    Raises:
        UserError: Not of that form, or none at all; also a number alone, which some read as bytes
            and others as gigabytes.
    """
    if not text.strip():
        return 0
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(b|[kmgt]b?)", text.strip().lower())
    size = int(float(match[1]) * _SIZES[match[2][0]]) if match else 0
    if size <= 0:
        raise UserError(f"--memory {text}: expected a size with its unit, such as 500MB or 4GB")
    return size


def parse_retry(text: str) -> str:
    """Return ``"failed"`` or a number of further tries.

    Raises:
        UserError: Neither.
    """
    if text in ("", "failed") or re.fullmatch(r"[1-9]\d{0,2}", text):
        return text
    raise UserError(
        f"Invalid value for '--retry': {text!r} is neither failed nor a number of tries"
    )


def parse_shard(text: str) -> tuple[int, int]:
    """Return (i, n) of ``"i/n"``: the i-th of n parts, counted from 0.

    Raises:
        UserError: Not of that form, or i is not below n.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    if match is None or not int(match[1]) < int(match[2]):
        raise UserError(f"--shard {text}: expected i/n with 0 <= i < n, e.g. 0/4")
    return int(match[1]), int(match[2])


def _is_alpha(number: Decimal) -> bool:
    return number.is_finite() and is_alpha(float(number))


def parse_alphas(text: str, *, single: bool = False) -> list[float]:
    """Return the inverse temperatures of ``"1.5"``, ``"0.7,1,1.5"`` or ``"0.7:2.0:0.1"``.

    Both ends of a range belong to it; steps are decimal, so that 0.7 + 8·0.1 is 1.5.

    Raises:
        UserError: Not of that form, not positive, too many, or several where one is wanted.
    """
    wrong = f"--alpha {text}: expected {'a number' if single else '1.5, 0.7,1,1.5 or 0.7:2.0:0.1'}"
    alphas: list[float] = []
    for part in text.split(","):
        try:
            numbers = [Decimal(number.strip()) for number in part.split(":")]
        except InvalidOperation:
            raise UserError(wrong) from None
        first, end, step = numbers if len(numbers) == 3 else (numbers[0], numbers[0], Decimal(1))
        if len(numbers) not in (1, 3) or not all(map(_is_alpha, numbers)):
            raise UserError(f"{wrong}, all above 0 and at most {LARGEST_ALPHA:,.0f}")
        if not 0 <= end - first < MAX_ALPHAS * step:
            raise UserError(f"--alpha {text}: {part.strip()} is empty, or of over {MAX_ALPHAS}")
        alphas += [float(first + i * step) for i in range(int((end - first) // step) + 1)]
    if single and len(alphas) != 1:
        raise UserError(wrong)
    return list(dict.fromkeys(alphas))


def read_config(path: Path) -> tuple[JsonObject, Layer]:
    """Return the choices and the sections of a config file, or of a grid by its bare name."""
    name = str(path)
    if name == path.stem and not path.is_file():
        if name not in grids.names():
            where = "no such file; `textbench list` shows all grids"
            raise UnknownNameError("config file or grid", name, grids.names(), where)
        path = grids.path(name)
    data = read_toml(path)
    top = {key: data.pop(key) for key in TOP_LEVEL if key in data}
    check_choices(top)
    return product.spread(top, read_sections(data, name), name)


def check_choices(top: JsonObject) -> None:
    """Check the choices of a config file, also those that the command line makes otherwise.

    Raises:
        UserError: One is of no use.
    """
    algos = top.get("algos", "")
    rows = algos if isinstance(algos, list) else [algos]
    if not all(isinstance(row, str) for row in rows):
        right = "a string or a list of strings"
        raise UserError(f"config file: algos must be {right} (given {algos!r})")
    parse_seeds(top.get("seeds", "0"), "config file: seeds =")
    for key in ("task", "preset", "summary"):
        read_text(top, key)
    if preset := read_text(top, "preset"):
        presets.path(preset)  # a task or an algorithm may be of a plug-in that another command has


def read_sections(data: JsonObject, where: str) -> Layer:
    """Check that everything but ``summary`` is a table of options."""
    sections: Layer = {}
    for section, table in data.items():
        if isinstance(table, dict):
            sections[section] = table
        elif section.partition("@")[0].partition(":")[0] in registry.sections():
            key = section if is_name(section) else f'"{section}"'
            raise UserError(f"{where}: {section} must be a table, [{key}] (given {table!r})")
        elif section != "summary":
            known = f"known outside sections: {', '.join(TOP_LEVEL)}"
            raise UserError(f"{where}: {section!r} is not a section; {known}")
    return sections


def read_text(top: JsonObject, key: str) -> str:
    """Return a choice of a config file that must be a string, empty where it is absent."""
    value = top.get(key, "")
    if not isinstance(value, str):
        raise UserError(f"config file: {key} must be a string (given {value!r})")
    return value
