"""Trainers that start from maximum likelihood: the warm-up is an ordinary run of `mle`."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import Field

from textbench.contracts.config import Config
from textbench.contracts.trainer import Trainer


class WarmedConfig(Config):
    """Options of the warm-up."""

    warmup_epochs: int = Field(120, ge=1)
    """Epochs of the maximum-likelihood warm-up, an ordinary `mle` run (SeqGAN code: 120)."""
    warmup_lr: float = Field(0.01, gt=0)
    """Adam's learning rate in the warm-up."""


W = TypeVar("W", bound=WarmedConfig)


class WarmedTrainer(Trainer[W], Generic[W]):
    """Starts from the generator that `mle` ends with; runs of the same warm-up share it."""

    @classmethod
    def warmup(cls, config: W) -> tuple[str, dict[str, float]]:
        """Start from maximum likelihood."""
        return "mle", {"epochs": config.warmup_epochs, "lr": config.warmup_lr}
