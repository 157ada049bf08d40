"""Speed of the adversarial trainers' heavy parts: the paper's sizes, and those of text.

Run with ``tox -e bench``, which prints time, floor and reached; the test suite runs each once,
unmeasured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from floors import CNN, Model, Work
from textbench.algorithms.discriminator import TextCNN, filters_for
from textbench.algorithms.leakgan import LeakGAN
from textbench.algorithms.seqgan import SeqGAN
from torch import Tensor

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.rollout import rollouts
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer

V, T, B = 5000, 20, 64
Measure = Callable[..., Any]
MakeContext = Callable[..., Context]
MakeTrainer = Callable[..., Trainer[Any]]


def network(length: int = T) -> TextCNN:
    made = TextCNN(V, filters_for(length))
    made.initialise(stream(0, "bench", "discriminator"))
    return made


@pytest.fixture(scope="module")
def discriminator() -> TextCNN:
    return network()


def tokens(n: int, length: int = T) -> Tensor:
    return torch.randint(V, (n, length), generator=stream(0, "bench", n))


def roll_outs(prefixes: int, n: int, batch: int) -> Work:
    """Every prefix but the newest draws n times; the newest has one distribution for all n."""
    rows = sum(t * n * batch + batch for t in range(prefixes))
    return Model(V).sample(rows)


def updating(discriminator: TextCNN, length: int) -> Callable[[], float]:
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=1e-4, fused=True)
    x, labels = tokens(B, length), torch.arange(B) % 2
    rng = stream(0, "bench", "dropout")

    def update() -> float:
        optimiser.zero_grad()
        loss, _ = discriminator.loss(x, labels, l2=0.2, dropout=0.25, rng=rng)
        loss.backward()
        optimiser.step()
        return loss.item()

    return update


def test_discriminator_update_of_64_sequences(measure: Measure, discriminator: TextCNN) -> None:
    assert measure(updating(discriminator, T), CNN(filters_for(T)).update(B)) > 0


@pytest.mark.parametrize("length", [37, 51])
def test_discriminator_update_on_text(measure: Measure, length: int) -> None:
    work = CNN(filters_for(length), length).update(B)
    assert measure(updating(network(length), length), work) > 0


def test_discriminator_scores_256_sequences(measure: Measure, discriminator: TextCNN) -> None:
    x = tokens(256)
    scores = measure(lambda: discriminator.real_probability(x), CNN(filters_for(T)).score(256))
    assert scores.shape == (256,)


def test_discriminator_scores_2048_sequences(measure: Measure, discriminator: TextCNN) -> None:
    x = tokens(2048)
    scores = measure(lambda: discriminator.real_probability(x), CNN(filters_for(T)).score(2048))
    assert scores.shape == (2048,)


def test_16_roll_outs_of_every_prefix_of_8_sequences(measure: Measure) -> None:
    model = LSTMLanguageModel(V, T, 32, 32)
    model.initialise(stream(0, "bench", "generator"))
    x, rng = tokens(8), stream(0, "bench", "roll-outs")
    completed = measure(lambda: rollouts(model, x, 16, rng), roll_outs(T - 1, 16, 8))
    assert completed.shape == (T - 1, 16, 8, T)


def test_seqgan_generator_step(
    measure: Measure,
    request: pytest.FixtureRequest,
    make_context: MakeContext,
    make_trainer: MakeTrainer,
) -> None:
    batch = B if request.config.getoption("benchmark_enable", False) else 2
    context = make_context(V, T, embedding=32, hidden=32, size=640)
    trainer, n = make_trainer(SeqGAN, context, batch=batch), 16
    G, D = Model(V), CNN(filters_for(T))
    work = roll_outs(T - 1, n, batch) + D.score(((T - 1) * n + 1) * batch)
    work = work + G.sample(batch * T) + G.update(batch * T)
    logged = measure(lambda: trainer.step(Position("adversarial", 0, 0)), work, rounds=3)
    assert 0 < logged["reward"] < 1


@pytest.mark.parametrize("phase", ["pretraining", "sampling"])
def test_leakgan(
    phase: str,
    measure: Measure,
    request: pytest.FixtureRequest,
    make_context: MakeContext,
    make_trainer: MakeTrainer,
) -> None:
    """A likelihood step of Manager and Worker, and the drawing of fakes."""
    batch = B if request.config.getoption("benchmark_enable", False) else 2
    context = make_context(V, T, embedding=32, hidden=32, size=640)
    trainer = make_trainer(LeakGAN, context, batch=batch)
    D = CNN(filters_for(T))
    # Each prefix's feature: a token's shares in all filters at all offsets, and the highway layer.
    shares = sum(w * n for w, n in D.filters) * D.embedding
    head = Work(flops=2 * V * 16 * 33, exps=V)
    feature = Work(flops=2 * (shares + 2 * D.width**2))
    if phase == "pretraining":
        work = batch * ((T + 1) * feature + T * (3 * Work(flops=head.flops) + Model(V).exps(1)))
        at = Position("pretraining", 0, 0)
        logged = measure(lambda: trainer.step(at), work, rounds=3)
        assert logged["nll"] == pytest.approx(8.5, abs=0.2)
    else:
        rng = stream(0, "bench", "fakes")
        # The last block's goal needs no later feature than f_15.
        work = batch * (16 * feature + T * head)
        drawn = measure(lambda: trainer.generator.sample(batch, rng), work, rounds=3)
        assert drawn.shape == (batch, T)
