"""The shared LSTM, its sampler and its losses, each against an independent definition."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor, nn

from textbench.backbone import lstm as lstm_module
from textbench.backbone.generator import Generator
from textbench.backbone.losses import linear_cross_entropy, linear_kl_rows
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.output import LARGEST, OutputLayer, with_one
from textbench.backbone.sampling import Drawer, draw, search
from textbench.contracts.streams import stream

JUST_BELOW_ONE = 1.0 - 2.0**-24
"""The largest float32 that `torch.rand` returns."""


def model(
    vocab_size: int = 5, length: int = 3, *, std: float = 1.0, seed: int = 0, hidden: int = 4
) -> LSTMLanguageModel:
    made = LSTMLanguageModel(vocab_size, length, 3, hidden)
    made.initialise(stream(seed, "tests"), std)
    return made


def tokens(made: LSTMLanguageModel, n: int = 6, seed: int = 0) -> Tensor:
    rng = stream(seed, "tests", "tokens")
    return torch.randint(made.vocab_size, (n, made.length), generator=rng)


def reference_log_probs(made: LSTMLanguageModel, batch: Tensor) -> Tensor:
    """SeqGAN's hand-written cell: four gates, one bias each, zero state, symbol 0 first."""
    W = dict(zip("ifgo", made.weight_ih.chunk(4), strict=True))
    U = dict(zip("ifgo", made.weight_hh.chunk(4), strict=True))
    b = dict(zip("ifgo", made.bias.chunk(4), strict=True))
    h = c = made.bias.new_zeros(len(batch), made.weight_hh.shape[1])
    x = torch.zeros(len(batch), dtype=torch.int64)
    rows = []
    for t in range(batch.shape[1]):
        a = {k: made.embedding[x] @ W[k].T + h @ U[k].T + b[k] for k in "ifgo"}
        c = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * torch.tanh(a["g"])
        h = torch.sigmoid(a["o"]) * torch.tanh(c)
        rows.append(torch.log_softmax(h @ made.head_weight.T + made.head_bias, 1))
        x = batch[:, t]
    return torch.stack(rows, 1)


# -- parameters --------------------------------------------------------------------------------


def test_every_parameter_of_the_papers_model_starts_normal_with_std_a_tenth() -> None:
    made = LSTMLanguageModel(5000, 20, 32, 32)
    made.initialise(stream(0, "tests"))
    assert sum(p.numel() for p in made.parameters()) == 333_320
    for name, parameter in made.named_parameters():
        values = parameter.detach().flatten()
        n = len(values)
        assert abs(values.mean()) < 4 * 0.1 / n**0.5, name
        assert abs(values.std() / 0.1 - 1) < 4 / (2 * n) ** 0.5, name


def test_initialisation_comes_from_its_stream_alone() -> None:
    torch.manual_seed(1)
    first = model(seed=3)
    torch.manual_seed(2)
    second = model(seed=3)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_there_is_one_effective_bias() -> None:
    made = model()
    biases = [name for name in made.state_dict() if "bias" in name]
    assert biases == ["bias", "head_bias"]
    assert made.zero_bias.abs().sum() == 0
    made.weighted_nll(tokens(made)).backward()
    assert made.zero_bias.grad is None


# -- scoring -----------------------------------------------------------------------------------


def test_log_probs_follow_the_hand_written_cell() -> None:
    made = model(length=7, seed=1).double()
    batch = tokens(made)
    torch.testing.assert_close(
        made.log_probs(batch), reference_log_probs(made, batch), atol=1e-12, rtol=0
    )
    assert torch.allclose(made.log_probs(batch).exp().sum(2), torch.ones(1, dtype=torch.float64))


