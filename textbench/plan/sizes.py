"""What a run needs at the very least, said before trying."""

from __future__ import annotations

import os
from collections.abc import Mapping

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec

EVALUATED = ("samples", "final_samples")
"""Options of the evaluation plan: sequences that are in memory at once."""
_FLOAT, _INTEGER = 4, 8
"""Bytes of a parameter, and of a symbol."""
_COPIES = 4
"""Of every parameter: itself, its gradient, and Adam's two moments."""


def check_memory(spec: Spec, available: int | None = None) -> None:
    """Refuse a run whose parameters, data or samples alone are more than this machine has.

    Args:
        spec: The run.
        available: Bytes; this machine's memory where None. Where it is not known nothing is said.

    Raises:
        UserError: It would not fit; names the options and the size.
    """
    available = memory() if available is None else available
    for options, size in _needed(spec).items():
        if available and size > available:
            raise UserError(
                f"{spec.label}: {options} would need at least {_gigabytes(size)} GB, and this "
                f"machine has {_gigabytes(available)} GB"
            )


def _needed(spec: Spec) -> dict[str, int]:
    """Return bytes that are certainly needed, by the options that decide them."""
    embedding, hidden = (_whole(spec.backbone, key) for key in ("embedding", "hidden"))
    weights = 0 if spec.own_generator else 4 * hidden * (embedding + hidden)
    needed = {
        f"backbone.embedding={embedding} and backbone.hidden={hidden}": _COPIES * _FLOAT * weights
    }
    length = _whole(spec.task_config, "length")
    long = f" and {spec.task}.length={length}" if length else ""
    sizes = {f"evaluation.{key}": _whole(spec.evaluation, key) for key in EVALUATED}
    for key in spec.task_config:
        if key.endswith("_size"):
            sizes[f"{spec.task}.{key}"] = _whole(spec.task_config, key)
    for option, size in sizes.items():
        needed[f"{option}={size}{long}"] = _INTEGER * size * max(1, length)
    return needed


def _gigabytes(size: int) -> str:
    """Round to whole ones; a size may be beyond all floating-point numbers."""
    return f"{(size + 5 * 10**8) // 10**9:,}"


def _whole(options: Mapping[str, object], key: str) -> int:
    value = options.get(key, 0)
    return value if isinstance(value, int) else 0


def memory() -> int:
    """Return this machine's memory in bytes; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
