"""One step of an optimiser, against Adam written out and the norms of the gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from textbench.backbone.descent import descend


def two() -> tuple[nn.Parameter, nn.Parameter]:
    return nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([1.0, 2.0]))


def test_it_moves_the_optimisers_parameters_alone_and_leaves_no_gradient_on_others() -> None:
    mine, other = two()
    descend((mine * other).sum(), torch.optim.SGD([mine], lr=0.5))
    assert mine.tolist() == [2.5, 3.0]  # 3 - 1/2, 4 - 2/2
    assert other.grad is None


def test_gradients_do_not_pile_up() -> None:
    mine, _ = two()
    optimiser = torch.optim.SGD([mine], lr=0.5)
    for _ in range(3):
        descend(mine.sum(), optimiser)
    assert mine.tolist() == [1.5, 2.5]


@pytest.mark.parametrize(("clip", "norm"), [(0.0, 5.0), (10.0, 5.0), (2.0, 2.0)])
def test_the_norm_is_taken_over_all_its_parameters(clip: float, norm: float) -> None:
    one, two = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [one]}, {"params": [two]}]
    descend((3 * one + 4 * two).sum(), torch.optim.SGD(groups, lr=1.0), clip)
    moved = torch.cat([one, two])
    assert float(moved.detach().norm()) == pytest.approx(norm, rel=1e-5)
    assert float((one / two).detach()) == pytest.approx(0.75)
