"""Roll-outs: every prefix of a batch, completed many times by the model itself."""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.backbone.lstm import START, LSTMLanguageModel
from textbench.backbone.sampling import search

CPU_CHUNK = 256
"""Rows advanced together on a CPU: their logits stay near the cache."""
CUDA_CHUNK = 16384
"""Rows advanced together on CUDA: bounds the logits at 330 MB for V = 5,000."""


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
    table = model.input_table()
    completed = tokens.expand(length - 1, n, batch, length).clone()
    h, c = (table.new_empty(length - 1, n * batch, width) for _ in range(2))
    start = torch.full_like(tokens[:, 0], START)
    prefix = model.advance(table[start], model.initial_state(batch))
    for t in range(1, length):
        uniforms = torch.rand(t, n * batch, generator=rng, device=table.device)
        drawn = torch.empty(t, n * batch, dtype=torch.int64, device=table.device)
        # Prefixes shorter than t go on from their own last symbol.
        _continue(
            model,
            table[completed[: t - 1, :, :, t - 1].flatten()],
            (h[: t - 1].view(-1, width), c[: t - 1].view(-1, width)),
            uniforms[:-1].flatten(),
            drawn[:-1].view(-1),
        )
        # The prefix of t symbols begins its n roll-outs from one state per sequence.
        prefix = model.advance(table[tokens[:, t - 1]], prefix)
        logits = torch.addmm(model.head_bias, prefix[0], model.head_weight.t())
        weights = logits.sub_(logits.amax(1, keepdim=True)).exp_()
        drawn[-1] = search(weights.repeat(n, 1), uniforms[-1])
        h[t - 1], c[t - 1] = prefix[0].repeat(n, 1), prefix[1].repeat(n, 1)
        completed[:t, :, :, t] = drawn.view(t, n, batch)
    return completed


def _continue(
    model: LSTMLanguageModel,
    gates: Tensor,
    state: tuple[Tensor, Tensor],
    uniforms: Tensor,
    drawn: Tensor,
) -> None:
    """Take one step and draw one symbol per row, chunk by chunk, in place."""
    size = CPU_CHUNK if gates.device.type == "cpu" else CUDA_CHUNK
    for first in range(0, len(gates), size):
        rows = slice(first, first + size)
        h, c = model.advance(gates[rows], (state[0][rows], state[1][rows]))
        state[0][rows], state[1][rows] = h, c
        drawn[rows] = model.draw((h, c), uniforms[rows])
