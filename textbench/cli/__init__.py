"""The command line. Subcommands are imported when they are called, so that `--help` is instant."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import IO

import click

from textbench import __version__
from textbench.contracts.errors import UserError, did_you_mean, printable

COMMANDS = {
    "run": "Train and evaluate; repeat the command to resume.",
    "tune": "Try as many configurations of each trainer; write the best of each.",
    "report": "Write tables and figures of what is finished so far.",
    "compare": "Compare two result stores; exit code 1 on a regression.",
    "list": "List trainers, metrics, tasks and presets.",
    "status": "Show every run of a store and where it stands.",
    "show": "Show a run, trainer, task, metric or preset in detail.",
    "sample": "Print sentences of a finished run's generator.",
    "evaluate": "Compute metrics of stored generators, at any temperature.",
    "verify": "Make the first steps of a run again and compare with its record.",
    "score": "Score sentences of any other system by the same metrics.",
    "publish": "Write compact records of finished runs, to be kept.",
    "convert": "Bring a store of an older version up to date.",
    "export": "Write the results in a format that other suites read, or as an archive.",
    "data": "List, download and locate the published corpora.",
    "check": "Check that a trainer, metric or task keeps the harness's promises.",
}
"""Each lives in ``textbench.cli.NAME``, as the function ``command``."""

EPILOG = """\b
Examples:
  textbench run --algos cot,seqgan --task synthetic
  textbench report
  textbench show trainer:cot"""


class OneLineError(click.ClickException):
    """An error that is the user's to mend: one line on stderr, exit code 2."""

    exit_code = 2

    def show(self, file: IO[str] | None = None) -> None:
        """Print the line."""
        click.echo(f"textbench: error: {printable(self.format_message())}", file=file, err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn our own and click's complaints into `OneLineError`; Ctrl-C, closed pipes into codes."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    except UserError as error:
        raise OneLineError(" ".join(str(error).split())) from error
    except click.exceptions.NoArgsIsHelpError:
        raise
    except BrokenPipeError:  # `textbench compare A B | head`; click's own 1 says something else
        from textbench.cli.terminal import UNREAD, lead_nowhere

        lead_nowhere()
        raise click.exceptions.Exit(UNREAD) from None
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        raise OneLineError(" ".join(f"{what}{error.strerror or error}".split())) from error
    except MemoryError as error:
        wanted = f" ({error})" if str(error) else ""
        raise OneLineError(f"there is not enough memory for this{wanted}") from error
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "textbench"
        message = " ".join(error.format_message().split()).removesuffix(".")
        raise OneLineError(f"{message} (see `{path} --help`)") from error


def refuse_no_text(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no text in any option: no file, name or value of ours can hold them.

    Raises:
        UserError: Names the argument.
    """
    for argument in arguments:
        if "\0" in argument or any("\ud800" <= c <= "\udfff" for c in argument):
            raise UserError(f"argument {argument!a} holds bytes that are no text (UTF-8)")


def refuse_lost_folder() -> None:
    """Refuse to work where the current folder has been removed: no path could be relative to it.

    Raises:
        UserError: It has been.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the current folder has been removed; cd to one that is there") from None


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a first session."""
        return [*COMMANDS]  # `list` here is the module of that command, once that is imported

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"textbench.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or say which one was probably meant."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UserError(f"unknown command {args[0]!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options."""
        with one_line_errors():
            refuse_no_text(args)
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand."""
        with one_line_errors():
            refuse_lost_folder()
            return super().invoke(ctx)


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="textbench")
def cli() -> None:
    """Compare training algorithms of text generators: same backbone, data and evaluation."""


def main() -> None:
    """Run the command line."""
    from textbench.cli.terminal import open_missing_streams, replace_what_cannot_be_shown

    atexit.register(gc.freeze)  # or Python looks for cycles once more: 0.25 s of PyTorch's objects
    open_missing_streams()
    replace_what_cannot_be_shown()
    cli.main(prog_name="textbench")
