"""LeakGAN: the discriminator leaks its features to a hierarchical generator.

"Long Text Generation via Adversarial Training with Leaked Information" (Guo et al., AAAI 2018) and
CR-Gjx/LeakGAN, ``Synthetic Data``; the defaults are that code's for T = 20, save that every sample
is drawn at temperature 1 (its "No Temperature" copy; `leakgan:paper_temperature` is the other).

What the code does differently by accident, and we do not repeat:

* its reward "ranks" come from the order of a hash table; ours rank by reward (`rescaled`);
* its cosines are averaged to one scalar before they meet the rewards; ours stay one per block
  for the Manager and one per token for the Worker;
* its first goal is a table with one row per position in the minibatch; ours is one vector;
* its sampler and its teacher forcing add up different sub-goals (steps 4b−4..4b−1 and 4b−3..4b),
  so the likelihood is not that of the samples; ours is the sampler's, in both;
* T must be divisible by 4 there; here the last block is shorter;
* its discriminator gets new real data for every load; ours has the training set, as all others.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from textbench.contracts.config import tunable
from textbench.contracts.number import LARGEST_ALPHA
from textbench.contracts.trainer import Phase, Position

from .discriminator import TextCNN
from .leak_generator import LeakedGenerator
from .loads import DiscriminatorConfig, DiscriminatorTrainer


class LeakGANConfig(DiscriminatorConfig):
    """Options of `leakgan`."""

    pretrain_rounds: int = Field(10, ge=0)
    """Times that discriminator and generator are pre-trained in turn (interleaved training)."""
    pretrain_d_steps: int = Field(5, ge=1)
    """Loads of fresh fakes for the discriminator in each of these."""
    pretrain_g_epochs: int = Field(8, ge=1)
    """Passes over the training sequences for the generator in each of these."""
    pretrain_g_batches: int = Field(0, ge=0)
    """Batches that count as such a pass; 0 takes all. The authors' Image COCO code reads the first
    twentieth of its file again and again."""
    rounds: int = Field(800, ge=0)
    """Adversarial rounds; a round counts as one epoch."""
    g_steps: int = Field(1, ge=1)
    """Generator updates per round."""
    batch: int = Field(64, ge=1)
    """Sequences per generator update, and the B of the reward ranks."""
    g_lr: float = Field(0.0015, gt=0, json_schema_extra=tunable("log", 3e-4, 1e-2))
    """Adam's learning rate of Manager and Worker; the adversarial phase starts with fresh state."""
    clip: float = Field(5.0, ge=0)
    """Largest global gradient norm, of Manager and Worker each; 0 does not clip."""
    block: int = Field(4, ge=1)
    """Tokens per goal: the paper's c."""
    goal_size: int = Field(16, ge=1)
    """Width of the projected goal: the paper's k."""
    hidden: int = Field(0, ge=0)
    """Width of embedding and LSTM states; 0 takes the backbone's (authors: 128 on real text)."""
    rollouts: int = Field(4, ge=1)
    """Completions of every prefix that ends a block, by the current generator."""
    rank_slope: float = Field(16.0, gt=0)
    """Rewards become sigmoid(slope · (rank/B - 1/2)), rank 1 the lowest: the paper's delta."""
    rank_real_every: int = Field(0, ge=0)
    """Rounds after which one more true sequence competes in that ranking, up to `batch` of them;
    0 has none do so (Image COCO code: 2)."""
    mle_every: int = Field(0, ge=0)
    """Rounds from one pass of pre-training between the adversarial ones to the next, the first
    after the first round's update; 0 has none (Image COCO code: 15)."""
    first_alpha: float = Field(1.0, gt=0, le=LARGEST_ALPHA)
    """Inverse temperature of a training sample's first `first_tokens` tokens (main code: 1.5)."""
    first_tokens: int = Field(2, ge=0)
    """How many tokens that is."""
    alpha: float = Field(1.0, gt=0, le=LARGEST_ALPHA)
    """Inverse temperature of the other tokens of these samples."""
    fake_alpha: float = Field(1.0, gt=0, le=LARGEST_ALPHA)
    """Inverse temperature of the discriminator's fakes (authors' main code: 1.5)."""
    d_epochs: int = Field(3, ge=1)
    """Passes over each load, here and in pre-training."""
    d_lr: float = Field(5e-5, gt=0, json_schema_extra=tunable("log", 1e-5, 3e-3))
    """Adam's learning rate of the discriminator; no clipping, no dropout, no penalty."""

    added_options: ClassVar[frozenset[str]] = frozenset(
        {"hidden", "pretrain_g_batches", "rank_real_every", "mle_every"}
    )


