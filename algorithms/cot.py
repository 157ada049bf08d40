"""Cooperative Training (CoT), Algorithm 1 of its paper (ICLR 2019 submission).

A mediator M learns the mixture ½(P + G) by maximum likelihood on mixed samples (Eq. 9); the
generator G moves towards it by the full-vocabulary KL(π_g ‖ π_m) at its own prefixes (Eq. 13).

Like every released state of the authors' code, and unlike the letter of Eq. 13, the sampled
prefixes are constants: the gradient acts inside the expectation (`gradient` = "full" adds what
that drops). The code's order is kept too: generator first, then mediator (Algorithm 1 prints the
mediator first).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from textbench.backbone.descent import descend
from textbench.backbone.losses import linear_kl_rows
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import Config, tunable
from textbench.contracts.trainer import Phase, Position, Trainer

from .cudnn_init import initialise_like_cudnn
from .full_gradient import prefix_term
from .goal_generator import GoalFactoredGenerator

LOG_EVERY = 10
"""Iterations between two measurements of the balanced NLL, as in the authors' code."""


class CoTConfig(Config):
    """Options of `cot`; the defaults are what the paper's Appendix C recommends."""

    epochs: int = Field(1282, ge=1)
    """Passes over the training sequences (official code: 200,000 iterations of 64)."""
    iterations: int = Field(0, ge=0)
    """Generator updates in all, rounded up to whole epochs, in place of `epochs`; 0 counts passes.
    A pass over a large corpus is another thing than one over 10,000 sequences."""
    batch: int = Field(64, ge=1)
    """Sequences per generator update, and from each side of the mediator's mixture."""
    g_lr: float = Field(1e-2, gt=0, json_schema_extra=tunable("log", 1e-3, 3e-2))
    """Adam's learning rate of the generator."""
    m_lr: float = Field(1e-2, gt=0, json_schema_extra=tunable("log", 1e-3, 3e-2))
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
    m_dropout: float = Field(0.5, ge=0, lt=1, json_schema_extra=tunable("linear", 0.0, 0.6))
    """Probability of dropping a unit before the mediator's output layer, in its own update only."""
    m_init: Literal["normal", "cudnn"] = "normal"
    """``normal``: all N(0, 0.1²); ``cudnn``: orthogonal LSTM kernels and zero LSTM biases."""
    m_batch: Literal["both", "half"] = "both"
    """``both``: batch + batch sequences; ``half``: only half of them, drawn from the mixture."""
    g_scale: Literal["sequence", "token"] = "sequence"
    """Generator loss per sequence (summed over time) or per token (divided by T as well)."""
    m_target: Literal["mixture", "data"] = "mixture"
    """What the mediator learns: ½(P + G), or P alone (reverse KL, Eqs. 19 and 20)."""
    m_floor: float = Field(0.0, le=0)
    """log π_m is not taken below this in the generator's loss; 0 takes it as it is."""
    gradient: Literal["inside", "full"] = "inside"
    """Eq. 13 with constant prefixes, or with the gradient of their distribution as well."""
    generator: Literal["lstm", "goal_factored"] = "lstm"
    """The shared LSTM, or Manager and Worker as in LeakGAN (our reading of CoT-strong)."""
    g_hidden: int = Field(0, ge=0)
    """Width of embedding and states of Manager and Worker; 0 takes the backbone's."""

    added_options: ClassVar[frozenset[str]] = frozenset({"g_hidden", "iterations"})

    @model_validator(mode="after")
    def _options_that_would_do_nothing(self) -> Self:
        if self.g_hidden and self.generator == "lstm":
            raise ValueError("g_hidden is for generator=goal_factored, the row cot:strong")
        if self.m_batch == "half" and self.m_target == "data":
            raise ValueError("m_batch=half is half of a mixture, and m_target=data mixes nothing")
        return self


