"""Sound logs, parsed and checked at once: four times as fast as key by key.

msgspec reads off `textbench.store.rows` what a line must be, and leaves out what a newer version
added. A log that it does not take is for `textbench.store.records` to look at, which says in one
line what is wrong, or finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import msgspec

from textbench.store.rows import LEDGER_TAKEN, EpochRow, EvaluationRow, LossRow

T = TypeVar("T")

_EVALUATION = msgspec.json.Decoder(EvaluationRow)
_LOSS, _EPOCH = msgspec.json.Decoder(LossRow), msgspec.json.Decoder(EpochRow)


def evaluations(lines: Sequence[bytes]) -> list[EvaluationRow] | None:
    """Return the lines of ``metrics.jsonl``; None where they must be looked at."""
    rows = _parsed(_EVALUATION.decode, lines)
    return rows if rows is not None and _sound(row["ledger"] for row in rows) else None


def log_entries(lines: Sequence[bytes]) -> list[LossRow | EpochRow] | None:
    """Return the lines of ``curve.jsonl``; None where they must be looked at."""
    rows = _parsed(_log_entry, lines)
    if rows is None:
        return None
    sound = _sound(row["ledger"] for row in rows if row["kind"] == "epoch")
    return rows if sound else None


def _log_entry(line: bytes) -> LossRow | EpochRow:
    """Parse a line; an epoch that says "loss" elsewhere is none of these, and looked at."""
    return _LOSS.decode(line) if b'"loss"' in line else _EPOCH.decode(line)


def _parsed(parse: Callable[[bytes], T], lines: Sequence[bytes]) -> list[T] | None:
    try:
        for line in lines:
            if not line.isascii():
                line.decode()  # msgspec reads no text that it leaves out
        return [parse(line) for line in lines]
    except (ValueError, RecursionError):
        return None


def _sound(ledgers: Iterable[Mapping[str, int]]) -> bool:
    return LEDGER_TAKEN.isdisjoint(chain.from_iterable(ledgers))
