"""The shared LSTM language model: the generator of every basic trainer, CoT's mediator, the oracle.

One embedding, one LSTM layer (`cell`), one output layer; symbol 0 is the first input and is also
an ordinary symbol, as in the SeqGAN code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from textbench.backbone.cell import LSTMLayer
from textbench.backbone.generator import Generator
from textbench.backbone.ledger import reads
from textbench.backbone.linear_scores import LinearOutput
from textbench.backbone.losses import Weigh, linear_cross_entropy, reweighted_cross_entropy
from textbench.backbone.output import rows_at_once
from textbench.backbone.replay import replayed
from textbench.backbone.sampling import Drawer

START = 0
"""The symbol fed before the first one."""

SAMPLE_BATCH = 128
"""Sequences drawn together on a CPU: more would fall out of the cache."""

REPLAYED = 256
"""Sequences up to which a GPU replays a draw: larger ones are not held up by launches."""


class LSTMLanguageModel(LSTMLayer, Generator):
    """P(x_t | x_<t) = softmax(W h_t + b), h_t = LSTM(E x_{t-1}, h_{t-1}).

    Args:
        vocab_size: V.
        length: T.
        embedding: Width of the embedding.
        hidden: Width of the LSTM state.
    """

    def __init__(self, vocab_size: int, length: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.length = length
        self.embedding = nn.Parameter(torch.empty(vocab_size, embedding))
        self.add_layer(embedding, hidden)
        self.head_weight = nn.Parameter(torch.empty(vocab_size, hidden))
        self.head_bias = nn.Parameter(torch.empty(vocab_size))

    def initialise(self, rng: torch.Generator, std: float = 0.1) -> None:
        """Draw every parameter, biases included, from N(0, std²) (SeqGAN and CoT codes)."""
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0.0, std, generator=rng)

    # -- scoring ---------------------------------------------------------------------------

    def hidden(self, tokens: Tensor) -> Tensor:
        """Return h_t at every position of ``tokens`` ``(B, T)``, i.e. before x_t: ``(B, T, H)``."""
        start = tokens.new_full((len(tokens), 1), START)
        return self.hidden_from(torch.cat([start, tokens[:, :-1]], 1))

    @reads
    def hidden_from(self, inputs: Tensor) -> Tensor:
        """Return the LSTM's outputs for input symbols ``(B, L)``: ``(B, L, H)``."""
        return self.unroll(nn.functional.embedding(inputs, self.embedding))

    def log_probs(self, tokens: Tensor) -> Tensor:
        """See `Generator.log_probs`."""
        hidden = self.hidden(tokens)
        # `addmm` on a matrix: a batched product would add the bias in a pass of its own.
        logits = torch.addmm(self.head_bias, hidden.flatten(0, 1), self.head_weight.t())
        return logits.log_softmax(-1).view(*tokens.shape, self.vocab_size)

    def linear_output(self, tokens: Tensor) -> LinearOutput | None:
        """See `Generator.linear_output`."""
        if type(self).log_probs is not LSTMLanguageModel.log_probs:
            return None  # a subclass with a law of its own
        return self.head(self.hidden(tokens))

    def head(self, hidden: Tensor) -> LinearOutput:
        """Return the output layer and its inputs, ``(B, T, H)``, as the losses take them."""
        return LinearOutput(hidden.flatten(0, 1), self.head_weight, self.head_bias)

    def weighted_nll(
        self,
        tokens: Tensor,
        weights: Tensor | None = None,
        *,
        dropout: float = 0.0,
        rng: torch.Generator | None = None,
        inputs: Tensor | None = None,
    ) -> Tensor:
        """Return sum_{b,t} w_bt · (−log G(x_bt | x_b,<t)); the mean over tokens by default.

        Args:
            tokens: ``(B, T)``.
            weights: ``(B, T)`` constants, or None for 1/(B·T).
            dropout: Probability of dropping a unit of h_t before the output layer.
            rng: The stream of the dropout masks.
            inputs: ``(B, T)`` input symbols in place of the shifted tokens (scheduled sampling).
        """
        hidden = self.hidden(tokens) if inputs is None else self.hidden_from(inputs)
        hidden = self.drop(hidden, dropout, rng)
        scale = shares(hidden, tokens) if weights is None else weights
        return linear_cross_entropy(*self.head(hidden), tokens.flatten(), scale.detach().flatten())

    def reweighted_nll(
        self,
        tokens: Tensor,
        weigh: Weigh | None,
        *,
        dropout: float = 0.0,
        rng: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean over tokens of w · (−log q), q the likelihood G(x_bt | x_b,<t).

        The weight w = weigh(log q) is a constant.

        Args:
            tokens: ``(B, T)``.
            weigh: Maps log-likelihoods (nats) to weights of the same shape; None for 1.
            dropout: As in `weighted_nll`.
            rng: As in `weighted_nll`.

        Returns:
            The mean; and the constants −log q and w of every token, ``(B, T)`` each.
        """
        hidden = self.drop(self.hidden(tokens), dropout, rng)
        given = (*self.head(hidden), tokens.flatten(), shares(hidden, tokens).flatten())
        loss, surprisal, w = reweighted_cross_entropy(*given, weigh)
        return loss, surprisal.view(tokens.shape), w.view(tokens.shape) * tokens.numel()

    @staticmethod
    def drop(hidden: Tensor, dropout: float, rng: torch.Generator | None) -> Tensor:
        """Return ``hidden`` with each unit dropped with probability ``dropout``, others scaled."""
        if dropout == 0.0:
            return hidden
        keep = torch.rand(hidden.shape, generator=rng, device=hidden.device) >= dropout
        return hidden * keep / (1.0 - dropout)

    @torch.no_grad()
    def token_log_probs(self, tokens: Tensor) -> Tensor:
        """Return log G(x_bt | x_b,<t) of ``tokens`` ``(B, T)``, constants, ``(B, T)``."""
        return -self.reweighted_nll(tokens, None)[1]

    # -- sampling --------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        """See `Generator.sample`."""
        if 0 < n <= REPLAYED:
            name, parameters = f"sample {n} at {inverse_temperature}", [*self.parameters()]

            def drawn() -> tuple[Tensor]:
                return (self._sample(n, rng, inverse_temperature),)

            return replayed(self, name, drawn, rng=rng, reads=parameters)[0]
        return self._sample(n, rng, inverse_temperature)

    def _sample(self, n: int, rng: torch.Generator, inverse_temperature: float) -> Tensor:
        batch = rows_at_once(SAMPLE_BATCH, self.vocab_size, self.device)
        table, drawer = self.input_table(), self.drawer(inverse_temperature)
        parts = []
        for size in [batch] * (n // batch) + [n % batch] * (n % batch > 0):
            uniforms = torch.rand(size, self.length, generator=rng, device=self.device)
            state = self.initial_state(size)
            previous = torch.full((size,), START, device=self.device)
            columns = []
            for t in range(self.length):
                state = self.advance(table[previous], state)
                previous = drawer.draw(state[0], uniforms[:, t])
                columns.append(previous)
            parts.append(torch.stack(columns, 1))
        empty = torch.empty(0, self.length, dtype=torch.int64, device=self.device)
        return torch.cat(parts) if parts else empty

    def input_table(self) -> Tensor:
        """Return W_ih E_v + b for every symbol, ``(V, 4H)``; its rows are what `advance` takes."""
        return self.gates(self.embedding)

    def drawer(self, inverse_temperature: float = 1.0) -> Drawer:
        """Return what draws the next symbol from a state's h, while the parameters stay."""
        norm = self.weight_hh.shape[1] ** 0.5  # no |h| is above 1
        return Drawer(self.head_weight, self.head_bias, norm, inverse_temperature)


def shares(hidden: Tensor, tokens: Tensor) -> Tensor:
    """Return every token's share in a mean over ``tokens`` ``(B, T)``, typed as ``hidden``."""
    return torch.full_like(hidden.detach()[..., 0], 1.0 / tokens.numel())
