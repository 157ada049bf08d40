"""What training costs, counted where it is spent: in the models' own methods.

A model that reads a batch says so once (`reads`); every draw passes through one function
(`textbench.backbone.sampling.search`). Trainers, samplers and metrics know nothing of it, and
nothing is counted but while the harness has opened a ledger: in a trainer's `setup` and `step`,
never in an evaluation.

*Scored* is a token that the generator or a critic reads, once per model and reading, whatever it
is read for: a loss, a reward, a state, a feature. *Sampled* is a token that is drawn. The prefix
from which a sampler goes on, and whatever else it reads to draw, is part of the draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

LEDGER = ("generator_updates", "critic_updates", "tokens_sampled", "tokens_scored")
"""What training costs, besides seconds."""

Ledger = dict[str, int]
"""How much of each."""

_open: ContextVar[Ledger | None] = ContextVar("ledger", default=None)

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def counting(ledger: Ledger | None) -> Iterator[None]:
    """Count in ``ledger`` what is read and drawn meanwhile; nowhere, if it is None."""
    token = _open.set(ledger)
    try:
        yield
    finally:
        _open.reset(token)


def is_counting() -> bool:
    """Tell whether a ledger is open."""
    return _open.get() is not None


@contextmanager
def taken_back() -> Iterator[Ledger]:
    """Take back from the open ledger what is counted meanwhile, and give it."""
    ledger, spent = _open.get(), dict.fromkeys(LEDGER, 0)
    before = dict(ledger or spent)
    yield spent
    if ledger is not None:
        spent.update({entry: ledger[entry] - before[entry] for entry in spent})
        ledger.update(before)


def count(spent: Ledger) -> None:
    """Add what was spent to the open ledger, if there is one."""
    ledger = _open.get()
    if ledger is not None:
        for entry, number in spent.items():
            ledger[entry] += number


def reads(method: Callable[P, R]) -> Callable[P, R]:
    """Make a model's method count what it reads.

    Its first argument is a batch of sequences, ``(B, T)`` symbols or ``(B, T, ·)`` of what stands
    for them: B·T tokens, unless methods that it calls have counted them. One that returns None had
    nothing to read them for.
    """

    @wraps(method)
    def reading(*arguments: P.args, **keywords: P.kwargs) -> R:
        ledger = _open.get()
        if ledger is None:
            return method(*arguments, **keywords)
        before = ledger["tokens_scored"]
        result = method(*arguments, **keywords)
        if result is not None and ledger["tokens_scored"] == before:
            given: list[Any] = [*arguments[1:], *keywords.values()]
            ledger["tokens_scored"] += given[0].shape[0] * given[0].shape[1]
        return result

    return reading


def draws(method: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Make a sampler count what it returns, unless functions that it calls have counted it.

    What it reads on the way is part of the draw.
    """

    @wraps(method)
    def drawing(*arguments: P.args, **keywords: P.kwargs) -> Tensor:
        ledger = _open.get()
        if ledger is None:
            return method(*arguments, **keywords)
        before = dict(ledger)
        drawn = method(*arguments, **keywords)
        ledger["tokens_scored"] = before["tokens_scored"]
        if ledger["tokens_sampled"] == before["tokens_sampled"]:
            ledger["tokens_sampled"] += drawn.numel()
        return drawn

    return drawing
