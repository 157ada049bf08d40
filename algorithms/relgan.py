"""RelGAN (Nie et al., ICLR 2019): a generator that its discriminator's gradient reaches.

The generator draws symbols by the Gumbel-max trick and feeds them back; the discriminator reads
softmax(β·(logits + Gumbel noise)), through which a gradient passes (`textbench.backbone.gumbel`).
It looks at a sequence through many representations: its embedding is cut into R parts, a CNN reads
each part as a sequence of its own, and each gets a score. Scores of real and generated sequences
are compared in pairs, representation by representation (the relativistic standard GAN):

    D descends the mean of −log σ(D(x) − D(y)),    G that of −log σ(D(y) − D(x)).

β = B^(i/5000) rises with the round i. Sizes and schedule are those of weilinie/RelGAN,
``models/lstm_vanilla.py`` with ``oracle/experiments/oracle_relgan.py``, where B is 2, 5, 10 or 100.
The paper's own generator is a relational memory; here it is the shared LSTM, from the common
warm-up. The code sets β after a round, so that it lags ours by one.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from textbench.backbone.descent import descend
from textbench.backbone.gumbel import gumbel_max, relaxed
from textbench.backbone.ledger import reads
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import tunable
from textbench.contracts.trainer import Phase, Position

from .discriminator import Filters, filters_for
from .max_over_time import max_over_time
from .warmup import WarmedConfig, WarmedTrainer

ANNEALING = 5000
"""Rounds after which β would be B."""
_FILTERS = ((2, 300), (3, 300), (4, 300), (5, 300))


class RelGANConfig(WarmedConfig):
    """Options of `relgan`."""

    warmup_epochs: int = Field(150, ge=1)
    """Epochs of the maximum-likelihood warm-up, an ordinary `mle` run (RelGAN code: 150)."""
    rounds: int = Field(3000, ge=1, le=ANNEALING)
    """Adversarial rounds of one generator update and `d_steps` discriminator updates."""
    rounds_per_epoch: int = Field(20, ge=1)
    """Rounds that count as one epoch (RelGAN code: tests every 20); it divides `rounds`."""
    batch: int = Field(64, ge=1)
    """Real sequences, and as many generated ones, per update of either side."""
    g_lr: float = Field(1e-4, gt=0, json_schema_extra=tunable("log", 1e-5, 1e-2))
    """Adam's learning rate of the generator; its state is fresh, not the warm-up's."""
    d_lr: float = Field(1e-4, gt=0, json_schema_extra=tunable("log", 1e-5, 1e-2))
    """Adam's learning rate of the discriminator."""
    clip: float = Field(5.0, ge=0)
    """Largest global gradient norm, of both; 0 does not clip."""
    largest_beta: float = Field(2.0, ge=1, json_schema_extra=tunable("log", 1.0, 100.0))
    """B, what the inverse temperature rises to (RelGAN code: 2, 5, 10 and 100)."""
    d_steps: int = Field(5, ge=1)
    """Discriminator updates per round."""
    d_embedding: int = Field(64, ge=1)
    """Width of the discriminator's embedding."""
    d_representations: int = Field(0, ge=0)
    """R, the parts that it is cut into; 0 takes as many as its width, so that each has width 1."""
    d_filters: tuple[tuple[PositiveInt, PositiveInt], ...] = Field(_FILTERS, min_length=1)
    """(window, filters) pairs. Windows longer than the sequences are left out."""
    d_scale: float = Field(1.0, gt=0)
    """Multiplies the number of filters of every window."""
    d_dense: int = Field(100, ge=1)
    """Width of the linear layer before the discriminator's output."""
    d_dropout: float = Field(0.25, ge=0, lt=1)
    """Probability of dropping a feature, in the updates of both sides."""

    @model_validator(mode="after")
    def _whole_epochs(self) -> Self:
        if self.rounds % self.rounds_per_epoch:
            raise ValueError(f"rounds_per_epoch must divide rounds, {self.rounds}")
        parts = self.d_representations
        if parts and self.d_embedding % parts:
            raise ValueError(f"d_representations must divide d_embedding, {self.d_embedding}")
        return self


