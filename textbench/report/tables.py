"""A table as one frame: a line per row, column and metric, from which every format is written."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from textbench.judge import published
from textbench.judge.ranking import rank
from textbench.judge.stats import summarise
from textbench.report.definitions import ColumnSpec, TableSpec, matches, references
from textbench.report.markup import latex
from textbench.report.sections import Section, indexed
from textbench.report.select import UNFINISHED, pick, relative

CSV_COLUMNS = (
    *("table", "task", "task_fingerprint", "preset", "row", "label", "options", "group"),
    *("column", "metric", "select", "relative_to", "protocol", "runs", "n", "mean", "sd"),
    *("ci95_low", "ci95_high", "shown_spread", "in_warmup", "best", "place", "selected_from"),
    *("seeds", "paper", "paper_sd", "paper_warmup", "paper_source", "reason"),
)
NOT_RUN = -1
"""Stands for the group of a row that the paper has and the store has not."""


@dataclass(frozen=True)
class Column:
    """A column of one protocol; a spec with several protocols becomes several columns."""

    spec: ColumnSpec
    protocol: str
    picked: pd.DataFrame = field(repr=False)
    """The runs that have this protocol, as of `select.pick`."""
    mark: str = ""
    """Tells the columns of one spec apart: ``"1"``, ``"2"``."""
    separated: bool | None = None
    """Whether any two rows are told apart; None where too few seeds, or no competition."""

    @property
    def title(self) -> str:
        """The heading."""
        return f"{self.spec.title} ({self.mark})" if self.mark else self.spec.title

    @property
    def latex(self) -> str:
        """The heading in LaTeX."""
        return (self.spec.latex or latex(self.spec.title)) + f" ({self.mark})" * bool(self.mark)

    def seeds(self) -> dict[Hashable, dict[int, float]]:
        """Return by seed what each row is compared by, as of `select.pick`."""
        found: dict[Hashable, dict[int, float]] = {}
        told = self.picked[self.picked["judged"].notna()]
        for row, seed, number in zip(told["row"], told["seed"], told["judged"], strict=True):
            found.setdefault(row, {})[int(seed)] = float(number)
        return found


@dataclass(frozen=True, eq=False)
class Table:
    """A table ready to be written in any format."""

    spec: TableSpec
    section: Section
    rows: pd.DataFrame
    """As of the section, and the rows that only the paper has."""
    columns: tuple[Column, ...]
    cells: pd.DataFrame
    """`CSV_COLUMNS`, and ``at`` (the row's place in `rows`) and ``number`` (the column's)."""
    paper: published.Table | None

    @property
    def id(self) -> str:
        """The stem of its files."""
        return f"{self.spec.id}-{self.section.slug}"

    @property
    def same_oracle(self) -> bool:
        """Whether the paper's absolute numbers are of the same oracle."""
        return self.paper is not None and self.section.same_oracle(self.paper)


def build(spec: TableSpec, section: Section) -> Table | None:
    """Select, summarise and join the paper; None where the table has nothing to show."""
    if spec.needs and not any(matches(label, spec.needs) for label in section.rows["label"]):
        return None
    if spec.listed_only:
        part = section.rows["label"].isin([row.label for row in spec.rows])
        section = section.part(section.rows.index[part].to_list())
    if not len(section.rows):
        return None
    paper = section.paper(spec.paper)
    specs = _every_metric(section) if spec.every_metric else spec.columns
    columns = tuple(column for one in specs for column in _columns(one, section))
    if not columns:
        return None
    rows = _with_not_run(spec, section.rows) if paper else section.rows
    listed = {row.label: place for place, row in enumerate(spec.rows)}
    rows = rows.assign(place=rows["label"].map(listed).fillna(len(listed)))
    rows = rows.sort_values("place", kind="stable")
    lines: list[dict[str, object]] = []
    judged = []
    for number, column in enumerate(columns):
        places = _places(column, section)
        apart = None if len(places) < 2 else max(places.values()) > 1
        judged.append(replace(column, separated=apart))
        lines += _cells(number, column, rows, places if apart else {}, paper)
    cells = pd.DataFrame(lines)
    cells["table"], cells["task"], cells["preset"] = spec.id, section.task, section.preset
    cells["task_fingerprint"] = section.fingerprint
    order = cells.sort_values(["at", "number"], kind="stable", ignore_index=True)
    return Table(spec, section, rows, tuple(judged), order, paper)


def _with_not_run(spec: TableSpec, rows: pd.DataFrame) -> pd.DataFrame:
    absent = [row for row in spec.rows if row.label not in set(rows["label"])]
    if not absent:
        return rows
    names = [dict(label=row.label, name=row.name, title=row.name) for row in absent]
    blank = pd.DataFrame(names, index=[NOT_RUN - i for i in range(len(absent))])
    blank = blank.assign(group="", options="", brief="", runs=0, done=0)
    return pd.concat([rows, blank.assign(own_generator=False, fresh_data=False)])


def _every_metric(section: Section) -> tuple[ColumnSpec, ...]:
    """One column per metric that has a value at the end of some run."""
    evaluated = section.evaluations
    return tuple(
        ColumnSpec(
            id=metric,
            title=metric,
            select="final",
            metrics=(metric,),
            digits=3,
            direction=evaluated.direction(metric),
        )
        for metric in sorted(evaluated.ended)
    )


