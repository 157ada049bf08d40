"""Samples through which a gradient passes: Gumbel-max symbols and their relaxation.

Maddison et al., ICLR 2017; Jang et al., ICLR 2017. With g ~ Gumbel(0, 1) for every symbol,
argmax(logits + g) follows softmax(logits), and softmax(β·(logits + g)) tends to that symbol's
one-hot vector as β grows. Symbols, not their relaxations, are fed back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.backbone.ledger import count
from textbench.backbone.lstm import START, LSTMLanguageModel


@torch.no_grad()
def gumbel_max(model: LSTMLanguageModel, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw ``n`` sequences by the Gumbel-max trick.

    Args:
        model: The generator.
        n: How many.
        rng: The stream of the uniform numbers, V per token, on the generator's device.

    Returns:
        The sequences, ``(n, T)`` int64, and the noise that chose them, ``(n, T, V)``.
    """
    size = (n, model.length, model.vocab_size)
    table = model.input_table()
    noise = torch.rand(size, generator=rng, device=table.device, dtype=table.dtype)
    noise.log_().neg_().log_().neg_()  # a uniform of 0 gives −inf: that symbol is not chosen
    state = model.initial_state(n)
    tokens = torch.full((n, model.length), START, device=table.device)
    previous = tokens[:, 0]
    for t in range(model.length):
        state = model.advance(table[previous], state)
        logits = torch.addmm(model.head_bias, state[0], model.head_weight.t())
        previous = tokens[:, t] = logits.add_(noise[:, t]).argmax(1)
    count({"tokens_sampled": tokens.numel()})
    return tokens, noise


def relaxed(
    model: LSTMLanguageModel, tokens: Tensor, noise: Tensor, inverse_temperature: float
) -> Tensor:
    """Return softmax(β·(logits + noise)) at every position of ``tokens``, ``(n, T, V)``.

    Since symbols are fed back, all positions are read at once. Differentiable with respect to the
    generator, through its states.

    Args:
        model: The generator that drew ``tokens``.
        tokens: ``(n, T)``, of `gumbel_max`.
        noise: ``(n, T, V)``, of the same call.
        inverse_temperature: β.
    """
    logits = model.hidden(tokens) @ model.head_weight.t() + model.head_bias
    return ((logits + noise) * inverse_temperature).softmax(-1)