def test_gradients_follow_the_hand_written_cell(
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    made = model(length=7, seed=1).double()
    batch = tokens(made)
    made.weighted_nll(batch).backward()
    ours = gradients(made)
    made.zero_grad()
    reference_log_probs(made, batch).gather(2, batch.unsqueeze(2)).mean().neg().backward()
    for name, expected in gradients(made).items():
        torch.testing.assert_close(ours[name], expected, atol=1e-12, rtol=0)


def test_hidden_states_are_those_of_nn_lstm_with_its_second_bias_at_zero() -> None:
    made = model(length=7, seed=2)
    batch = tokens(made)
    torch_lstm = nn.LSTM(3, 4, batch_first=True)
    with torch.no_grad():
        torch_lstm.weight_ih_l0.copy_(made.weight_ih)
        torch_lstm.weight_hh_l0.copy_(made.weight_hh)
        torch_lstm.bias_ih_l0.copy_(made.bias)
        torch_lstm.bias_hh_l0.zero_()
    shifted = nn.functional.pad(batch[:, :-1], (1, 0), value=0)
    expected, _ = torch_lstm(made.embedding[shifted])
    torch.testing.assert_close(made.hidden(batch), expected)


def test_the_first_input_is_the_embedding_of_symbol_zero() -> None:
    made = model()
    batch = tokens(made)
    before = made.log_probs(batch)[:, 0].detach()
    assert torch.equal(before, before[:1].expand_as(before))
    with torch.no_grad():
        made.embedding[1:] += 1.0
        assert torch.equal(made.log_probs(batch)[:, 0], before)
        made.embedding[0] += 1.0
        assert not torch.allclose(made.log_probs(batch)[:, 0], before)


def test_a_symbol_changes_only_later_conditionals() -> None:
    made = model(length=5)
    batch = tokens(made)
    before = made.log_probs(batch)
    for t in range(5):
        changed = batch.clone()
        changed[:, t] = (changed[:, t] + 1) % 5
        after = made.log_probs(changed)
        assert torch.equal(after[:, : t + 1], before[:, : t + 1])
        if t < 4:
            assert ((after[:, t + 1] - before[:, t + 1]).abs().amax(1) > 1e-4).all()


def test_the_default_loss_is_the_mean_over_sequences_and_time() -> None:
    made = model().double()
    batch = tokens(made)
    chosen = reference_log_probs(made, batch).gather(2, batch.unsqueeze(2)).squeeze(2)
    assert made.weighted_nll(batch).item() == pytest.approx(-chosen.mean().item(), rel=1e-12)
    weights = torch.randn(batch.shape, generator=stream(0, "w"), dtype=torch.float64)
    expected = -(weights * chosen).sum().item()
    assert made.weighted_nll(batch, weights).item() == pytest.approx(expected, rel=1e-12)


def test_other_inputs_replace_the_shifted_tokens() -> None:
    made = model().double()
    batch, inputs = tokens(made), tokens(made, seed=1)
    log_probs = made.hidden_from(inputs) @ made.head_weight.T + made.head_bias
    expected = nn.functional.cross_entropy(log_probs.flatten(0, 1), batch.flatten())
    assert made.weighted_nll(batch, inputs=inputs).item() == pytest.approx(expected.item())
    shifted = nn.functional.pad(batch[:, :-1], (1, 0), value=0)
    assert torch.equal(made.weighted_nll(batch, inputs=shifted), made.weighted_nll(batch))


def test_scoring_without_gradients_gives_the_same_number() -> None:
    made = model()
    batch = tokens(made)
    with torch.no_grad():
        value = made.weighted_nll(batch)
    assert not value.requires_grad
    assert torch.equal(value, made.weighted_nll(batch).detach())


# -- dropout -----------------------------------------------------------------------------------


def test_dropout_zeroes_or_rescales_the_units_before_the_output_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Tensor] = []

    def spy(hidden: Tensor, *args: Tensor) -> Tensor:
        seen.append(hidden.detach())
        return linear_cross_entropy(hidden, *args)

    monkeypatch.setattr(lstm_module, "linear_cross_entropy", spy)
    made = model(length=20, hidden=16)
    batch = tokens(made, 64)
    made.weighted_nll(batch)
    made.weighted_nll(batch, dropout=0.25, rng=stream(0, "dropout"))
    plain, dropped = seen
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], plain[kept] / 0.75)
    assert abs(kept.float().mean().item() - 0.75) < 4 * (0.25 * 0.75 / kept.numel()) ** 0.5


