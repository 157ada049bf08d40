"""The record, named once: its files, its rows and its schema, for every writer and reader.

====================  ===========================================================================
``spec.json``         the spec, labels included (`textbench.contracts.spec.Spec`)
``env.json``          versions, commit, machine and its rates, threads, hash of the trainer's code;
                      one entry per start
``curve.jsonl``       training log, append-only: `LossRow` and `EpochRow`
``metrics.jsonl``     evaluations made during training, append-only: `EvaluationRow`
``evaluations.jsonl`` evaluations made afterwards by `textbench evaluate`: `LaterRow`
``checkpoint.pt``     atomically replaced, sealed (`textbench.store.seal`): the random streams, the
                      logs' offsets and checksums; ``checkpoint.previous.pt`` is the one before
``generator.pt``      the final generator's parameters, sealed
``samples.txt``       decoded samples of the final generator
``log.txt``           what the run printed, with tracebacks
``status.json``       atomically replaced heartbeat: `Status`
``lock``              held by the live process; the kernel lets go of it when that process dies
``owner.json``        which process that is (`textbench.store.lock`); its date is a heartbeat
``aside-N``           a folder of what an unusable record was before the run started again
====================  ===========================================================================

A record describes itself: whoever reads it needs neither the code that made it nor a plug-in.

``epoch`` counts finished epochs of phases that train the generator, the warm-up's included; a
"loss" row has the number finished before its last step, an evaluation within an epoch a fraction.
``seconds`` of an "epoch" row is that epoch's training time, evaluation excluded; ``ledger`` and
``seconds`` of an evaluation are cumulative and include the warm-up's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from textbench.contracts.number import Direction
from textbench.contracts.plain import JsonObject

SCHEMA = 2
"""Version of everything below; ``spec.json`` names it. `textbench convert` knows the older ones."""

SPEC, ENVIRONMENT, STATUS = "spec.json", "env.json", "status.json"
LOCK, OWNER = "lock", "owner.json"
CURVE, METRICS, EVALUATIONS = "curve.jsonl", "metrics.jsonl", "evaluations.jsonl"
CHECKPOINT, PREVIOUS, GENERATOR = "checkpoint.pt", "checkpoint.previous.pt", "generator.pt"
SAMPLES, PRINTED = "samples.txt", "log.txt"
RECORD = (SPEC, ENVIRONMENT, METRICS, EVALUATIONS, CURVE, SAMPLES, GENERATOR, STATUS)
"""What is published or put into an archive, in the order in which it is written: a record that is
cut off in the middle is no finished run."""
LOGS = (CURVE, METRICS)
"""What training appends to; a checkpoint counts their bytes."""

StatusName = Literal["queued", "running", "done", "failed", "diverged", "timeout", "interrupted"]
FINISHED: frozenset[StatusName] = frozenset({"done", "diverged"})
"""Repeating the command does not touch these; every other state is resumed."""
BROKEN: frozenset[StatusName] = frozenset({"failed", "diverged"})
"""These have no final result, and nothing is coming."""


RUN_COLUMNS = (
    *("run", "label", "title", "trainer", "variant", "overrides", "preset"),
    *("task", "task_fingerprint", "group", "seed", "status", "reason"),
    *("own_generator", "fresh_data", "warmup_label"),
)
"""What identifies a run; these columns open every frame (`textbench.store.frames`)."""
EVALUATION_COLUMNS = (
    *("evaluation", "warmup", "phase", "step"),
    *("epoch", "final", "seconds", "cpu_seconds"),
)
METRIC_COLUMNS = (
    *("metric", "value", "na_reason", "protocol"),
    *("direction", "unit", "summary"),
)
LOG_COLUMNS = ("warmup", "kind", "phase", "step", "epoch", "name", "value")
LEDGER_TAKEN = frozenset((*RUN_COLUMNS, *EVALUATION_COLUMNS, *METRIC_COLUMNS, *LOG_COLUMNS))
"""What no count of a ledger may be called: each count is a column beside these."""


Count = Annotated[int, Meta(ge=1 - 2**63, le=2**63 - 1)]
"""A whole number that fits a column."""
Real = Count | float
"""A number; one that was written whole stays whole."""


class Measurement(TypedDict):
    """One number of an evaluation, with all that is needed to judge it."""

    value: Real | None
    """None where it does not apply; then there is a `reason`, and no protocol."""
    protocol: str
    """How it was made: definition, version, sample sizes."""
    direction: Direction
    unit: str
    summary: str
    reason: NotRequired[str]


def values_of(metrics: Mapping[str, Measurement]) -> dict[str, float]:
    """Return the values that there are, by name: those of the numbers that apply."""
    found = ((name, one["value"]) for name, one in metrics.items())
    return {name: value for name, value in found if value is not None}


class EvaluationRow(TypedDict):
    """A line of ``metrics.jsonl``."""

    step: Count
    phase: str
    epoch: Real
    final: bool
    ledger: dict[str, Count]
    seconds: Real
    cpu_seconds: Real
    metrics: dict[str, Measurement]


class LaterRow(TypedDict):
    """A line of ``evaluations.jsonl``."""

    run: NotRequired[str]
    """The hash of the run's spec; textbench 0.1.0 did not write it."""
    time: str
    textbench: str
    alpha: float
    """The inverse temperature."""
    samples: int
    metrics: dict[str, Measurement]
    options: list[tuple[str, JsonObject]]
    """The metrics that were computed, by name, and their options."""
    checksum: NotRequired[str]
    """`textbench.contracts.spec.digest` of all the rest."""


