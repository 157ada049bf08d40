"""The ledger says what a method costs: tokens read and drawn, updates of either side.

Figures by hand for each trainer and phase, at B = 8 sequences of T = 3, that is at 24 tokens a
batch; and along whole schedules of every row a count from outside (`ledgers.Watch`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from ledgers import Watch, spent
from textbench.algorithms.goal_generator import GoalFactoredGenerator
from torch import Tensor

from textbench.backbone.generator import Tempered
from textbench.backbone.ledger import counting
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.rollout import rollouts
from textbench.backbone.scoring import mean_entropy, token_nll
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.plan import registry

V, T, B = 4, 3, 8
TOKENS = B * T

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]

SMALL: dict[str, Any] = {
    **{"epochs": 2, "batch": B, "rounds": 2, "g_steps": 1, "m_embedding": 3, "m_hidden": 3},
    **{"d_pretrain": 1, "d_pretrain_epochs": 1, "d_steps": 1, "d_epochs": 1, "d_batch": B},
    **{"d_samples": 8, "d_embedding": 3, "d_filters": ((1, 2), (2, 2)), "d_hidden": 3},
    **{"d_logits": 3, "rollouts": 2, "block": 2, "goal_size": 2, "hidden": 3},
    **{"pretrain_rounds": 1, "pretrain_d_steps": 1, "pretrain_g_epochs": 1, "clip": 0.0},
    **{"rounds_per_epoch": 1, "d_dense": 2},
}
"""Two minibatches of 8 are a load: 8 real sequences, 8 fakes."""


def small(name: str, **changes: Any) -> dict[str, Any]:
    known = registry.load_trainer(name).config_schema.model_fields
    return {key: value for key, value in (SMALL | changes).items() if key in known}


FIRST = ("", 0, 0)
G_TURN, D_TURN, D_AGAIN = ("adversarial", 0, 0), ("adversarial", 0, 1), ("adversarial", 0, 2)
COMPLETED = 2 * (T - 1) * TOKENS
"""Tokens of all completions of a batch, two roll-outs of each prefix: read from their start."""
DRAWN = 2 * B * (2 + 1)
"""Those of them that are drawn: two after the first symbol, one after the second."""

CASES: list[tuple[str, dict[str, Any], tuple[str, int, int], tuple[int, int, int, int]]] = [
    # trainer, changes, step; generator and critic updates, tokens sampled, tokens scored
    ("mle", {}, FIRST, (1, 0, 0, TOKENS)),
    ("mle", {"dropout": 0.5}, FIRST, (1, 0, 0, TOKENS)),
    ("scheduled_sampling", {"epochs": 9}, ("", 0, 0), (1, 0, 0, TOKENS)),
    ("scheduled_sampling", {"epochs": 9, "least": 0.0}, ("", 8, 0), (1, 0, B * (T - 1), TOKENS)),
    ("policy_gradient", {}, FIRST, (1, 0, TOKENS, TOKENS)),
    # The likelihood, the states of x and of s, D on both; then the states of s again, and D.
    ("professor_forcing", {"g_above": 1.0}, FIRST, (1, 1, TOKENS, 5 * TOKENS)),
    ("professor_forcing", {"g_above": 0.0}, FIRST, (2, 1, TOKENS, 7 * TOKENS)),
    ("professor_forcing", {"d_below": 0.0}, FIRST, (1, 0, TOKENS, 5 * TOKENS)),
    # Weights are found in the one pass that finds the likelihood.
    ("mixce", {}, FIRST, (1, 0, 0, TOKENS)),
    ("tailr", {}, FIRST, (1, 0, 0, TOKENS)),
    ("emo", {}, FIRST, (1, 0, 0, TOKENS)),
    # The policy, the older one, and maximum likelihood.
    ("gold", {}, FIRST, (1, 0, 0, 3 * TOKENS)),
    # G on its own sample, D on it and on real sequences.
    ("relgan", {}, G_TURN, (1, 0, TOKENS, 3 * TOKENS)),
    ("relgan", {}, D_TURN, (0, 1, TOKENS, 3 * TOKENS)),
    # G and M on s; M on the mixture of 16, once more where the balanced NLL is logged.
    ("cot", {}, ("cot", 0, 1), (1, 1, 2 * TOKENS, (2 + 2) * TOKENS)),
    ("cot", {}, ("cot", 0, 0), (1, 1, 2 * TOKENS, (2 + 2 + 2) * TOKENS)),
    ("cot", {"m_batch": "half"}, ("cot", 0, 1), (1, 1, 2 * TOKENS, (2 + 1) * TOKENS)),
    ("cot", {"m_target": "data"}, ("cot", 0, 1), (1, 1, TOKENS, (2 + 1) * TOKENS)),
    ("cot", {"m_floor": -9.0}, ("cot", 0, 0), (1, 1, 2 * TOKENS, (2 + 1 + 2 + 2) * TOKENS)),
    ("cot", {"gradient": "full"}, ("cot", 0, 1), (1, 1, 2 * TOKENS, (3 + 2) * TOKENS)),
    ("cot", {"g_steps": 2, "m_steps": 3}, ("cot", 0, 1), (2, 3, 5 * TOKENS, (4 + 6) * TOKENS)),
    ("cot", {"generator": "goal_factored"}, ("cot", 0, 1), (1, 1, 2 * TOKENS, 4 * TOKENS)),
    # D on every completion and on the samples themselves, G on these.
    ("seqgan", {}, G_TURN, (1, 0, TOKENS + DRAWN, COMPLETED + 2 * TOKENS)),
    ("seqgan", {"rollout_lag": 0.5}, G_TURN, (1, 0, TOKENS + DRAWN, COMPLETED + 2 * TOKENS)),
    ("seqgan", {}, ("discriminator", 0, 0), (0, 1, TOKENS, TOKENS)),
    ("seqgan", {}, D_TURN, (0, 1, TOKENS, TOKENS)),
    ("seqgan", {}, D_AGAIN, (0, 1, 0, TOKENS)),
    ("maligan", {}, G_TURN, (1, 0, TOKENS, 2 * TOKENS)),
    ("maligan", {"passes": 3}, G_TURN, (1, 0, TOKENS, (3 + 1) * TOKENS)),
    ("maligan", {}, D_TURN, (0, 1, TOKENS, TOKENS)),
    # As SeqGAN, and 16 references.
    ("rankgan", {}, G_TURN, (1, 0, TOKENS + DRAWN, COMPLETED + 2 * TOKENS + 16 * T)),
    ("rankgan", {"references": 5}, D_TURN, (0, 1, TOKENS, TOKENS + 5 * T)),
    ("rankgan", {}, ("discriminator", 0, 0), (0, 1, TOKENS, TOKENS + 16 * T)),
    # D's features of all prefixes, and the Worker.
    ("leakgan", {}, ("pretraining", 0, 0), (1, 0, 0, 2 * TOKENS)),
    # The same on samples; D on two completions of the first block, one symbol each, and on them.
    ("leakgan", {}, G_TURN, (1, 0, TOKENS + 2 * B, (2 + 2 + 1) * TOKENS)),
    ("leakgan", {}, ("discriminator", 0, 0), (0, 1, TOKENS, TOKENS)),
    ("leakgan", {}, D_AGAIN, (0, 1, 0, TOKENS)),
]


@pytest.mark.parametrize(("name", "changes", "step", "expected"), CASES)
def test_what_a_step_costs(
    name: str,
    changes: dict[str, Any],
    step: tuple[str, int, int],
    expected: tuple[int, int, int, int],
    make_context: Contexts,
    make_trainer: Trainers,
) -> None:
    kind = registry.load_trainer(name)
    trainer = make_trainer(kind, make_context(V, T), **small(name, **changes))
    phase, epoch, index = step
    if index == 2:  # a load must have been made
        trainer.step(Position(phase, epoch, 1))
    found = spent(trainer, Position(phase or trainer.phases()[0].name, epoch, index))
    assert tuple(found.values()) == expected
    assert list(found) == ["generator_updates", "critic_updates", "tokens_sampled", "tokens_scored"]


def test_every_trainer_and_each_of_its_phases_is_among_the_figures(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    for name in registry.names("trainer"):
        kind = registry.load_trainer(name)
        trainer = make_trainer(kind, make_context(V, T), **small(name))
        phases = {phase.name for phase in trainer.phases() if phase.trains_generator}
        if name.startswith("real"):
            assert not phases
            continue
        tried = {step[0] or trainer.phases()[0].name for one, _, step, _ in CASES if one == name}
        assert phases <= tried, name


def rows() -> list[str]:
    """Return every trainer and variant that learns."""
    found = []
    for name in registry.names("trainer"):
        if not name.startswith("real"):
            found += [name, *(f"{name}:{variant}" for variant in registry.variants(name))]
    return found


@pytest.mark.parametrize("row", rows())
def test_a_whole_schedule_costs_what_a_watcher_sees(
    row: str,
    make_context: Contexts,
    make_trainer: Trainers,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, _, variant = row.partition(":")
    options = dict(registry.variants(name)[variant][1]) if variant else {}
    kind = registry.load_trainer(name)
    context = make_context(5, 4, size=16)
    trainer = make_trainer(kind, context, **{**options, **small(name)})
    watch = Watch(monkeypatch)
    watch.optimisers(trainer)
    steps = list(positions(trainer))
    assert 2 <= len(steps) < 30
    for at in steps:
        watch.take()
        assert spent(trainer, at) == watch.take(), at


def test_evaluating_costs_nothing_and_training_data_neither(make_context: Contexts) -> None:
    context = make_context(V, T)
    generator = context.initial_generator()
    generator.sample(5, stream(0, "evaluation"))
    ledger = {"tokens_sampled": 0, "tokens_scored": 0}
    context.data._draw = lambda number: generator.sample(7, stream(0, "oracle"))
    with counting(ledger):
        assert context.data.sequences(3).shape == (7, T)
    generator.log_probs(context.data.sequences(3))
    assert ledger == {"tokens_sampled": 0, "tokens_scored": 0}
    with counting(ledger):
        generator.sample(5, stream(0, "training"))
        with counting(None):
            generator.sample(5, stream(0, "training"))
        generator.log_probs(torch.zeros(2, T, dtype=torch.int64))
        rollouts(generator, torch.zeros(2, T, dtype=torch.int64), 4, stream(0, "training"))
    assert ledger == {"tokens_sampled": 5 * T + 4 * 2 * (2 + 1), "tokens_scored": 2 * T}


class OwnLaw(LSTMLanguageModel):
    """Has no linear output: its law is not its parent's."""

    def log_probs(self, tokens: Tensor) -> Tensor:
        return super().log_probs(tokens)


