"""Records of schema 1, brought up to date: nothing lost, nothing changed, as often as one likes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from stores import values_of

from textbench.cli import cli
from textbench.contracts.errors import UserError
from textbench.contracts.number import Number
from textbench.contracts.spec import Spec
from textbench.store.convert import convert
from textbench.store.directory import RunDirectory, check_schema
from textbench.store.read import read_store
from textbench.store.rows import CHECKPOINT, EVALUATIONS, METRICS, PREVIOUS, SCHEMA, SPEC, STATUS

ROW = {
    **{"step": 9, "phase": "mle", "epoch": 3, "final": True, "ledger": {"generator_updates": 9}},
    **{"seconds": 1.5, "cpu_seconds": 1.25},
    "values": {"nll_test": 2.5, "nll_oracle": None, "mine": 7.0, "lost": 1.0},
    "reasons": {"nll_oracle": "no oracle"},
    "protocols": {"nll_test": "nll_test/1 n=7", "mine": "mine/1", "lost": "lost/1"},
}
LATER = {
    **{"time": "then", "textbench": "0.1.0", "alpha": 1.5, "samples": 7},
    **{"values": {"bleu5": 0.25}, "reasons": {}, "protocols": {"bleu5": "bleu/1 n=5"}},
    "options": [["bleu5", {}]],
}
MINE = Number("mine", "higher", "points", "of the user's own")


def old_run(results: Path) -> RunDirectory:
    """A finished run as textbench 0.1.0 left it."""
    warmup = Spec("mle", 1, {"epochs": 3}, "synthetic", {}, "f", {}, {}, 0)
    spec = Spec("cot", 1, {"data": "fresh"}, "synthetic", {}, "f", {}, {}, 0, warmup)
    directory = RunDirectory(spec.directory(results))
    directory.path.mkdir(parents=True)
    data = spec.to_json() | {"preset": "quick", "hash": spec.hash}
    directory.write_json(SPEC, _without_new_labels(data))
    (directory.path / METRICS).write_text(json.dumps(ROW) + '\n{"step": 10, "ph')  # a torn line
    (directory.path / EVALUATIONS).write_text(json.dumps(LATER) + "\n")
    return directory


def _without_new_labels(data: dict[str, Any]) -> dict[str, Any]:
    new = ("title", "fresh_data", "preset_summary")
    kept = {key: value for key, value in data.items() if key not in new}
    return kept | {"warmup": data["warmup"] and _without_new_labels(data["warmup"])}


def test_a_run_that_another_process_is_at_is_left_alone(tmp_path: Path) -> None:
    directory = old_run(tmp_path)
    before = (directory.path / METRICS).read_bytes()
    other = RunDirectory(directory.path)
    assert other.acquire()
    with pytest.raises(UserError, match="another process is at it; repeat this when it has ended"):
        convert(directory, describe, {})
    assert (directory.path / METRICS).read_bytes() == before
    other.release()
    assert convert(directory, describe, {}) and not directory.is_locked()
    assert other.acquire() and not convert(directory, describe, {})  # nothing to write
    other.release()


def describe(name: str) -> Number | None:
    return MINE if name == "mine" else None


def test_an_old_record_says_what_to_do(tmp_path: Path) -> None:
    directory = old_run(tmp_path)
    with pytest.raises(UserError, match="schema 1, and this version has 2: `textbench convert"):
        directory.spec()
    assert "textbench convert" in read_store(tmp_path).unreadable[directory.name]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (1, "`textbench convert STORE` brings it up to date"),
        (SCHEMA + 1, "it was made by a newer textbench"),
        (0, "spec.json: schema is 0, which is none"),
        ("1", "spec.json: schema is '1', which is none"),
        (None, "spec.json: schema is None, which is none"),
        (True, "spec.json: schema is True, which is none"),
    ],
)
def test_what_a_schema_is(schema: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_schema(schema)
    check_schema(SCHEMA)


def test_values_stay_and_everything_is_described(tmp_path: Path) -> None:
    directory = old_run(tmp_path)
    before = json.loads((directory.path / SPEC).read_text())
    assert convert(directory, describe, {"quick": "reduced"})
    spec = directory.spec()
    assert spec.hash == before["hash"] and directory.read_json(SPEC)["schema"] == SCHEMA
    assert (spec.title, spec.fresh_data, spec.preset_summary) == ("CoT", True, "reduced")
    assert spec.warmup is not None and spec.warmup.title == "MLE"
    (row,) = directory.rows(METRICS)
    assert values_of(row) == ROW["values"]
    found = row["metrics"]
    assert found["nll_test"]["protocol"] == "nll_test/1 n=7"
    assert (found["nll_test"]["direction"], found["nll_test"]["unit"]) == ("lower", "nats/token")
    assert found["nll_oracle"]["reason"] == "no oracle" and "reason" not in found["nll_test"]
    assert (found["mine"]["direction"], found["mine"]["summary"]) == ("higher", MINE.summary)
    assert found["lost"]["direction"] == "none"  # nobody knows it any more
    (later,) = directory.rows(EVALUATIONS)
    assert later["metrics"]["bleu5"]["direction"] == "higher" and later["alpha"] == 1.5


def test_converting_again_changes_nothing(tmp_path: Path) -> None:
    directory = old_run(tmp_path)
    convert(directory, describe, {})
    before = {path.name: path.read_bytes() for path in directory.path.iterdir()}
    assert not convert(directory, describe, {})
    assert before == {path.name: path.read_bytes() for path in directory.path.iterdir()}


@pytest.mark.parametrize("interrupted", [METRICS, EVALUATIONS, SPEC])
def test_an_interrupted_conversion_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    whole, cut = old_run(tmp_path / "whole"), old_run(tmp_path / "cut")
    convert(whole, describe, {})
    replace = RunDirectory.replace

    def fails(self: RunDirectory, name: str, content: bytes) -> None:
        if name == interrupted:
            raise OSError("no space left")
        replace(self, name, content)

    monkeypatch.setattr(RunDirectory, "replace", fails)
    with pytest.raises(OSError, match="no space left"):
        convert(cut, describe, {})
    monkeypatch.undo()
    convert(cut, describe, {})
    for path in whole.path.iterdir():
        assert path.read_bytes() == (cut.path / path.name).read_bytes(), path.name


def test_the_command_converts_what_it_can_and_names_what_it_cannot(tmp_path: Path) -> None:
    good = old_run(tmp_path)
    bad = good.path.with_name("s1-00000000")
    shutil.copytree(good.path, bad)
    (bad / METRICS).write_text('{"values": 3}\n')
    newer = good.path.with_name("s2-00000000")
    shutil.copytree(good.path, newer)
    (newer / SPEC).write_text('{"schema": 99}')
    done = CliRunner().invoke(cli, ["convert", str(tmp_path)])
    assert done.exit_code == 2
    assert "3 run(s): 1 converted, 0 up to date, 2 left as they are" in done.stdout
    assert "it was made by a newer textbench" in done.stderr
    assert good.spec().title == "CoT"
    assert json.loads((bad / SPEC).read_text()).get("schema") is None
    assert CliRunner().invoke(cli, ["convert", str(tmp_path / "synthetic" / "cot")]).exit_code == 2


def test_a_checkpoint_that_counts_bytes_of_the_old_logs_goes_with_them(tmp_path: Path) -> None:
    """Resumed, such a run cut its converted log in the middle, and lost evaluations silently."""
    directory = old_run(tmp_path)
    for name in (CHECKPOINT, PREVIOUS):
        (directory.path / name).write_bytes(b"of 0.1.0")
    done = CliRunner().invoke(cli, ["convert", str(tmp_path)])
    assert done.exit_code == 0, done.output
    said = f"{directory.name}: its checkpoint goes with the old logs, and is in aside-1: it will"
    assert said in done.stderr
    assert sorted(path.name for path in (directory.path / "aside-1").iterdir()) == [
        PREVIOUS,
        CHECKPOINT,
    ]
    assert len(directory.evaluations()) == 1 and not (directory.path / CHECKPOINT).exists()


@pytest.mark.parametrize("status", ["", "{", '{"status": "finished"}'])
def test_a_damaged_status_keeps_no_run_from_being_converted(tmp_path: Path, status: str) -> None:
    """`run` mends it, but reads no record of schema 1."""
    directory = old_run(tmp_path)
    (directory.path / STATUS).write_text(status)
    (directory.path / CHECKPOINT).write_bytes(b"of 0.1.0")
    done = CliRunner().invoke(cli, ["convert", str(tmp_path)])
    assert done.exit_code == 0 and "is in aside-1" in done.stderr, done.output
    assert directory.spec().title == "CoT" and len(directory.evaluations()) == 1


def test_a_spec_that_is_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    directory = old_run(tmp_path)
    data = json.loads((directory.path / SPEC).read_text())
    deep = "[" * 900 + "]" * 900
    text = json.dumps({**data, "config": {"x": "DEEP"}}).replace('"DEEP"', deep)
    (directory.path / SPEC).write_text(text)
    done = CliRunner().invoke(cli, ["convert", str(tmp_path)])
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    assert f"{directory.name}: left as it is: " in done.stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"values": None}, f"{METRICS} line 1 is no evaluation of schema 1"),
        ({"values": [1, 2]}, f"{METRICS} line 1 is no evaluation of schema 1"),
        ({"protocols": None}, f"{METRICS} line 1 is no evaluation of schema 1"),
        ({"values": {"mine": "abc"}}, f"{METRICS} line 1: mine has the value 'abc', not a number"),
        ({"metrics": {"x": 1}}, f"{METRICS} line 1: x is not a table"),
        ({"hash": "0"}, f"{SPEC} was edited: its hash does not fit"),
        ({"trainer": ["x"]}, f"{SPEC} is damaged"),
    ],
)
def test_what_nobody_could_read_afterwards_is_left_as_it_is(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    directory = old_run(tmp_path)
    if changed.keys() & {"hash", "trainer"}:
        directory.write_json(SPEC, {**json.loads((directory.path / SPEC).read_text()), **changed})
    else:
        (directory.path / METRICS).write_text(json.dumps({**ROW, **changed}) + "\n")
    before = {path.name: path.read_bytes() for path in directory.path.iterdir() if path.is_file()}
    done = CliRunner().invoke(cli, ["convert", str(tmp_path)])
    assert done.exit_code == 2 and f"{directory.name}: left as it is: {said}" in done.stderr
    for name, content in before.items():
        assert (directory.path / name).read_bytes() == content
