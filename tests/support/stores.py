"""Result stores made by hand: runs on disk with chosen numbers, and no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from textbench.contracts.number import Direction
from textbench.contracts.spec import Spec
from textbench.store.directory import RunDirectory
from textbench.store.rows import Measurement, Status

ENV = {
    "textbench": "0.1.0",
    "torch": "2.13.0",
    "python": "3.11.9",
    "commit": "0123456789abcdef",
    "dirty": False,
    "machine": "Linux x86_64",
    "cpu": "Test CPU",
    "device": "cpu",
    "threads": 1,
    "command": "textbench run --algos mle --task synthetic",
}

DIRECTIONS: dict[str, Direction] = {
    **{f"bleu{n}": "higher" for n in range(2, 6)},
    "distinct2": "higher",
    "generator_entropy": "none",
    "novelty": "none",
    "neither": "none",
}
"""Of metrics that are not better when lower."""

TITLES = {"mle": "MLE", "cot": "CoT", "seqgan": "SeqGAN"}

Curve = Sequence[Mapping[str, float | None]]


def spec(trainer: str = "mle", seed: int = 0, **changes: Any) -> Spec:
    """A spec that needs no registry."""
    base = Spec(
        trainer=trainer,
        version=1,
        config={"epochs": 3},
        task="synthetic",
        task_config={"oracle": "seeded"},
        task_fingerprint="f" * 64,
        backbone={"embedding": 32, "hidden": 32},
        evaluation={"every": 1, "samples": 100},
        seed=seed,
        title=TITLES.get(trainer, trainer),
        preset="quick",
    )
    return replace(base, **changes)


def make_run(
    results: Path,
    spec: Spec,
    curve: Curve,
    *,
    final: Mapping[str, float | None] | str | None = "last",
    status: Status | None = None,
    epoch_seconds: Sequence[float] = (2.0, 4.0),
    log: Mapping[str, Sequence[float]] | None = None,
    protocol: str = "/1 n=100",
    final_protocol: str | None = None,
    env: Mapping[str, Any] | None = None,
    phase: str = "",
    tokens: int = 0,
) -> RunDirectory:
    """Write a run with one evaluation per entry of ``curve``.

    Without a warm-up the first entry is of epoch 0; with one, of the warm-up's last epoch + 1.
    ``final="last"`` repeats the last entry as the final evaluation; None writes no final one.
    With ``tokens``, as many are sampled and scored in each epoch; older ledgers have none.
    """
    directory = RunDirectory(spec.directory(results))
    directory.create(spec)
    start = spec.warmup.config["epochs"] + 1 if spec.warmup else 0
    rows = [(start + i, False, values) for i, values in enumerate(curve)]
    last = curve[-1] if final == "last" and curve else final
    if isinstance(last, Mapping):
        rows.append((rows[-1][0] if rows else start, True, last))
    for epoch, is_final, values in rows:
        used = final_protocol if is_final and final_protocol else protocol
        row = evaluation(epoch, values, protocol=used, final=is_final, phase=phase or spec.trainer)
        if tokens:
            row["ledger"] |= dict.fromkeys(("tokens_sampled", "tokens_scored"), tokens * epoch)
        directory.append("metrics.jsonl", row)
    first = max(start, 1)
    for i, seconds in enumerate(epoch_seconds):
        directory.append("curve.jsonl", epoch_row(first + i, seconds, phase or spec.trainer))
    for name, values in (log or {}).items():
        for i, value in enumerate(values):
            directory.append(
                "curve.jsonl",
                {
                    "kind": "loss",
                    "step": 10 * i,
                    "phase": spec.trainer,
                    "epoch": i // 2,
                    "values": {name: value},
                },
            )
    directory.write_json("env.json", {"starts": [{**ENV, **(env or {})}]})
    directory.write_status(status or Status("done", step=30, total=30, phase=spec.trainer))
    return directory


def evaluation(
    epoch: int,
    values: Mapping[str, float | None],
    *,
    protocol: str = "/1 n=100",
    final: bool = False,
    phase: str = "mle",
) -> dict[str, Any]:
    """One row of metrics.jsonl; a value of None has no protocol, as the harness writes it."""
    return {
        "step": 10 * epoch,
        "phase": phase,
        "epoch": epoch,
        "final": final,
        "ledger": {"generator_updates": 10 * epoch, "critic_updates": 0},
        "seconds": 2.0 * epoch,
        "cpu_seconds": 1.9 * epoch,
        "metrics": measured(values, protocol),
    }


def measured(
    values: Mapping[str, float | None],
    protocol: str = "/1 n=100",
    reason: str = "no oracle here",
    direction: Direction = "lower",
) -> dict[str, Measurement]:
    """What a row says of these metrics; one without a value has a reason, and no protocol."""
    found: dict[str, Measurement] = {}
    for name, value in values.items():
        about: Measurement = {
            "value": value,
            "protocol": "" if value is None else name + protocol,
            "direction": DIRECTIONS.get(name, direction),
            "unit": "nats",
            "summary": f"what {name} is",
        }
        found[name] = {**about, "reason": reason} if value is None else about
    return found


def values_of(row: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the values of an evaluation row."""
    return {name: one["value"] for name, one in row["metrics"].items()}


def epoch_row(epoch: int, seconds: float, phase: str) -> dict[str, Any]:
    """One "epoch" row of curve.jsonl."""
    return {
        "kind": "epoch",
        "step": 10 * epoch,
        "phase": phase,
        "epoch": epoch,
        "seconds": seconds,
        "cpu_seconds": 0.5 * seconds,
        "ledger": {"generator_updates": 10 * epoch},
    }


def points(*values: float, metric: str = "nll_test") -> list[dict[str, float | None]]:
    """A curve of one metric."""
    return [{metric: None if math.isnan(value) else value} for value in values]
