"""MaliGAN: maximum likelihood on the generator's samples, weighted by the discriminator's odds.

"Maximum-Likelihood Augmented Discrete Generative Adversarial Networks". For an optimal D the odds
r(x) = D(x) / (1 − D(x)) equal p_data(x) / G(x), so weighting samples of G with them gives the
likelihood gradient under the data. The weights are normalised within the minibatch and a
baseline is subtracted (the paper's basic algorithm, without roll-outs and without the curriculum
that clamps the first N words of a training sentence).

The paper subtracts b from r_i / Σr and raises b from 0 to 1. Taken literally, every weight of a
minibatch would then end below 0, for they sum to 1; b is therefore read in units of their mean
1/B. At b = 1 that is what Texygen and TextGAN subtract, the mean.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from textbench.contracts.trainer import Position

from .adversarial import ClassifierConfig, ClassifierTrainer

LARGEST = 1.0 - 1e-6
"""D is clamped here before the odds are formed, which would overflow at D = 1."""


class MaliGANConfig(ClassifierConfig):
    """Options of `maligan`. The paper publishes no schedule: the defaults are SeqGAN's."""

    baseline: float = Field(1.0, ge=0)
    """b of the weights r_i / Σr - b/B, constant; at 1 they sum to 0 (Texygen, TextGAN). The paper
    subtracts b itself, raised from 0 to 1: our reading is in units of the mean weight."""
    weight: Literal["odds", "probability"] = "odds"
    """r: the paper's D / (1 - D), or D itself (Texygen)."""
    passes: int = Field(1, ge=1)
    """Evaluations of D to average for a weight. They differ only with `weight_dropout`: Texygen's
    16 are equal, for its D has no dropout."""
    weight_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout of D while it weighs samples; the paper has none."""


class MaliGAN(ClassifierTrainer[MaliGANConfig]):
    """MaliGAN: importance-weighted maximum likelihood on generated sequences."""

    name = "maligan"
    title = "MaliGAN"
    version = 2
    config_schema = MaliGANConfig

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One update: of the generator on Σ_i (w_i − b/B) ∇ log G(x_i), or of D."""
        if not self.is_generator_turn(at):
            return self.d_step(at)
        x = self.sample(self.config.batch)
        w = self.weights(x)
        log = self.reinforce(x, w.unsqueeze(1).expand_as(x))
        return {"g_loss": log["g_loss"], "largest_weight": w.max()}

    def weights(self, x: Tensor) -> Tensor:
        """Return r_i / Σ_j r_j − b/B of a minibatch ``(B, T)``: ``(B,)``."""
        c, D = self.config, self.discriminator
        ds = [D.real_probability(x, c.weight_dropout, self.context.rng) for _ in range(c.passes)]
        d = torch.stack(ds).mean(0)
        d = d.clamp(max=LARGEST)
        r = d / (1.0 - d) if c.weight == "odds" else d
        return r / r.sum() - c.baseline / len(x)