@pytest.mark.parametrize("kind", [LSTMLanguageModel, GoalFactoredGenerator, OwnLaw])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_scoring_reads_every_token_once(kind: type[Any], alpha: float) -> None:
    model = kind(V, T, 3, 5)
    model.initialise(stream(0, "initialise"))
    scored = model if alpha == 1.0 else Tempered(model, alpha)
    tokens = model.sample(6, stream(0, "draw"))
    assert (model.linear_output(tokens) is None) == (kind is OwnLaw)
    for score in (token_nll, mean_entropy):
        ledger = {"tokens_sampled": 0, "tokens_scored": 0}
        with counting(ledger):
            score(scored, tokens)
        assert ledger == {"tokens_sampled": 0, "tokens_scored": 6 * T}


@pytest.mark.parametrize("kind", [LSTMLanguageModel, GoalFactoredGenerator])
def test_counting_leaves_nothing_in_a_model(kind: type[Any]) -> None:
    plain, counted = (kind(V, T, 3, 5) for _ in range(2))
    for model in (plain, counted):
        model.initialise(stream(0, "initialise"))
    ledger = {"tokens_sampled": 0, "tokens_scored": 0}
    with counting(ledger):
        drawn = counted.sample(6, stream(0, "draw"))
        copied = copy.deepcopy(counted)
        assert torch.equal(copied.sample(6, stream(0, "draw")), drawn)
        assert torch.equal(copied.log_probs(drawn), counted.log_probs(drawn))
    assert ledger == {"tokens_sampled": 12 * T, "tokens_scored": 12 * T}
    assert torch.equal(plain.sample(6, stream(0, "draw")), drawn)
    assert vars(plain).keys() == vars(counted).keys()
    assert plain.state_dict().keys() == counted.state_dict().keys()
