"""What the policy-gradient trainers share: schedule, loads, the generator's update, resuming."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from textbench.algorithms.adversarial import AdversarialTrainer, PolicyTrainer
from textbench.algorithms.discriminator import FAKE, REAL
from textbench.algorithms.maligan import MaliGAN
from textbench.algorithms.policy_gradient import PolicyGradient
from textbench.algorithms.rankgan import RankGAN
from textbench.algorithms.seqgan import SeqGAN
from torch import Tensor, nn

from textbench.contracts.trainer import Context, Position, Trainer
from textbench.run.meter import Meter

MakeContext = Callable[..., Context]
MakeTrainer = Callable[..., Any]

ADVERSARIAL = [SeqGAN, RankGAN, MaliGAN]
ALL = [*ADVERSARIAL, PolicyGradient]
G_TURN = Position("adversarial", 0, 0)
SMALL: dict[str, Any] = {
    "rounds": 2,
    "g_steps": 2,
    "batch": 6,
    "d_pretrain": 2,
    "d_pretrain_epochs": 2,
    "d_steps": 2,
    "d_epochs": 3,
    "d_batch": 4,
    "d_scale": 0.02,
    "d_embedding": 3,
}
"""Eight real sequences and eight fakes are four minibatches of a load."""


def small(kind: type[Trainer[Any]], **changes: Any) -> dict[str, Any]:
    known = kind.config_schema.model_fields
    return {key: value for key, value in (SMALL | changes).items() if key in known}


# -- the schedule ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_the_schedule_is_the_papers(
    kind: type[AdversarialTrainer[Any]],
    make_context: MakeContext,
    make_trainer: MakeTrainer,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    trainer = make_trainer(kind, make_context(), **small(kind))
    pretraining, rounds = trainer.phases()
    assert (pretraining.name, pretraining.epochs, pretraining.steps) == ("discriminator", 2, 2 * 4)
    assert not pretraining.trains_generator
    assert (rounds.name, rounds.epochs, rounds.steps) == ("adversarial", 2, 2 + 2 * 3 * 4)
    assert rounds.trains_generator
    turns = []
    for at in positions(trainer):
        meter = Meter(trainer)
        with meter:
            log = trainer.step(at)
        g, d = (meter.ledger[side] for side in ("generator_updates", "critic_updates"))
        assert g + d == 1
        assert ("g_loss" in log) == bool(g)
        assert ("d_accuracy" in log) == bool(d)
        turns.append("g" if g else "d")
    assert "".join(turns) == "d" * 16 + ("gg" + "d" * 24) * 2
    assert trainer.loads == 2 + 2 * 2


def test_the_defaults_are_the_official_schedule(make_context: MakeContext) -> None:
    context = make_context(sequences=torch.zeros(9984, 20, dtype=torch.int64), length=20)
    pretraining, rounds = SeqGAN(SeqGAN.config_schema(), context).phases()
    assert pretraining.epochs * pretraining.steps == 46_800
    assert (rounds.epochs, rounds.steps) == (200, 1 + 4_680)
    config = SeqGAN.config_schema()
    assert (config.batch, config.g_lr, config.clip, config.rollouts) == (64, 0.01, 5.0, 16)
    assert (config.d_lr, config.d_dropout, config.d_l2, config.rollout_lag) == (1e-4, 0.25, 0.2, 0)
    ranker = RankGAN.config_schema()
    assert (ranker.batch, ranker.references, ranker.relevance, ranker.gamma) == (32, 16, "sum", 1)
    assert (ranker.d_pretrain_epochs, ranker.d_epochs) == (3, 1)


def test_without_pretraining_there_is_no_such_phase(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(SeqGAN, make_context(), **small(SeqGAN, d_pretrain=0))
    assert [phase.name for phase in trainer.phases()] == ["adversarial"]


@pytest.mark.parametrize("kind", ALL)
def test_the_warm_up_is_an_ordinary_mle_run(
    kind: type[PolicyTrainer[Any]], make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    config = kind.config_schema(warmup_epochs=7)
    assert kind.warmup(config) == ("mle", {"epochs": 7, "lr": 0.01})
    warm = make_context(seed=5).initial_generator().state_dict()
    trainer = make_trainer(kind, make_context(warmup=warm), **small(kind))
    assert all(torch.equal(warm[k], v) for k, v in trainer.generator.state_dict().items())


# -- loads -------------------------------------------------------------------------------------


def only_threes(make_context: MakeContext) -> Context:
    """Return a world whose real sequences are all 3s."""
    return make_context(sequences=torch.full((8, 3), 3))


def never_threes(trainer: Any) -> None:
    with torch.no_grad():
        trainer.generator.head_bias[3] = -1e4


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_real_sequences_are_labelled_real_and_fakes_fake(
    kind: type[AdversarialTrainer[Any]], make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(kind, only_threes(make_context), **small(kind))
    never_threes(trainer)
    trainer.step(Position("discriminator", 0, 0))
    is_real = (trainer.sequences == 3).all(1)
    assert torch.equal(trainer.labels, torch.where(is_real, REAL, FAKE))
    assert is_real.sum() == 8
    assert (REAL, FAKE) == (1, 0)
    assert not torch.equal(trainer.labels, trainer.labels.sort().values), "not shuffled"


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_training_makes_real_sequences_score_higher(
    kind: type[AdversarialTrainer[Any]], make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(kind, only_threes(make_context), **small(kind, d_lr=0.1, d_dropout=0))
    never_threes(trainer)
    for index in range(16):
        log = trainer.step(Position("discriminator", index // 8, index % 8))
    assert log["d_accuracy"] == 1.0
    real, fake = torch.full((1, 3), 3), torch.tensor([[0, 1, 2]])
    if kind is RankGAN:
        features = trainer.ranker.features
        judge = lambda x: trainer.relevance(features(x), features(real))  # noqa: E731
    else:
        judge = trainer.discriminator.real_probability
    assert judge(real) > judge(fake)


@pytest.mark.parametrize("kind", [SeqGAN, MaliGAN])
@pytest.mark.parametrize("options", [{"d_l2": 0.7, "d_dropout": 0.0}, {"d_l2": 0.0}, {}])
def test_dropout_and_penalty_reach_the_discriminators_loss(
    kind: type[AdversarialTrainer[Any]],
    options: dict[str, float],
    make_context: MakeContext,
    make_trainer: MakeTrainer,
) -> None:
    """Cross-entropy under dropout from the training stream + d_l2 · ½(‖W‖² + ‖b‖²), by hand."""
    trainer = make_trainer(kind, make_context(), **small(kind, **({"d_dropout": 0.4} | options)))
    config, d, rng = trainer.config, trainer.discriminator, trainer.context.rng
    x, labels = torch.tensor([[0, 1, 2], [3, 3, 0], [1, 1, 2]]), torch.tensor([REAL, FAKE, FAKE])
    before = rng.get_state()
    loss, _ = trainer.discriminator_loss(x, labels)
    after = rng.get_state()
    assert torch.equal(before, after) == (config.d_dropout == 0)
    rng.set_state(before)
    features = d.features(x, config.d_dropout, rng)
    logits = features @ d.output.weight.t() + d.output.bias
    entropy = -logits.log_softmax(1)[torch.arange(3), labels].mean()
    norms = d.output.weight.square().sum() + d.output.bias.square().sum()
    assert norms > 0.01
    torch.testing.assert_close(loss, entropy + config.d_l2 * 0.5 * norms)


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_each_side_has_its_own_rate_and_the_usual_adam(
    kind: type[AdversarialTrainer[Any]], make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(kind, make_context(), **small(kind, g_lr=0.03, d_lr=0.007))
    for optimiser, lr in ((trainer.g_optimiser, 0.03), (trainer.d_optimiser, 0.007)):
        (group,) = optimiser.param_groups
        assert (group["lr"], group["betas"], group["weight_decay"]) == (lr, (0.9, 0.999), 0)
        assert not optimiser.state, "Adam's state is fresh"
    critic = trainer.ranker if kind is RankGAN else trainer.discriminator
    trained = {id(p) for p in trainer.d_optimiser.param_groups[0]["params"]}
    assert trained == {id(p) for p in critic.parameters()}


def test_a_checkpoint_of_an_optimiser_goes_on_as_this_device_needs(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    """Only a GPU can record an update, and Adam has to be told so; a CPU's refuses it."""
    trainer = make_trainer(SeqGAN, make_context(), **small(SeqGAN))
    state = trainer.state_dict()
    state["d_optimiser"]["param_groups"][0]["capturable"] = True
    trainer.load_state_dict(state)
    assert trainer.d_optimiser.param_groups[0]["capturable"] is False
    trainer.step(Position("discriminator", 0, 0))


