"""`gold`: its weights token by token, its gradient, its renewals, and maximum likelihood."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from enumerated import (
    T,
    V,
    apart,
    assert_same_training,
    assert_step_descends,
    log_likelihoods,
    parts_from,
    unequal,
)
from ledgers import spent
from textbench.algorithms.gold import GOLD, GOLDConfig
from textbench.algorithms.mle import MLE
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.tasks.synthetic import SyntheticTiny, SyntheticTinyConfig

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]
FIRST = Position("gold", 0, 0)
PLAIN: dict[str, Any] = {"weight_decay": 0.0}


def by_hand(p: list[float], c: GOLDConfig) -> list[float]:
    """Return Q of one sequence, whose tokens have probability ``p``; 1 beyond its end."""
    returns = []
    for t in range(len(p)):
        total = 0.0
        for k in range(c.suffix + 1):
            now = p[t + k] if t + k < len(p) else 1.0
            reward = now if c.reward == "sum_p" else math.log(now) + 10.0
            total += c.discount**k * max(reward, c.reward_floor)
        returns.append(total)
    return returns


@pytest.mark.parametrize("suffix", [0, 1, 5])
@pytest.mark.parametrize("reward", ["sum_p", "log_p"])
@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_a_return_is_what_maximum_likelihood_says_of_the_token_and_the_next_few(
    suffix: int, reward: str, discount: float, make_context: Contexts, make_trainer: Trainers
) -> None:
    options = {"suffix": suffix, "reward": reward, "discount": discount}
    trainer = make_trainer(GOLD, make_context(V, 4), **options)
    p = torch.tensor([[0.05, 0.5, 1e-6, 0.9], [0.3, 0.11, 0.2, 1e-3]], dtype=torch.float64)
    found = trainer.returns(trainer.reward(p.log()))
    for row, mine in zip(p.tolist(), found.tolist(), strict=True):
        assert mine == pytest.approx(by_hand(row, trainer.config), rel=1e-9)


@pytest.mark.parametrize("reward", ["sum_p", "log_p"])
def test_on_all_sequences_the_gradient_is_that_of_materialised_distributions(
    reward: str, make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = unequal()
    trainer = make_trainer(
        GOLD, make_context(V, T, sequences=x), batch=len(x), reward=reward, **PLAIN
    )
    for seed, model in enumerate((trainer.generator, trainer.older, trainer.judge)):
        apart(model, seed)
    trainer.updates = 1  # no renewal: π, π~ and p are three
    trainer.context.data.batch = lambda number, size: x

    def weights() -> Tensor:
        pi = log_likelihoods(trainer.older, x).detach().exp().clamp(0.2, 1.0)
        p = log_likelihoods(trainer.judge, x).detach().exp().tolist()
        return pi * torch.tensor([by_hand(row, trainer.config) for row in p], dtype=torch.float64)

    def expected(G: Generator) -> Tensor:
        return -(weights() * log_likelihoods(G, x)).mean()

    log = assert_step_descends(trainer, expected, monkeypatch)
    assert float(log["weight"]) == pytest.approx(weights().mean().item(), rel=1e-6)
    pi = log_likelihoods(trainer.older, x).detach().exp()
    assert float(log["importance_at_floor"]) == pytest.approx((pi <= 0.2).double().mean().item())
    if reward == "sum_p":
        p = log_likelihoods(trainer.judge, x).detach().exp()
        assert float(log["reward_at_floor"]) == pytest.approx((p <= 0.1).double().mean().item())


def test_the_older_policy_is_renewed_and_the_judge_never_changes(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    warmup = make_context(V, T, seed=9).initial_generator().state_dict()
    trainer = make_trainer(GOLD, make_context(V, T, warmup=warmup), batch=4, renewal=3, lr=0.1)
    states = []
    for i in range(7):
        states.append({k: v.clone() for k, v in trainer.generator.state_dict().items()})
        trainer.step(Position("gold", 0, i))
        renewed = states[i - i % 3]
        assert all(torch.equal(renewed[k], v) for k, v in trainer.older.state_dict().items())
        assert all(torch.equal(warmup[k], v) for k, v in trainer.judge.state_dict().items())
    assert not torch.equal(states[0]["embedding"], states[3]["embedding"])
    assert torch.equal(states[0]["embedding"], warmup["embedding"])


def test_with_floors_of_one_it_is_mle_bit_for_bit(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    """u = c = 1 and a return of the token alone: every weight is 1."""
    options = {"lr": 0.01, "clip": 0.5, "dropout": 0.3, "batch": 4}
    floors = {"importance_floor": 1.0, "reward_floor": 1.0, "suffix": 0}
    mine = make_trainer(GOLD, make_context(V, T), **floors, **PLAIN, **options)
    assert_same_training(mine, make_trainer(MLE, make_context(V, T), **options))


def test_on_the_tiny_task_the_weights_differ_from_their_floors_and_so_does_training(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    task = SyntheticTiny(SyntheticTinyConfig())
    sequences = task.train(0, 0)

    def context() -> Context:
        return make_context(task.vocab_size, task.length, sequences=sequences)

    teacher = make_trainer(MLE, context(), lr=0.03, clip=0)
    for i in range(60):
        teacher.step(Position("mle", 0, i))
    warmup = teacher.generator.state_dict()

    def warm() -> Context:
        return make_context(task.vocab_size, task.length, sequences=sequences, warmup=warmup)

    mine = make_trainer(GOLD, warm(), lr=0.01, **PLAIN)
    log = mine.step(FIRST)
    assert float(log["importance_at_floor"]) < 0.95
    assert float(log["reward_at_floor"]) < 0.9
    other = make_trainer(MLE, warm(), lr=0.01, clip=0)
    other.step(Position("mle", 0, 0))
    assert parts_from(mine, other) > 1e-3


def test_three_models_read_a_batch(make_context: Contexts, make_trainer: Trainers) -> None:
    trainer = make_trainer(GOLD, make_context(V, T), batch=8)
    ledger = spent(trainer, FIRST)
    assert ledger["tokens_scored"] == 3 * 8 * T
    assert ledger["generator_updates"] == 1


GOLDEN = [1.5370991, 1.5401354, 1.5234262, 1.708739, 1.7345326]


def test_golden_losses(
    make_context: Contexts,
    make_trainer: Trainers,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    trainer = make_trainer(GOLD, make_context(V, T), batch=4, lr=0.01, renewal=20)
    steps = itertools.islice(positions(trainer), 60)
    losses = [float(trainer.step(at)["weighted_nll"]) for at in steps]
    assert [losses[i] for i in (0, 1, 2, 58, 59)] == pytest.approx(GOLDEN, rel=1e-4)


def test_it_resumes_exactly(
    make_context: Contexts, assert_resumes_exactly: Callable[..., None]
) -> None:
    assert_resumes_exactly(GOLD, make_context, 5, batch=4, renewal=3, dropout=0.3)
