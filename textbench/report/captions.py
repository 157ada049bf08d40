"""What stands under a figure."""

from __future__ import annotations

from collections.abc import Iterator

from textbench.report.definitions import FigureSpec
from textbench.report.panels import Drawn
from textbench.report.sections import Section
from textbench.store.rows import BROKEN

BAND = (
    "Lines are means over seeds, bands their 95 % t-intervals (from three seeds on), thin lines "
    "the seeds. Where lines coincide, the lower one is wide and pale."
)


def sentences(spec: FigureSpec, part: Section, drawn: Drawn) -> Iterator[str]:
    """Yield the sentences under a figure."""
    if spec.kind == "paths":
        yield (
            "Lines are means over seeds at equal epochs, from an open circle (where training "
            "starts, mostly outside) to a full one with its epoch; thin lines the seeds. Stars "
            "are the pairs that the paper reports, in the colour of their algorithm; grey ones "
            "were not run here."
        )
        if drawn.other_oracle:
            yield "They are of another oracle: only their places among each other compare."
    elif spec.kind == "tradeoff":
        yield "Means over seeds; the ends of a line say their inverse temperature."
    else:
        yield BAND
    if spec.kind != "tradeoff" and (part.runs["warmup_label"] != "").any():
        yield (
            "An open circle marks where a run takes over from its warm-up, whose own line shows "
            "what came before."
        )
    if spec.kind in ("curves", "twin") and part.runs["status"].isin(BROKEN).any():
        yield "A cross ends a run that failed or diverged."
    if drawn.stubs:
        yield f"Not drawn, with fewer than three evaluations: {', '.join(drawn.stubs)}."
    if part.options:
        yield f"Every row: {part.options}."


def boxes(letters: str) -> Iterator[str]:
    """Say which letters a figure shows as boxes, if any."""
    if letters:
        yield f"No font here has {' '.join(letters)}: boxes stand in their places."
