"""Scoring token sequences by a model, and one model against another, over the whole vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.backbone.ledger import counting
from textbench.backbone.linear_scores import (
    Comparison,
    linear_comparison,
    linear_entropy,
    linear_nll,
    plain_comparison,
)

CPU_ELEMENTS = 1 << 19
CUDA_ELEMENTS = 1 << 26
"""Numbers of one (B, T, V) block of log-probabilities."""
CPU_POSITIONS = 1 << 12
CUDA_POSITIONS = 1 << 17
"""Positions of one piece that is scored without such a block."""


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
    return float(token_nll(model, tokens).sum()) / tokens.numel()


@torch.no_grad()
def token_nll(model: Generator, tokens: Tensor) -> Tensor:
    """Return −log P of every token of sequences ``(N, T)``, float64, nats."""
    parts = []
    for part in pieces(tokens, model):
        output = model.linear_output(part)
        if output is None:
            found = -model.log_probs(part).gather(2, part.unsqueeze(2))
        else:
            found = linear_nll(output, part.flatten())
        parts.append(found.view(part.shape).double())
    return torch.cat(parts)


@torch.no_grad()
def mean_entropy(model: Generator, tokens: Tensor) -> float:
    """Return the mean of H(model(·|x_<t)) over the prefixes of sequences ``(N, T)``, nats."""
    total = 0.0
    for part in pieces(tokens, model):
        output = model.linear_output(part)
        if output is None:
            log_probs = model.log_probs(part)
            entropy = -log_probs.mul_(log_probs.exp()).sum(-1)
        else:
            entropy = linear_entropy(output)
        total += float(entropy.sum(dtype=torch.float64))
    return total / tokens.numel()


@torch.no_grad()
def score_pair(a: Generator, b: Generator, tokens: Tensor) -> PairScores:
    """Compare A with B on sequences ``(N, T)`` drawn from A; see `PairScores`."""
    log_a, log_b = [], []
    sums = torch.zeros(3, dtype=torch.float64, device=tokens.device)
    for part in pieces(tokens, a, b):
        found = _at_positions(a, b, part)
        log_a.append(found.log_a.view(part.shape).sum(1, dtype=torch.float64))
        log_b.append(found.log_b.view(part.shape).sum(1, dtype=torch.float64))
        # Rows in float32, their total in float64: casting 5,000 symbols costs more than both.
        rows = torch.stack([found.entropy, found.kl, found.kl_mixture])
        sums += rows.sum(1, dtype=torch.float64)
    entropy, kl, kl_mixture = sums.tolist()
    n, positions = len(tokens), tokens.numel()
    return PairScores(
        log_a=torch.cat(log_a),
        log_b=torch.cat(log_b),
        entropy=entropy / positions,
        kl=kl / positions,
        kl_mixture=kl_mixture / n,
    )


def _at_positions(a: Generator, b: Generator, tokens: Tensor) -> Comparison:
    """Compare A with B at every position of ``tokens`` ``(B, T)``."""
    output_a, output_b = a.linear_output(tokens), b.linear_output(tokens)
    if output_a is not None and output_b is not None:
        return linear_comparison(output_a, output_b, tokens.flatten())
    log_a, log_b = (model.log_probs(tokens).flatten(0, 1) for model in (a, b))
    return plain_comparison(log_a, log_b, tokens.flatten())


def pieces(tokens: Tensor, *models: Generator) -> Iterator[Tensor]:
    """Yield ``tokens`` in pieces that all of ``models`` score well; see `blocks`.

    Models with a linear output make no block of log-probabilities, so a piece is longer.
    """
    with counting(None):  # a question, not a reading
        linear = all(model.linear_output(tokens[:1]) is not None for model in models)
    if linear:
        limit = CPU_POSITIONS if tokens.is_cpu else CUDA_POSITIONS
        yield from torch.split(tokens, max(1, limit // tokens.shape[1]))
    else:
        yield from blocks(tokens, models[0].vocab_size)


def blocks(tokens: Tensor, vocab_size: int) -> Iterator[Tensor]:
    """Yield ``tokens`` in pieces whose log-probabilities fit the cache (CPU) or memory (CUDA)."""
    limit = CPU_ELEMENTS if tokens.device.type == "cpu" else CUDA_ELEMENTS
    yield from torch.split(tokens, max(1, limit // (tokens.shape[1] * vocab_size)))
