"""Frames made by hand, as `load_results`, `load_runs` and `load_curves` give them; no store.

    store = Made()
    for seed, value in enumerate((9.07, 9.08, 9.09)):
        store.run("mle", seed, final={"nll_oracle": value})
    store.results, store.runs, store.logs

A run is the published one (Table 1's protocol) unless something is changed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from textbench.judge.published import tables
from textbench.judge.sections import Section, sections
from textbench.store.frames import Frames

SYNTHETIC = tables()["table1"].protocol
DIRECTIONS = {"bleu": "higher", "distinct": "higher"}
TASK = {
    **{"oracle": "published", "oracle_seed": 94, "length": 20, "data": "fixed", "vocab_size": 5000},
    **{"train_size": 9984, "test_size": 9984, "validation_size": 2048},
}
Curve = Mapping[float, Mapping[str, float]]


def published_config(label: str) -> dict[str, Any]:
    """Return the options and the schedule that Table 1's protocol has for a label."""
    found = SYNTHETIC.trainers.get(label)
    return {**found.options, **found.schedule} if found else {"epochs": 3}


class Made:
    """A store in the making."""

    def __init__(self) -> None:
        self._runs: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []
        self._logs: list[dict[str, Any]] = []

    def run(
        self,
        label: str,
        seed: int,
        *,
        curve: Curve | None = None,
        final: Mapping[str, float] | None = None,
        warmup: str | None = None,
        config: Mapping[str, Any] | None = None,
        protocol: str = "/1 n=9984",
        reasons: Mapping[str, str] | None = None,
        log: Mapping[str, Sequence[float]] | None = None,
        epoch_cpu: Sequence[float] = (),
        ledger: Mapping[str, int] | None = None,
        cpu_seconds: float = 10.0,
        **record: Any,
    ) -> str:
        """Add a run; return its name.

        Args:
            label: ``trainer`` or ``trainer:variant``.
            seed: Of the run.
            curve: Values by epoch of its evaluations.
            final: Its final values; the last of ``curve`` unless given.
            warmup: Label of the run that it started from, whose evaluations come first.
            config: Changes of the published configuration.
            protocol: Follows each metric's name in its protocol id.
            reasons: Why metrics do not apply; their values are NaN.
            log: Logged quantities, one value an epoch.
            epoch_cpu: Processor seconds of each epoch.
            ledger: Counts at the end.
            cpu_seconds: At the end, warm-up included.
            record: Changes of the record, such as ``backbone`` or ``status``.
        """
        trainer, _, variant = label.partition(" ")[0].partition(":")
        spec = {
            "label": label,
            "title": "",
            "trainer": trainer,
            "variant": variant,
            "version": 1,
            "overrides": {},
            "preset": "paper",
            "task": "synthetic",
            "task_fingerprint": "7f1930343f1a",
            "task_config": dict(TASK),
            "oracle": "published",
            "task_note": "",
            "backbone": {"embedding": 32, "hidden": 32},
            "evaluation": {"every": 1, "samples": 9984, "final_samples": 9984},
            "metrics": {},
            "config": {**published_config(label), **(config or {})},
            "own_generator": False,
            "fresh_data": False,
            "status": "done",
            "reason": "",
            "hardware": "Test CPU, 1 thread(s)",
            "warmup_run": "",
            "warmup_label": warmup or "",
            "warmup": None,
        } | record
        if warmup:
            self._start_from(warmup, spec, seed)
        spec.setdefault("group", _hash(spec))
        spec |= {"seed": seed, "run": f"{spec['task']}/{label}/s{seed}-{spec['group'][:4]}"}
        self._runs.append(spec)
        own = dict(curve or {})
        before = self._evaluations(spec["warmup_run"])
        ends = final if final is not None else (own[max(own)] if own else {})
        at = max([*own, *(row["epoch"] for row in before), 0])
        moments = [*((epoch, False, values) for epoch, values in own.items()), (at, True, ends)]
        counts = {"generator_updates": 10, "critic_updates": 0, **(ledger or {})}
        counts = {"tokens_sampled": 0, "tokens_scored": 0, **counts}
        if spec["status"] != "done":
            moments = [moment for moment in moments if not moment[1]]
        identity = {key: spec[key] for key in IDENTITY}
        identity["overrides"] = " ".join(f"{k}={v}" for k, v in sorted(spec["overrides"].items()))
        for row in before:
            self._results.append(row | identity | {"warmup": True, "final": False})
        start = max((row["evaluation"] for row in before), default=-1) + 1
        for number, (epoch, is_final, values) in enumerate(moments, start):
            where = {"evaluation": number, "epoch": epoch, "final": is_final, "warmup": False}
            self._add(identity | where | counts | {"cpu_seconds": cpu_seconds}, values, protocol)
            if is_final:
                none = dict.fromkeys(reasons or {}, float("nan"))
                self._add(identity | where | counts, none, "", reasons or {})
        for name, values in (log or {}).items():
            self._log(identity, "loss", name, values, first=0)
        self._log(identity, "epoch", "cpu_seconds", epoch_cpu, first=1)
        return str(spec["run"])

    def _start_from(self, warmup: str, spec: dict[str, Any], seed: int) -> None:
        (found,) = [run for run in self._runs if (run["label"], run["seed"]) == (warmup, seed)]
        keys = ("trainer", "variant", "config", "task", "task_config", "task_fingerprint")
        kept = {key: found[key] for key in (*keys, "backbone", "evaluation", "oracle")}
        spec |= {"warmup": kept, "warmup_run": found["run"]}

    def _evaluations(self, run: str) -> list[dict[str, Any]]:
        return [r for r in self._results if r["run"] == run and not r["final"] and run]

    def _add(
        self,
        head: dict[str, Any],
        values: Mapping[str, float],
        protocol: str,
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        for metric, value in values.items():
            direction = next((d for m, d in DIRECTIONS.items() if metric.startswith(m)), "lower")
            self._results.append(
                head
                | {
                    "metric": metric,
                    "value": value,
                    "direction": direction,
                    "unit": "",
                    "summary": "",
                }
                | {"na_reason": (reasons or {}).get(metric, "")}
                | {"protocol": f"{metric}{protocol}" if protocol else ""}
            )

    def _log(
        self, head: dict[str, Any], kind: str, name: str, values: Sequence[float], first: int
    ) -> None:
        for epoch, value in enumerate(values, first):
            at = {"warmup": False, "kind": kind, "phase": "own", "step": epoch, "epoch": epoch}
            self._logs.append(head | at | {"name": name, "value": value})

    @property
    def frames(self) -> Frames:
        """The store, as `textbench.store.frames.frames` reads it."""
        return Frames(self.runs, self.results, self.logs, {})

    @property
    def results(self) -> pd.DataFrame:
        """As of `load_results`."""
        columns = [*IDENTITY, "evaluation", "epoch", "final", "warmup", "metric", "value"]
        return pd.DataFrame(self._results, columns=None if self._results else columns)

    @property
    def runs(self) -> pd.DataFrame:
        """As of `load_runs`, with the details of the specs."""
        return pd.DataFrame(self._runs)

    @property
    def sections(self) -> list[Section]:
        """All that is judged together."""
        return list(sections(self.frames))

    @property
    def logs(self) -> pd.DataFrame:
        """As of `load_curves`."""
        columns = [*IDENTITY, "warmup", "kind", "phase", "step", "epoch", "name", "value"]
        return pd.DataFrame(self._logs, columns=None if self._logs else columns)


IDENTITY = (
    *("run", "label", "title", "trainer", "variant", "overrides", "preset", "task"),
    *("task_fingerprint", "group", "seed", "status", "reason", "own_generator", "fresh_data"),
)


def _hash(spec: Mapping[str, Any]) -> str:
    kept = ("trainer", "version", "config", "task_fingerprint", "backbone", "evaluation", "warmup")
    text = json.dumps([spec["label"], *(spec[key] for key in kept)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def near(label: str, seed: int, size: float = 0.01) -> float:
    """Noise of a seed's own in each row: equal offsets would be differences without spread."""
    return size * math.sin(3.7 * seed + 1.3 * len(label) + sum(map(ord, label)))


def finals(made: Made, label: str, values: Sequence[float], metric: str, **record: Any) -> None:
    for seed, value in enumerate(values):
        made.run(label, seed, final={metric: value}, **record)