class LeakGAN(DiscriminatorTrainer[LeakGANConfig]):
    """LeakGAN: Manager and Worker, guided by features that the discriminator leaks."""

    name = "leakgan"
    title = "LeakGAN"
    version = 2
    config_schema = LeakGANConfig
    own_generator = True

    generator: LeakedGenerator

    def phases(self) -> list[Phase]:
        """Interleaved pre-training of discriminator and generator, then adversarial rounds."""
        c, load = self.config, self.config.d_epochs * self.minibatches()
        pretraining = [
            Phase("discriminator", c.pretrain_d_steps, load, trains_generator=False),
            Phase("pretraining", c.pretrain_g_epochs, self.batches()),
        ]
        steps = c.g_steps + c.d_steps * load
        rounds = [Phase("adversarial", c.rounds, steps)]
        if c.mle_every:  # a round with a pass of pre-training is longer than those that follow
            rounds = []
            for first in range(0, c.rounds, c.mle_every):
                others = min(c.mle_every, c.rounds - first) - 1
                rounds.append(Phase("adversarial", 1, steps + self.batches()))
                rounds += [Phase("adversarial", others, steps)] * (others > 0)
        return pretraining * c.pretrain_rounds + rounds * (c.rounds > 0)

    def batches(self) -> int:
        """Return how many updates are one pass of pre-training."""
        return self.config.pretrain_g_batches or self.context.data.batches(self.config.batch)

    def setup(self) -> None:
        """Draw D and G; D is a part of G, whose features it provides."""
        c, context = self.config, self.context
        self.generator = LeakedGenerator(
            self.new_discriminator(TextCNN, context.vocab_size + 1),
            context.length,
            **{key: c.hidden or size for key, size in context.backbone.items()},
            goal_size=c.goal_size,
            block=c.block,
        )
        self.generator.initialise(context.stream("hierarchical generator"))
        self.generator.to(context.device)
        own = self.generator.own_parameters()
        self.pretraining_optimiser = torch.optim.Adam(own, lr=c.g_lr, fused=True)
        self.adversarial_optimiser = torch.optim.Adam(own, lr=c.g_lr, fused=True)
        self.updates = 0
        self.reinforced = 0
        self.rivals = 0

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One update: of G by maximum likelihood, of G by its rewards, or of D."""
        if at.phase == "pretraining":
            return self._pretrain_generator()
        if at.phase == "discriminator":
            return self.train_discriminator(at.index, self.config.d_epochs)
        index = at.index - self.config.g_steps
        if index < 0:
            return self._reinforce_generator()
        every, number = self.config.mle_every, self.reinforced // self.config.g_steps - 1
        if every and number % every == 0:
            if index < self.batches():
                return self._pretrain_generator()
            index -= self.batches()
        return self.train_discriminator(index, self.config.d_epochs)

    # -- the generator ---------------------------------------------------------------------

    def _pretrain_generator(self) -> dict[str, float | Tensor]:
        """Worker: mean NLL. Manager: minus the mean cosine, as if every reward were 1."""
        x = self.context.data.batch(self.updates, self.config.batch)
        self.updates += 1
        features = self.generator.features(x)
        goals = self.generator.goals(features)
        cosine = block_cosines(features, goals, self.config.block).mean()
        nll = self.generator.weighted_nll(x, goals=goals.detach())
        self._descend(nll - cosine, self.pretraining_optimiser)
        return {"nll": nll.detach(), "goal_cosine": cosine.detach()}

    def _reinforce_generator(self) -> dict[str, float | Tensor]:
        """One update on samples.

        Manager: −mean_{i,b} R_ib cos(f_end(b) − f_start(b), goal_b).
        Worker: −mean_{i,t} r_it log G(x_it | x_i,<t), with the intrinsic reward
        r_it = cos(f_{t+1} − f_start(b), goal_b) of the code (the paper averages over the last c
        goals instead).
        """
        c = self.config
        alphas = [
            c.first_alpha if t < c.first_tokens else c.alpha for t in range(self.context.length)
        ]
        x = self._sample(c.batch, alphas)
        values = self.block_values(x)
        features = self.generator.features(x)
        goals = self.generator.goals(features)
        rewards = self._ranked(values)
        self.reinforced += 1
        manager_loss = -(rewards * block_cosines(features, goals, c.block)).mean()
        intrinsic = token_cosines(features, goals.detach(), c.block)
        worker_loss = self.generator.weighted_nll(x, intrinsic / x.numel(), goals=goals.detach())
        self._descend(manager_loss + worker_loss, self.adversarial_optimiser)
        return {
            "manager_loss": manager_loss.detach(),
            "worker_loss": worker_loss.detach(),
            "reward": values.mean(),
            "intrinsic_reward": intrinsic.mean(),
        }

    @torch.no_grad()
    def block_values(self, x: Tensor) -> Tensor:
        """Return how real every block's end looks, of samples ``(B, T)``: ``(B, blocks)``.

        For a block that ends before T, the mean D over roll-outs of the current generator (at
        temperature 1) from its end; for the last block, D of the sequence itself.
        """
        n, generator = self.config.rollouts, self.generator
        walk, values = generator.begin(len(x)), []
        for t in range(1, self.context.length):
            generator.extend(walk, x[:, t - 1])
            if t % self.config.block == 0:
                ends = generator.complete(walk.repeat(n), self.context.rng)
                whole = torch.cat([x[:, :t].repeat(n, 1), ends], 1)
                values.append(self._realness(whole).view(n, -1).mean(0))
        return torch.stack([*values, self._realness(x)], 1)

    @torch.no_grad()
    def _ranked(self, values: Tensor) -> Tensor:
        """Return the rescaled rewards of ``(B, blocks)`` values, true sequences competing as well.

        As in the Image COCO code a rival's value is its mean D over as many batches as there are
        roll-outs, the same for every block; and one more joins every `rank_real_every` rounds.
        """
        c, blocks = self.config, values.shape[1]
        every = c.rank_real_every * c.g_steps
        rivals = min(len(values), self.reinforced // every) if every else 0
        if not rivals:
            return rescaled(values, c.rank_slope)
        batches = range(self.rivals, self.rivals + c.rollouts)
        real = [self.context.data.batch(index, c.batch)[:rivals] for index in batches]
        self.rivals += c.rollouts
        realness = torch.stack([self._realness(x) for x in real]).mean(0)
        everyone = torch.cat([values, realness.unsqueeze(1).expand(-1, blocks)])
        return rescaled(everyone, c.rank_slope)[: len(values)]

    def _realness(self, x: Tensor) -> Tensor:
        return self.generator.discriminator.real_probability(x + 1)

    def _sample(self, n: int, alphas: list[float]) -> Tensor:
        return self.generator.sample_tempered(n, self.context.rng, alphas)

    def _descend(self, loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
        """Step along both gradients; the Manager's and the Worker's losses share no parameter."""
        optimiser.zero_grad()
        loss.backward()
        if self.config.clip:
            clip_grad_norm_(self.generator.manager_parameters(), self.config.clip)
            clip_grad_norm_(self.generator.worker_parameters(), self.config.clip)
        optimiser.step()

    # -- the discriminator -----------------------------------------------------------------

    def discriminator_loss(self, sequences: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy on real and fake."""
        return self.generator.discriminator.loss(sequences + 1, labels)

    def fakes(self, n: int) -> Tensor:
        """Samples at a temperature of their own."""
        return self._sample(n, [self.config.fake_alpha] * self.context.length)


