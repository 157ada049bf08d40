"""EMO (Ren et al., ICLR 2024): the earth mover's distance between the true token and the model.

Moving probability from symbol u to v costs one minus the cosine of their vectors. To a single true
symbol x all of it moves, at an expected cost of

    D = 1 − ⟨e(x), Σ_v π(v) e(v)⟩,

e being the rows, scaled to length 1, of a *frozen* output matrix: of a pre-trained model, here of
the warm-up. D is brought to the scale of the cross-entropy CE and mixed with it (DRSY/EMO,
``emo_patch.py``, which has a half of each):

    L = mean over tokens of (1 − μ)·CE + μ·sg(CE / (D + 1e-10))·D.

μ = 0 is maximum likelihood. The paper fine-tunes GPT-2 and LLaMA only (Adam 5e-5, one pass over
WikiText-2 in its script); rate and number of epochs are our choice. The weight in the log is that
of D, CE/(D + 1e-10): 1 − D is a cosine, so that no floor is needed.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from textbench.backbone.transport import EPSILON, linear_transport
from textbench.contracts.config import tunable

from .reweighted import Log, ReweightedConfig, ReweightedTrainer
from .warmup import WarmedConfig, WarmedTrainer


class EMOConfig(ReweightedConfig, WarmedConfig):
    """Options of `emo`."""

    epochs: int = Field(20, ge=1)
    """Passes over the training sequences after the warm-up; ours."""
    lr: float = Field(1e-3, gt=0, json_schema_extra=tunable("log", 1e-4, 3e-2))
    """Adam's learning rate; ours (EMO code, for GPT-2: 5e-5). Its state is not the warm-up's."""
    mix: float = Field(0.5, ge=0, le=1, json_schema_extra=tunable("linear", 0.0, 1.0))
    """μ, the share of the earth mover's distance (EMO code: one half); 0 is maximum likelihood."""


class EMO(ReweightedTrainer[EMOConfig], WarmedTrainer[EMOConfig]):
    """Cross-entropy, and the earth mover's distance to the true token, half and half."""

    name = "emo"
    title = "EMO"
    version: ClassVar[int] = 1
    config_schema = EMOConfig

    def setup(self) -> None:
        """Freeze the warm-up's output matrix, with rows of length 1."""
        super().setup()
        self.directions = F.normalize(self.generator.head_weight.detach(), dim=1)

    def loss(self, x: Tensor) -> tuple[Tensor, Log]:
        """Return (1 − μ)·CE + μ·sg(CE/D)·D, the mean over the tokens of ``x`` ``(B, T)``."""
        c, G = self.config, self.generator
        hidden = G.drop(G.hidden(x), c.dropout, self.context.rng)
        loss, nll, distance = linear_transport(*G.head(hidden), x.flatten(), self.directions, c.mix)
        scale = (nll / (distance + EPSILON)).mean()
        return loss, {"nll": nll.mean(), "distance": distance.mean(), "weight": scale}
