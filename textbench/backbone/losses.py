"""The two losses that touch the whole vocabulary, with gradients computed in the forward pass.

On a CPU the logits of 1,280 tokens (25 MB at V = 5,000) fall out of every cache, so both losses
walk over chunks of rows and keep only the gradients with respect to the inputs. A chunk costs its
matrix products, one exponential per symbol and, for the KL, five cheap passes: what a softmax
divides by, and the rows' weights, multiply the H + 1 columns of [h, 1] instead of the V of the
probabilities p, which are never normalised. On CUDA one chunk holds everything: there, launches
cost more than memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from textbench.backbone.output import LN_2, OutputLayer, largest_norm, row_chunks, with_one

Weigh = Callable[[Tensor], Tensor]
"""A weight for each log-likelihood."""


def summed(values: Tensor) -> Tensor:
    """Return the sum, on a CPU added up in float64."""
    return values.sum(dtype=torch.float64 if values.is_cpu else None).to(values.dtype)


class FunctionContext(Protocol):
    """What torch hands to both halves of a `Function`; its own types say one tensor is saved."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors for the backward pass."""

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Declare results constants."""

    def set_materialize_grads(self, value: bool) -> None:
        """Choose whether the gradient of an unused result is zeros rather than None."""


class Gradients:
    """Sums up the gradients of Σ_i f_i·L_i, where d L_i / d logits_i = g_i is given in chunks.

    Args:
        hidden: ``(N, H)``.
        weight: ``(V, H)``.
    """

    def __init__(self, hidden: Tensor, weight: Tensor) -> None:
        self.weight = weight
        self.hidden = torch.empty_like(hidden)
        self.folded = weight.new_zeros(weight.shape[1] + 1, len(weight))

    def add(self, part: slice, rows: Tensor, gradient: Tensor, factor: Tensor) -> None:
        """Add the rows ``part``.

        Args:
            part: Which rows of ``hidden``.
            rows: Their [h, 1], ``(n, H + 1)``.
            gradient: g, ``(n, V)``.
            factor: f, ``(n, 1)``.
        """
        torch.mm(gradient, self.weight, out=self.hidden[part]).mul_(factor)
        self.folded.addmm_((rows * factor).t(), gradient)

    def save(self, ctx: FunctionContext) -> None:
        """Keep the gradients of hidden, weight and bias for `scaled_gradients`."""
        ctx.save_for_backward(self.hidden, self.folded[:-1].t().contiguous(), self.folded[-1])


def scaled_gradients(ctx: FunctionContext, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `Gradients.save` kept, times the gradient of the sum."""
    hidden, weight, bias = ctx.saved_tensors
    return hidden * grad, weight * grad, bias * grad


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of w_i · (−log softmax(W h_i + b)[y_i])."""

    @staticmethod
    def forward(
        ctx: FunctionContext,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        scale: Tensor,
        weigh: Weigh | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        layer = OutputLayer(weight, bias, largest_norm(hidden))
        rows, y, w = with_one(hidden), targets.unsqueeze(1), scale.unsqueeze(1)
        w = w.clone() if weigh else w
        total, chosen = torch.empty_like(w), torch.empty_like(w)
        parts = row_chunks(hidden, len(weight))
        buffer = hidden.new_empty(parts[0].stop if parts else 0, len(weight))
        gradients = Gradients(hidden, weight) if any(ctx.needs_input_grad[:3]) else None
        for part in parts:
            p = layer.logits(rows[part], buffer[: part.stop - part.start])
            torch.gather(p, 1, y[part], out=chosen[part])
            torch.sum(p.exp2_(), 1, keepdim=True, out=total[part])
            if weigh:
                w[part] *= weigh(LN_2 * chosen[part] - total[part].log())
            if gradients:
                gradients.add(part, rows[part], p, w[part] / total[part])
        if gradients:
            # d(−log softmax[y]) / d logits is softmax − 1[y]: the second part is sparse.
            gradients.hidden.addcmul_(weight.index_select(0, targets), w, value=-1.0)
            gradients.folded.index_add_(1, targets, (rows * w).t(), alpha=-1.0)
            gradients.save(ctx)
        surprisal = total.log() - LN_2 * chosen
        ctx.mark_non_differentiable(surprisal, w)
        ctx.set_materialize_grads(False)
        return summed(w * surprisal), surprisal, w

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *scaled_gradients(ctx, grads[0]), None, None, None


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, scale: Tensor
) -> Tensor:
    """Return sum_i scale_i · NLL_i under softmax(W h_i + b), in nats; differentiable once.

    Args:
        hidden: ``(N, H)``.
        weight: ``(V, H)``.
        bias: ``(V,)``.
        targets: ``(N,)`` int64.
        scale: ``(N,)``, constants: 1/N for the mean, plus the reward of each for a policy gradient
            (−log G times the reward is descended, so rewarded symbols become likelier).
    """
    return reweighted_cross_entropy(hidden, weight, bias, targets, scale, None)[0]


def reweighted_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    scale: Tensor,
    weigh: Weigh | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum_i w_i · NLL_i with w_i = scale_i · weigh(−NLL_i), a constant; and its terms.

    The weights are found in the pass that finds the likelihood: they cost no second one.

    Args:
        hidden: ``(N, H)``.
        weight: ``(V, H)``.
        bias: ``(V,)``.
        targets: ``(N,)`` int64.
        scale: ``(N,)``, constants.
        weigh: Maps log-likelihoods (nats), of any shape, to weights of that shape; None for 1.

    Returns:
        The sum, which is differentiable once, and the constants NLL and w, ``(N,)`` each.
    """
    if not torch.is_grad_enabled():
        # `needs_input_grad` ignores no_grad; scoring costs half without the gradients.
        hidden, weight, bias = hidden.detach(), weight.detach(), bias.detach()
    loss, surprisal, w = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, scale, weigh
    )
    return loss, surprisal.squeeze(1), w.squeeze(1)


