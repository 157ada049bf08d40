"""Roll-outs keep their prefixes and follow the generator's exact conditional law."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from textbench.backbone import rollout
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.rollout import rollouts
from textbench.contracts.streams import stream

V, T, B = 3, 4, 3
PREFIXES = torch.tensor([[0, 1, 2, 0], [2, 2, 1, 1], [1, 0, 0, 2]])


@pytest.fixture
def model() -> LSTMLanguageModel:
    model = LSTMLanguageModel(V, T, 3, 5)
    model.initialise(stream(0, "tests", "rollout"), std=1.0)
    return model


def test_prefixes_are_kept_and_completions_are_symbols(model: LSTMLanguageModel) -> None:
    completed = rollouts(model, PREFIXES, 50, stream(1))
    assert completed.shape == (T - 1, 50, B, T)
    assert completed.min() == 0
    assert completed.max() == V - 1
    for kept in range(1, T):
        same = completed[kept - 1] == PREFIXES
        assert same[..., :kept].all()
        assert not same[..., kept].all()


@pytest.mark.parametrize("chunk", [rollout.CPU_CHUNK, 7])
def test_completions_follow_the_exact_conditional_law(
    model: LSTMLanguageModel,
    all_sequences: Callable[[int, int], Tensor],
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollout, "CPU_CHUNK", chunk)
    n = 4000
    completed = rollouts(model, PREFIXES, n, stream(2))
    every = all_sequences(V, T)
    chosen = model.log_probs(every).detach().gather(2, every.unsqueeze(2)).squeeze(2)
    for kept in range(1, T):
        for b in range(B):
            matches = (every[:, :kept] == PREFIXES[b, :kept]).all(1)
            law = chosen[matches, kept:].sum(1).exp()
            assert law.sum() == pytest.approx(1.0, abs=1e-5)
            counts = _counts(completed[kept - 1, :, b], every[matches])
            statistic = ((counts - n * law).square() / (n * law)).sum().item()
            assert chi2.sf(statistic, len(law) - 1) > 1e-4, (kept, b)


def _counts(drawn: Tensor, cells: Tensor) -> Tensor:
    return (drawn.unsqueeze(1) == cells.unsqueeze(0)).all(2).sum(0).float()


def test_roll_outs_of_one_prefix_are_independent(model: LSTMLanguageModel) -> None:
    """Two roll-outs that share their first distribution must not share their draw."""
    pairs = rollouts(model, PREFIXES[:1].expand(4000, T).contiguous(), 2, stream(3))[0, :, :, 1]
    joint = torch.zeros(V, V).index_put_(
        (pairs[0], pairs[1]), torch.ones(pairs.shape[1]), accumulate=True
    )
    expected = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True) / joint.sum()
    statistic = ((joint - expected).square() / expected).sum().item()
    assert chi2.sf(statistic, (V - 1) ** 2) > 1e-4


def test_the_stream_alone_decides(model: LSTMLanguageModel) -> None:
    torch.manual_seed(0)
    first = rollouts(model, PREFIXES, 8, stream(4))
    torch.manual_seed(1)
    assert torch.equal(first, rollouts(model, PREFIXES, 8, stream(4)))
    assert not torch.equal(first, rollouts(model, PREFIXES, 8, stream(5)))


def test_chunks_do_not_change_the_draws(
    model: LSTMLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rollouts(model, PREFIXES, 20, stream(6))
    monkeypatch.setattr(rollout, "CPU_CHUNK", 11)
    assert torch.equal(whole, rollouts(model, PREFIXES, 20, stream(6)))


def test_no_gradient_and_the_sequences_are_untouched(model: LSTMLanguageModel) -> None:
    tokens = PREFIXES.clone()
    rollouts(model, tokens, 2, stream(7))
    assert torch.equal(tokens, PREFIXES)
    assert all(p.grad is None for p in model.parameters())


def test_a_sequence_of_one_symbol_has_nothing_to_complete() -> None:
    model = LSTMLanguageModel(V, 1, 3, 5)
    model.initialise(stream(0))
    assert rollouts(model, PREFIXES[:, :1], 4, stream(8)).shape == (0, 4, B, 1)
