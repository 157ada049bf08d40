"""Where metrics are tried: computed again and again, each time of a fresh copy of one generator."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.check.promise import Violation
from textbench.check.task_laboratory import not_for_training
from textbench.contracts.config import Config
from textbench.contracts.errors import shown
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.streams import stream
from textbench.contracts.task import Task
from textbench.plan.blame import raised
from textbench.run import checkpoint
from textbench.run.measure import computed, protocols, undisturbed

SAMPLES = 48
"""Sequences of an ordinary evaluation."""


@dataclass
class Examined:
    """An evaluation of which nothing has been asked yet, and what belongs to it."""

    evaluation: Evaluation
    before: dict[str, Tensor]
    """Copies of everything that a metric could reach and change."""

    def changed(self) -> str:
        """Name what is no longer as it was; empty where everything is."""
        now = _within_reach(self.evaluation)
        return next((name for name in now if not now[name].equal(self.before[name])), "")


@dataclass
class Record:
    """The ordinary evaluation."""

    values: dict[str, float | NotApplicableError]
    examined: Examined
    task: str
    draws: int
    """How often the generator was asked for samples."""

    @property
    def summary(self) -> str:
        """The values, in one line."""
        found = (f"{name} {_brief(value)}" for name, value in self.values.items())
        return f"on {self.task}: {', '.join(found)}"


def _brief(value: object) -> str:
    """Show a value; whether it is one at all, other promises say."""
    if isinstance(value, NotApplicableError):
        return "n/a"
    return f"{value:.4g}" if isinstance(value, float | int) else shown(value)


class Laboratory:
    """Evaluates one metric again and again, each time on a fresh copy of the same generator.

    Args:
        kind: The metric.
        config: Its options.
        task: What its generator generates.
    """

    def __init__(self, kind: type[Metric], config: Config, task: Task[Config]) -> None:
        self.kind, self.config, self.task = kind, config, task
        self.setting = ""
        """Which setting of torch the metric changed, if any."""
        model = LSTMLanguageModel(task.vocab_size, task.length, 8, 8)
        model.initialise(stream(0, "check", "metric"))
        with torch.no_grad():  # a law that is far from uniform, so that samples repeat words
            for parameter in model.parameters():
                parameter.mul_(8.0)
        self._generator: Generator = model

    def examined(self, generator: Generator | None = None, samples: int = SAMPLES) -> Examined:
        """Return a fresh evaluation, of the one generator or another."""
        model = copy.deepcopy(generator or self._generator)
        evaluation = Evaluation(model, self.task, seed=0, moment="epoch 1", samples=samples)
        _ = evaluation.samples
        before = {k: v.clone() for k, v in _within_reach(evaluation).items()}
        return Examined(evaluation, before)

    def compute(
        self, examined: Examined, config: Config | None = None, world: int = 0
    ) -> dict[str, float | NotApplicableError]:
        """Return the values by name.

        Args:
            examined: What to evaluate.
            config: Options, if not the usual ones.
            world: Seed of the global random generators, which should not matter.
        """
        metric = self.kind(config or self.config)
        with undisturbed(examined.evaluation.generator):
            checkpoint.seed_global_random(world)
            try:
                return computed(metric, examined.evaluation)
            finally:
                self.setting = _changed_setting() or self.setting

    def protocols(self, examined: Examined, config: Config | None = None) -> dict[str, str]:
        """Return the protocol of each number."""
        return protocols(self.kind(config or self.config), examined.evaluation)

    def reference(self) -> Record:
        """Evaluate as the harness would, and note what becomes of generator, data and samples.

        Raises:
            Violation: The metric raises an exception.
        """
        examined = self.examined()
        counter = _Counted(examined.evaluation.generator)
        values = self.tried(examined, "on an ordinary generator")
        return Record(values, examined, self.task.name, counter.calls)

    def tried(self, examined: Examined, where: str) -> dict[str, float | NotApplicableError]:
        """Compute, and turn an exception into a violation.

        Raises:
            Violation: It raises one.
        """
        try:
            return self.compute(examined)
        except Exception as error:
            raise Violation(
                f"{where} it raised {raised(error)}",
                "a number, or NotApplicableError where there is none",
            ) from error


class _Counted:
    """Counts the draws of a generator from now on."""

    def __init__(self, generator: Generator) -> None:
        self.calls, draw = 0, generator.sample

        def sample(n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
            self.calls += 1
            return draw(n, rng, inverse_temperature=inverse_temperature)

        generator.sample = sample  # type: ignore[method-assign]


def _within_reach(evaluation: Evaluation) -> dict[str, Tensor]:
    task = evaluation.task
    state = evaluation.generator.state_dict()
    return {
        **{f"the generator's {name}": value for name, value in state.items()},
        "evaluation.samples": evaluation.samples,
        **{f"the {name} sequences": tokens for name, tokens in not_for_training(task).items()},
        "the training sequences": task.train(evaluation.seed, 0),
    }


def _changed_setting() -> str:
    """Name a setting of torch that is another than the harness left, and put it back."""
    if torch.get_default_dtype() != torch.float32:
        torch.set_default_dtype(torch.float32)
        return "torch's default dtype"
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)
        return "whether torch computes gradients"
    return ""
