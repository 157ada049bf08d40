"""TaiLr (Ji et al., ICLR 2023): a likelihood that does not insist on what the model finds unlikely.

Maximum likelihood minimises KL(P ‖ G). The total variation distance is more robust to outliers; a
bound of it, with a proxy for P that mixes the true token with the model, weighs each true token by

    w = clamp(q / (γ + (1 − γ)·q), w_min, 1),    L = mean over tokens of −sg(w) log q.

γ = 0 is maximum likelihood, and so is w_min = 1. Settings of the paper's synthetic experiment
(thu-coai/TaiLr, ``examples/synthetic/train_tailr.sh``), on 10,000 sequences of an LSTM: γ = 1e-7,
w_min = 0.2; Adam 1e-3, dropout 0.1, clip 0.1, 100 epochs. Its LSTM of 128 units and its updates of
4,096 tokens are here the shared LSTM and 64 sequences.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from textbench.contracts.config import tunable

from .reweighted import Log, ReweightedConfig, ReweightedTrainer

LARGEST_NLL = 80.0
"""A token is taken for no less likely than e^-80: a smaller q is 0 in float32."""


class TaiLrConfig(ReweightedConfig):
    """Options of `tailr`."""

    epochs: int = Field(100, ge=1)
    """Passes over the training sequences (TaiLr code: 100)."""
    clip: float = Field(0.1, ge=0)
    """Largest global gradient norm; 0 does not clip (TaiLr code: 0.1)."""
    dropout: float = Field(0.1, ge=0, lt=1, json_schema_extra=tunable("linear", 0.0, 0.6))
    """Probability of dropping a unit of the LSTM's output before the output layer."""
    gamma: float = Field(1e-7, ge=0, le=1, json_schema_extra=tunable("log", 1e-7, 1e-1))
    """The true token's share in the proxy of P; 0 is maximum likelihood."""
    w_min: float = Field(0.2, ge=0, le=1)
    """No weight is below this; 1 is maximum likelihood."""


class TaiLr(ReweightedTrainer[TaiLrConfig]):
    """Likelihood, weighted to estimate the total variation distance."""

    name = "tailr"
    title = "TaiLr"
    version: ClassVar[int] = 1
    config_schema = TaiLrConfig

    def loss(self, x: Tensor) -> tuple[Tensor, Log]:
        """Return −sg(w) log q, the mean over the tokens of ``x`` ``(B, T)``."""
        c = self.config
        loss, nll, w = self.generator.reweighted_nll(
            x, self.weigh, dropout=c.dropout, rng=self.context.rng
        )
        at_floor = (self.weigh(-nll) <= c.w_min).float().mean()
        return loss, {"nll": nll.mean(), "weight": w.mean(), "weight_at_floor": at_floor}

    def weigh(self, log_q: Tensor) -> Tensor:
        """Return q / (γ + (1 − γ)·q) = 1 / (1 − γ + γ/q), not below w_min and not above 1."""
        c = self.config
        inverse = (-log_q).clamp(max=LARGEST_NLL).exp()
        return (1 / (1 - c.gamma + c.gamma * inverse)).clamp(c.w_min, 1.0)
