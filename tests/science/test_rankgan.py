"""RankGAN: rank scores against a formula in plain Python, its loss, its rewards."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import chisquare, kstest
from textbench.algorithms import discriminator
from textbench.algorithms.rankgan import RankGAN
from textbench.algorithms.seqgan import SeqGAN
from torch import Tensor, nn

from textbench.contracts.trainer import Context

V, T = 4, 3
MakeContext = Callable[..., Context]
MakeTrainer = Callable[..., Any]
FAKES = torch.tensor([[0, 1, 2], [3, 3, 0], [1, 1, 2], [2, 0, 0]])
REFERENCES = torch.tensor([[0, 1, 3], [2, 2, 2], [3, 0, 1]])
MIXED = torch.tensor([[0, 1, 3], [1, 2, 0], [2, 2, 2], [3, 3, 3], [0, 0, 1]])
LABELS = torch.tensor([1, 0, 1, 0, 0])


@pytest.fixture
def world(make_context: MakeContext, make_trainer: MakeTrainer) -> Callable[..., Any]:
    """Return RankGAN on V=4, T=3 with a ranker whose cosines differ much."""

    def make(**config: Any) -> Any:
        settings = {"d_scale": 0.03, "d_embedding": 4, "clip": 0.0, "references": 3} | config
        trainer = make_trainer(RankGAN, make_context(V, T), **settings)
        rng = torch.Generator().manual_seed(1)
        trainer.generator.initialise(rng, std=0.8)
        with torch.no_grad():
            for kernel in trainer.ranker.kernels:
                kernel.normal_(0.0, 1.0, generator=rng)
            trainer.ranker.embedding.normal_(0.0, 1.0, generator=rng)
            trainer.ranker.kernel_bias.fill_(-0.5)
        trainer._references = lambda: REFERENCES
        return trainer

    return make


def plain_relevance(trainer: Any, s: Tensor, gamma: float, mean: bool = False) -> list[float]:
    """Return γ Σ_u cos(y_s, y_u) from the undropped features, without tensor algebra."""
    with torch.no_grad():
        y_s = trainer.ranker.features(s).tolist()
        y_u = trainer.ranker.features(REFERENCES).tolist()
    total = [math.fsum(_cosine(a, b) for b in y_u) for a in y_s]
    return [gamma * (x / len(y_u) if mean else x) for x in total]


def _cosine(a: list[float], b: list[float]) -> float:
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))


def plain_softmax(scores: list[float]) -> list[float]:
    weights = [math.exp(score) for score in scores]
    return [w / math.fsum(weights) for w in weights]


# -- the ranker --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "gamma", "mean"),
    [({}, 1.0, False), ({"relevance": "mean"}, 1.0, True), ({"gamma": 2.5}, 2.5, False)],
)
def test_the_relevance_is_the_sum_of_cosines(
    world: Callable[..., Any], options: dict[str, Any], gamma: float, mean: bool
) -> None:
    trainer = world(**options)
    features = trainer.ranker.features
    scores = trainer.relevance(features(MIXED), features(REFERENCES))
    assert scores.std() > 0.02
    assert scores.tolist() == pytest.approx(plain_relevance(trainer, MIXED, gamma, mean), abs=1e-5)


def test_the_loss_ranks_real_above_fake(world: Callable[..., Any]) -> None:
    trainer = world(d_dropout=0.0)
    loss, accuracy = trainer.discriminator_loss(MIXED, LABELS)
    scores = plain_relevance(trainer, MIXED, 1.0)
    log_rank = [math.log(share) for share in plain_softmax(scores)]
    real = [r for r, label in zip(log_rank, LABELS.tolist(), strict=True) if label == 1]
    fake = [r for r, label in zip(log_rank, LABELS.tolist(), strict=True) if label == 0]
    expected = -(math.fsum(real) / 2 - math.fsum(fake) / 3)
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    right = sum(r > f for r in real for f in fake)
    assert 0 < right < 6
    assert accuracy.item() == pytest.approx(right / 6)


def test_the_loss_has_the_gradient_of_differences(
    world: Callable[..., Any], gradients: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    """The softmax's normaliser cancels: the loss is mean fake score minus mean real score."""
    trainer = world(d_dropout=0.0)
    trainer.discriminator_loss(MIXED, LABELS)[0].backward()
    actual = gradients(trainer.ranker)
    trainer.ranker.zero_grad()
    y, u = trainer.ranker.features(MIXED), trainer.ranker.features(REFERENCES)
    cosines = torch.cosine_similarity(y.unsqueeze(1), u.unsqueeze(0), dim=2).sum(1)
    (cosines[LABELS == 0].mean() - cosines[LABELS == 1].mean()).backward()
    for name, gradient in gradients(trainer.ranker).items():
        assert gradient.abs().max() > 1e-6, name
        torch.testing.assert_close(actual[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_a_minibatch_of_one_kind_leaves_the_other_term_out(world: Callable[..., Any]) -> None:
    trainer = world(d_dropout=0.0)
    loss, accuracy = trainer.discriminator_loss(MIXED, torch.zeros_like(LABELS))
    shares = plain_softmax(plain_relevance(trainer, MIXED, 1.0))
    assert loss.item() == pytest.approx(sum(map(math.log, shares)) / 5, abs=1e-5)
    assert accuracy.item() == 0.0


def test_dropout_is_on_in_training(world: Callable[..., Any]) -> None:
    trainer = world(d_dropout=0.5)
    first, second = (trainer.discriminator_loss(MIXED, LABELS)[0].item() for _ in range(2))
    assert first != second


def test_ranked_sequences_and_references_are_dropped_alike(world: Callable[..., Any]) -> None:
    """In the authors' code both pass through one network with one keep rate."""
    trainer = world(d_dropout=0.3)
    features, seen = trainer.ranker.features, []

    def recorded(x: Tensor, dropout: float = 0.0, rng: torch.Generator | None = None) -> Tensor:
        seen.append((x, dropout, rng))
        return features(x, dropout, rng)

    trainer.ranker.features = recorded
    trainer.discriminator_loss(MIXED, LABELS)
    assert [x.shape for x, *_ in seen] == [MIXED.shape, REFERENCES.shape]
    assert [how for _, *how in seen] == [[0.3, trainer.context.rng]] * 2


def test_golden_loss(make_context: MakeContext, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(RankGAN, make_context(V, T), d_scale=0.02, d_embedding=3, d_dropout=0.0)
    with torch.no_grad():
        for parameter in trainer.ranker.parameters():
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_(0.5 * torch.sin(1.0 + steps).view(parameter.shape))
        trainer.ranker.kernel_bias.fill_(0.1)
    trainer._references = lambda: REFERENCES
    loss, _ = trainer.discriminator_loss(MIXED, LABELS)
    assert loss.item() == pytest.approx(GOLDEN_LOSS, abs=1e-5)


GOLDEN_LOSS = 0.065912


# -- rewards -----------------------------------------------------------------------------------


def test_rewards_are_shares_of_the_batch_at_every_step(world: Callable[..., Any]) -> None:
    """With a generator that can only write 2s every roll-out is known, and so every share."""
    trainer = world(rollouts=3, d_dropout=0.9)
    with torch.no_grad():
        trainer.generator.head_bias[2] = 1e4
    rewards = trainer.rank_rewards(FAKES)
    assert rewards.shape == (4, T)
    for t in range(T):
        completed = FAKES.clone()
        completed[:, t + 1 :] = 2
        expected = plain_softmax(plain_relevance(trainer, completed, 1.0))
        assert rewards[:, t].tolist() == pytest.approx(expected, abs=1e-5)
    assert rewards.sum(0).tolist() == pytest.approx([1.0] * T, abs=1e-5)
    assert (rewards[:, 0] - rewards[:, 2]).abs().max() > 0.01


def test_shares_are_averaged_over_the_roll_outs_not_ranked_together(
    world: Callable[..., Any],
    all_sequences: Callable[[int, int], Tensor],
    sequence_probs: Callable[..., Tensor],
) -> None:
    """Unbiased for E[softmax over the batch], the expectation taken by enumeration."""
    n = 4000
    gamma = 40.0  # sharp: the mean of the shares is far from the share of the means
    trainer = world(rollouts=n, gamma=gamma)
    pair = FAKES[:2]
    every, probs = all_sequences(V, T), sequence_probs(trainer.generator).detach()
    relevance = torch.tensor(plain_relevance(trainer, every, gamma))
    rewards = trainer.rank_rewards(pair)
    for t in (1, 2):
        first, second = ((every[:, :t] == x[:t]).all(1) for x in pair)
        joint = torch.outer(probs[first] / probs[first].sum(), probs[second] / probs[second].sum())
        margin = relevance[first].unsqueeze(1) - relevance[second].unsqueeze(0)
        share = torch.sigmoid(margin)
        expected = (joint * share).sum()
        assert abs(torch.sigmoid((joint * margin).sum()) - expected) > 0.05
        error = ((joint * share.square()).sum() - expected.square()).div(n).sqrt()
        assert abs(rewards[0, t - 1] - expected) < 4.5 * error
        assert error < 0.01


def test_all_that_compete_are_compared_with_the_same_references(
    world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """U is drawn and read once per reward, however many pieces are scored one after the other."""
    trainer = world(rollouts=3)
    drawn, read = [], []
    features = trainer.ranker.features
    monkeypatch.setattr(
        trainer.ranker, "features", lambda x, *rest: (read.append(x), features(x, *rest))[1]
    )
    monkeypatch.setattr(discriminator, "SCORE_CHUNK", 2)
    pieces = []
    relevance = trainer.relevance
    monkeypatch.setattr(
        trainer, "relevance", lambda y_s, y_u: (pieces.append(len(y_s)), relevance(y_s, y_u))[1]
    )
    monkeypatch.setattr(
        trainer, "_references", lambda: (drawn.append(1), REFERENCES.roll(len(drawn)))[1]
    )
    trainer.rank_rewards(FAKES)
    assert len(drawn) == 1
    assert [x.shape for x in read] == [(3, T)]
    assert pieces == [2] * (2 * 3 * 4 // 2 + 2)
    trainer.discriminator_loss(MIXED, LABELS)
    assert len(drawn) == 2


# -- references and initialisation -------------------------------------------------------------


def test_references_are_real_sequences_drawn_anew(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    data = torch.arange(4).repeat_interleave(3).view(4, 3).repeat(4, 1)
    trainer = make_trainer(
        RankGAN, make_context(sequences=data), d_scale=0.02, d_embedding=3, references=8
    )
    first, second = trainer._references(), trainer._references()
    assert first.shape == (8, 3)
    assert (first == first[:, :1]).all()
    assert not torch.equal(first, second)
    many = torch.cat([trainer._references()[:, 0] for _ in range(100)])
    assert chisquare(many.bincount(minlength=4).numpy()).pvalue > 1e-3


def test_the_ranker_starts_as_in_the_authors_code(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    """Embedding and convolutions U(-0.1, 0.1), of a stream of their own; the highway as before."""
    sizes = {"d_scale": 0.1, "d_embedding": 32}
    ranker, seqgan, other = (
        make_trainer(RankGAN, make_context(seed=seed), d_init=how, **sizes).ranker
        for how, seed in (("uniform", 0), ("seqgan", 0), ("uniform", 1))
    )
    uniform = {name for name, _ in ranker.named_parameters() if "ker" in name or "emb" in name}
    assert uniform == {"embedding", "kernel_bias", *(f"kernels.{i}" for i in range(3))}
    parts = {name: ranker.get_parameter(name).detach().flatten() for name in uniform}
    every = torch.cat(list(parts.values())) / 0.2 + 0.5
    assert kstest(every.numpy(), "uniform").pvalue > 1e-3
    assert len(every.unique()) > 0.99 * len(every)
    for name, parameter in ranker.named_parameters():
        as_seqgan = torch.equal(parameter, seqgan.get_parameter(name))
        assert as_seqgan == (name not in uniform), name
        assert not torch.equal(parameter, other.get_parameter(name)), name
    drawn = ranker.embedding.detach().flatten() - 0.1 * seqgan.embedding.detach().flatten()
    assert drawn.abs().mean() > 0.05  # the same uniform numbers would leave nothing


def test_the_ranker_may_start_as_seqgans_cnn_bit_by_bit(
    make_context: MakeContext, make_trainer: MakeTrainer
) -> None:
    sizes = {"d_scale": 0.1, "d_embedding": 32}
    ranker = make_trainer(RankGAN, make_context(), d_init="seqgan", **sizes).ranker
    cnn = make_trainer(SeqGAN, make_context(), **sizes).discriminator
    assert (ranker.kernel_bias == 0.1).all()
    for name, parameter in ranker.named_parameters():
        assert torch.equal(parameter, cnn.get_parameter(name)), name
