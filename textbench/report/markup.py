"""Text in LaTeX and Markdown: escapes, numbers, templates."""

from __future__ import annotations

import math
import re
from typing import Any

import jinja2

from textbench.report.definitions import HERE

MISSING = "—"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"

GREEK = (
    *("alpha", "beta", "gamma", "delta", "varepsilon"),
    *("lambda", "mu", "pi", "sigma", "tau"),
)
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
    "\N{LEFT SINGLE QUOTATION MARK}": "`{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'{}",
    "\N{EN DASH}": "--",
    "…": r"\ldots{}",
    "½": r"$\frac12$",
    "²": "$^2$",
    "‖": r"$\Vert$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "∇": r"$\nabla$",
    "Σ": r"$\Sigma$",
    "\N{WORD JOINER}": "{}",
    **{character: f"\\{character}" for character in "_%&#${}"},
    **{letter: f"$\\{name}$" for letter, name in zip("αβγδελμπστ", GREEK, strict=True)},
}


def latex(text: str) -> str:
    """Escape text for LaTeX.

    A character that plain pdfLaTeX cannot set is shown by its number, ``[U+4E2D]``.
    """
    apart = re.sub("-(?=-)", "-\N{WORD JOINER}", text)  # "--" would become a dash
    return "".join(_LATEX.get(c) or (c if " " <= c <= "~" else _code(c)) for c in apart)


def latex_number(text: str, bold: bool = False) -> str:
    """Escape a cell for LaTeX, its spread set smaller."""
    value, _, spread = text.partition(" ± ")
    shown = rf"\textbf{{{latex(value)}}}" if bold else latex(value)
    return shown + (rf"{{\scriptsize\,$\pm$\,{latex(spread)}}}" if spread else "")


def markdown_number(text: str, bold: bool = False) -> str:
    """Escape a cell for Markdown."""
    return f"**{markdown(text)}**" if bold else markdown(text)


def _code(character: str) -> str:
    return " " if character.isspace() else f"[U+{ord(character):04X}]"


def markdown(text: str) -> str:
    """Escape text for a Markdown table cell or paragraph."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """Format a number; a missing one is a dash, never 0."""
    if not math.isfinite(value):
        return MISSING
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", MINUS)


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
    environment.filters.update(tex=latex, md=markdown)
    environment.filters.update(texnum=latex_number, mdnum=markdown_number)
    return environment.get_template(template).render(context)
