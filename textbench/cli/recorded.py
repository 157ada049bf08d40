"""Recorded runs: which one the user means, and all that is on record of it, printed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from textbench.cli.terminal import refuse_folder_of_stores
from textbench.contracts.errors import UserError, one_line, printable
from textbench.plan import registry
from textbench.plan.shipped import grids, presets
from textbench.store.directory import RunDirectory
from textbench.store.read import UNREADABLE, RecordedRun, naming, read_run
from textbench.store.rows import SPEC, EpochRow, EvaluationRow, LossRow


def find_run(part: str, results: Path, *, shown: bool = False) -> RunDirectory:
    """Return the one run whose name contains ``part``, or whose hash starts with it.

    A row may be called as in tables: the runs of ``cot:head`` lie in ``cot-head``.

    Args:
        part: What the user typed.
        results: The store.
        shown: Whether the command takes what is registered as well, ``trainer:cot``.

    Raises:
        UserError: No run, or several.
    """
    if os.path.lexists(Path(part) / SPEC):
        return RunDirectory(Path(part).resolve(), alone=True)
    runs = list(RunDirectory.find(results))
    found = [run for run in runs if run.name == part.strip("/")]
    folder = part.replace(":", "-")
    found = found or [run for run in runs if folder in run.name or _has_hash(run, part)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(run.name for run in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UserError(f"{part!r} fits {len(found)} runs: {names}{more}")
    kinds = _registered(part) if shown else []
    if not (runs or kinds):
        refuse_folder_of_stores(results)
    listing = " (`textbench status` lists all)" if runs else " (it holds no run)"
    hint = f"; did you mean {' or '.join(kinds)}?" if kinds else listing
    raise UserError(f"no run in {results} is called {part!r}{hint}")


def _registered(part: str) -> list[str]:
    """Return what else is called so, as `textbench show` takes it."""
    name = part.partition(":")[0].partition("/")[0]  # of a row such as cot:head, or of a run of it
    kinds = [f"{kind}:{name}" for kind in registry.KINDS if name in registry.names(kind)]
    kinds += [f"preset:{part}"] if part in presets.names() else []
    return kinds + ([f"grid:{part}"] if part in grids.names() else [])


def _has_hash(run: RunDirectory, start: str) -> bool:
    """Tell whether a run's hash starts so; what it would be of a damaged one, nobody knows."""
    try:
        return run.spec().hash.startswith(start)
    except UNREADABLE:
        return False


def show_run(run: RunDirectory) -> None:
    """Print what is on record of a run.

    Raises:
        UserError: It is damaged; one line naming it.
    """
    with naming(run):
        recorded, rows, log = read_run(run), run.evaluations(), run.curve()
    spec, status = recorded.spec, recorded.status
    click.secho(run.name, bold=True, nl=False)
    _echo(f"  {status.status}{status.reason and f': {status.reason}'}")
    if status.note:
        _echo(f"  {status.note}")
    preset = f", preset {spec.preset}" if spec.preset else ""
    show_pairs(
        {
            "directory": run.path,
            "hash": spec.hash,
            "trainer": f"{spec.label}, version {spec.version}, seed {spec.seed}{preset}",
            "steps": f"{status.step}/{status.total}, resumed {status.resumed} times",
        }.items()
    )
    sections: dict[str, Mapping[str, object]] = {
        "Changed by the user": spec.overrides,
        "Configuration": spec.config,
        f"Task {spec.task}": {**spec.task_config, "fingerprint": spec.task_fingerprint},
        "Backbone": spec.backbone,
        "Evaluation plan": spec.evaluation,
    }
    for title, pairs in sections.items():
        _show_section(title, pairs)
    if spec.warmup is not None:
        warmup = RunDirectory(spec.warmup.directory(run.store))
        standing = warmup.standing()
        damage = standing.reason if standing.status == "interrupted" else ""
        _show_section("Warm-up", {warmup.name: f"{standing.status}{damage and f': {damage}'}"})
    if starts := recorded.starts:
        _show_section(f"Provenance (start {len(starts)} of {len(starts)})", starts[-1])
    if rows:
        _show_last_evaluation(rows[-1])
        _show_evidence(recorded, rows[-1], log)
    if status.traceback:
        _echo(f"\n{status.traceback.rstrip()}")


def _show_last_evaluation(last: EvaluationRow) -> None:
    where = f"step {last['step']}, phase {last['phase']}, epoch {last['epoch']:g}"
    values = {
        name: f"does not apply: {one.get('reason', '')}"
        if one["value"] is None
        else f"{one['value']:.4f}  [{one['protocol']}]"
        for name, one in last["metrics"].items()
    }
    _show_section(f"Last evaluation ({where}{', final' if last['final'] else ''})", values)
    cost = {"seconds": last["seconds"], "cpu_seconds": last["cpu_seconds"]}
    _show_section("Cost so far", {**last["ledger"], **cost})


def _show_evidence(
    run: RecordedRun, last: EvaluationRow, log: Sequence[LossRow | EpochRow]
) -> None:
    """Print what was logged last, and what has changed since the warm-up."""
    logged = {
        name: f"{'none' if value is None else f'{value:.4f}'}  (step {row['step']})"
        for row in log
        if row["kind"] == "loss"
        for name, value in row["values"].items()
    }
    _show_section("Last values of the training log", logged)
    warmup = run.spec.warmup
    if warmup is None:
        return
    source = RunDirectory(warmup.directory(run.directory.store))
    try:
        before = source.evaluations()
    except UNREADABLE as error:
        _show_section(f"Warm-up {source.name}", {"damaged": one_line(error)})
        return
    changes: dict[str, str] = {}
    earlier = [row["metrics"] for row in before]
    for name, one in last["metrics"].items():
        made = one["protocol"]
        same = [row[name] for row in earlier if name in row and row[name]["protocol"] == made]
        start, value = same[-1]["value"] if same and made else None, one["value"]
        if start is not None and value is not None:
            changes[name] = f"{value - start:+.4f}  ({start:.4f} to {value:.4f})"
    updates = {}
    if before:
        spent = before[-1]["ledger"]
        updates = {key: n - spent.get(key, 0) for key, n in last["ledger"].items()}
    _show_section(f"Since the warm-up {source.name}", {**updates, **changes})


def _show_section(title: str, pairs: Mapping[str, object]) -> None:
    if pairs:
        click.secho(f"\n{title}", bold=True)
        show_pairs(pairs.items())


def show_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, a line each."""
    for key, value in pairs:
        _echo(f"  {key} = {value}")


def _echo(text: str) -> None:
    """Print what a record says, without what a terminal would obey."""
    click.echo(printable(text))