def test_dropout_depends_on_its_stream_alone() -> None:
    made = model()
    batch = tokens(made)
    torch.manual_seed(1)
    first = made.weighted_nll(batch, dropout=0.5, rng=stream(0, "dropout"))
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(made.weighted_nll(batch, dropout=0.5, rng=stream(0, "dropout")), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(made.weighted_nll(batch), first)
    assert not torch.equal(made.weighted_nll(batch, dropout=0.5, rng=stream(1, "dropout")), first)


# -- the two losses ----------------------------------------------------------------------------

ROWS, H, V = 150, 3, 7  # more rows than one chunk holds, the last chunk not full


def parts(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    rng = stream(seed, "losses")
    made = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in ((ROWS, H), (V, H))]
    bias = torch.randn(V, generator=rng, dtype=torch.float64)
    return made[0].requires_grad_(), made[1].requires_grad_(), bias.requires_grad_()


def assert_same_gradients(ours: Tensor, reference: Tensor, inputs: tuple[Tensor, ...]) -> None:
    assert ours.item() == pytest.approx(reference.item(), rel=1e-12)
    got = torch.autograd.grad(2.5 * ours, inputs)
    expected = torch.autograd.grad(2.5 * reference, inputs)
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-11, rtol=1e-11)


def test_linear_cross_entropy_is_that_of_materialised_logits() -> None:
    hidden, weight, bias = parts(0)
    targets = torch.randint(V, (ROWS,), generator=stream(0, "targets"))
    scale = torch.randn(ROWS, generator=stream(0, "scale"), dtype=torch.float64)
    ours = linear_cross_entropy(hidden, weight, bias, targets, scale)
    logits = hidden @ weight.T + bias
    reference = (scale * nn.functional.cross_entropy(logits, targets, reduction="none")).sum()
    assert_same_gradients(ours, reference, (hidden, weight, bias))


def test_linear_kl_is_that_of_materialised_logits_and_moves_only_its_first_side() -> None:
    first, second = parts(0), parts(1)
    log_p = (first[0] @ first[1].T + first[2]).log_softmax(1)
    log_q = (second[0] @ second[1].T + second[2]).log_softmax(1)
    ours, rows = linear_kl_rows(*first, second)
    expected = (log_p.exp() * (log_p - log_q)).sum(1)
    assert_same_gradients(ours, expected.sum(), first)
    torch.testing.assert_close(rows, expected, atol=1e-12, rtol=1e-12)
    linear_kl_rows(*first, second)[0].backward()
    assert [part.grad for part in second] == [None, None, None]
    assert linear_kl_rows(*first, first)[0].item() == pytest.approx(0.0, abs=1e-12)


def test_the_floor_of_linear_kl_is_under_the_second_log_probability() -> None:
    first, second = parts(0), parts(1)
    log_p = (first[0] @ first[1].T + first[2]).log_softmax(1)
    log_q = (second[0] @ second[1].T + second[2]).log_softmax(1)
    assert 0.1 < (log_q < -3.0).double().mean() < 0.9
    ours, rows = linear_kl_rows(*first, second, floor=-3.0)
    expected = (log_p.exp() * (log_p - log_q.clamp(min=-3.0))).sum(1)
    assert_same_gradients(ours, expected.sum(), first)
    torch.testing.assert_close(rows, expected, atol=1e-12, rtol=1e-12)


WORLDS = {
    "the paper's sizes": (1280, 32, 5000, 0.1, 0.1, 1.0),
    "logits near the bound": (200, 32, 500, 2.0, 2.0, 1.0),
    "states above 1, as dropout makes them": (200, 32, 500, 2.0, 2.0, 4.0),
    "weights of 1e3": (70, 8, 50, 1e3, 1.0, 1.0),
    "a bias of 1e3": (70, 8, 50, 1.0, 1e3, 1.0),
    "one symbol": (70, 8, 1, 1.0, 1.0, 1.0),
    "one row": (1, 8, 50, 1.0, 1.0, 1.0),
    "wide states": (300, 200, 100, 0.1, 0.1, 1.0),
}
"""N, H, V, standard deviations of weight and bias, largest |h|."""


