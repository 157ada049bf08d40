"""`cot`: both updates against enumeration, the order of Algorithm 1, and its variants."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from textbench.algorithms.cot import CoT, CoTConfig
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import validate
from textbench.contracts.errors import UserError
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.plan.resolve import Request, expand
from textbench.run.conditions import Conditions
from textbench.run.worker import execute
from textbench.store.directory import RunDirectory

V, T = 4, 3
FIRST = Position("cot", 0, 0)
TINY = {"m_embedding": 3, "m_hidden": 6, "batch": 8, "clip": 0.0}

Contexts = Callable[..., Context]
Trainers = Callable[..., Trainer[Any]]
Gradients = Callable[[nn.Module], dict[str, Tensor]]
Sequences = Callable[[int, int], Tensor]


def apart(trainer: Trainer[Any]) -> Trainer[Any]:
    """Move G and M to float64 and away from uniform, so that no term is small by accident."""
    for i, module in enumerate((trainer.generator, trainer.mediator)):
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0.0, 1.0, generator=stream(i, "tests", "apart"))
    return trainer


class Recorder:
    """Notes what the trainer samples and what it gives to its mediator, in order."""

    def __init__(self, trainer: Trainer[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, Tensor, dict[str, Any]]] = []
        self.generators: list[Tensor] = []
        G, M = trainer.generator, trainer.mediator
        sample, score = G.sample, M.weighted_nll

        def recorded_sample(n: int, rng: torch.Generator) -> Tensor:
            drawn = sample(n, rng)
            self.events.append(("sample", drawn, {}))
            self.generators.append(G.head_bias.detach().clone())
            return drawn

        def recorded_score(s: Tensor, **options: Any) -> Tensor:
            grad = torch.is_grad_enabled()
            self.events.append(("update" if grad else "measure", s, options))
            return score(s, **options)

        monkeypatch.setattr(G, "sample", recorded_sample)
        monkeypatch.setattr(M, "weighted_nll", recorded_score)

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]

    def of(self, kind: str) -> list[Tensor]:
        return [s for what, s, _ in self.events if what == kind]


# -- the generator's update --------------------------------------------------------------------


def inside_objective(G: Generator, M: Generator, every: Tensor) -> Tensor:
    """Σ over prefixes, G(prefix) a constant, of Σ_v π_g(v) (log π_g(v) − log π_m(v))."""
    total = torch.zeros((), dtype=torch.float64)
    log_g, log_m = G.log_probs(every), M.log_probs(every).detach()
    for t in range(T):
        prefixes = range(0, len(every), V ** (T - t))  # the first sequence with each prefix
        for row in prefixes:
            chosen = log_g[row, torch.arange(t), every[row, :t]]
            weight = chosen.sum().exp().detach()
            pi = log_g[row, t].exp()
            total = total + weight * (pi * (log_g[row, t] - log_m[row, t])).sum()
    return total


def expected_gradient(
    trainer: Trainer[Any], every: Tensor, gradients: Gradients, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Tensor]:
    """Σ_s G(s) times the gradient that the trainer computes when it draws s alone."""
    G = trainer.generator
    with torch.no_grad():
        law = G.log_probs(every).gather(2, every.unsqueeze(2)).sum((1, 2)).exp()
    monkeypatch.setattr(trainer.g_optimiser, "step", lambda: None)
    total = {name: torch.zeros_like(p) for name, p in G.named_parameters()}
    for s, weight in zip(every, law, strict=True):
        monkeypatch.setattr(G, "sample", lambda n, rng, s=s: s.unsqueeze(0))
        trainer._update_generator(log=False)
        for name, gradient in gradients(G).items():
            total[name] += weight * gradient
    return total


@pytest.mark.parametrize(("scale", "divisor"), [("sequence", 1), ("token", T)])
def test_the_generators_expected_gradient_is_the_enumerated_one(
    scale: str,
    divisor: int,
    make_context: Contexts,
    make_trainer: Trainers,
    all_sequences: Sequences,
    gradients: Gradients,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = all_sequences(V, T)
    trainer = apart(make_trainer(CoT, make_context(V, T), g_scale=scale, **TINY))
    got = expected_gradient(trainer, every, gradients, monkeypatch)
    trainer.generator.zero_grad()
    (inside_objective(trainer.generator, trainer.mediator, every) / divisor).backward()
    for name, exact in gradients(trainer.generator).items():
        torch.testing.assert_close(got[name], exact, atol=1e-12, rtol=1e-10)
    assert all(p.grad is None for p in trainer.mediator.parameters())


@pytest.mark.parametrize("gradient", ["inside", "full"])
def test_per_token_all_of_the_generators_gradient_is_divided_by_the_length(
    gradient: str, make_context: Contexts, make_trainer: Trainers, gradients: Gradients
) -> None:
    found = []
    for scale in ("sequence", "token"):
        options = TINY | {"g_scale": scale, "gradient": gradient}
        trainer = apart(make_trainer(CoT, make_context(V, T), **options))
        trainer._update_generator(log=False)
        found.append(gradients(trainer.generator))
    for name, whole in found[0].items():
        torch.testing.assert_close(found[1][name], whole / T, atol=1e-12, rtol=1e-10)


def test_its_own_samples_give_that_expectation(
    make_context: Contexts,
    make_trainer: Trainers,
    all_sequences: Sequences,
    gradients: Gradients,
) -> None:
    trainer = apart(make_trainer(CoT, make_context(V, T), **(TINY | {"batch": 40_000})))
    G, M = trainer.generator, trainer.mediator
    expected = inside_objective(G, M, all_sequences(V, T))
    expected.backward()
    exact = torch.cat([g.flatten() for g in gradients(G).values()])
    kl = trainer._update_generator(log=False)["kl_to_mediator"]
    got = torch.cat([g.flatten() for g in gradients(G).values()])
    assert float(kl) == pytest.approx(expected.item() / T, rel=0.03)
    assert (got - exact).norm() / exact.norm() < 0.03


def test_one_generator_update_is_adam_on_the_clipped_gradient(
    make_context: Contexts, make_trainer: Trainers, gradients: Gradients
) -> None:
    config = TINY | {"clip": 0.01, "beta2": 0.95, "g_lr": 0.03}
    trainer = make_trainer(CoT, make_context(V, T), **config)
    before = {k: v.clone() for k, v in trainer.generator.state_dict().items()}
    trainer._update_generator(log=False)
    norm = torch.stack([g.norm() for g in gradients(trainer.generator).values()]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-3)
    moved = trainer.generator.head_bias - before["head_bias"]
    sign = -trainer.generator.head_bias.grad.sign()
    torch.testing.assert_close(moved, 0.03 * sign, rtol=1e-2, atol=1e-5)  # Adam's first step
    for optimiser, lr in ((trainer.g_optimiser, 0.03), (trainer.m_optimiser, 0.01)):
        assert optimiser.param_groups[0]["betas"] == (0.9, 0.95)
        assert optimiser.param_groups[0]["lr"] == lr


def test_one_mediator_update_is_adam_on_the_clipped_gradient(
    make_context: Contexts, make_trainer: Trainers, gradients: Gradients
) -> None:
    """By the norm of the mediator's own gradient; 0 does not clip."""
    config = TINY | {"beta2": 0.95, "m_lr": 0.03, "g_lr": 0.005, "m_dropout": 0.0}
    norms = {}
    for clip in (0.0, 0.01):
        trainer = make_trainer(CoT, make_context(V, T), **(config | {"clip": clip}))
        trainer._update_generator(log=False)  # leaves gradients that are none of its business
        s = trainer.context.data.sequences()
        before = trainer.mediator.head_bias.clone()
        trainer._update_mediator(s)
        found = gradients(trainer.mediator).values()
        norms[clip] = torch.stack([g.norm() for g in found]).norm().item()
        moved = trainer.mediator.head_bias - before
        sign = -trainer.mediator.head_bias.grad.sign()
        torch.testing.assert_close(moved, 0.03 * sign, rtol=1e-2, atol=1e-5)
    assert norms[0.0] > 0.02
    assert norms[0.01] == pytest.approx(0.01, rel=1e-3)
    (group,) = trainer.m_optimiser.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in trainer.mediator.parameters()}


