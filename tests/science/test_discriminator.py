"""The text CNN equals plain convolutions, and is drawn and trained as in SeqGAN's code."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from textbench.algorithms import discriminator
from textbench.algorithms import max_over_time as max_over_time_file
from textbench.algorithms.discriminator import FAKE, REAL, TextCNN, filters_for
from textbench.algorithms.max_over_time import max_over_time
from textbench.algorithms.max_over_time_gpu import MaxOverTimeGPU
from torch import Tensor, nn

from textbench.contracts.errors import UserError
from textbench.contracts.streams import stream

FILTERS = ((1, 3), (2, 4), (5, 2))
V, T, E = 7, 5, 6


@pytest.fixture
def network() -> TextCNN:
    network = TextCNN(V, FILTERS, E)
    network.initialise(stream(0, "tests", "cnn"))
    return network


def tokens(n: int) -> Tensor:
    return torch.randint(V, (n, T), generator=stream(1, "tests", n))


def patterned(network: nn.Module) -> None:
    """Fill parameters with sines, so that golden values depend on no random stream."""
    with torch.no_grad():
        offset = 0
        for parameter in network.parameters():
            steps = torch.arange(offset, offset + parameter.numel(), dtype=torch.float64)
            parameter.copy_(0.5 * torch.sin(steps).view(parameter.shape))
            offset += parameter.numel()


# -- sizes -----------------------------------------------------------------------------------


def test_the_published_table_for_20_symbols() -> None:
    filters = filters_for(20)
    assert [w for w, _ in filters] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20]
    assert [n for _, n in filters] == [100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160]
    assert sum(n for _, n in filters) == 1720


def test_the_published_table_for_32_symbols() -> None:
    assert [w for w, _ in filters_for(32)] == [*range(1, 11), 16, 24, 32]
    assert sum(n for _, n in filters_for(32)) == 1880


def test_other_lengths_drop_the_windows_that_are_too_long() -> None:
    assert filters_for(3) == ((1, 100), (2, 200), (3, 200))
    assert [w for w, _ in filters_for(19)] == [*range(1, 11), 15]
    assert filters_for(51) == filters_for(20)


def test_scale_and_own_tables() -> None:
    assert filters_for(3, 0.5) == ((1, 50), (2, 100), (3, 100))
    assert filters_for(3, 1e-6) == ((1, 1), (2, 1), (3, 1))
    assert filters_for(4, 2.0, [(2, 3), (9, 5)]) == ((2, 6),)


def test_a_table_without_a_fitting_window_is_refused() -> None:
    with pytest.raises(UserError, match="every window is longer than the sequences"):
        filters_for(3, 1.0, [(4, 100)])


def test_the_published_size() -> None:
    count = sum(p.numel() for p in TextCNN(5000, filters_for(20)).parameters())
    embedding, convolutions = 5000 * 64, sum(w * 64 * n for w, n in filters_for(20)) + 1720
    assert count == embedding + convolutions + 2 * (1720 * 1720 + 1720) + 2 * 1720 + 2


# -- values and gradients against plain convolutions -------------------------------------------


def reference_logits(network: TextCNN, x: Tensor) -> Tensor:
    """Write the same network with F.conv1d: bias and ReLU before the maximum."""
    embedded = F.embedding(x, network.embedding).transpose(1, 2)
    pooled, first = [], 0
    for (window, n), kernel in zip(network.filters, network.kernels, strict=True):
        weight = kernel.view(window, E, n).permute(2, 1, 0)
        bias = network.kernel_bias[first : first + n]
        pooled.append(torch.relu(F.conv1d(embedded, weight, bias)).max(2).values)
        first += n
    h = torch.cat(pooled, 1)
    gate = torch.sigmoid(h @ network.gate.weight.t() + network.gate.bias)
    candidate = torch.relu(h @ network.transform.weight.t() + network.transform.bias)
    h = gate * candidate + (1 - gate) * h
    return h @ network.output.weight.t() + network.output.bias


def test_values_and_gradients_equal_plain_convolutions(
    network: TextCNN, gradients: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    network.double()
    x, direction = tokens(6), torch.randn(6, 2, generator=stream(2), dtype=torch.float64)
    logits = network(x)
    (logits * direction).sum().backward()
    fast = gradients(network)
    network.zero_grad()
    expected = reference_logits(network, x)
    (expected * direction).sum().backward()
    torch.testing.assert_close(logits, expected)
    for name, gradient in gradients(network).items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(fast[name], gradient, msg=name)


def max_over_time_gpu(embedded: Tensor, kernels: Sequence[Tensor]) -> Tensor:
    """What `max_over_time` is on a GPU, on a CPU."""
    return MaxOverTimeGPU.apply(embedded, *kernels)


@pytest.mark.parametrize("function", [max_over_time, max_over_time_gpu])
@pytest.mark.parametrize("width", [1, 2, 4, 5])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_maximum_over_time_has_the_right_derivative(
    width: int, batch: int, function: Callable[..., Tensor]
) -> None:
    rng = stream(3)
    embedded = torch.randn(batch, 5, 3, dtype=torch.float64, generator=rng, requires_grad=True)
    kernels = [
        torch.randn(w * 3, 4, dtype=torch.float64, generator=rng, requires_grad=True)
        for w in (width, 2)
    ]
    assert torch.autograd.gradcheck(lambda x, *kernels: function(x, kernels), (embedded, *kernels))


def test_what_a_gpu_computes_is_the_same() -> None:
    """Maxima, and gradients of embedding and kernels, on a CPU here."""
    rng, found = stream(4), []
    embedded = torch.randn(6, 12, 3, generator=rng, dtype=torch.float64)
    kernels = [
        torch.randn(w * 3, n, generator=rng, dtype=torch.float64)
        for w, n in ((1, 2), (4, 5), (12, 3))
    ]
    direction = torch.randn(6, 10, generator=rng, dtype=torch.float64)
    for function in (max_over_time, max_over_time_gpu):
        given = [x.clone().requires_grad_() for x in (embedded, *kernels)]
        pooled = function(given[0], given[1:])
        (pooled * direction).sum().backward()
        found.append([pooled.detach(), *(x.grad for x in given)])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


def test_equal_windows_share_the_gradient_of_their_symbols() -> None:
    """Which of two equal windows counts as the larger one makes no difference to the embedding."""
    network = TextCNN(V, FILTERS, E)
    network.initialise(stream(0, "tests", "cnn"))
    x = torch.tensor([[1, 2, 1, 2, 1], [3, 3, 3, 3, 3]])
    network(x).sum().backward()
    fast = network.embedding.grad.clone()
    network.zero_grad()
    reference_logits(network, x).sum().backward()
    torch.testing.assert_close(fast, network.embedding.grad)


@pytest.mark.parametrize("n", [0, 1, 3, 40])
def test_many_sequences_have_the_features_of_few(network: TextCNN, n: int) -> None:
    """From 40 sequences on (more windows than twice V) all kernels but the widest use tables."""
    network.double()
    x = tokens(n)
    many = torch.cat([*network.features_of_many(x)])
    assert many.shape == (n, network.width)
    assert not many.requires_grad
    torch.testing.assert_close(many, network.features(x).detach())
    dropped = torch.cat([*network.features_of_many(x, 0.25, stream(7))])
    torch.testing.assert_close(dropped, network.features(x, 0.25, stream(7)).detach())


def test_groups_and_chunks_of_many_change_nothing(
    network: TextCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = tokens(40)
    whole = torch.cat([*network.features_of_many(x)])
    monkeypatch.setattr(discriminator, "SCORE_GROUP", 17)
    monkeypatch.setattr(max_over_time_file, "SCORE_CHUNK", 3)
    torch.testing.assert_close(torch.cat([*network.features_of_many(x)]), whole)


# -- initialisation ----------------------------------------------------------------------------


def test_initial_laws() -> None:
    network = TextCNN(400, filters_for(20, 0.2))
    network.initialise(stream(4))
    width = network.width
    assert network.embedding.abs().max() <= 1
    assert network.embedding.std().item() == pytest.approx(math.sqrt(1 / 3), rel=0.02)
    truncated = torch.cat(
        [*(k.flatten() for k in network.kernels), network.output.weight.flatten()]
    )
    assert truncated.abs().max() <= 0.2
    assert truncated.std().item() == pytest.approx(0.088, rel=0.02)  # N(0, 0.1²) cut at 2 sd
    assert (network.kernel_bias == 0.1).all()
    assert (network.output.bias == 0.1).all()
    for linear in (network.transform, network.gate):
        bound = math.sqrt(6 / (2 * width))
        assert linear.weight.abs().max() <= bound
        assert linear.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert 0 < linear.bias.abs().max() <= bound
    assert not torch.equal(network.transform.weight, network.gate.weight)


def test_initialisation_depends_on_the_stream_alone() -> None:
    twins = [TextCNN(V, FILTERS, E) for _ in range(2)]
    for seed, twin in enumerate(twins):
        torch.manual_seed(seed)
        twin.initialise(stream(5))
    assert all(
        torch.equal(a, b) for a, b in zip(twins[0].parameters(), twins[1].parameters(), strict=True)
    )


# -- the loss ----------------------------------------------------------------------------------


def test_the_loss_is_cross_entropy_with_real_in_column_one(network: TextCNN) -> None:
    x, labels = tokens(4), torch.tensor([REAL, FAKE, REAL, FAKE])
    loss, accuracy = network.loss(x, labels)
    p_real = [float(torch.softmax(row, 0)[1]) for row in reference_logits(network, x).detach()]
    expected = -sum(
        math.log(p if label == REAL else 1 - p)
        for p, label in zip(p_real, labels.tolist(), strict=True)
    )
    assert loss.item() == pytest.approx(expected / 4, rel=1e-5)
    right = sum((p > 0.5) == (label == REAL) for p, label in zip(p_real, labels, strict=True))
    assert accuracy.item() == right / 4


def test_the_penalty_touches_the_output_layer_only(
    network: TextCNN, gradients: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    x, labels = tokens(4), torch.tensor([REAL, FAKE, FAKE, REAL])
    plain, _ = network.loss(x, labels)
    plain.backward()
    before = gradients(network)
    network.zero_grad()
    penalised, _ = network.loss(x, labels, l2=0.2)
    penalised.backward()
    w, b = network.output.weight, network.output.bias
    penalty = 0.2 * 0.5 * (w.square().sum() + b.square().sum())
    assert (penalised - plain).item() == pytest.approx(penalty.item(), rel=1e-4)
    for name, gradient in gradients(network).items():
        extra = {"output.weight": 0.2 * w, "output.bias": 0.2 * b}.get(name, 0.0 * gradient)
        torch.testing.assert_close(gradient, before[name] + extra, msg=name)


GOLDEN_LOSS = 0.8951939
GOLDEN_PROBABILITIES = [0.3268025, 0.3389926]


def test_golden_loss() -> None:
    network = TextCNN(3, ((1, 2), (2, 2)), 2)
    patterned(network)
    x = torch.tensor([[0, 1, 2], [2, 2, 1]])
    loss, _ = network.loss(x, torch.tensor([REAL, FAKE]), l2=0.2)
    assert loss.item() == pytest.approx(GOLDEN_LOSS, abs=1e-6)
    assert network.real_probability(x).tolist() == pytest.approx(GOLDEN_PROBABILITIES, abs=1e-6)


def test_it_learns_to_tell_real_from_fake() -> None:
    network = TextCNN(V, FILTERS, E)
    network.initialise(stream(6))
    real, fake = tokens(32) // 2, tokens(32) // 2 + 3
    x, labels = torch.cat([real, fake]), torch.tensor([REAL] * 32 + [FAKE] * 32)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        network.loss(x, labels)[0].backward()
        optimiser.step()
    assert network.real_probability(real).min() > 0.5
    assert network.real_probability(fake).max() < 0.5


# -- dropout and scoring -----------------------------------------------------------------------


def test_dropout_zeroes_a_quarter_and_scales_the_rest(network: TextCNN) -> None:
    x = tokens(4000)
    plain, dropped = network.features(x), network.features(x, 0.25, stream(7))
    alive = plain != 0
    kept = dropped[alive] != 0
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.01)
    torch.testing.assert_close(dropped[alive][kept], plain[alive][kept] / 0.75)


def test_scoring_has_no_dropout_and_no_gradient(network: TextCNN) -> None:
    x = tokens(5)
    probability = network.real_probability(x)
    torch.testing.assert_close(probability, reference_logits(network, x).softmax(1)[:, 1])
    assert not probability.requires_grad


def test_scoring_in_chunks_changes_nothing(
    network: TextCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = tokens(20)
    whole = network.real_probability(x)
    monkeypatch.setattr(discriminator, "SCORE_CHUNK", 3)
    torch.testing.assert_close(network.real_probability(x), whole)
