"""eWMD's properties, at sizes where a critic takes a second."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from textbench.metrics import critic
from textbench.metrics.critic import (
    RECIPES,
    Distance,
    ResidualCritic,
    TextmoverCritic,
    distance,
    embedding,
    encode,
    gradient_norms,
)
from textbench.metrics.halves import split_by_identity
from torch import Tensor, nn

from textbench.contracts.streams import stream

V, T, N = 30, 7, 500
TWO_SIDED = RECIPES["two-sided"]


def text(seed: int, n: int = N) -> Tensor:
    """Draw sentences of 3 to 7 words from a chain that mostly goes on to the next but two."""
    rng = stream(seed, "tests", "text")
    lengths = torch.randint(3, T + 1, (n,), generator=rng)
    word = 2 + torch.randint(4, (n,), generator=rng)
    columns = []
    for t in range(T):
        columns.append(torch.where(t < lengths, word, 0))
        jumps = torch.rand(n, generator=rng) < 0.3
        word = torch.where(
            jumps, torch.randint(2, V, (n,), generator=rng), 2 + (word + 1) % (V - 2)
        )
    return torch.stack(columns, 1)


def corrupted(tokens: Tensor, rate: float) -> Tensor:
    """Replace words at random."""
    rng = stream(5, "tests", "corruption")
    replaced = (torch.rand(tokens.shape, generator=rng) < rate) & (tokens >= 2)
    return torch.where(replaced, torch.randint(2, V, tokens.shape, generator=rng), tokens)


FAR = torch.full((N, T), 7)
"""One sentence only, so far from `text` that few steps find all of the distance."""


def measured(p: Tensor, q: Tensor, *, steps: int = 60, critics: int = 2, **other: Any) -> Distance:
    recipe = other.pop("recipe", TWO_SIDED)
    table = other.pop("table", embedding(V))
    streams = [stream(i, "tests", "critic") for i in range(critics)]
    return distance(encode(p, V), encode(q, V), table, recipe, steps=steps, streams=streams)


@functools.cache
def iid() -> Distance:
    return measured(text(0), text(1))


@functools.cache
def damaged(rate: float) -> Distance:
    return measured(text(0), corrupted(text(1), rate))


# -- the points of the space ------------------------------------------------------------------


def test_sentences_become_points() -> None:
    tokens = torch.tensor([[3, 4, 0, 7], [2, 5, 5, 6], [0, 9, 9, 9]])
    end, nothing = V, V + 1
    assert encode(tokens, V).tolist() == [
        [3, 4, end, nothing, nothing],
        [2, 5, 5, 6, end],
        [end, nothing, nothing, nothing, nothing],
    ]


def test_the_table_is_fixed() -> None:
    table = embedding(V)
    assert table.shape == (V + 2, 32)
    assert table[:-1].norm(dim=1).tolist() == pytest.approx([1.0] * (V + 1), abs=1e-6)
    assert table[-1].tolist() == [0.0] * 32
    # numpy's Philox: these numbers must not move between versions, devices or vocabularies.
    assert table[2, :3].tolist() == pytest.approx([0.0997231, -0.2050104, -0.2013756], abs=1e-6)
    assert torch.equal(table[:20], embedding(V + 5)[:20])


# -- the critics ------------------------------------------------------------------------------


def test_gradient_norms_are_those_of_finite_differences() -> None:
    net = critic._initialise(ResidualCritic(T + 1, 4), stream(0, "tests")).double()
    x = torch.randn(3, T + 1, 4, generator=stream(1, "tests"), dtype=torch.float64)
    f, norms = gradient_norms(net, x)
    for row in range(3):
        slopes = []
        for i in range((T + 1) * 4):
            step = torch.zeros((T + 1) * 4, dtype=torch.float64)
            step[i] = 1e-6
            ahead = net(x[row : row + 1] + step.view(1, T + 1, 4))
            slopes.append((ahead - f[row]).item() / 1e-6)
        assert norms[row].item() == pytest.approx(torch.tensor(slopes).norm().item(), rel=1e-4)


def test_the_penalty_reaches_the_weights() -> None:
    net = critic._initialise(ResidualCritic(T + 1, 4), stream(0, "tests"))
    x = torch.randn(3, T + 1, 4, generator=stream(1, "tests"))
    gradient_norms(net, x)[1].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (net.first.weight,))
    assert net.outer.weight.grad is not None and net.outer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("length", "left"), [(12, 3), (13, 4), (5, 2), (51, 13)])
def test_the_authors_critic_pads_as_tensorflow_does(length: int, left: int) -> None:
    """ "SAME" keeps ceil(T / stride) positions at each of the three convolutions."""
    net = critic._initialise(TextmoverCritic(length, 8), stream(0, "tests"))
    assert net.output.in_features == 8 * left
    assert net(torch.zeros(2, length, 8)).shape == (2,)


def test_the_residual_critic_is_its_definition() -> None:
    net = critic._initialise(ResidualCritic(5, 4), stream(0, "tests"))
    x = torch.randn(3, 5, 4, generator=stream(1, "tests"))

    def convolved(layer: nn.Conv1d, h: Tensor) -> Tensor:
        """Add up the three offsets, zeros before the first position and after the last."""
        padded = F.pad(h, (0, 0, 1, 1))
        return layer.bias + sum(padded[:, j : j + 5] @ layer.weight[:, :, j].T for j in range(3))

    h = convolved(net.first, x)
    h = h + 0.3 * convolved(net.outer, convolved(net.inner, h.relu()).relu())
    by_channel = h.relu().transpose(1, 2).flatten(1)
    expected = by_channel @ net.output.weight[0] + net.output.bias
    torch.testing.assert_close(net(x), expected)
    assert net.first.weight.shape == (48, 4, 3)


def test_the_authors_critic_is_its_definition() -> None:
    """TensorFlow's "SAME" puts the odd zero at the end."""
    net = critic._initialise(TextmoverCritic(7, 4), stream(0, "tests"))
    h = x = torch.randn(3, 7, 4, generator=stream(1, "tests"))
    for layer, stride, before, after in zip(
        net.convolutions, (2, 1, 2), (1, 1, 1), (2, 2, 1), strict=True
    ):
        padded = F.pad(h, (0, 0, before, after))
        windows = padded.unfold(1, 4, stride)  # (B, places, channels, 4)
        h = F.softplus(torch.einsum("bpcj,ocj->bpo", windows, layer.weight) + layer.bias)
    assert h.shape == (3, 2, 4)
    expected = h.transpose(1, 2).flatten(1) @ net.output.weight[0] + net.output.bias
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("name", RECIPES)
def test_a_critics_steps_descend_its_loss_at_a_falling_rate(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mean f(Q) − mean f(P) + λ·penalty at interpolates, by Adam with the code's momenta."""
    rates, table, recipe = [], embedding(V, 8), RECIPES[name]
    p, q = encode(text(0, 30), V), encode(text(1, 30), V)
    net = critic._initialise(recipe.build(T + 1, 8), stream(0, "tests"))

    class Watched(torch.optim.Adam):
        def step(self) -> None:  # type: ignore[override]
            (group,) = self.param_groups
            assert group["betas"] == (0.5, 0.9)
            rates.append(group["lr"])
            if len(rates) == 1:
                check()

    def check() -> None:
        found = [parameter.grad.clone() for parameter in net.parameters()]
        rng = stream(2, "tests")
        real, fake = (side[torch.randint(30, (64,), generator=rng)] for side in (p, q))
        one = (64, T + 1, 1) if name == "textmover" else (64, 1, 1)
        share, a, b = torch.rand(one, generator=rng), table[real], table[fake]
        between = (share * a + (1 - share) * b).requires_grad_()
        (slopes,) = torch.autograd.grad(net(between).sum(), between, create_graph=True)
        excess = slopes.flatten(1).norm(dim=1) - 1
        if name != "two-sided":
            excess = excess.clamp(min=0)
        weight = 5.0 if name == "textmover" else 10.0
        loss = net(b).mean() - net(a).mean() + weight * (excess**2).mean()
        exact = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
        for gradient, wanted in zip(found, exact, strict=True):
            wanted = torch.zeros_like(gradient) if wanted is None else wanted
            torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-3)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    critic._train(net, p, q, table, recipe, 4, stream(2, "tests"))
    first, last = (1e-4, 1e-4) if name == "textmover" else (1e-3, 1e-4)
    assert rates == pytest.approx([first + (last - first) * i / 4 for i in range(4)])


