"""What must be instant imports nothing heavy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from textbench.cli import cli
from textbench.contracts.spec import Spec
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status

HEAVY = ("torch", "numpy", "pandas", "scipy", "matplotlib", "seaborn", "nltk")
PROBE = """
import json, sys
from textbench.cli import cli
try:
    cli.main(sys.argv[1:], prog_name="textbench")
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""


def modules_after(arguments: list[str], cwd: Path) -> set[str]:
    """Return the modules that a fresh interpreter has imported after one command."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100"},
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder with a run of `mle` in ``results``."""
    spec = Spec("mle", 1, {}, "synthetic", {}, "", {}, {}, 0)
    run = RunDirectory(spec.directory(tmp_path / "results"))
    run.create(spec)
    run.write_json("env.json", {"starts": [{"code": "0"}]})
    run.write_status(Status("done", step=3, total=3))
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "list",
        "status",
        "report --help",
        "run --help",
        "compare --help",
        "show preset:quick",
    ],
)
def test_no_heavy_import(command: str, store: Path) -> None:
    imported = modules_after(command.split(), store)
    assert "textbench.cli" in imported
    assert imported.isdisjoint(HEAVY)
    assert "pydantic" not in imported


def test_the_probe_notices_heavy_imports(store: Path) -> None:
    assert {"torch", "pydantic"} <= modules_after(["show", "trainer:mle"], store)


def test_help_does_not_import_the_subcommands(store: Path) -> None:
    imported = modules_after(["--help"], store)
    assert not [name for name in imported if name.startswith("textbench.cli.")]
    assert "rich" not in imported and "importlib.metadata" not in imported


def test_what_is_left_at_the_end_is_not_searched_for_cycles() -> None:
    """After importing PyTorch that takes Python 0.25 s, however little the command had to do."""
    first = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 10_000))"
    code = f"{first}; from textbench.cli import main; main()"
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"


def test_help_after_every_subcommand_in_one_process() -> None:
    """A subcommand's module is an attribute of the package: `list` hides the built-in there."""
    for name in cli.list_commands(click.Context(cli)):
        assert cli.get_command(click.Context(cli), name) is not None
    done = CliRunner().invoke(cli, ["--help"])
    assert done.exit_code == 0, repr(done.exception)
    assert re.search(r"^  list ", done.output, re.M)