class _LinearKL(torch.autograd.Function):
    """KL(softmax(W h + b) ‖ softmax(W' h' + b')) by row and summed, the second one constant.

    With a = log p − log q the KL is E_p[a] and d KL / d logit_v = p_v (a_v − E_p[a]).
    """

    @staticmethod
    def forward(
        ctx: FunctionContext,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        other: tuple[Tensor, ...],
        floor: float,
    ) -> tuple[Tensor, Tensor]:
        other_hidden, other_weight, other_bias = other
        layer = OutputLayer(weight, bias, largest_norm(hidden))
        other_layer = OutputLayer(other_weight, other_bias, largest_norm(other_hidden))
        rows, other_rows = with_one(hidden), with_one(other_hidden)
        kl = hidden.new_empty(len(hidden))
        parts = row_chunks(hidden, len(weight))
        buffers = hidden.new_empty(3, parts[0].stop if parts else 0, len(weight))
        gradients = Gradients(hidden, weight)
        for part in parts:
            p, q, ratio = buffers[:, : part.stop - part.start]
            layer.logits(rows[part], p)
            other_layer.logits(other_rows[part], q)
            if floor > -math.inf:
                q.sub_(torch.exp2(q, out=ratio).sum(1, keepdim=True).log2_())
                q.clamp_(min=floor / LN_2)
            torch.sub(p, q, out=ratio)
            total = p.exp2_().sum(1, keepdim=True)
            weighted = q.exp2_().sum(1, keepdim=True).log_() if floor == -math.inf else 0.0
            torch.mul(p, ratio, out=q)
            mean = q.sum(1, keepdim=True).div_(total)
            kl[part] = (LN_2 * mean - total.log() + weighted).squeeze(1)
            gradient = q.addcmul_(p, mean, value=-1.0)
            gradients.add(part, rows[part], gradient, LN_2 / total)
        gradients.save(ctx)
        ctx.mark_non_differentiable(kl)
        return summed(kl), kl

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *scaled_gradients(ctx, grads[0]), None, None


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