def _columns(spec: ColumnSpec, section: Section) -> Iterator[Column]:
    """Select a column's numbers, and part them by protocol."""
    picked = pick(section, spec)
    if spec.relative_to:
        base = baselines(section, spec.relative_to)
        picked = relative(picked, picked["row"].isin(base[:1]), spec.relative_to)
        if len(base) > 1:
            title = str(section.rows.loc[base[0], "title"])
            spec = replace(spec, note=f"{spec.note}; divided by {title}")
    protocols = sorted(set(picked["protocol"]) - {""}) or [""]
    for number, protocol in enumerate(protocols, start=1):
        mine = picked[(picked["protocol"] == protocol) | (picked["protocol"] == "")]
        yield Column(spec, protocol, mine, str(number) if len(protocols) > 1 else "")


def baselines(section: Section, label: str) -> list[int]:
    """Return the rows of a label; others are compared with the first, of most finished runs."""
    mine = section.rows[section.rows["label"] == label]
    return list(map(int, mine.sort_values("done", ascending=False, kind="stable").index))


def _places(column: Column, section: Section) -> dict[Hashable, int]:
    """Return the places of the rows that compete in a column; see `judge.ranking`."""
    spec = column.spec
    if spec.is_time or spec.direction == "none":
        return {}
    out = section.rows["label"].isin(references()) | section.rows["fresh_data"].astype(bool)
    outside = set(section.rows.index[out])
    found = column.seeds()
    inside = {row: values for row, values in found.items() if row not in outside}
    if len(inside) < 2:
        return {}
    order, places, _ = rank(inside, spec.direction)
    # Nothing is the best while a row of too few seeds to compete looks better.
    return places if order[0] in places else {}


def _cells(
    number: int,
    column: Column,
    rows: pd.DataFrame,
    places: Mapping[Hashable, int],
    paper: published.Table | None,
) -> Iterator[dict[str, object]]:
    """Yield the lines of a column: one per row and metric."""
    by_row = dict(tuple(column.picked.groupby("row", observed=True)))
    empty = column.picked.iloc[:0]
    for at, (key, row) in enumerate(indexed(rows)):
        cell = published_cell(paper, row.label, column.spec)
        there = bool(cell.values or cell.warmup)
        head = {
            **{"at": at, "number": number, "row": row.title, "label": row.label},
            **{"options": row.options, "group": row.group, "runs": row.runs},
            **{"column": column.spec.id, "select": column.spec.select},
            **{"relative_to": column.spec.relative_to, "protocol": column.protocol},
            **{"place": places.get(key), "best": places.get(key) == 1},
            **{"paper_sd": cell.sd, "paper_warmup": cell.warmup},
            **{"paper_source": paper.source if paper and there else ""},
        }
        summed = _summary(column, by_row.get(key, empty), not_run=row.group == "")
        for part, line in enumerate(summed):
            value = cell.values[part] if part < len(cell.values) else None
            yield head | line | {"paper": value}


def _summary(column: Column, runs: pd.DataFrame, *, not_run: bool) -> Iterator[dict[str, object]]:
    """Summarise a row's runs: one line per metric of the column."""
    spec = column.spec
    mine = runs[runs["protocol"] != ""]
    absent = sorted(set(runs["reason"]) - {"", UNFINISHED})
    shared = {
        "n": len(mine),
        "reason": "not run" if not_run else "; ".join(absent),
        "in_warmup": int(mine["in_warmup"].sum()) if len(mine) else None,
        "selected_from": ", ".join(sorted(set(mine["grid"].dropna()))) if len(mine) else "",
        "shown_spread": _spread(spec, mine),
    }
    for part, metric in enumerate(spec.metrics or (spec.select,)):
        values = mine[part].to_list()
        found = summarise(values)
        seeds = " ".join(f"{s}={v!r}" for s, v in zip(mine["seed"], values, strict=True))
        yield shared | {
            "metric": metric,
            "mean": found.mean,
            "sd": found.sd,
            "ci95_low": found.low,
            "ci95_high": found.high,
            "seeds": seeds,
        }


def _spread(spec: ColumnSpec, mine: pd.DataFrame) -> float:
    """Return the ± shown: the seeds' sd (of the sum, for a pair), or all epochs' sd of a time."""
    if not len(mine):
        return float("nan")
    if spec.is_time and not spec.relative_to:
        count, means = mine["epochs"], mine[0]
        grand = float((count * means).sum() / count.sum())
        squares = float((mine["squares"] + count * (means - grand) ** 2).sum())
        return float(np.sqrt(squares / (count.sum() - 1))) if count.sum() > 1 else float("nan")
    totals = mine[list(range(len(spec.metrics) or 1))].sum(axis=1)
    return summarise(totals.to_list()).sd


def published_cell(paper: published.Table | None, label: str, column: ColumnSpec) -> published.Cell:
    """Return a published number; a column relative to a row is derived from both cells."""

    def cell(row: str, name: str) -> published.Cell:
        found = paper.rows.get(row) if paper else None
        return found.cells.get(name, published.Cell()) if found else published.Cell()

    if not column.relative_to:
        return cell(label, column.id)
    mine, base = cell(label, column.select), cell(column.relative_to, column.select)
    if not (mine.values and base.values):
        return published.Cell()
    return published.Cell((mine.values[0] / base.values[0],))


def has_paper(table: Table, number: int) -> bool:
    """Tell whether the paper has any number of a column."""
    mine = table.cells[table.cells["number"] == number]
    return bool(mine["paper"].notna().any() or (mine["paper_warmup"] != "").any())
