"""The text CNN of SeqGAN: the discriminator of SeqGAN and MaliGAN, RankGAN's ranker's features.

Architecture and initialisation as in LantaoYu/SeqGAN, ``discriminator.py``: embedding, one
convolution per window size, max over time, one highway layer, dropout, two-way softmax.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textbench.backbone.ledger import reads
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.errors import UserError

from .max_over_time import SCORE_CHUNK, max_over_time, max_over_time_of_many

FAKE, REAL = 0, 1
"""The columns of the logits."""

Filters = tuple[tuple[int, int], ...]
"""Pairs (window, number of filters)."""

_NARROW = ((1, 100), (2, 200), (3, 200), (4, 200), (5, 200), *((w, 100) for w in range(6, 11)))
FILTERS: Filters = (*_NARROW, (15, 160), (20, 160))
"""The SeqGAN code's table, for T = 20: 1,720 features."""
FILTERS_32: Filters = (*_NARROW, (16, 160), (24, 160), (32, 160))
"""SeqGAN, Table 5, for T = 32."""

SCORE_GROUP = 16384
"""Sequences scored with one set of tables; their maxima take 110 MB at the published size."""


def filters_for(length: int, scale: float = 1.0, table: Iterable[tuple[int, int]] = ()) -> Filters:
    """Return the windows and filter counts for sequences of ``length`` symbols.

    The paper gives tables for T = 20 and T = 32; for every other T we take the former without the
    windows that are longer than T.

    Args:
        length: T.
        scale: Multiplies every filter count; at least one filter of each window stays.
        table: (window, filters) pairs to use instead of SeqGAN's.

    Raises:
        UserError: No window of ``table`` fits.
    """
    chosen = tuple(table) or (FILTERS_32 if length == 32 else FILTERS)
    fitting = tuple((w, max(1, round(n * scale))) for w, n in chosen if w <= length)
    if not fitting:
        raise UserError(f"d_filters: every window is longer than the sequences ({length} symbols)")
    return fitting


class TextFeatures(nn.Module):
    """The features of a sequence: convolutions, maximum over time, one highway layer.

    Args:
        vocab_size: V.
        filters: (window, number of filters), no window longer than the sequences.
        embedding: Width of the embedding.
    """

    def __init__(self, vocab_size: int, filters: Filters, embedding: int = 64) -> None:
        super().__init__()
        self.filters = filters
        self.width = sum(n for _, n in filters)
        self.embedding = nn.Parameter(torch.empty(vocab_size, embedding))
        self.kernels = nn.ParameterList(torch.empty(w * embedding, n) for w, n in filters)
        self.kernel_bias = nn.Parameter(torch.empty(self.width))
        self.transform = nn.Linear(self.width, self.width)
        self.gate = nn.Linear(self.width, self.width)

    def initialise(self, rng: torch.Generator) -> None:
        """Draw the parameters as the SeqGAN code does (TensorFlow's defaults for the highway)."""
        with torch.no_grad():
            self.embedding.uniform_(-1.0, 1.0, generator=rng)
            for kernel in self.kernels:
                nn.init.trunc_normal_(kernel, 0.0, 0.1, -0.2, 0.2, generator=rng)
            self.kernel_bias.fill_(0.1)
            for linear in (self.transform, self.gate):
                nn.init.xavier_uniform_(linear.weight, generator=rng)
                # `tf.get_variable` draws a bias of n units with fan-in and fan-out n.
                bound = math.sqrt(3.0 / self.width)
                linear.bias.uniform_(-bound, bound, generator=rng)

    @reads
    def features(
        self, tokens: Tensor, dropout: float = 0.0, rng: torch.Generator | None = None
    ) -> Tensor:
        """Return the highway layer's output, ``(B, width)``.

        Args:
            tokens: ``(B, T)``.
            dropout: Probability of dropping a feature; 0 wherever rewards are computed.
            rng: The stream of the dropout masks.
        """
        embedded = F.embedding(tokens, self.embedding)
        return self._finish(max_over_time(embedded, [*self.kernels]), dropout, rng)

    @torch.no_grad()
    def features_of_many(
        self, tokens: Tensor, dropout: float = 0.0, rng: torch.Generator | None = None
    ) -> Iterator[Tensor]:
        """Yield the features of ``tokens`` ``(N, T)`` part by part, in order, without gradient.

        Faster than `features` where N is large; the other arguments are the same.
        """
        for group in tokens.split(SCORE_GROUP):
            pooled = self._maxima_of_many(group)
            for part in pooled.split(SCORE_CHUNK if tokens.is_cpu else SCORE_GROUP):
                yield self._finish(part, dropout, rng)

    @reads
    def _maxima_of_many(self, group: Tensor) -> Tensor:
        return max_over_time_of_many(group, self.embedding, [*self.kernels])

    def _finish(self, pooled: Tensor, dropout: float, rng: torch.Generator | None) -> Tensor:
        """Return the features, given the maxima over time before bias and ReLU."""
        # The maximum commutes with adding a bias and with ReLU: both act on B rows only.
        x = self.highway(torch.relu(pooled + self.kernel_bias))
        return LSTMLanguageModel.drop(x, dropout, rng)

    def highway(self, x: Tensor) -> Tensor:
        """Return g·ReLU(W x + b) + (1−g)·x with the gate g = σ(W' x + b'), ``(B, width)``."""
        gate = torch.sigmoid(self.gate(x))
        return gate * torch.relu(self.transform(x)) + (1.0 - gate) * x


