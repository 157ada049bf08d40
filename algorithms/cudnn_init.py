"""The mediator's initial LSTM in the CoT code's last state, desire2020/CoT @ ace616c.

It builds TensorFlow's CudnnLSTM with an orthogonal initialiser for the kernels, and leaves the
biases to that layer's default, zeros. Embedding and output layer are N(0, 0.1²) as before.
"""

from __future__ import annotations

import torch

from textbench.backbone.lstm import LSTMLanguageModel


def initialise_like_cudnn(model: LSTMLanguageModel, rng: torch.Generator) -> None:
    """Give ``model`` an orthogonal LSTM kernel per gate and zero LSTM biases.

    Args:
        model: Its embedding and output layer are left as they are.
        rng: A CPU stream.
    """
    with torch.no_grad():
        for kernel in (model.weight_ih, model.weight_hh):
            for gate in kernel.chunk(4):
                gate.copy_(torch.nn.init.orthogonal_(torch.empty(gate.shape), generator=rng))
        model.bias.zero_()
