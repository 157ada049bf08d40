"""The two losses that touch the whole vocabulary, with gradients computed in the forward pass.

On a CPU the logits of 1,280 tokens (25 MB at V = 5,000) fall out of every cache, so both losses
walk over chunks of rows and keep only the gradients with respect to the inputs. On CUDA one
chunk holds everything: there, launches cost more than memory.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

CPU_CHUNK = 64
WIDE = 128
"""From this width of h on chunks are twice as long: reading and writing the weight's gradient once
per chunk then costs more than the logits do (measured: 25 % of the whole loss at H = 528)."""


def _chunks(hidden: Tensor) -> range:
    rows, width = hidden.shape
    size = CPU_CHUNK if width < WIDE else 2 * CPU_CHUNK
    return range(0, rows, size if hidden.is_cpu else max(rows, 1))


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of w_i · (−log softmax(W h_i + b)[y_i])."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, scale: Tensor
    ) -> Tensor:
        loss = hidden.new_zeros((), dtype=torch.float64 if hidden.is_cpu else hidden.dtype)
        needs_grad = any(ctx.needs_input_grad[:3])
        grad_hidden = torch.empty_like(hidden)
        grad_weight = weight.new_zeros(weight.shape[1], weight.shape[0])
        grad_bias = torch.zeros_like(bias)
        step = _chunks(hidden)
        for start in step:
            part = slice(start, start + step.step)
            h, y, w = hidden[part], targets[part].unsqueeze(1), scale[part].unsqueeze(1)
            logits = torch.addmm(bias, h, weight.t())
            chosen = logits.gather(1, y)
            top = logits.amax(1, keepdim=True)
            p = logits.sub_(top).exp_()
            total = p.sum(1, keepdim=True)
            loss += (w * (total.log() + top - chosen)).sum()
            if needs_grad:
                p.mul_(w / total)
                p.scatter_add_(1, y, -w)
                torch.mm(p, weight, out=grad_hidden[part])
                grad_weight.addmm_(h.t(), p)
                grad_bias += p.sum(0)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return loss.to(hidden.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        hidden, weight, bias = ctx.saved_tensors
        return hidden * grad, (weight * grad).t(), bias * grad, None, None


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, scale: Tensor
) -> Tensor:
    """Return sum_i scale_i · NLL_i under softmax(W h_i + b), in nats; differentiable once.

    Args:
        hidden: ``(N, H)``.
        weight: ``(V, H)``.
        bias: ``(V,)``.
        targets: ``(N,)`` int64.
        scale: ``(N,)``, constants: 1/N for the mean, minus a reward for a policy gradient.
    """
    if not torch.is_grad_enabled():
        # `needs_input_grad` ignores no_grad; scoring costs half without the gradients.
        hidden, weight, bias = hidden.detach(), weight.detach(), bias.detach()
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, bias, targets, scale)  # type: ignore[no-untyped-call]
    return loss


class _LinearKL(torch.autograd.Function):
    """KL(softmax(W h + b) ‖ softmax(W' h' + b')) by row and summed, the second one constant."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        other: tuple[Tensor, ...],
        floor: float,
    ) -> tuple[Tensor, Tensor]:
        other_hidden, other_weight, other_bias = other
        rows = hidden.new_empty(len(hidden))
        grad_hidden = torch.empty_like(hidden)
        grad_weight = weight.new_zeros(weight.shape[1], weight.shape[0])
        grad_bias = torch.zeros_like(bias)
        step = _chunks(hidden)
        for start in step:
            part = slice(start, start + step.step)
            log_p = torch.addmm(bias, hidden[part], weight.t())
            log_p -= log_p.logsumexp(1, keepdim=True)
            log_q = torch.addmm(other_bias, other_hidden[part], other_weight.t())
            log_q -= log_q.logsumexp(1, keepdim=True)
            if floor > -math.inf:
                log_q.clamp_(min=floor)
            ratio = log_p - log_q
            p = log_p.exp_()
            mean = (p * ratio).sum(1, keepdim=True)
            rows[part] = mean.squeeze(1)
            # d KL / d logit_v = p_v (a_v - E_p[a]), a = log p - log q.
            gradient = p.mul_(ratio.sub_(mean))
            torch.mm(gradient, weight, out=grad_hidden[part])
            grad_weight.addmm_(hidden[part].t(), gradient)
            grad_bias += gradient.sum(0)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.mark_non_differentiable(rows)
        return rows.sum(dtype=torch.float64 if rows.is_cpu else None).to(rows.dtype), rows

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0]
        hidden, weight, bias = ctx.saved_tensors
        return hidden * grad, (weight * grad).t(), bias * grad, None, None


def linear_kl_rows(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    other: tuple[Tensor, Tensor, Tensor],
    floor: float = -math.inf,
) -> tuple[Tensor, Tensor]:
    """Return sum_i KL(softmax(W h_i + b) ‖ softmax(W' h'_i + b')) in nats, and its terms.

    The gradient acts on the first distribution only, through both of its occurrences in
    sum_v p_v (log p_v − log q_v); ``other`` is a constant, and so are the terms.

    Args:
        hidden: ``(N, H)``.
        weight: ``(V, H)``.
        bias: ``(V,)``.
        other: ``(N, H')``, ``(V, H')`` and ``(V,)``.
        floor: log q_v is not taken below this.

    Returns:
        The sum, and the KL of every row, ``(N,)``.
    """
    constant = tuple(part.detach() for part in other)
    total, rows = _LinearKL.apply(hidden, weight, bias, constant, floor)  # type: ignore[no-untyped-call]
    return total, rows


def linear_kl(
    hidden: Tensor, weight: Tensor, bias: Tensor, other: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Return the sum of `linear_kl_rows` alone."""
    return linear_kl_rows(hidden, weight, bias, other)[0]
