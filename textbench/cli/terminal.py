"""What commands say beside their results, and what a terminal can show."""

from __future__ import annotations

import click

from textbench.contracts.errors import printable


def warn(line: str) -> None:
    """Print a warning, one line on stderr."""
    click.secho(printable(f"textbench: warning: {' '.join(line.split())}"), err=True, fg="yellow")
