"""LeakGAN and the goal-factored generators, against plain loops and enumeration (float64)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from textbench.algorithms import leakgan
from textbench.algorithms.discriminator import FAKE, REAL, TextCNN, filters_for
from textbench.algorithms.goal_generator import GoalFactoredGenerator
from textbench.algorithms.leak_generator import LeakedGenerator
from textbench.algorithms.leakgan import (
    LeakGAN,
    block_cosines,
    rescaled,
    token_cosines,
)
from torch import Tensor

from textbench.backbone.losses import linear_kl_rows
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.trainer import Context, Phase, Position
from textbench.run.meter import Meter

V, T, C = 3, 5, 2  # three blocks, the last one of a single token
FILTERS = ((1, 2), (2, 3), (3, 2), (5, 2))
FILTER_TABLE = {"d_filters": FILTERS, "d_embedding": 4}


def leaked(length: int = T, block: int = C, std: float = 1.0, seed: int = 0) -> LeakedGenerator:
    cnn = TextCNN(V + 1, tuple(f for f in FILTERS if f[0] <= length), 4)
    cnn.initialise(torch.Generator().manual_seed(seed))
    model = LeakedGenerator(cnn, length, 3, 4, goal_size=2, block=block)
    model.initialise(torch.Generator().manual_seed(seed + 1), std)
    return model.double()


def own_state(length: int = T, block: int = C, std: float = 1.0) -> GoalFactoredGenerator:
    model = GoalFactoredGenerator(V, length, 3, 4, goal_size=2, block=block)
    model.initialise(torch.Generator().manual_seed(2), std)
    return model.double()


MODELS = pytest.mark.parametrize("build", [leaked, own_state])


# -- an independent reading of the model: one sequence, one step at a time ---------------------


def plain_lstm(layer: Any, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (layer.weight_ih @ x + layer.weight_hh @ h + layer.bias).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def plain_feature(model: Any, prefix: list[int]) -> Tensor:
    padded = [x + 1 for x in prefix] + [0] * (model.length - len(prefix))
    with torch.no_grad():
        return model.discriminator.features(torch.tensor([padded]))[0]


def plain_goals(model: Any, sequence: list[int]) -> list[Tensor]:
    """The goal in force in each block: g_init, then the sum of the block before's sub-goals."""
    goals, h, c = [model.goal_init], torch.zeros(4).double(), torch.zeros(4).double()
    for b in range(1, math.ceil(model.length / model.block)):
        total = torch.zeros_like(model.goal_init)
        for t in range((b - 1) * model.block, b * model.block):
            h, c = plain_lstm(model.manager, plain_feature(model, sequence[:t]), h, c)
            goal = model.goal_weight @ h + model.goal_bias
            total = total + goal / goal.norm()
        goals.append(total)
    return goals