class LossRow(TypedDict):
    """A line of ``curve.jsonl``: what the trainer logs, averaged over some steps."""

    kind: Literal["loss"]
    step: Count
    phase: str
    epoch: Count
    values: dict[str, Real | None]
    """None where it is no number; ours never are."""


class EpochRow(TypedDict):
    """A line of ``curve.jsonl``: the end of an epoch."""

    kind: Literal["epoch"]
    step: Count
    phase: str
    epoch: Count
    seconds: Real
    cpu_seconds: Real
    ledger: dict[str, Count]


class Start(TypedDict, total=False):
    """One start of a run, an entry of ``env.json``; other versions record other keys."""

    time: str
    """ISO 8601, UTC."""
    textbench: str
    torch: str
    numpy: str
    python: str
    commit: str
    dirty: bool | None
    """Whether the tree was changed; None where there is no commit."""
    machine: str
    cpu: str
    cores: int | None
    device: str
    cuda: str | None
    threads: int
    product_rate: float
    exponential_rate: float
    """Operations per second of the machine (`textbench.run.rates`)."""
    deterministic_algorithms: bool
    code: str
    """`textbench.plan.codehash.code_hash` of the trainer."""
    command: str
    step: int
    """Where it went on; 0 where it began at the beginning, and nothing of before counts."""


@dataclass
class Status:
    """Where a run stands."""

    status: StatusName
    reason: str = ""
    """Why, for everything but queued, running and done; the last line of a traceback."""
    phase: str = ""
    step: int = 0
    total: int = 0
    rate: float = 0.0
    """Training steps per second of wall time, lately."""
    eta: float = 0.0
    """Estimated seconds of wall time to the end, evaluations included."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The newest evaluation's finite values."""
    headlines: list[str] = field(default_factory=list)
    """Those of them that a narrow terminal should show before others."""
    heartbeat: float = 0.0
    """Unix time of writing."""
    device: str = ""
    resumed: int = 0
    """How often the run was picked up from a checkpoint."""
    traceback: str = ""
    note: str = ""
    """What had to be mended before it could go on, in one line."""
    checksums: dict[str, str] = field(default_factory=dict)
    """Hex sha256 of the files of a run that is done: its logs, its samples and its generator."""
