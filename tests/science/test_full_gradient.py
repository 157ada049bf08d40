"""What constant prefixes drop from CoT's gradient, and the estimator that puts it back.

On V symbols and T positions everything is enumerated: a policy is a table of logits, one row per
prefix. The table of docs/full-gradient.md is made here: run this file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from textbench.algorithms.cot import CoT
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Trainer

DRAWS = 100
DOCUMENT = Path(__file__).parents[2] / "docs" / "full-gradient.md"


class Table:
    """Tabular policies over all V**T sequences; row i of ``prefix`` lists i's prefixes' rows."""

    def __init__(self, V: int, T: int) -> None:
        self.V, self.T = V, T
        self.first = [(V**t - 1) // (V - 1) for t in range(T + 1)]  # of the prefixes of length t
        self.sequences = torch.tensor(list(itertools.product(range(V), repeat=T)))
        number = torch.arange(V**T)
        self.prefix = torch.stack([self.first[t] + number // V ** (T - t) for t in range(T)], 1)

    def draw(self, rng: torch.Generator) -> Tensor:
        """Return logits from N(0, 1), ``(prefixes, V)``."""
        return torch.randn(self.first[-1], self.V, generator=rng, dtype=torch.float64)

    def log_law(self, logits: Tensor) -> Tensor:
        """Return log G(s) of every sequence, ``(V**T,)``."""
        return logits.log_softmax(1)[self.prefix, self.sequences].sum(1)

    def conditionals(self, law: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability of every prefix, and log of every conditional."""
        reach, conditional = [], []
        for t in range(self.T):
            joint = law.view(self.V**t, self.V, -1).sum(2)
            reach.append(joint.sum(1))
            conditional.append((joint / joint.sum(1, keepdim=True)).log())
        return torch.cat(reach), torch.cat(conditional)


class Gradients(NamedTuple):
    """Of ½ KL(G ‖ M*) with respect to the logits; M* = ½ (P + G) is the optimal mediator."""

    exact: Tensor
    """∇ JSD(P ‖ G), by automatic differentiation of its definition."""
    inside: Tensor
    """½ Σ G(s_t) Σ_v ∇π_g a_t: what is practised."""
    with_q: Tensor
    """½ Σ G(s_t) Σ_v ∇π_g (a_t + Q_t)."""


def gradients_of(table: Table, p_logits: Tensor, g_logits: Tensor) -> Gradients:
    logits = g_logits.clone().requires_grad_()
    P, log_G = table.log_law(p_logits).exp(), table.log_law(logits)
    G = log_G.exp()
    M = 0.5 * (P + G)
    jsd = 0.5 * (P * (P / M).log()).sum() + 0.5 * (G * (log_G - M.log())).sum()
    (exact,) = torch.autograd.grad(jsd, logits)

    reach, log_pi_m = table.conditionals(M.detach())
    reach, _ = table.conditionals(G.detach())
    log_pi_g = logits.detach().log_softmax(1)
    a = log_pi_g - log_pi_m
    Q = kl_to_go(table, log_pi_g.exp(), a)
    found = []
    for advantage in (a, a + Q):
        surrogate = 0.5 * (reach.unsqueeze(1) * logits.softmax(1) * advantage).sum()
        found += torch.autograd.grad(surrogate, logits)
    return Gradients(exact, *found)


def kl_to_go(table: Table, pi: Tensor, a: Tensor) -> Tensor:
    """Return Q_t(v): the expected sum of the later a along G after prefix s_t and symbol v."""
    Q = torch.zeros_like(a)
    for t in reversed(range(table.T - 1)):
        rows = slice(table.first[t], table.first[t + 1])
        later = slice(table.first[t + 1], table.first[t + 2])
        value = (pi[later] * (a[later] + Q[later])).sum(1)
        Q[rows] = value.view(-1, table.V)
    return Q


def relative_error(found: Tensor, exact: Tensor) -> float:
    return ((found - exact).norm() / exact.norm()).item()