class CoT(Trainer[CoTConfig]):
    """Cooperative Training: a mediator learns the mixture, the generator follows it."""

    name = "cot"
    title = "CoT"
    version = 2
    config_schema = CoTConfig
    generator: LSTMLanguageModel | GoalFactoredGenerator

    @classmethod
    def brings_generator(cls, config: CoTConfig) -> bool:
        """CoT-strong does."""
        return config.generator != "lstm"

    def phases(self) -> list[Phase]:
        """One phase, no pre-training; an epoch has an iteration per batch of the training set."""
        batches = self.context.data.batches(self.config.batch)
        wanted = -(-self.config.iterations // batches)
        return [Phase("cot", wanted or self.config.epochs, batches)]

    def setup(self) -> None:
        """Algorithm 1, line 1: initialise G and M with random weights."""
        config = self.config
        self.generator = self._new_generator()
        self.mediator = self.context.new_lstm(
            "mediator", embedding=config.m_embedding, hidden=config.m_hidden
        )
        if config.m_init == "cudnn":
            initialise_like_cudnn(self.mediator, self.context.stream("mediator-orthogonal"))
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

        The mediator's loss is measured before its first update, without dropout. It is the
        paper's progress indicator, the balanced NLL (Eq. 9), in nats per token.
        """
        log = at.index % LOG_EVERY == 0
        for _ in range(self.config.g_steps):
            logged = self._update_generator(log)
        for i in range(self.config.m_steps):
            s = self._mediator_batch()
            if i == 0 and log:
                mixture = self.config.m_target == "mixture"
                with torch.no_grad():
                    nll = self.mediator.weighted_nll(s)
                logged["balanced_nll" if mixture else "mediator_nll"] = nll
            self._update_mediator(s)
        return logged

    def _update_generator(self, log: bool) -> dict[str, float | Tensor]:
        """Lines 8-9: s ~ G, then descend Σ_t π_g(s_t)ᵀ (log π_g(s_t) − log π_m(s_t)) (Eq. 13)."""
        s = self._sample(self.config.batch)
        loss, at_prefixes = self._kl_to_mediator(s)
        logged: dict[str, float | Tensor] = {"kl_to_mediator": loss.detach() / s.shape[1]}
        if self.config.m_floor and log:
            with torch.no_grad():
                raised = self.mediator.log_probs(s) < self.config.m_floor
            logged["floored"] = raised.float().mean()
        if self.config.gradient == "full":
            loss = loss + prefix_term(self.generator, s, at_prefixes)
        if self.config.g_scale == "token":
            loss = loss / s.shape[1]
        descend(loss, self.g_optimiser, self.config.clip)
        return logged

    def _kl_to_mediator(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return Σ_t KL(π_g(s_t) ‖ π_m(s_t)), the mean over s, and every term, ``(B, T)``.

        π_m, without dropout, and the prefixes s_t are constants.
        """
        G, M = self.generator, self.mediator
        with torch.no_grad():
            other = M.head(M.hidden(s))
        total, terms = linear_kl_rows(
            *G.head(G.hidden(s)), other, floor=self.config.m_floor or -math.inf
        )
        return total / len(s), terms.view(s.shape)

    def _mediator_batch(self) -> Tensor:
        """Lines 4-5: collect {s_g} and {s_p}, equal in number, and mix them."""
        s_p = self.context.data.batch(self.m_updates, self.config.batch)
        if self.config.m_target == "data":
            return s_p
        s = torch.cat([s_p, self._sample(len(s_p))])
        if self.config.m_batch == "half":
            chosen = torch.randperm(len(s), generator=self.context.rng, device=s.device)
            s = s[chosen[: len(s) // 2]]
        return s

    def _update_mediator(self, s: Tensor) -> None:
        """Line 6: one maximum-likelihood step on the mixed batch (Eq. 9; on P alone Eq. 19)."""
        loss = self.mediator.weighted_nll(s, dropout=self.config.m_dropout, rng=self.context.rng)
        descend(loss, self.m_optimiser, self.config.clip)
        self.m_updates += 1

    def _sample(self, n: int) -> Tensor:
        return self.generator.sample(n, self.context.rng)

    def _new_generator(self) -> LSTMLanguageModel | GoalFactoredGenerator:
        if self.config.generator == "lstm":
            return self.context.initial_generator()
        wanted, backbone = self.config.g_hidden, self.context.backbone
        sizes = {key: wanted or size for key, size in backbone.items()}
        generator = GoalFactoredGenerator(self.context.vocab_size, self.context.length, **sizes)
        generator.initialise(self.context.stream("generator"))
        return generator.to(self.context.device)
