"""eWMD: the estimated Word Mover Distance of CoT's Tables 3 and 5.

The paper says: "calculated through training a discriminative model between generated samples and
real samples with 1-Lipschitz constraint via gradient penalty", the same critic for all models. It
does not say which input, critic, sizes or steps, nor what its sigma is taken over, so its values
cannot be matched; sign, order and the relation of train to test can. Our choices are in
``critic.py`` and below, all of them part of the protocol. Read a value beside the rows of real and
of corrupted text, and do not rank what is less than about 3 sigma apart.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textbench.contracts.config import Config
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.number import Direction, Number
from textbench.contracts.streams import stream

from .critic import RECIPES, Distance, distance, embedding, encode


class EWMDConfig(Config):
    """Options of all `ewmd_*` metrics: ``--set ewmd.steps=400``."""

    variant: Literal["two-sided", "one-sided", "textmover"] = "two-sided"
    """``two-sided``: WGAN-GP's penalty, the paper's words; ``one-sided``: the penalty that duality
    implies; ``textmover``: critic and penalty of the CoT authors' code."""
    steps: int = Field(2000, ge=1)
    """Training steps of each critic. 400 rank models, but are short of convergence."""
    critics: int = Field(5, ge=2)
    """Independent critics: their mean is the value, their standard deviation its sigma."""


ENDS = ("", "_sigma", "_in_sample", "_gradient_norm", "_normalised")
"""What the names of a set's numbers end with."""


def _numbers(name: str, against: str) -> tuple[Number, ...]:
    """Describe what one set of critics tells."""
    summaries = (
        f"eWMD of samples and {against} set, estimated on held-out halves",
        f"standard deviation of {name} over its critics; not over training seeds",
        f"{name} on the critics' training halves: biased upwards",
        f"mean gradient norm of {name}'s critics at held-out interpolates; about 1",
        f"{name} over max(1, gradient norm): without the overshoot of soft constraints",
    )
    ways: tuple[Direction, ...] = ("lower", "none", "none", "none", "lower")
    return tuple(
        Number(name + end, way, "", summary, headline=name + end == "ewmd_test")
        for end, way, summary in zip(ENDS, ways, summaries, strict=True)
    )


class _EWMD(Metric):
    """Everything that one set of critics tells: the value is the mean of their estimates."""

    section = "ewmd"
    family = "text"
    when = "final"
    config_schema = EWMDConfig
    config: EWMDConfig
    against: ClassVar[Literal["test", "train"]]

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version, variant, steps, critics, n and T."""
        c = self.config
        n = len(self._sides(evaluation)[0])
        return (
            f"ewmd/2 {c.variant} steps={c.steps} critics={c.critics} n={n}+{n} "
            f"T={evaluation.task.length + 1}"
        )

    def compute(self, evaluation: Evaluation) -> dict[str, float]:
        """Return what the critics found."""
        found = self._measure(evaluation)
        values = (found.value, found.sigma, found.in_sample, found.gradient_norm, found.normalised)
        return {self.name + end: value for end, value in zip(ENDS, values, strict=True)}

    def _sides(self, evaluation: Evaluation) -> tuple[Tensor, Tensor]:
        """Return real and generated sentences, equally many: all of the smaller side.

        Of the training set only a half, drawn anew for each seed, stands against the samples:
        training sentences that are themselves the samples (a reference row) then come from the
        other half, and what is left of their distance is what two halves of one text differ by.
        """
        task, samples = evaluation.text, evaluation.samples
        real = task.test() if self.against == "test" else task.train(evaluation.seed, 0)
        order = torch.randperm(len(real), generator=stream(evaluation.seed, "ewmd", self.against))
        most = len(real) if self.against == "test" else len(real) // 2
        n = min(most, len(samples))
        if n < 2:
            raise NotApplicableError("eWMD needs at least two sentences on each side")
        if self.against == "train" and evaluation.generator.archive is not None:
            samples = evaluation.generator.archive[order[most : most + n]]
        return real[order[:n]].to(samples.device), samples[:n]

    def _measure(self, evaluation: Evaluation) -> Distance:
        c = self.config
        real, samples = self._sides(evaluation)
        size = evaluation.task.vocab_size
        # The same streams at every inverse temperature and for every trainer: critics pair.
        streams = [stream(evaluation.seed, "ewmd", self.against, i) for i in range(c.critics)]
        return distance(
            encode(real, size),
            encode(samples, size),
            embedding(size).to(samples.device),
            RECIPES[c.variant],
            steps=c.steps,
            streams=streams,
        )


class EWMDTest(_EWMD):
    """eWMD of the samples and the test set."""

    name = "ewmd_test"
    against = "test"
    numbers = _numbers("ewmd_test", "test")


class EWMDTrain(_EWMD):
    """eWMD of the samples and as many training sentences; copying them scores best."""

    name = "ewmd_train"
    against = "train"
    numbers = _numbers("ewmd_train", "training")
