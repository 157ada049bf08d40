"""The LSTM language model that the basic trainers share, and its fast parts.

Public for plugins, and imported when asked for:

* `Generator`, the contract of a model, and `Tempered`, another one at an inverse temperature;
* `LinearOutput`, the output layer of a model that has one, by which it is scored faster;
* `LSTMLanguageModel`, whose teacher forcing, losses and sampling are fast, and its cell `LSTM`;
* `rollouts`, completions of every prefix;
* `draw`, one symbol per row of logits from one uniform number each;
* `linear_cross_entropy` and `linear_kl_rows`, losses over a vocabulary that keep no logits;
* `reads`, which makes a method of one's own count what it reads;
* `descend`, one step of an optimiser along its own parameters' clipped gradient;
* `score_pair`, `token_nll`, `mean_nll` and `mean_entropy`, exact scores of models on sequences.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textbench.backbone.cell import LSTM
    from textbench.backbone.descent import descend
    from textbench.backbone.generator import Generator, Tempered
    from textbench.backbone.ledger import reads
    from textbench.backbone.linear_scores import LinearOutput
    from textbench.backbone.losses import linear_cross_entropy, linear_kl_rows
    from textbench.backbone.lstm import LSTMLanguageModel
    from textbench.backbone.rollout import rollouts
    from textbench.backbone.sampling import draw
    from textbench.backbone.scoring import (
        PairScores,
        mean_entropy,
        mean_nll,
        score_pair,
        token_nll,
    )

__all__ = [
    "LSTM",
    "Generator",
    "LSTMLanguageModel",
    "LinearOutput",
    "PairScores",
    "Tempered",
    "descend",
    "draw",
    "linear_cross_entropy",
    "linear_kl_rows",
    "mean_entropy",
    "mean_nll",
    "reads",
    "rollouts",
    "score_pair",
    "token_nll",
]

_HOMES = {
    "cell": ("LSTM",),
    "descent": ("descend",),
    "generator": ("Generator", "Tempered"),
    "ledger": ("reads",),
    "linear_scores": ("LinearOutput",),
    "losses": ("linear_cross_entropy", "linear_kl_rows"),
    "lstm": ("LSTMLanguageModel",),
    "rollout": ("rollouts",),
    "sampling": ("draw",),
    "scoring": ("PairScores", "mean_entropy", "mean_nll", "score_pair", "token_nll"),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
