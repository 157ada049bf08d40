"""MixCE (Zhang et al., ACL 2023): forward cross-entropy, and a share of the reverse one.

The forward cross-entropy H(P, G) alone is maximum likelihood. The reverse one, H(G, P), needs P;
the paper approximates it on true text by −sg(q) log q, and mixes both:

    L = mean over tokens of −(η + (1 − η)·sg(q)) log q.

Settings of the paper's synthetic experiment (bloomberg/MixCE-acl2023, ``synthetic.py``), which is
on bigram models of 20 to 1,000 symbols: η in {0, .01, .1, .5, .9, .99, 1}, chosen on validation
data; Adam 1e-3 with an L2 penalty of 1e-4; dropout 0.1; 50 epochs. Of 1,000 sequences per update we
take 64, as everywhere. Without η = 0 the weight has a floor, η.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from textbench.contracts.config import tunable

from .reweighted import Log, ReweightedConfig, ReweightedTrainer

NEAR = 0.01
"""A weight within this share of its floor is at its floor."""


class MixCEConfig(ReweightedConfig):
    """Options of `mixce`."""

    epochs: int = Field(50, ge=1)
    """Passes over the training sequences (MixCE code: 50)."""
    dropout: float = Field(0.1, ge=0, lt=1, json_schema_extra=tunable("linear", 0.0, 0.6))
    """Probability of dropping a unit of the LSTM's output before the output layer."""
    weight_decay: float = Field(1e-4, ge=0)
    """This times the parameters is added to the gradient, Adam's L2 penalty (MixCE code: 1e-4)."""
    eta: float = Field(0.1, ge=0, le=1, json_schema_extra=tunable("linear", 0.0, 1.0))
    """η, the share of the forward cross-entropy; 1 is maximum likelihood. The paper chooses it on
    validation data: 0.1 on WikiText, 0.3 on WebText, 0.7 on WritingPrompts."""


class MixCE(ReweightedTrainer[MixCEConfig]):
    """Forward cross-entropy, mixed with an approximation of the reverse one."""

    name = "mixce"
    title = "MixCE"
    version: ClassVar[int] = 1
    config_schema = MixCEConfig

    def loss(self, x: Tensor) -> tuple[Tensor, Log]:
        """Return −(η + (1 − η)·sg(q)) log q, the mean over the tokens of ``x`` ``(B, T)``."""
        c = self.config
        loss, nll, w = self.generator.reweighted_nll(
            x, self.weigh, dropout=c.dropout, rng=self.context.rng
        )
        at_floor = (w < (1 + NEAR) * c.eta).float().mean()
        return loss, {"nll": nll.mean(), "weight": w.mean(), "weight_at_floor": at_floor}

    def weigh(self, log_q: Tensor) -> Tensor:
        """Return η + (1 − η)·q."""
        eta = self.config.eta
        return eta + (1 - eta) * log_q.exp()
