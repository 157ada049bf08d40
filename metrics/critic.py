"""A distance between two sets of sentences, measured by 1-Lipschitz critics (WGAN-GP).

W(P, Q) = sup over 1-Lipschitz f of E_P[f] − E_Q[f]; a critic trained with a gradient penalty
(Gulrajani et al., 2017) gives a lower bound that rises with its size and steps, so those are
fixed. A critic overfits: on its own training sentences two samples of one law are never at
distance 0. Hence half of the sentences train it and the other half give the estimate; the halves
are of different sentences (``halves.py``).

Sentences are points in R^(T·d): every symbol has a fixed random unit vector, the end of a sentence
too, and what follows is 0. Two sentences are about sqrt(2 × number of differing positions) apart.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textbench.contracts.streams import numpy_stream
from textbench.contracts.task import END, inside

from .halves import split_by_identity

WIDTH = 32
"""d, the length of a symbol's vector."""
BATCH = 64
"""Sentences of each side per step."""
SCORE_BATCH = 512
NORMS = 2000
"""Pairs of held-out sentences at which gradient norms are measured."""


@dataclass(frozen=True)
class Recipe:
    """A critic and how it is trained."""

    build: Callable[[int, int], nn.Module]
    """Maps (T, d) to the network."""
    lr: tuple[float, float]
    """Adam's rate at the first and the last step, linear between them."""
    weight: float
    """Of the gradient penalty: λ."""
    two_sided: bool
    """Punish norms below 1 as well, as WGAN-GP does; duality implies the one-sided penalty."""
    per_step: bool = False
    """Interpolate each position by a number of its own instead of whole sentences."""