def plain_log_probs(model: Any, sequence: list[int], goals: list[Tensor]) -> Tensor:
    rows, h, c = [], torch.zeros(4).double(), torch.zeros(4).double()
    for t, previous in enumerate([0, *sequence[:-1]]):
        h, c = plain_lstm(model.worker, model.embedding[previous], h, c)
        w = model.projection @ goals[t // model.block]
        w = w / w.norm()
        head = model.head_weight.view(model.vocab_size, len(w), len(h) + 1)
        O = head[:, :, :-1] @ h + head[:, :, -1]  # noqa: E741 - the paper's name
        rows.append(torch.log_softmax(O @ w, 0))
    return torch.stack(rows)


def plain_cosines(
    model: Any, sequence: list[int], goals: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """The cosine of every block and of every token."""
    f = [plain_feature(model, sequence[:t]) for t in range(model.length + 1)]
    blocks, tokens = [], []
    for b, goal in enumerate(goals):
        start, end = b * model.block, min((b + 1) * model.block, model.length)
        blocks.append(cosine(f[end] - f[start], goal))
        tokens += [cosine(f[t + 1] - f[start], goal) for t in range(start, end)]
    return blocks, tokens


def cosine(a: Tensor, b: Tensor) -> Tensor:
    norm = a.norm() * b.norm()
    return (a @ b) / norm if norm > 0 else torch.zeros(()).double()


# -- the generators ----------------------------------------------------------------------------


@MODELS
@pytest.mark.parametrize(("length", "block"), [(5, 2), (4, 2), (3, 4), (4, 1)])
def test_log_probs_are_normalised(build: Any, length: int, block: int) -> None:
    x = torch.randint(V, (6, length), generator=torch.Generator().manual_seed(0))
    total = build(length, block).log_probs(x).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize(("length", "block"), [(5, 2), (4, 2), (3, 4), (5, 1)])
def test_log_probs_equal_a_plain_loop(length: int, block: int) -> None:
    model = leaked(length, block)
    x = torch.randint(V, (4, length), generator=torch.Generator().manual_seed(0))
    expected = [plain_log_probs(model, s, plain_goals(model, s)) for s in x.tolist()]
    torch.testing.assert_close(model.log_probs(x), torch.stack(expected))


def test_the_goal_factored_manager_reads_the_workers_states() -> None:
    model, x = own_state(), torch.tensor([[1, 2, 0, 2, 1]])
    states = model.states(x)[0]
    goals, h, c = [model.goal_init], torch.zeros(4).double(), torch.zeros(4).double()
    for b in range(1, 3):
        total = torch.zeros(4).double()
        for t in range((b - 1) * C, b * C):
            h, c = plain_lstm(model.manager, states[t], h, c)
            goal = model.goal_weight @ h + model.goal_bias
            total = total + goal / goal.norm()
        goals.append(total)
    torch.testing.assert_close(model.log_probs(x)[0], plain_log_probs(model, x[0].tolist(), goals))


@MODELS
def test_only_the_past_is_seen(build: Any) -> None:
    model = build(6)
    x = torch.randint(V, (8, 6), generator=torch.Generator().manual_seed(1))
    before = model.log_probs(x)
    for t in range(6):
        changed = x.clone()
        changed[:, t] = (x[:, t] + 1) % V
        after = model.log_probs(changed)
        assert torch.equal(after[:, : t + 1], before[:, : t + 1])
        assert (after[:, t + 1 :] != before[:, t + 1 :]).any(-1).all()


@MODELS
def test_samples_follow_the_likelihood(
    build: Any, all_sequences: Callable[[int, int], Tensor]
) -> None:
    """Chi-square over all 243 sequences, with another temperature at every position."""
    model, n, alphas = build(), 20_000, [1.0, 0.5, 2.0, 1.5, 1.0]
    every = all_sequences(V, T)
    log_probs = model.log_probs(every).detach() * torch.tensor(alphas).view(1, T, 1)
    chosen = log_probs.log_softmax(-1).gather(2, every.unsqueeze(2)).sum((1, 2))
    expected = chosen.exp().numpy() * n
    drawn = model.sample_tempered(n, torch.Generator().manual_seed(3), alphas)
    counts = torch.bincount(drawn @ V ** torch.arange(T - 1, -1, -1), minlength=V**T).numpy()
    rare = expected < 5
    pooled = [[*x[~rare], x[rare].sum()] for x in (counts, expected)]
    assert chisquare(*pooled).pvalue > 1e-3


@MODELS
def test_inverse_temperature_acts_on_every_token(build: Any) -> None:
    model = build()
    seed = torch.Generator().manual_seed
    tempered = model.sample(300, seed(0), inverse_temperature=2.0)
    assert torch.equal(tempered, model.sample_tempered(300, seed(0), [2.0] * T))
    assert not torch.equal(tempered, model.sample(300, seed(0)))
    assert model.sample(0, seed(0)).shape == (0, T)


@MODELS
@pytest.mark.parametrize(("length", "block"), [(7, 2), (6, 3), (5, 1), (3, 4)])
def test_walks_and_scores_agree(build: Any, length: int, block: int) -> None:
    """The sampler's every conditional is the likelihood's; a copy leaves its original alone."""
    model = build(length, block)
    x = torch.randint(V, (6, length), generator=torch.Generator().manual_seed(1))
    expected, walk = model.log_probs(x).detach(), model.begin(6)
    for t in range(length):
        torch.testing.assert_close(model.logits(walk).log_softmax(1), expected[:, t])
        model.extend(walk.repeat(2), x[:, t].flip(0).repeat(2))
        model.extend(walk, x[:, t])


@MODELS
def test_a_copied_walk_goes_on_from_its_prefix(build: Any) -> None:
    """Completions of a prefix have the prefix's conditional law, row by row."""
    model, prefixes = build(), torch.tensor([[0, 1, 2], [2, 2, 1]])
    walk = model.begin(2)
    for t in range(3):
        model.extend(walk, prefixes[:, t])
    n = 20_000
    ends = model.complete(walk.repeat(n), torch.Generator().manual_seed(0)).view(n, 2, 2)
    assert walk.t == 3
    for i in range(2):
        for first in range(V):
            x = torch.tensor([[*prefixes[i].tolist(), first, 0]])
            law = model.log_probs(x).exp()[0]
            mine = ends[ends[:, i, 0] == first, i, 1]
            assert len(mine) / n == pytest.approx(law[3, first].item(), abs=0.02)
            frequencies = torch.bincount(mine, minlength=V) / max(len(mine), 1)
            tolerance = 4 * 0.5 / math.sqrt(max(len(mine), 1))
            torch.testing.assert_close(frequencies.double(), law[4], rtol=0, atol=tolerance)


def test_the_size_of_cot_strong_is_as_published() -> None:
    model = GoalFactoredGenerator(5000, 20, 32, 32)
    assert sum(p.numel() for p in model.parameters()) == 2_818_240
    assert (model.block, model.blocks) == (4, 5)  # LeakGAN's c
    own = {id(p) for p in (*model.worker_parameters(), *model.manager_parameters())}
    assert own == {id(p) for p in model.parameters()}


def test_the_kl_at_its_prefixes_equals_its_definition(gradients: Any) -> None:
    """The value, and the gradient through Worker and Manager alike; the other model gets none."""
    model, x = own_state(), torch.tensor([[1, 2, 0, 2, 1], [0, 0, 1, 2, 2]])
    other = LSTMLanguageModel(V, T, 3, 4)
    other.initialise(torch.Generator().manual_seed(5), 1.0)
    other.double()
    p, q = model.log_probs(x), other.log_probs(x).detach()
    expected = (p.exp() * (p - q)).sum()
    expected.backward()
    wanted = gradients(model)
    model.zero_grad()
    kl, _ = linear_kl_rows(
        model.hidden(x).flatten(0, 1),
        model.head_weight,
        model.head_bias,
        (other.hidden(x).flatten(0, 1), other.head_weight, other.head_bias),
    )
    kl.backward()
    torch.testing.assert_close(kl, expected)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, wanted[name], msg=name)
        assert gradient.abs().max() > 0, name
    assert all(parameter.grad is None for parameter in other.parameters())


@MODELS
def test_weighted_nll_equals_its_definition(build: Any, gradients: Any) -> None:
    model, x = build(), torch.tensor([[1, 2, 0, 2, 1], [0, 0, 1, 2, 2]])
    weights = torch.rand(2, T, generator=torch.Generator().manual_seed(0)).double() - 0.3
    expected = -(weights * model.log_probs(x).gather(2, x.unsqueeze(2)).squeeze(2)).sum()
    expected.backward()
    wanted = gradients(model)
    model.zero_grad()
    loss = model.weighted_nll(x, weights)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, wanted[name], msg=name)


