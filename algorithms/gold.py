"""GOLD (Pang and He, ICLR 2021): learning from demonstrations by off-policy policy gradient.

True sequences are taken for the demonstrations of a policy, and maximise a reward instead of their
likelihood, with importance weights:

    L = mean over tokens of −sg(clamp(π~, u, 1) · Q) log q,

where π~ is the likelihood of the token under an older policy, renewed every few thousand updates,
and Q its return: what p, the likelihood under maximum likelihood (the warm-up, which never
changes), says of the token and of the next few,

    "sum of p": Q_t = Σ_k max(p_{t+k}, c),    "log p": Q_t = Σ_k max(log p_{t+k} + 10, c).

As in the code (yzpang/gold-off-policy-text-gen-iclr21, criterion
``label_smoothed_cross_entropy.py``) k runs from 0 to 5, though its option for that says "not used
now", and tokens beyond the end have p = 1.
Constants are the published ones; so are the optimiser's (``run_iwslt_golds.sh``: Adam 3e-4, L2
1e-4, no clipping), which are for translation. The number of epochs is our choice.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textbench.contracts.config import tunable

from .reweighted import Log, ReweightedConfig, ReweightedTrainer
from .warmup import WarmedConfig, WarmedTrainer

LOG_P_BASELINE = -10.0
"""What "log p" is measured from (code: ``--q-baseline``)."""


class GOLDConfig(ReweightedConfig, WarmedConfig):
    """Options of `gold`."""

    epochs: int = Field(40, ge=1)
    """Passes over the training sequences after the warm-up; ours, for two renewals of π~."""
    lr: float = Field(3e-4, gt=0, json_schema_extra=tunable("log", 1e-4, 3e-2))
    """Adam's learning rate (GOLD code, for translation: 3e-4); its state is not the warm-up's."""
    weight_decay: float = Field(1e-4, ge=0)
    """This times the parameters is added to the gradient, Adam's L2 penalty (GOLD code: 1e-4)."""
    importance_floor: float = Field(0.2, ge=0, le=1, json_schema_extra=tunable("log", 1e-4, 0.5))
    """u: no importance weight is below this (GOLD code: 0.2)."""
    reward: Literal["sum_p", "log_p"] = "sum_p"
    """Of a token: max(p, c), or max(log p + 10, c)."""
    reward_floor: float = Field(0.1, ge=0, json_schema_extra=tunable("log", 1e-4, 0.5))
    """c: no token's reward is below this (GOLD code: 0.1)."""
    suffix: int = Field(5, ge=0)
    """Tokens after its own that count in a token's return (GOLD code: 5)."""
    discount: float = Field(1.0, gt=0, le=1)
    """What the reward of the k-th token after it is multiplied by, to the power of k."""
    renewal: int = Field(3000, ge=1)
    """Updates after which π~ becomes the present policy (GOLD code: 3,000)."""


class GOLD(ReweightedTrainer[GOLDConfig], WarmedTrainer[GOLDConfig]):
    """Off-policy policy gradient on true sequences, rewarded by what maximum likelihood likes."""

    name = "gold"
    title = "GOLD"
    version: ClassVar[int] = 1
    config_schema = GOLDConfig

    def setup(self) -> None:
        """π, π~ and p are the warmed-up generator at first."""
        super().setup()
        self.older = self.context.initial_generator().requires_grad_(False)
        self.judge = self.context.initial_generator().requires_grad_(False)

    def loss(self, x: Tensor) -> tuple[Tensor, Log]:
        """Return −sg(clamp(π~, u, 1)·Q) log q, the mean over the tokens of ``x`` ``(B, T)``."""
        c = self.config
        if self.updates % c.renewal == 0:
            self.older.load_state_dict(self.generator.state_dict())
        pi = self.older.token_log_probs(x).exp()
        reward = self.reward(self.judge.token_log_probs(x))
        w = pi.clamp(c.importance_floor, 1.0) * self.returns(reward)
        loss = self.generator.weighted_nll(
            x, w / x.numel(), dropout=c.dropout, rng=self.context.rng
        )
        log: Log = {"weighted_nll": loss.detach(), "weight": w.mean()}
        log["importance_at_floor"] = (pi <= c.importance_floor).float().mean()
        log["reward_at_floor"] = (reward <= c.reward_floor).float().mean()
        return loss, log

    def reward(self, log_p: Tensor) -> Tensor:
        """Return every token's reward, shaped like ``log_p`` (nats), not below c."""
        raw = log_p.exp() if self.config.reward == "sum_p" else log_p - LOG_P_BASELINE
        return raw.clamp(min=self.config.reward_floor)

    def returns(self, reward: Tensor) -> Tensor:
        """Return Q_t = Σ_k discount^k · reward_{t+k}, k = 0..`suffix`, of ``(B, T)``."""
        c, length = self.config, reward.shape[1]
        beyond = self.reward(reward.new_zeros(len(reward), c.suffix))  # p = 1
        padded = torch.cat([reward, beyond], dim=1)
        total = reward
        for k in range(1, c.suffix + 1):
            total = total + c.discount**k * padded[:, k : k + length]
        return total
