"""Drawing tokens: exact inverse CDF in two levels, one uniform per token.

`torch.multinomial` spends nearly all its time in `exponential_` (one per symbol). A single
uniform per row and a search of the cumulated weights draws from the same law, several times
faster, and makes a draw reproducible from its uniforms alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from textbench.backbone.ledger import count
from textbench.backbone.output import OutputLayer

BLOCK = 64
"""Symbols per block of the two-level search; about the square root of the vocabulary."""


class Drawer:
    """Draws symbols from softmax(α·(W h + b)), for W and b that stay as they are.

    Args:
        weight: W, ``(V, H)``.
        bias: b, ``(V,)``.
        norm: No ‖h‖ will be larger.
        inverse_temperature: The paper's α.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, norm: float, inverse_temperature: float = 1.0
    ) -> None:
        self._layer = OutputLayer(
            weight, bias, norm, inverse_temperature=inverse_temperature, multiple=BLOCK
        )

    def draw(self, hidden: Tensor, uniforms: Tensor) -> Tensor:
        """Draw the symbol after each row of ``hidden`` ``(n, H)``; the rest as in `search`."""
        return search(self._layer.weights(hidden), uniforms)


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
    """Draw symbols in proportion to non-negative ``weights``.

    Args:
        weights: ``(N, V)``, not all 0 in any row.
        uniforms: In [0, 1), ``(N,)``, or ``(N, k)`` for k draws from each row.

    Returns:
        The symbols, shaped like ``uniforms``, int64.
    """
    count({"tokens_sampled": uniforms.numel()})
    rows, vocab = weights.shape
    missing = -vocab % BLOCK
    if missing:
        weights = F.pad(weights, (0, missing))
    across = weights.shape[1] // BLOCK
    blocks = weights.view(rows * across, BLOCK)
    ends = blocks.sum(1).view(rows, across).cumsum(1)
    target = (uniforms if uniforms.dim() == 2 else uniforms.unsqueeze(1)) * ends[:, -1:]
    block = torch.searchsorted(ends, target, right=True).clamp_(max=across - 1)
    before = torch.where(block > 0, ends.gather(1, (block - 1).clamp_(min=0)), 0.0)
    first = torch.arange(0, len(blocks), across, device=weights.device).unsqueeze(1)
    inside = blocks.index_select(0, (first + block).flatten()).cumsum(1)
    offset = torch.searchsorted(inside, (target - before).view(-1, 1), right=True)
    # Rounding can put the target just past the last positive weight: step back onto it.
    last = (inside < inside[:, -1:]).sum(1, keepdim=True)
    return (block.view(-1, 1) * BLOCK + torch.minimum(offset, last)).view(uniforms.shape)
