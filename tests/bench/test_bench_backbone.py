"""Speed of the shared backbone and of the trainers on it: the paper's sizes, and those of text.

Run with ``tox -e bench``, which prints time, floor and reached; the test suite runs each once,
unmeasured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from floors import Model, Work
from textbench.algorithms.cot import CoT
from textbench.algorithms.mle import MLE
from textbench.algorithms.professor_forcing import ProfessorForcing
from textbench.algorithms.scheduled_sampling import ScheduledSampling

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.scoring import score_pair
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer

V, T, B = 5000, 20, 64
TEXT = {"coco": (4700, 37), "news": (5000, 51)}
"""V and T of the two corpora."""
MakeContext = Callable[..., Context]
MakeTrainer = Callable[..., Trainer[Any]]
Measure = Callable[..., Any]


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return paper(make_context, V, T)


def paper(make_context: MakeContext, vocab_size: int, length: int) -> Context:
    return make_context(vocab_size, length, embedding=32, hidden=32, size=640)


def step(measure: Measure, trainer: Trainer[Any], at: Position, work: Work) -> None:
    logged = measure(lambda: trainer.step(at), work)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logged.values())


def cot_iteration(G: Model, tokens: int) -> Work:
    """Two draws, the generator's update, the mediator's on twice as many tokens."""
    M = Model(G.vocab_size, 64, 64)
    return 2 * G.sample(tokens) + G.follow(M, tokens) + M.update(2 * tokens)


def test_mle_step(measure: Measure, context: Context, make_trainer: MakeTrainer) -> None:
    work = Model(V).update(B * T)
    step(measure, make_trainer(MLE, context), Position("mle", 0, 0), work)


@pytest.mark.parametrize("variant", ["default", "full_gradient", "strong"])
def test_cot_iteration(
    variant: str, measure: Measure, context: Context, make_trainer: MakeTrainer
) -> None:
    G = Model(V)
    config, work = {
        "default": ({}, cot_iteration(G, B * T)),
        "full_gradient": (
            {"gradient": "full"},
            cot_iteration(G, B * T) + 3 * (G.states(B * T) + G.logits(B * T)) + G.exps(B * T),
        ),
        # Its output layer is that of an LSTM with 16 x 33 states.
        "strong": (
            {"generator": "goal_factored"},
            cot_iteration(G, B * T) + 5 * Work(flops=2 * B * T * V * (16 * 33 - 32)),
        ),
    }[variant]
    step(measure, make_trainer(CoT, context, **config), Position("cot", 0, 1), work)


def test_scheduled_sampling_step_with_own_symbols_only(
    measure: Measure, context: Context, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(ScheduledSampling, context, epochs=2, least=0.0)
    G = Model(V)
    work = G.update(B * T) + G.sample(B * (T - 1))
    step(measure, trainer, Position("scheduled_sampling", 1, 0), work)


def test_professor_forcing_step_that_follows(
    measure: Measure, context: Context, make_trainer: MakeTrainer
) -> None:
    trainer, G, tokens = make_trainer(ProfessorForcing, context, g_above=0.0), Model(V), B * T
    # Projected logits 64, GRU 64 in both directions, on the behaviour of 64 + 64 sequences.
    judge = Work(flops=2 * tokens * (32 * 64 + 2 * 3 * 64 * (96 + 64)))
    judged = 3 * 2 * judge + 2 * G.states(tokens)
    followed = 2 * judge + 3 * G.states(tokens)
    work = G.update(tokens) + G.sample(tokens) + judged + followed
    step(measure, trainer, Position("professor_forcing", 0, 0), work)


@pytest.mark.parametrize("corpus", TEXT)
def test_mle_step_on_text(
    corpus: str, measure: Measure, make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    vocab_size, length = TEXT[corpus]
    trainer = make_trainer(MLE, paper(make_context, vocab_size, length))
    step(measure, trainer, Position("mle", 0, 0), Model(vocab_size).update(B * length))


@pytest.mark.parametrize("corpus", TEXT)
def test_cot_iteration_on_text(
    corpus: str, measure: Measure, make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    vocab_size, length = TEXT[corpus]
    trainer = make_trainer(CoT, paper(make_context, vocab_size, length))
    work = cot_iteration(Model(vocab_size), B * length)
    step(measure, trainer, Position("cot", 0, 1), work)


@pytest.mark.parametrize("corpus", ["paper", *TEXT])
def test_sampling_of_1000_sequences(
    corpus: str, measure: Measure, make_context: MakeContext
) -> None:
    vocab_size, length = {"paper": (V, T), **TEXT}[corpus]
    generator = paper(make_context, vocab_size, length).initial_generator()
    rng, work = stream(0, "bench", "samples"), Model(vocab_size).sample(1000 * length)
    assert measure(lambda: generator.sample(1000, rng), work).shape == (1000, length)


def test_scoring_of_1000_sequences(measure: Measure, context: Context) -> None:
    generator = context.initial_generator()
    tokens = generator.sample(1000, stream(0, "bench", "scored"))

    def score() -> float:
        with torch.no_grad():
            return generator.weighted_nll(tokens).item()

    assert measure(score, Model(V).score(1000 * T)) == pytest.approx(8.5, abs=0.2)


def test_comparison_with_the_oracle_on_1000_sequences(measure: Measure, context: Context) -> None:
    generator, oracle = context.initial_generator(), LSTMLanguageModel(V, T, 32, 32)
    oracle.initialise(stream(0, "bench", "oracle"), 1.0)
    tokens = generator.sample(1000, stream(0, "bench", "scored"))
    # The mixture takes a logarithm per symbol.
    work = 2 * Model(V).score(1000 * T) + Model(V).exps(1000 * T)
    assert measure(lambda: score_pair(generator, oracle, tokens), work).kl > 0
