"""The files of a report, from a store that has been read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar, cast

import pandas as pd

from textbench.report import (
    conclusions,
    differences,
    page,
    provenance,
    rankings,
    samples,
    target_profile,
    targets,
)
from textbench.report.data import data_csv
from textbench.report.definitions import (
    TableSpec,
    figure_specs,
    grid_rows,
    row_names,
    table_specs,
)
from textbench.report.layout import Layout, layout, to_csv, to_latex, to_markdown
from textbench.report.markup import render
from textbench.report.output import Output
from textbench.report.pictures import Picture, jobs, picture
from textbench.report.sections import Section, records, sections
from textbench.report.shown import Files, Shown, spoken
from textbench.report.styles import Styles
from textbench.report.tables import build
from textbench.store.beside import beside
from textbench.store.frames import Frames

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Report:
    """One report in the making."""

    output: Output
    waiting: Mapping[Callable[[], object], Callable[[], object]]
    """What other processes make meanwhile: by the job, what waits for its value."""
    styles: Styles
    judged: conclusions.Conclusions
    unicode: bool

    def made(self, job: Callable[[], T]) -> T:
        """Return the value of a job, as soon as it is there."""
        return cast(T, self.waiting[job]())


def write(
    found: Frames,
    out: Path,
    say: Callable[[str], object] | None,
    *,
    unicode: bool,
    processes: int,
) -> list[Path]:
    """Write the report of a store that has been read; arguments are those of `write_report`."""
    parts = sections(found, row_names())
    styles = Styles(parts)
    figures = [jobs(section, styles) for section in parts]
    charts = [partial(_chart, section, styles) for section in parts]
    with Output(out) as output:
        csv = output.lay_down("data.csv", partial(data_csv, found.results))
        # The dearest first: the last to end should be short.
        drawn = sorted(chain.from_iterable(figures), key=lambda job: -job.size)
        work: list[Callable[[], object]] = [csv, *charts, *drawn]
        # This process is done before the figures are: one for each processor draws beside it.
        with beside(work, processes if processes > 1 else 0) as waiting:
            by_job = dict(zip(work, waiting, strict=True))
            report = Report(output, by_job, styles, conclusions.judge(parts), unicode)
            _write_data(report, parts[0])
            contents = [
                _write_section(report, found, section, chart, own)
                for section, chart, own in zip(parts, charts, figures, strict=True)
            ]
            output.take("data.csv", report.made(csv))
        summary = _write_index(report, found, contents)
        files = output.write()
    if say is not None:
        for line in spoken(contents, summary):
            say(line)
    return files


def _write_index(report: Report, found: Frames, contents: list[Shown]) -> list[str]:
    """Write the index, as Markdown and as a page; return its summary."""
    starts = list(chain.from_iterable(found.runs.loc[found.runs["alpha"] == 1.0, "starts"]))
    summary = conclusions.summary(found, report.judged)
    context = {
        "summary": summary,
        "sections": contents,
        "claims": records(report.judged.claims),
        "numbers": conclusions.number_lines(report.judged.numbers),
        "problems": provenance.problems(found.runs, found.unreadable),
        "facts": provenance.facts(starts),
        "commands": provenance.commands(starts),
    }
    report.output.add("report.md", render("report.md.jinja", context))
    report.output.add("report.html", render("page.html.jinja", context))
    return summary


def _write_data(report: Report, first: Section) -> None:
    """Write the frames of what is concluded, and a script that draws the first section's curves."""
    add, judged = report.output.add, report.judged
    add("rankings.csv", to_csv(judged.ranked, conclusions.RANKING_COLUMNS))
    add("verdicts.csv", _all_columns(judged.numbers))
    add("claims.csv", _all_columns(judged.claims))
    metrics = list(dict.fromkeys(metric for spec in figure_specs() for metric in spec.metrics))
    names = {"task": first.task, "preset": first.preset, "metrics": metrics}
    script = {key: json.dumps(value) for key, value in names.items()}
    add("figures.py", render("figures.py.jinja", script))


def _all_columns(frame: pd.DataFrame) -> str:
    flat = frame.copy()
    for key in frame:
        if frame[key].map(lambda value: isinstance(value, tuple)).any():
            flat[key] = frame[key].map("; ".join)
    return to_csv(flat, tuple(frame.columns))


# -- a section -------------------------------------------------------------------------------