def test_what_a_critic_tells_of_is_of_its_own_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and held-out halves, and the mean and the 95 % point of norms between the latter."""
    trained: list[tuple[nn.Module, Tensor, Tensor]] = []
    train = critic._train

    def recorded(net: nn.Module, p: Tensor, q: Tensor, *rest: Any) -> None:
        train(net, p, q, *rest)
        trained.append((net, p, q))

    monkeypatch.setattr(critic, "_train", recorded)
    given: list[Tensor] = []
    norms_at = critic.gradient_norms

    def measured_at(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        found = norms_at(net, x)
        if trained:
            given.append(found[1].detach())
        return found

    monkeypatch.setattr(critic, "gradient_norms", measured_at)
    p, q = encode(text(0, 60), V), encode(text(1, 60), V)
    (found,) = measured(text(0, 60), text(1, 60), steps=5, critics=1).critiques
    ((net, p_train, q_train),) = trained
    halves = split_by_identity(p, q, stream(0, "tests", "critic"))
    assert p_train.equal(p[halves.p]) and q_train.equal(q[halves.q])
    table = embedding(V)

    def apart(one: Tensor, other: Tensor) -> float:
        return float((net(table[one]).mean() - net(table[other]).mean()).detach())

    assert found.in_sample == pytest.approx(apart(p_train, q_train), abs=1e-6)
    assert found.held_out == pytest.approx(apart(p[~halves.p], q[~halves.q]), abs=1e-6)
    norms = torch.cat(given)
    assert len(norms) == min((~halves.p).sum(), (~halves.q).sum())
    assert found.norm_mean == pytest.approx(norms.mean().item())
    assert found.norm_95 == pytest.approx(norms.quantile(0.95).item())
    assert norms.quantile(0.95) > norms.quantile(0.9)


# -- the nine properties ----------------------------------------------------------------------


def test_1_equal_laws_are_at_distance_0() -> None:
    assert abs(iid().value) < 0.05


def test_2_corruption_moves_away_monotonically() -> None:
    values = [d.value for d in (iid(), damaged(0.5), damaged(1.0))]
    assert values[0] + 0.04 < values[1]
    assert values[1] + 0.04 < values[2]
    # Critic by critic, as they pair.
    for none, half, all_words in zip(
        *(d.critiques for d in (iid(), damaged(0.5), damaged(1.0))), strict=True
    ):
        assert none.held_out < half.held_out < all_words.held_out


@pytest.mark.slow
def test_2_little_corruption_shows_with_more_sentences_and_steps() -> None:
    p, q = text(0, 4000), text(1, 4000)
    found = [measured(p, corrupted(q, rate), steps=400) for rate in (0.0, 0.05, 0.2, 0.5)]
    for lower, higher in itertools.pairwise(found):
        gaps = [
            h.held_out - w.held_out for w, h in zip(lower.critiques, higher.critiques, strict=True)
        ]
        assert min(gaps) > 0
    assert abs(found[0].value) < 0.02


def test_3_the_sides_can_be_swapped() -> None:
    forth, back = (
        measured(*sides, critics=1, steps=100) for sides in ((text(0), FAR), (FAR, text(0)))
    )
    assert back.value == pytest.approx(forth.value, rel=0.1)
    assert forth.value > 10 * damaged(1.0).value


def test_4_order_does_not_matter_and_seeds_decide() -> None:
    order = torch.randperm(N, generator=stream(3, "tests"))
    shuffled = measured(text(0)[order], FAR, critics=1)
    assert shuffled.value == pytest.approx(measured(text(0), FAR, critics=1).value, rel=0.05)
    again = measured(text(0), text(1), critics=1)
    assert again.critiques[0] == iid().critiques[0]  # to the last bit
    assert iid().critiques[0] != iid().critiques[1]


def test_5_names_of_symbols_do_not_matter() -> None:
    names = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(V - 1)])
    table = embedding(V)
    renamed = table.clone()
    renamed[names] = table[:V]
    p, q = text(0), corrupted(text(1), 1.0)
    found = measured(names[p], names[q], table=renamed, critics=1, steps=30)
    assert found == measured(p, q, critics=1, steps=30)


def test_6_critics_are_about_1_lipschitz() -> None:
    for found in (iid(), damaged(0.5), damaged(1.0)):
        assert 0.9 < found.gradient_norm < 1.3
        for c in found.critiques:
            assert c.norm_mean <= c.norm_95 < 1.4


def test_7_two_points_are_as_far_apart_as_they_are() -> None:
    a, b = torch.full((40, T), 3), torch.full((40, T), 7)
    b[:, 4:] = 0
    table = embedding(V)
    apart = float((table[encode(a, V)[0]] - table[encode(b, V)[0]]).norm())
    found = measured(a, b, steps=150, critics=1)
    assert found.normalised == pytest.approx(apart, rel=0.03)
    assert 0.9 * apart < found.value < 1.3 * apart
    assert found.normalised == pytest.approx(found.value / found.gradient_norm, rel=1e-9)


def test_8_what_a_critic_was_trained_on_is_further_apart() -> None:
    for found in (iid(), damaged(0.5)):
        assert found.value < found.in_sample


def test_9_sizes_that_differ_are_refused_and_empty_sentences_are_not() -> None:
    with pytest.raises(ValueError, match="P has 500 sentences and Q 499"):
        measured(text(0), text(1)[1:])
    with pytest.raises(ValueError, match="at least two"):
        measured(text(0)[:1], text(1)[:1])
    empty, unknown = torch.zeros(4, T, dtype=torch.int64), torch.ones(4, T, dtype=torch.int64)
    assert measured(empty, empty, steps=3, critics=2).value == 0.0
    found = measured(empty, unknown, steps=3, critics=2)
    assert found.value == found.value


# -- copies -------------------------------------------------------------------------------------


def test_a_copy_of_everything_is_at_distance_0_to_the_bit() -> None:
    p = text(0)
    found = measured(p, p[torch.randperm(N, generator=stream(1, "tests", "order"))])
    assert found.value == pytest.approx(0.0, abs=1e-6)
    assert found.in_sample == pytest.approx(0.0, abs=1e-6)


def test_copies_in_part_neither_draw_closer_nor_push_apart() -> None:
    """Half of Q copied from P: the other half is another sample of the same law."""
    p, q = text(0), text(1)
    q[: N // 2] = p[: N // 2]
    found = measured(p, q, critics=4)
    assert abs(found.value) < 3 * found.sigma + 0.02
    assert found.value <= found.in_sample


@given(
    p=st.lists(st.integers(0, 6), min_size=2, max_size=40),
    q=st.lists(st.integers(0, 6), min_size=2, max_size=40),
    seed=st.integers(0, 100),
)
def test_no_sentence_is_trained_on_and_judged(p: list[int], q: list[int], seed: int) -> None:
    sides = [torch.tensor(side).unsqueeze(1).repeat(1, 3) for side in (p, q)]
    halves = split_by_identity(*sides, stream(seed, "tests", "halves"))
    places = [*zip(p, halves.p.tolist(), strict=True), *zip(q, halves.q.tolist(), strict=True)]
    trained, judged = ({s for s, trains in places if trains == half} for half in (True, False))
    assert not trained & judged
    renamed = split_by_identity(*(10 - side for side in sides), stream(seed, "tests", "halves"))
    assert all(torch.equal(a, b) for a, b in zip(halves, renamed, strict=True))


def test_halves_are_halves() -> None:
    p, q = text(0), text(1)
    for half in split_by_identity(p, q, stream(0, "tests", "halves")):
        assert 0.4 < half.float().mean() < 0.6


# -- variants and what is derived ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["one-sided", "textmover"])
def test_the_other_recipes_tell_far_from_near(name: str) -> None:
    near = measured(text(0), text(1), recipe=RECIPES[name])
    far = measured(text(0), corrupted(text(1), 1.0), recipe=RECIPES[name])
    assert abs(near.value) < 0.05
    assert far.value > near.value
    assert near != iid()


def test_the_one_sided_penalty_lets_flat_critics_be() -> None:
    """Equal points: nothing pushes the slope up to 1, which the two-sided penalty does."""
    same = text(0)[:1].repeat(40, 1)
    assert measured(same, same, steps=80, recipe=RECIPES["one-sided"]).gradient_norm < 0.9
    assert measured(same, same, steps=80).gradient_norm == pytest.approx(1.0, abs=0.1)


def test_sigma_is_over_critics() -> None:
    a, b = (c.held_out for c in iid().critiques)
    assert iid().sigma == pytest.approx(abs(a - b) / 2**0.5, rel=1e-9)
    assert iid().value == pytest.approx((a + b) / 2, rel=1e-9)
    assert iid().in_sample == pytest.approx(sum(c.in_sample for c in iid().critiques) / 2)


def test_recipes_are_those_of_the_sources() -> None:
    weights = {name: (r.weight, r.two_sided, r.per_step) for name, r in RECIPES.items()}
    assert weights == {
        "two-sided": (10.0, True, False),  # Gulrajani et al., 2017
        "one-sided": (10.0, False, False),
        "textmover": (5.0, False, True),  # the CoT authors' mediator.py
    }
