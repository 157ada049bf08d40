"""What a reader must know to read a table: protocols, comparability, what is missing and why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.judge.older import seeds_needed
from textbench.plan import presets, registry
from textbench.report.definitions import paper_title
from textbench.report.provenance import progress
from textbench.report.tables import Table
from textbench.report.text import in_warmup
from textbench.store.replicates import Row

OTHER_ORACLE = "†"
OWN_GENERATOR = "§"


def has_own_generator(row: Row) -> bool:
    """Tell whether a row brings its own generator instead of the shared LSTM.

    That is its configuration's doing, or its trainer's always.
    """
    found = registry.entries("trainer").get(row.label.partition(":")[0])
    always = found is not None and bool(found.read().attributes.get("own_generator"))
    return row.own_generator or always


def metric_summary(metric: str) -> str:
    """Return a registered metric's one line, or nothing."""
    found = registry.entries("metric").get(metric)
    return found.summary if found else ""


def notes(table: Table) -> list[str]:
    """Return the notes under a table, in order."""
    return [
        *_how_to_read(table),
        *_columns(table),
        *_paper(table),
        *_missing(table),
        *_unfinished(table),
    ]


def _how_to_read(table: Table) -> Iterator[str]:
    yield (
        "Mean ± standard deviation over the seeds of finished runs; "
        "95 % t-intervals are in the CSV file."
    )
    if any(table.best):
        yield (
            "Bold: the best mean and every row that is not significantly worse (exact tests, "
            "paired by seed; Holm over all pairs of rows; 5 %)."
        )
    if None in table.best:
        yield f"Nothing is bold where too few seeds could tell two rows apart{_needed(table)}."
    if table.section.changed:
        yield f"Changed for every row: {table.section.changed}."
    if table.section.note:
        yield f"Data: {table.section.note}."
    if any(has_own_generator(row) for row in table.rows):
        yield f"{OWN_GENERATOR} brings its own generator; all others share one LSTM."


def _needed(table: Table) -> str:
    """Say how many seeds the widest undecided column would need."""
    undecided = [number for number, best in enumerate(table.best) if best is None]
    present = (
        sum(bool(table.cells[row.key, number].seeds) for row in table.section.rows)
        for number in undecided
    )
    pairs = math.comb(max(present), 2)
    return f": {pairs} pair(s) of rows need {seeds_needed(pairs)} seeds"


def _columns(table: Table) -> Iterator[str]:
    for column in table.columns:
        text = column.spec.note or "; ".join(filter(None, map(metric_summary, column.spec.metrics)))
        protocol = f"Protocol: {column.protocol}." if column.protocol else "Nothing measured yet."
        yield f"{column.title}: {text + '. ' if text else ''}{protocol}"
    if any(column.spec.is_time for column in table.columns):
        yield (
            "Epoch: one pass over the training data, or one round of an adversarial trainer with "
            "all its generator and discriminator updates; of the last phase that trains the "
            "generator. Runs side by side on one machine slow each other down."
        )
    warmups = {cell.warmup_label for cell in table.cells.values() if cell.in_warmup}
    if warmups:
        quoted = " or ".join(
            f"“{in_warmup(label, pair=pair)}”"
            for label in sorted(warmups)
            for pair in (False, True)
        )
        yield f"{quoted}: the best evaluation lies in the warm-up, before the run's own training."


def _paper(table: Table) -> Iterator[str]:
    paper = table.paper
    if paper is None:
        return
    yield f"Paper: {paper.source} of {paper_title()}."
    yield f"The paper's schedules are full ones. Ours: {describe_preset(table.section.preset)}."
    if not table.same_oracle:
        ours = ", ".join(sorted(table.section.oracles))
        yield (
            f"{OTHER_ORACLE} Other oracle: the paper's numbers are of the {paper.oracle} oracle, "
            f"ours of oracle={ours}. Absolute NLLs of two oracles are not comparable; the order "
            "of the algorithms and the distances between them may be."
        )
    if any(column.spec.is_time for column in table.columns):
        yield "The paper's seconds are of other, unnamed hardware."


def describe_preset(name: str) -> str:
    """Return a preset's own one line."""
    try:
        summary = registry.read_toml(Path(presets.path(name))).get("summary", "")
    except UserError:
        return f"preset {name or '(none)'} is not one of this installation"
    return f"preset {name}: {summary}"


def _missing(table: Table) -> Iterator[str]:
    """Say once per reason which cells of finished runs are empty."""
    empty: dict[str, list[str]] = {}
    for number, column in enumerate(table.columns):
        for row in table.rows:
            cell = table.cells.get((row.key, number))
            for reason in cell.reasons if cell else ():
                empty.setdefault(reason, []).append(f"{row.title} ({column.title})")
    for reason, cells in empty.items():
        yield f"No value: {', '.join(dict.fromkeys(cells))}: {reason}."


def _unfinished(table: Table) -> Iterator[str]:
    """List the runs that are in no mean, and the rows whose runs were made by different code."""
    for row in table.rows:
        for run in row.runs:
            if run.status.status != "done":
                reason = f": {run.status.reason}" if run.status.reason else ""
                where = f" ({progress(run.status)})" if progress(run.status) else ""
                yield f"{row.title}, seed {run.spec.seed}: {run.status.status}{where}{reason}."
        codes = {start.get("code") for run in row.done for start in run.env.get("starts", [])}
        if len(codes) > 1:
            yield f"{row.title}: its seeds were not all made by the same version of the code."
