"""An LSTM layer, with the shared LSTM's conventions, for generators of another architecture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from textbench.backbone.lstm import LSTMState


class LSTM(nn.Module):
    """One LSTM layer from zero state; gates i, f, g, o and one bias, as in the backbone.

    Args:
        inputs: Width of the input.
        hidden: Width of the state, H.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        self.zero_bias: Tensor
        self.register_buffer("zero_bias", torch.zeros(4 * hidden), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(B, L, inputs)`` to the states after each input, ``(B, L, H)``."""
        zeros = inputs.new_zeros(1, len(inputs), self.weight_hh.shape[1])
        weights = [self.weight_ih, self.weight_hh, self.bias, self.zero_bias]
        states: Tensor = torch.lstm(
            inputs, (zeros, zeros), weights, True, 1, 0.0, self.training, False, True
        )[0]
        return states

    def gates(self, inputs: Tensor) -> Tensor:
        """Return the input half of the gates, ``(n, 4H)``, for `advance`."""
        return torch.addmm(self.bias, inputs, self.weight_ih.t())

    def advance(self, gates: Tensor, state: LSTMState) -> LSTMState:
        """Take one step of n rows from ``state`` (h, c)."""
        h, c = state
        i, f, g, o = torch.addmm(gates, h, self.weight_hh.t()).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
