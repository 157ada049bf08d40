"""Mistakes of callers and machines that look like something else: one line that says which."""

from __future__ import annotations

import errno
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from stores import make_run, spec

from textbench.cli import cli
from textbench.store import files

TINY = "run --task synthetic-tiny --preset ci --dry-run"


def call(line: str) -> Result:
    return CliRunner().invoke(cli, shlex.split(line))


def refused(line: str) -> str:
    """Return the one line of a command that refuses."""
    result = call(line)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert re.fullmatch(r"textbench: error: [^\n]+\n", result.stderr), result.stderr
    return result.stderr


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of one run, in the current folder."""
    monkeypatch.chdir(tmp_path)
    make_run(Path("results"), spec("mle", 0), [])
    return Path("results")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{TINY} --algos mle --algos cot", "--algos is given twice; give it once, as --algos A,B"),
        (f"{TINY} --algos mle --seeds 0 --seeds=1", "--seeds is given twice"),
        (f"{TINY} --algos mle --jobs 1 --jobs 2", "--jobs is given twice"),
        (f"{TINY} --algos mle --results ''", "--results is empty; leave it out, or give it a"),
        (f"{TINY} --algos mle --plugin ''", "--plugin is empty"),
        (f"{TINY} --algos mle --config ' '", "--config is empty"),
        (f"{TINY} --algos mle --device ''", "--device is empty"),
        (f"{TINY} --algos mle --plugin .", "plugin . is a folder; name a Python file in it"),
        ("report --out ''", "--out is empty"),
        ("publish results mine --only ''", "--only is empty"),
        ("show ''", "an argument is empty"),
        ("evaluate '' mle", "an argument is empty"),
        ("evaluate --samples 99999999999999", "99999999999999 is not in the range"),
        ("tune --algos mle --task synthetic-tiny --trials 99999999999", "is not in the range"),
        ("check trainer:mlee", "'mlee'; did you mean 'mle'"),
        ("status --results results/tiny", "is a part of a store: say --results results"),
        ("status --results results/tiny/mle", "is a part of a store: say --results results"),
        ("report --results results/tiny", "is a part of a store: say --results results"),
        ("evaluate --results results/tiny", "is a part of a store: say --results results"),
    ],
)
def test_what_would_have_been_another_command(store: Path, line: str, message: str) -> None:
    (run,) = store.glob("*/*/s*")
    task, row = run.parts[-3:-1]
    line = line.replace("results/tiny/mle", f"results/{task}/{row}")
    assert message in refused(line.replace("results/tiny", f"results/{task}"))


def test_what_may_be_given_twice_still_may(store: Path) -> None:
    assert call(f"{TINY} --algos mle --set mle.epochs=2 --set mle.lr=0.1 --dry-run").exit_code == 0
    assert call("run --algos a --algos b --help").exit_code == 0


def test_a_trainer_may_be_called_as_show_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from textbench.cli.check import named

    assert named("trainer:cot:head") == named("cot:head") == ([("trainer", "cot:head")], ())
    assert named("metric:bleu") == ([("metric", "bleu")], ())


def test_too_little_memory_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **named: object) -> None:
        raise MemoryError("Unable to allocate 7.28 TiB")

    monkeypatch.setattr("textbench.cli.show.show_run", full)
    assert "not enough memory for this (Unable to allocate 7.28 TiB)" in refused("show mle")


@pytest.mark.skipif(os.name == "nt", reason="a current folder cannot be removed there")
def test_a_current_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    script = "import os, sys; os.rmdir(os.getcwd()); from textbench.cli import main; main()"
    for line in ("status", "run --algos mle --task synthetic-tiny --preset ci"):
        (tmp_path / "here").mkdir()
        done = subprocess.run(
            [sys.executable, "-c", script, *line.split()],
            cwd=tmp_path / "here",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and done.stdout == "", done
        wrong = "textbench: error: the current folder has been removed; cd to one that is there\n"
        assert done.stderr == wrong


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system names the temporary, or no file at all."""
    with pytest.raises(FileNotFoundError) as absent:
        files.replace(tmp_path / "absent" / "a.json", b"{}")
    assert absent.value.filename == str(tmp_path / "absent" / "a.json")

    class Full:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *given: object) -> None:
            self.handle.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.handle, name)

        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "log.jsonl").write_bytes(b"{}\n")
    opened = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *given, **named: Full(opened(*given, **named)))
    for write in (
        lambda path: files.replace(path, b"{}"),
        lambda path: files.append_line(path, b"{}\n"),
    ):
        with pytest.raises(OSError, match="No space left") as full:
            write(tmp_path / "log.jsonl")
        assert full.value.filename == str(tmp_path / "log.jsonl")
    monkeypatch.undo()
    assert (tmp_path / "log.jsonl").read_bytes() == b"{}\n"


@pytest.mark.parametrize("value", ["9" * 5000, f"[{'9' * 5000}]"])
def test_a_number_of_thousands_of_digits_is_no_option(store: Path, value: str) -> None:
    row = 'algos = "mle"\ntask = "synthetic-tiny"\n[mle]\n'
    Path("long.toml").write_text(f"{row}epochs = {value}\n")
    assert "long.toml holds a whole number of thousands" in refused("run --config long.toml")
    said = refused(f"{TINY} --algos mle --set mle.epochs={value}")
    assert "mle.epochs: Input should be a valid" in said


def test_a_config_file_may_begin_with_a_byte_order_mark(store: Path) -> None:
    Path("mark.toml").write_text('algos = "mle"\ntask = "synthetic-tiny"\n', encoding="utf-8-sig")
    done = call("run --config mark.toml --preset ci --dry-run")
    assert done.exit_code == 0 and "synthetic-tiny/mle/s0-" in done.stdout
