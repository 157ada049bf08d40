"""Text in LaTeX and Markdown: escapes, numbers, templates."""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import jinja2

from textbench.contracts.errors import printable
from textbench.report.definitions import HERE

MISSING = "—"
HUGE = 1e9
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
    "‡": r"$^\ddagger$",
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
    **{"æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ß": r"\ss{}"},
    **{
        "ø": r"\o{}",
        "Ø": r"\O{}",
        "ł": r"\l{}",
        "Ł": r"\L{}",
        "\N{LATIN SMALL LETTER DOTLESS I}": r"\i{}",
    },
    **{character: f"\\{character}" for character in "_%&#${}"},
    **{letter: f"$\\{name}$" for letter, name in zip("αβγδελμπστ", GREEK, strict=True)},
}


_DOTLESS = {"i": r"\i", "j": r"\j"}
ACCENTS = {
    **{"\N{COMBINING GRAVE ACCENT}": "`", "\N{COMBINING ACUTE ACCENT}": "'"},
    **{"\N{COMBINING CIRCUMFLEX ACCENT}": "^", "\N{COMBINING TILDE}": "~"},
    **{"\N{COMBINING DIAERESIS}": '"', "\N{COMBINING MACRON}": "="},
    **{"\N{COMBINING DOT ABOVE}": ".", "\N{COMBINING RING ABOVE}": "r"},
    **{"\N{COMBINING CARON}": "v", "\N{COMBINING BREVE}": "u"},
    **{"\N{COMBINING DOUBLE ACUTE ACCENT}": "H", "\N{COMBINING CEDILLA}": "c"},
}
"""LaTeX's commands for accents, all of which its default font encoding has."""


def latex(text: str, unicode: bool = False) -> str:
    """Escape text for LaTeX; letters with accents are set as such.

    Args:
        text: Anything.
        unicode: Leave other letters to XeLaTeX or LuaLaTeX, and to the document's font. Plain
            pdfLaTeX cannot set them, and they are shown by their number, ``[U+4E2D]``.
    """
    joined = unicodedata.normalize("NFC", text)
    apart = re.sub("-(?=-)", "-\N{WORD JOINER}", joined)  # "--" would become a dash
    return "".join(_letter(c, unicode) for c in apart)


@functools.cache
def _letter(character: str, unicode: bool) -> str:
    known = _LATEX.get(character)
    if known is not None:
        return known
    if " " <= character <= "~":
        return character
    if character.isspace():
        return " "
    base, *marks = list(unicodedata.normalize("NFD", character))
    if len(marks) == 1 and marks[0] in ACCENTS and base.isascii():
        return rf"\{ACCENTS[marks[0]]}{{{_DOTLESS.get(base, base)}}}"
    if unicode and character.isprintable():
        return character
    return f"[U+{ord(character):04X}]"


def latex_number(text: str, bold: bool = False, unicode: bool = False) -> str:
    """Escape a cell for LaTeX, its spread set smaller."""
    value, _, spread = text.partition(" ± ")
    shown = latex(value, unicode)
    shown = rf"\textbf{{{shown}}}" if bold else shown
    return shown + (rf"{{\scriptsize\,$\pm$\,{latex(spread, unicode)}}}" if spread else "")


def markdown_number(text: str, bold: bool = False) -> str:
    """Escape a cell for Markdown."""
    return f"**{markdown(text)}**" if bold else markdown(text)


def markdown(text: str) -> str:
    """Escape text for a Markdown table cell or paragraph."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(printable(text).split()))


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """Format a number; a missing one is a dash, never 0; of a huge one four digits are shown."""
    if not math.isfinite(value):
        return MISSING
    if abs(value) >= HUGE:
        return f"{value:{'+' if signed else ''}.4g}".replace("-", MINUS)
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", MINUS)


def p_value(p: float) -> str:
    """Format a p-value that is told."""
    return f"p={number(p, 3)}" if p >= 0.001 else "p<0.001"


def counted(value: float) -> str:
    """Format a whole number, its thousands separated; a mean of counts is rounded."""
    return f"{value:,.0f}" if math.isfinite(value) else MISSING


def _shown(value: object) -> object:
    """Return what a template is given without characters that no page may hold raw."""
    return type(value)(printable(value)) if isinstance(value, str) else value


def render(template: str, context: Mapping[str, object], unicode: bool = False) -> str:
    """Fill a template of this package; LaTeX templates use ``<< >>`` and ``<% %>``.

    Args:
        template: Its file's name.
        context: What it needs.
        unicode: See `latex`.
    """
    environment = _environment(template[template.index(".") :], unicode)
    return environment.get_template(template).render(context)


@functools.cache
def _environment(suffix: str, unicode: bool) -> jinja2.Environment:
    """Return what compiles each template of a kind of file once."""
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
        autoescape=suffix.endswith(".html.jinja"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
        **(delimiters if suffix == ".tex.jinja" else {}),
    )
    environment.filters.update(
        tex=functools.partial(latex, unicode=unicode),
        texnum=functools.partial(latex_number, unicode=unicode),
        md=markdown,
        mdnum=markdown_number,
    )
    return environment
