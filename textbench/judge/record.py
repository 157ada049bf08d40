"""What a run's own record says of how it was made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from textbench.contracts.plain import Json

IDENTITY = ("trainer", "version", "config", "backbone", "evaluation", "metrics", "alpha", "warmup")
"""What decides a run's numbers, besides its data and its seed."""
SCHEDULE = {
    "epochs": "epochs",
    "iterations": "iterations",
    "rounds": "rounds",
    "warmup_epochs": "warm-up epochs",
    "d_pretrain": "discriminator loads before the first round",
    "d_pretrain_epochs": "passes over each load before the first round",
    "d_steps": "discriminator loads a round",
    "d_epochs": "passes over each discriminator load",
}
"""What the options that set a schedule's length count."""
SIZES = re.compile(r"([\d,]+) / [\d,]+ / ([\d,]+) sentences \(train / valid / test\)")
"""How the note of a text task's record states its sizes."""


@dataclass(frozen=True)
class Record:
    """What a run's record says of how it was made."""

    label: str
    trainer: str
    config: Mapping[str, Json]
    task: str
    task_config: Mapping[str, Json]
    fingerprint: str
    oracle: str
    backbone: Mapping[str, int]
    evaluation: Mapping[str, int]
    note: str = ""
    overrides: Mapping[str, object] = field(default_factory=dict)
    own_generator: bool = False
    fresh_data: bool = False
    warmup: Record | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Record:
        """Read a record: a row of `load_runs`, or the content of a ``spec.json``.

        Raises:
            KeyError: One of trainer, config, task, task_config, task_fingerprint, backbone and
                evaluation is missing.
        """
        variant, alpha = row.get("variant") or "", row.get("alpha", 1.0)
        name = f"{row['trainer']}:{variant}" if variant else str(row["trainer"])
        name += f" alpha={alpha:g}" if alpha not in (1.0, None) and alpha == alpha else ""
        warmup = row.get("warmup")
        return cls(
            label=row.get("label") or name,
            trainer=row["trainer"],
            config=row["config"],
            task=row["task"],
            task_config=row["task_config"],
            fingerprint=row["task_fingerprint"],
            oracle=_text(row.get("oracle")) or str(row["task_config"].get("oracle", "")),
            backbone=row["backbone"],
            evaluation=row["evaluation"],
            note=_text(row.get("task_note")),
            overrides=_overrides(row.get("changes", row.get("overrides"))),
            own_generator=row.get("own_generator") in (True, 1),
            fresh_data=row.get("fresh_data") in (True, 1),
            warmup=cls.of(warmup) if isinstance(warmup, Mapping) else None,
        )

    @property
    def own_overrides(self) -> dict[str, object]:
        """What the user changed of the trainer's own options, by option."""
        return own_overrides(self.overrides, self.label, self.trainer)

    @property
    def schedule(self) -> str:
        """How long it trained, in words: ``"20 warm-up epochs, 30 rounds"``."""
        length = "iterations" if self.config.get("iterations") else "epochs"
        keys = ("warmup_epochs", length, "rounds")
        return ", ".join(f"{self.config[k]:,} {SCHEDULE[k]}" for k in keys if k in self.config)

    @property
    def made(self) -> str:
        """How it was made where a paper is silent: ``"12 epochs, 9,000 training sequences"``."""
        size = self.size("train")
        return ", ".join(
            filter(None, (self.schedule, f"{size:,} training sequences" if size else ""))
        )

    @property
    def last_epoch(self) -> int | None:
        """The epoch at which training ends, warm-up included; None where options do not tell."""
        lengths = {key for key in self.config if re.search("epoch|round", key)}
        counted = ("warmup_epochs", "epochs", "rounds")
        found = [value for key in counted if isinstance(value := self.config.get(key), int)]
        own = lengths - SCHEDULE.keys() or self.config.get("iterations")
        if not found or own:  # it counts its epochs in a way of its own
            return None
        return sum(found)

    @property
    def length(self) -> float:
        """Symbols in a sequence; NaN if that is not on record."""
        value = self.task_config.get("length")
        return float(value) if isinstance(value, int) else math.nan

    def size(self, split: str) -> int | None:
        """Return how many sequences ``"train"`` or ``"test"`` has; None if it is not on record."""
        size = self.task_config.get(f"{split}_size")
        if isinstance(size, int):
            return size
        found = SIZES.match(self.note)
        if found is None:
            return None
        return int(found[1 if split == "train" else 2].replace(",", ""))


def flat(identity: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield what `IDENTITY` names of a run and its warm-up, option by option."""
    for key, value in identity.items():
        if key == "warmup" and isinstance(value, Mapping):
            yield from flat({name: value.get(name) for name in IDENTITY}, f"{prefix}warmup.")
        elif isinstance(value, Mapping):
            yield from flat(value, prefix if key == "config" else f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def own_overrides(overrides: object, label: str, trainer: str) -> dict[str, object]:
    """Return the changes of a trainer's own options, without its name.

    Args:
        overrides: As `Spec.overrides`, or as the text of a frame.
        label: The row's; a section may be called so (`is_own`).
        trainer: Or its trainer.
    """
    return {
        key.rpartition(".")[2]: value
        for key, value in _overrides(overrides).items()
        if is_own(key, label, trainer)
    }


def is_own(key: str, label: str, trainer: str) -> bool:
    """Tell whether ``SECTION.OPTION`` or ``SECTION@PLACE.OPTION`` is an option of the trainer."""
    return key.rpartition(".")[0].partition("@")[0] in (label, trainer)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _overrides(value: object) -> dict[str, object]:
    """Accept a mapping, or the text of a frame: ``"cot.epochs=32 evaluation.every=4"``."""
    if isinstance(value, Mapping):
        return dict(value)
    parts = re.split(r" (?=[\w:@./-]+\.\w+=)", _text(value))
    return {key: text for key, _, text in (part.partition("=") for part in parts) if key}
