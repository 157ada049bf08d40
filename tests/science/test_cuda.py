"""What a GPU computes is what a CPU computes, to rounding, and it resumes exactly.

All but the last test also run with a CPU in the GPU's place, where the two must agree to the last
bit: that keeps the tests themselves right where no GPU is at hand.
"""

from __future__ import annotations

import copy
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from textbench.algorithms.cot import CoT
from textbench.algorithms.discriminator import TextCNN
from textbench.algorithms.emo import EMO
from textbench.algorithms.gold import GOLD
from textbench.algorithms.leakgan import LeakGAN
from textbench.algorithms.maligan import MaliGAN
from textbench.algorithms.mixce import MixCE
from textbench.algorithms.mle import MLE
from textbench.algorithms.policy_gradient import PolicyGradient
from textbench.algorithms.professor_forcing import ProfessorForcing
from textbench.algorithms.rankgan import RankGAN
from textbench.algorithms.relgan import RelGAN
from textbench.algorithms.scheduled_sampling import ScheduledSampling
from textbench.algorithms.seqgan import SeqGAN
from textbench.algorithms.tailr import TaiLr
from torch import Tensor, nn

from textbench.backbone import replay
from textbench.backbone.ledger import LEDGER, counting
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.backbone.rollout import rollouts
from textbench.contracts.streams import stream
from textbench.contracts.trainer import Context, Position, Trainer
from textbench.run.conditions import prepare
from textbench.run.meter import Meter

pytestmark = [
    # What PyTorch says of its own kernels, once per process.
    pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation"),
    pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous"),
    pytest.mark.filterwarnings("ignore:Deterministic behavior was enabled"),
]

CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.cuda,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    ],
)
devices = pytest.mark.parametrize("device", ["cpu", CUDA])

V, T = 60, 6
DATA = torch.randint(V, (16, T), generator=stream(0, "tests", "data"))
SMALL_D: dict[str, Any] = {"d_scale": 0.05, "d_embedding": 8, "d_batch": 8}
STEPS: dict[str, tuple[type[Trainer[Any]], dict[str, Any], list[Position]]] = {
    "mle": (MLE, {"dropout": 0.3}, [Position("mle", 0, 0)]),
    "scheduled_sampling": (
        ScheduledSampling,
        {"epochs": 3},
        [Position("scheduled_sampling", 1, 0)],
    ),
    "cot": (CoT, {}, [Position("cot", 0, 0)]),
    "cot:full": (CoT, {"gradient": "full", "m_floor": -8.0}, [Position("cot", 0, 0)]),
    "cot:strong": (CoT, {"generator": "goal_factored"}, [Position("cot", 0, 0)]),
    "cot:reverse_kl": (CoT, {"m_target": "data"}, [Position("cot", 0, 0)]),
    "mixce": (MixCE, {"dropout": 0.3}, [Position("mixce", 0, 0)]),
    "tailr": (TaiLr, {"gamma": 1e-2}, [Position("tailr", 0, 0)]),
    "emo": (EMO, {}, [Position("emo", 0, 0)]),
    "gold": (GOLD, {}, [Position("gold", 0, 0), Position("gold", 0, 1)]),
    "relgan": (
        RelGAN,
        {"d_embedding": 16, "d_scale": 0.05, "d_dense": 8},
        [Position("adversarial", 0, i) for i in range(6)],
    ),
    "policy_gradient": (PolicyGradient, {"noise": True}, [Position("policy_gradient", 0, 0)]),
    "professor_forcing": (
        ProfessorForcing,
        {"g_above": 0.0},
        [Position("professor_forcing", 0, 0)],
    ),
    "seqgan": (SeqGAN, SMALL_D, [Position("adversarial", 0, 1), Position("adversarial", 0, 0)]),
    "maligan": (MaliGAN, SMALL_D, [Position("adversarial", 0, 1), Position("adversarial", 0, 0)]),
    "rankgan": (RankGAN, SMALL_D, [Position("adversarial", 0, 1), Position("adversarial", 0, 0)]),
    "leakgan": (
        LeakGAN,
        {**SMALL_D, "block": 2, "goal_size": 4},
        [
            Position("discriminator", 0, 0),
            Position("pretraining", 0, 0),
            Position("adversarial", 0, 0),
        ],
    ),
}
"""A trainer, its options, and steps that reach all of its updates."""


@pytest.fixture(autouse=True)
def as_the_harness() -> Iterator[None]:
    """Ask for what the harness asks for on a GPU."""
    switches: list[tuple[Any, str]] = [
        (torch.backends.cudnn, "allow_tf32"),
        (torch.backends.cuda.matmul, "allow_tf32"),
        (torch.utils.deterministic, "fill_uninitialized_memory"),
    ]
    before = [getattr(owner, name) for owner, name in switches]
    deterministic = torch.are_deterministic_algorithms_enabled()
    prepare(torch.device("cuda"))
    yield
    torch.use_deterministic_algorithms(deterministic)
    for (owner, name), value in zip(switches, before, strict=True):
        setattr(owner, name, value)