class Discriminator(nn.Module):
    """R scores of a sequence: one CNN with one highway layer reads R parts of the embedding.

    Args:
        vocab_size: V.
        embedding: Width of the embedding.
        parts: R.
        filters: (window, number of filters), no window longer than the sequences.
        dense: Width of the linear layer before the output.
    """

    def __init__(
        self, vocab_size: int, embedding: int, parts: int, filters: Filters, dense: int
    ) -> None:
        super().__init__()
        self.parts, part, width = parts, embedding // parts, sum(n for _, n in filters)
        self.embedding = nn.Parameter(torch.empty(vocab_size, embedding))
        self.kernels = nn.ParameterList(torch.empty(w * part, n) for w, n in filters)
        self.kernel_bias = nn.Parameter(torch.empty(width))
        self.transform = nn.Parameter(torch.empty(width, width))
        self.gate = nn.Parameter(torch.empty(width, width))
        self.dense = nn.Parameter(torch.empty(dense, width))
        self.dense_bias = nn.Parameter(torch.empty(dense))
        self.output = nn.Parameter(torch.empty(1, dense))
        self.output_bias = nn.Parameter(torch.empty(1))

    def initialise(self, rng: torch.Generator) -> None:
        """Draw as the code does: N(0, 1/fan-in), kernels N(0, 2/window), cut at 2σ; biases 0."""
        deviations = {self.embedding: len(self.embedding) ** -0.5}
        deviations |= {kernel: (2.0 / len(kernel)) ** 0.5 for kernel in self.kernels}
        for matrix in (self.transform, self.gate, self.dense, self.output):
            deviations[matrix] = matrix.shape[1] ** -0.5
        with torch.no_grad():
            for weight, std in deviations.items():
                nn.init.trunc_normal_(weight, 0.0, std, -2 * std, 2 * std, generator=rng)
            for bias in (self.kernel_bias, self.dense_bias, self.output_bias):
                bias.zero_()

    @reads
    def forward(self, embedded: Tensor, dropout: float, rng: torch.Generator) -> Tensor:
        """Return the scores of sequences, ``(B, R)``.

        Args:
            embedded: ``(B, T, E)``, rows of `embedding` or mixtures of them.
            dropout: Probability of dropping a feature.
            rng: The stream of the dropout masks.
        """
        batch, length, _ = embedded.shape
        parts = embedded.view(batch, length, self.parts, -1).transpose(1, 2)
        pooled = max_over_time(parts.reshape(batch * self.parts, length, -1), [*self.kernels])
        x = torch.relu(pooled + self.kernel_bias)
        gate = torch.sigmoid(F.linear(x, self.gate))
        x = LSTMLanguageModel.drop(
            gate * torch.relu(F.linear(x, self.transform)) + (1.0 - gate) * x, dropout, rng
        )
        x = F.linear(x, self.dense, self.dense_bias)
        return F.linear(x, self.output, self.output_bias).view(batch, self.parts)


class RelGAN(WarmedTrainer[RelGANConfig]):
    """Relativistic GAN on relaxed samples, with many representations."""

    name = "relgan"
    title = "RelGAN"
    version: ClassVar[int] = 1
    config_schema = RelGANConfig
    generator: LSTMLanguageModel

    def phases(self) -> list[Phase]:
        """Rounds; `rounds_per_epoch` of them are an epoch, and a step is one side's update."""
        c = self.config
        epochs = c.rounds // c.rounds_per_epoch
        return [Phase("adversarial", epochs, c.rounds_per_epoch * (1 + c.d_steps))]

    def setup(self) -> None:
        """Take the warmed-up generator, a new discriminator and fresh optimisers."""
        c, context = self.config, self.context
        self.generator = context.initial_generator()
        self.discriminator = Discriminator(
            context.vocab_size,
            c.d_embedding,
            c.d_representations or c.d_embedding,
            filters_for(context.length, c.d_scale, c.d_filters),
            c.d_dense,
        )
        self.discriminator.initialise(context.stream("discriminator"))
        self.discriminator.to(context.device)
        self.g_optimiser = torch.optim.Adam(self.generator.parameters(), lr=c.g_lr, fused=True)
        self.d_optimiser = torch.optim.Adam(self.discriminator.parameters(), lr=c.d_lr, fused=True)
        self.updates = 0

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One update: G's at the beginning of a round, then D's."""
        round_, index = divmod(at.index, 1 + self.config.d_steps)
        beta = self.beta(at.epoch * self.config.rounds_per_epoch + round_)
        if index == 0:
            return self._update_generator(beta)
        return self._update_discriminator(beta)

    def beta(self, i: int) -> float:
        """Return the inverse temperature of round ``i``, counted from 0."""
        beta: float = self.config.largest_beta ** (i / ANNEALING)
        return beta

    def _update_generator(self, beta: float) -> dict[str, float | Tensor]:
        """Descend −log σ(D(y) − D(x))."""
        tokens, noise = gumbel_max(self.generator, self.config.batch, self.context.rng)
        y = relaxed(self.generator, tokens, noise, beta)
        real, fake = self._scores(y)
        loss = F.softplus(real - fake).mean()
        descend(loss, self.g_optimiser, self.config.clip)
        certainty = y.detach().amax(2).mean()
        return {"g_loss": loss.detach(), "beta": beta, "largest_share": certainty}

    def _update_discriminator(self, beta: float) -> dict[str, float | Tensor]:
        """Descend −log σ(D(x) − D(y)); the samples are constants."""
        with torch.no_grad():
            tokens, noise = gumbel_max(self.generator, self.config.batch, self.context.rng)
            y = relaxed(self.generator, tokens, noise, beta)
        real, fake = self._scores(y)
        loss = F.softplus(fake - real).mean()
        descend(loss, self.d_optimiser, self.config.clip)
        return {"d_loss": loss.detach(), "d_accuracy": (real > fake).float().mean()}

    def _scores(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of a random real batch and of relaxed samples ``(B, T, V)``.

        As many updates as a pass has batches draw from the same pass.
        """
        D, data, size = self.discriminator, self.context.data, self.config.batch
        count = data.batches(size)
        drawn = torch.randint(count, (1,), generator=self.context.rng, device=y.device)
        x = data.batch(self.updates // count * count + int(drawn), size)
        self.updates += 1
        embedded = torch.cat([F.embedding(x, D.embedding), y @ D.embedding])
        real, fake = D(embedded, self.config.d_dropout, self.context.rng).split([len(x), len(y)])
        return real, fake[: len(x)]  # where the training set is smaller than a batch
