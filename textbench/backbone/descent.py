"""One step of an optimiser: what every update of a generator, and of most critics, ends with."""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer


def descend(loss: Tensor, optimiser: Optimizer, clip: float = 0.0) -> None:
    """Descend a loss, along the gradient of the optimiser's own parameters and of no others.

    Args:
        loss: A scalar.
        optimiser: Of the parameters that move.
        clip: Largest global norm of their gradient; 0 does not clip.
    """
    moved = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    optimiser.zero_grad()
    loss.backward(inputs=moved)
    if clip:
        clip_grad_norm_(moved, clip)
    optimiser.step()
