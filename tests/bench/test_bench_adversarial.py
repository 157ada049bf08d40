"""Speed of the adversarial trainers' heavy parts at the paper's sizes (V = 5,000, T = 20).

Run with ``pytest tests/bench --benchmark-enable``; the test suite runs each once, unmeasured.
"""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from textbench.algorithms.discriminator import TextCNN, filters_for
from torch import Tensor

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.rollout import rollouts
from textbench.contracts.streams import stream

V, T = 5000, 20


@pytest.fixture(scope="module")
def discriminator() -> TextCNN:
    network = TextCNN(V, filters_for(T))
    network.initialise(stream(0, "bench", "discriminator"))
    return network


def tokens(n: int) -> Tensor:
    return torch.randint(V, (n, T), generator=stream(0, "bench", n))


def test_discriminator_update_of_64_sequences(
    benchmark: BenchmarkFixture, discriminator: TextCNN
) -> None:
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=1e-4, fused=True)
    x, labels, rng = tokens(64), torch.arange(64) % 2, stream(0, "bench", "dropout")

    def update() -> float:
        optimiser.zero_grad()
        loss, _ = discriminator.loss(x, labels, l2=0.2, dropout=0.25, rng=rng)
        loss.backward()
        optimiser.step()
        return loss.item()

    assert benchmark(update) > 0


def test_discriminator_scores_256_sequences(
    benchmark: BenchmarkFixture, discriminator: TextCNN
) -> None:
    x = tokens(256)
    scores = benchmark(lambda: discriminator.real_probability(x))
    assert scores.shape == (256,)


def test_16_roll_outs_of_every_prefix_of_8_sequences(benchmark: BenchmarkFixture) -> None:
    model = LSTMLanguageModel(V, T, 32, 32)
    model.initialise(stream(0, "bench", "generator"))
    x, rng = tokens(8), stream(0, "bench", "roll-outs")
    completed = benchmark(lambda: rollouts(model, x, 16, rng))
    assert completed.shape == (T - 1, 16, 8, T)