def _chart(section: Section, styles: Styles) -> str:
    """Return the data of a section's interactive chart as JSON; empty where it has no curve."""
    chart = page.chart(section.without(*grid_rows()), styles)
    return page.to_json(chart) if chart["curves"] else ""


def _write_section(
    report: Report,
    found: Frames,
    section: Section,
    chart: Callable[[], str],
    drawn: Iterable[Callable[[], Picture | None]],
) -> Shown:
    """Write a section's files and return what the index shows of it."""
    shown = samples.read_samples(section, page.SAMPLES)
    costs = targets.build(found.results, section)
    costed = [
        _add(report, targets.layout(one), to_csv(targets.to_frame(one), targets.CSV_COLUMNS))
        for one in costs
        if len(one.rows)
    ]
    profile, why = _write_profile(report, costs, section)
    ranked = report.judged.rankings[section.slug]
    tables = [one for spec in table_specs() for one in _write_table(report, spec, section)]
    pictures = [_add_picture(report, one) for job in drawn if (one := report.made(job))]
    return Shown(
        about=section,
        rankings=[rankings.ranked(section, one) for one in ranked],
        better=conclusions.better(section, ranked),
        trust=report.judged.trust[section.slug],
        targets=[targets.sentence(one) for one in costs],
        no_targets=[*targets.missing(costs, section), *why],
        tables=[*tables, *costed],
        listing=_write_samples(report, section),
        figures=[*pictures, *([profile] if profile else [])],
        chart=report.made(chart),
        samples=samples.grouped(shown) if len(shown) else [],
    )


def _part(spec: TableSpec, section: Section) -> Section | None:
    """Return the rows that a table is about."""
    if spec.every_metric:
        return section
    if spec.only:
        return section.only(*spec.only)
    return section.without(*grid_rows(), keep=[row.label for row in spec.rows])


def _write_table(report: Report, spec: TableSpec, section: Section) -> Iterator[Files]:
    """Write a table, and that of its differences to a baseline."""
    part = _part(spec, section) if spec.is_for(section.task) else None
    table = build(spec, part) if part is not None else None
    if table is None:
        return
    yield _add(report, layout(table), to_csv(table.cells))
    compared = differences.compare(table)
    if compared is not None:
        frame, context = compared
        yield _add(report, context, to_csv(frame, differences.CSV_COLUMNS))


def _add(report: Report, table: Layout, csv: str) -> Files:
    """Write a table in its three formats; return what the index shows of it."""
    text = to_markdown(table)
    return Files(text, _files(report, table.id, to_latex(table, report.unicode), csv, text), table)


def _files(report: Report, stem: str, tex: str, csv: str, text: str) -> list[str]:
    written = {f"{stem}.tex": tex, f"{stem}.csv": csv, f"{stem}.md": text}
    for name, content in written.items():
        report.output.add(name, content)
    return list(written)


def _write_samples(report: Report, section: Section) -> Files | None:
    built = samples.build(section)
    if built is None:
        return None
    context, frame = built
    tex = render("samples.tex.jinja", context, report.unicode)
    text = render("samples.md.jinja", context)
    csv = to_csv(frame, samples.CSV_COLUMNS)
    return Files(text, _files(report, str(context["id"]), tex, csv, text))


def _add_picture(report: Report, drawn: Picture) -> dict[str, object]:
    """Write a figure in its two formats; return what the index shows of it."""
    shown: dict[str, object] = {"title": drawn.title, "caption": drawn.caption}
    for kind, content in (("pdf", drawn.pdf), ("png", drawn.png)):
        shown[kind] = f"{drawn.stem}.{kind}"
        report.output.add(f"{drawn.stem}.{kind}", content)
    return shown | page.picture(drawn.png)


def _write_profile(
    report: Report, costs: list[targets.TargetTable], section: Section
) -> tuple[dict[str, object] | None, list[str]]:
    """Write the profile over a section's targets, or say why there is none."""
    steps, why = target_profile.build(costs)
    if why:
        return None, [why] if costs else []
    stem = f"target-profile-{section.slug}"
    report.output.add(f"{stem}.csv", to_csv(steps, target_profile.CSV_COLUMNS))
    drawn = target_profile.draw(steps, section, report.styles)
    caption = target_profile.caption(costs, drawn)
    profile = picture(stem, drawn, target_profile.TITLE, caption)
    return _add_picture(report, profile), []
