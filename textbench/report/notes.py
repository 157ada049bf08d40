"""What a reader must know to read a table: protocols, comparability, what is missing and why."""

from __future__ import annotations

from collections.abc import Iterator

from textbench.contracts.plain import grouped
from textbench.judge.power import LEAST
from textbench.report.definitions import row_names
from textbench.report.provenance import of_several_codes, progress
from textbench.report.sections import Row, indexed, records, spelt_out
from textbench.report.tables import Column, Table

OTHER_ORACLE = "†"
OWN_GENERATOR = "§"
NEVER_FOLLOWED = "‡"
FOLLOWS = "g_follows"
"""What a trainer logs whose generator follows its critic only at times: the share of such steps."""


def notes(table: Table) -> list[str]:
    """Return the notes under a table, in order."""
    return [
        *_how_to_read(table),
        *(_column(table, column) for column in table.columns),
        *_about_columns(table),
        *_paper(table),
        *_missing(table),
        *_never_followed(table),
        *_unfinished(table),
    ]


def never_followed(table: Table) -> frozenset[int]:
    """Return the rows whose generator never followed its critic in any finished run."""
    logs = table.section.logs
    shares = logs[(logs["name"] == FOLLOWS) & ~logs["warmup"] & (logs["status"] == "done")]
    highest = shares.groupby("row", observed=True)["value"].max()
    return frozenset(highest.index[highest == 0.0])


def _never_followed(table: Table) -> Iterator[str]:
    rows = table.rows[table.rows.index.isin(never_followed(table))]
    if len(rows):
        yield (
            f"{NEVER_FOLLOWED} The gate on the critic's accuracy never opened: the generator was "
            f"trained by likelihood alone ({', '.join(rows['title'])})."
        )


def _how_to_read(table: Table) -> Iterator[str]:
    yield (
        "Mean ± standard deviation over the seeds of finished runs; "
        "95 % t-intervals are in the CSV file."
    )
    ranked = (c for c in table.columns if not c.spec.is_time and c.spec.direction != "none")
    judged = [column.separated for column in ranked]
    if any(judged):
        yield (
            "Bold: the rows that share the first place of a column, because no row is separated "
            "from them and better (t-tests of all pairs of rows, by seed where they share seeds; "
            "Holm; 5 %). Rows of fewer "
            f"than {LEAST} seeds compete for no place."
        )
    if not all(judged):
        yield (
            "Nothing is bold in a column in which no two rows are separated, or in which a row of "
            f"fewer than {LEAST} seeds has the best mean."
        )
    if table.section.changed:
        yield f"Changed for every row: {table.section.changed}."
    yield from spelt_out(table.rows)
    if table.section.note:
        yield f"Data: {table.section.note}."
    if table.rows["own_generator"].astype(bool).any():
        yield f"{OWN_GENERATOR} brings its own generator; all others share one LSTM."


def _column(table: Table, column: Column) -> str:
    summaries = (table.section.evaluations.summary(metric) for metric in column.spec.metrics)
    text = column.spec.note or "; ".join(filter(None, summaries))
    protocol = f"Protocol: {column.protocol}." if column.protocol else "Nothing measured yet."
    return f"{column.title}: {text + '. ' if text else ''}{protocol}"


def _about_columns(table: Table) -> Iterator[str]:
    if any(column.spec.is_time for column in table.columns):
        yield (
            "Epoch: one pass over the training data, or one round of an adversarial trainer with "
            "all its generator and discriminator updates; of the last phase that trains the "
            "generator. Runs side by side on one machine slow each other down."
        )
    cells = table.cells
    chosen = cells[cells["selected_from"] != ""].drop_duplicates("row")
    if len(chosen):
        grids = (f"{line.row}: {line.selected_from}" for line in records(chosen))
        yield (
            "A best is selected on the test data, and the more evaluations it is selected from "
            f"the better it gets. Evaluations looked at: {'; '.join(grids)}."
        )
    if any(_judged_otherwise(column) for column in table.columns):
        yield (
            "Where rows were evaluated at different epochs, what is bold and their differences are "
            "of the best among the evaluations that all have; with too few of these, nothing is."
        )
    if (cells["in_warmup"] > 0).any():
        labels = sorted(set(table.section.runs["warmup_label"]) - {""})
        names = [row_names().get(label, label) for label in labels]
        quoted = " or ".join(f"“-({name})” or “(the same as {name})”" for name in names)
        yield f"{quoted}: the best evaluation lies in the warm-up, before the run's own training."


def _judged_otherwise(column: Column) -> bool:
    """Tell whether rows are compared by other numbers than the ones shown."""
    totals = column.picked[list(range(len(column.spec.metrics) or 1))].sum(axis=1)
    return bool((column.picked["judged"] != totals)[column.picked["protocol"] != ""].any())


def _paper(table: Table) -> Iterator[str]:
    paper = table.paper
    if paper is None:
        return
    yield f"Paper: {paper.source} of “{paper.document.title}”, {paper.document.version}."
    yield f"The paper's schedules are full ones. Ours: {table.section.preset_line}."
    if not table.same_oracle:
        ours = ", ".join(sorted(table.section.oracles))
        yield (
            f"{OTHER_ORACLE} Other oracle: the paper's numbers are of the {paper.protocol.oracle} "
            f"oracle, ours of oracle={ours}. Absolute NLLs of two oracles are not comparable; the "
            "order of the algorithms and the distances between them may be."
        )
    if any(column.spec.is_time for column in table.columns):
        yield "The paper's seconds are of other, unnamed hardware."


def _missing(table: Table) -> Iterator[str]:
    """Say once per reason which cells of finished runs are empty."""
    cells = table.cells[(table.cells["reason"] != "") & (table.cells["group"] != "")]
    empty = grouped(
        (reason, f"{line.row} ({table.columns[line.number].title})")
        for line in records(cells.sort_values(["number", "at"], kind="stable"))
        for reason in line.reason.split("; ")
    )
    for reason, found in empty.items():
        yield f"No value: {', '.join(dict.fromkeys(found))}: {reason}."


def _unfinished(table: Table) -> Iterator[str]:
    """List the runs that are in no mean, and the rows whose runs were made by different code."""
    runs = table.section.runs
    left = grouped((r.row, r) for r in records(runs[runs["status"] != "done"].sort_values("seed")))
    several = of_several_codes(runs)
    for key, row in indexed(table.rows):
        for run in left.get(key, ()):
            yield f"{row.title}, seed {run.seed}: {_progress(run)}."
        if key in several:
            yield f"{row.title}: its seeds were not all made by the same version of the code."


def _progress(run: Row) -> str:
    """Say how far a run got and why it has no result."""
    where = f" ({progress(run)})" if progress(run) else ""
    return f"{run.status}{where}" + (f": {run.reason}" if run.reason else "")