class ResidualCritic(nn.Module):
    """Convolution, one residual block x + 0.3·conv(relu(conv(relu x))), relu, linear.

    No normalisation: the penalty is of each sentence by itself.
    """

    def __init__(self, length: int, width: int, channels: int = 48) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, channels, 3, padding=1)
        self.inner = nn.Conv1d(channels, channels, 3, padding=1)
        self.outer = nn.Conv1d(channels, channels, 3, padding=1)
        self.output = nn.Linear(channels * length, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return f of each row of ``x`` ``(B, T, d)``: ``(B,)``."""
        h = self.first(x.transpose(1, 2))
        h = h + 0.3 * self.outer(F.relu(self.inner(F.relu(h))))
        f: Tensor = self.output(F.relu(h).flatten(1)).squeeze(1)
        return f


class TextmoverCritic(nn.Module):
    """The critic of the CoT authors' code (``mediator.py``, scope "textmover")."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.strides = (2, 1, 2)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 4, stride=s) for s in (2, 1, 2))
        for stride in self.strides:
            length = -(-length // stride)
        self.output = nn.Linear(width * length, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return f of each row of ``x`` ``(B, T, d)``: ``(B,)``."""
        h = x.transpose(1, 2)
        for stride, convolution in zip(self.strides, self.convolutions, strict=True):
            # TensorFlow's "SAME": ceil(T / stride) outputs, the odd zero at the end.
            missing = (-(-h.shape[2] // stride) - 1) * stride + 4 - h.shape[2]
            h = F.softplus(convolution(F.pad(h, (missing // 2, missing - missing // 2))))
        f: Tensor = self.output(h.flatten(1)).squeeze(1)
        return f


RECIPES = {
    "two-sided": Recipe(ResidualCritic, (1e-3, 1e-4), 10.0, two_sided=True),
    "one-sided": Recipe(ResidualCritic, (1e-3, 1e-4), 10.0, two_sided=False),
    "textmover": Recipe(TextmoverCritic, (1e-4, 1e-4), 5.0, two_sided=False, per_step=True),
}


@dataclass(frozen=True)
class Critique:
    """What one critic found."""

    held_out: float
    """Mean f(P) minus mean f(Q) on the halves that it has not seen: the estimate."""
    in_sample: float
    """The same on the halves it was trained on: larger."""
    norm_mean: float
    """Mean gradient norm at held-out interpolates; about 1."""
    norm_95: float
    """The 95 % point of these norms."""


@dataclass(frozen=True)
class Distance:
    """What several critics found."""

    critiques: Sequence[Critique]

    @property
    def value(self) -> float:
        """The mean held-out estimate."""
        return statistics.fmean(c.held_out for c in self.critiques)

    @property
    def sigma(self) -> float:
        """The standard deviation of the critics' estimates (ddof 1); NaN for a single one."""
        if len(self.critiques) < 2:
            return float("nan")
        return statistics.stdev(c.held_out for c in self.critiques)

    @property
    def in_sample(self) -> float:
        """The mean in-sample estimate."""
        return statistics.fmean(c.in_sample for c in self.critiques)

    @property
    def gradient_norm(self) -> float:
        """The mean gradient norm."""
        return statistics.fmean(c.norm_mean for c in self.critiques)

    @property
    def normalised(self) -> float:
        """The mean of the estimates over max(1, gradient norm): without the overshoot."""
        return statistics.fmean(c.held_out / max(1.0, c.norm_mean) for c in self.critiques)


def embedding(vocab_size: int, width: int = WIDTH) -> Tensor:
    """Return the fixed vectors ``(V + 2, d)``: symbols, the end of a sentence (V), nothing (V+1).

    Drawn by numpy, so that they are the same on every device and in every version of torch.
    """
    table = numpy_stream(0, "ewmd", "embedding").standard_normal((vocab_size + 2, width))
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    table[-1] = 0.0
    return torch.from_numpy(table.astype(np.float32))


def encode(tokens: Tensor, vocab_size: int) -> Tensor:
    """Return the rows of `embedding` for sentences ``(N, T)``: ``(N, T + 1)``."""
    longer = F.pad(tokens, (0, 1), value=END)
    kept = inside(longer)
    coded = longer.masked_fill(longer == END, vocab_size)
    return coded.masked_fill(~kept, vocab_size + 1)


def distance(
    p: Tensor,
    q: Tensor,
    table: Tensor,
    recipe: Recipe,
    *,
    steps: int,
    streams: Sequence[torch.Generator],
) -> Distance:
    """Measure how far Q is from P, once per stream.

    Args:
        p: Coded sentences ``(n, T)``; see `encode`.
        q: As many others.
        table: The vectors; see `embedding`.
        recipe: The critic and its training.
        steps: Training steps of each critic.
        streams: CPU generators, one per critic: halves, initialisation, batches.

    Raises:
        ValueError: The sides differ in size, or have fewer than two sentences.
    """
    if len(p) != len(q):
        raise ValueError(f"P has {len(p)} sentences and Q {len(q)}: they must be as many")
    if len(p) < 2:
        raise ValueError("each side needs at least two sentences")
    return Distance([_criticise(p, q, table, recipe, steps, rng) for rng in streams])


def _criticise(
    p: Tensor, q: Tensor, table: Tensor, recipe: Recipe, steps: int, rng: torch.Generator
) -> Critique:
    halves = split_by_identity(p, q, rng)
    p_train, p_held = _divide(p, halves.p)
    q_train, q_held = _divide(q, halves.q)
    critic = _initialise(recipe.build(p.shape[1], table.shape[1]), rng).to(p.device)
    _train(critic, p_train, q_train, table, recipe, steps, rng)
    pairs = min(len(p_held), len(q_held), NORMS)
    held = _interpolates(p_held[:pairs], q_held[:pairs], table, recipe, rng)
    norms = torch.cat([gradient_norms(critic, x)[1].detach() for x in held.split(SCORE_BATCH)])
    score = partial(_mean_score, critic, table=table)
    return Critique(
        held_out=score(p_held) - score(q_held),
        in_sample=score(p_train) - score(q_train),
        norm_mean=float(norms.mean()),
        norm_95=float(norms.quantile(0.95)),
    )


def _train(
    critic: nn.Module,
    p: Tensor,
    q: Tensor,
    table: Tensor,
    recipe: Recipe,
    steps: int,
    rng: torch.Generator,
) -> None:
    """Minimise mean f(Q) − mean f(P) + λ·penalty."""
    optimiser = torch.optim.Adam(critic.parameters(), lr=recipe.lr[0], betas=(0.5, 0.9), fused=True)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr[0] + (recipe.lr[1] - recipe.lr[0]) * step / steps
        real, fake = (side[torch.randint(len(side), (BATCH,), generator=rng)] for side in (p, q))
        x = _interpolates(real, fake, table, recipe, rng)
        f = critic(F.embedding(torch.cat([real, fake]), table))
        excess = gradient_norms(critic, x)[1] - 1.0
        penalty = (excess if recipe.two_sided else excess.relu()).square().mean()
        loss = f[BATCH:].mean() - f[:BATCH].mean() + recipe.weight * penalty
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def gradient_norms(critic: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return f and ‖∇f‖ at each of the points ``(B, T, d)``; both can be differentiated."""
    x = x.detach().requires_grad_()
    f = critic(x)
    (gradient,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    # The norm of a zero gradient would have an undefined derivative.
    return f, (gradient.square().sum((1, 2)) + 1e-12).sqrt()


def _interpolates(
    p: Tensor, q: Tensor, table: Tensor, recipe: Recipe, rng: torch.Generator
) -> Tensor:
    shape = (len(p), p.shape[1], 1) if recipe.per_step else (len(p), 1, 1)
    share = torch.rand(shape, generator=rng).to(table.device)
    return share * F.embedding(p, table) + (1.0 - share) * F.embedding(q, table)


def _divide(sentences: Tensor, trains: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sentences that train the critic, and those that judge it."""
    if trains.all() or not trains.any():  # one sentence, again and again
        return sentences, sentences
    return sentences[trains], sentences[~trains]


def _initialise(critic: nn.Module, rng: torch.Generator) -> nn.Module:
    """Draw all parameters from U(±1/sqrt(fan-in)), torch's own law, from our stream."""
    for module in critic.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=rng)
    return critic


@torch.no_grad()
def _mean_score(critic: nn.Module, sentences: Tensor, table: Tensor) -> float:
    total = 0.0
    for part in sentences.split(SCORE_BATCH):
        total += float(critic(F.embedding(part, table)).sum(dtype=torch.float64))
    return total / len(sentences)