@pytest.fixture
def same_draws(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let every device draw the same numbers; the returned function starts them anew."""
    rng = torch.Generator()

    def on_the_cpu(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def draw(*size: Any, generator: Any = None, device: Any = "cpu", **options: Any) -> Tensor:
            return function(*size, generator=rng, **options).to(device)

        return draw

    for name in ("rand", "randint", "randperm"):
        monkeypatch.setattr(torch, name, on_the_cpu(getattr(torch, name)))
    return lambda: rng.manual_seed(0) and None


def on(device: str, context: Context) -> Context:
    """Move a context of the CPU."""
    data = context.data
    moved = type(data)(lambda number: data.sequences(number).to(device), data.size)
    rng = stream(context.seed, "training", device=device)
    return dataclasses.replace(context, device=torch.device(device), data=moved, rng=rng)


def modules(trainer: Trainer[Any]) -> dict[str, nn.Module]:
    return {key: value for key, value in vars(trainer).items() if isinstance(value, nn.Module)}


def assert_close(ours: Tensor, expected: Tensor, device: str, where: str) -> None:
    ours = ours.detach().cpu()
    if device == "cpu":
        assert torch.equal(ours, expected), where
    else:
        slack = 1e-4 * float(expected.abs().max()) + 1e-7
        torch.testing.assert_close(ours, expected, atol=slack, rtol=1e-4, msg=where)


# -- steps -------------------------------------------------------------------------------------


@devices
@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_the_cpus_gradients(
    name: str,
    device: str,
    same_draws: Callable[[], None],
    make_context: Callable[..., Context],
    make_trainer: Callable[..., Trainer[Any]],
) -> None:
    """From the same state and the same random numbers, one step after the other."""
    kind, config, steps = STEPS[name]

    def new(place: str) -> Trainer[Any]:
        context = make_context(V, T, sequences=DATA, embedding=8, hidden=8)
        return make_trainer(kind, on(place, context), batch=8, **config)

    for last in range(len(steps)):
        logs, gradients, before = [], [], new("cpu")
        same_draws()
        for at in steps[:last]:  # once: Adam makes much of gradients that are next to nothing
            before.step(at)
        for place in ("cpu", device):
            trainer = new(place)
            trainer.load_state_dict(copy.deepcopy(before.state_dict()))
            same_draws()
            logs.append(trainer.step(steps[last]))
            gradients.append(
                {
                    f"{part}.{key}": parameter.grad.detach().cpu()
                    for part, module in modules(trainer).items()
                    for key, parameter in module.named_parameters()
                    if parameter.grad is not None
                }
            )
        assert gradients[0].keys() == gradients[1].keys()
        assert any(gradient.abs().max() > 0 for gradient in gradients[0].values())
        for key, expected in gradients[0].items():
            assert_close(gradients[1][key], expected, device, f"{name} {steps[last].phase} {key}")
        for key, value in logs[0].items():
            assert float(logs[1][key]) == pytest.approx(float(value), rel=1e-3, abs=1e-5), key


@devices
@pytest.mark.parametrize("name", STEPS)
def test_resuming_is_exact(
    name: str,
    device: str,
    make_context: Callable[..., Context],
    assert_resumes_exactly: Callable[..., None],
) -> None:
    kind, config, _ = STEPS[name]
    short: dict[str, Any] = {"epochs": 2}
    if kind is RelGAN:
        short = {"rounds": 2, "rounds_per_epoch": 1, "d_steps": 2}
    elif "d_scale" in config:
        short = {"rounds": 2, "d_steps": 1, "d_epochs": 2, "d_batch": 4}
        short |= {"pretrain_rounds": 1} if kind is LeakGAN else {"d_pretrain": 1}
    elif kind is PolicyGradient:
        short = {"rounds": 8}
    config = {"batch": 4, **config, **short}
    assert_resumes_exactly(
        kind,
        lambda: on(device, make_context(V, T, sequences=DATA, embedding=8, hidden=8)),
        8 if "d_batch" in config else 3,  # past the call from which on updates are replayed
        **config,
    )


@devices
@pytest.mark.parametrize("name", ["seqgan", "maligan", "rankgan", "leakgan"])
def test_replayed_updates_are_those_launched_one_by_one(
    name: str,
    device: str,
    monkeypatch: pytest.MonkeyPatch,
    make_context: Callable[..., Context],
    make_trainer: Callable[..., Trainer[Any]],
) -> None:
    """To the bit: losses, parameters, the random stream, and what the ledger counts."""
    kind, config, _ = STEPS[name]
    config = {**config, "d_batch": 4}
    found = []
    for eager in (replay.EAGER, 10**9):
        monkeypatch.setattr(replay, "EAGER", eager)
        context = on(device, make_context(V, T, sequences=DATA, embedding=8, hidden=8))
        trainer = make_trainer(kind, context, batch=8, **config)
        meter, losses = Meter(trainer), []
        for index in range(12):  # 8 are a load
            with meter:
                losses.append(trainer.step(Position("discriminator", 0, index))["d_loss"])
        state = {
            f"{part}.{key}": tensor
            for part, module in modules(trainer).items()
            for key, tensor in module.state_dict().items()
        }
        found.append((torch.stack(losses).tolist(), meter.ledger, context.rng.get_state(), state))
    (losses, ledger, stream_at, state), expected = found
    assert losses == expected[0]
    assert ledger == expected[1]
    assert ledger["critic_updates"] == 12
    assert torch.equal(stream_at, expected[2])
    for key, tensor in state.items():
        assert torch.equal(tensor, expected[3][key]), key


# -- parts -------------------------------------------------------------------------------------


@devices
def test_scores_and_roll_outs(device: str, same_draws: Callable[[], None]) -> None:
    model = LSTMLanguageModel(V, T, 8, 8)
    model.initialise(stream(0, "tests", "cuda"), 1.0)
    network = TextCNN(V, ((1, 3), (2, 4), (5, 2)), 6)
    network.initialise(stream(0, "tests", "cnn"))
    tokens = torch.randint(V, (300, T), generator=stream(1))
    found = []
    for place in ("cpu", device):
        model, network, x = model.to(place), network.to(place), tokens.to(place)
        rng = torch.Generator(place)
        same_draws()
        found.append(
            {
                "log_probs": model.log_probs(x).detach(),
                "sample": model.sample(300, rng),
                "tempered": model.sample(300, rng, inverse_temperature=3.0),
                "roll-outs": rollouts(model, x[:5], 4, rng),
                "realness": network.real_probability(x),
            }
        )
    for key, expected in found[0].items():
        if key in ("sample", "tempered", "roll-outs"):  # a uniform may fall on a boundary
            assert (found[1][key].cpu() == expected).float().mean() > 0.99, key
        else:
            assert_close(found[1][key], expected, device, key)


@devices
def test_replayed_draws_are_those_launched_one_by_one(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the parameters have changed in place."""
    model = LSTMLanguageModel(V, T, 8, 8)
    found = []
    for eager in (replay.EAGER, 10**9):
        monkeypatch.setattr(replay, "EAGER", eager)
        model.to("cpu").initialise(stream(0, "tests", "cuda"), 1.0)
        model.to(device)
        rng, drawn = torch.Generator(device), []
        rng.manual_seed(5)
        ledger = dict.fromkeys(LEDGER, 0)
        for _ in range(8):
            with counting(ledger):
                drawn.append(model.sample(20, rng))
            with torch.no_grad():
                model.head_bias[3] += 0.5
        found.append((torch.stack(drawn).cpu(), ledger, rng.get_state()))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert torch.equal(found[0][2], found[1][2])
    assert len(found[0][0].flatten(1).unique(dim=0)) == 8


# -- whole runs --------------------------------------------------------------------------------


@pytest.mark.parametrize("device", [CUDA])
def test_packed_runs_are_those_of_runs_alone(device: str, tmp_path: Path) -> None:
    """Four seeds on one GPU at the same time, and one after the other."""
    name, seeds = f"{device}:0", 4
    line = f"run --task synthetic-tiny --algos mle --seeds 0:{seeds} --preset ci"
    found = []
    for jobs in (seeds, 1):
        store = tmp_path / str(jobs)
        command = [sys.executable, "-m", "textbench", *line.split(), "--set", "mle.epochs=1"]
        command += ["--jobs", str(jobs), "--device", name, "--results", str(store)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        files = sorted(store.rglob("generator.pt"))
        assert len(files) == seeds
        found.append([torch.load(path, map_location="cpu", weights_only=True) for path in files])
    for one, other in zip(*found, strict=True):
        for key, value in _tensors(one).items():
            assert_close(_tensors(other)[key], value, device, key)


def _tensors(state: dict[str, Any]) -> dict[str, Tensor]:
    """Find the parameters in a stored generator, however it is nested."""
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        if isinstance(value, Tensor):
            found[key] = value
        elif isinstance(value, dict):
            found |= {f"{key}.{inner}": tensor for inner, tensor in _tensors(value).items()}
    assert found
    return found
