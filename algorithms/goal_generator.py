"""Goal-factored generators: a Manager that sets goals and a Worker that words them (LeakGAN).

The Manager reads a feature f_t of the first t tokens and answers with a unit vector, the
sub-goal g_t. Time is cut in blocks of c tokens. The goal in force during block b is the sum of the
sub-goals of block b − 1 (a learned vector in block 0), so it is constant within a block and known
before the block's first token. The Worker multiplies its output, a matrix O_t of shape (V, k), by
the goal's projection w = normalise(W_ψ goal): logits = O_t w.

With h_t the Worker's state, O_t w = Σ_k w_k (W_k h_t + b_k) is linear in the outer product of w and
(h_t, 1). So the whole softmax is one linear layer on k(H+1) "factors", and the backbone's two
vocabulary-sized losses serve it unchanged.

`GoalFactoredGenerator` needs no discriminator: its Manager reads the Worker's own states. It is
our reading of CoT-strong, of which the paper says only that its generator has "the similar
architecture in LeakGAN". At V = 5,000, embedding and state 32, k = 16 it has 2,818,240
parameters, 8.5 times the shared LSTM's 333,320. LeakGAN's own generator is in `leak_generator`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textbench.backbone.cell import LSTM, LSTMState
from textbench.backbone.generator import Generator
from textbench.backbone.ledger import reads
from textbench.backbone.linear_scores import LinearOutput
from textbench.backbone.losses import linear_cross_entropy
from textbench.backbone.lstm import SAMPLE_BATCH, START, shares
from textbench.backbone.sampling import draw


@dataclass
class Walk:
    """All that is needed to go on from the first ``t`` tokens of n sequences."""

    t: int
    table: Tensor
    """The Worker's input gates of every symbol, ``(V, 4H)``."""
    worker: LSTMState
    manager: LSTMState
    pending: Tensor
    """Sum of this block's sub-goals so far, ``(n, F)``."""
    w: Tensor
    """Projection of the goal in force, ``(n, k)``."""
    memory: list[Tensor] = field(default_factory=list)
    """What the features remember of the tokens; n rows each, changed in place."""

    def repeat(self, times: int) -> Walk:
        """Return an independent copy with ``times · n`` rows; row r·n + i continues row i."""

        def tile(x: Tensor) -> Tensor:
            return x.repeat(times, *[1] * (x.dim() - 1))

        return replace(
            self,
            worker=(tile(self.worker[0]), tile(self.worker[1])),
            manager=(tile(self.manager[0]), tile(self.manager[1])),
            pending=tile(self.pending),
            w=tile(self.w),
            memory=[tile(x) for x in self.memory],
        )


