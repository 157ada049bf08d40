"""The one LSTM layer: of the shared language model, and of generators of another architecture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LSTMState = tuple[Tensor, Tensor]
"""(h, c), each ``(n, H)``."""


class LSTMLayer(nn.Module):
    """A module that has one LSTM layer among its own parameters.

    Gates in the order i, f, g, o; one effective bias (PyTorch's second one is held at 0); zero
    initial state.
    """

    weight_ih: nn.Parameter
    weight_hh: nn.Parameter
    bias: nn.Parameter
    zero_bias: Tensor

    def add_layer(self, inputs: int, hidden: int) -> None:
        """Make the layer's parameters, uninitialised.

        Args:
            inputs: Width of the input.
            hidden: Width of the state, H.
        """
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        self.register_buffer("zero_bias", torch.zeros(4 * hidden), persistent=False)

    def unroll(self, inputs: Tensor) -> Tensor:
        """Map ``(B, L, inputs)`` to the states after each input, ``(B, L, H)``."""
        zeros = self.weight_hh.new_zeros(1, len(inputs), self.weight_hh.shape[1])
        weights = [self.weight_ih, self.weight_hh, self.bias, self.zero_bias]
        states: Tensor = torch.lstm(
            inputs, (zeros, zeros), weights, True, 1, 0.0, self.training, False, True
        )[0]
        return states

    def gates(self, inputs: Tensor) -> Tensor:
        """Return W_ih x + b, the input half of the gates, of ``(n, inputs)``: ``(n, 4H)``."""
        return torch.addmm(self.bias, inputs, self.weight_ih.t())

    def initial_state(self, n: int) -> LSTMState:
        """Return the zero state of n rows."""
        zeros = self.weight_hh.new_zeros(n, self.weight_hh.shape[1])
        return zeros, zeros

    def advance(self, gates: Tensor, state: LSTMState) -> LSTMState:
        """Take one step of n rows, whose inputs have these `gates`, from ``state``."""
        h, c = state
        i, f, g, o = torch.addmm(gates, h, self.weight_hh.t()).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class LSTM(LSTMLayer):
    """The layer as a module of its own.

    Args:
        inputs: Width of the input.
        hidden: Width of the state, H.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.add_layer(inputs, hidden)

    def forward(self, inputs: Tensor) -> Tensor:
        """See `LSTMLayer.unroll`."""
        return self.unroll(inputs)
