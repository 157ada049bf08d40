"""LeakGAN's generator: its Manager reads the discriminator's features of the unfinished sequence.

The feature f_t of x_<t is the highway layer's output of the text CNN on the prefix, filled up with
a padding symbol to T positions. The CNN therefore knows V + 1 symbols: 0 is padding, x is x + 1.

A convolution window that has seen some of its tokens differs from the all-padding window by those
tokens alone: x at the window's offset j adds its share, W_j (e(x) − e(padding)). So no prefix needs
a convolution of its own. A sampler adds a token's shares to the windows that cover it (`advance`);
scoring adds them up for all prefixes at once (`pool_prefixes`). Both give what the CNN itself gives
on the padded prefix, up to rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from textbench.backbone.ledger import reads

from .discriminator import TextCNN
from .goal_generator import GoalFactoredGenerator, Walk

PADDING = 0

CPU_CHUNK = 8
"""Sequences whose prefixes are pooled together on a CPU; more would fall out of the cache."""


class LeakedGenerator(GoalFactoredGenerator):
    """Manager, Worker, and the discriminator that leaks.

    The discriminator is a part of this module, for without it there is no likelihood and no
    sample; but it learns from its own loss only, and its features are constants here.

    Args:
        discriminator: The text CNN over V + 1 symbols.
        length: T.
        embedding: Width of the Worker's embedding.
        hidden: Width of both LSTM states.
        goal_size: k.
        block: c.
    """

    def __init__(
        self,
        discriminator: TextCNN,
        length: int,
        embedding: int,
        hidden: int,
        *,
        goal_size: int = 16,
        block: int = 4,
    ) -> None:
        super().__init__(
            len(discriminator.embedding) - 1,
            length,
            embedding,
            hidden,
            goal_size=goal_size,
            block=block,
            features=discriminator.width,
        )
        self.discriminator = discriminator

    @reads
    @torch.no_grad()
    def features(self, tokens: Tensor, states: Tensor | None = None) -> Tensor:
        """Return f_0 ... f_T of ``tokens`` ``(B, T)``, constants: ``(B, T + 1, F)``."""
        chunk = CPU_CHUNK if tokens.device.type == "cpu" else max(len(tokens), 1)
        parts = [pool_prefixes(self.discriminator, part) for part in tokens.split(chunk)]
        return self._leak(torch.cat(parts))

    def new_memory(self, n: int) -> list[Tensor]:
        """Return every window's pre-activation on padding: ``(n, T − width + 1, filters)`` each."""
        d = self.discriminator
        return [
            on_padding(d, kernel).repeat(n, self.length - width + 1, 1)
            for (width, _), kernel in zip(d.filters, d.kernels, strict=True)
        ]

    def memorise(self, walk: Walk, tokens: Tensor) -> None:
        """Add x_t's shares, unless no later goal depends on them."""
        if walk.t + 1 < (self.blocks - 1) * self.block:
            advance(self.discriminator, walk.memory, walk.t, tokens)

    def next_feature(self, walk: Walk) -> Tensor:
        """Return f_t of ``walk``, ``(n, F)``."""
        return self._leak(torch.cat([windows.amax(1) for windows in walk.memory], 1))

    def _leak(self, pooled: Tensor) -> Tensor:
        """Map maxima of pre-activations to features; bias and ReLU commute with the maximum."""
        return self.discriminator.highway(torch.relu(pooled + self.discriminator.kernel_bias))


def on_padding(d: TextCNN, kernel: Tensor) -> Tensor:
    """Return one kernel's pre-activation, without bias, on a window of padding: ``(filters,)``."""
    padding = d.embedding[PADDING]
    return padding.repeat(len(kernel) // len(padding)) @ kernel


def advance(d: TextCNN, memory: list[Tensor], t: int, tokens: Tensor) -> None:
    """Let the tokens x_t, ``(n,)``, take the padding's place at position t, in place."""
    change = d.embedding[tokens + 1] - d.embedding[PADDING]
    for (width, filters), kernel, windows in zip(d.filters, d.kernels, memory, strict=True):
        first, last = max(0, t - width + 1), min(t, windows.shape[1] - 1)
        offsets = kernel.view(width, -1, filters)[t - last : t - first + 1]
        shares = torch.einsum("ne,jef->njf", change, offsets)
        # Window s holds position t at offset t - s: later windows, smaller offsets.
        windows[:, first : last + 1] += shares.flip(1)


def pool_prefixes(d: TextCNN, tokens: Tensor) -> Tensor:
    """Return the maxima over windows, before bias and ReLU, of every padded prefix.

    Args:
        d: The text CNN.
        tokens: ``(B, T)``.

    Returns:
        ``(B, T + 1, F)``; row t belongs to the first t tokens.
    """
    batch, length = tokens.shape
    change = d.embedding[tokens + 1] - d.embedding[PADDING]
    pooled = []
    for (width, filters), kernel in zip(d.filters, d.kernels, strict=True):
        windows = length - width + 1
        by_offset = kernel.view(width, -1, filters).transpose(0, 1).flatten(1)
        shares = change @ by_offset  # (B, T, width · filters)
        row = width * filters
        # Window s takes its share of offset j from position s + j.
        skewed = shares.as_strided(
            (batch, windows, width, filters), (length * row, row, row + filters, 1)
        )
        padding = on_padding(d, kernel)
        # best[:, t, m]: the window that has seen its first m tokens when t tokens are known;
        # m = 0 stands for all windows not reached yet, m = width for all that are complete.
        row = (width + 1) * filters
        best = shares.new_full((batch, length + 1, width + 1, filters), -math.inf)
        best[:, :windows, 0] = padding
        best.as_strided(
            (batch, windows, width, filters),
            ((length + 1) * row, row, row + filters, 1),
            row + filters,
        ).copy_(skewed.cumsum(2).add_(padding))
        best[:, width:, width] = best[:, width:, width].cummax(1).values
        pooled.append(best.amax(2))
    return torch.cat(pooled, 2)