# -- the mediator's update and the order of both -----------------------------------------------


def test_an_iteration_is_generator_first_then_mediator_on_fresh_fakes(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(V, T, size=16)
    trainer = make_trainer(CoT, context, **TINY)
    seen = Recorder(trainer, monkeypatch)
    trainer.step(FIRST)
    assert seen.kinds() == ["sample", "sample", "measure", "update"]
    assert not torch.equal(*seen.generators)  # the mediator's fakes come from the updated G
    for_generator, for_mediator = seen.of("sample")
    assert not torch.equal(for_generator, for_mediator)
    (mixed,) = seen.of("update")
    assert len(mixed) == 16
    assert torch.equal(mixed[:8], context.data.sequences()[:8])
    assert torch.equal(mixed[8:], for_mediator)
    trainer.step(Position("cot", 0, 1))
    assert seen.kinds()[4:] == ["sample", "sample", "update"]
    assert torch.equal(seen.of("update")[1][:8], context.data.sequences()[8:])


def test_dropout_is_on_in_the_mediators_own_update_only(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(CoT, make_context(V, T), **TINY)
    seen = Recorder(trainer, monkeypatch)
    trainer.step(FIRST)
    options = {kind: options for kind, _, options in seen.events}
    assert options["measure"] == {}
    assert options["update"] == {"dropout": 0.5, "rng": trainer.context.rng}
    before = trainer.context.rng.get_state()
    s = trainer.context.data.sequences()
    first, _ = trainer._kl_to_mediator(s)
    assert torch.equal(trainer._kl_to_mediator(s)[0], first)
    assert torch.equal(trainer.context.rng.get_state(), before)


def test_the_mediators_gradient_is_that_of_the_balanced_nll(
    make_context: Contexts,
    make_trainer: Trainers,
    all_sequences: Sequences,
    gradients: Gradients,
    sequence_probs: Callable[[Generator], Tensor],
) -> None:
    """Eq. 9 by enumeration: ½ (E_P + E_G) of −log M, per token."""
    config = TINY | {"m_dropout": 0.0, "batch": 40_000, "g_lr": 1e-12}
    data = all_sequences(V, T)[:40].repeat(1000, 1)
    trainer = apart(make_trainer(CoT, make_context(V, T, sequences=data), **config))
    P = torch.cat([torch.full((40,), 1 / 40), torch.zeros(24)]).double()
    G = sequence_probs(trainer.generator).detach()
    expected = -(0.5 * (P + G) * sequence_probs(trainer.mediator).log()).sum() / T
    expected.backward()
    exact = torch.cat([g.flatten() for g in gradients(trainer.mediator).values()])
    logged = trainer.step(FIRST)
    got = torch.cat([g.flatten() for g in gradients(trainer.mediator).values()])
    assert float(logged["balanced_nll"]) == pytest.approx(expected.item(), rel=0.01)
    assert (got - exact).norm() / exact.norm() < 0.03


def test_balanced_nll_is_measured_before_the_update_without_dropout_every_ten_steps(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(CoT, make_context(V, T), **TINY)
    untouched = LSTMLanguageModel(V, T, 3, 6)
    untouched.load_state_dict(trainer.mediator.state_dict())
    seen = Recorder(trainer, monkeypatch)
    logged = trainer.step(FIRST)
    (mixed,) = seen.of("update")
    chosen = untouched.log_probs(mixed).gather(2, mixed.unsqueeze(2))
    assert float(logged["balanced_nll"]) == pytest.approx(-chosen.mean().item(), rel=1e-6)
    for index in range(1, 21):
        names = trainer.step(Position("cot", 0, index)).keys()
        assert ("balanced_nll" in names) == (index % 10 == 0)


def test_several_steps_of_each_kind(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(V, T, size=32)
    trainer = make_trainer(CoT, context, g_steps=2, m_steps=3, **TINY)
    seen = Recorder(trainer, monkeypatch)
    trainer.step(FIRST)
    expected = ["sample"] * 3 + ["measure", "update"] + ["sample", "update"] * 2
    assert seen.kinds() == expected
    for i, mixed in enumerate(seen.of("update")):
        assert torch.equal(mixed[:8], context.data.sequences()[8 * i : 8 * i + 8])
        assert torch.equal(mixed[8:], seen.of("sample")[2 + i])


def test_fewer_true_sequences_than_a_batch_are_half_of_the_mixture_all_the_same(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eq. 9 mixes P and G alike, however little there is of P."""
    context = make_context(V, T, size=5)
    trainer = make_trainer(CoT, context, **TINY)
    seen = Recorder(trainer, monkeypatch)
    trainer.step(FIRST)
    (mixed,) = seen.of("update")
    assert torch.equal(mixed[:5], context.data.sequences())
    assert [len(s) for s in seen.of("sample")] == [8, 5]
    assert torch.equal(mixed[5:], seen.of("sample")[1])


def test_half_of_the_mixture_is_a_random_half(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(V, T, sequences=torch.full((8, T), 3))
    trainer = make_trainer(CoT, context, m_batch="half", **TINY)
    monkeypatch.setattr(
        trainer.generator, "sample", lambda n, rng: torch.zeros(n, T, dtype=torch.int64)
    )
    real = [int((trainer._mediator_batch() == 3).all(1).sum()) for _ in range(200)]
    assert len(trainer._mediator_batch()) == 8
    assert sum(real) / 200 == pytest.approx(4.0, abs=0.3)
    assert len(set(real)) > 2


# -- initialisation, goldens, resume -----------------------------------------------------------


def test_the_mediator_is_twice_as_wide_and_its_own(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    context = make_context(5000, 20, embedding=32, hidden=32)
    trainer = make_trainer(CoT, context)
    assert sum(p.numel() for p in trainer.mediator.parameters()) == 678_024
    assert sum(p.numel() for p in trainer.generator.parameters()) == 333_320
    common = make_context(5000, 20, embedding=32, hidden=32).initial_generator().state_dict()
    assert torch.equal(trainer.generator.embedding, common["embedding"])
    assert trainer.mediator.bias.std().item() == pytest.approx(0.1, rel=0.2)


def test_the_cudnn_mediator_has_orthogonal_kernels_and_no_lstm_biases(
    make_context: Contexts, make_trainer: Trainers
) -> None:
    config = TINY | {"m_embedding": 6}
    plain = make_trainer(CoT, make_context(V, T), **config).mediator
    context = make_context(V, T)
    mediator = make_trainer(CoT, context, m_init="cudnn", **config).mediator
    for kernel in (mediator.weight_ih, mediator.weight_hh):
        for gate in kernel.chunk(4):
            torch.testing.assert_close(gate @ gate.T, torch.eye(6))
    own = torch.nn.init.orthogonal_(
        torch.empty(6, 6), generator=context.stream("mediator-orthogonal")
    )
    assert torch.equal(mediator.weight_ih[:6], own)  # no other part is drawn from that stream
    assert not mediator.bias.any()
    assert torch.equal(mediator.head_bias, plain.head_bias)
    assert torch.equal(mediator.head_weight, plain.head_weight)
    assert torch.equal(mediator.embedding, plain.embedding)


@pytest.mark.parametrize(
    ("config", "golden"),
    [
        ({}, [0.0068586, 1.3995526, 0.0276134, 1.1727962]),
        ({"m_target": "data", "m_floor": -1.5}, [-0.0038584, 1.3845251, -0.2820894, 0.8137239]),
        ({"gradient": "full"}, [0.0068586, 1.3995526, 0.004723, 1.206569]),
        ({"generator": "goal_factored"}, [0.0056547, 1.3928746, 0.0217154, 0.8814371]),
    ],
    ids=["default", "reverse_kl", "full_gradient", "strong"],
)
def test_golden_losses(
    config: dict[str, Any],
    golden: list[float],
    make_context: Contexts,
    make_trainer: Trainers,
    positions: Callable[[Trainer[Any]], Iterator[Position]],
) -> None:
    lively = TINY | {"m_lr": 0.1, "g_lr": 0.05} | config
    trainer = make_trainer(CoT, make_context(V, T), **lively)
    rows = [trainer.step(at) for at in itertools.islice(positions(trainer), 121)]
    nll = "mediator_nll" if "m_target" in config else "balanced_nll"
    got = [float(rows[i][key]) for i in (0, 120) for key in ("kl_to_mediator", nll)]
    assert got == pytest.approx(golden, rel=0.01, abs=1e-4)


@pytest.mark.parametrize("config", [{}, {"m_batch": "half", "gradient": "full"}])
def test_it_resumes_exactly(
    config: dict[str, Any],
    make_context: Contexts,
    assert_resumes_exactly: Callable[..., None],
) -> None:
    assert_resumes_exactly(CoT, make_context, 5, **(TINY | config))


# -- reverse KL (Eqs. 19 and 20) ---------------------------------------------------------------


def test_reverse_kl_trains_the_mediator_on_real_data_alone(
    make_context: Contexts, make_trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(V, T, size=16)
    trainer = make_trainer(CoT, context, m_target="data", m_floor=-20.0, **TINY)
    seen = Recorder(trainer, monkeypatch)
    logged = trainer.step(FIRST)
    assert seen.kinds() == ["sample", "measure", "update"]
    assert torch.equal(seen.of("update")[0], context.data.sequences()[:8])
    assert logged.keys() == {"kl_to_mediator", "mediator_nll", "floored"}
    assert float(logged["floored"]) == 0.0


def test_the_floor_bounds_log_pi_m_and_the_raised_share_is_counted(
    make_context: Contexts, make_trainer: Trainers, all_sequences: Sequences, gradients: Gradients
) -> None:
    trainer = apart(make_trainer(CoT, make_context(V, T), m_floor=-1.2, **TINY))
    every = all_sequences(V, T)
    log_g = trainer.generator.log_probs(every)
    log_m = trainer.mediator.log_probs(every).detach()
    expected = (log_g.exp() * (log_g - log_m.clamp(min=-1.2))).sum((1, 2)).mean()
    expected.backward()
    exact = gradients(trainer.generator)
    trainer.generator.zero_grad()
    got, terms = trainer._kl_to_mediator(every)
    got.backward()
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    assert terms.sum(1).mean().item() == pytest.approx(expected.item(), rel=1e-12)
    for name, gradient in gradients(trainer.generator).items():
        torch.testing.assert_close(gradient, exact[name], atol=1e-12, rtol=1e-10)
    s = trainer.generator.sample(8, stream(0, "training"))
    share = (trainer.mediator.log_probs(s) < -1.2).double().mean().item()
    assert 0.1 < share < 0.9
    trainer.context.rng.set_state(stream(0, "training").get_state())
    logged = trainer.step(FIRST)
    assert float(logged["floored"]) == pytest.approx(share, abs=1e-6)


def test_a_floor_keeps_the_reverse_kl_finite_where_the_data_never_go(
    make_context: Contexts, make_trainer: Trainers, gradients: Gradients
) -> None:
    """log π_m of -10,000 at every symbol but one: the loss is near the floor, and so finite."""
    trainer = make_trainer(CoT, make_context(V, T), m_target="data", m_floor=-20.0, **TINY)
    with torch.no_grad():
        trainer.mediator.head_bias[0] += 1e4
    logged = trainer._update_generator(log=True)
    assert 0 < float(logged["kl_to_mediator"]) <= 20.0
    assert float(logged["floored"]) > 0.3
    assert all(g.isfinite().all() for g in gradients(trainer.generator).values())
    assert sum(g.abs().sum() for g in gradients(trainer.generator).values()) > 0


def test_a_reverse_kl_that_is_not_finite_ends_the_run_as_diverged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mediator that rules a symbol out, and no floor: a status with its reason, no crash."""
    setup = CoT.setup

    def rules_one_out(trainer: CoT) -> None:
        setup(trainer)
        with torch.no_grad():
            trainer.mediator.head_bias[3] = -torch.inf

    monkeypatch.setattr(CoT, "setup", rules_one_out)
    settings = ["cot:reverse_kl.m_floor=0", "evaluation.samples=2"]
    (spec,) = expand(
        Request(algos="cot:reverse_kl", task="synthetic-tiny", preset="ci", settings=settings)
    )
    directory = RunDirectory(spec.directory(tmp_path))
    directory.create(spec)
    assert execute(directory, Conditions(torch.device("cpu"))) == 1
    status = directory.status()
    assert status.status == "diverged"
    assert status.reason.startswith("kl_to_mediator is ") and " at step " in status.reason


def test_sizes_of_the_shared_generator_are_no_option() -> None:
    with pytest.raises(UserError, match=r"cot: g_hidden is for generator=goal_factored"):
        validate(CoTConfig, {"g_hidden": 64}, "cot")


def test_half_of_a_mixture_needs_one() -> None:
    with pytest.raises(UserError, match=r"cot: m_batch=half is half of a mixture"):
        validate(CoTConfig, {"m_batch": "half", "m_target": "data"}, "cot")
