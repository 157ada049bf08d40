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


class _EWMD(Metric):
    """Everything that one set of critics tells."""

    section = "ewmd"
    family = "text"
    when = "final"
    config_schema = EWMDConfig
    config: EWMDConfig
    against: ClassVar[Literal["test", "train"]]
    part: ClassVar[str]

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version, variant, steps, critics, n and T."""
        c = self.config
        n = len(self._sides(evaluation)[0])
        return (
            f"ewmd/1 {c.variant} steps={c.steps} critics={c.critics} n={n}+{n} "
            f"T={evaluation.task.length + 1}"
        )

    def compute(self, evaluation: Evaluation) -> float:
        """Return this part of what the critics found."""
        key = ("ewmd", self.against, self.config)
        found = evaluation.once(key, lambda: self._measure(evaluation))
        return float(getattr(found, self.part))

    def _sides(self, evaluation: Evaluation) -> tuple[Tensor, Tensor]:
        """Return real and generated sentences, equally many: all of the smaller side."""
        task = evaluation.text
        real = task.test() if self.against == "test" else task.train(evaluation.seed, 0)
        samples = evaluation.samples
        n = min(len(real), len(samples))
        if n < 2:
            raise NotApplicableError("eWMD needs at least two sentences on each side")
        order = torch.randperm(len(real), generator=stream(evaluation.seed, "ewmd", self.against))
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
    """eWMD of the samples and the test set: the mean of the critics' held-out estimates."""

    name = "ewmd_test"
    against = "test"
    part = "value"
    direction = "lower"
    headline = True
    summary = "eWMD of samples and test set, estimated on held-out halves"


class EWMDTestSigma(_EWMD):
    """The standard deviation of `ewmd_test` over its critics."""

    name = "ewmd_test_sigma"
    against = "test"
    part = "sigma"
    direction = "none"
    summary = "standard deviation of ewmd_test over its critics; not over training seeds"


class EWMDTestInSample(_EWMD):
    """`ewmd_test` on the critics' own training halves, which is biased upwards."""

    name = "ewmd_test_in_sample"
    against = "test"
    part = "in_sample"
    direction = "none"
    summary = "ewmd_test on the critics' training halves: biased upwards"


class EWMDTestGradientNorm(_EWMD):
    """The critics' mean gradient norm, which should be about 1."""

    name = "ewmd_test_gradient_norm"
    against = "test"
    part = "gradient_norm"
    direction = "none"
    summary = "mean gradient norm of ewmd_test's critics at held-out interpolates; about 1"


class EWMDTestNormalised(_EWMD):
    """`ewmd_test` divided by max(1, mean gradient norm)."""

    name = "ewmd_test_normalised"
    against = "test"
    part = "normalised"
    direction = "lower"
    summary = "ewmd_test over max(1, gradient norm): without the overshoot of soft constraints"


class EWMDTrain(_EWMD):
    """eWMD of the samples and as many training sentences; copying them scores best."""

    name = "ewmd_train"
    against = "train"
    part = "value"
    direction = "lower"
    summary = "eWMD of samples and training set, estimated on held-out halves"


class EWMDTrainSigma(_EWMD):
    """The standard deviation of `ewmd_train` over its critics."""

    name = "ewmd_train_sigma"
    against = "train"
    part = "sigma"
    direction = "none"
    summary = "standard deviation of ewmd_train over its critics; not over training seeds"


class EWMDTrainInSample(_EWMD):
    """`ewmd_train` on the critics' own training halves, which is biased upwards."""

    name = "ewmd_train_in_sample"
    against = "train"
    part = "in_sample"
    direction = "none"
    summary = "ewmd_train on the critics' training halves: biased upwards"


class EWMDTrainGradientNorm(_EWMD):
    """The critics' mean gradient norm, which should be about 1."""

    name = "ewmd_train_gradient_norm"
    against = "train"
    part = "gradient_norm"
    direction = "none"
    summary = "mean gradient norm of ewmd_train's critics at held-out interpolates; about 1"


class EWMDTrainNormalised(_EWMD):
    """`ewmd_train` divided by max(1, mean gradient norm)."""

    name = "ewmd_train_normalised"
    against = "train"
    part = "normalised"
    direction = "lower"
    summary = "ewmd_train over max(1, gradient norm): without the overshoot of soft constraints"
