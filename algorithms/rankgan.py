"""RankGAN: a ranker in place of SeqGAN's discriminator.

"Adversarial Ranking for Language Generation" (NIPS 2017). A sequence's rank score is the softmax,
over the sequences it is compared with, of the summed cosines between its features and those of
reference real sequences; the ranker is trained to rank real above fake, the generator to be ranked
high. As in both released codes, the compared sequences are simply the minibatch (real and fake in
the ranker's training, fakes alone at reward time), and the rewards of a batch sum to 1.

The defaults are the authors' code (cookielee77/RankGan-NIPS2017): sum over 16 references, γ = 1,
32 sequences per generator update, ranker initialised U(-0.1, 0.1).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from textbench.backbone.rollout import rollouts
from textbench.contracts.trainer import Position

from .adversarial import AdversarialConfig, AdversarialTrainer
from .discriminator import FAKE, REAL, TextFeatures


class RankGANConfig(AdversarialConfig):
    """Options of `rankgan`; the defaults are its authors' code. The ranker has no L2 penalty."""

    batch: int = Field(32, ge=1)
    """Sequences per generator update; they compete for one unit of reward (authors: 32)."""
    d_epochs: int = Field(1, ge=1)
    """Passes of the ranker over each load in a round (authors: 1; 3 in pre-training)."""
    rollouts: int = Field(16, ge=1)
    """Monte Carlo completions of every prefix."""
    references: int = Field(16, ge=1)
    """Real sequences |U| to compare with, drawn anew for every minibatch and every reward."""
    relevance: Literal["sum", "mean"] = "sum"
    """How the cosines to the references are combined: the sum is |U| times sharper."""
    gamma: float = Field(1.0, gt=0)
    """Sharpness of the softmax over the compared sequences."""
    d_init: Literal["uniform", "seqgan"] = "uniform"
    """``uniform``: embedding and convolutions U(-0.1, 0.1); ``seqgan``: as SeqGAN's CNN."""


class RankGAN(AdversarialTrainer[RankGANConfig]):
    """RankGAN: SeqGAN's policy gradient, rewarded by relative ranks."""

    name = "rankgan"
    title = "RankGAN"
    version = 2
    config_schema = RankGANConfig

    def setup(self) -> None:
        """Create generator and ranker."""
        super().setup()
        self.ranker = self.new_discriminator(TextFeatures, self.context.vocab_size)
        if self.config.d_init == "uniform":
            rng = self.context.stream("ranker-uniform")
            with torch.no_grad():
                for part in (self.ranker.embedding, *self.ranker.kernels, self.ranker.kernel_bias):
                    part.copy_(torch.empty(part.shape).uniform_(-0.1, 0.1, generator=rng))

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One update: of the generator, on its samples' rank scores, or of the ranker."""
        if not self.is_generator_turn(at):
            return self.d_step(at)
        s = self.sample(self.config.batch)
        return self.reinforce(s, self.rank_rewards(s))

    @torch.no_grad()
    def rank_rewards(self, s: Tensor) -> Tensor:
        """Return the reward of every action of ``s`` ``(B, T)``: ``(B, T)``, columns sum to 1.

        For every prefix length and roll-out the completions of the batch compete in one softmax;
        the reward is the mean share over the roll-outs. The last column ranks ``s`` itself.
        """
        completed = rollouts(self.generator, s, self.config.rollouts, self.context.rng)
        prefixes, n, batch, length = completed.shape
        judged = torch.cat([completed.view(-1, length), s])
        y_u = self.ranker.features(self._references())
        scores = torch.cat(
            [self.relevance(y_s, y_u) for y_s in self.ranker.features_of_many(judged)]
        )
        shares = scores[:-batch].view(prefixes, n, batch).softmax(2).mean(1)
        return torch.cat([shares, scores[-batch:].softmax(0).unsqueeze(0)]).t()

    def relevance(self, y_s: Tensor, y_u: Tensor) -> Tensor:
        """Return γ Σ_u cos(y_s, y_u), or γ times the mean: ``(B,)``.

        Args:
            y_s: Features of the compared sequences, ``(B, F)``.
            y_u: Features of the references, ``(|U|, F)``.
        """
        cosines = F.normalize(y_s, dim=1) @ F.normalize(y_u, dim=1).t()
        total = cosines.sum(1) if self.config.relevance == "sum" else cosines.mean(1)
        return self.config.gamma * total

    def discriminator_loss(self, sequences: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean log-rank of the fakes minus that of the reals; one softmax ranks them all.

        A minibatch without one of the kinds leaves that term out. The accuracy is the share of
        (real, fake) pairs in the minibatch that are ranked in this order.
        """
        y_s, y_u = (
            self.ranker.features(x, self.config.d_dropout, self.context.rng)
            for x in (sequences, self._references())
        )
        scores = self.relevance(y_s, y_u)
        log_rank = scores.log_softmax(0)
        real, fake = (labels == REAL).float(), (labels == FAKE).float()
        reals, fakes = real.sum().clamp(min=1), fake.sum().clamp(min=1)
        loss = (fake @ log_rank) / fakes - (real @ log_rank) / reals
        above = (scores.unsqueeze(1) > scores.unsqueeze(0)).float()
        return loss, real @ above @ fake / (reals * fakes)

    def _references(self) -> Tensor:
        """Draw U: real sequences, with replacement, ``(|U|, T)``."""
        real = self.context.data.sequences(self.loads)
        rows = torch.randint(
            len(real), (self.config.references,), generator=self.context.rng, device=real.device
        )
        return real[rows]
