"""`professor_forcing`: both sides of the game against plain definitions, and its gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from textbench.algorithms.mle import MLE
from textbench.algorithms.professor_forcing import ProfessorForcing
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.run.meter import Meter

V, T = 4, 3
TINY = {"batch": 8, "clip": 0.0, "d_hidden": 5, "d_logits": 3}
FIRST = Position("professor_forcing", 0, 0)

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]
Gradients = Callable[[nn.Module], dict[str, Tensor]]


def apart(trainer: Trainer[Any]) -> Trainer[Any]:
    """Move both sides to float64 and away from zero, so that no term is small by accident."""
    for i, module in enumerate((trainer.generator, trainer.discriminator)):
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0.0, 0.7, generator=stream(i, "tests", "apart"))
    return trainer


def reference_logits(trainer: Trainer[Any], tokens: Tensor) -> Tensor:
    """D on [h_t, projection of all V logits], written out; the output layer is a constant."""
    G, D = trainer.generator, trainer.discriminator
    h = G.hidden(tokens)
    logits = h @ G.head_weight.detach().T + G.head_bias.detach()
    read, _ = D.gru(torch.cat([h, D.projection(logits)], 2))
    x = read.sum(1) / tokens.shape[1]
    for layer in D.dense:
        x = F.relu(layer(x))
    return D.output(x).squeeze(1)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}


# -- the discriminator -------------------------------------------------------------------------


def test_the_discriminator_reads_states_and_projected_logits_both_ways_in_time(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    trainer = apart(make_trainer(ProfessorForcing, make_context(V, T), **TINY))
    tokens = trainer.context.data.sequences()
    found = trainer._judge(trainer.generator.hidden(tokens))
    torch.testing.assert_close(found, reference_logits(trainer, tokens).clamp(-10, 10))
    assert trainer.discriminator.gru.bidirectional
    assert len(trainer.discriminator.dense) == 3
    with torch.no_grad():
        trainer.discriminator.output.bias.add_(1000.0)
    assert trainer._judge(trainer.generator.hidden(tokens)).tolist() == [10.0] * 8


def test_the_discriminator_starts_from_its_own_stream(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = state(make_trainer(ProfessorForcing, make_context(V, T), **TINY).discriminator)
    assert torch.equal(torch.get_rng_state(), before)
    other = make_trainer(ProfessorForcing, make_context(V, T), **TINY).discriminator
    assert not changed(other, one)
    third = make_trainer(ProfessorForcing, make_context(V, T, seed=1), **TINY).discriminator
    assert changed(third, one) == {name for name, value in one.items() if value.any()}
    assert {name for name, value in one.items() if not value.any()} == {
        f"{layer}.bias" for layer in ("projection", "dense.0", "dense.1", "dense.2", "output")
    }


def test_the_discriminators_gradient_tells_teacher_forced_from_free(
    make_context: Contexts, make_trainer: Trainers, gradients: Gradients
) -> None:
    trainer = apart(make_trainer(ProfessorForcing, make_context(V, T), **TINY))
    x, s = trainer.context.data.sequences(), trainer.generator.sample(8, stream(0, "free"))
    teacher, free = reference_logits(trainer, x), reference_logits(trainer, s)
    expected = -(teacher.sigmoid().log().mean() + (1 - free.sigmoid()).log().mean())
    expected.backward()
    exact = gradients(trainer.discriminator)
    trainer.generator.zero_grad()
    before = state(trainer.generator)
    with torch.no_grad():
        states = trainer.generator.hidden(x), trainer.generator.hidden(s)
    trainer.accuracy = 0.9
    logged = trainer._discriminate(*states)
    assert float(logged["d_loss"]) == pytest.approx(expected.item(), rel=1e-12)
    accuracy = ((teacher > 0).sum() + (free < 0).sum()).item() / 16
    assert 0 < accuracy < 1
    assert float(logged["d_accuracy"]) == pytest.approx(accuracy)
    assert trainer.accuracy == pytest.approx(0.99 * 0.9 + 0.01 * accuracy)
    for name, gradient in gradients(trainer.discriminator).items():
        torch.testing.assert_close(gradient, exact[name], atol=1e-12, rtol=1e-10)
    assert not changed(trainer.generator, before)
    assert all(p.grad is None for p in trainer.generator.parameters())


# -- the generator against it ------------------------------------------------------------------


def test_following_has_the_enumerated_expected_gradient_and_spares_the_output_layer(
    make_context: Contexts,
    make_trainer: Trainers,
    gradients: Gradients,
    all_sequences: Callable[[int, int], Tensor],
    sequence_probs: Callable[[Generator], Tensor],
) -> None:
    """Σ_s G(s) ∇(−log D(behaviour of s)), with G(s) and s constants."""
    trainer = apart(make_trainer(ProfessorForcing, make_context(V, T), **TINY))
    G, D = trainer.generator, trainer.discriminator
    law = sequence_probs(G).detach()
    loss = -(law * reference_logits(trainer, all_sequences(V, T)).sigmoid().log()).sum()
    loss.backward()
    exact = gradients(G)
    G.zero_grad()
    D.zero_grad()
    before, untouched = state(G), state(D)
    trainer._follow(G.sample(60_000, stream(0, "free")))
    found = gradients(G)
    recurrent = {"embedding", "weight_ih", "weight_hh", "bias"}
    for name in recurrent:
        assert (found[name] - exact[name]).norm() < 0.05 * exact[name].norm(), name
    assert G.head_weight.grad is None
    assert G.head_bias.grad is None
    assert changed(G, before) == recurrent
    assert not changed(D, untouched)
    assert all(not p.grad.any() for p in D.parameters() if p.grad is not None)


def test_free_running_states_are_those_of_fresh_samples_after_the_likelihood_update(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(ProfessorForcing, make_context(V, T), g_above=0.0, **TINY)
    events: list[tuple[str, Tensor]] = []
    G = trainer.generator
    score, sample, follow = G.weighted_nll, G.sample, trainer._follow
    monkeypatch.setattr(G, "weighted_nll", lambda x: (events.append(("nll", x)), score(x))[1])

    def recorded(n: int, rng: torch.Generator) -> Tensor:
        events.append(("sample", G.head_bias.detach().clone()))
        return sample(n, rng)

    monkeypatch.setattr(G, "sample", recorded)
    monkeypatch.setattr(trainer, "_follow", lambda s: (events.append(("follow", s)), follow(s)))
    before = G.head_bias.detach().clone()
    trainer.step(FIRST)
    assert [kind for kind, _ in events] == ["nll", "sample", "follow"]
    assert torch.equal(events[0][1], trainer.context.data.sequences())
    assert not torch.equal(events[1][1], before)
    assert events[2][1].shape == (8, T)
    assert not torch.equal(events[2][1], events[0][1])


def test_fewer_true_sequences_than_a_batch_meet_as_many_free_ones(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(ProfessorForcing, make_context(V, T, size=5), **TINY)
    judged: list[tuple[int, int]] = []
    discriminate = trainer._discriminate
    monkeypatch.setattr(
        trainer,
        "_discriminate",
        lambda x, s: (judged.append((len(x), len(s))), discriminate(x, s))[1],
    )
    trainer.step(FIRST)
    assert judged == [(5, 5)]


def test_while_the_gate_is_shut_the_generator_is_that_of_mle_bit_by_bit(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    ours = make_trainer(ProfessorForcing, make_context(V, T), g_above=1.0, batch=4)
    mle = make_trainer(MLE, make_context(V, T), batch=4)
    for index in range(5):
        ours.step(Position("professor_forcing", 0, index))
        mle.step(Position("mle", 0, index))
    for one, other in zip(ours.generator.parameters(), mle.generator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_both_gradients_of_the_generator_are_clipped_and_each_has_its_rate(
    make_context: Contexts, make_trainer: Trainers, gradients: Gradients
) -> None:
    config = TINY | {"lr": 0.03, "g_lr": 0.007, "d_lr": 0.002}
    trainer = apart(make_trainer(ProfessorForcing, make_context(V, T), **(config | {"clip": 1e-3})))
    free = apart(make_trainer(ProfessorForcing, make_context(V, T), **config))
    x = trainer.context.data.sequences()
    norms = []
    for one in (trainer, free):
        for update in (one._maximise_likelihood, one._follow):
            one.generator.zero_grad()
            update(x)
            parts = gradients(one.generator).values()
            norms.append(torch.stack([g.norm() for g in parts]).norm().item())
    assert norms[:2] == pytest.approx([1e-3, 1e-3], rel=1e-2)
    assert min(norms[2:]) > 0.002
    sides = (trainer.optimiser, trainer.g_optimiser, trainer.d_optimiser)
    assert [side.param_groups[0]["lr"] for side in sides] == [0.03, 0.007, 0.002]


# -- gates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accuracy", "follows", "trains"),
    [(0.5, False, True), (0.7, False, True), (0.8, True, True), (1.0, True, False)],
)
def test_the_gates_go_by_the_average_accuracy(
    accuracy: float, follows: bool, trains: bool, make_context: Contexts, make_trainer: Trainers
) -> None:
    context = make_context(V, T)
    trainer = make_trainer(ProfessorForcing, context, **TINY)
    trainer.accuracy = accuracy
    with torch.no_grad():  # D takes everything for teacher-forced: accuracy one half
        trainer.discriminator.output.bias.add_(9.0)
    if accuracy == 1.0:
        trainer.accuracy = 1.005  # stays above 0.99 after one more half
    before, generator = state(trainer.discriminator), state(trainer.generator)
    meter = Meter(trainer)
    with meter:
        logged = trainer.step(FIRST)
    assert float(logged["d_accuracy"]) == 0.5
    assert bool(logged["g_follows"]) == follows
    assert bool(changed(trainer.discriminator, before)) == trains
    assert changed(trainer.generator, generator)
    updates = [meter.ledger[side] for side in ("generator_updates", "critic_updates")]
    assert updates == [1 + follows, int(trains)]


def test_the_average_starts_at_chance_and_a_gate_of_one_never_stops_the_discriminator(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    trainer = make_trainer(ProfessorForcing, make_context(V, T), d_below=1.0, **TINY)
    logged = trainer.step(FIRST)
    expected = 0.99 * 0.5 + 0.01 * float(logged["d_accuracy"])
    assert logged["d_average_accuracy"] == pytest.approx(expected, rel=1e-12)
    trainer.accuracy = 1.0
    tell_apart = torch.tensor([9.0, -9.0]).repeat_interleave(4)
    trainer._judge = lambda states: tell_apart + 0.0 * trainer.discriminator.output.bias
    before = trainer.d_optimiser.state[trainer.discriminator.output.bias]["step"].clone()
    states = torch.zeros(4, T, 5)
    trainer._discriminate(states, states)
    assert trainer.accuracy == 1.0
    assert trainer.d_optimiser.state[trainer.discriminator.output.bias]["step"] == before + 1


def test_the_discriminators_own_gradient_is_not_clipped(
    make_context: Contexts, make_trainer: Trainers, gradients: Gradients
) -> None:
    trainer = apart(make_trainer(ProfessorForcing, make_context(V, T), **(TINY | {"clip": 1e-3})))
    trainer.step(FIRST)
    parts = gradients(trainer.discriminator).values()
    assert torch.stack([g.norm() for g in parts]).norm() > 0.01


def test_a_generator_that_is_far_off_is_found_out_and_made_to_follow(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    context = make_context(V, 8, sequences=torch.tensor([[1, 2, 3, 0] * 2] * 8))
    config = {"lr": 1e-6, "g_lr": 1e-6, "d_lr": 0.003, "batch": 8, "d_hidden": 16}
    trainer = make_trainer(ProfessorForcing, context, **config)
    with torch.no_grad():
        for parameter in trainer.generator.parameters():
            parameter.normal_(0.0, 1.0, generator=stream(0, "tests", "far"))
    rows = [trainer.step(Position("professor_forcing", 0, i)) for i in range(150)]
    assert sum(float(row["d_accuracy"]) for row in rows[-20:]) / 20 > 0.9
    assert rows[0]["g_follows"] == 0.0
    assert rows[-1]["g_follows"] == 1.0


# -- goldens and resume ------------------------------------------------------------------------


def test_golden_losses(
    make_context: Contexts,
    make_trainer: Trainers,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    config = TINY | {"epochs": 120, "g_above": 0.0, "lr": 0.05, "g_lr": 0.05, "d_lr": 0.003}
    trainer = make_trainer(ProfessorForcing, make_context(V, T), **config)
    rows = [trainer.step(at) for at in positions(trainer)]
    found = [float(rows[i][key]) for i in (0, 59, 119) for key in ("nll", "d_loss")]
    assert found == pytest.approx(GOLDEN, rel=5e-3)


GOLDEN = [1.4164075, 1.3877082, 1.0086368, 1.3764811, 0.8578753, 1.3119593]


def test_it_resumes_exactly(
    make_context: Contexts, assert_resumes_exactly: Callable[..., None]
) -> None:
    assert_resumes_exactly(
        ProfessorForcing, make_context, 5, **(TINY | {"epochs": 10, "g_above": 0.0})
    )
