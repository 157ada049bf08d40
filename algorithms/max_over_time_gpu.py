"""Maximum over time on a GPU: few kernels, for there a launch costs more than its arithmetic.

Forward is a product and a maximum per window size. Backward multiplies the zeros too, as dense
products of matrices do, but makes all sizes' gradients in four launches, and adds up the windows
that cover a position in one: what each window holds of each position is a constant 0/1 matrix.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from textbench.backbone.losses import FunctionContext


class Layout(NamedTuple):
    """Where the parts of all window sizes lie in buffers that hold them one after the other.

    A size w with n filters has P = T − w + 1 windows.
    """

    row: Tensor
    """Of the gradients of all answers, ``(ΣB·P·n,)``: which of the ``(B·F,)`` maxima it may be."""
    window: Tensor
    """Of the same: of which window it is the answer."""
    cover: Tensor
    """``(T, ΣP·w)``: 1 where a window's offset lies on a position."""


@cache
def layout(
    batch: int, length: int, sizes: tuple[tuple[int, int], ...], device: torch.device
) -> Layout:
    """Return the layout for ``(B, T)`` sequences and pairs (w, n)."""
    filters, first = sum(n for _, n in sizes), 0
    rows, starts, cover = [], [], []
    for width, count in sizes:
        places = torch.arange(length - width + 1)
        shape = (batch, len(places), count)
        own = torch.arange(batch).view(-1, 1, 1) * filters + first + torch.arange(count)
        rows.append(own.expand(shape).flatten())
        starts.append(places.view(1, -1, 1).expand(shape).flatten())
        cover.append((places.unsqueeze(1) + torch.arange(width)).flatten())
        first += count
    on = torch.cat(cover) == torch.arange(length).unsqueeze(1)
    return Layout(torch.cat(rows).to(device), torch.cat(starts).to(device), on.float().to(device))


def windows(embedded: Tensor, width: int) -> Tensor:
    """Return all stretches of ``width`` positions: ``(B, T, E)`` to ``(B, P, width·E)``."""
    return embedded.unfold(1, width, 1).transpose(2, 3).flatten(2)


class MaxOverTimeGPU(torch.autograd.Function):
    """See `max_over_time`. It runs on any device, but is fast on a GPU."""

    @staticmethod
    def forward(ctx: FunctionContext, embedded: Tensor, *kernels: Tensor) -> Tensor:
        """Return every filter's largest answer, ``(B, filters of all kernels)``."""
        seen = [windows(embedded, len(kernel) // embedded.shape[2]) for kernel in kernels]
        best = [(x @ kernel).max(1) for x, kernel in zip(seen, kernels, strict=True)]
        places = torch.cat([found.indices for found in best], 1)
        ctx.save_for_backward(embedded, places, *kernels, *seen)
        return torch.cat([found.values for found in best], 1)

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of the embedded sequences and of every kernel."""
        embedded, places, *saved = ctx.saved_tensors
        kernels, seen = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        batch, length, width = embedded.shape
        sizes = tuple((len(kernel) // width, kernel.shape[1]) for kernel in kernels)
        row, window, cover = layout(batch, length, sizes, embedded.device)
        chosen = places.flatten().index_select(0, row) == window
        grad_answers = grads[0].flatten().index_select(0, row).mul_(chosen)
        covered = embedded.new_empty(batch, cover.shape[1], width)
        parts = grad_answers.split(
            [batch * x.shape[1] * k.shape[1] for x, k in zip(seen, kernels, strict=True)]
        )
        grad_kernels, first = [], 0
        for part, x, kernel in zip(parts, seen, kernels, strict=True):
            grad = part.view(batch, x.shape[1], -1)
            grad_kernels.append(x.flatten(0, 1).t() @ grad.flatten(0, 1))
            last = first + x.shape[1] * x.shape[2] // width
            torch.bmm(
                grad, kernel.t().expand(batch, -1, -1), out=covered[:, first:last].view(x.shape)
            )
            first = last
        return cover.to(covered.dtype) @ covered, *grad_kernels
