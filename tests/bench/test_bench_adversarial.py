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
from textbench.algorithms.maligan import MaliGAN
from textbench.algorithms.rankgan import RankGAN
from textbench.algorithms.relgan import RelGAN
from textbench.algorithms.seqgan import SeqGAN
from torch import Tensor

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.rollout import rollouts
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer

V, T, B = 5000, 20, 64
TEXT = {"paper": (V, T), "coco": (4700, 37), "news": (5000, 51)}
"""V and T of the synthetic task and of the two corpora."""
Measure = Callable[..., Any]
MakeContext = Callable[..., Context]
MakeTrainer = Callable[..., Trainer[Any]]


def network(vocab_size: int = V, length: int = T) -> TextCNN:
    made = TextCNN(vocab_size, filters_for(length))
    made.initialise(stream(0, "bench", "discriminator"))
    return made


def tokens(n: int, vocab_size: int = V, length: int = T) -> Tensor:
    return torch.randint(vocab_size, (n, length), generator=stream(0, "bench", n))


def roll_outs(model: Model, prefixes: int, n: int, batch: int) -> Work:
    """Every prefix but the newest draws n times; the newest has one distribution for all n."""
    return model.sample(sum(t * n * batch + batch for t in range(prefixes)))


@pytest.mark.parametrize("corpus", TEXT)
def test_discriminator_update_of_64_sequences(corpus: str, measure: Measure) -> None:
    vocab_size, length = TEXT[corpus]
    discriminator = network(vocab_size, length)
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=1e-4, fused=True)
    x, labels = tokens(B, vocab_size, length), torch.arange(B) % 2
    rng = stream(0, "bench", "dropout")

    def update() -> float:
        optimiser.zero_grad()
        loss, _ = discriminator.loss(x, labels, l2=0.2, dropout=0.25, rng=rng)
        loss.backward()
        optimiser.step()
        return loss.item()

    work = CNN(filters_for(length), length, vocab_size=vocab_size).update(B)
    assert measure(update, work) > 0


@pytest.mark.parametrize("corpus", TEXT)
@pytest.mark.parametrize("count", [256, 2048])
def test_discriminator_scores_sequences(count: int, corpus: str, measure: Measure) -> None:
    vocab_size, length = TEXT[corpus]
    discriminator, x = network(vocab_size, length), tokens(count, vocab_size, length)
    work = CNN(filters_for(length), length, vocab_size=vocab_size).score(count)
    assert measure(lambda: discriminator.real_probability(x), work).shape == (count,)


@pytest.mark.parametrize("corpus", TEXT)
def test_16_roll_outs_of_every_prefix_of_8_sequences(corpus: str, measure: Measure) -> None:
    vocab_size, length = TEXT[corpus]
    model = LSTMLanguageModel(vocab_size, length, 32, 32)
    model.initialise(stream(0, "bench", "generator"))
    x, rng = tokens(8, vocab_size, length), stream(0, "bench", "roll-outs")
    work = roll_outs(Model(vocab_size), length - 1, 16, 8)
    completed = measure(lambda: rollouts(model, x, 16, rng), work)
    assert completed.shape == (length - 1, 16, 8, length)


@pytest.fixture
def batch(request: pytest.FixtureRequest) -> int:
    """Of a step that takes seconds: two sequences where nothing is measured."""
    return B if request.config.getoption("benchmark_enable", False) else 2


@pytest.mark.parametrize("corpus", TEXT)
def test_seqgan_generator_step(
    corpus: str, batch: int, measure: Measure, make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    vocab_size, length = TEXT[corpus]
    context = make_context(vocab_size, length, embedding=32, hidden=32, size=640)
    trainer, n = make_trainer(SeqGAN, context, batch=batch), 16
    G, D = Model(vocab_size), CNN(filters_for(length), length, vocab_size=vocab_size)
    work = roll_outs(G, length - 1, n, batch) + D.score(((length - 1) * n + 1) * batch)
    work = work + G.sample(batch * length) + G.update(batch * length)
    logged = measure(lambda: trainer.step(Position("adversarial", 0, 0)), work, rounds=3)
    assert 0 < logged["reward"] < 1


def test_maligan_generator_step(
    measure: Measure, make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    context = make_context(V, T, embedding=32, hidden=32, size=640)
    trainer, G = make_trainer(MaliGAN, context), Model(V)
    work = G.sample(B * T) + CNN(filters_for(T)).score(B) + G.update(B * T)
    logged = measure(lambda: trainer.step(Position("adversarial", 0, 0)), work, rounds=5)
    assert torch.isfinite(torch.as_tensor([float(x) for x in logged.values()])).all()


@pytest.mark.parametrize("side", ["generator", "ranker"])
def test_rankgan(
    side: str, batch: int, measure: Measure, make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    """A generator step, whose roll-outs the ranker scores; an update of the ranker."""
    context = make_context(V, T, embedding=32, hidden=32, size=640)
    trainer = make_trainer(RankGAN, context, **({} if batch == B else {"batch": batch}))
    trainer.step(Position("discriminator", 0, 0))  # loads sequences
    at = Position("adversarial", 0, 0 if side == "generator" else 2)
    logged = measure(lambda: trainer.step(at), None, rounds=3)
    assert torch.isfinite(torch.as_tensor([float(x) for x in logged.values()])).all()


@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_relgan(
    side: str, batch: int, measure: Measure, make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    """An update of either side; 64 representations of each sequence pass its highway layer."""
    context = make_context(V, T, embedding=32, hidden=32, size=640)
    trainer = make_trainer(RelGAN, context, batch=batch)
    filters, parts = ((2, 300), (3, 300), (4, 300), (5, 300)), 64
    one = CNN(filters, T, embedding=1)
    mixed = 2 * Work(flops=2 * batch * T * V * parts)  # y E forwards, its gradient by E or by y
    dense = Work(flops=2 * one.width * 100)
    judged = (2 * batch * parts) * (one.score(1) + dense)
    G = Model(V)
    work = 2 * G.sample(batch * T) + 3 * judged + mixed
    if side == "generator":
        work = work + G.update(batch * T)
    at = Position("adversarial", 0, 0 if side == "generator" else 1)
    logged = measure(lambda: trainer.step(at), work, rounds=3)
    assert torch.isfinite(torch.as_tensor([float(x) for x in logged.values()])).all()


@pytest.mark.parametrize("phase", ["pretraining", "sampling"])
def test_leakgan(
    phase: str, batch: int, measure: Measure, make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    """A likelihood step of Manager and Worker, and the drawing of fakes."""
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
