"""The initialisation that CudnnLSTM gives where nobody chooses one (CoT code, 2018-11-18)."""

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
