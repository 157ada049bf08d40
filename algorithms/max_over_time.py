"""Convolutions over time and their maximum over time: all that the text CNN keeps of a sequence.

A kernel of width w answers each of the P = T − w + 1 windows of a sequence by the product of the
window's w·E numbers with each filter; a filter's feature is its largest answer. Two thirds of the
arithmetic of the plain way is saved:

* The gradient of a maximum reaches one window per sequence and filter. Backward therefore adds up
  single rows (`embedding_bag`) where a product of matrices would multiply zeros, all but one in P.
* To score many sequences with the same weights, what each symbol contributes at each offset of a
  window is written down once; an answer is then a sum of w rows of that table.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from textbench.backbone.losses import FunctionContext

from .max_over_time_gpu import MaxOverTimeGPU, windows

SCORE_CHUNK = 256
"""Sequences scored together on a CPU."""
CUDA_SCORE_CHUNK = 4096
"""Sequences scored together on CUDA; all windows of one width take 1 GB at the published size."""


def max_over_time(embedded: Tensor, kernels: Sequence[Tensor]) -> Tensor:
    """Return every filter's largest answer, ``(B, filters of all kernels)``; differentiable.

    Args:
        embedded: ``(B, T, E)``.
        kernels: ``(w·E, filters)`` each, w ≤ T; row j·E + e belongs to offset j.
    """
    if torch.is_grad_enabled():
        kind = _MaxOverTime if embedded.is_cpu else MaxOverTimeGPU
        pooled: Tensor = kind.apply(embedded, *kernels)  # type: ignore[no-untyped-call]
        return pooled
    widths = (len(kernel) // embedded.shape[2] for kernel in kernels)
    pairs = zip(widths, kernels, strict=True)
    return torch.cat([(windows(embedded, w) @ kernel).amax(1) for w, kernel in pairs], 1)


@torch.no_grad()
def max_over_time_of_many(tokens: Tensor, embedding: Tensor, kernels: Sequence[Tensor]) -> Tensor:
    """Return `max_over_time` of embedded ``tokens`` ``(N, T)``, without gradient, up to rounding.

    Args:
        tokens: ``(N, T)``.
        embedding: ``(V, E)``.
        kernels: As in `max_over_time`.
    """
    chunks = tokens.split(SCORE_CHUNK if tokens.is_cpu else CUDA_SCORE_CHUNK)
    if not tokens.is_cpu or not _worth_a_table(tokens, 1, len(embedding)):
        return torch.cat([max_over_time(F.embedding(x, embedding), kernels) for x in chunks])
    return torch.cat([_max_of_many(tokens, embedding, kernel) for kernel in kernels], 1)


def _worth_a_table(tokens: Tensor, width: int, vocab_size: int) -> bool:
    """Tell whether so many windows pay for a row per symbol and offset."""
    return len(tokens) * (tokens.shape[1] - width + 1) > 2 * vocab_size


def _max_of_many(tokens: Tensor, embedding: Tensor, kernel: Tensor) -> Tensor:
    """Return one kernel's part of `max_over_time_of_many`, on a CPU."""
    vocab, size = embedding.shape
    width, filters = len(kernel) // size, kernel.shape[1]
    chunks = tokens.split(SCORE_CHUNK)
    if not _worth_a_table(tokens, width, vocab):
        return torch.cat([max_over_time(F.embedding(x, embedding), [kernel]) for x in chunks])
    by_offset = kernel.view(width, size, filters).transpose(0, 1).flatten(1)
    table = (embedding @ by_offset).view(vocab * width, filters)  # row v·w + j: v at offset j
    offsets = torch.arange(width)
    pooled = []
    for x in chunks:
        rows = (x * width).unfold(1, width, 1) + offsets
        answers = F.embedding_bag(rows.flatten(0, 1), table, mode="sum")
        pooled.append(answers.view(len(x), -1, filters).amax(1))
    return torch.cat(pooled)


class _MaxOverTime(torch.autograd.Function):
    """`max_over_time`, with a backward pass that looks at the maxima only."""

    @staticmethod
    def forward(ctx: FunctionContext, embedded: Tensor, *kernels: Tensor) -> Tensor:
        pooled, places = [], []
        for kernel in kernels:
            answers = windows(embedded, len(kernel) // embedded.shape[2]) @ kernel
            # Pooling finds maximum and place together, several times faster than `max(1)`.
            image = answers.unsqueeze(2).permute(0, 3, 1, 2)
            best, place = F.max_pool2d(image, (answers.shape[1], 1), return_indices=True)
            pooled.append(best.flatten(1))
            places.append(place.flatten(1))
        ctx.save_for_backward(embedded, torch.cat(places, 1), *kernels)
        return torch.cat(pooled, 1)

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor, ...]:
        embedded, places, *kernels = ctx.saved_tensors
        sizes = [kernel.shape[1] for kernel in kernels]
        grad_embedded, grad_kernels = torch.zeros_like(embedded), []
        for kernel, grad, place in zip(
            kernels, grads[0].split(sizes, 1), places.split(sizes, 1), strict=True
        ):
            width = len(kernel) // embedded.shape[2]
            grad_windows, grad_kernel = _gradients(windows(embedded, width), kernel, grad, place)
            grad_kernels.append(grad_kernel)
            for offset, part in enumerate(grad_windows.chunk(width, 2)):
                grad_embedded[:, offset : offset + part.shape[1]] += part
        return grad_embedded, *grad_kernels


def _gradients(seen: Tensor, kernel: Tensor, grad: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of the windows ``seen`` ``(B, P, w·E)`` and of their kernel.

    Args:
        seen: All windows.
        kernel: ``(w·E, filters)``.
        grad: Of the maxima, ``(B, filters)``.
        place: The windows that they come from, ``(B, filters)`` in [0, P).
    """
    batch, starts, _ = seen.shape
    if starts == 1:
        return (grad @ kernel.t()).unsqueeze(1), seen.squeeze(1).t() @ grad
    first = torch.arange(0, batch * starts, starts).unsqueeze(1)
    # A filter's gradient is the sum of its B windows, weighted; rows of all windows are numbered
    # sequence by sequence.
    grad_kernel = F.embedding_bag(
        (first + place).t().contiguous(),
        seen.flatten(0, 1),
        mode="sum",
        per_sample_weights=grad.t().contiguous(),
    ).t()
    # A window's gradient is the sum of the filters that chose it.
    chosen, filters = place.sort(dim=1, stable=True)
    begins = torch.searchsorted(chosen, torch.arange(starts).repeat(batch, 1))
    grad_seen = F.embedding_bag(
        filters.flatten(),
        kernel.t().contiguous(),
        (begins + torch.arange(0, filters.numel(), kernel.shape[1]).unsqueeze(1)).flatten(),
        mode="sum",
        per_sample_weights=grad.gather(1, filters).flatten(),
    )
    return grad_seen.view_as(seen), grad_kernel
