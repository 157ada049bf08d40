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
from textbench.contracts.number import Number


class JSD(Metric):
    """Both of them, from the same two sets of sequences.

    Stepwise: ½ Σ_t E_{P prefixes} KL(P_t ‖ M_t) + ½ Σ_t E_{G prefixes} KL(G_t ‖ M_t) with
    M_t = ½(P_t + G_t). Same expectation as the authors' estimator, which looks at the realised
    token only; taking the expectation over the vocabulary lowers its variance.

    Of sequences: ½ E_P[log P(s)/M(s)] + ½ E_G[log G(s)/M(s)] with M = ½(P + G).
    """

    name = "jsd"
    numbers = (
        Number(
            "jsd_stepwise",
            "lower",
            "nats/sequence",
            "what CoT's figures call JSD: token-level terms summed over T, nats/sequence",
        ),
        Number(
            "jsd_sequence",
            "lower",
            "nats",
            "the true JSD of the sequence distributions, nats; saturates at ln 2",
        ),
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version and both sample sizes."""
        sizes = f"{evaluation.sampling}+{len(evaluation.test)}"
        return {
            "jsd_stepwise": f"jsd_stepwise/1 full-vocabulary {sizes}",
            "jsd_sequence": f"jsd_sequence/1 {sizes}",
        }

    def compute(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the values, in [0, T ln 2] and (a Monte Carlo estimate) in [0, ln 2]."""
        halves = (evaluation.on_test, evaluation.on_samples)
        return {
            "jsd_stepwise": 0.5 * (halves[0].kl_mixture + halves[1].kl_mixture),
            "jsd_sequence": 0.5 * sum(_kl_to_mixture(half) for half in halves),
        }


def _kl_to_mixture(scores: PairScores) -> float:
    """E_A[log A(s) − log ½(A(s) + B(s))]."""
    log_mixture = torch.logaddexp(scores.log_a, scores.log_b) - math.log(2.0)
    return float((scores.log_a - log_mixture).mean())
