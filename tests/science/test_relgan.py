"""`relgan`: its samples, the gradient through them, its scores, its losses and its schedule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from enumerated import T, V, apart
from ledgers import spent
from scipy.stats import chisquare
from textbench.algorithms.relgan import Discriminator, RelGAN
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.backbone.gumbel import gumbel_max, relaxed
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import validate
from textbench.contracts.errors import UserError
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]
G_TURN, D_TURN = Position("adversarial", 0, 0), Position("adversarial", 0, 1)
SMALL: dict[str, Any] = {
    **{"batch": 5, "rounds": 6, "rounds_per_epoch": 2, "d_steps": 2, "clip": 0.0},
    **{"d_embedding": 4, "d_filters": ((1, 3), (2, 2)), "d_dense": 3},
}


def generator(seed: int = 0) -> LSTMLanguageModel:
    made = LSTMLanguageModel(V, T, 3, 5)
    apart(made, seed)
    return made


# -- samples -----------------------------------------------------------------------------------


def test_gumbel_max_follows_the_enumerated_law(
    all_sequences: Callable[[int, int], Tensor], sequence_probs: Callable[[Generator], Tensor]
) -> None:
    G, n = generator(), 40_000
    tokens, noise = gumbel_max(G, n, stream(0, "tests", "draws"))
    assert noise.shape == (n, T, V)
    cells = tokens @ torch.tensor([V * V, V, 1])
    observed = torch.bincount(cells, minlength=V**T).double()
    expected = n * sequence_probs(G).detach()
    large = expected >= 5
    found = [*observed[large].tolist(), float(observed[~large].sum())]
    law = [*expected[large].tolist(), float(expected[~large].sum()) + 1e-9]
    assert chisquare(found, [x * sum(found) / sum(law) for x in law]).pvalue > 1e-3


def test_a_symbol_is_where_logits_and_noise_are_largest() -> None:
    G = generator()
    tokens, noise = gumbel_max(G, 50, stream(1, "tests", "draws"))
    assert torch.equal((G.log_probs(tokens) + noise).argmax(2), tokens)


def by_steps(G: LSTMLanguageModel, noise: Tensor, beta: float) -> Tensor:
    """Return the relaxed symbols, drawn and fed back one step after the other, with autograd."""
    n = len(noise)
    h = c = torch.zeros(n, 5, dtype=torch.float64)
    previous = torch.zeros(n, dtype=torch.int64)
    columns = []
    for t in range(T):
        a = G.embedding[previous] @ G.weight_ih.T + h @ G.weight_hh.T + G.bias
        i, f, g, o = a.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        perturbed = h @ G.head_weight.T + G.head_bias + noise[:, t]
        previous = perturbed.argmax(1)
        columns.append((beta * perturbed).softmax(1))
    return torch.stack(columns, 1)


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_relaxed_samples_and_their_gradient_are_those_of_the_steps(
    beta: float, gradients: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    G = generator()
    tokens, noise = gumbel_max(G, 7, stream(0, "tests", "draws"))
    payoff = torch.randn(7, T, V, dtype=torch.float64, generator=stream(0, "tests", "payoff"))
    y = relaxed(G, tokens, noise, beta)
    (y * payoff).sum().backward()
    found = gradients(G)
    G.zero_grad()
    expected = by_steps(G, noise, beta)
    (expected * payoff).sum().backward()
    torch.testing.assert_close(y, expected, atol=1e-12, rtol=1e-9)
    for name, exact in gradients(G).items():
        torch.testing.assert_close(found[name], exact, atol=1e-12, rtol=1e-9)
        assert exact.abs().max() > 1e-3, name


def test_as_beta_grows_relaxed_symbols_become_the_drawn_ones() -> None:
    G = generator()
    tokens, noise = gumbel_max(G, 20, stream(0, "tests", "draws"))
    y = relaxed(G, tokens, noise, 1e6)
    torch.testing.assert_close(y, F.one_hot(tokens, V).double(), atol=1e-6, rtol=0)


# -- the discriminator -------------------------------------------------------------------------


def discriminator(embedding: int = 6, parts: int = 3) -> Discriminator:
    D = Discriminator(V, embedding, parts, ((1, 3), (2, 2)), 4)
    apart(D, 1)
    return D


def scores_by_loops(D: Discriminator, embedded: Tensor) -> Tensor:
    """Return one sequence's scores; the loops are over parts, windows and places."""
    size = embedded.shape[1] // D.parts
    scores = []
    for r in range(D.parts):
        series = embedded[:, r * size : (r + 1) * size]
        features = []
        for kernel in D.kernels:
            w = len(kernel) // size
            answers = [series[t : t + w].flatten() @ kernel for t in range(len(series) - w + 1)]
            features.append(torch.stack(answers).amax(0))
        x = torch.relu(torch.cat(features) + D.kernel_bias)
        gate = torch.sigmoid(D.gate @ x)
        x = gate * torch.relu(D.transform @ x) + (1 - gate) * x
        scores.append(D.output @ (D.dense @ x + D.dense_bias) + D.output_bias)
    return torch.cat(scores)


