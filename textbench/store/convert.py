"""Bringing older records up to date: `textbench convert`.

Schema 1 (textbench 0.1.0) kept values, reasons and protocols of an evaluation apart, and left to
the code what a number is and what a trainer is called. That knowledge is in ``schema1.toml``; what
a plug-in of the user's measured is described by the plug-in, or else said to have no direction.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.contracts.number import Direction, Number
from textbench.store import files, records
from textbench.store.directory import RunDirectory, check_schema
from textbench.store.files import DamagedError
from textbench.store.records import Unchecked
from textbench.store.rows import (
    CHECKPOINT,
    EVALUATIONS,
    METRICS,
    PREVIOUS,
    SCHEMA,
    SPEC,
    Measurement,
)

KNOWN = Path(__file__).with_name("schema1.toml")
Described = Mapping[str, tuple[Direction, str, str]]
"""Direction, unit and summary of a number, by name."""
Describe = Callable[[str], Number | None]
"""Says what a number is by its name; None where nobody knows."""
Check = Callable[[Unchecked, str], object]
"""Is told a row and what to call it; raises where nobody could read it."""


def convert(
    directory: RunDirectory,
    describe: Describe,
    summaries: Mapping[str, str],
    say: Callable[[str], object] = lambda line: None,
) -> bool:
    """Rewrite a run's record in the present schema; return whether that was needed.

    The spec is replaced last: a conversion that is interrupted is done again from the start, and
    rows that are converted already stay as they are. The run's lock is held meanwhile: what another
    process appends to a log would be lost. Nothing is written that could not be read afterwards.

    Args:
        directory: The run.
        describe: Asked about the numbers that ``schema1.toml`` does not have.
        summaries: The one line of every preset.
        say: Is told what else had to be done.

    Raises:
        UserError: A log or the spec cannot be read, the record is of a newer schema, or another
            process is at the run.
    """
    if not _is_old(directory.read_json(SPEC)):
        return False
    if not directory.acquire():
        raise UserError("another process is at it; repeat this when it has ended")
    try:
        data = directory.read_json(SPEC)
        if needed := _is_old(data):
            _convert(directory, data, describe, summaries, say)
        return needed
    finally:
        directory.release()


def _is_old(data: Unchecked) -> bool:
    schema = data.get("schema", 1)
    if schema not in (1, SCHEMA):
        check_schema(schema)
    return bool(schema == 1)


def _convert(
    directory: RunDirectory,
    data: Unchecked,
    describe: Describe,
    summaries: Mapping[str, str],
    say: Callable[[str], object],
) -> None:
    known = tomllib.loads(KNOWN.read_text(encoding="utf-8"))
    spec = _labelled(data, known["titles"], summaries)
    if records.spec(spec).hash != data.get("hash"):
        raise DamagedError(f"{SPEC} was edited: its hash does not fit")
    logs = {
        name: _converted(directory, name, check, known["numbers"], describe)
        for name, check in ((METRICS, records.evaluation), (EVALUATIONS, records.later))
        if (directory.path / name).exists()
    }
    if not _is_done(directory):
        aside = directory.set_aside([CHECKPOINT, PREVIOUS])
        if aside:  # it counts bytes of the logs as they were
            say(f"its checkpoint goes with the old logs, and is in {aside}: it will start again")
    for name, content in logs.items():
        directory.replace(name, content)
    directory.write_json(SPEC, {**spec, "hash": data["hash"], "schema": SCHEMA})


def _is_done(directory: RunDirectory) -> bool:
    try:
        return directory.status().status == "done"
    except DamagedError:  # which `textbench run` mends
        return False


def _converted(
    directory: RunDirectory, name: str, check: Check, known: Described, describe: Describe
) -> bytes:
    """Return a log in the present schema; a last line that a crash cut off is no row."""
    rows = []
    for number, row in enumerate(directory.rows(name), 1):
        what = f"{name} line {number}"
        try:
            new = _row(row, known, describe)
        except (AttributeError, LookupError, TypeError):
            raise DamagedError(f"{what} is no evaluation of schema 1") from None
        check(new, what)
        rows.append(new)
    return files.to_lines(rows)


def _row(row: Unchecked, known: Described, describe: Describe) -> Mapping[str, object]:
    if "metrics" in row:
        return row
    kept = {k: v for k, v in row.items() if k not in ("values", "reasons", "protocols", "options")}
    measured = {name: _measurement(name, row, known, describe) for name in sorted(row["values"])}
    again = {"options": row["options"]} if "options" in row else {}
    return {**kept, "metrics": measured, **again}


def _measurement(name: str, row: Unchecked, known: Described, describe: Describe) -> Measurement:
    number = Number(name, *known[name]) if name in known else describe(name)
    direction, unit, summary = number[1:4] if number else ("none", "", "")
    found: Measurement = {
        "value": row["values"][name],
        "protocol": row.get("protocols", {}).get(name, ""),
        "direction": direction,
        "unit": unit,
        "summary": summary,
    }
    if found["value"] is None:
        found["reason"] = row.get("reasons", {}).get(name, "")
    return found


def _labelled(
    spec: Unchecked, titles: Mapping[str, str], summaries: Mapping[str, str]
) -> dict[str, object]:
    """Return a spec with the labels that schema 1 lacks, and its warm-up's likewise."""
    try:
        labels = {
            "title": titles.get(spec["trainer"], spec["trainer"]),
            "fresh_data": spec["config"].get("data") == "fresh",
            "preset_summary": summaries.get(spec.get("preset", ""), ""),
        }
        warmup = spec.get("warmup")
        before = _labelled(warmup, titles, summaries) if warmup else None
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{SPEC} is damaged") from None
    return {**spec, **labels, "warmup": before}