class GoalFactoredGenerator(Generator):
    """G(x_t | x_<t) = softmax(O_t w_b), b = t div c; the Manager reads the Worker's states.

    The last block is shorter where c does not divide T.

    Args:
        vocab_size: V.
        length: T.
        embedding: Width of the Worker's embedding.
        hidden: Width H of both LSTM states.
        goal_size: k, width of the projected goal (16 in LeakGAN).
        block: c, tokens per goal (4 in LeakGAN).
        features: Width F of features and goals; by default H, as the features are h_t.
    """

    def __init__(
        self,
        vocab_size: int,
        length: int,
        embedding: int,
        hidden: int,
        *,
        goal_size: int = 16,
        block: int = 4,
        features: int | None = None,
    ) -> None:
        super().__init__()
        features = hidden if features is None else features
        self.vocab_size, self.length, self.block = vocab_size, length, block
        self.blocks = math.ceil(length / block)
        self.embedding = nn.Parameter(torch.empty(vocab_size, embedding))
        self.worker = LSTM(embedding, hidden)
        self.projection = nn.Parameter(torch.empty(goal_size, features))
        self.head_weight = nn.Parameter(torch.empty(vocab_size, goal_size * (hidden + 1)))
        self.head_bias: Tensor
        self.register_buffer("head_bias", torch.zeros(vocab_size), persistent=False)
        self.manager = LSTM(features, hidden)
        self.goal_weight = nn.Parameter(torch.empty(features, hidden))
        self.goal_bias = nn.Parameter(torch.empty(features))
        self.goal_init = nn.Parameter(torch.empty(features))

    def worker_parameters(self) -> list[nn.Parameter]:
        """Return the Worker's parameters; W_ψ is one of them, as in the LeakGAN code."""
        return [self.embedding, *self.worker.parameters(), self.projection, self.head_weight]

    def manager_parameters(self) -> list[nn.Parameter]:
        """Return the Manager's parameters, the learned first goal included."""
        return [*self.manager.parameters(), self.goal_weight, self.goal_bias, self.goal_init]

    def own_parameters(self) -> list[nn.Parameter]:
        """See `Generator.own_parameters`: Worker and Manager."""
        return [*self.worker_parameters(), *self.manager_parameters()]

    def initialise(self, rng: torch.Generator, std: float = 0.1) -> None:
        """Draw Worker and Manager, biases included, from N(0, std²), as the LeakGAN code."""
        with torch.no_grad():
            for parameter in self.own_parameters():
                parameter.normal_(0.0, std, generator=rng)

    # -- scoring ---------------------------------------------------------------------------

    @reads
    def states(self, tokens: Tensor) -> Tensor:
        """Return the Worker's h_t before every x_t of ``tokens`` ``(B, T)``: ``(B, T, H)``."""
        start = tokens.new_full((len(tokens), 1), START)
        inputs = torch.cat([start, tokens[:, :-1]], 1)
        states: Tensor = self.worker(F.embedding(inputs, self.embedding))
        return states

    def features(self, tokens: Tensor, states: Tensor) -> Tensor:
        """Return f_t of the prefixes x_<t, ``(B, L, F)``, L ≥ the start of the last block."""
        return states

    def goals(self, features: Tensor) -> Tensor:
        """Return the goal in force in each block, ``(B, blocks, F)``, from f_0, f_1, ..."""
        first = self.goal_init.expand(len(features), 1, -1)
        known = (self.blocks - 1) * self.block
        if not known:
            return first
        steered = self.manager(features[:, :known])
        sub_goals = F.normalize(steered @ self.goal_weight.t() + self.goal_bias, dim=-1)
        return torch.cat([first, sub_goals.unflatten(1, (-1, self.block)).sum(2)], 1)

    def factors(self, states: Tensor, goals: Tensor) -> Tensor:
        """Return the outer products of w_b and (h_t, 1), ``(B, T, k(H+1))``."""
        w = self.project(goals).repeat_interleave(self.block, 1)[:, : self.length]
        return (w.unsqueeze(3) * _with_one(states).unsqueeze(2)).flatten(2)

    def project(self, goals: Tensor) -> Tensor:
        """Return w = normalise(W_ψ goal), ``(..., k)``."""
        return F.normalize(goals @ self.projection.t(), dim=-1)

    def hidden(self, tokens: Tensor) -> Tensor:
        """Return the inputs of the output layer, ``(B, T, k(H+1))``."""
        states = self.states(tokens)
        return self.factors(states, self.goals(self.features(tokens, states)))

    def log_probs(self, tokens: Tensor) -> Tensor:
        """See `Generator.log_probs`."""
        return (self.hidden(tokens) @ self.head_weight.t()).log_softmax(-1)

    def linear_output(self, tokens: Tensor) -> LinearOutput | None:
        """See `Generator.linear_output`."""
        return self.head(self.hidden(tokens))

    def head(self, hidden: Tensor) -> LinearOutput:
        """Return the output layer and its inputs, ``(B, T, k(H+1))``, as the losses take them."""
        return LinearOutput(hidden.flatten(0, 1), self.head_weight, self.head_bias)

    def weighted_nll(
        self, tokens: Tensor, weights: Tensor | None = None, *, goals: Tensor | None = None
    ) -> Tensor:
        """Return sum_{b,t} w_bt · (−log G(x_bt | x_b,<t)); the mean over tokens by default.

        Args:
            tokens: ``(B, T)``.
            weights: ``(B, T)`` constants, or None for 1/(B·T).
            goals: ``(B, blocks, F)`` in place of the Manager's, e.g. the same, detached.
        """
        hidden = self.hidden(tokens) if goals is None else self.factors(self.states(tokens), goals)
        scale = shares(hidden, tokens) if weights is None else weights
        return linear_cross_entropy(*self.head(hidden), tokens.flatten(), scale.detach().flatten())

    # -- sampling --------------------------------------------------------------------------

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        """See `Generator.sample`."""
        return self.sample_tempered(n, rng, [inverse_temperature] * self.length)

    @torch.no_grad()
    def sample_tempered(self, n: int, rng: torch.Generator, alphas: Sequence[float]) -> Tensor:
        """Draw ``n`` sequences with an inverse temperature for each position, ``(n, T)``."""
        batch = SAMPLE_BATCH if self.device.type == "cpu" else max(n, 1)
        sizes = [batch] * (n // batch) + [n % batch] * (n % batch > 0)
        parts = [self.complete(self.begin(size), rng, alphas) for size in sizes]
        empty = torch.empty(0, self.length, dtype=torch.int64, device=self.device)
        return torch.cat(parts) if parts else empty

    @torch.no_grad()
    def begin(self, n: int) -> Walk:
        """Return n walks that have seen nothing but the start symbol."""
        table = self.worker.gates(self.embedding)
        walk = Walk(
            t=0,
            table=table,
            worker=self.worker.advance(table[START].expand(n, -1), self.worker.initial_state(n)),
            manager=self.manager.initial_state(n),
            pending=table.new_zeros(n, len(self.goal_init)),
            w=self.project(self.goal_init).expand(n, -1),
            memory=self.new_memory(n),
        )
        self._add_sub_goal(walk)
        return walk

    @torch.no_grad()
    def extend(self, walk: Walk, tokens: Tensor) -> None:
        """Give the next token of each row, ``(n,)``; at a block's end its sub-goals take force."""
        self.memorise(walk, tokens)
        walk.worker = self.worker.advance(walk.table[tokens], walk.worker)
        walk.t += 1
        if walk.t % self.block == 0:
            walk.w = self.project(walk.pending)
            walk.pending = torch.zeros_like(walk.pending)
        self._add_sub_goal(walk)

    @torch.no_grad()
    def complete(
        self, walk: Walk, rng: torch.Generator, alphas: Sequence[float] | None = None
    ) -> Tensor:
        """Draw all tokens that ``walk`` lacks, ``(n, T − t)``, and move it to the end.

        Args:
            walk: Where to go on from.
            rng: The stream of the uniform numbers.
            alphas: An inverse temperature for each of the T positions; all 1 by default.
        """
        missing = self.length - walk.t
        uniforms = torch.rand(len(walk.w), missing, generator=rng, device=self.device)
        columns = []
        for column in uniforms.unbind(1):
            logits = self.logits(walk)
            if alphas is not None and alphas[walk.t] != 1.0:
                logits *= alphas[walk.t]
            columns.append(draw(logits, column))
            self.extend(walk, columns[-1])
        return torch.stack(columns, 1)

    @torch.no_grad()
    def logits(self, walk: Walk) -> Tensor:
        """Return the next token's logits, ``(n, V)``."""
        factors = walk.w.unsqueeze(2) * _with_one(walk.worker[0]).unsqueeze(1)
        return factors.flatten(1) @ self.head_weight.t()

    def _add_sub_goal(self, walk: Walk) -> None:
        if walk.t >= (self.blocks - 1) * self.block:
            return  # No block follows that could use it.
        walk.manager = self.manager.advance(
            self.manager.gates(self.next_feature(walk)), walk.manager
        )
        steered = torch.addmm(self.goal_bias, walk.manager[0], self.goal_weight.t())
        walk.pending = walk.pending + F.normalize(steered, dim=-1)

    # What a generator with other features replaces, besides `features`:

    def new_memory(self, n: int) -> list[Tensor]:
        """Return the features' memory of n empty prefixes."""
        return []

    def memorise(self, walk: Walk, tokens: Tensor) -> None:
        """Note x_t, ``(n,)``, of ``walk`` in its memory, in place."""

    def next_feature(self, walk: Walk) -> Tensor:
        """Return f_t of ``walk``, ``(n, F)``."""
        return walk.worker[0]


def _with_one(states: Tensor) -> Tensor:
    """Append a constant 1, the input of the output layer's bias."""
    return F.pad(states, (0, 1), value=1.0)
