"""The report: tables, figures and an index, from whatever a result store holds right now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textbench.contracts.errors import UserError
from textbench.report import figures, page, provenance, samples, verdicts
from textbench.report.definitions import (
    TEMPERED,
    FigureSpec,
    TableSpec,
    figure_specs,
    grid_rows,
    paper_title,
    row_names,
    table_specs,
)
from textbench.report.differences import CSV_COLUMNS, csv_lines, differences
from textbench.report.differences import layout as difference_layout
from textbench.report.markup import render
from textbench.report.notes import describe_preset
from textbench.report.output import Output
from textbench.report.tables import build
from textbench.report.writing import csv_text, data_csv, layout, to_csv, to_latex, to_markdown
from textbench.store.read import Results, read_store
from textbench.store.replicates import Comparable, sections
from textbench.store.rows import BROKEN

BAND = "Lines are means over seeds, bands ± one standard deviation, thin lines the seeds."


def write_report(
    results: Path, out: Path, say: Callable[[str], object] | None = None
) -> list[Path]:
    """Write tables, figures, verdicts, ``data.csv``, ``report.html`` and ``report.md``.

    The same store gives the same bytes. Files of an earlier report that this one no longer has
    are removed, so that no stale table stands beside new ones.

    Args:
        results: The result store; half finished is fine.
        out: Where to write; created.
        say: Told the summary: how many runs, how many of the paper's numbers and claims hold.

    Returns:
        The files written, the index first.

    Raises:
        UserError: The store has no readable run, or ``out`` cannot be written.
    """
    store = read_store(results)
    found = sections(store, row_names())
    if not found:
        raise UserError(_nothing(results, store.unreadable))
    output = Output(out)
    output.add("data.csv", data_csv(store))
    judged = verdicts.verdicts(found)
    output.add("verdicts.csv", csv_text(verdicts.CSV_COLUMNS, verdicts.csv_lines(judged)))
    contents = [_write_section(section, output) for section in found]
    summary = _summary(store, judged)
    context = {
        "summary": summary,
        "claims": [verdict for verdict in judged if verdict.is_claim],
        "numbers": verdicts.grouped(v for v in judged if not v.is_claim),
        "paper": paper_title(),
        "sections": contents,
        "problems": provenance.problems(store),
        "facts": provenance.facts(store),
        "commands": provenance.commands(store),
    }
    output.add("report.md", render("report.md.jinja", context))
    output.add("report.html", render("page.html.jinja", context))
    output.add("figures.py", _script(found[0]))
    files = output.write()
    if say is not None:
        for line in summary:
            say(line)
    return files


def _summary(store: Results, judged: list[verdicts.Verdict]) -> list[str]:
    """Return what is to be known first, line by line."""
    numbers = verdicts.count(verdict for verdict in judged if not verdict.is_claim)
    in_words = verdicts.count(verdict for verdict in judged if verdict.is_claim)
    return [
        f"{len(store.runs)} run(s): {provenance.statuses(store.runs)}",
        f"the paper's numbers: {numbers}",
        f"the paper's claims: {in_words}",
    ]


def _script(section: Comparable) -> str:
    """Return an editable script that draws the first section's curves from ``data.csv``."""
    metrics = list(dict.fromkeys(metric for spec in figure_specs() for metric in spec.metrics))
    names = {"task": section.task, "preset": section.preset, "metrics": metrics}
    return render("figures.py.jinja", {key: json.dumps(value) for key, value in names.items()})


def _nothing(results: Path, unreadable: dict[str, str]) -> str:
    if unreadable:
        name, reason = next(iter(unreadable.items()))
        return f"no readable run in {results}: {name}: {reason}"
    command = "textbench run --algos mle,cot --task synthetic"
    return f"no runs in {results}; make some with `{command} --results {results}`"


def _write_section(section: Comparable, output: Output) -> dict[str, Any]:
    """Write a section's files and return what the index shows of it."""
    general = section.without(*grid_rows())
    tables = []
    for spec in table_specs():
        part = _part(spec, section)
        table = build(spec, part) if part and spec.is_for(section.task) else None
        if table is not None:
            tables.append(_write_table(table.id, layout(table), to_csv(table), output))
            compared = differences(table)
            if compared is not None:
                lines = csv_text(CSV_COLUMNS, csv_lines(compared))
                tables.append(_write_table(compared.id, difference_layout(compared), lines, output))
    chart = page.chart(general)
    drawn = []
    for figure in figure_specs():
        part = section.only(*figure.panels.values()) if figure.panels else general
        part = section if figure.kind == "tradeoff" else part
        drawn.append(_write_figure(figure, part, output) if part else None)
    return {
        "title": section.title,
        "fingerprint": section.fingerprint,
        "task_options": section.task_options,
        "note": section.note,
        "preset": section.preset,
        "preset_line": describe_preset(section),
        "tables": tables,
        "listing": _write_samples(section, output),
        "figures": [figure for figure in drawn if figure],
        "chart": chart,
        "chart_json": page.to_json(chart),
        "samples": page.samples(section.without(TEMPERED).rows),
    }


def _part(spec: TableSpec, section: Comparable) -> Comparable | None:
    """Return the rows that a table is about."""
    if spec.every_metric:
        return section
    if spec.only:
        return section.only(*spec.only)
    return section.without(*grid_rows(), keep=[row.label for row in spec.rows])


def _write_table(stem: str, context: dict[str, Any], csv: str, output: Output) -> dict[str, Any]:
    written = _add_table(stem, to_latex(context), csv, to_markdown(context), output)
    return {"layout": context, **written}


def _add_table(stem: str, tex: str, csv: str, text: str, output: Output) -> dict[str, Any]:
    """Write a table in its three formats; return what the index shows of it."""
    files = [f"{stem}.{kind}" for kind in ("tex", "csv", "md")]
    for file, content in zip(files, (tex, csv, text), strict=True):
        output.add(file, content)
    return {"markdown": text, "files": files}


def _write_samples(section: Comparable, output: Output) -> dict[str, Any] | None:
    built = samples.build_samples(section)
    if built is None:
        return None
    context, csv = built
    text = samples.to_markdown(context)
    return _add_table(context["id"], samples.to_latex(context), csv, text, output)


def _write_figure(spec: FigureSpec, section: Comparable, output: Output) -> dict[str, Any] | None:
    figure = figures.draw(spec, section)
    if figure is None:
        return None
    stem = f"{spec.id}-{section.slug}"
    png = figures.to_bytes(figure, "png")
    output.add(f"{stem}.pdf", figures.to_bytes(figure, "pdf"))
    output.add(f"{stem}.png", png)
    caption = BAND
    if any(run.spec.warmup for run in section.runs):
        caption += " An open circle marks where a run takes over from its warm-up, whose own "
        caption += "line shows what came before."
    if any(run.status.status in BROKEN for run in section.runs):
        caption += " A cross ends a run that failed or diverged."
    if section.options:
        caption += f" Every row: {section.options}."
    title = f"{spec.title} ({spec.paper} of the paper)" if spec.paper else spec.title
    return {
        "title": title,
        "png": f"{stem}.png",
        "pdf": f"{stem}.pdf",
        "caption": caption,
        **page.picture(png),
    }