def rescaled(values: Tensor, slope: float) -> Tensor:
    """Return the bootstrapped rescaled activation σ(δ·(ρ/B − ½)) of ``(B, blocks)`` rewards.

    ρ is the rank of a reward among the B of its block, 1 the lowest, B the highest; equal rewards
    share the mean of their ranks. (Paper, "Bootstrapped Rescaled Activation", which counts ranks
    from the top; the code has δ = 16. Its further division by the number of roll-outs only
    scales the gradient, which Adam undoes, and is left out.)
    """
    mine, other = values.unsqueeze(1), values.unsqueeze(0)
    below, equal = (other < mine).sum(1), (other == mine).sum(1)
    rank = (below + (equal + 1) / 2).to(values.dtype)
    return torch.sigmoid(slope * (rank / len(values) - 0.5))


def block_cosines(features: Tensor, goals: Tensor, block: int) -> Tensor:
    """Return cos(f_end(b) − f_start(b), goal_b) of every block, ``(B, blocks)``.

    Args:
        features: f_0 ... f_T, ``(B, T + 1, F)``.
        goals: The goal in force in each block, ``(B, blocks, F)``.
        block: Tokens per block; the last one may be shorter.
    """
    start = torch.arange(goals.shape[1], device=goals.device) * block
    end = (start + block).clamp(max=features.shape[1] - 1)
    return F.cosine_similarity(features[:, end] - features[:, start], goals, dim=2)


def token_cosines(features: Tensor, goals: Tensor, block: int) -> Tensor:
    """Return cos(f_{t+1} − f_start(b), goal_b) of every token x_t in block b, ``(B, T)``.

    Arguments as in `block_cosines`.
    """
    t = torch.arange(features.shape[1] - 1, device=goals.device)
    b = t // block
    return F.cosine_similarity(features[:, t + 1] - features[:, b * block], goals[:, b], dim=2)
