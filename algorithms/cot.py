"""Cooperative Training (CoT), after Algorithm 1 of "CoT: Cooperative Training for Generative
Modeling of Discrete Data".

A mediator M learns the mixture ½(P + G) by maximum likelihood on mixed samples (Eq. 9); the
generator G moves towards it by the full-vocabulary KL(π_g ‖ π_m) at its own prefixes (Eq. 13).

Like every released state of the authors' code, and unlike the letter of Eq. 13, the sampled
prefixes are constants: the gradient acts inside the expectation. The code's order is kept too:
generator first, then mediator (Algorithm 1 prints the mediator first).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from textbench.schema import Config
from textbench.trainer import Phase, Position, Trainer

LOG_EVERY = 10
"""Iterations between two measurements of the balanced NLL, as in the authors' code."""


class CoTConfig(Config):
    """Options of `cot`; the defaults are what the paper's Appendix C describes."""

    epochs: int = Field(1282, ge=1)
    """Passes over the training sequences (official code: 200,000 iterations of 64)."""
    batch: int = Field(64, ge=1)
    """Sequences per generator update, and from each side of the mediator's mixture."""
    g_lr: float = Field(1e-2, gt=0)
    """Adam's learning rate of the generator."""
    m_lr: float = Field(1e-2, gt=0)
    """Adam's learning rate of the mediator."""
    beta2: float = Field(0.999, gt=0, lt=1)
    """Adam's second moment decay, of both."""
    clip: float = Field(5.0, ge=0)
    """Largest global gradient norm, of both; 0 does not clip."""
    g_steps: int = Field(1, ge=1)
    """Generator updates per iteration."""
    m_steps: int = Field(1, ge=1)
    """Mediator updates per iteration: N_m of Algorithm 1."""
    m_embedding: int = Field(64, ge=1)
    """Width of the mediator's embedding."""
    m_hidden: int = Field(64, ge=1)
    """Width of the mediator's state: twice the generator's (Appendix C)."""
    m_dropout: float = Field(0.5, ge=0, lt=1)
    """Probability of dropping a unit before the mediator's output layer, in its own update only."""
    m_init: Literal["normal", "cudnn"] = "normal"
    """``normal``: all N(0, 0.1²); ``cudnn``: orthogonal LSTM kernels and zero LSTM biases."""
    m_batch: Literal["both", "half"] = "both"
    """``both``: batch + batch sequences; ``half``: only half of them, drawn from the mixture."""
    g_scale: Literal["sequence", "token"] = "sequence"
    """Generator loss per sequence (summed over time) or per token (divided by T as well)."""


class CoT(Trainer[CoTConfig]):
    """Cooperative Training: a mediator learns the mixture, the generator follows it."""

    name = "cot"
    config_schema = CoTConfig

    def phases(self) -> list[Phase]:
        """One phase, no pre-training; an epoch is one pass over the training sequences."""
        return [Phase("cot", self.config.epochs, self.context.data.batches(self.config.batch))]

    def setup(self) -> None:
        """Algorithm 1, line 1: initialise G and M with random weights."""
        config = self.config
        self.generator = self.context.initial_generator()
        self.mediator = self.context.new_lstm(
            "mediator", embedding=config.m_embedding, hidden=config.m_hidden
        )
        if config.m_init == "cudnn":
            self._initialise_like_cudnn()
        betas = (0.9, config.beta2)
        self.g_optimiser = torch.optim.Adam(
            self.generator.parameters(), lr=config.g_lr, betas=betas, fused=True
        )
        self.m_optimiser = torch.optim.Adam(
            self.mediator.parameters(), lr=config.m_lr, betas=betas, fused=True
        )
        self.m_updates = 0

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One iteration of Algorithm 1: generator updates, then N_m mediator updates.

        ``balanced_nll``, the paper's progress indicator, is Eq. 9 in nats per token on the mixed
        batch, before the mediator's update and without dropout.
        """
        for _ in range(self.config.g_steps):
            kl = self._update_generator()
        logged: dict[str, float | Tensor] = {"kl_to_mediator": kl}
        for i in range(self.config.m_steps):
            s = self._mixed_batch()
            if i == 0 and at.index % LOG_EVERY == 0:
                with torch.no_grad():
                    logged["balanced_nll"] = self.mediator.weighted_nll(s)
            self._update_mediator(s)
        return logged

    def _update_generator(self) -> Tensor:
        """Lines 8-9: s ~ G, then descend Σ_t π_g(s_t)ᵀ (log π_g(s_t) − log π_m(s_t)) (Eq. 13)."""
        s = self._sample()
        kl = self.generator.kl_at_prefixes(s, self.mediator) / len(s)
        loss = kl / self.context.length if self.config.g_scale == "token" else kl
        self.g_optimiser.zero_grad()
        loss.backward()
        if self.config.clip:
            clip_grad_norm_(self.generator.parameters(), self.config.clip)
        self.g_optimiser.step()
        self.context.ledger["generator_updates"] += 1
        self.context.ledger["tokens_scored"] += 2 * s.numel()
        return kl.detach() / self.context.length

    def _mixed_batch(self) -> Tensor:
        """Lines 4-5: collect {s_g} and {s_p}, equal in number, and mix them."""
        s_p = self.context.data.batch(self.m_updates, self.config.batch)
        s = torch.cat([s_p, self._sample()])
        if self.config.m_batch == "half":
            chosen = torch.randperm(len(s), generator=self.context.rng, device=s.device)
            s = s[chosen[: len(s) // 2]]
        return s

    def _update_mediator(self, s: Tensor) -> None:
        """Line 6: one maximum-likelihood step on the mixed batch (Eq. 9)."""
        self.m_optimiser.zero_grad()
        loss = self.mediator.weighted_nll(s, dropout=self.config.m_dropout, rng=self.context.rng)
        loss.backward()
        if self.config.clip:
            clip_grad_norm_(self.mediator.parameters(), self.config.clip)
        self.m_optimiser.step()
        self.m_updates += 1
        self.context.ledger["critic_updates"] += 1
        self.context.ledger["tokens_scored"] += s.numel()

    def _sample(self) -> Tensor:
        s = self.generator.sample(self.config.batch, self.context.rng)
        self.context.ledger["tokens_sampled"] += s.numel()
        return s

    def _initialise_like_cudnn(self) -> None:
        """Orthogonal LSTM kernels per gate and zero biases, as CudnnLSTM's defaults."""
        rng = self.context.stream("mediator-orthogonal")
        with torch.no_grad():
            for kernel in (self.mediator.weight_ih, self.mediator.weight_hh):
                for gate in kernel.chunk(4):
                    drawn = torch.empty(gate.shape)
                    gate.copy_(torch.nn.init.orthogonal_(drawn, generator=rng))
            self.mediator.bias.zero_()