def errors(V: int, T: int) -> tuple[Tensor, Tensor]:
    """Relative errors of the practised gradient at random starts, and half-way to the data."""
    table, rng = Table(V, T), stream(0, "full-gradient", V, T)
    start, half = [], []
    for _ in range(DRAWS):
        P, G = table.draw(rng), table.draw(rng)
        for errors_there, logits in ((start, G), (half, 0.5 * (P + G))):
            found = gradients_of(table, P, logits)
            errors_there.append(relative_error(found.inside, found.exact))
    return torch.tensor(start), torch.tensor(half)


def rows() -> list[str]:
    """Return the rows of the document's table."""
    made = []
    for V, T in ((3, 2), (3, 3), (3, 4), (3, 5)):
        cells = [str(V), str(T)]
        for found in errors(V, T):
            low, middle, high = found.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        made.append("| " + " | ".join(cells) + " |")
    return made


# -- the claim ---------------------------------------------------------------------------------


def test_with_the_kl_to_go_the_gradient_is_exact_and_without_it_is_not() -> None:
    table, rng = Table(3, 3), stream(0, "full-gradient", 3, 3)
    for _ in range(20):
        P, G = table.draw(rng), table.draw(rng)
        found = gradients_of(table, P, G)
        assert relative_error(found.with_q, found.exact) < 1e-10
        assert relative_error(found.inside, found.exact) > 0.01
    one_step = Table(3, 1)  # with a single position nothing comes later
    found = gradients_of(one_step, one_step.draw(rng), one_step.draw(rng))
    assert relative_error(found.inside, found.exact) < 1e-10


def test_the_documents_table_is_what_enumeration_gives() -> None:
    written = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line[:3] == "| 3"]
    assert written == rows()


def test_published_errors_are_typical() -> None:
    """0.38 at a random start and 0.06 half-way, the pair first noted, lie in the 80 % bands."""
    start, half = errors(3, 3)
    for found, noted in ((start, 0.38), (half, 0.06)):
        low, high = found.quantile(torch.tensor([0.1, 0.9])).tolist()
        assert low - 0.01 < noted < high + 0.01


# -- the estimator -----------------------------------------------------------------------------


def exact_gradient(trainer: Trainer[Any], probs: Callable[[Generator], Tensor]) -> Tensor:
    """∇ KL(G ‖ M), M a constant, over all sequences."""
    G, M = probs(trainer.generator), probs(trainer.mediator).detach()
    parts = torch.autograd.grad((G * (G / M).log()).sum(), list(trainer.generator.parameters()))
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize(
    ("generator", "V", "T", "batch"),
    [("lstm", 4, 3, 1), ("lstm", 2, 3, 2), ("goal_factored", 2, 6, 1)],
)
def test_its_expectation_is_the_exact_gradient(
    generator: str,
    V: int,
    T: int,
    batch: int,
    make_context: Callable[..., Context],
    make_trainer: Callable[..., Trainer[Any]],
    all_sequences: Callable[[int, int], Tensor],
    sequence_probs: Callable[[Generator], Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over every batch that can be drawn; the pairs also have their leave-one-out baseline."""
    config = {"m_embedding": 3, "m_hidden": 6, "clip": 0.0, "gradient": "full"}
    trainer = make_trainer(CoT, make_context(V, T), generator=generator, **config)
    modules: list[nn.Module] = [trainer.generator, trainer.mediator]
    for i, module in enumerate(modules):
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0.0, 1.0, generator=stream(i, "tests", "apart"))
    exact = exact_gradient(trainer, sequence_probs)
    every, law = all_sequences(V, T), sequence_probs(trainer.generator).detach()
    monkeypatch.setattr(trainer.g_optimiser, "step", lambda: None)
    total = torch.zeros_like(exact)
    for rows in itertools.product(range(V**T), repeat=batch):
        drawn = every[list(rows)]
        monkeypatch.setattr(trainer.generator, "sample", lambda n, rng, s=drawn: s)
        trainer._update_generator(log=False)
        parts = [parameter.grad.flatten() for parameter in trainer.generator.parameters()]
        total += law[list(rows)].prod() * torch.cat(parts)
    assert relative_error(total, exact) < 1e-10


if __name__ == "__main__":
    print("\n".join(rows()))
