"""Splitting two sets of sentences so that no sentence is both trained on and judged on.

A critic that has seen a sentence scores its copies, wherever they stand, as what it took them for.
So all copies of a sentence, on either side, go to the same half: a generator that returns its
training set is at distance 0 from it, and one that copies a part is not drawn closer, or pushed
apart, by the copies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Bools = npt.NDArray[np.bool_]


class Halves(NamedTuple):
    """Which rows of each side train the critic; the others judge it."""

    p: Tensor
    """``(n,)`` bool."""
    q: Tensor


def split_by_identity(p: Tensor, q: Tensor, rng: torch.Generator) -> Halves:
    """Split the sentences of P and Q, ``(n, T)`` each, into halves by what they say.

    Sentences of P alone, of Q alone and of both are halved by themselves, as evenly as their
    numbers of copies allow, in an order drawn from ``rng``.

    A side that repeats one sentence only (a collapsed generator) has it in both halves: nothing
    else can be judged there.
    """
    both = torch.cat([p, q]).cpu().numpy()
    names = _names(both)
    counts = [np.bincount(side, minlength=names.max() + 1) for side in np.split(names, [len(p)])]
    order = torch.randperm(len(counts[0]), generator=rng).numpy()
    trains = np.zeros(len(order), dtype=bool)
    for turn, kind in enumerate(_kinds(*counts)):
        members = order[kind[order]]
        trains[members] = _first_half((counts[0] + counts[1])[members], heavy_first=turn == 1)
    halves = (trains[side] for side in np.split(names, [len(p)]))
    return Halves(*(torch.from_numpy(half).to(p.device) for half in halves))


def _names(sentences: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number the different rows in the order of their first appearance.

    Not in the order of their symbols: renaming symbols must change nothing.
    """
    _, first, name = np.unique(sentences, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[name.reshape(-1)]


def _kinds(p: npt.NDArray[np.int64], q: npt.NDArray[np.int64]) -> tuple[Bools, Bools, Bools]:
    return (p > 0) & (q == 0), (q > 0) & (p == 0), (p > 0) & (q > 0)


def _first_half(weights: npt.NDArray[np.int64], *, heavy_first: bool) -> Bools:
    """Mark a beginning that has about half of the weight; with two members or more, not all.

    Of a single member the middle is its own: it trains where ``heavy_first``, else it judges.
    """
    middles = 2 * np.cumsum(weights) - weights
    total = int(weights.sum())
    return middles <= total if heavy_first else middles < total
