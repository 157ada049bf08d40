"""Metrics that each break one promise, and some that break none.

`breaks` names the check that must fail, `says` is a part of what it must say.

A plugin file: `tests/harness/test_check_metric.py` loads it as a user would load theirs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from textbench.contracts.config import Config
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError, Values
from textbench.contracts.number import Number
from textbench.contracts.streams import stream


class Options(Config):
    """Options of some of them."""

    least: int = Field(1, ge=1)
    """How often a symbol must occur to count."""
    weighting: Literal["plain", "squared"] = "plain"
    """How what is missing is counted."""


class Candid(Metric):
    """The share of symbols that the samples use."""

    name = "candid"
    breaks: ClassVar[str] = ""
    says: ClassVar[str] = ""
    direction = "higher"
    summary = "share of the symbols that the samples use"
    config_schema = Options

    def share(self, evaluation: Evaluation) -> float:
        used = evaluation.samples.flatten().bincount(minlength=evaluation.task.vocab_size)
        share = (used >= self.config.least).double().mean().item()
        return share if self.config.weighting == "plain" else share / 2

    def protocol(self, evaluation: Evaluation) -> str | Mapping[str, str]:
        options = f"least={self.config.least} {self.config.weighting}"
        return f"{self.name}/1 {evaluation.sampling} {options}"

    def compute(self, evaluation: Evaluation) -> float | Values:
        return self.share(evaluation)


class Careful(Candid):
    """Draws as it should, and says of one of its numbers that it needs a likelihood."""

    name = "careful"
    numbers = (
        Number("careful_share", "higher", "", "share of some symbols that the samples use"),
        Number("careful_nll", "lower", "nats/token", "NLL of held-out sequences"),
    )

    def compute(self, evaluation: Evaluation) -> float | Values:
        rng = stream(evaluation.seed, "careful", evaluation.moment)
        chosen = torch.randperm(evaluation.n, generator=rng)[: evaluation.n // 2]
        used = evaluation.samples[chosen].unique().numel()
        nll: float | NotApplicableError
        try:
            nll = evaluation.test_nll
        except NotApplicableError as error:
            nll = error
        return {"careful_share": used / evaluation.task.vocab_size, "careful_nll": nll}

    def protocol(self, evaluation: Evaluation) -> str | Mapping[str, str]:
        return f"careful/1 {evaluation.sampling}+{len(evaluation.test)} {self.config}"


class Raising(Candid):
    name = "raising"
    breaks = "runs"
    says = "on an ordinary generator it raised ZeroDivisionError: on purpose (broken_metrics.py:"

    def compute(self, evaluation: Evaluation) -> float:
        raise ZeroDivisionError("on purpose")


# -- what is known of its numbers ------------------------------------------------------------------


class MuteOptions(Config):
    """One of them without a word."""

    least: int = 1


class Mute(Candid):
    name = "mute"
    breaks = "config"
    says = "no help text for least"
    config_schema = MuteOptions

    def compute(self, evaluation: Evaluation) -> float:
        return float(evaluation.samples.unique().numel())

    def protocol(self, evaluation: Evaluation) -> str:
        return f"mute/1 {evaluation.sampling} least={self.config.least}"


class Wordless(Candid):
    name = "wordless"
    breaks = "numbers"
    says = "wordless has no summary of one line"
    summary = ""


class Sometimes(Candid):
    name = "sometimes"
    breaks = "numbers"
    says = "when is 'sometimes'"
    when: ClassVar[Any] = "sometimes"


class Surplus(Candid):
    name = "surplus"
    breaks = "numbers"
    says = "compute() returns surplus, bonus"

    def compute(self, evaluation: Evaluation) -> Values:
        return {"surplus": self.share(evaluation), "bonus": 1.0}


# -- values ----------------------------------------------------------------------------------------


class Endless(Candid):
    name = "endless"
    breaks = "values"
    says = "endless is inf"

    def compute(self, evaluation: Evaluation) -> float:
        return float("inf")


class Void(Candid):
    name = "void"
    breaks = "values"
    says = "void is a NoneType"

    def compute(self, evaluation: Evaluation) -> Any:
        self.share(evaluation)


class Vectorial(Candid):
    name = "vectorial"
    breaks = "values"
    says = "vectorial is a Tensor"

    def compute(self, evaluation: Evaluation) -> Any:
        return torch.full((3,), self.share(evaluation))


class Textual(Candid):
    name = "textual"
    breaks = "values"
    says = "textual is a str"

    def compute(self, evaluation: Evaluation) -> Any:
        return str(self.share(evaluation))


class Absentminded(Candid):
    """Its protocol fails where its value does not."""

    name = "absentminded"
    breaks = "protocol"
    says = "it raised KeyError: 'lost' (broken_metrics.py:"

    def protocol(self, evaluation: Evaluation) -> str:
        return {"found": "absentminded/1"}["lost"]


class Tensorial(Candid):
    name = "tensorial"
    breaks = "values"
    says = "tensorial is a Tensor"

    def compute(self, evaluation: Evaluation) -> Any:
        return torch.tensor(self.share(evaluation))


class Numeric(Candid):
    """Its value is numpy's."""

    name = "numeric"

    def compute(self, evaluation: Evaluation) -> Any:
        return np.float32(self.share(evaluation))


