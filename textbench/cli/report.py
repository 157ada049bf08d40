"""`textbench report`: tables and figures of what is finished so far."""

from __future__ import annotations

from pathlib import Path

import click

from textbench.cli import options
from textbench.cli.engines import usable_cores
from textbench.cli.terminal import refuse_folder_of_stores

EPILOG = """\b
Examples:
  textbench report
  textbench report --results /data/results --out paper/figures"""


@click.command(cls=options.Command, epilog=EPILOG)
@options.results("The store that `textbench run` wrote.")
@options.folder("--out", use="Where the report goes.", default="reports")
@options.flag(
    "--unicode",
    use="Write LaTeX for XeLaTeX or LuaLaTeX: letters that pdfLaTeX has not stay as such.",
)
def command(results: Path, out: Path, unicode: bool) -> None:
    """Write tables (LaTeX, CSV, Markdown) and figures (PDF, PNG); never changes the store.

    Ends with what may be concluded: who is better by which metric, what that is worth, and how
    many of the paper's numbers and claims hold.
    """
    from textbench.report import write_report

    refuse_folder_of_stores(results)
    summary: list[str] = []
    written = write_report(
        *(results, out, summary.append), unicode=unicode, processes=usable_cores()
    )
    for path in written:
        click.echo(path)
    click.echo("\n" + "\n".join(summary))
