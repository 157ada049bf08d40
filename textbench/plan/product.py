"""Rows as a product: ``[grid.TRAINER]`` in a config file states axes, every combination is a row.

::

    [grid.cot]
    name = "lr{g_lr}-g{g_steps}-m{m_steps}"
    "g_lr, m_lr" = [1e-2, 1e-3]                     # both the same
    "g_steps, m_steps" = [[1, 1], [1, 2], [2, 1]]   # one each

are six variants of the file, ``cot:lr1e-2-g1-m1`` first and ``cot:lr1e-3-g2-m1`` last: the first
axis varies slowest. They are run after the rows of ``algos``. ``[[grid.cot]]``, twice, is two
products.
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Mapping
from decimal import Decimal

from textbench.contracts.errors import UserError
from textbench.contracts.plain import Json, JsonObject
from textbench.plan import registry
from textbench.plan.plugins import is_name

MAX_ROWS = 1000
"""Of one product."""
Point = JsonObject
"""Options and their values."""


def spread(
    top: JsonObject, sections: Mapping[str, JsonObject], where: str
) -> tuple[JsonObject, dict[str, JsonObject]]:
    """Return a config file's choices and sections with the rows of its products among them.

    Args:
        top: The choices outside sections; ``algos`` gains the rows.
        sections: The sections; ``grid`` becomes ``variants``.
        where: The file, for messages.

    Raises:
        UserError: A product that cannot be used, or a row that the file defines already.
    """
    spread_out = {name: dict(table) for name, table in sections.items() if name != "grid"}
    found = rows(sections.get("grid", {}), where)
    for trainer, variants in found.items():
        own = spread_out.setdefault("variants", {}).setdefault(trainer, {})
        if isinstance(own, dict):
            for twice in own.keys() & variants:
                raise UserError(
                    f"{where}: [grid.{trainer}] makes the row {twice!r}, and so does "
                    f"[variants.{trainer}.{twice}]"
                )
            own |= variants
    listed = top.get("algos", [])
    if not found:
        return dict(top), spread_out
    if not isinstance(listed, list):
        listed = [row.strip() for row in str(listed).split(",")]
    named = [f"{trainer}:{variant}" for trainer in found for variant in found[trainer]]
    return {**top, "algos": [*listed, *(row for row in named if row not in listed)]}, spread_out


def rows(grid: JsonObject, where: str) -> dict[str, dict[str, Point]]:
    """Return ``{trainer: {variant: options}}``, in the order of the file.

    Args:
        grid: The table ``grid`` of a config file.
        where: The file, for messages.

    Raises:
        UserError: One line naming the file, the table and what would be right.
    """
    found: dict[str, dict[str, Point]] = {}
    for trainer, tables in grid.items():
        registry.entry("trainer", trainer)
        here = f"{where}: [grid.{trainer}]"
        for table in tables if isinstance(tables, list) else [tables]:
            if not isinstance(table, dict):
                raise UserError(f"{here} must be a table of axes, such as g_lr = [1e-2, 1e-3]")
            variants = found.setdefault(trainer, {})
            for name, point in _named(table, here):
                if name in variants:
                    raise UserError(
                        f"{here} has two rows called {name!r}; its name must show every axis"
                    )
                variants[name] = point
    return found


def _named(table: JsonObject, here: str) -> list[tuple[str, Point]]:
    """Return name and options of every row of one product."""
    template = table.get("name")
    if not isinstance(template, str):
        raise UserError(f'{here} needs a name for its rows, such as name = "lr{{g_lr}}"')
    axes = [_axis(key, values, here) for key, values in table.items() if key != "name"]
    varied = [option for axis in axes for option in axis[0]]
    for option in varied:
        if varied.count(option) > 1:
            raise UserError(f"{here} has {option!r} on two axes")
    if not axes:
        raise UserError(f"{here} has no axis, such as g_lr = [1e-2, 1e-3]")
    if (size := math.prod(map(len, axes))) > MAX_ROWS:
        raise UserError(f"{here} has {size} rows; at most {MAX_ROWS} are possible")
    points = [dict(itertools.chain(*(p.items() for p in ps))) for ps in itertools.product(*axes)]
    return [(_name(template, point, here), point) for point in points]


def _axis(key: str, values: Json, here: str) -> list[Point]:
    """Return the points of an axis: of one option, or of several that vary together."""
    options = [option.strip() for option in key.split(",")]
    if len({*options}) < len(options):
        raise UserError(f"{here} {key} names an option twice")
    if not isinstance(values, list) or not values:
        raise UserError(f"{here} {key} must be a list of values (given {values!r})")
    points = []
    for value in values:
        each = value if isinstance(value, list) and len(options) > 1 else [value] * len(options)
        if len(each) != len(options):
            raise UserError(
                f"{here} {key} has {value!r}, which is not one value for each of "
                f"{len(options)} options"
            )
        points.append(dict(zip(options, each, strict=True)))
    return points


def _name(template: str, point: Point, here: str) -> str:
    """Fill a row's name in: ``lr{g_lr}`` is ``lr1e-2``."""
    name = ""
    try:
        for text, option, spec, conversion in string.Formatter().parse(template):
            name += text
            if option is not None:
                if spec or conversion:
                    raise ValueError("only {OPTION} can be filled in")
                name += _word(point[option])
    except (KeyError, ValueError) as error:
        why = f"no axis has {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{here} cannot use name = {template!r}: {why}") from None
    if not is_name(name):
        raise UserError(f"{here} would call a row {name!r}; a name is letters, digits, '-' and '_'")
    return name


def _word(value: Json) -> str:
    """Write a value as a part of a name, without a dot: 0.01 is ``1e-2``, 0.25 is ``25e-2``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
        mantissa = "-" * sign + "".join(map(str, digits))
        assert isinstance(exponent, int)  # noqa: S101 - it is a letter for infinities alone
        return f"{mantissa}e{exponent}" if exponent < 0 else str(int(value))
    if isinstance(value, int | str):
        return str(value)
    raise ValueError(f"{value!r} is neither a number nor a word")
