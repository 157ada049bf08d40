"""`mle`: its loss and gradient by enumeration, its recipe, its early stopping."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from textbench.algorithms.mle import MLE
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.errors import UserError
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer

V, T = 4, 3
FIRST = Position("mle", 0, 0)


def test_on_all_sequences_the_loss_is_the_enumerated_cross_entropy(
    make_context: Callable[..., Context],
    make_trainer: Callable[..., Trainer[Any]],
    all_sequences: Callable[[int, int], Tensor],
    sequence_probs: Callable[[Generator], Tensor],
    gradients: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    every = all_sequences(V, T)
    twice = torch.cat([every, every[: V**T // 2]])  # a law that is not uniform
    trainer = make_trainer(MLE, make_context(V, T, sequences=twice), batch=len(twice), clip=0)
    trainer.generator.double()
    law = torch.tensor([2 / 96] * 32 + [1 / 96] * 32, dtype=torch.float64)
    expected = -(law * sequence_probs(trainer.generator).log()).sum() / T
    expected.backward()
    exact = gradients(trainer.generator)
    loss = trainer.step(FIRST)["nll"]
    assert float(loss) == pytest.approx(expected.item(), rel=1e-12)
    for name, gradient in gradients(trainer.generator).items():
        torch.testing.assert_close(gradient, exact[name], atol=1e-12, rtol=1e-10)


def test_one_step_is_adam_on_the_clipped_gradient(
    make_context: Callable[..., Context], make_trainer: Callable[..., Trainer[Any]]
) -> None:
    context = make_context(V, T, seed=3)
    trainer = make_trainer(MLE, context, batch=8, lr=0.02, clip=0.01)
    reference = LSTMLanguageModel(V, T, 3, 5)
    reference.initialise(stream(3, "initialise", "generator"))
    optimiser = torch.optim.Adam(reference.parameters(), lr=0.02, betas=(0.9, 0.999), eps=1e-8)
    data = context.data.sequences()
    for at in [FIRST, Position("mle", 0, 1)]:
        trainer.step(at)
        optimiser.zero_grad()
        reference.log_probs(data).gather(2, data.unsqueeze(2)).mean().neg().backward()
        norm = torch.stack([p.grad.norm() for p in reference.parameters()]).norm()
        assert norm > 0.01
        for p in reference.parameters():
            p.grad *= 0.01 / norm
        optimiser.step()
    for mine, theirs in zip(trainer.generator.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-3)


def test_batches_follow_the_file_pass_after_pass(
    make_context: Callable[..., Context],
    make_trainer: Callable[..., Trainer[Any]],
    positions: Callable[[Trainer[Any]], Iterator[Position]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = make_context(V, T, size=7)
    trainer = make_trainer(MLE, context, batch=2, epochs=2)
    seen: list[Tensor] = []
    score = trainer.generator.weighted_nll
    monkeypatch.setattr(
        trainer.generator, "weighted_nll", lambda s, **k: (seen.append(s), score(s, **k))[1]
    )
    schedule = list(positions(trainer))
    assert len(schedule) == 6  # 7 sequences are 3 full batches of 2
    for at in schedule:
        trainer.step(at)
    data = context.data.sequences()
    expected = [data[0:2], data[2:4], data[4:6]] * 2
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_it_starts_from_the_common_generator_or_the_warmed_up_one(
    make_context: Callable[..., Context], make_trainer: Callable[..., Trainer[Any]]
) -> None:
    other = make_context(V, T, seed=9).initial_generator().state_dict()
    common = make_context(V, T, seed=1).initial_generator().state_dict()
    plain = make_trainer(MLE, make_context(V, T, seed=1)).generator.state_dict()
    warmed = make_trainer(MLE, make_context(V, T, seed=1, warmup=other)).generator.state_dict()
    for key in common:
        assert torch.equal(plain[key], common[key])
        assert torch.equal(warmed[key], other[key])


def test_dropout_is_an_option_that_changes_training_only(
    make_context: Callable[..., Context], make_trainer: Callable[..., Trainer[Any]]
) -> None:
    context = make_context(V, T)
    trainer = make_trainer(MLE, context, batch=8, dropout=0.5)
    data = context.data.sequences()
    plain = trainer.generator.weighted_nll(data).item()
    before = context.rng.get_state()
    assert trainer.step(FIRST)["nll"] != pytest.approx(plain, rel=1e-6)
    assert not torch.equal(context.rng.get_state(), before)
    without = make_trainer(MLE, make_context(V, T), batch=8)
    assert without.step(FIRST)["nll"] == pytest.approx(plain, rel=1e-6)


def test_golden_losses(
    make_context: Callable[..., Context],
    make_trainer: Callable[..., Trainer[Any]],
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    trainer = make_trainer(MLE, make_context(V, T), batch=4)
    losses = [float(trainer.step(at)["nll"]) for at in itertools.islice(positions(trainer), 60)]
    assert [losses[i] for i in (0, 1, 2, 58, 59)] == pytest.approx(GOLDEN, rel=1e-4)


GOLDEN = [1.4196959, 1.4075032, 1.4066039, 1.2184477, 1.2260145]


def test_it_resumes_exactly(
    make_context: Callable[..., Context], assert_resumes_exactly: Callable[..., None]
) -> None:
    assert_resumes_exactly(MLE, make_context, 5, batch=4, dropout=0.3, patience=2)


# -- early stopping ----------------------------------------------------------------------------


def scripted(
    trainer: Trainer[Any], nlls: list[float]
) -> tuple[list[bool], list[dict[str, Tensor]]]:
    """One step and one evaluation per value; return the answers and the states evaluated."""
    answers, states = [], []
    for i, nll in enumerate(nlls):
        trainer.step(Position("mle", 0, i))
        states.append({k: v.clone() for k, v in trainer.generator.state_dict().items()})
        answers.append(trainer.observe(nll))
    return answers, states


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_early_stopping_waits_for_its_patience_and_takes_the_best_parameters(
    make_context: Callable[..., Context], make_trainer: Callable[..., Trainer[Any]]
) -> None:
    """Patience is in epochs, here of two updates, each of which is evaluated."""
    trainer = make_trainer(MLE, make_context(V, T), patience=2, epochs=100, batch=4)
    answers, states = scripted(trainer, [1.4, 1.2, 1.3, 1.1, 1.15, 1.1, 1.2, 1.3])
    assert answers == [False] * 7 + [True]
    assert same(trainer.generator.state_dict(), states[3])
    assert not same(states[3], states[7])


def test_early_stopping_needs_a_validation_likelihood(
    make_context: Callable[..., Context], make_trainer: Callable[..., Trainer[Any]]
) -> None:
    trainer = make_trainer(MLE, make_context(V, T), patience=2)
    with pytest.raises(UserError, match="no validation sequences; set patience to 0"):
        trainer.observe(math.nan)
    assert not make_trainer(MLE, make_context(V, T)).observe(math.nan)


def test_at_the_end_of_the_schedule_the_best_parameters_are_taken_too(
    make_context: Callable[..., Context], make_trainer: Callable[..., Trainer[Any]]
) -> None:
    config = {"patience": 5, "epochs": 2, "batch": 4}  # 4 updates in all
    trainer = make_trainer(MLE, make_context(V, T), **config)
    answers, states = scripted(trainer, [1.4, 1.2, 1.3, 1.25])
    assert answers == [False, False, False, True]
    assert same(trainer.generator.state_dict(), states[1])
    trainer = make_trainer(MLE, make_context(V, T), **config)
    answers, states = scripted(trainer, [1.4, 1.2, 1.3, 1.1])
    assert answers == [False] * 4
    assert same(trainer.generator.state_dict(), states[3])


def test_without_patience_nothing_stops_it(
    make_context: Callable[..., Context], make_trainer: Callable[..., Trainer[Any]]
) -> None:
    trainer = make_trainer(MLE, make_context(V, T), epochs=2, batch=4)
    answers, states = scripted(trainer, [1.0, 2.0, 3.0, 4.0])
    assert answers == [False] * 4
    assert same(trainer.generator.state_dict(), states[3])
