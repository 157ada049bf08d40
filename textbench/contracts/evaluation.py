"""One evaluation: the draws and scores that metrics share, each made once.

Metrics never see the trainer, and the random stream of an evaluation is named after the run's
seed and moment alone: evaluating more often changes neither training nor other evaluations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar

from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.backbone.scoring import PairScores, mean_entropy, mean_nll, score_pair, token_nll
from textbench.contracts.config import Config
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.streams import stream
from textbench.contracts.task import Task, TextTask

T = TypeVar("T")
C = TypeVar("C", bound=Config)


class Evaluation:
    """A generator under examination at one moment of its training.

    Args:
        generator: The model.
        task: Its task, oracle and held-out data included.
        seed: The run's seed.
        moment: The moment of training, e.g. ``epoch 20``; names the random stream.
        samples: How many sequences are drawn, and at most how many held-out ones are scored.
        inverse_temperature: The paper's alpha, for sampling only.
    """

    def __init__(
        self,
        generator: Generator,
        task: Task[C],
        *,
        seed: int,
        moment: str,
        samples: int,
        inverse_temperature: float = 1.0,
    ) -> None:
        self.generator = generator
        self.task: Task[Any] = task
        self.seed = seed
        self.moment = moment
        self.n = samples
        self.inverse_temperature = inverse_temperature
        self._shared: dict[Hashable, Any] = {}
        self._versions: dict[str, int] = {}

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return ``compute()``, called for the first ``key`` only: what several metrics share."""
        if key not in self._shared:
            self._shared[key] = compute()
        value: T = self._shared[key]
        return value

    @cached_property
    def oracle(self) -> Generator:
        """The true distribution, on the generator's device.

        Raises:
            NotApplicableError: The task has none.
        """
        if self.task.oracle is None:
            raise NotApplicableError(f"task {self.task.name} has no oracle")
        if self.task.oracle.device == self.generator.device:
            return self.task.oracle
        # A copy: the task's own goes on drawing data where it is, from streams of that device.
        return copy.deepcopy(self.task.oracle).to(self.generator.device)

    @property
    def text(self) -> TextTask[Config]:
        """The task, as one of text.

        Raises:
            NotApplicableError: It is not.
        """
        if not isinstance(self.task, TextTask):
            raise NotApplicableError(f"task {self.task.name} is not text")
        return self.task

    @property
    def sampling(self) -> str:
        """How many `samples` there are, for protocol ids.

        The inverse temperature is no part of it: it makes another row, not another protocol.
        """
        return f"n={len(self.samples)}"

    @cached_property
    def samples(self) -> Tensor:
        """``n`` sequences of the generator, ``(n, T)``."""
        rng = stream(self.seed, "evaluation", self.moment, device=self.generator.device)
        drawn = self.generator.sample(self.n, rng, inverse_temperature=self.inverse_temperature)
        return self._noted("samples", drawn)

    @cached_property
    def words(self) -> list[list[str]]:
        """The samples as words; see `text`."""
        return self.text.words(self.samples.cpu())

    @cached_property
    def test(self) -> Tensor:
        """The first ``n`` held-out sequences, or all there are, ``(N, T)``."""
        return self._noted("test", self.task.test()[: self.n].to(self.generator.device))

    def _noted(self, name: str, tokens: Tensor) -> Tensor:
        if not tokens.is_inference():  # of those torch keeps no count
            self._versions[name] = tokens._version
        return tokens

    def changed(self) -> str:
        """Return which of `samples` and `test` was changed in place, or an empty string."""
        versions = self._versions.items()
        return next((name for name, count in versions if getattr(self, name)._version != count), "")

    @cached_property
    def on_samples(self) -> PairScores:
        """The generator against the oracle, on the generator's samples."""
        return score_pair(self.generator, self.oracle, self.samples)

    @cached_property
    def on_test(self) -> PairScores:
        """The oracle against the generator, on the held-out sequences."""
        return score_pair(self.oracle, self.generator, self.test)

    @cached_property
    def test_nll(self) -> float:
        """The generator's NLL of the held-out sequences, nats per token."""
        if self.task.oracle is not None:
            return -float(self.on_test.log_b.mean()) / self.task.length
        return float(self.nll_of_test.mean())

    @cached_property
    def nll_of_test(self) -> Tensor:
        """−log G of every slot of the held-out sequences, ``(N, T)`` float64, nats."""
        return token_nll(self.generator, self.test)

    @cached_property
    def entropy(self) -> float:
        """The generator's entropy at its own prefixes, nats per token."""
        if self.task.oracle is not None:
            return self.on_samples.entropy
        return mean_entropy(self.generator, self.samples)

    @cached_property
    def train_nll(self) -> float:
        """The generator's NLL of the first ``n`` training sequences, nats per token."""
        train = self.task.train(self.seed, 0)[: self.n]
        return mean_nll(self.generator, train.to(self.generator.device))

    @cached_property
    def validation_nll(self) -> float:
        """The generator's NLL of the validation sequences, nats per token."""
        return mean_nll(self.generator, self.task.validation().to(self.generator.device))
