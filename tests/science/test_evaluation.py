"""README: "evaluation never disturbs training"; and what one evaluation draws and scores."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stores import values_of
from tabular import Tabular, TabularTask
from textbench.metrics.nll import NLL
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.backbone.scoring import mean_nll
from textbench.contracts.config import Config
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric
from textbench.contracts.spec import Spec
from textbench.contracts.trainer import Phase, Position, Trainer
from textbench.plan.resolve import EvaluationConfig
from textbench.run import checkpoint
from textbench.run.conditions import Conditions
from textbench.run.loop import Run
from textbench.run.measure import undisturbed
from textbench.store.directory import RunDirectory
from textbench.tasks.synthetic import SyntheticTiny, SyntheticTinyConfig

TASK = SyntheticTiny(
    SyntheticTinyConfig(
        vocab_size=5, length=4, train_size=32, validation_size=16, test_size=16, embedding=3
    )
)


def from_global_streams() -> list[float]:
    return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: S311


class Noisy(Generator):
    """A generator with dropout of the careless kind, drawn from the global stream."""

    def __init__(self, lstm: Generator) -> None:
        super().__init__()
        self.vocab_size, self.length, self.lstm = lstm.vocab_size, lstm.length, lstm
        self.dropout = nn.Dropout(0.5)

    def log_probs(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.lstm.log_probs(tokens)).log_softmax(-1)

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        return self.lstm.sample(n, rng, inverse_temperature=inverse_temperature)


class Careless(Trainer[Config]):
    """Maximum likelihood that draws from every global stream there is."""

    name = "careless"
    config_schema = Config

    def phases(self) -> list[Phase]:
        return [Phase("train", 3, 2)]

    def setup(self) -> None:
        self.generator = Noisy(self.context.initial_generator())
        self.optimiser = torch.optim.Adam(self.generator.parameters())
        self.drawn: list[float] = []
        self.observed: list[float] = []

    def step(self, at: Position) -> dict[str, float | Tensor]:
        self.drawn += from_global_streams()
        batch = self.context.data.batch(at.index, 16)
        loss = -self.generator.log_probs(batch).gather(2, batch.unsqueeze(2)).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"nll": loss.detach()}

    def observe(self, validation_nll: float) -> bool:
        assert self.generator.dropout.training
        self.observed.append(validation_nll)
        return False


class Greedy(Metric):
    """A metric that draws from every global stream, too."""

    name = "greedy"
    direction = "none"
    summary = "nothing"

    def protocol(self, evaluation: Evaluation) -> str:
        return "greedy/1"

    def compute(self, evaluation: Evaluation) -> float:
        assert not evaluation.generator.training
        return sum(from_global_streams())


def run(path: Path, trainer: type[Trainer[Any]], **evaluation: int) -> Run:
    """Execute a run in this process and return it."""
    plan = EvaluationConfig(samples=8, final_samples=8, **evaluation)
    spec = Spec(
        trainer=trainer.name,
        version=1,
        config={},
        task=TASK.name,
        task_config={},
        task_fingerprint=TASK.fingerprint(),
        backbone={"embedding": 3, "hidden": 4},
        evaluation=plan.model_dump(),
        seed=0,
    )
    directory = RunDirectory(path)
    directory.create(spec)
    metrics: list[Metric] = [NLL(), Greedy()]
    new = Run(directory, trainer, TASK, metrics, None, Conditions(torch.device("cpu")))
    assert new.execute() == "done"
    return new


def test_evaluating_more_often_changes_no_bit_of_training(tmp_path: Path) -> None:
    often = run(tmp_path / "often", Careless, every=1, every_steps=1)
    rarely = run(tmp_path / "rarely", Careless, every=1000)
    assert len(often.directory.rows("metrics.jsonl")) == 8  # before, six steps, final
    assert len(rarely.directory.rows("metrics.jsonl")) == 3  # before, end of phase, final
    assert often.trainer.drawn == rarely.trainer.drawn
    for name, value in often.trainer.generator.state_dict().items():
        assert torch.equal(value, rarely.trainer.generator.state_dict()[name]), name
    losses = [
        [
            (row["step"], row["values"])
            for row in new.directory.rows("curve.jsonl")
            if "values" in row
        ]
        for new in (often, rarely)
    ]
    assert losses[0] == losses[1]


def test_evaluating_more_often_changes_no_other_evaluation(tmp_path: Path) -> None:
    often = run(tmp_path / "often", Careless, every=1, every_steps=1)
    rarely = run(tmp_path / "rarely", Careless, every=1000)
    by_step = [
        {
            (row["step"], row["final"]): {**values_of(row), "greedy": None}
            for row in new.directory.rows("metrics.jsonl")
        }
        for new in (often, rarely)
    ]
    assert by_step[1].items() <= by_step[0].items()


def test_the_trainer_is_told_the_validation_nll_without_dropout(tmp_path: Path) -> None:
    trainer = run(tmp_path / "run", Careless, every=1).trainer
    generator = trainer.generator.eval()
    assert trainer.observed[-1] == mean_nll(generator, TASK.validation())
    assert len(trainer.observed) == 4  # the final evaluation comes too late to be told


# -- the guard -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_remains_of_an_evaluation(make_context: Callable[..., Any], fails: bool) -> None:
    generator = Noisy(make_context().initial_generator())
    generator.lstm.eval()  # modes that differ, such as LeakGAN's, come back one by one

    def everything() -> Any:
        return checkpoint.global_random_state(), [m.training for m in generator.modules()]

    before = everything()
    try:
        with undisturbed(generator):
            assert not any(module.training for module in generator.modules())
            from_global_streams()
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    after = everything()
    assert torch.equal(before[0].pop("torch"), after[0].pop("torch"))
    assert before == after
    assert [m.training for m in generator.modules()] == [True, False, True]


# -- what is drawn -------------------------------------------------------------------------------


def evaluation(generator: Generator, **changes: Any) -> Evaluation:
    given = {"seed": 0, "moment": "epoch 1", "samples": 20, **changes}
    return Evaluation(generator, TASK, **given)


@pytest.fixture
def generator(make_context: Callable[..., Any]) -> Generator:
    model: Generator = make_context(5, 4).initial_generator()
    return model


def test_samples_depend_on_the_seed_and_the_moment_alone(generator: Generator) -> None:
    first = evaluation(generator).samples
    assert first.shape == (20, 4)
    torch.rand(5)
    assert torch.equal(first, evaluation(generator).samples)
    assert not torch.equal(first, evaluation(generator, moment="epoch 2").samples)
    assert not torch.equal(first, evaluation(generator, seed=1).samples)


def test_each_draw_and_score_is_made_once(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    sample = generator.sample

    def counted(*arguments: Any, **keywords: Any) -> Tensor:
        calls.append(arguments)
        return sample(*arguments, **keywords)

    monkeypatch.setattr(generator, "sample", counted)
    shared = evaluation(generator)
    for metric in (NLL(), NLL()):
        metric.compute(shared)
    assert shared.on_samples is shared.on_samples
    assert len(calls) == 1


def test_no_more_held_out_sequences_are_scored_than_asked_for(generator: Generator) -> None:
    few = evaluation(generator, samples=7)
    assert torch.equal(few.test, TASK.test()[:7])
    assert few.test_nll == pytest.approx(mean_nll(generator, TASK.test()[:7]), abs=1e-6)
    assert few.train_nll == pytest.approx(mean_nll(generator, TASK.train(0, 0)[:7]), abs=1e-6)
    assert few.validation_nll == pytest.approx(mean_nll(generator, TASK.validation()), abs=1e-6)
    assert torch.equal(evaluation(generator, samples=1000).test, TASK.test())


def test_the_training_nll_is_that_of_the_runs_own_sequences(generator: Generator) -> None:
    other = evaluation(generator, seed=3, samples=32)
    assert other.train_nll == pytest.approx(mean_nll(generator, TASK.train(3, 0)), abs=1e-6)


def test_the_tasks_own_oracle_stays_on_its_device(generator: Generator) -> None:
    """It goes on drawing training sequences there, from a stream of that device."""
    assert evaluation(generator).oracle is TASK.oracle
    elsewhere = evaluation(generator.to("meta"))
    assert elsewhere.oracle.device.type == "meta"
    assert TASK.oracle.device.type == "cpu"


def test_a_temperature_reaches_the_sampler(generator: Generator) -> None:
    plain, sharp = (
        evaluation(generator, samples=200, inverse_temperature=alpha).samples
        for alpha in (1.0, 50.0)
    )
    distinct = [len(set(map(tuple, drawn.tolist()))) for drawn in (plain, sharp)]
    assert distinct[1] < 0.5 * distinct[0]


def test_without_an_oracle_the_likelihoods_are_the_same(generator: Generator) -> None:
    P, G = Tabular(3, 3, 0), Tabular(3, 3, 5)
    known, unknown = (
        Evaluation(G, TabularTask(P, hidden=hidden), seed=0, moment="epoch 0", samples=216)
        for hidden in (False, True)
    )
    assert known.test_nll == pytest.approx(unknown.test_nll, abs=1e-9)
    assert known.entropy == pytest.approx(unknown.entropy, abs=1e-9)