class Unreasoned(Candid):
    name = "unreasoned"
    breaks = "values"
    says = "unreasoned does not apply, and no line says why"

    def compute(self, evaluation: Evaluation) -> float:
        raise NotApplicableError("")


class Verbose(Candid):
    name = "verbose"
    breaks = "values"
    says = "verbose does not apply, and several lines say why"

    def compute(self, evaluation: Evaluation) -> float:
        raise NotApplicableError("one line\nand another")


class Spread(Candid):
    """Divides by a spread that is 0 where samples are all alike."""

    name = "spread"
    breaks = "edges"
    says = "of samples that are all alike spread is nan"

    def compute(self, evaluation: Evaluation) -> float:
        sums = evaluation.samples.double().sum(1)
        return float(((sums - sums.mean()) / sums.std()).abs().max()) * self.share(evaluation)


class Halving(Candid):
    """Needs three samples, and says so by an exception of its own."""

    name = "halving"
    breaks = "edges"
    says = "of two samples it raised ValueError: too few"

    def compute(self, evaluation: Evaluation) -> float:
        if evaluation.n < 3:
            raise ValueError("too few")
        return self.share(evaluation)


# -- randomness ------------------------------------------------------------------------------------


class Whimsical(Candid):
    name = "whimsical"
    breaks = "determinism"
    says = "computed again, whimsical is"

    def compute(self, evaluation: Evaluation) -> float:
        return self.share(evaluation) + os.urandom(1)[0] + os.urandom(1)[0] / 256


class Gambling(Candid):
    name = "gambling"
    breaks = "global randomness"
    says = "with other global random numbers, gambling is"

    def compute(self, evaluation: Evaluation) -> float:
        return self.share(evaluation) + float(torch.rand(()))


# -- what it leaves behind -------------------------------------------------------------------------


class Sorting(Candid):
    name = "sorting"
    breaks = "no trace"
    says = "evaluation.samples was changed"

    def compute(self, evaluation: Evaluation) -> float:
        evaluation.samples[:] = evaluation.samples.sort(1).values
        return self.share(evaluation)


class Pruning(Candid):
    name = "pruning"
    breaks = "no trace"
    says = "the generator's embedding was changed"

    def compute(self, evaluation: Evaluation) -> float:
        with torch.no_grad():
            for parameter in evaluation.generator.parameters():
                parameter.mul_(0.5)
        return self.share(evaluation)


class Doubling(Candid):
    name = "doubling"
    breaks = "no trace"
    says = "torch's default dtype was changed"

    def compute(self, evaluation: Evaluation) -> float:
        torch.set_default_dtype(torch.float64)
        return self.share(evaluation)


class Greedy(Candid):
    name = "greedy"
    breaks = "draws"
    says = "it draws 1 times from the generator itself"

    def compute(self, evaluation: Evaluation) -> float:
        try:
            evaluation.generator.log_probs(evaluation.samples[:1])
        except NotApplicableError:
            return self.share(evaluation)
        evaluation.generator.sample(8, stream(evaluation.seed, "greedy"))
        return self.share(evaluation)


class Clashing(Candid):
    """Puts a value of its own where BLEU looks for its counts."""

    name = "clashing"
    breaks = "company"
    says = "after it backward_bleu has other values"
    family = "text"

    def compute(self, evaluation: Evaluation) -> float:
        evaluation.once("bleu of samples", lambda: 0.0)
        return self.share(evaluation)


# -- samples alone, and protocols ------------------------------------------------------------------


class Pretending(Candid):
    """Has a value of stored samples which is not that of their generator."""

    name = "pretending"
    breaks = "stored samples"
    says = "of stored samples pretending is 0.0"

    def compute(self, evaluation: Evaluation) -> float:
        try:
            return -float(evaluation.generator.log_probs(evaluation.samples).detach().mean())
        except NotApplicableError:
            return 0.0


class Crude(Candid):
    name = "crude"
    breaks = "stored samples"
    says = "of stored samples it raised AttributeError"

    def compute(self, evaluation: Evaluation) -> float:
        generator: Any = evaluation.generator
        try:
            return float(generator.head_bias.detach().double().sum())
        except AttributeError:
            if len(evaluation.samples.unique(dim=0)) > 2:
                raise
            raise NotApplicableError("too few different samples") from None


class Sizeless(Candid):
    name = "sizeless"
    breaks = "protocol"
    says = "with 30 samples instead of 48 sizeless is"

    def compute(self, evaluation: Evaluation) -> float:
        return float(evaluation.n)

    def protocol(self, evaluation: Evaluation) -> str:
        return "sizeless/1"


class Secretive(Candid):
    name = "secretive"
    breaks = "protocol"
    says = "with weighting='squared' secretive is"

    def protocol(self, evaluation: Evaluation) -> str:
        return f"secretive/1 {evaluation.sampling} least={self.config.least}"


class Partial(Careful):
    name = "partial"
    breaks = "protocol"
    says = "the protocol of partial_nll is None"
    numbers = (
        Number("partial_share", "higher", "", "share of some symbols that the samples use"),
        Number("partial_nll", "lower", "nats/token", "NLL of held-out sequences"),
    )

    def compute(self, evaluation: Evaluation) -> Values:
        found: Any = super().compute(evaluation)
        return {name.replace("careful", "partial"): value for name, value in found.items()}

    def protocol(self, evaluation: Evaluation) -> Mapping[str, str]:
        return {"partial_share": f"partial/1 {evaluation.sampling}"}
