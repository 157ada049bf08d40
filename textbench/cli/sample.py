"""`textbench sample`: sentences of a finished run's generator."""

from __future__ import annotations

from pathlib import Path

import click

from textbench.cli import options
from textbench.cli.engines import compute_on
from textbench.cli.recorded import find_run
from textbench.contracts.errors import UserError, printable
from textbench.plan.arguments import parse_alphas, parse_settings

EPILOG = """\b
Examples:
  textbench sample emnlp_news/cot/s0 -n 20
  textbench sample emnlp_news/cot/s0 -n 20 --alpha 1.5
  textbench sample text/cot/s0 --set text.train=/where/it/is/now.txt"""


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument("run", metavar="RUN")
@options.count("-n", "number", use="How many.", most=1_000_000, default=20)
@options.text(
    "--alpha",
    metavar="A",
    use="Inverse temperature: multiplies the logits; 1.5 sharpens.",
    default="1",
)
@options.count("--seed", use="Seed of the draw.  [default: the run's]", least=0)
@options.settings("Where the run's data are now, if the store does not keep them")
@options.results("The store to look for RUN in.")
@options.plugins("Python file with the run's trainer or task, if it is yours")
def command(
    run: str,
    number: int,
    alpha: str,
    seed: int | None,
    settings: tuple[str, ...],
    results: Path,
) -> None:
    """Print samples of a finished run's generator, one a line.

    RUN is any part of a run's name or hash that no other run shares.
    """
    (value,) = parse_alphas(alpha, single=True)
    changed = parse_settings(settings)
    from textbench.run.again import load, sample

    stored = load(find_run(run, results), compute_on("cpu"), changed)
    task = stored.spec.task
    for section in changed.keys() - {task}:
        raise UserError(f"--set {section}: only the task's options, {task}.KEY, matter here")
    for line in sample(stored, number, value, seed):
        click.echo(printable(line))