def test_a_load_is_fresh_and_read_in_one_order(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(SeqGAN, make_context(), **small(SeqGAN))
    seen: list[list[Tensor]] = []
    original = trainer.discriminator_loss

    def recording(sequences: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        seen[-1].append(sequences)
        return original(sequences, labels)

    trainer.discriminator_loss = recording
    for index in range(2 * 3 * 4):
        if index % 4 == 0:
            seen.append([])
        trainer.step(Position("adversarial", 0, 2 + index))
    passes = [torch.cat(batches) for batches in seen]
    assert [len(p) for p in passes] == [16] * 6
    assert torch.equal(passes[0], passes[1])
    assert torch.equal(passes[1], passes[2])
    assert torch.equal(passes[3], passes[5])
    assert not torch.equal(passes[2], passes[3])


@pytest.mark.parametrize(("before", "within"), [(3, 1), (1, 3)])
def test_a_load_is_read_as_often_as_its_phase_says(
    before: int,
    within: int,
    make_context: MakeContext,
    make_trainer: MakeTrainer,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    """Before the first round `d_pretrain_epochs` times, then `d_epochs` times: 4 updates a pass."""
    changes = {"d_pretrain_epochs": before, "d_epochs": within}
    trainer = make_trainer(SeqGAN, make_context(), **small(SeqGAN, **changes))
    loads = []
    for at in positions(trainer):
        trainer.step(at)
        loads.append(trainer.loads)
    expected = [load for load in (1, 2) for _ in range(4 * before)]
    for load in (3, 5):  # a round is two g-steps, then two loads
        expected += [load - 1] * 2 + [load] * 4 * within + [load + 1] * 4 * within
    assert loads == expected


def test_a_reduced_load_draws_its_real_sequences_anew(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    data = torch.arange(4).repeat_interleave(3).view(4, 3)  # 000, 111, 222, 333
    context = make_context(sequences=data.repeat(25, 1))
    trainer = make_trainer(SeqGAN, context, **small(SeqGAN, d_samples=10, d_batch=4))
    assert trainer.phases()[0].steps == 2 * 5
    drawn = []
    for load in range(2):
        trainer.step(Position("discriminator", load, 0))
        real = trainer.sequences[trainer.labels == REAL]
        assert real.shape == (10, 3)
        assert (real == real[:, :1]).all()
        assert len(trainer.sequences) == 20
        drawn.append(real[:, 0].sort().values)
    assert not torch.equal(drawn[0], drawn[1])


def test_a_load_of_more_than_there_is_has_all_and_as_many_fakes(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    context = make_context(size=8)
    trainer = make_trainer(SeqGAN, context, **small(SeqGAN, d_samples=100, d_batch=4))
    assert trainer.phases()[0].steps == 2 * 4
    trainer.step(Position("discriminator", 0, 0))
    real = trainer.sequences[trainer.labels == REAL]
    assert sorted(real.tolist()) == sorted(context.data.sequences().tolist())
    assert (trainer.labels == FAKE).sum() == 8


def test_fresh_data_reach_the_discriminator(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    context = make_context()
    context.data._draw = lambda number: torch.full((8, 3), number)
    trainer = make_trainer(SeqGAN, context, **small(SeqGAN))
    for load in range(3):
        trainer.step(Position("discriminator", load, 0))
        assert (trainer.sequences[trainer.labels == REAL] == load).all()


# -- the generator's update --------------------------------------------------------------------


def test_the_loss_is_a_sum_over_batch_and_time(
    make_context: MakeContext, make_trainer: MakeTrainer, gradients: Callable[[nn.Module], Any]
) -> None:
    """−Σ_b Σ_t r_bt log G(x_bt | x_b,<t), written out with autograd and no sharing of code."""
    trainer = make_trainer(PolicyGradient, make_context(), clip=0)
    x = torch.tensor([[0, 1, 2], [3, 3, 0]])
    rewards = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])
    log_probs = trainer.generator.log_probs(x)
    expected = sum(-rewards[b, t] * log_probs[b, t, x[b, t]] for b in range(2) for t in range(3))
    expected.backward()
    by_hand = gradients(trainer.generator)
    log = trainer.reinforce(x, rewards)
    assert log["g_loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert log["reward"].item() == pytest.approx(rewards.mean().item())
    for name, gradient in gradients(trainer.generator).items():
        torch.testing.assert_close(gradient, by_hand[name], msg=name)


def test_the_gradient_is_clipped_at_five(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(PolicyGradient, make_context())
    x = trainer.sample(64)

    def norm() -> float:
        return float(torch.cat([p.grad.flatten() for p in trainer.generator.parameters()]).norm())

    trainer.reinforce(x, torch.full(x.shape, 1e-3))
    assert norm() < 1
    trainer.reinforce(x, torch.full(x.shape, 1e3))
    assert norm() == pytest.approx(5.0, rel=1e-4)


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_a_generator_step_leaves_the_critic_alone_and_vice_versa(
    kind: type[AdversarialTrainer[Any]], make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(kind, make_context(), **small(kind))
    critic = trainer.ranker if kind is RankGAN else trainer.discriminator
    before = [p.clone() for p in critic.parameters()]
    trainer.step(G_TURN)
    assert all(p.grad is None for p in critic.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, critic.parameters(), strict=True))
    frozen = [p.clone() for p in trainer.generator.parameters()]
    trainer.generator.zero_grad()
    trainer.step(Position("adversarial", 0, 2))
    assert all(p.grad is None for p in trainer.generator.parameters())
    assert all(
        torch.equal(a, b) for a, b in zip(frozen, trainer.generator.parameters(), strict=True)
    )
    assert not torch.equal(before[0], critic.embedding)


@pytest.mark.parametrize("kind", ALL)
def test_every_parameter_of_the_generator_learns(
    kind: type[PolicyTrainer[Any]], make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(kind, make_context(), **small(kind))
    trainer.step(G_TURN)
    for name, parameter in trainer.generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


# -- resuming ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (SeqGAN, {}),
        (SeqGAN, {"rollout_lag": 0.8, "d_samples": 8}),
        (RankGAN, {}),
        (MaliGAN, {"passes": 2, "weight_dropout": 0.25}),
        (PolicyGradient, {"noise": True, "rounds": 20}),
    ],
)
@pytest.mark.parametrize("steps", [3, 13, 18])
def test_resuming_inside_a_load_or_a_round_is_exact(
    kind: type[Trainer[Any]],
    changes: dict[str, Any],
    steps: int,
    make_context: MakeContext,
    assert_resumes_exactly: Callable[..., None],
) -> None:
    assert_resumes_exactly(kind, make_context, steps, **small(kind, **changes))
