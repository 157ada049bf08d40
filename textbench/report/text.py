"""Numbers and names as text, and their escapes for LaTeX and Markdown."""

from __future__ import annotations

import math
import re
from typing import Any

import jinja2

from textbench.report.definitions import HERE, Published, row_names
from textbench.report.sections import Row
from textbench.report.tables import Cell, Column

MISSING = "—"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": "`{}",
    "±": r"$\pm$",
    TIMES: r"$\times$",
    MINUS: r"$-$",
    "—": "---",
    "“": "``",
    "”": "''",
    "·": r"$\cdot$",
    "†": r"$^\dagger$",
    "§": r"$^\S$",
    "\N{WORD JOINER}": "{}",
    **{character: f"\\{character}" for character in "_%&#${}"},
}


def latex(text: str) -> str:
    """Escape text for LaTeX.

    A character that plain pdfLaTeX cannot set is shown by its number, ``[U+4E2D]``.
    """
    apart = re.sub("-(?=-)", "-\N{WORD JOINER}", text)  # "--" would become a dash
    return "".join(_LATEX.get(c) or (c if " " <= c <= "~" else _code(c)) for c in apart)


def latex_number(text: str) -> str:
    """Escape a cell for LaTeX, its spread set smaller."""
    value, _, spread = text.partition(" ± ")
    return latex(value) + (rf"{{\scriptsize\,$\pm$\,{latex(spread)}}}" if spread else "")


def _code(character: str) -> str:
    return " " if character.isspace() else f"[U+{ord(character):04X}]"


def markdown(text: str) -> str:
    """Escape text for a Markdown table cell or paragraph."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def number(value: float, digits: int) -> str:
    """Format a number; a missing one is a dash, never 0."""
    if not math.isfinite(value):
        return MISSING
    return f"{value:.{digits}f}".replace("-", MINUS)


def ours(cell: Cell, row: Row, column: Column) -> str:
    """Format our number with its spread, and how many seeds it is of where that is not all."""
    if not cell.seeds:
        return MISSING
    spec = column.spec
    if cell.in_warmup == cell.n:
        return in_warmup(cell.warmup_label, pair=len(spec.metrics) > 1)
    text = " + ".join(number(summary.mean, spec.digits) for summary in cell.summaries)
    if math.isfinite(cell.spread):
        text += f" ± {number(cell.spread, spec.digits)}"
    if cell.in_warmup:
        text += f" ({cell.in_warmup} of {cell.n} in {_name(cell.warmup_label)})"
    if cell.n != len(row.done):
        text += f" (n={cell.n})"
    return text


def paper(published: Published, column: Column) -> str:
    """Format the paper's number."""
    if published.warmup:
        return in_warmup(published.warmup, pair=len(column.spec.metrics) > 1)
    if not published.values:
        return MISSING
    text = " + ".join(number(value, column.spec.digits) for value in published.values)
    return text if published.sd is None else f"{text} ± {number(published.sd, column.spec.digits)}"


def in_warmup(label: str, *, pair: bool) -> str:
    """Say, in the paper's words, that the best was acquired during the warm-up."""
    return f"(the same as {_name(label)})" if pair else f"-({_name(label)})"


def _name(label: str) -> str:
    return row_names().get(label, label)


def render(template: str, context: dict[str, Any]) -> str:
    """Fill a template of this package; LaTeX templates use ``<< >>`` and ``<% %>``."""
    is_latex = template.endswith(".tex.jinja")
    delimiters: dict[str, Any] = {
        "block_start_string": "<%",
        "block_end_string": "%>",
        "variable_start_string": "<<",
        "variable_end_string": ">>",
        "comment_start_string": "<#",
        "comment_end_string": "#>",
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=template.endswith(".html.jinja"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **(delimiters if is_latex else {}),
    )
    environment.filters.update(tex=latex, num=latex_number, md=markdown)
    return environment.get_template(template).render(context)
