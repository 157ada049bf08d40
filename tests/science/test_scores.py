"""Scores of models with a linear output layer, against the definitions in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from textbench.algorithms.goal_generator import GoalFactoredGenerator
from torch import Tensor

from textbench.backbone import output as output_file
from textbench.backbone import scoring
from textbench.backbone.generator import Generator, Tempered
from textbench.backbone.linear_scores import (
    LinearOutput,
    linear_comparison,
    linear_entropy,
    linear_nll,
)
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.scoring import mean_entropy, mean_nll, score_pair, token_nll
from textbench.contracts.number import LARGEST_ALPHA
from textbench.contracts.streams import stream

WORLDS = {
    "small": (150, 3, 7, 1.0),
    "the paper's sizes": (70, 32, 5000, 0.3),
    "logits near the bound": (70, 32, 300, 2.5),
    "weights of 1e3": (70, 8, 50, 1e3),
    "one symbol": (70, 8, 1, 1.0),
    "one row": (1, 8, 50, 1.0),
    "no row": (0, 8, 50, 1.0),
    "wide states": (300, 200, 100, 0.1),
}
"""N, H, V, standard deviation of weight and of bias."""


def world(name: str, seed: int = 0) -> tuple[LinearOutput, Tensor, float]:
    N, width, size, std = WORLDS[name]
    rng = stream(seed, "scores", name)
    hidden = 2 * torch.rand(N, width, generator=rng) - 1
    weight, bias = (torch.randn(shape, generator=rng) * std for shape in ((size, width), (size,)))
    targets = torch.randint(size, (N,), generator=rng)
    return LinearOutput(hidden, weight, bias), targets, 2e-6 * max(1.0, 4 * std)


def log_probs(output: LinearOutput) -> Tensor:
    hidden, weight, bias = (part.double() for part in output)
    return (hidden @ weight.T + bias).log_softmax(1)


@pytest.mark.parametrize("name", WORLDS)
def test_nll_and_entropy_are_their_definitions(name: str) -> None:
    output, targets, slack = world(name)
    exact = log_probs(output)
    nll = -exact.gather(1, targets.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(linear_nll(output, targets).double(), nll, atol=slack, rtol=1e-6)
    entropy = -(exact.exp() * exact).sum(1)
    torch.testing.assert_close(linear_entropy(output).double(), entropy, atol=slack, rtol=1e-6)


@pytest.mark.parametrize("name", WORLDS)
def test_a_comparison_is_its_definition(name: str) -> None:
    a, targets, slack = world(name)
    b, _, _ = world(name, 1)
    log_a, log_b = log_probs(a), log_probs(b)
    p = log_a.exp()
    mixture = torch.logaddexp(log_a, log_b) - math.log(2.0)
    found = linear_comparison(a, b, targets)
    expected = {
        "log_a": log_a.gather(1, targets.unsqueeze(1)).squeeze(1),
        "log_b": log_b.gather(1, targets.unsqueeze(1)).squeeze(1),
        "entropy": -(p * log_a).sum(1),
        "kl": (p * (log_a - log_b)).sum(1),
        "kl_mixture": (p * (log_a - mixture)).sum(1),
    }
    for key, value in expected.items():
        torch.testing.assert_close(
            getattr(found, key).double(), value, atol=slack, rtol=3e-6, msg=key
        )


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (a, targets, _), (b, _, _) = world("small"), world("small", 1)
    whole = linear_comparison(a, b, targets)
    monkeypatch.setattr(output_file, "CPU_CHUNK", 7)
    for one, other in zip(linear_comparison(a, b, targets), whole, strict=True):
        torch.testing.assert_close(one, other)


# -- the generators that have such a layer -----------------------------------------------------


class Plain(Generator):
    """Another generator without its output layer: what evaluation does for any model."""

    def __init__(self, inner: Generator) -> None:
        super().__init__()
        self.inner, self.vocab_size, self.length = inner, inner.vocab_size, inner.length

    def log_probs(self, tokens: Tensor) -> Tensor:
        return self.inner.log_probs(tokens)

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        return self.inner.sample(n, rng, inverse_temperature=inverse_temperature)


def lstm(seed: int) -> LSTMLanguageModel:
    model = LSTMLanguageModel(9, 4, 3, 5)
    model.initialise(stream(seed, "scores"), 1.0)
    return model


BUILDERS: dict[str, Callable[[], Generator]] = {
    "lstm": lambda: lstm(0),
    "tempered": lambda: Tempered(lstm(0), 1.7),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_evaluation_says_the_same_of_a_model_with_and_without_its_layer(name: str) -> None:
    A, B = BUILDERS[name](), lstm(1)
    tokens = B.sample(30, stream(0, "tokens"))
    assert mean_nll(A, tokens) == pytest.approx(mean_nll(Plain(A), tokens), abs=1e-6)
    torch.testing.assert_close(
        token_nll(A, tokens), token_nll(Plain(A), tokens), atol=2e-6, rtol=1e-6
    )
    assert mean_entropy(A, tokens) == pytest.approx(mean_entropy(Plain(A), tokens), abs=1e-6)
    reference = score_pair(Plain(A), Plain(B), tokens)
    for found in (score_pair(A, B, tokens), score_pair(A, Plain(B), tokens)):
        torch.testing.assert_close(found.log_a, reference.log_a, atol=2e-6, rtol=1e-6)
        torch.testing.assert_close(found.log_b, reference.log_b, atol=2e-6, rtol=1e-6)
        for key in ("entropy", "kl", "kl_mixture"):
            assert getattr(found, key) == pytest.approx(getattr(reference, key), abs=3e-6)


def test_a_model_with_its_layer_writes_no_log_probs_down(monkeypatch: pytest.MonkeyPatch) -> None:
    A = lstm(0)
    tokens = A.sample(30, stream(0, "tokens"))
    monkeypatch.setattr(scoring, "blocks", None)
    assert score_pair(A, A, tokens).kl == pytest.approx(0.0, abs=1e-6)


def test_a_subclass_with_another_law_is_scored_by_its_law() -> None:
    class Other(LSTMLanguageModel):
        def log_probs(self, tokens: Tensor) -> Tensor:
            return (2.0 * super().log_probs(tokens)).log_softmax(-1)

    other = Other(9, 4, 3, 5)
    other.initialise(stream(0, "scores"), 1.0)
    tokens = other.sample(30, stream(0, "tokens"))
    assert other.linear_output(tokens) is None
    expected = mean_nll(Tempered(lstm(0), 2.0), tokens)
    assert mean_nll(other, tokens) == pytest.approx(expected, abs=1e-6)


def test_inverse_temperatures_of_a_tempered_model_multiply() -> None:
    model = LSTMLanguageModel(5, 6, 4, 5)
    model.initialise(stream(0, "tests"), 1.0)
    drawn, twice, once = (
        made.sample(200, stream(1, "tests"), inverse_temperature=alpha)
        for made, alpha in ((model, 3.0), (Tempered(model, 2.0), 1.5), (Tempered(model, 2.0), 1.0))
    )
    assert torch.equal(drawn, twice)
    assert not torch.equal(drawn, once)


@pytest.mark.parametrize("alpha", [1e-300, 1e-6, LARGEST_ALPHA])
def test_extreme_inverse_temperatures_draw_likeliest_symbols_or_all_alike(alpha: float) -> None:
    """What is admitted as an inverse temperature neither overflows nor leaves [0, V)."""
    lstm = LSTMLanguageModel(50, 6, 4, 5)
    for model in (lstm, GoalFactoredGenerator(50, 6, 4, 5)):
        model.initialise(stream(0, "tests"), 1.0)
        drawn = model.sample(2000, stream(1, "tests"), inverse_temperature=alpha)
        tempered = Tempered(model, alpha)
        nll, entropy = mean_nll(tempered, drawn), mean_entropy(tempered, drawn)
        if alpha > 1:
            assert torch.equal(drawn, model.log_probs(drawn).argmax(2))
            assert nll == pytest.approx(0.0, abs=1e-6)
        else:
            assert drawn.flatten().bincount(minlength=50).min() > 100  # 240 are expected
            assert nll == pytest.approx(math.log(50), rel=1e-4)
        assert entropy == pytest.approx(nll, rel=1e-4, abs=1e-4)
