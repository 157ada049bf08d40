"""Samples side by side: the first lines of every algorithm's ``samples.txt``, unselected."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from textbench.contracts.errors import one_line, printable
from textbench.judge import published
from textbench.report.definitions import TEMPERED, SampleSpec, matches, sample_spec
from textbench.report.sections import Section, indexed, records, spelt_out
from textbench.store import verify
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.store.rows import SAMPLES

ABOUT = ("name", "brief", "label", "options", "group")
CSV_COLUMNS = (
    *("table", "task", "task_fingerprint", "preset", "row", "label", "options", "group"),
    *("seed", "number", "sample"),
)


def read_samples(section: Section, number: int, said: list[str] | None = None) -> pd.DataFrame:
    """Return the first ``number`` samples of each row's first finished run, as `CSV_COLUMNS`.

    Rows of other temperatures have no samples on record.

    Args:
        section: The runs.
        number: How many samples of each.
        said: Takes a line for each run whose samples cannot be read.
    """
    spec, found = sample_spec(), []
    part = section.without(TEMPERED)
    finished = part.runs[part.runs["status"] == "done"].sort_values("seed")
    for key, row in indexed(part.rows):
        mine = finished[finished["row"] == key].head(1)
        for run in records(mine):
            lines = [printable(line) for line in _lines(Path(run.path), said)[:number]]
            about = {key: getattr(row, key) for key in ABOUT}
            about |= {"row": row.title, "seed": run.seed}
            found += [about | {"number": i, "sample": one} for i, one in enumerate(lines, start=1)]
    frame = pd.DataFrame(found, columns=None if found else [*CSV_COLUMNS, "name", "brief"])
    return frame.assign(
        table=spec.id,
        task=section.task,
        task_fingerprint=section.fingerprint,
        preset=section.preset,
    )


def _lines(run: Path, said: list[str] | None) -> list[str]:
    """Return a run's samples; none where they are lost."""
    try:
        directory = RunDirectory(run, alone=True)
        content = verify.samples(directory, directory.status())
    except (OSError, DamagedError) as error:
        wrong = error.wrong if isinstance(error, DamagedError) else one_line(error)
        if said is not None:
            said.append(f"The samples of {'/'.join(run.parts[-3:])} are left out: {wrong}.")
        return []
    return content.decode("utf-8", errors="replace").split("\n")[:-1]


def grouped(samples: pd.DataFrame) -> list[dict[str, object]]:
    """Return each row's samples."""
    return [
        {
            **{key: lines[key].iloc[0] for key in ("name", "row", "brief", "seed")},
            "lines": lines["sample"].to_list(),
        }
        for _, lines in samples.groupby(["label", "group"], sort=False, observed=True)
    ]


def build(section: Section) -> tuple[dict[str, object], pd.DataFrame] | None:
    """Return a section's table of samples as (what the templates need, its frame).

    None where the task is not one of text, or nothing is finished.
    """
    spec = sample_spec()
    if not matches(section.task, spec.tasks):
        return None
    left_out: list[str] = []
    samples = read_samples(section, spec.lines, left_out)
    if not len(samples):
        return None
    context: dict[str, object] = {
        "id": f"{spec.id}-{section.slug}",
        "title": spec.title,
        "section": section.title,
        "rows": grouped(samples),
        "notes": [*_notes(spec, section), *spelt_out(section.without(TEMPERED).rows), *left_out],
    }
    return context, samples


def _notes(spec: SampleSpec, section: Section) -> list[str]:
    paper = next(iter(published.tables().values())).document
    notes = [
        f"The first {spec.lines} lines of each row's {SAMPLES}, in the order in which they were "
        "drawn at alpha = 1 and without a choice; `textbench sample RUN` prints more.",
        f"{spec.paper} of “{paper.title}” ({paper.version}) shows chosen samples of other runs.",
    ]
    return [*notes, f"Data: {section.note}."] if section.note else notes
