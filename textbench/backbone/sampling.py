"""Drawing tokens from logits: exact inverse CDF in two levels, one uniform per token.

`torch.multinomial` spends nearly all its time in `exponential_` (one per symbol). A single
uniform per row and a search of the cumulated weights draws from the same law, several times
faster, and makes a draw reproducible from its uniforms alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.backbone.ledger import count_drawn

BLOCK = 64
"""Symbols per block of the two-level search; about the square root of the vocabulary."""


def draw(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw one symbol per row from softmax(logits).

    Args:
        logits: ``(N, V)``; overwritten.
        uniforms: ``(N,)`` in [0, 1).

    Returns:
        ``(N,)`` int64: the smallest v whose cumulated probability exceeds the uniform.
    """
    weights = logits.sub_(logits.amax(1, keepdim=True)).exp_()
    return search(weights, uniforms)


def search(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Draw one symbol per row in proportion to non-negative ``weights`` ``(N, V)``."""
    count_drawn(uniforms.numel())
    rows, vocab = weights.shape
    whole = vocab - vocab % BLOCK
    sums = weights[:, :whole].view(rows, whole // BLOCK, BLOCK).sum(2)
    if whole < vocab:
        sums = torch.cat([sums, weights[:, whole:].sum(1, keepdim=True)], 1)
    ends = sums.cumsum(1)
    target = uniforms.unsqueeze(1) * ends[:, -1:]
    block = torch.searchsorted(ends, target, right=True).clamp_(max=ends.shape[1] - 1)
    before = torch.where(block > 0, ends.gather(1, (block - 1).clamp_(min=0)), 0.0)
    columns = block * BLOCK + torch.arange(BLOCK, device=weights.device)
    inside = weights.gather(1, columns.clamp(max=vocab - 1))
    inside = inside.masked_fill_(columns >= vocab, 0.0).cumsum(1)
    offset = torch.searchsorted(inside, target - before, right=True)
    # Rounding can put the target just past the last positive weight: step back onto it.
    last = (inside < inside[:, -1:]).sum(1, keepdim=True)
    return (block * BLOCK + torch.minimum(offset, last)).squeeze(1)