class TextCNN(TextFeatures):
    """D(x): the CNN's features, dropout, and logits of fake and real."""

    def __init__(self, vocab_size: int, filters: Filters, embedding: int = 64) -> None:
        super().__init__(vocab_size, filters, embedding)
        self.output = nn.Linear(self.width, 2)

    def initialise(self, rng: torch.Generator) -> None:
        """See `TextFeatures.initialise`; the output layer is drawn like the convolutions."""
        super().initialise(rng)
        with torch.no_grad():
            nn.init.trunc_normal_(self.output.weight, 0.0, 0.1, -0.2, 0.2, generator=rng)
            self.output.bias.fill_(0.1)

    def forward(
        self, tokens: Tensor, dropout: float = 0.0, rng: torch.Generator | None = None
    ) -> Tensor:
        """Return logits ``(B, 2)``, columns `FAKE` and `REAL`; arguments as in `features`."""
        logits: Tensor = self.output(self.features(tokens, dropout, rng))
        return logits

    def loss(
        self,
        tokens: Tensor,
        labels: Tensor,
        *,
        l2: float = 0.0,
        dropout: float = 0.0,
        rng: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return mean cross-entropy (nats) + l2·½(‖W‖² + ‖b‖²), and the minibatch's accuracy.

        W and b are those of the output layer only, as in the SeqGAN code.

        Args:
            tokens: ``(B, T)``.
            labels: ``(B,)``, `FAKE` or `REAL`.
            l2: The penalty's weight.
            dropout: As in `features`.
            rng: As in `features`.
        """
        logits = self(tokens, dropout, rng)
        penalty = 0.5 * (self.output.weight.square().sum() + self.output.bias.square().sum())
        loss = F.cross_entropy(logits, labels) + l2 * penalty
        return loss, (logits.argmax(1) == labels).float().mean()

    @torch.no_grad()
    def real_probability(
        self, tokens: Tensor, dropout: float = 0.0, rng: torch.Generator | None = None
    ) -> Tensor:
        """Return D(x), the probability of being real, of ``tokens`` ``(N, T)``: ``(N,)``."""
        features = self.features_of_many(tokens, dropout, rng)
        return torch.cat([self.output(x).softmax(1)[:, REAL] for x in features])
