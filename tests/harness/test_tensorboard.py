"""`run --tensorboard`: the record's own numbers, beside it; and a line where it is absent."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from textbench.cli import cli
from textbench.contracts.errors import UserError
from textbench.run import tensorboard
from textbench.store.directory import RunDirectory

INSTALLED = find_spec("tensorboard") is not None
needs_tensorboard = pytest.mark.skipif(not INSTALLED, reason="tensorboard is not installed")
TINY = "--algos mle --task synthetic-tiny --preset ci --set mle.epochs=2 --jobs 1 --device cpu"

READ = """
import sys, json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0}).Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)]
                  for tag in events.Tags()["scalars"]}))
"""


def call(line: str) -> Result:
    result = CliRunner().invoke(cli, shlex.split(line), prog_name="textbench")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_without_the_extra_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    result = call(f"run {TINY} --tensorboard")
    assert result.exit_code == 2
    assert result.stderr == (
        "textbench: error: --tensorboard needs an extra: pip install 'textbench[tensorboard]'\n"
    )
    assert not list(tmp_path.iterdir())  # nothing was begun


def test_what_has_no_value_is_no_point(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    row = {"kind": "loss", "step": 3, "phase": "mle", "epoch": 0, "values": {"a": None, "b": 1.5}}
    run.append("curve.jsonl", row)
    assert list(tensorboard.losses(run)) == [("train/b", 1.5, 3)]


def test_a_run_needs_no_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs an extra"):
        tensorboard.Scalars(tmp_path / "runs", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert call(f"run {TINY} --dry-run").exit_code == 0


def test_points_are_those_of_the_logs() -> None:
    published = Path(__file__).parents[2] / "results" / "published" / "ci"
    directory = next(RunDirectory.find(published))
    losses = list(tensorboard.losses(directory))
    rows = directory.curve()
    values = sum(len(row["values"]) if row["kind"] == "loss" else 1 for row in rows)
    assert len(losses) == values > 0
    assert {tag.partition("/")[0] for tag, *_ in losses} <= {"train", "epoch"}
    measured = [
        (f"evaluation/{name}", one["value"], row["step"])
        for row in directory.evaluations()
        for name, one in row["metrics"].items()
        if one["value"] is not None
    ]
    assert list(tensorboard.evaluations(directory)) == measured


@needs_tensorboard
def test_scalars_are_the_records_and_no_number_changes(tmp_path: Path) -> None:
    """In processes of their own: what TensorBoard imports warns."""

    def textbench(line: str) -> str:
        command = [sys.executable, "-W", "ignore", "-m", "textbench", *shlex.split(line)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    textbench(f"run {TINY} --results with --tensorboard --seeds 0")
    textbench(f"run {TINY} --results without --seeds 0")
    (one,) = RunDirectory.find(tmp_path / "with")
    (other,) = RunDirectory.find(tmp_path / "without")
    for found, expected in zip(one.evaluations(), other.evaluations(), strict=True):
        assert found["metrics"] == expected["metrics"]
    assert one.spec().to_json() == other.spec().to_json()
    names = {path.name for path in one.path.iterdir()}
    assert names == {path.name for path in other.path.iterdir()}
    textbench(f"run {TINY} --results with --tensorboard --seeds 0")  # again: nothing twice
    folder = tmp_path / "tensorboard" / one.name
    assert len(list(folder.iterdir())) == 1
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    scalars = json.loads(done.stdout)
    points = [*tensorboard.losses(one), *tensorboard.evaluations(one)]
    assert {tag for tag, *_ in points} == set(scalars)
    for tag, series in scalars.items():
        expected_values = [(step, value) for name, value, step in points if name == tag]
        assert [step for step, _ in series] == [step for step, _ in expected_values]
        assert [v for _, v in series] == pytest.approx([v for _, v in expected_values], rel=1e-6)


@needs_tensorboard
@pytest.mark.filterwarnings("ignore")
def test_a_run_that_started_again_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scalars = tensorboard.Scalars(tmp_path / "runs", tmp_path)
    published = Path(__file__).parents[2] / "results" / "published" / "ci"
    directory = next(RunDirectory.find(published))
    scalars.results = published
    spec = directory.spec()
    scalars.update(spec)
    folder = tmp_path / "runs" / directory.name
    (first,) = folder.iterdir()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(tensorboard, "evaluations", lambda directory: iter(()))
    scalars.update(spec)
    scalars.close()
    left = {path.name for path in folder.iterdir()}
    assert "notes.txt" in left and len(left) == 2
    assert first.name not in left or first.stat().st_size > 0