@pytest.mark.parametrize(("embedding", "parts"), [(6, 3), (4, 4), (4, 1)])
def test_scores_are_those_of_plain_loops(embedding: int, parts: int) -> None:
    D = discriminator(embedding, parts)
    x = torch.randint(V, (5, T), generator=stream(0, "tests", "x"))
    embedded = F.embedding(x, D.embedding)
    found = D(embedded, 0.0, stream(0, "tests"))
    expected = torch.stack([scores_by_loops(D, row) for row in embedded])
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)


def test_the_initial_law_is_the_codes() -> None:
    D = Discriminator(400, 32, 32, ((2, 60), (5, 60)), 30)
    D.initialise(stream(0, "tests"))
    cut = 0.8796  # a normal that is cut at two standard deviations has less than one
    for weight, std in (
        (D.embedding, 400**-0.5),
        (D.kernels[0], 1.0),
        (D.kernels[1], 0.4**0.5),
        (D.transform, 120**-0.5),
        (D.gate, 120**-0.5),
        (D.dense, 120**-0.5),
    ):
        assert weight.detach().std().item() == pytest.approx(cut * std, rel=0.1)
        assert weight.detach().abs().max() <= 2 * std + 1e-6
    assert not D.kernel_bias.any() and not D.dense_bias.any() and not D.output_bias.any()


# -- updates -----------------------------------------------------------------------------------


def double(trainer: Any) -> Any:
    for i, module in enumerate((trainer.generator, trainer.discriminator)):
        apart(module, i)
    return trainer


