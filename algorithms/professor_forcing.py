"""Professor forcing (Lamb et al., NIPS 2016): run free as if the professor were watching.

The generator is run twice with the same weights: teacher-forced on true sequences, and free on
its own. A discriminator D reads the *behaviour* of both, the states h_t with the logits that they
give. The generator keeps maximising likelihood, and besides learns to make its free-running
behaviour look teacher-forced to D. Sampled symbols are constants: that gradient reaches the
generator through its states only, and leaves the output layer out (authors' code).

No code of the CoT paper's professor forcing exists. The sizes for an LSTM of 32 units are our
choice and so are the rates, but for their ratio of 10, which is the authors'.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from textbench.backbone.descent import descend
from textbench.backbone.ledger import reads
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import Config, tunable
from textbench.contracts.trainer import Phase, Position, Trainer

CLIP_LOGIT = 10.0
"""D's output is kept within ±10, as in the authors' code."""
AVERAGE = 0.99
"""How much of D's average accuracy an update keeps, as in the authors' code."""


class ProfessorForcingConfig(Config):
    """Options of `professor_forcing`."""

    epochs: int = Field(120, ge=1)
    """Passes over the training sequences; the same budget as `mle`."""
    batch: int = Field(64, ge=1)
    """True sequences, and free-running ones, per update."""
    lr: float = Field(0.01, gt=0, json_schema_extra=tunable("log", 1e-3, 3e-2))
    """Adam's learning rate of the likelihood, that of `mle`."""
    clip: float = Field(5.0, ge=0)
    """Largest global norm of each gradient of the generator; 0 does not clip."""
    g_lr: float = Field(1e-3, gt=0, json_schema_extra=tunable("log", 1e-4, 3e-3))
    """Adam's learning rate of the adversarial update: a tenth of `lr` (authors' code)."""
    d_lr: float = Field(2e-4, gt=0, json_schema_extra=tunable("log", 3e-5, 1e-3))
    """Adam's learning rate of the discriminator; at 1e-3 its ReLUs die (tried)."""
    d_hidden: int = Field(64, ge=1)
    """Units of the discriminator's GRU, in each direction (authors: 2,048)."""
    d_logits: int = Field(64, ge=1)
    """Width to which D projects the logits of V symbols."""
    g_above: float = Field(0.75, ge=0, le=1)
    """The generator follows D only while D's average accuracy is above this (paper: 75 %)."""
    d_below: float = Field(0.99, ge=0, le=1)
    """D is not trained while its average accuracy is above this (paper: 99 %)."""


