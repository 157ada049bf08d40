"""The loss of EMO over the whole vocabulary: cross-entropy and the cost of moving probability.

As in `textbench.backbone.losses`, rows are walked over in chunks, and the forward pass computes the
gradients. Beside that loss's there is one more product of matrices, the cosines.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.backbone.losses import FunctionContext, Gradients, scaled_gradients, summed
from textbench.backbone.output import LN_2, OutputLayer, largest_norm, row_chunks, with_one

EPSILON = 1e-10
"""What a transport of 0 is divided by instead."""


class _LinearTransport(torch.autograd.Function):
    """(1 − μ)·CE + μ·s·D, the mean over rows, with s = CE / (D + ε) a constant.

    With a cost c_v = 1 − ⟨e(y), e(v)⟩ the transport to y is D = E_p[c], d D / d logit_v is
    p_v (c_v − D).
    """

    @staticmethod
    def forward(
        ctx: FunctionContext,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        directions: Tensor,
        mix: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        layer = OutputLayer(weight, bias, largest_norm(hidden))
        rows, y = with_one(hidden), targets.unsqueeze(1)
        ce, distance = hidden.new_empty(2, len(hidden), 1)
        mean = torch.full_like(ce, 1.0 / max(len(hidden), 1))
        parts = row_chunks(hidden, len(weight))
        buffers = hidden.new_empty(3, parts[0].stop if parts else 0, len(weight))
        gradients = Gradients(hidden, weight)
        for part in parts:
            p, cosine, product = buffers[:, : part.stop - part.start]
            layer.logits(rows[part], p)
            chosen = p.gather(1, y[part])
            total = p.exp2_().sum(1, keepdim=True)
            torch.mm(directions[targets[part]], directions.t(), out=cosine)
            expected = torch.mul(p, cosine, out=product).sum(1, keepdim=True).div_(total)
            distance[part] = (1.0 - expected).clamp_(min=0.0)  # rounding may pass 1
            ce[part] = total.log() - LN_2 * chosen
            share = mix * ce[part] / (distance[part] + EPSILON)
            p.mul_(cosine.sub_(expected).mul_(-share).add_(1.0 - mix))
            gradients.add(part, rows[part], p, mean[part] / total)
        sparse = mean * (1.0 - mix)
        gradients.hidden.addcmul_(weight.index_select(0, targets), sparse, value=-1.0)
        gradients.folded.index_add_(1, targets, (rows * sparse).t(), alpha=-1.0)
        gradients.save(ctx)
        ctx.mark_non_differentiable(ce, distance)
        ctx.set_materialize_grads(False)
        whole = (1.0 - mix) * ce + mix * ce / (distance + EPSILON) * distance
        return summed(mean * whole), ce, distance

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *scaled_gradients(ctx, grads[0]), None, None, None


def linear_transport(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    directions: Tensor,
    mix: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean of (1 − μ)·CE_i + μ·s_i·D_i under p = softmax(W h_i + b); and its terms.

    CE is the cross-entropy in nats, D_i = 1 − ⟨e(y_i), E_p e⟩ the cost of moving p to y_i, and
    s_i = CE_i / (D_i + 1e-10) a constant.

    Args:
        hidden: ``(N, H)``.
        weight: ``(V, H)``.
        bias: ``(V,)``.
        targets: y, ``(N,)`` int64.
        directions: e, ``(V, E)``, constant rows of length 1.
        mix: μ.

    Returns:
        The mean, which is differentiable once, and the constants CE and D, ``(N,)`` each.
    """
    loss, ce, distance = _LinearTransport.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, directions, mix
    )
    return loss, ce.squeeze(1), distance.squeeze(1)
