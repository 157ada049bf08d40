"""textbench: a benchmark suite for training algorithms of text generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["__version__", "load_results"]

if TYPE_CHECKING:
    from textbench.store.frames import load_results


def __getattr__(name: str) -> object:
    """Load the pandas part of the package only when it is asked for (`--help` stays fast)."""
    if name == "load_results":
        from textbench.store.frames import load_results

        return load_results
    raise AttributeError(f"module 'textbench' has no attribute {name!r}")
