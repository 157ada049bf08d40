"""The part of CoT's gradient that constant prefixes drop.

Eq. 13 differentiates an expectation over s ~ G of Σ_t KL(π_g(s_t) ‖ π_m(s_t)) = KL(G ‖ M). Its
gradient has two parts: the one inside the expectation, which every implementation takes, and
that of the distribution of the prefixes. With a_t = log π_g − log π_m, prefix s_t contributes

    G(s_t) Σ_v ∇π_g(v|s_t) (a_t(v) + Q_t(v)),

where Q_t(v), the KL to go, is the expected sum of the later a along G after s_t and v. This file
estimates the second part, Σ_t ∇ log π_g(x_t|s_t) Q_t(x_t), from the sampled sequences themselves.
"""

from __future__ import annotations

from torch import Tensor

from textbench.backbone.lstm import LSTMLanguageModel

from .goal_generator import GoalFactoredGenerator


def prefix_term(
    generator: LSTMLanguageModel | GoalFactoredGenerator, s: Tensor, kl: Tensor
) -> Tensor:
    """Return a scalar whose gradient is an unbiased estimate of the dropped part.

    Q_t(x_t) is estimated by the sum of the full-vocabulary KL at the later prefixes of the same
    sequence. The mean of that sum over the batch's *other* sequences is the baseline: it does
    not depend on x_t, so it lowers the variance and leaves the expectation.

    Args:
        generator: G; only log π_g(x_t|s_t) is differentiated.
        s: Its samples, ``(B, T)``.
        kl: KL(π_g(s_t) ‖ π_m(s_t)) at their prefixes, ``(B, T)``, constants.
    """
    to_go = kl.flip(1).cumsum(1).flip(1) - kl
    baseline = (to_go.sum(0) - to_go) / max(len(s) - 1, 1)  # 0 for a single sequence
    return generator.weighted_nll(s, (baseline - to_go) / len(s))
