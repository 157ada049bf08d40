"""Roll-outs: every prefix of a batch, completed many times by the model itself."""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.backbone.cell import LSTMState
from textbench.backbone.lstm import START, LSTMLanguageModel
from textbench.backbone.output import rows_at_once
from textbench.backbone.sampling import Drawer

CPU_CHUNK = 128
"""Rows advanced together on a CPU: their logits stay near the cache."""


@torch.no_grad()
def rollouts(model: LSTMLanguageModel, tokens: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Complete every prefix x_1..x_l, l = 1..T−1, of each sequence ``n`` times by sampling.

    All prefixes grow in one batch: position t extends every prefix of at most t symbols from its
    own LSTM state, so no prefix is ever read twice. The first completion symbol of a prefix has
    one distribution, which its ``n`` roll-outs share.

    Args:
        model: The roll-out policy.
        tokens: ``(B, T)`` int64.
        n: Roll-outs per prefix.
        rng: The stream of the uniform numbers, one per drawn symbol, on the model's device.

    Returns:
        ``(T−1, n, B, T)`` int64: ``[l−1, :, b]`` keeps the first l symbols of sequence b.
    """
    batch, length = tokens.shape
    width = model.weight_hh.shape[1]
    table, drawer = model.input_table(), model.drawer()
    completed = tokens.expand(length - 1, n, batch, length).clone()
    h, c = (table.new_empty(length - 1, n * batch, width) for _ in range(2))
    start = torch.full_like(tokens[:, 0], START)
    prefix = model.advance(table[start], model.initial_state(batch))
    for t in range(1, length):
        uniforms = torch.rand(t, n * batch, generator=rng, device=table.device)
        # Prefixes shorter than t go on from their own last symbol.
        symbols = completed[: t - 1, :, :, t - 1].flatten()
        state = (h[: t - 1].view(-1, width), c[: t - 1].view(-1, width))
        drawn = _continue(model, drawer, table, symbols, state, uniforms[:-1].flatten())
        completed[: t - 1, :, :, t] = drawn.view(t - 1, n, batch)
        # The prefix of t symbols begins its n roll-outs from one state per sequence.
        prefix = model.advance(table[tokens[:, t - 1]], prefix)
        first = uniforms[-1].view(n, batch).t().contiguous()
        completed[t - 1, :, :, t] = drawer.draw(prefix[0], first).t()
        h[t - 1], c[t - 1] = prefix[0].repeat(n, 1), prefix[1].repeat(n, 1)
    return completed


def _continue(
    model: LSTMLanguageModel,
    drawer: Drawer,
    table: Tensor,
    symbols: Tensor,
    state: LSTMState,
    uniforms: Tensor,
) -> Tensor:
    """Read one symbol per row and draw the next, chunk by chunk; the state changes in place."""
    size = rows_at_once(CPU_CHUNK, model.vocab_size, table.device)
    h, c = state
    drawn = torch.empty_like(symbols)
    for first in range(0, len(symbols), size):
        rows = slice(first, first + size)
        gates = table.index_select(0, symbols[rows])
        h[rows], c[rows] = model.advance(gates, (h[rows], c[rows]))
        drawn[rows] = drawer.draw(h[rows], uniforms[rows])
    return drawn
