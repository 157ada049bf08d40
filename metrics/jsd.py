"""The two quantities that go by the name of Jensen-Shannon divergence.

What CoT's Figures 2b and 3 plot as "JSD" is computed by the authors' code (``jsd_calculate``) as a
sum over the 20 steps of token-level terms, each with its own mixture and each half with its own
prefixes: it lies in [0, T ln 2] and is not the JSD of the two sequence distributions. That one lies
in [0, ln 2] and is saturated at ln 2 for every model on the paper's task.
"""

from __future__ import annotations

import math

import torch

from textbench.backbone.scoring import PairScores
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric


class JSDStepwise(Metric):
    """½ Σ_t E_{P prefixes} KL(P_t ‖ M_t) + ½ Σ_t E_{G prefixes} KL(G_t ‖ M_t), M_t = ½(P_t + G_t).

    Same expectation as the authors' estimator, which looks at the realised token only; taking
    the expectation over the vocabulary lowers its variance.
    """

    name = "jsd_stepwise"
    direction = "lower"
    summary = "what CoT's figures call JSD: token-level terms summed over T, nats/sequence"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and both sample sizes."""
        return f"jsd_stepwise/1 full-vocabulary {evaluation.sampling}+{len(evaluation.test)}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the value, in [0, T ln 2]."""
        return 0.5 * (evaluation.on_test.kl_mixture + evaluation.on_samples.kl_mixture)


class JSDSequence(Metric):
    """½ E_P[log P(s)/M(s)] + ½ E_G[log G(s)/M(s)], M = ½(P + G) over whole sequences."""

    name = "jsd_sequence"
    direction = "lower"
    summary = "the true JSD of the sequence distributions, nats; saturates at ln 2"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and both sample sizes."""
        return f"jsd_sequence/1 {evaluation.sampling}+{len(evaluation.test)}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the Monte Carlo estimate of a value in [0, ln 2]."""
        halves = (evaluation.on_test, evaluation.on_samples)
        return 0.5 * sum(_kl_to_mixture(half) for half in halves)


def _kl_to_mixture(scores: PairScores) -> float:
    """E_A[log A(s) − log ½(A(s) + B(s))]."""
    log_mixture = torch.logaddexp(scores.log_a, scores.log_b) - math.log(2.0)
    return float((scores.log_a - log_mixture).mean())
