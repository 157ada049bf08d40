"""Samples side by side: the first lines of every algorithm's ``samples.txt``, unselected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from textbench.report.definitions import TEMPERED, SampleSpec, paper_title, sample_spec
from textbench.report.markup import render
from textbench.report.writing import csv_text
from textbench.store.frames import SHORT
from textbench.store.replicates import Comparable, Row

CSV_COLUMNS = (
    *("table", "task", "task_fingerprint", "preset", "row", "label", "options", "group"),
    *("seed", "number", "sample"),
)


@dataclass(frozen=True)
class Samples:
    """What one algorithm wrote."""

    row: Row
    seed: int
    lines: tuple[str, ...]


def read_samples(rows: Iterable[Row], number: int) -> list[Samples]:
    """Return the first ``number`` samples of each row's first finished run."""
    found = []
    for row in rows:
        path = row.done[0].directory.path / "samples.txt" if row.done else None
        if path is not None and path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[:number]
            found.append(Samples(row, row.done[0].spec.seed, tuple(lines)))
    return found


def build_samples(section: Comparable) -> tuple[dict[str, Any], str] | None:
    """Return a section's table of samples as (what the templates need, CSV).

    None where the task is not one of text, or nothing is finished. Rows of other temperatures
    have no samples on record.
    """
    spec = sample_spec()
    found = read_samples(section.without(TEMPERED).rows, spec.lines)
    if not spec.is_for(section.task) or not found:
        return None
    stem = f"{spec.id}-{section.slug}"
    context = {
        "id": stem,
        "title": spec.title,
        "section": section.title,
        "rows": [
            {"name": s.row.name, "options": s.row.options, "seed": s.seed, "lines": s.lines}
            for s in found
        ],
        "notes": _notes(spec, section),
    }
    return context, csv_text(CSV_COLUMNS, _csv_lines(spec, section, found))


def _notes(spec: SampleSpec, section: Comparable) -> list[str]:
    notes = [
        f"The first {spec.lines} lines of each row's samples.txt, in the order in which they were "
        "drawn at alpha = 1 and without a choice; `textbench sample RUN` prints more.",
        f"The paper's {spec.paper} ({paper_title()}) shows chosen samples of other runs.",
    ]
    return [*notes, f"Data: {section.note}."] if section.note else notes


def _csv_lines(spec: SampleSpec, section: Comparable, found: Iterable[Samples]) -> list[list[Any]]:
    return [
        [
            *(spec.id, section.task, section.fingerprint[:SHORT], section.preset),
            *(s.row.title, s.row.label, s.row.options, s.row.group[:SHORT]),
            *(s.seed, number, line),
        ]
        for s in found
        for number, line in enumerate(s.lines, start=1)
    ]


def to_latex(context: dict[str, Any]) -> str:
    """Return a ``table`` environment for a document that uses booktabs."""
    return render("samples.tex.jinja", context)


def to_markdown(context: dict[str, Any]) -> str:
    """Return a GitHub-flavoured table with its notes."""
    return render("samples.md.jinja", context)
