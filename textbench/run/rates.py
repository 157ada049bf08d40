"""How fast this machine is at what training mostly does: matrix products and exponentials.

Recorded at every start of a run, so that processor seconds of two machines can be put on one scale.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable

import torch

SIZE = 256
"""Of the square matrices of a product; three of them stay in a core's own cache."""


def product_rate(calls: int = 10) -> float:
    """Return floating-point operations per second of a matrix product inside the cache, float32.

    Args:
        calls: How many are timed at once.
    """
    a, b, c = (torch.full((SIZE, SIZE), value) for value in (0.5, 0.25, 0.0))
    return 2 * SIZE**3 / seconds(lambda: torch.mm(a, b, out=c), calls)


def exponential_rate(calls: int = 10) -> float:
    """Return exponentials per second, by the faster of `torch.exp` and `torch.exp2`, float32.

    Args:
        calls: How many are timed at once.
    """
    x = torch.linspace(-10, 0, 1 << 16)
    p = torch.empty_like(x)
    fastest = min(
        seconds(lambda: torch.exp(x, out=p), calls), seconds(lambda: torch.exp2(x, out=p), calls)
    )
    return x.numel() / fastest


def seconds(function: Callable[[], object], calls: int) -> float:
    """Return the least processor time of one call, in five tries; no random number is drawn."""
    function()
    tries = timeit.repeat(function, timer=time.process_time, repeat=5, number=calls)
    return min(tries) / calls