def world(name: str, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    N, width, size, weight_std, bias_std, largest = WORLDS[name]
    rng = stream(seed, "worlds", name)
    hidden = (2 * torch.rand(N, width, generator=rng) - 1) * largest
    weight = torch.randn(size, width, generator=rng) * weight_std
    return hidden, weight, torch.randn(size, generator=rng) * bias_std


def value_and_gradients(loss: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    leaves = [part.clone().requires_grad_() for part in inputs]
    value = loss(*leaves)
    assert value.dtype == inputs[0].dtype
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def assert_exact_to_float32(
    loss: Callable[..., Tensor],
    definition: Callable[..., Tensor],
    inputs: tuple[Tensor, Tensor, Tensor],
    scale: Tensor,
) -> None:
    """Compare a loss and its gradients with its definition in float64.

    What is granted: 4 times the error of the definition itself in float32 (the logits are
    rounded there too), and 2^-21 of what a row can at most contribute.
    """
    hidden, weight, _ = inputs
    exact = value_and_gradients(definition, tuple(part.double() for part in inputs))
    plain = value_and_gradients(definition, inputs)
    ours = value_and_gradients(loss, inputs)
    total = scale.sum().item()
    bounds = (
        max(1.0, abs(exact[0].item())),
        scale.max().item() * weight.abs().max().item(),
        total * hidden.abs().max().item(),
        total,
    )
    for mine, float32, float64, bound in zip(ours, plain, exact, bounds, strict=True):
        granted = 4 * (float32 - float64).abs().max().item() + 2.0**-21 * bound
        assert (mine - float64).abs().max().item() <= granted  # also false for nan


@pytest.mark.parametrize("name", WORLDS)
def test_linear_cross_entropy_is_exact_to_float32(name: str) -> None:
    inputs = world(name)
    rng = stream(0, "targets", name)
    targets = torch.randint(len(inputs[1]), (len(inputs[0]),), generator=rng)
    scale = (torch.rand(len(targets), generator=rng) + 0.5) / len(targets)

    def definition(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        nll = nn.functional.cross_entropy(hidden @ weight.T + bias, targets, reduction="none")
        return scale.to(hidden.dtype) @ nll

    assert_exact_to_float32(
        lambda *parts: linear_cross_entropy(*parts, targets, scale), definition, inputs, scale
    )


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("floor", [-math.inf, -9.0])
def test_linear_kl_is_exact_to_float32(name: str, floor: float) -> None:
    inputs, other = world(name), world(name, 1)
    rows = len(inputs[0])

    def definition(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        log_p = (hidden @ weight.T + bias).log_softmax(1)
        h, W, b = (part.to(hidden.dtype) for part in other)
        log_q = (h @ W.T + b).log_softmax(1).clamp(min=floor)
        return (log_p.exp() * (log_p - log_q)).sum() / rows

    assert_exact_to_float32(
        lambda *parts: linear_kl_rows(*parts, other, floor)[0] / rows,
        definition,
        inputs,
        torch.full((rows,), 1.0 / rows),
    )


@pytest.mark.parametrize(("offset", "most"), [(0.0, 3e-6), (40.0, 1e-4), (60.0, 1e-4)])
def test_an_offset_of_all_logits_costs_digits_and_no_more(offset: float, most: float) -> None:
    """What docs/performance.md says of it: no law depends on an offset, the last digits do."""
    rng = torch.Generator().manual_seed(0)

    def layer(shift: float) -> tuple[Tensor, Tensor, Tensor]:
        h, weight = torch.rand(200, 8, generator=rng), 0.1 * torch.randn(500, 8, generator=rng)
        return h, weight, 0.1 * torch.randn(500, generator=rng) + shift

    p, q = layer(offset), layer(-offset)
    log_p, log_q = ((h.double() @ W.double().T + b.double()).log_softmax(1) for h, W, b in (p, q))
    exact = (log_p.exp() * (log_p - log_q)).sum(1)
    _, rows = linear_kl_rows(*p, q)
    assert float((rows.double() - exact).abs().max()) < most


def test_every_shape_of_an_empty_batch_is_a_loss_of_zero() -> None:
    hidden, weight, bias = (part.requires_grad_() for part in world("one row"))
    none = hidden[:0]
    nll = linear_cross_entropy(none, weight, bias, torch.empty(0, dtype=torch.int64), none[:, 0])
    kl, rows = linear_kl_rows(none, weight, bias, (none, weight, bias))
    assert (nll.item(), kl.item(), rows.shape) == (0.0, 0.0, (0,))
    assert all((g == 0).all() for g in torch.autograd.grad(nll + kl, (weight, bias)))


# -- the output layer --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("norm", "std", "bias", "alpha", "bounded"),
    [
        (1.0, 1.0, 0.0, 1.0, True),
        (1.0, 1.0, 0.0, 1000.0, False),
        (1e3, 1.0, 0.0, 1.0, False),
        (1.0, 1e3, 0.0, 1.0, False),
        (1.0, 1.0, 1e3, 1.0, False),
        (1.0, math.nan, 0.0, 1.0, False),
    ],
)
def test_the_maximum_is_subtracted_wherever_a_logit_could_be_large(
    norm: float, std: float, bias: float, alpha: float, bounded: bool
) -> None:
    weight = torch.randn(50, 4, generator=stream(0, "bound")) * std
    layer = OutputLayer(weight, torch.full((50,), bias), norm, inverse_temperature=alpha)
    assert layer.bounded is bounded


@given(
    seed=st.integers(0, 10_000),
    norm=st.floats(0.01, 100.0),
    std=st.floats(0.01, 100.0),
    alpha=st.floats(0.1, 10.0),
)
def test_no_logit_is_above_the_bound_that_is_trusted(
    seed: int, norm: float, std: float, alpha: float
) -> None:
    """Also for the worst h there is: along a row of W, as long as promised."""
    rng = stream(seed, "bound")
    weight, bias = torch.randn(20, 3, generator=rng) * std, torch.randn(20, generator=rng) * std
    layer = OutputLayer(weight, bias, norm, inverse_temperature=alpha)
    worst = nn.functional.normalize(torch.cat([weight, -weight]), dim=1) * norm
    logits = layer.logits(with_one(worst), torch.empty(40, 20)) * math.log(2.0)
    exact = alpha * (worst.double() @ weight.double().T + bias.double())
    if layer.bounded:
        assert exact.abs().max() <= LARGEST * 1.0001
    else:
        assert (logits.amax(1) == 0).all()
    torch.testing.assert_close(
        logits.double().log_softmax(1),
        exact.log_softmax(1),
        atol=2e-5 * (1 + alpha * std * norm),
        rtol=1e-5,
    )


# -- sampling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("inverse_temperature", [1.0, 0.5, 2.0])
def test_samples_follow_the_enumerated_law(
    inverse_temperature: float, all_sequences: Callable[[int, int], Tensor]
) -> None:
    made = model(std=0.7)
    every = all_sequences(5, 3)
    logits = made.double().log_probs(every) * inverse_temperature
    exact = logits.log_softmax(2).gather(2, every.unsqueeze(2)).sum((1, 2)).exp()
    n = 60_000
    drawn = made.float().sample(n, stream(7, "draws"), inverse_temperature=inverse_temperature)
    assert drawn.shape == (n, 3)
    assert drawn.dtype == torch.int64
    counts = torch.bincount(drawn @ torch.tensor([25, 5, 1]), minlength=125)
    assert chi_square_p(counts, exact.detach()) > 1e-3
    assert chi_square_p(counts, exact_with_steps_swapped(made, every)) < 1e-6


def chi_square_p(counts: Tensor, law: Tensor) -> float:
    """P-value of the counts under the law; cells expected fewer than 5 times are pooled."""
    expected = (law / law.sum() * counts.sum()).double().numpy()
    rare = expected < 5
    pooled = np.append(expected[~rare], expected[rare].sum() + 1e-9)
    observed = np.append(counts.numpy()[~rare], counts.numpy()[rare].sum())
    return float(chisquare(observed, pooled / pooled.sum() * observed.sum()).pvalue)


def exact_with_steps_swapped(made: LSTMLanguageModel, every: Tensor) -> Tensor:
    """The law with the last two steps swapped: what the chi-square must be able to reject."""
    swapped = every[:, [0, 2, 1]]
    chosen = reference_log_probs(made, swapped).gather(2, swapped.unsqueeze(2))
    return chosen.sum((1, 2)).exp().detach()


def test_stepwise_states_are_those_of_scoring() -> None:
    made = model(length=6)
    batch = tokens(made)
    table, state = made.input_table(), made.initial_state(len(batch))
    inputs = nn.functional.pad(batch[:, :-1], (1, 0), value=0)
    for t in range(6):
        state = made.advance(table[inputs[:, t]], state)
        torch.testing.assert_close(state[0], made.hidden(batch)[:, t], atol=1e-6, rtol=1e-5)


def test_sampling_needs_one_uniform_per_token_and_no_global_randomness() -> None:
    made = model()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    rng = stream(0, "draws")
    first = made.sample(200, rng)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(made.sample(200, stream(0, "draws")), first)
    assert torch.equal(made.sample(128, stream(0, "draws")), first[:128])
    assert not torch.equal(made.sample(200, stream(1, "draws")), first)
    expected = stream(0, "draws")
    torch.rand(128, 3, generator=expected)
    torch.rand(72, 3, generator=expected)
    assert torch.equal(rng.get_state(), expected.get_state())


def test_no_sequences_are_an_empty_tensor() -> None:
    made = model()
    drawn = made.sample(0, stream(0, "draws"))
    assert drawn.shape == (0, 3)
    assert drawn.dtype == torch.int64
    assert isinstance(made, Generator)


def test_drawing_is_invariant_to_a_shift_of_the_logits() -> None:
    logits = torch.randn(50, 9, generator=stream(0, "logits"))
    uniforms = torch.rand(50, generator=stream(0, "uniforms"))
    expected = draw(logits.clone(), uniforms)
    assert torch.equal(draw(logits + 100.0, uniforms), expected)
    naive = (logits.double().softmax(1).cumsum(1) <= uniforms.unsqueeze(1)).sum(1)
    assert torch.equal(expected, naive)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("std", [0.1, 1.0, 50.0])
@pytest.mark.parametrize("vocab", [1, 5, 64, 5000])
def test_a_drawer_draws_what_the_plain_inverse_cdf_draws(
    vocab: int, std: float, alpha: float
) -> None:
    """Bounded or not, whatever the vocabulary is filled up with; ties by rounding are let pass."""
    rng = stream(vocab, "drawer", std)
    hidden = 2 * torch.rand(300, 8, generator=rng) - 1
    weight, bias = torch.randn(vocab, 8, generator=rng) * std, torch.randn(vocab, generator=rng)
    uniforms = torch.rand(300, generator=rng)
    drawer = Drawer(weight, bias, 8**0.5, alpha)
    drawn = drawer.draw(hidden, uniforms)
    law = (alpha * (hidden.double() @ weight.double().T + bias.double())).softmax(1).cumsum(1)
    upper = law.gather(1, drawn.unsqueeze(1)).squeeze(1)
    lower = torch.where(drawn > 0, law.gather(1, (drawn - 1).clamp(min=0)[:, None])[:, 0], 0.0)
    slack = 2e-6 * (1 + alpha * std * 8)
    assert (uniforms >= lower - slack).all()
    assert (uniforms <= upper + slack).all()
    assert torch.equal(drawer.draw(hidden[:7], uniforms[:7]), drawn[:7])


@pytest.mark.parametrize(("vocab", "n"), [(5, 20_000), (5000, 200_000)])
@pytest.mark.parametrize("std", [1.0, 40.0])
def test_draws_of_one_state_follow_its_softmax(vocab: int, n: int, std: float) -> None:
    """Chi-square, at V = 5 and V = 5,000, with and without a bound on the logits."""
    rng = stream(vocab, "law", std)
    hidden, weight = torch.rand(1, 4, generator=rng), torch.randn(vocab, 4, generator=rng) * std
    bias = torch.randn(vocab, generator=rng)
    law = (hidden.double() @ weight.double().T + bias.double()).softmax(1).squeeze(0)
    drawer = Drawer(weight, bias, 2.0)
    parts = [torch.rand(n // 20, generator=rng) for _ in range(20)]
    drawn = torch.cat([drawer.draw(hidden.expand(len(u), 4), u) for u in parts])
    assert chi_square_p(torch.bincount(drawn, minlength=vocab), law) > 1e-3
    shifted = torch.bincount((drawn + 1) % vocab, minlength=vocab)
    assert chi_square_p(shifted, law) < 1e-6


def test_several_draws_from_each_row_are_those_of_repeated_rows() -> None:
    rng = stream(0, "several")
    weights, uniforms = torch.rand(6, 200, generator=rng), torch.rand(6, 9, generator=rng)
    expected = search(weights.repeat_interleave(9, 0), uniforms.flatten()).view(6, 9)
    assert torch.equal(search(weights, uniforms), expected)


@pytest.mark.parametrize("vocab", [5, 64, 100])
def test_no_rows_are_drawn_from_no_rows(vocab: int) -> None:
    assert draw(torch.empty(0, vocab), torch.empty(0)).shape == (0,)
    assert search(torch.empty(0, vocab), torch.empty(0, 3)).shape == (0, 3)
    drawer = Drawer(torch.ones(vocab, 2), torch.ones(vocab), 1.0)
    assert drawer.draw(torch.empty(0, 2), torch.empty(0)).shape == (0,)


def naive_search(weights: np.ndarray, uniform: float) -> int:
    """Inverse CDF in exact arithmetic (integer weights below 2**24 are exact in float32)."""
    cumulated = np.cumsum(weights.astype(np.float64))
    target = float(np.float32(uniform) * np.float32(cumulated[-1]))
    return int(np.argmax(cumulated > target))


@st.composite
def sparse_weights(draw: st.DrawFn) -> list[int]:
    """Whole blocks of zeros, partial last blocks, and weights of very different size."""
    vocab = draw(st.sampled_from([1, 5, 63, 64, 65, 100, 128, 129, 200, 260]))
    positive = st.dictionaries(st.integers(0, vocab - 1), st.integers(1, 50), min_size=1)
    weights = [0] * vocab
    for index, weight in draw(positive).items():
        weights[index] = weight
    return weights


@given(
    weights=sparse_weights(),
    uniform=st.sampled_from([0.0, 2.0**-24, 0.5, JUST_BELOW_ONE])
    | st.floats(0.0, JUST_BELOW_ONE, width=32),
)
@example(weights=[0] * 64 + [1], uniform=0.0)
@example(weights=[1] * 64 + [0] * 64 + [1] * 64, uniform=0.5)
def test_two_level_search_is_the_inverse_cdf(weights: list[int], uniform: float) -> None:
    found = search(torch.tensor([weights], dtype=torch.float32), torch.tensor([uniform])).item()
    assert found == naive_search(np.array(weights), uniform)


@given(
    vocab=st.sampled_from([1, 5, 63, 64, 65, 128, 200, 5000]),
    zeros=st.sampled_from([0.0, 0.5, 0.98]),
    seed=st.integers(0, 10_000),
    uniform=st.sampled_from([0.0, JUST_BELOW_ONE]) | st.floats(0.0, JUST_BELOW_ONE, width=32),
)
def test_a_symbol_of_weight_zero_is_never_drawn(
    vocab: int, zeros: float, seed: int, uniform: float
) -> None:
    rng = stream(seed, "weights")
    weights = torch.rand(16, vocab, generator=rng) ** 8
    weights = weights * (torch.rand(16, vocab, generator=rng) >= zeros)
    weights[:, seed % vocab] += 1e-6
    found = search(weights, torch.full((16,), uniform))
    assert (weights.gather(1, found.unsqueeze(1)) > 0).all()
    cumulated = weights.double().cumsum(1)
    target = uniform * cumulated[:, -1]
    upper = cumulated.gather(1, found.unsqueeze(1)).squeeze(1)
    slack = 1e-5 * cumulated[:, -1]
    assert (target <= upper + slack).all()
    assert (target >= upper - weights.gather(1, found.unsqueeze(1)).squeeze(1) - slack).all()