# -- the leaked features -----------------------------------------------------------------------


@pytest.mark.parametrize("length", [5, 6, 9])
def test_features_equal_the_cnn_on_padded_prefixes(length: int) -> None:
    """Scoring and sampling find them without convolutions; the CNN itself is the judge."""
    cnn = TextCNN(V + 1, filters_for(length, 0.03), 4)
    cnn.initialise(torch.Generator().manual_seed(0))
    model = LeakedGenerator(cnn, length, 3, 4, block=1).double()
    model.initialise(torch.Generator().manual_seed(1))
    x = torch.randint(V, (20, length), generator=torch.Generator().manual_seed(2))
    expected = torch.stack(
        [cnn.features((x + 1).where(torch.arange(length) < t, 0)) for t in range(length + 1)], 1
    )
    close = {"rtol": 0, "atol": 1e-12}
    torch.testing.assert_close(model.features(x), expected.detach(), **close)
    walk = model.begin(len(x))
    for t in range(length - 1):
        torch.testing.assert_close(model.next_feature(walk), expected[:, t].detach(), **close)
        model.extend(walk, x[:, t])


def test_row_0_of_the_cnn_is_padding_and_nothing_else() -> None:
    model, x = leaked(), torch.tensor([[0, 0, 0, 0, 0], [2, 1, 0, 1, 2]])
    before = model.features(x)
    with torch.no_grad():
        model.discriminator.embedding[0] += 1.0
    after = model.features(x)
    torch.testing.assert_close(after[:, T], before[:, T], rtol=0, atol=1e-12)
    assert ((after[:, :T] - before[:, :T]).abs() > 1e-3).any(-1).all()
    assert len(model.discriminator.embedding) == model.vocab_size + 1


