"""Likelihoods, entropies and divergences of models with a linear output layer, row by row.

What evaluation needs of log_softmax(W h + b), without writing it down: one product and one
exponential per symbol (`output`), and for a mixture of two models a logarithm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from textbench.backbone.output import LN_2, OutputLayer, largest_norm, row_chunks, with_one

TINY = 1e-38


class LinearOutput(NamedTuple):
    """P(v | row) = softmax(W h + b)_v at N positions."""

    hidden: Tensor
    """h, ``(N, H)``."""
    weight: Tensor
    """W, ``(V, H)``."""
    bias: Tensor
    """b, ``(V,)``."""


class Comparison(NamedTuple):
    """Two models A and B at N positions, nats, ``(N,)`` each."""

    log_a: Tensor
    """log A(target)."""
    log_b: Tensor
    """log B(target)."""
    entropy: Tensor
    """H(A)."""
    kl: Tensor
    """KL(A ‖ B)."""
    kl_mixture: Tensor
    """KL(A ‖ ½(A + B))."""


@torch.no_grad()
def linear_nll(output: LinearOutput, targets: Tensor) -> Tensor:
    """Return −log P(target) at every position, ``(N,)``, nats."""
    found = output.hidden.new_empty(len(targets))
    for part, layer, rows, buffer in _walk(output, 1):
        logits = layer.logits(rows, buffer[0])
        chosen = logits.gather(1, targets[part].unsqueeze(1)).squeeze(1)
        found[part] = LN_2 * (logits.exp2_().sum(1).log2_() - chosen)
    return found


@torch.no_grad()
def linear_entropy(output: LinearOutput) -> Tensor:
    """Return the entropy at every position, ``(N,)``, nats."""
    entropy = output.hidden.new_empty(len(output.hidden))
    for part, layer, rows, buffers in _walk(output, 2):
        logits = layer.logits(rows, buffers[0])
        p = torch.exp2(logits, out=buffers[1])
        total = p.sum(1)
        entropy[part] = LN_2 * (total.log2() - logits.mul_(p).sum(1) / total)
    return entropy


@torch.no_grad()
def linear_comparison(a: LinearOutput, b: LinearOutput, targets: Tensor) -> Comparison:
    """Compare the models A and B at the same positions.

    Args:
        a: A, whose probabilities weigh every symbol.
        b: B.
        targets: ``(N,)``.
    """
    found = a.hidden.new_empty(5, len(targets))
    layer_b, rows_b = _prepared(b)
    for part, layer_a, rows_a, buffers in _walk(a, 4):
        log_p, log_q, p, q = buffers
        layer_a.logits(rows_a, log_p)
        layer_b.logits(rows_b[part], log_q)
        y = targets[part].unsqueeze(1)
        chosen_a, chosen_b = log_p.gather(1, y).squeeze(1), log_q.gather(1, y).squeeze(1)
        total_a, total_b = (
            torch.exp2(logits, out=weights).sum(1) for logits, weights in ((log_p, p), (log_q, q))
        )
        own = log_p.mul_(p).sum(1).div_(total_a) - total_a.log2()
        other = log_q.mul_(p).sum(1).div_(total_a) - total_b.log2()
        p.div_(total_a.unsqueeze(1))
        mixture = q.div_(total_b.unsqueeze(1)).add_(p).clamp_(min=TINY).log2_()
        mixed = mixture.mul_(p).sum(1) - 1.0  # log2 of the half
        found[:, part] = torch.stack(
            [chosen_a - total_a.log2(), chosen_b - total_b.log2(), -own, own - other, own - mixed]
        )
    return Comparison(*(LN_2 * found))


def plain_comparison(log_a: Tensor, log_b: Tensor, targets: Tensor) -> Comparison:
    """Compare two models by all their conditionals.

    Args:
        log_a: log A, ``(N, V)``; overwritten.
        log_b: log B, likewise.
        targets: ``(N,)``.
    """
    y = targets.unsqueeze(1)
    chosen_a, chosen_b = (log.gather(1, y).squeeze(1) for log in (log_a, log_b))
    p = log_a.exp()
    mixture = log_b.exp().add_(p).clamp_(min=TINY).log_()
    own, other, mixed = (log.mul_(p).sum(1) for log in (log_a, log_b, mixture))
    return Comparison(
        chosen_a, chosen_b, entropy=-own, kl=own - other, kl_mixture=own - mixed + math.log(2.0)
    )


def _prepared(output: LinearOutput) -> tuple[OutputLayer, Tensor]:
    hidden, weight, bias = output
    return OutputLayer(weight, bias, largest_norm(hidden)), with_one(hidden)


def _walk(output: LinearOutput, buffers: int) -> list[tuple[slice, OutputLayer, Tensor, Tensor]]:
    """Return for every chunk: where it is, the layer, its [h, 1], and the same buffers."""
    layer, rows = _prepared(output)
    parts = row_chunks(output.hidden, buffers * len(output.weight))
    longest = parts[0].stop if parts else 0
    space = rows.new_empty(buffers, longest, len(output.weight))
    return [(part, layer, rows[part], space[:, : part.stop - part.start]) for part in parts]
