"""Damage to one run is one line about that run: nothing else changes, and `run` mends it."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import damage as kinds
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from damaged_stores import AGAIN, RUN, Store, call

from textbench.cli import cli
from textbench.store.frames import frames, load_results, load_runs
from textbench.store.read import read_store

CPU = torch.device("cpu")
JSON_FILES = ("spec.json", "status.json", "env.json", "metrics.jsonl", "curve.jsonl")
JSON_FILES += ("evaluations.jsonl", "owner.json")
OTHER_FILES = ("generator.pt", "samples.txt", "log.txt", "lock")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("damage"))


def commands(store: Store) -> dict[str, tuple[int, ...]]:
    """Return every command that reads a store, and the exit codes that its help allows."""
    victim, neighbour = store.victim.name, store.neighbour.name
    again = f"{AGAIN} --alpha 1.5"
    return {
        "status": (0,),
        "status --verify": (0, 1),
        f"show {victim}": (0, 2),
        f"show {neighbour}": (0,),
        f"sample {victim} -n 2": (0, 2),
        f"sample {neighbour} -n 2": (0,),
        f"{again} {neighbour}": (0,),
        again: (0, 1),
        f"{RUN} --dry-run": (0,),
        f"{RUN} --retry failed --dry-run": (0,),
    }


def judge(store: Store, what: str) -> None:
    """No command has a traceback, the neighbour is as it was, the victim is right or named."""
    for line, codes in commands(store).items():
        result = call(line, store.path)
        wrong = f"{what}: `{line[:40]}`: {result.exit_code} {result.exception!r} {result.output}"
        assert result.exit_code in codes, wrong
        assert result.exception is None or isinstance(result.exception, SystemExit), wrong
        assert "Traceback" not in result.output and "\x1b" not in result.output, wrong
        if result.exit_code == 2:
            assert len(result.stderr.splitlines()) == 1, wrong
    compared = CliRunner().invoke(cli, ["compare", str(store.path), str(store.path)])
    assert compared.exit_code in (0, 2), f"{what}: compare: {compared.output}"
    assert compared.exception is None or isinstance(compared.exception, SystemExit), what
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they name the victim
        found = load_results(store.path), load_runs(store.path)
    for frame in found:
        assert {run.partition(" ")[0] for run in frame["run"]} >= {store.neighbour.name}, what
    mine = [
        frame[frame["run"].str.startswith(store.neighbour.name)]
        for frame in (store.results, found[0])
    ]
    pd.testing.assert_frame_equal(*(frame.reset_index(drop=True) for frame in mine))
    shown = found[0][found[0]["run"].str.startswith(store.victim.name)]
    if len(shown):
        known = store.results[store.results["run"].str.startswith(store.victim.name)]
        done = (shown["status"] == "done") & (shown["alpha"] == 1.0 if "alpha" in shown else True)
        values = set(known["value"].dropna())
        assert set(shown[done]["value"].dropna()) <= values, what
    else:
        status = call("status", store.path).output
        line = next(line for line in status.splitlines() if line.startswith(store.victim.name))
        assert " done " not in line, f"{what}: {line}"


def kinds_of(name: str) -> dict[str, kinds.Damage]:
    """Return every kind of damage that a file of this name can have."""
    ways = {**kinds.ANY, **(kinds.JSON if name in JSON_FILES else {})}
    small = ("a flipped digit", "a block of NUL") if name in ("lock", "log.txt") else ()
    return {what: damage for what, damage in ways.items() if what not in small}


@contextmanager
def harmed(store: Store, name: str, damage: kinds.Damage) -> Iterator[None]:
    """Damage the victim's file of this name, and put everything back."""
    path, other = store.victim.path / name, store.neighbour.path / name
    if name == "lock":
        path.touch(), other.touch()
    if name == "owner.json":  # which `evaluate` has taken away
        shutil.copy2(store.path / name, path)
        shutil.copy2(store.path / name, other)
    with kinds.damaged(path, other, damage):
        if name == "owner.json" and os.path.lexists(path):  # no heartbeat for a long time
            os.utime(path, (1, 1), follow_symlinks=False)
        yield


@pytest.mark.parametrize("name", [*JSON_FILES, *OTHER_FILES])
def test_damage_to_any_file_is_one_line_in_every_command(store: Store, name: str) -> None:
    for what, damage in kinds_of(name).items():
        with harmed(store, name, damage):
            judge(store, f"{name}: {what}")
    judge(store, f"{name}: mended")


def reported(store: Store, out: Path) -> tuple[str, list[str]]:
    """Return what `textbench report` said, and the neighbour's lines of its numbers."""
    result = call(f"report --out {out}", store.path)
    assert result.exception is None and result.exit_code == 0, result.output
    assert "Traceback" not in result.output and "\x1b" not in result.output, result.output
    lines = (out / "data.csv").read_text(encoding="utf-8").splitlines()
    return result.output, [line for line in lines if line.startswith(store.neighbour.name)]


@pytest.fixture(scope="module")
def whole(store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the neighbour's lines in the report of the store without damage."""
    return reported(store, tmp_path_factory.mktemp("report"))[1]


ALL = [(name, what) for name in (*JSON_FILES, *OTHER_FILES) for what in kinds_of(name)]
SLOWLY = [pytest.mark.slow, pytest.mark.timeout(7200)]
EACH = [
    pytest.param([pair for pair in ALL if pair[0] == name], marks=SLOWLY, id=name)
    for name in (*JSON_FILES, *OTHER_FILES)
]


@pytest.mark.parametrize("pairs", [pytest.param(ALL[::41], id="some"), *EACH])
def test_damage_to_any_file_leaves_the_report_of_all_others(
    store: Store, whole: list[str], tmp_path: Path, pairs: list[tuple[str, str]]
) -> None:
    """Drawing takes seconds: one in 41 pairs of file and kind, and all of them where slow."""
    assert len(whole) > 10
    for name, what in pairs:
        with harmed(store, name, kinds_of(name)[what]):
            unreadable = read_store(store.path).unreadable
            said, lines = reported(store, tmp_path / "report")
            assert lines == whole, f"{name}: {what}"
            shown = (tmp_path / "report/report.md").read_text(encoding="utf-8")
            for run, reason in unreadable.items():  # left out by name, with the reason
                assert run in said + shown, f"{name}: {what}: {reason}"
            assert store.neighbour.name not in unreadable, f"{name}: {what}"


@pytest.mark.parametrize("name", [name for name in JSON_FILES if name != "owner.json"])
def test_every_value_may_be_of_the_wrong_type(store: Store, name: str) -> None:
    """Only readers here, in the frames' way: every value of every key."""
    path, other = store.victim.path / name, store.neighbour.path / name
    for value in kinds.WRONG:
        for what, damage in kinds.each_value(path, value):
            with kinds.damaged(path, other, damage):
                found = read_store(store.path)
                frames(found)  # notes what it cannot read, and reads all the rest
                assert all("\n" not in reason for reason in found.unreadable.values()), what
                assert store.neighbour.name not in found.unreadable, what