class Discriminator(nn.Module):
    """P(teacher-forced | behaviour): bidirectional GRU, mean over time, three-layer MLP.

    Args:
        vocab_size: V.
        state: Width H of the generator's state.
        logits: Width of the projected logits.
        hidden: Units of the GRU in each direction, and of the MLP.
    """

    def __init__(self, vocab_size: int, state: int, logits: int, hidden: int) -> None:
        super().__init__()
        self.projection = nn.Linear(vocab_size, logits)
        self.gru = nn.GRU(state + logits, hidden, batch_first=True, bidirectional=True)
        self.dense = nn.ModuleList(
            nn.Linear(width, hidden) for width in (2 * hidden, hidden, hidden)
        )
        self.output = nn.Linear(hidden, 1)

    def initialise(self, rng: torch.Generator) -> None:
        """Draw weights from U(±1/√fan-in), before a ReLU U(±√(6/fan-in)); the GRU's U(±1/√H).

        With less before the ReLUs D ends as a constant: what it has to tell apart is so alike.
        """
        dense = [layer for layer in self.dense if isinstance(layer, nn.Linear)]
        gains = {self.projection: 1.0, self.output: 1.0} | dict.fromkeys(dense, 6.0**0.5)
        with torch.no_grad():
            for layer, gain in gains.items():
                bound = gain * layer.in_features**-0.5
                layer.weight.uniform_(-bound, bound, generator=rng)
                layer.bias.zero_()
            for parameter in self.gru.parameters():
                bound = self.gru.hidden_size**-0.5
                parameter.uniform_(-bound, bound, generator=rng)

    @reads
    def forward(self, states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the logit of "teacher-forced" for each sequence, ``(B,)``.

        The logits W h + b are projected as (P W) h + (P b + c): the same numbers, without V
        values at each position.

        Args:
            states: h_t, ``(B, T, H)``.
            weight: W of the generator's output layer, ``(V, H)``, a constant.
            bias: b, ``(V,)``, a constant.
        """
        P, c = self.projection.weight, self.projection.bias
        logits = F.linear(states, P @ weight, P @ bias + c)
        read, _ = self.gru(torch.cat([states, logits], 2))
        x = read.mean(1)
        for layer in self.dense:
            x = layer(x).relu()
        logit: Tensor = self.output(x).squeeze(1)
        return logit.clamp(-CLIP_LOGIT, CLIP_LOGIT)


class ProfessorForcing(Trainer[ProfessorForcingConfig]):
    """Likelihood, and free-running behaviour that a discriminator takes for teacher-forced."""

    name = "professor_forcing"
    title = "Professor Forcing"
    version = 2
    config_schema = ProfessorForcingConfig
    generator: LSTMLanguageModel

    def phases(self) -> list[Phase]:
        """One phase: `epochs` passes over the data, without pre-training."""
        steps = self.context.data.batches(self.config.batch)
        return [Phase("professor_forcing", self.config.epochs, steps)]

    def setup(self) -> None:
        """Start from the common initial generator and a new discriminator."""
        c, G = self.config, self.context.initial_generator()
        self.generator = G
        with torch.device("meta"):  # PyTorch's own initialisation draws from the global stream
            self.discriminator = Discriminator(
                self.context.vocab_size, self.context.backbone["hidden"], c.d_logits, c.d_hidden
            )
        self.discriminator.to_empty(device="cpu")
        self.discriminator.initialise(self.context.stream("discriminator"))
        self.discriminator.to(self.context.device)
        self.optimiser = torch.optim.Adam(G.parameters(), lr=c.lr, fused=True)
        self.g_optimiser = torch.optim.Adam(self._recurrent(), lr=c.g_lr, fused=True)
        self.d_optimiser = torch.optim.Adam(self.discriminator.parameters(), lr=c.d_lr, fused=True)
        self.accuracy = 0.5
        self.updates = 0

    def step(self, at: Position) -> dict[str, float | Tensor]:
        """One likelihood update, then what the gates allow of D's and of G against D."""
        x = self.context.data.batch(self.updates, self.config.batch)
        self.updates += 1
        logged: dict[str, float | Tensor] = {"nll": self._maximise_likelihood(x)}
        s = self.generator.sample(len(x), self.context.rng)
        with torch.no_grad():
            teacher, free = self.generator.hidden(x), self.generator.hidden(s)
        logged |= self._discriminate(teacher, free)
        logged["d_average_accuracy"] = self.accuracy
        logged["g_follows"] = float(self.accuracy > self.config.g_above)
        if self.accuracy > self.config.g_above:
            self._follow(s)
        return logged

    def _maximise_likelihood(self, x: Tensor) -> Tensor:
        """The ordinary update of `mle`, on every batch."""
        loss = self.generator.weighted_nll(x)
        descend(loss, self.optimiser, self.config.clip)
        return loss.detach()

    def _discriminate(self, teacher: Tensor, free: Tensor) -> dict[str, float | Tensor]:
        """Measure D and, below its gate, descend BCE(teacher-forced → 1) + BCE(free → 0).

        Args:
            teacher: Teacher-forced states, ``(B, T, H)``, constants.
            free: Free-running ones.
        """
        logits_t, logits_f = self._judge(torch.cat([teacher, free])).chunk(2)
        loss = _bce(logits_t, 1.0) + _bce(logits_f, 0.0)
        accuracy = 0.5 * ((logits_t > 0).float().mean() + (logits_f < 0).float().mean())
        self.accuracy = AVERAGE * self.accuracy + (1 - AVERAGE) * accuracy.item()
        if self.accuracy <= self.config.d_below:
            descend(loss, self.d_optimiser)
        return {"d_loss": loss.detach(), "d_accuracy": accuracy}

    def _follow(self, s: Tensor) -> None:
        """Descend BCE(free → 1) through the states of the constant samples ``s``."""
        loss = _bce(self._judge(self.generator.hidden(s)), 1.0)
        descend(loss, self.g_optimiser, self.config.clip)

    def _judge(self, states: Tensor) -> Tensor:
        """Return D's logits for behaviours; the output layer is a constant in them."""
        G = self.generator
        logits: Tensor = self.discriminator(states, G.head_weight.detach(), G.head_bias.detach())
        return logits

    def _recurrent(self) -> list[nn.Parameter]:
        """Return what the adversarial update may change: all but the output layer."""
        G = self.generator
        return [G.embedding, G.weight_ih, G.weight_hh, G.bias]


def _bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
