"""Equal tuning: as many configurations for every row, drawn from the ranges that options declare.

The draws are scrambled Halton points, which fill a few dimensions evenly at any number of them. The
scrambling comes from a stream that is named after trainer and number: the same command draws the
same configurations, and another trainer in it changes none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from scipy.stats import qmc

from textbench.contracts.config import validate
from textbench.contracts.errors import UserError
from textbench.contracts.streams import numpy_stream
from textbench.plan import registry

DIGITS = 3
"""Significant digits of a drawn value: what a file shows is what was run."""

Options = dict[str, float]


def ranges(trainer: str) -> dict[str, tuple[str, float, float]]:
    """Return scale, lower and upper end of every option that declares a range.

    Raises:
        UserError: The trainer is unknown, or none of its options does.
    """
    if ":" in trainer:
        raise UserError(f"{trainer}: tune takes trainers; a variant is what its name says")
    found = {}
    for name, field in registry.load_trainer(trainer).config_schema.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, Mapping) and "tune" in extra:
            scale, low, high = _checked(f"{trainer}.{name}", extra["tune"])
            found[name] = (scale, low, high)
    if not found:
        raise UserError(f"{trainer}: no option declares a range to draw from (docs/tuning.md)")
    return found


def _checked(option: str, given: object) -> tuple[str, float, float]:
    match given:
        case ["linear" | "log" as scale, int() | float() as low, int() | float() as high] if (
            low < high and (scale == "linear" or low > 0)
        ):
            return scale, float(low), float(high)
    raise UserError(f'{option}: {given!r} is no range; say tunable("log", 1e-4, 1e-1)')


def draw(trainer: str, trials: int) -> list[Options]:
    """Draw ``trials`` configurations of a trainer: the options that have ranges.

    Raises:
        UserError: See `ranges`; or the trainer does not take a drawn value.
    """
    found = ranges(trainer)
    scramble = numpy_stream(0, "tune", trainer, trials)
    points = qmc.Halton(len(found), scramble=True, rng=scramble).random(trials)
    drawn = []
    for point in points:
        options = {
            name: float(f"{_scaled(float(u), *bounds):.{DIGITS}g}")
            for u, (name, bounds) in zip(point, found.items(), strict=True)
        }
        validate(registry.load_trainer(trainer).config_schema, options, trainer)
        drawn.append(options)
    return drawn


def _scaled(u: float, scale: str, low: float, high: float) -> float:
    if scale == "log":
        return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    return low + u * (high - low)


def rows(trainer: str, trials: int) -> dict[str, Options]:
    """Return what `draw` draws, by the rows that try it."""
    drawn = enumerate(draw(trainer, trials))
    return {f"{trainer}:trial{number}-of{trials}": options for number, options in drawn}


def tuned_name(trials: int) -> str:
    """Return the variant of the trial that was chosen: what `judge.targets.tuning` reads."""
    return f"tuned-k{trials}"


def config_file(
    comment: Sequence[str], top: Mapping[str, object], variants: Mapping[str, Options]
) -> str:
    """Return a config file as TOML.

    Args:
        comment: Lines that open it.
        top: ``task``, ``preset`` and the like.
        variants: Options of each row, ``trainer:variant``; these are ``algos``.
    """
    lines = [f"# {line}".rstrip() for line in comment]
    lines += ["", "algos = ["]
    lines += [f"    {json.dumps(row)}," for row in variants]
    lines += ["]", *(f"{key} = {json.dumps(value)}" for key, value in top.items())]
    for row, options in variants.items():
        trainer, _, variant = row.partition(":")
        lines += ["", f"[variants.{trainer}.{variant}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    return "\n".join(lines) + "\n"
