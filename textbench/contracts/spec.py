"""A spec names one run completely: one trainer, on one task, with one seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from textbench.contracts.plain import JsonObject

FORMAT = 1
"""Version of the spec's own layout; it is part of the identity."""
SENTENCES = "sentences"
"""The configuration of a row of given sentences: their hash."""


@dataclass(frozen=True)
class Spec:
    """Everything that determines a run's numbers, and a few labels that do not.

    Two specs with the same `identity` are the same run: same directory, same bits on CPU.
    """

    trainer: str
    """Registered name, e.g. ``cot``."""
    version: int
    """The trainer's declared version; raising it starts new runs."""
    config: JsonObject
    """Every field of the trainer's configuration, resolved."""
    task: str
    task_config: JsonObject
    task_fingerprint: str
    """Hash of what the task's numbers depend on: oracle parameters or corpus bytes, sizes."""
    backbone: dict[str, int]
    """Sizes of the shared LSTM, resolved."""
    evaluation: JsonObject
    """When and on how many samples metrics are computed (`EvaluationConfig`)."""
    seed: int
    warmup: Spec | None = None
    """The ordinary run whose final generator this run starts from."""
    metrics: dict[str, JsonObject] = field(default_factory=dict)
    """Options of metrics, resolved; those that nobody changed are not listed."""

    # Labels: shown in tables, not part of the identity.
    variant: str = ""
    preset: str = ""
    preset_summary: str = ""
    """The preset's own one line."""
    overrides: JsonObject = field(default_factory=dict)
    """What the user changed by ``--set`` or ``--config``, e.g. ``{"cot.g_lr": 0.001}``."""
    task_note: str = ""
    """What a reader must know about the task's data (`textbench.contracts.task.Task.note`)."""
    oracle: str = ""
    """Which oracle the task resolved to (`textbench.contracts.task.Task.oracle_name`)."""
    title: str = ""
    """What tables call the trainer (`Trainer.title`)."""
    fresh_data: bool = False
    """Whether it saw new training sequences in every pass (`Trainer.fresh_data`)."""
    own_generator: bool = False
    """Whether the generator is not the shared LSTM (`Trainer.brings_generator`)."""
    alpha: float = 1.0
    """Of a row that `textbench evaluate` made: the inverse temperature of the finished generator.
    Training knows none."""
    plugins: tuple[str, ...] = ()
    """Plugin files that must be loaded before the names above can be resolved."""

    @property
    def label(self) -> str:
        """The row's name: ``trainer`` or ``trainer:variant``, and `alpha` where it is not 1."""
        name = f"{self.trainer}:{self.variant}" if self.variant else self.trainer
        return name if self.alpha == 1.0 else f"{name} alpha={self.alpha:g}"

    def identity(self) -> JsonObject:
        """Return the part of the spec that determines the run's numbers."""
        return {
            "format": FORMAT,
            "trainer": self.trainer,
            "version": self.version,
            "config": self.config,
            "task": self.task,
            "task_fingerprint": self.task_fingerprint,
            "backbone": dict(self.backbone),
            "evaluation": self.evaluation,
            "seed": self.seed,
            "warmup": self.warmup.identity() if self.warmup else None,
            **({"metrics": dict(self.metrics)} if self.metrics else {}),
            **({"alpha": self.alpha} if self.alpha != 1.0 else {}),
        }

    @cached_property
    def hash(self) -> str:
        """Hex sha256 of the canonical identity."""
        return digest(self.identity())

    @property
    def group(self) -> str:
        """Hash of the identity without the seed: runs of one group are replicates.

        A seed of a row of given sentences is a file of them.
        """
        kept = _without_seed(self.identity())
        return digest({**kept, "config": {}} if self.given else kept)

    @property
    def given(self) -> bool:
        """Whether it is of given sentences (`textbench score`), which no trainer made."""
        return self.version == 0 and self.config.keys() == {SENTENCES}

    def at_seed(self, seed: int) -> Spec:
        """Return the replicate of another seed, its warm-up with it."""
        return replace(self, seed=seed, warmup=self.warmup and self.warmup.at_seed(seed))

    def directory(self, results: Path) -> Path:
        """Return ``results/<task>/<algorithm>/s<seed>-<hash8>``."""
        algorithm = self.label.replace(":", "-")
        return results / self.task / algorithm / f"s{self.seed}-{self.hash[:8]}"

    def to_json(self) -> JsonObject:
        """Return plain JSON data; `from_json` restores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spec:
        """Restore a spec written by `to_json`."""
        fields = dict(data)
        fields["warmup"] = cls.from_json(fields["warmup"]) if fields.get("warmup") else None
        fields["plugins"] = tuple(fields.get("plugins", ()))
        return cls(**fields)


def digest(data: object) -> str:
    """Hex sha256 of the canonical JSON of ``data``."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_seed(identity: JsonObject) -> JsonObject:
    kept = {key: value for key, value in identity.items() if key != "seed"}
    warmup = kept["warmup"]
    if isinstance(warmup, dict):
        kept["warmup"] = _without_seed(warmup)
    return kept
