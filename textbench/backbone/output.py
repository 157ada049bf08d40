"""The output layer over the whole vocabulary, made ready for weights that stay as they are.

A softmax needs a matrix product and one exponential per symbol. Every other pass over the logits
costs as much as a tenth of these, so there is none:

* the bias is a row of the weight: logits are [h, 1]·[W, b]ᵀ;
* logits are in base 2, log2(e) being in the weight too: `exp2` is as exact as `exp`, and on most
  processors two to three times faster;
* their maximum is not subtracted where no logit can be large, for |W_v·h| <= ‖W_v‖·‖h‖.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LOG2_E = 1.0 / math.log(2.0)
LN_2 = math.log(2.0)

LARGEST = 70.0
"""Logits (nats) up to which nothing is subtracted: sums of 10⁶ exponentials, and their products
with weights, are then far from both ends of float32 (e^-87 and e^88)."""

CPU_CHUNK = 64
"""Rows of a chunk: their logits (1.3 MB at V = 5,000) fit a second- or third-level cache. Times at
32 and 128 are within 5 % on processors with AVX2 and with AVX-512, so one number serves all, and
results do not depend on the size of a cache."""
WIDE = 128
"""From this width of h on chunks are twice as long: reading and writing the weight's gradient once
per chunk then costs more than the logits do (measured: 25 % of the whole loss at H = 528)."""
CUDA_ELEMENTS = 1 << 27
"""Numbers in a buffer of logits on CUDA (512 MiB)."""


class OutputLayer:
    """softmax(α·(W h + b)) up to a factor per row, for fixed W and b.

    Args:
        weight: W, ``(V, H)``.
        bias: b, ``(V,)``.
        norm: No ‖h‖ will be larger; a scalar.
        inverse_temperature: α.
        multiple: The vocabulary is filled up to a multiple of this with symbols of probability 0.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        norm: float | Tensor,
        *,
        inverse_temperature: float = 1.0,
        multiple: int = 1,
    ) -> None:
        weight, bias = weight.detach(), bias.detach()
        # On CUDA reading the bound would make the host wait; there the passes are cheap.
        self.bounded = weight.is_cpu and bool(
            (norm * torch.linalg.vector_norm(weight, 2, 1) + bias.abs()).amax()
            <= LARGEST / max(abs(inverse_temperature), 1e-30)
        )
        self.folded = torch.cat([weight.t(), bias.unsqueeze(0)]).mul_(LOG2_E * inverse_temperature)
        missing = -len(weight) % multiple
        if missing:
            self.folded = F.pad(self.folded, (0, missing))
            self.folded[-1, -missing:] = -math.inf
        self._buffer = self.folded[:0]

    def logits(self, rows: Tensor, out: Tensor) -> Tensor:
        """Return log2 of the probabilities of every symbol up to a constant per row, in ``out``.

        Args:
            rows: [h, 1], ``(n, H + 1)``; see `with_one`.
            out: ``(n, V)``; overwritten.
        """
        torch.mm(rows, self.folded, out=out)
        return out if self.bounded else out.sub_(out.amax(1, keepdim=True))

    def weights(self, hidden: Tensor) -> Tensor:
        """Return the probabilities after ``hidden`` ``(n, H)`` up to a factor per row: ``(n, V)``.

        They lie in a buffer that the next call overwrites.
        """
        if len(hidden) > len(self._buffer):
            self._buffer = hidden.new_empty(len(hidden), self.folded.shape[1])
        return self.logits(with_one(hidden), self._buffer[: len(hidden)]).exp2_()


def with_one(hidden: Tensor) -> Tensor:
    """Return [h, 1], the input of `OutputLayer.logits`, of ``(n, H)``: ``(n, H + 1)``."""
    return F.pad(hidden, (0, 1), value=1.0)


def largest_norm(hidden: Tensor) -> Tensor:
    """Return the largest ‖h‖ of the rows of ``hidden`` ``(n, H)``, 0 if there are none."""
    return F.pad(torch.linalg.vector_norm(hidden, 2, 1), (0, 1)).amax()


def rows_at_once(cpu: int, vocab_size: int, device: torch.device) -> int:
    """Return how many rows of logits to hold: ``cpu`` on a CPU, else as many as there is room."""
    return cpu if device.type == "cpu" else max(1, CUDA_ELEMENTS // vocab_size)


def row_chunks(hidden: Tensor, vocab_size: int) -> list[slice]:
    """Split the rows of ``hidden`` ``(N, H)`` so that their logits stay in the cache on a CPU."""
    rows, width = hidden.shape
    chunk = CPU_CHUNK if width < WIDE else 2 * CPU_CHUNK
    size = rows_at_once(chunk, vocab_size, hidden.device)
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]
