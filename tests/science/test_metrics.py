"""Every built-in metric against its definition, written out over all sequences.

The "samples" here are the law itself (see `tabular`), so each metric must give the exact
expectation, to rounding; on LSTMs the same is done by weighting each sequence's own scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tabular import DENOMINATOR, Tabular, TabularTask, enumerate_sequences
from textbench.metrics.jsd import JSD
from textbench.metrics.nll import NLL, Excess
from torch import Tensor

from textbench.backbone import scoring
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.scoring import PairScores, mean_nll, score_pair
from textbench.contracts.errors import DivergedError
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.streams import stream
from textbench.plan import registry
from textbench.run.measure import measure

V, T = 3, 3
N = DENOMINATOR**T
ALL: list[type[Metric]] = [NLL, Excess, JSD]
seeds = st.integers(0, 10_000)


def evaluate(P: Tabular, G: Tabular, *, hidden: bool = False, samples: int = N) -> Evaluation:
    task = TabularTask(P, hidden=hidden)
    return Evaluation(G, task, seed=0, moment="epoch 0", samples=samples)


def exact(P: Tabular, G: Tabular) -> dict[str, float]:
    """The definitions, as sums over all sequences and symbols."""
    s, train = enumerate_sequences(P.vocab_size, P.length), P.law()[: len(P.law()) // 2]
    p, g = P.probs(s), G.probs(s)
    m = 0.5 * (p + g)
    p_t, g_t = P.log_probs(s).exp(), G.log_probs(s).exp()
    m_t = 0.5 * (p_t + g_t)
    stepwise = 0.5 * (p @ (p_t * (p_t / m_t).log()).sum((1, 2)))
    stepwise += 0.5 * (g @ (g_t * (g_t / m_t).log()).sum((1, 2)))
    values = {
        "nll_oracle": -(g @ p.log()) / P.length,
        "nll_test": -(p @ g.log()) / P.length,
        "nll_train": -G.probs(train).log().mean() / P.length,
        "nll_validation": -G.probs(P.law()[::2]).log().mean() / P.length,
        "generator_entropy": -(g @ g.log()) / P.length,
        "kl_forward": (p @ (p / g).log()) / P.length,
        "kl_reverse": (g @ (g / p).log()) / P.length,
        "jsd_stepwise": stepwise,
        "jsd_sequence": 0.5 * (p @ (p / m).log() + g @ (g / m).log()),
    }
    return {name: float(value) for name, value in values.items()}


def values_of(evaluation: Evaluation) -> dict[str, float | None]:
    found = measure([metric() for metric in ALL], evaluation)
    return {name: one["value"] for name, one in found.items()}


# -- values ----------------------------------------------------------------------------------


@given(p=seeds, g=seeds)
def test_every_metric_is_its_definition(p: int, g: int) -> None:
    P, G = Tabular(V, T, p), Tabular(V, T, g)
    assert values_of(evaluate(P, G)) == pytest.approx(exact(P, G), abs=1e-9)


def test_the_two_models_are_not_confused() -> None:
    """The cases above would be worthless if swapping P and G gave the same numbers."""
    P, G = Tabular(V, T, 0), Tabular(V, T, 1)
    one, other = exact(P, G), exact(G, P)
    for name in ("nll_oracle", "generator_entropy", "kl_forward", "kl_reverse"):
        assert abs(one[name] - other[name]) > 1e-3


@pytest.mark.parametrize("length", [1, 2, 4])
def test_what_is_per_token_and_what_per_sequence(length: int) -> None:
    """At P = G = uniform, NLL and entropy are ln V per token whatever T."""
    uniform = Tabular(DENOMINATOR, length, 0)  # as many symbols as shares leave no choice
    found = values_of(evaluate(uniform, uniform, samples=DENOMINATOR**length))
    for name in ("nll_oracle", "nll_test", "nll_train", "nll_validation", "generator_entropy"):
        assert found[name] == pytest.approx(math.log(DENOMINATOR))


def test_jsd_stepwise_is_summed_over_positions() -> None:
    """Independent positions: T times the JSD of one."""
    P, G = Tabular(2, 1, 5), Tabular(2, 1, 6)
    once = exact(P, G)
    assert once["jsd_stepwise"] > 0.01
    twice = values_of(evaluate(repeated(P), repeated(G), samples=DENOMINATOR**2))
    assert twice["jsd_stepwise"] == pytest.approx(2 * once["jsd_stepwise"])
    assert twice["kl_forward"] == pytest.approx(once["kl_forward"])


def repeated(first: Tabular) -> Tabular:
    """A model of two positions that repeats the one position of ``first``, independently."""
    model = Tabular(first.vocab_size, 2, 0)
    model.table0.copy_(first.table0)
    model.table1.copy_(first.table0.expand_as(model.table1))
    return model


@given(p=seeds, g=seeds, length=st.integers(1, 4))
def test_divergences_keep_within_their_bounds(p: int, g: int, length: int) -> None:
    P, G = Tabular(V, length, p), Tabular(V, length, g)
    found = values_of(evaluate(P, G, samples=DENOMINATOR**length))
    assert -1e-9 <= found["jsd_sequence"] <= math.log(2)
    assert -1e-9 <= found["jsd_stepwise"] <= length * math.log(2)
    assert found["kl_forward"] >= -1e-9
    assert found["kl_reverse"] >= -1e-9


@given(p=seeds)
def test_divergences_of_equals_are_zero(p: int) -> None:
    P = Tabular(V, T, p)
    found = values_of(evaluate(P, Tabular(V, T, p)))
    for name in ("kl_forward", "kl_reverse", "jsd_stepwise", "jsd_sequence"):
        assert found[name] == pytest.approx(0.0, abs=1e-12)
    assert found["nll_oracle"] == pytest.approx(found["generator_entropy"])


def test_both_jsds_saturate_where_nothing_is_shared() -> None:
    """Almost disjoint supports: ln 2 for sequences, ln 2 per position for what CoT plots."""
    P, G = near_deterministic(0), near_deterministic(1)
    found = values_of(evaluate(P, G))
    assert found["jsd_sequence"] == pytest.approx(math.log(2), rel=1e-3)
    assert found["jsd_stepwise"] == pytest.approx(T * math.log(2), rel=1e-3)


def near_deterministic(symbol: int) -> Tabular:
    model = Tabular(V, T, 0)
    for t in range(T):
        table = model.get_buffer(f"table{t}")
        table.fill_(1e-6)[:, symbol] = 1 - 2e-6
    model.law = lambda: torch.full((N, T), symbol)  # type: ignore[method-assign]
    return model


@given(p=seeds, g=seeds)
def test_jsd_stepwise_has_the_authors_expectation(p: int, g: int) -> None:
    """CoT's ``jsd_calculate``: ln of the realised token's p/m and g/m, summed over time."""
    P, G = Tabular(V, T, p), Tabular(V, T, g)

    def realised(sequences: Tensor) -> tuple[Tensor, Tensor]:
        chosen = sequences.unsqueeze(2)
        pair = (model.log_probs(sequences).gather(2, chosen).squeeze(2).exp() for model in (P, G))
        p_t, g_t = pair
        return p_t / (0.5 * (p_t + g_t)), g_t / (0.5 * (p_t + g_t))

    real_side = realised(P.law())[0].log().sum(1).mean()
    fake_side = realised(G.law())[1].log().sum(1).mean()
    authors = float(0.5 * (real_side + fake_side))
    assert JSD().compute(evaluate(P, G))["jsd_stepwise"] == pytest.approx(authors, abs=1e-9)


# -- the same on LSTMs, whose scores are float32 -----------------------------------------------


def lstm(name: str, std: float = 1.0) -> LSTMLanguageModel:
    model = LSTMLanguageModel(V, T, 4, 5)
    model.initialise(stream(0, "tests", name), std=std)
    return model


@pytest.mark.parametrize("std", [0.1, 1.0, 3.0])
def test_pair_scores_of_lstms(
    all_sequences: Callable[[int, int], Tensor],
    sequence_probs: Callable[[torch.nn.Module], Tensor],
    std: float,
) -> None:
    A, B = lstm("one", std), lstm("other", std)
    every = all_sequences(V, T)
    with torch.no_grad():
        a, b = sequence_probs(A).double(), sequence_probs(B).double()
        a_t, b_t = A.log_probs(every).double().exp(), B.log_probs(every).double().exp()
    alone = [score_pair(A, B, s.unsqueeze(0)) for s in every]
    assert torch.cat([x.log_a for x in alone]).exp() == approx(a)
    assert torch.cat([x.log_b for x in alone]).exp() == approx(b)
    assert weighted(a, [x.entropy for x in alone]) == pytest.approx(
        -float(a @ a.log()) / T, abs=1e-5
    )
    assert weighted(a, [x.kl for x in alone]) == pytest.approx(
        float(a @ (a / b).log()) / T, abs=1e-5
    )
    mixture = (a_t * (a_t / (0.5 * (a_t + b_t))).log()).sum((1, 2))
    assert weighted(a, [x.kl_mixture for x in alone]) == pytest.approx(float(a @ mixture), abs=1e-5)


def test_scores_of_many_are_the_means_of_each(all_sequences: Callable[[int, int], Tensor]) -> None:
    A, B = lstm("one"), lstm("other")
    every = all_sequences(V, T)
    together, alone = score_pair(A, B, every), [score_pair(A, B, s.unsqueeze(0)) for s in every]
    for name in ("entropy", "kl", "kl_mixture"):
        mean = sum(getattr(x, name) for x in alone) / len(alone)
        assert getattr(together, name) == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize("elements", [1, V * T * 5, 10**9])
def test_the_size_of_a_block_changes_no_value(
    monkeypatch: pytest.MonkeyPatch, elements: int
) -> None:
    A, B = lstm("one"), lstm("other")
    sample = A.sample(37, stream(0, "tests"))
    reference: PairScores = score_pair(A, B, sample)
    nll = mean_nll(A, sample)
    monkeypatch.setattr(scoring, "CPU_ELEMENTS", elements)
    monkeypatch.setattr(scoring, "CPU_POSITIONS", elements // V)
    found = score_pair(A, B, sample)
    assert torch.allclose(found.log_a, reference.log_a, atol=1e-6)
    assert torch.allclose(found.log_b, reference.log_b, atol=1e-6)
    for name in ("entropy", "kl", "kl_mixture"):
        assert getattr(found, name) == pytest.approx(getattr(reference, name), abs=1e-6)
    assert mean_nll(A, sample) == pytest.approx(nll, abs=1e-6)
    assert nll == pytest.approx(-float(reference.log_a.mean()) / T, abs=1e-6)


def approx(expected: Tensor) -> object:
    return pytest.approx(expected.numpy(), abs=1e-6)


def weighted(weights: Tensor, values: list[float]) -> float:
    return float(weights @ torch.tensor(values, dtype=torch.float64))


# -- where a metric does not apply ---------------------------------------------------------------


def test_without_an_oracle_there_is_a_reason_and_no_number() -> None:
    P, G = Tabular(V, T, 0), Tabular(V, T, 1)
    found = measure([metric() for metric in ALL], evaluate(P, G, hidden=True))
    expected = exact(P, G)
    for name in ("nll_test", "nll_train", "nll_validation", "generator_entropy"):
        assert found[name]["value"] == pytest.approx(expected[name])
        assert found[name]["protocol"] and "reason" not in found[name]
    for name in ("nll_oracle", "kl_forward", "kl_reverse", "jsd_stepwise", "jsd_sequence"):
        assert found[name]["value"] is None
        assert found[name]["reason"] == "task tabular has no oracle"
        assert not found[name]["protocol"]
    assert list(found) == sorted(found)
    with pytest.raises(NotApplicableError):
        JSD().compute(evaluate(P, G, hidden=True))


def test_a_value_that_is_not_finite_is_a_divergence() -> None:
    P, G = Tabular(V, T, 0), Tabular(V, T, 1)
    G.table0.fill_(math.nan)
    G.law = P.law  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match=r"nll_[a-z]+ is nan"):
        measure([NLL()], evaluate(P, G))


# -- protocols -------------------------------------------------------------------------------------


def test_protocols_name_the_definition_and_every_sample_size() -> None:
    P, G = Tabular(V, T, 0), Tabular(V, T, 1)
    evaluation = Evaluation(G, TabularTask(P), seed=0, moment="epoch 0", samples=50)
    found: dict[str, str] = {}
    for metric in ALL:
        protocols = metric().protocol(evaluation)
        assert isinstance(protocols, dict)
        found |= protocols
    assert found == {
        "nll_oracle": "nll_oracle/1 n=50",
        "nll_test": "nll_test/1 n=50",
        "nll_train": "nll_train/1 n=50",
        "nll_validation": f"nll_validation/1 n={N // 2 + N % 2}",
        "generator_entropy": "generator_entropy/1 full-vocabulary n=50",
        "kl_forward": "kl_forward/1 full-vocabulary n=50",
        "kl_reverse": "kl_reverse/1 full-vocabulary n=50",
        "jsd_stepwise": "jsd_stepwise/1 full-vocabulary n=50+50",
        "jsd_sequence": "jsd_sequence/1 n=50+50",
    }


def test_held_out_sizes_are_what_there_is_not_what_was_asked_for() -> None:
    P, G = Tabular(V, T, 0), Tabular(V, T, 1)
    evaluation = Evaluation(G, TabularTask(P), seed=0, moment="epoch 0", samples=1000)
    assert NLL().protocol(evaluation)["nll_test"] == f"nll_test/1 n={N}"
    assert NLL().protocol(evaluation)["nll_train"] == f"nll_train/1 n={N // 2}"
    assert JSD().protocol(evaluation)["jsd_stepwise"].endswith(f"n=1000+{N}")


def test_they_are_registered_under_their_names() -> None:
    for metric in ALL:
        assert registry.load_metric(metric.name) is metric
        for number in metric.described():
            assert registry.metric_of(number.name) == metric.name
            assert number.summary and number.direction in ("lower", "higher", "none")
