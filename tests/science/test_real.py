"""The reference rows: what real text, and text with some of its words replaced, are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ledgers import spent
from scipy.stats import chisquare
from textbench.algorithms.real import Archive, Real, RealCorrupted
from torch import Tensor

from textbench.contracts.streams import stream
from textbench.contracts.task import END, UNKNOWN
from textbench.contracts.trainer import Context, Position, Trainer

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]

V, T, N = 7, 10, 4000
"""Symbols from 2 on are words; position 3 is always unknown, the last two end the sentence."""


def sentences() -> Tensor:
    rng = stream(0, "tests", "sentences")
    data = torch.randint(2, V, (N, T), generator=rng)
    data[torch.rand(N, T, generator=rng) < 0.4] = 5  # a frequent word
    data[:, 3], data[:, 8:] = UNKNOWN, END
    return data


def corrupted(make_context: Contexts, make_trainer: Trainers, rate: float, seed: int = 0) -> Tensor:
    context = make_context(V, T, sequences=sentences(), seed=seed)
    context.first_word = 2
    found: Tensor = make_trainer(RealCorrupted, context, rate=rate).generator.sequences
    return found


def test_sequences_are_drawn_without_replacement_and_alike() -> None:
    archive = Archive(torch.arange(8).unsqueeze(1).expand(8, 3).clone(), 8)
    rng = stream(0, "tests", "draws")
    drawn = torch.stack([archive.sample(5, rng)[:, 0] for _ in range(2000)])
    assert all(len(set(row)) == 5 for row in drawn.tolist())
    for place in range(5):
        assert chisquare(drawn[:, place].bincount(minlength=8).numpy()).pvalue > 1e-3
    again = archive.sample(5, stream(1, "tests"))
    assert torch.equal(again, archive.sample(5, stream(1, "tests")))


@pytest.mark.parametrize("kind", [Real, RealCorrupted])
def test_reference_rows_train_nothing(
    kind: type[Trainer[Any]], make_context: Contexts, make_trainer: Trainers
) -> None:
    context = make_context(V, T, sequences=sentences())
    trainer = make_trainer(kind, context)
    before = trainer.generator.sequences.clone()
    (phase,) = trainer.phases()
    assert (phase.epochs, phase.steps, phase.trains_generator) == (1, 1, False)
    assert set(spent(trainer, Position(phase.name, 0, 0)).values()) == {0}
    assert torch.equal(trainer.generator.sequences, before)
    assert kind.warmup(trainer.config) is None
    assert kind.own_generator


def test_real_text_is_the_training_sequences_and_leaves_them_alone(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    context = make_context(V, T, sequences=sentences())
    generator = make_trainer(Real, context).generator
    assert torch.equal(generator.sequences, sentences())
    generator.sequences.zero_()
    assert torch.equal(context.data.sequences(), sentences())


def test_corruption_leaves_the_training_sequences_alone_and_has_its_own_stream(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    context = make_context(V, T, sequences=sentences())
    context.first_word = 2
    before = context.rng.get_state()
    make_trainer(RealCorrupted, context, rate=1.0)
    assert torch.equal(context.data.sequences(), sentences())
    assert torch.equal(context.rng.get_state(), before)
    first = corrupted(make_context, make_trainer, 0.2)
    assert torch.equal(first, corrupted(make_context, make_trainer, 0.2))
    assert not torch.equal(first, corrupted(make_context, make_trainer, 0.2, seed=1))


def test_ends_and_unknown_words_stay_and_no_word_becomes_one(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    found = corrupted(make_context, make_trainer, 1.0)
    assert torch.equal(found < 2, sentences() < 2)
    assert torch.equal(found[:, 3], sentences()[:, 3])
    assert torch.equal(found[:, 8:], sentences()[:, 8:])


def test_a_replacement_has_the_words_frequency_whatever_it_replaces(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    """Every word of the text replaced: the new words follow the text's frequencies, old and new
    ones are independent, and so are two neighbours."""
    old, new = sentences(), corrupted(make_context, make_trainer, 1.0)
    words = old[old >= 2]
    law = words.bincount(minlength=V)[2:].double() / len(words)
    for word in range(2, V):
        became = new[old == word].bincount(minlength=V)[2:]
        assert chisquare(became.numpy(), (law * became.sum()).numpy()).pvalue > 1e-3
    pairs = (V * new[:, 0] + new[:, 1]).bincount(minlength=V * V).view(V, V)[2:, 2:]
    expected = law.unsqueeze(1) * law * N
    assert chisquare(pairs.flatten().numpy(), expected.flatten().numpy()).pvalue > 1e-3


def test_words_are_replaced_independently_of_one_another(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    """By default a fifth of them; two words of a sentence both change with the squared share."""
    assert RealCorrupted.config_schema().rate == 0.2
    old, new = sentences(), corrupted(make_context, make_trainer, 0.2)
    words = old[old >= 2]
    frequency = words.bincount(minlength=V) / len(words)
    rare = (old[:, :2] != 5).all(1)  # rare words: a replacement is seldom the word itself
    changed = (new != old)[rare][:, :2].double()
    chance = 0.2 * (1.0 - frequency[old[rare][:, :2]].double())
    deviation = (chance * (1 - chance)).sum().sqrt()
    assert abs(changed.sum() - chance.sum()) < 4 * deviation
    both, joint = changed.prod(1), chance.prod(1)
    assert abs(both.sum() - joint.sum()) < 4 * (joint * (1 - joint)).sum().sqrt()
    assert joint.sum() > 25