def test_the_first_goal_is_one_vector_for_every_row() -> None:
    model = leaked()
    assert model.goal_init.shape == (len(model.discriminator.kernel_bias),)
    goals = model.goals(model.features(torch.tensor([[0, 1, 2, 0, 1], [2, 2, 2, 1, 0]])))
    assert torch.equal(goals[:, 0], model.goal_init.expand(2, -1))
    assert not torch.equal(goals[0, 1:], goals[1, 1:])


def test_a_state_dict_holds_the_discriminator() -> None:
    """generator.pt alone restores the likelihood."""
    trained, fresh = leaked(seed=0), leaked(seed=7)
    x = torch.tensor([[0, 1, 2, 0, 1]])
    assert not torch.equal(fresh.log_probs(x), trained.log_probs(x))
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh.log_probs(x), trained.log_probs(x))


# -- rewards -----------------------------------------------------------------------------------


def test_rescaled_rewards_are_their_ranks() -> None:
    values = torch.tensor([[0.9, 0.2], [0.1, 0.2], [0.5, 0.9], [0.2, 0.1]]).double()
    ranks = torch.tensor([[4, 2.5], [1, 2.5], [3, 4], [2, 1]]).double()
    torch.testing.assert_close(rescaled(values, 16.0), 1 / (1 + torch.exp(8 - 16 * ranks / 4)))
    torch.testing.assert_close(rescaled(values, 2.0), torch.sigmoid(2 * ranks / 4 - 1))


