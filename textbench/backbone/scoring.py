"""Scoring token sequences by a model, and one model against another, over the whole vocabulary."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from textbench.backbone.generator import Generator

CPU_ELEMENTS = 1 << 19
CUDA_ELEMENTS = 1 << 26
"""Numbers of one (B, T, V) block of log-probabilities."""

TINY = 1e-38


@dataclass
class PairScores:
    """Two models A and B compared on sequences drawn from A.

    All of them are expectations over A's own prefixes, in nats; those over symbols are taken over
    the whole vocabulary (no sampling noise from the last draw).
    """

    log_a: Tensor
    """log A(s), ``(N,)`` float64, nats per sequence."""
    log_b: Tensor
    """log B(s), ``(N,)``."""
    entropy: float = 0.0
    """Mean over positions of H(A(·|x_<t)), nats per token."""
    kl: float = 0.0
    """Mean over positions of KL(A_t ‖ B_t), nats per token."""
    kl_mixture: float = 0.0
    """Sum over positions of KL(A_t ‖ ½(A_t + B_t)), nats per sequence."""


def mean_nll(model: Generator, tokens: Tensor) -> float:
    """Return −log P per token over sequences ``(N, T)``, nats."""
    total = 0.0
    with torch.no_grad():
        for part in blocks(tokens, model.vocab_size):
            chosen = model.log_probs(part).gather(2, part.unsqueeze(2))
            total -= float(chosen.sum(dtype=torch.float64))
    return total / tokens.numel()


@torch.no_grad()
def token_nll(model: Generator, tokens: Tensor) -> Tensor:
    """Return −log P of every token of sequences ``(N, T)``, float64, nats."""
    parts = [
        model.log_probs(part).gather(2, part.unsqueeze(2)).squeeze(2).double()
        for part in blocks(tokens, model.vocab_size)
    ]
    return -torch.cat(parts)


@torch.no_grad()
def mean_entropy(model: Generator, tokens: Tensor) -> float:
    """Return the mean of H(model(·|x_<t)) over the prefixes of sequences ``(N, T)``, nats."""
    total = 0.0
    for part in blocks(tokens, model.vocab_size):
        log_probs = model.log_probs(part)
        total -= float(log_probs.mul_(log_probs.exp()).sum(-1).sum(dtype=torch.float64))
    return total / tokens.numel()


@torch.no_grad()
def score_pair(a: Generator, b: Generator, tokens: Tensor) -> PairScores:
    """Compare A with B on sequences ``(N, T)`` drawn from A; see `PairScores`."""
    log_a, log_b = [], []
    sums = torch.zeros(3, dtype=torch.float64, device=tokens.device)
    for part in blocks(tokens, a.vocab_size):
        conditional_a, conditional_b = a.log_probs(part), b.log_probs(part)
        chosen = part.unsqueeze(2)
        log_a.append(conditional_a.gather(2, chosen).sum((1, 2), dtype=torch.float64))
        log_b.append(conditional_b.gather(2, chosen).sum((1, 2), dtype=torch.float64))
        p = conditional_a.exp()
        mixture = conditional_b.exp().add_(p).clamp_(min=TINY).log_()
        for i, log_prob in enumerate((conditional_a, conditional_b, mixture)):
            # Rows in float32, their total in float64: casting 5,000 symbols costs more than both.
            sums[i] += log_prob.mul_(p).sum(-1).sum(dtype=torch.float64)
    own, other, mixed = sums.tolist()
    n, positions = len(tokens), tokens.numel()
    return PairScores(
        log_a=torch.cat(log_a),
        log_b=torch.cat(log_b),
        entropy=-own / positions,
        kl=(own - other) / positions,
        kl_mixture=(own - mixed) / n + tokens.shape[1] * math.log(2.0),
    )


def blocks(tokens: Tensor, vocab_size: int) -> Iterator[Tensor]:
    """Yield ``tokens`` in pieces whose log-probabilities fit the cache (CPU) or memory (CUDA)."""
    limit = CPU_ELEMENTS if tokens.device.type == "cpu" else CUDA_ELEMENTS
    yield from torch.split(tokens, max(1, limit // (tokens.shape[1] * vocab_size)))
