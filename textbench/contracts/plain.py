"""Plain data: the types of what JSON and TOML files hold, and how pairs are grouped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeVar

K = TypeVar("K")
V = TypeVar("V")

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Return the values of each key, keys and values in the order in which they come."""
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