def test_rescaling_follows_the_rows_and_ignores_the_scale() -> None:
    values = torch.rand(16, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(rescaled(values[order], 16.0), rescaled(values, 16.0)[order])
    assert torch.equal(rescaled(values**3 * 1e-3, 16.0), rescaled(values, 16.0))
    for b in range(3):
        assert torch.equal(rescaled(values, 16.0)[:, b].argsort(), values[:, b].argsort())


def test_cosines_are_per_block_and_per_token() -> None:
    model, x = leaked(), torch.tensor([[1, 2, 0, 2, 1], [0, 0, 1, 2, 2]])
    features = model.features(x)
    goals = model.goals(features)
    pairs = [plain_cosines(model, s, plain_goals(model, s)) for s in x.tolist()]
    blocks = torch.stack([torch.stack(pair[0]) for pair in pairs])
    tokens = torch.stack([torch.stack(pair[1]) for pair in pairs])
    torch.testing.assert_close(block_cosines(features, goals, C), blocks)
    torch.testing.assert_close(token_cosines(features, goals, C), tokens)
    assert blocks.shape == (2, 3)
    assert tokens.shape == (2, T)


@torch.no_grad()
def tell_apart(d: TextCNN) -> None:
    """Let D be sigmoid(2 (x_1 + ... + x_T - T)), whatever its first weights: any token moves it.

    The last filter, as wide as a sequence, adds up the symbols, and the highway lets it pass.
    """
    (width, filters), kernel = d.filters[-1], d.kernels[-1]
    assert width == T
    d.embedding[:, 0] = torch.tensor([0, *range(V)])  # padding, then the symbols
    kernel.view(T, -1, filters)[:, :, -1] = torch.eye(1, d.embedding.shape[1])
    for linear in (d.transform, d.gate):
        linear.weight[-1] = 0
        linear.bias[-1] = -1e4
    d.kernel_bias[-1] = 0
    d.output.weight.zero_()
    d.output.weight[REAL, -1] = 2
    d.output.bias[REAL] = d.output.bias[FAKE] - 2 * T


def test_block_values_are_expected_realness(
    make_trainer: Any, make_context: Any, all_sequences: Callable[[int, int], Tensor]
) -> None:
    """Roll-outs estimate E[D | prefix]; the last block's value is D of the sequence."""
    trainer = make_trainer(
        LeakGAN, make_context(V, T), **FILTER_TABLE, block=C, goal_size=2, rollouts=4000
    )
    trainer.generator.initialise(torch.Generator().manual_seed(1), 0.5)
    tell_apart(trainer.generator.discriminator)
    x = torch.tensor([[0, 1, 2, 0, 1], [2, 2, 1, 1, 0]])
    values = trainer.block_values(x)
    every = all_sequences(V, T)
    log_probs = trainer.generator.log_probs(every).gather(2, every.unsqueeze(2)).squeeze(2)
    realness = trainer.generator.discriminator(every + 1).softmax(1)[:, REAL]
    torch.testing.assert_close(realness, torch.sigmoid(2.0 * (every.sum(1) - T)))
    for i, sequence in enumerate(x):
        for b, t in enumerate((2, 4)):
            match = (every[:, :t] == sequence[:t]).all(1)
            law = log_probs[match, t:].sum(1).exp()
            expected = (law * realness[match]).sum()
            spread = (law * (realness[match] - expected) ** 2).sum().sqrt()
            assert spread > 0.02
            assert abs(values[i, b] - expected) < 4 * spread / math.sqrt(4000)
        whole = (every == sequence).all(1)
        torch.testing.assert_close(values[i, 2], realness[whole][0])


def test_roll_outs_are_drawn_at_temperature_1(
    make_trainer: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the samples that they complete were drawn at."""
    alphas = {"first_alpha": 2.0, "alpha": 0.5, "fake_alpha": 3.0}
    trainer = make_trainer(LeakGAN, make_context(V, T), **FILTER_TABLE, **alphas, block=C)
    seen, complete = [], trainer.generator.complete

    def recorded(walk: Any, rng: torch.Generator, alphas: Any = None) -> Tensor:
        seen.append(alphas or [1.0] * T)
        return complete(walk, rng, alphas)

    monkeypatch.setattr(trainer.generator, "complete", recorded)
    trainer.block_values(torch.tensor([[0, 1, 2, 0, 1]]))
    assert seen == [[1.0] * T] * 2


# -- updates -----------------------------------------------------------------------------------


@pytest.fixture
def trainer(make_trainer: Any, make_context: Any) -> LeakGAN:
    """A trainer in float64 with marked weights, no clipping, and rates too small to matter."""
    context = make_context(V, T, size=8, embedding=3, hidden=4)
    trainer: LeakGAN = make_trainer(
        LeakGAN, context, **FILTER_TABLE, block=C, goal_size=2, clip=0.0, g_lr=1e-12, batch=4
    )
    trainer.generator.double()
    trainer.generator.initialise(torch.Generator().manual_seed(4), 1.0)
    return trainer


def expected_gradients(
    trainer: LeakGAN, x: Tensor, rewards: Tensor, intrinsic: bool
) -> dict[str, Tensor]:
    """Plain loops: the Manager's loss moves the Manager alone, the Worker's the Worker alone."""
    model = copy.deepcopy(trainer.generator)
    manager, worker = torch.zeros(()).double(), torch.zeros(()).double()
    for i, s in enumerate(x.tolist()):
        goals = plain_goals(model, s)
        fixed = [goal.detach() for goal in goals]
        blocks, _ = plain_cosines(model, s, goals)
        _, tokens = plain_cosines(model, s, fixed)
        manager = manager - sum(r * c for r, c in zip(rewards[i], blocks, strict=True))
        for t, row in enumerate(plain_log_probs(model, s, fixed)):
            worker = worker - (tokens[t] if intrinsic else 1.0) * row[s[t]]
    mine = {id(p) for p in model.manager_parameters()}
    scale = {True: 1 / rewards.numel(), False: 1 / x.numel()}
    named = [(n, p) for n, p in model.named_parameters() if "discriminator" not in n]
    result = {}
    for is_manager, loss in ((True, manager), (False, worker)):
        group = [(n, p) for n, p in named if (id(p) in mine) == is_manager]
        found = torch.autograd.grad(loss * scale[is_manager], [p for _, p in group])
        result.update({n: g for (n, _), g in zip(group, found, strict=True)})
    return result


def assert_gradients(trainer: LeakGAN, wanted: dict[str, Tensor]) -> None:
    for name, parameter in trainer.generator.named_parameters():
        if "discriminator" in name:
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            torch.testing.assert_close(parameter.grad, wanted[name], msg=name)
            assert parameter.grad.abs().max() > 1e-9, name


def test_pretraining_gradient(trainer: LeakGAN) -> None:
    x = trainer.context.data.batch(0, 4)
    wanted = expected_gradients(trainer, x, torch.ones(4, 3).double(), intrinsic=False)
    logged = trainer.step(Position("pretraining", 0, 0))
    assert_gradients(trainer, wanted)
    nll = -trainer.generator.log_probs(x).gather(2, x.unsqueeze(2)).mean()
    assert float(logged["nll"]) == pytest.approx(nll.item(), abs=1e-9)


def test_adversarial_gradient(trainer: LeakGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranked rewards weigh the Manager's cosines, intrinsic rewards the Worker's tokens."""
    x = torch.tensor([[1, 2, 0, 2, 1], [0, 0, 1, 2, 2], [2, 1, 1, 0, 0], [1, 1, 0, 2, 2]])
    values = torch.rand(4, 3, generator=torch.Generator().manual_seed(6)).double()
    monkeypatch.setattr(trainer, "_sample", lambda n, alphas: x)
    monkeypatch.setattr(trainer, "block_values", lambda sequences: values)
    rewards = torch.sigmoid(16 * ((values.argsort(0).argsort(0) + 1) / 4 - 0.5))
    wanted = expected_gradients(trainer, x, rewards, intrinsic=True)
    logged = trainer.step(Position("adversarial", 0, 0))
    assert_gradients(trainer, wanted)
    model = trainer.generator.requires_grad_(False)
    cosines = [plain_cosines(model, s, plain_goals(model, s)) for s in x.tolist()]
    blocks, tokens = (torch.stack([torch.stack(one[i]) for one in cosines]) for i in range(2))
    nll = -model.log_probs(x).gather(2, x.unsqueeze(2)).squeeze(2)
    assert {name: float(value) for name, value in logged.items()} == pytest.approx(
        {
            "manager_loss": -(rewards * blocks).mean().item(),
            "worker_loss": (tokens * nll).mean().item(),
            "reward": values.mean().item(),
            "intrinsic_reward": tokens.mean().item(),
        },
        rel=1e-5,
    )


def test_each_phase_has_its_own_adam_and_the_ranks_their_slope(
    make_trainer: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adversarial phase starts with a fresh state at the same rate, as in the code."""
    options = {"g_lr": 0.03, "d_lr": 0.007, "rank_slope": 9.0, "batch": 4}
    trainer = make_trainer(LeakGAN, make_context(V, T), **FILTER_TABLE, **options)
    sides = (trainer.pretraining_optimiser, trainer.adversarial_optimiser, trainer.d_optimiser)
    assert [side.param_groups[0]["lr"] for side in sides] == [0.03, 0.03, 0.007]
    assert [side.param_groups[0]["betas"] for side in sides] == [(0.9, 0.999)] * 3
    slopes = []
    monkeypatch.setattr(
        leakgan, "rescaled", lambda values, slope: (slopes.append(slope), values)[1]
    )
    trainer.step(Position("pretraining", 0, 0))
    assert trainer.pretraining_optimiser.state and not trainer.adversarial_optimiser.state
    before = trainer.pretraining_optimiser.state_dict()["state"][0]["step"].clone()
    trainer.step(Position("adversarial", 0, 0))
    assert trainer.adversarial_optimiser.state and slopes == [9.0]
    assert trainer.pretraining_optimiser.state_dict()["state"][0]["step"] == before


def test_manager_and_worker_are_clipped_apart(make_trainer: Any, make_context: Any) -> None:
    trainer = make_trainer(LeakGAN, make_context(V, T), **FILTER_TABLE, block=C, clip=1e-3, batch=4)
    trainer.step(Position("pretraining", 0, 0))
    model = trainer.generator
    for group in (model.worker_parameters(), model.manager_parameters()):
        norm = torch.stack([p.grad.norm() for p in group]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_discriminator_update(make_trainer: Any, make_context: Any) -> None:
    """Cross-entropy on shifted tokens, no penalty, no dropout; the generator's own parts rest."""
    trainer = make_trainer(
        LeakGAN, make_context(V, T, size=8), **FILTER_TABLE, d_batch=4, d_lr=1e-12
    )
    trainer.step(Position("discriminator", 0, 0))
    cnn = trainer.generator.discriminator
    found = {n: p.grad.clone() for n, p in cnn.named_parameters()}
    loss = F.cross_entropy(cnn(trainer.sequences[:4] + 1), trainer.labels[:4])
    expected = torch.autograd.grad(loss, list(cnn.parameters()))
    for (name, gradient), wanted in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(gradient, wanted, msg=name)
    own = [*trainer.generator.worker_parameters(), *trainer.generator.manager_parameters()]
    assert all(parameter.grad is None for parameter in own)


def test_a_load_is_the_data_and_as_many_fakes(make_trainer: Any, make_context: Any) -> None:
    data = torch.full((8, T), 2)
    trainer = make_trainer(LeakGAN, make_context(V, T, sequences=data), **FILTER_TABLE)
    trainer.step(Position("discriminator", 0, 0))
    assert len(trainer.sequences) == 16
    assert torch.equal(trainer.sequences[trainer.labels == REAL], data)
    assert (trainer.sequences[trainer.labels != REAL] != 2).any()


def test_temperatures_reach_the_samples(
    make_trainer: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"first_alpha": 1.5, "first_tokens": 2, "alpha": 0.8, "fake_alpha": 1.2}
    trainer = make_trainer(LeakGAN, make_context(V, T), **FILTER_TABLE, **options, batch=4)
    seen = []
    draw = trainer.generator.sample_tempered

    def record(n: int, rng: torch.Generator, alphas: list[float]) -> Tensor:
        seen.append(alphas)
        return draw(n, rng, alphas)

    monkeypatch.setattr(trainer.generator, "sample_tempered", record)
    trainer.step(Position("adversarial", 0, 0))
    trainer.step(Position("adversarial", 0, 1))
    assert seen == [[1.5, 1.5, 0.8, 0.8, 0.8], [1.2] * T]


# -- the schedule ------------------------------------------------------------------------------

TINY = {
    **FILTER_TABLE,
    "pretrain_rounds": 2,
    "pretrain_d_steps": 4,
    "pretrain_g_epochs": 3,
    "rounds": 2,
    "d_steps": 2,
    "d_epochs": 2,
    "d_batch": 4,
    "batch": 4,
    "block": C,
    "goal_size": 2,
    "rollouts": 2,
}


def tiny(make_trainer: Any, make_context: Any, **more: int) -> tuple[LeakGAN, Context]:
    context = make_context(V, T, size=8)
    return make_trainer(LeakGAN, context, **TINY | more), context


def test_schedule(make_trainer: Any, make_context: Any, positions: Any) -> None:
    trainer, _ = tiny(make_trainer, make_context)
    d, g = Phase("discriminator", 4, 2 * 4, trains_generator=False), Phase("pretraining", 3, 2)
    assert trainer.phases() == [d, g, d, g, Phase("adversarial", 2, 1 + 2 * 2 * 4)]
    kinds, meter = [], Meter(trainer)
    for at in positions(trainer):
        with meter:
            logged = trainer.step(at)
        assert all(math.isfinite(float(value)) for value in logged.values())
        g, d = (meter.ledger[side] for side in ("generator_updates", "critic_updates"))
        assert g + d == len(kinds) + 1
        kinds.append("g" if g > kinds.count("g") else "d")
    assert "".join(kinds) == 2 * (32 * "d" + 6 * "g") + 2 * ("g" + 16 * "d")
    assert trainer.loads == 2 * 4 + 2 * 2
    fakes, rolled = 12 * 8 * T, 2 * 2 * 4 * (3 + 1)
    assert meter.ledger["tokens_sampled"] == fakes + 2 * 4 * T + rolled


def test_some_rounds_have_a_pass_of_pretraining(
    make_trainer: Any, make_context: Any, positions: Any
) -> None:
    """Image COCO code: after the update of rounds 0, 15, 30, ...; here 0 and 2 of 3."""
    context = make_context(V, T, size=8)
    options = TINY | {"pretrain_rounds": 0, "rounds": 3, "mle_every": 2, "pretrain_g_batches": 3}
    trainer = make_trainer(LeakGAN, context, **options)
    d = 2 * 2 * 4
    one, other = Phase("adversarial", 1, 1 + 3 + d), Phase("adversarial", 1, 1 + d)
    assert trainer.phases() == [one, other, one]
    kinds = {"worker_loss": "g", "nll": "m", "d_loss": "d"}
    done = "".join(kinds[(set(trainer.step(at)) & set(kinds)).pop()] for at in positions(trainer))
    assert done == "g" + "mmm" + d * "d" + "g" + d * "d" + "g" + "mmm" + d * "d"
    assert trainer.updates == 6
    assert trainer.pretraining_optimiser.state_dict()["state"][0]["step"] == 6
    twice = make_trainer(LeakGAN, context, **options | {"g_steps": 2})
    read, batch = [], context.data.batch
    context.data.batch = lambda index, size: (read.append(index), batch(index, size))[1]
    done = "".join(kinds[(set(twice.step(at)) & set(kinds)).pop()] for at in positions(twice))
    assert done == "gg" + "mmm" + d * "d" + "gg" + d * "d" + "gg" + "mmm" + d * "d"
    assert read == [0, 1, 2, 3, 4, 5]  # through the file, where the code begins it anew
    every = make_trainer(LeakGAN, context, **options | {"rounds": 5, "mle_every": 1})
    assert every.phases() == 5 * [one]
    without = make_trainer(LeakGAN, context, **options | {"mle_every": 0})
    assert without.phases() == [Phase("adversarial", 3, 1 + d)]


def test_true_sequences_join_the_ranking_one_by_one(
    make_trainer: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image COCO code: round // 2 of them, at most a batch; values are their mean D."""
    data = torch.randint(V, (12, T), generator=torch.Generator().manual_seed(8))
    options = {**FILTER_TABLE, "block": C, "goal_size": 2, "batch": 4, "rollouts": 2}
    options |= {"rank_real_every": 2, "rank_slope": 16.0}
    trainer = make_trainer(LeakGAN, make_context(V, T, sequences=data), **options)
    values = torch.tensor([[0.9, 0.2, 0.3], [0.1, 0.2, 0.1], [0.5, 0.9, 0.6], [0.2, 0.1, 0.8]])
    realness = lambda x: x.sum(1) / 20  # noqa: E731 - a stand-in whose values are known
    monkeypatch.setattr(trainer, "_realness", realness)
    read = 0
    for number in range(12):
        trainer.reinforced = number
        rivals = min(4, number // 2)
        found = trainer._ranked(values)
        if not rivals:
            assert torch.equal(found, rescaled(values, 16.0))
            continue
        rows = [data.roll(-4 * (read + i), 0)[:rivals] for i in range(2)]
        mean = (realness(rows[0]) + realness(rows[1])) / 2
        read = (read + 2) % 3
        everyone = torch.cat([values, mean.unsqueeze(1).repeat(1, 3)])
        assert torch.equal(found, rescaled(everyone, 16.0)[:4])
        below = (everyone.unsqueeze(0) < values.unsqueeze(1)).sum(1)
        equal = (everyone.unsqueeze(0) == values.unsqueeze(1)).sum(1)
        rank = (below + (equal + 1) / 2) / (4 + rivals)
        torch.testing.assert_close(found, torch.sigmoid(16 * (rank - 0.5)))
    assert trainer.rivals == 2 * 10
    sizes: list[int] = []
    monkeypatch.setattr(
        leakgan, "rescaled", lambda values, slope: (sizes.append(len(values)), values)[1]
    )
    trainer = make_trainer(LeakGAN, make_context(V, T, sequences=data), **options | {"g_steps": 3})
    for trainer.reinforced in range(14):  # rounds of three updates, one more every other round
        trainer._ranked(values)
    assert sizes == [4] * 6 + [5] * 6 + [6] * 2


@pytest.mark.parametrize(
    "more", [{}, {"rounds": 4, "mle_every": 2, "rank_real_every": 1}], ids=["plain", "coco"]
)
def test_resume_is_exact(
    make_trainer: Any, make_context: Any, positions: Any, more: dict[str, int]
) -> None:
    whole, context = tiny(make_trainer, make_context, **more)
    places = list(positions(whole))
    half = len(places) - 20  # before the last round
    for at in places[:half]:
        whole.step(at)
    state = copy.deepcopy(whole.state_dict())
    rng = context.rng.get_state()
    resumed, other_context = tiny(make_trainer, make_context, **more)
    resumed.load_state_dict(state)
    other_context.rng.set_state(rng)
    for at in places[half:]:
        assert {k: float(v) for k, v in whole.step(at).items()} == {
            k: float(v) for k, v in resumed.step(at).items()
        }
    for name, tensor in whole.generator.state_dict().items():
        assert torch.equal(tensor, resumed.generator.state_dict()[name]), name


def test_pretraining_learns(make_trainer: Any, make_context: Any) -> None:
    """On one repeated sequence the NLL vanishes and the sub-goals find their features."""
    data = torch.tensor([[0, 2, 1, 1, 2, 0]]).repeat(4, 1)
    trainer = make_trainer(
        LeakGAN, make_context(V, 6, sequences=data), **FILTER_TABLE, batch=4, g_lr=0.05, block=C
    )
    logged = [trainer.step(Position("pretraining", 0, i)) for i in range(120)]
    assert float(logged[0]["nll"]) > 1.0
    assert float(logged[-1]["nll"]) < 0.1
    assert float(logged[-1]["goal_cosine"]) > max(0.9, float(logged[0]["goal_cosine"]))


def test_own_generator_is_declared() -> None:
    assert LeakGAN.own_generator
    assert LeakGAN.warmup(LeakGAN.config_schema()) is None
