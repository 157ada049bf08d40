"""The synthetic Turing test: sequences drawn from an LSTM oracle whose law is known.

Setting of SeqGAN (Yu et al., 2017), section "Synthetic data experiments", and of CoT, section
4.1: V = 5,000, T = 20, an LSTM of width 32 with all parameters N(0, 1), 9,984 training sequences
(10,000 cut to full batches of 64).
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import Config
from textbench.contracts.errors import UserError
from textbench.contracts.spec import digest
from textbench.contracts.streams import stream
from textbench.contracts.task import Kept, Task
from textbench.tasks import oracle as oracles
from textbench.tasks.download import fetch

DRAWS_VERSION = 2
"""Raised when the same configuration starts to draw other sequences."""


class SyntheticConfig(Config):
    """Options of `synthetic`."""

    oracle: str = "seeded"
    """``seeded`` (drawn from oracle_seed), ``published`` (SeqGAN's parameters, downloaded), or
    a file: a SeqGAN pickle or an .npz."""
    oracle_seed: int = Field(94, ge=0)
    """Seed of the oracle's parameters and of the validation and test draws. Of the seeds 0 to 99
    the default comes nearest to the published oracle's entropy: 5.749 +- 0.004 against 5.756."""
    vocab_size: int = Field(5000, ge=2)
    """V, of a seeded oracle."""
    length: int = Field(20, ge=1)
    """T, tokens per sequence."""
    embedding: int = Field(32, ge=1)
    """Width of a seeded oracle's embedding."""
    hidden: int = Field(32, ge=1)
    """Width of a seeded oracle's LSTM state."""
    train_size: int = Field(9984, ge=1)
    """Training sequences: 156 batches of 64."""
    validation_size: int = Field(2048, ge=1)
    """Validation sequences."""
    test_size: int = Field(9984, ge=1)
    """Held-out test sequences."""
    data: Literal["fixed", "fresh"] = "fixed"
    """``fixed``: one training sample for the whole run; ``fresh``: a new draw in every pass."""


class Synthetic(Task[SyntheticConfig]):
    """Sequences of an LSTM oracle (SeqGAN's synthetic task)."""

    name = "synthetic"
    config_schema = SyntheticConfig
    draws_fresh = True

    def __init__(self, config: SyntheticConfig) -> None:
        super().__init__(config)
        self._set_up(self._parameters())

    def _set_up(self, parameters: dict[str, oracles.Array]) -> None:
        config = self.config
        self.length = config.length
        self.parameters = parameters
        self.vocab_size = len(self.parameters["b_out"])
        published = oracles.fingerprint(self.parameters) == oracles.PUBLISHED_FINGERPRINT
        self.oracle_name = "published" if published else config.oracle
        # Every evaluation scores the training sequences; drawing them again takes a second.
        self._train = lru_cache(maxsize=1)(self._draw)
        self._held_out = lru_cache(maxsize=2)(self._draw)

    def _parameters(self) -> dict[str, oracles.Array]:
        config = self.config
        if config.oracle == "seeded":
            return oracles.draw_parameters(
                config.oracle_seed, config.vocab_size, config.embedding, config.hidden
            )
        for key in ("vocab_size", "embedding", "hidden"):
            if getattr(config, key) != type(config).model_fields[key].default:
                raise UserError(
                    f"{self.name}.{key} has no effect with {self.name}.oracle={config.oracle}, "
                    "whose parameters fix it"
                )
        if config.oracle == "published":
            return oracles.load_parameters(fetch(oracles.PUBLISHED))
        path = Path(config.oracle).expanduser()
        if not path.exists():
            raise UserError(
                f"{self.name}.oracle: no file {config.oracle!r}; use seeded, published or a file"
            )
        return oracles.load_parameters(path)

    @cached_property
    def oracle(self) -> LSTMLanguageModel:  # type: ignore[override]
        """The true distribution."""
        return oracles.build(self.parameters, self.length)

    def fingerprint(self) -> str:
        """See `Task.fingerprint`: the oracle's parameters, not where they came from."""
        sizes = ("length", "oracle_seed", "train_size", "validation_size", "test_size", "data")
        identity = {key: getattr(self.config, key) for key in sizes}
        return digest(
            {**identity, "draws": DRAWS_VERSION, "oracle": oracles.fingerprint(self.parameters)}
        )

    def kept(self) -> Kept | None:
        """See `Task.kept`: the parameters of an oracle that no seed gives again."""
        if self.config.oracle == "seeded":
            return None
        return Kept({}, {k: torch.from_numpy(v.copy()) for k, v in self.parameters.items()})

    @classmethod
    def restored(cls, config: SyntheticConfig, kept: Kept) -> Self:
        """See `Task.restored`."""
        task = cls.__new__(cls)
        Task.__init__(task, config)
        task._set_up({name: kept.tensors[name].numpy() for name in oracles.NAMES})
        return task

    def train(self, seed: int, number: int) -> Tensor:
        """See `Task.train`; with ``data=fixed`` every pass is pass 0."""
        return self.fresh(seed, number if self.config.data == "fresh" else 0)

    def fresh(self, seed: int, number: int) -> Tensor:
        """See `Task.fresh`."""
        return self._train(self.config.train_size, seed, "train", number)

    def train_size(self) -> int:
        """See `Task.train_size`."""
        return self.config.train_size

    def validation(self) -> Tensor:
        """See `Task.validation`."""
        return self._held_out(self.config.validation_size, self.config.oracle_seed, "validation")

    def test(self) -> Tensor:
        """See `Task.test`."""
        return self._held_out(self.config.test_size, self.config.oracle_seed, "test")

    def _draw(self, n: int, seed: int, *names: object) -> Tensor:
        return self.oracle.sample(n, stream(seed, "data", *names))

    def decode(self, tokens: Tensor) -> list[str]:
        """See `Task.decode`: token ids."""
        return [" ".join(map(str, row)) for row in tokens.tolist()]


class SyntheticTinyConfig(SyntheticConfig):
    """Options of `synthetic-tiny`."""

    vocab_size: int = Field(24, ge=2)
    """V, of a seeded oracle."""
    length: int = Field(8, ge=1)
    """T, tokens per sequence."""
    embedding: int = Field(8, ge=1)
    """Width of a seeded oracle's embedding."""
    hidden: int = Field(8, ge=1)
    """Width of a seeded oracle's LSTM state."""
    train_size: int = Field(512, ge=1)
    """Training sequences: 8 batches of 64."""
    validation_size: int = Field(256, ge=1)
    """Validation sequences."""
    test_size: int = Field(512, ge=1)
    """Held-out test sequences."""


class SyntheticTiny(Synthetic):
    """The same at a size for tests and CI: seconds, and the true JSD is not saturated."""

    name = "synthetic-tiny"
    config_schema = SyntheticTinyConfig