@pytest.mark.parametrize("turn", [G_TURN, D_TURN])
def test_an_update_descends_the_relativistic_loss(
    turn: Position,
    make_context: Contexts,
    make_trainer: Trainers,
    gradients: Callable[[nn.Module], dict[str, Tensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against the loss of every pair and representation, on samples drawn step by step."""
    options = SMALL | {"d_dropout": 0.0, "largest_beta": 100.0}
    trainer = double(make_trainer(RelGAN, make_context(V, T, size=10), **options))
    G, D = trainer.generator, trainer.discriminator
    drawn: list[Tensor] = []
    from textbench.algorithms import relgan

    def recorded(*arguments: Any) -> Any:
        tokens, noise = gumbel_max(*arguments)
        drawn.append(noise)
        return tokens, noise

    read: list[Tensor] = []
    batch = trainer.context.data.batch
    monkeypatch.setattr(relgan, "gumbel_max", recorded)
    trainer.context.data.batch = lambda i, n: (read.append(batch(i, n)), read[-1])[1]
    for optimiser in (trainer.g_optimiser, trainer.d_optimiser):
        monkeypatch.setattr(optimiser, "step", lambda: None)
    at = Position("adversarial", 2, turn.index + 3)  # the second round of the third epoch
    log = trainer.step(at)
    moved, rests = (G, D) if turn is G_TURN else (D, G)
    found = gradients(moved)
    assert not any(g.any() for g in gradients(rests).values())
    G.zero_grad()
    D.zero_grad()
    y = by_steps(G, drawn[0], 100.0 ** (5 / 5000))
    if turn is G_TURN:
        assert float(log["largest_share"]) == pytest.approx(y.amax(2).mean().item(), rel=1e-9)
    total = torch.zeros((), dtype=torch.float64)
    for real, fake in zip(read[0], y, strict=True):
        d_x = scores_by_loops(D, D.embedding[real])
        d_y = scores_by_loops(D, fake @ D.embedding)
        ahead = d_y - d_x if turn is G_TURN else d_x - d_y
        total = total - torch.log(torch.sigmoid(ahead)).sum()
    loss = total / (5 * 4)
    loss.backward()
    name = "g_loss" if turn is G_TURN else "d_loss"
    assert float(log[name]) == pytest.approx(loss.item(), rel=1e-9)
    for key, exact in gradients(moved).items():
        torch.testing.assert_close(found[key], exact, atol=1e-12, rtol=1e-8)
    assert sum(float(g.abs().sum()) for g in found.values()) > 1e-3


def test_beta_rises_exponentially_with_the_round(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    trainer = make_trainer(RelGAN, make_context(V, T), largest_beta=100.0)
    assert trainer.beta(0) == 1.0
    assert trainer.beta(2500) == pytest.approx(10.0)
    assert trainer.beta(3000) == pytest.approx(math.exp(0.6 * math.log(100)))
    (phase,) = trainer.phases()
    assert (phase.epochs, phase.steps) == (150, 20 * 6)


def test_a_round_is_one_update_of_g_and_then_those_of_d(
    make_context: Contexts, make_trainer: Trainers, positions: Callable[..., Iterator[Position]]
) -> None:
    trainer = make_trainer(RelGAN, make_context(V, T), **SMALL)
    logs = [trainer.step(at) for at in positions(trainer)]
    assert ["g_loss" in log for log in logs] == [True, False, False] * 6
    betas = [log["beta"] for log in logs if "beta" in log]
    assert betas == pytest.approx([2 ** (i / 5000) for i in range(6)])


def test_real_batches_are_random_ones_of_a_pass_and_then_of_the_next(
    make_context: Contexts, make_trainer: Trainers, positions: Callable[..., Iterator[Position]]
) -> None:
    """Four batches to a pass: updates 0 to 3 read the first one, 4 to 7 the second."""
    context = make_context(V, T, size=22)
    trainer = make_trainer(RelGAN, context, **SMALL)
    drawn: list[int] = []
    batch = context.data.batch
    context.data.batch = lambda index, size: (drawn.append(index), batch(index, size))[1]
    for at in positions(trainer):
        trainer.step(at)
    assert len(drawn) == 18
    assert [index // 4 for index in drawn] == [i // 4 for i in range(18)]
    assert len({index % 4 for index in drawn}) == 4
    assert [index % 4 for index in drawn] != [i % 4 for i in range(18)]


def test_fewer_real_sequences_than_a_batch_meet_as_many_fakes(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    trainer = make_trainer(RelGAN, make_context(V, T, size=3), **SMALL)
    y = torch.full((5, T, V), 1 / V)
    assert [scores.shape for scores in trainer._scores(y)] == [(3, 4), (3, 4)]
    for at in (G_TURN, D_TURN):
        assert all(math.isfinite(float(value)) for value in trainer.step(at).values())


def test_dropout_is_on_for_both_sides(make_context: Contexts, make_trainer: Trainers) -> None:
    losses = {}
    for dropout in (0.0, 0.9):
        trainer = make_trainer(RelGAN, make_context(V, T), **SMALL, d_dropout=dropout)
        losses[dropout] = [
            float(trainer.step(at)[name]) for at, name in ((G_TURN, "g_loss"), (D_TURN, "d_loss"))
        ]
    assert all(a != b for a, b in zip(losses[0.0], losses[0.9], strict=True))


def test_both_gradients_are_clipped(make_context: Contexts, make_trainer: Trainers) -> None:
    trainer = double(make_trainer(RelGAN, make_context(V, T), **(SMALL | {"clip": 1e-3})))
    for at, model in ((G_TURN, trainer.generator), (D_TURN, trainer.discriminator)):
        trainer.step(at)
        norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_each_side_has_its_own_rate_and_says_how_it_stands(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accuracy is the share of pairs in which the real one is ahead."""
    options = SMALL | {"g_lr": 0.03, "d_lr": 0.002}
    trainer = make_trainer(RelGAN, make_context(V, T), **options)
    for optimiser, lr, model in (
        (trainer.g_optimiser, 0.03, trainer.generator),
        (trainer.d_optimiser, 0.002, trainer.discriminator),
    ):
        (group,) = optimiser.param_groups
        assert (group["lr"], group["betas"]) == (lr, (0.9, 0.999))
        assert {id(p) for p in group["params"]} == {id(p) for p in model.parameters()}
    bias = trainer.discriminator.output_bias
    real, fake = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([[0.0, 2.0], [-1.0, 2.0]])
    monkeypatch.setattr(trainer, "_scores", lambda y: (real + 0.0 * bias, fake))
    assert float(trainer.step(D_TURN)["d_accuracy"]) == 0.75


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="rounds_per_epoch must divide rounds, 10"):
        validate(RelGAN.config_schema, {"rounds": 10, "rounds_per_epoch": 3}, "relgan")
    with pytest.raises(UserError, match="d_representations must divide d_embedding, 64"):
        validate(RelGAN.config_schema, {"d_representations": 5}, "relgan")
    with pytest.raises(UserError, match=r"relgan\.d_filters"):
        validate(RelGAN.config_schema, {"d_filters": []}, "relgan")


def test_what_either_side_costs(make_context: Contexts, make_trainer: Trainers) -> None:
    """G draws and reads its samples again; D reads them and as many real ones."""
    trainer = make_trainer(RelGAN, make_context(V, T), **SMALL)
    for at, updates in ((G_TURN, (1, 0)), (D_TURN, (0, 1))):
        assert tuple(spent(trainer, at).values()) == (*updates, 5 * T, 3 * 5 * T)


GOLDEN = [0.6997594, 0.6888863, 0.6924358, 1.0764043, 0.5535178, 0.5533986]


def test_golden_losses(
    make_context: Contexts, make_trainer: Trainers, positions: Callable[..., Iterator[Position]]
) -> None:
    options = SMALL | {"rounds": 20, "g_lr": 1e-2, "d_lr": 1e-2}
    trainer = make_trainer(RelGAN, make_context(V, T), **options)
    # PyTorch 2.6 draws truncated normals otherwise than 2.13; both draw the same uniform numbers.
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainer.discriminator.parameters():
            parameter.uniform_(-0.5, 0.5, generator=rng)
    losses = []
    for at in itertools.islice(positions(trainer), 60):
        log = trainer.step(at)
        losses.append(float(log.get("g_loss", log.get("d_loss"))))
    assert [losses[i] for i in (0, 1, 2, 57, 58, 59)] == pytest.approx(GOLDEN, rel=1e-4)


def test_it_resumes_exactly(
    make_context: Contexts, assert_resumes_exactly: Callable[..., None]
) -> None:
    assert_resumes_exactly(RelGAN, make_context, 5, **SMALL)
