"""Logs that several processes parse are the logs that one parses, broken ones included."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from stores import make_run, points, spec

from textbench.store import logs
from textbench.store.directory import RunDirectory
from textbench.store.frames import Frames, frames, load_curves, load_results
from textbench.store.read import read_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Runs of two rows, some from a warm-up; one has a broken log, one broken evaluations."""
    curve = points(9.0, 8.5, 8.2)
    for seed in range(4):
        before = spec("mle", seed)
        make_run(tmp_path, before, curve, epoch_seconds=[1.0])
        make_run(tmp_path, spec("seqgan", seed, warmup=before), curve, epoch_seconds=[1.0])
    for name, pattern in (("curve.jsonl", "*/mle/s1-*"), ("metrics.jsonl", "*/mle/s2-*")):
        (run,) = tmp_path.glob(pattern)
        (run / name).write_text("no JSON\n")
    return tmp_path


def read_by(processes: int, store: Path) -> Frames:
    with logs.reading(store, processes) as read:
        return frames(*read())


def test_frames_are_the_same_in_any_number_of_processes(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = frames(read_store(store))
    monkeypatch.setattr(logs, "SHARE", 1)
    shared = read_by(3, store)
    for one, other in zip(alone[:3], shared[:3], strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert list(alone.unreadable.items()) == list(shared.unreadable.items())
    assert len(alone.unreadable) == 2


def test_a_warm_up_stands_before_each_run_that_started_from_it(store: Path) -> None:
    with pytest.warns(UserWarning, match="left out"):
        found = load_results(store)
    mine = found[(found["label"] == "seqgan") & (found["seed"] == 0)]
    assert mine["evaluation"].drop_duplicates().tolist() == list(range(8))
    assert mine.drop_duplicates("evaluation")["warmup"].tolist() == [True] * 4 + [False] * 4
    assert mine.drop_duplicates("evaluation")["final"].tolist() == [False] * 7 + [True]
    own = found[(found["label"] == "mle") & (found["seed"] == 0)]
    assert own.drop_duplicates("evaluation")["final"].tolist() == [False, False, False, True]
    assert not own["warmup"].any()
    with pytest.warns(UserWarning, match="left out"):
        log = load_curves(store)
    assert log[log["label"] == "seqgan"]["warmup"].any()


def test_few_runs_are_worth_no_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    plain = logs.beside

    def counted(jobs: list, others: int):  # type: ignore[no-untyped-def, type-arg]
        asked.append((len(jobs), others))
        return plain(jobs, others)

    monkeypatch.setattr(logs, "beside", counted)
    read_by(3, store)
    monkeypatch.setattr(logs, "SHARE", 3)
    for processes in (3, 2, 1):
        read_by(processes, store)
    assert asked == [(1, 0), (3, 2), (3, 1), (3, 0)]


def test_what_another_process_read_is_what_is_read_here(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unreadable folders, rows at other temperatures and warm-ups among them."""
    (run,) = store.glob("*/mle/s3-*")
    (run / "spec.json").write_text("no JSON")
    (sharpened,) = store.glob("*/mle/s0-*")
    later = {"time": "", "textbench": "", "samples": 9, "options": [], "metrics": {}}
    for alpha in (1.5, 1.50000001):  # alike in six digits
        RunDirectory(sharpened).append("evaluations.jsonl", {**later, "alpha": alpha})
    monkeypatch.setattr(logs, "SHARE", 1)
    here = read_store(store)
    with logs.reading(store, 3) as read:
        there, parsed = read()
    assert [row.name for row in there.rows] == [row.name for row in here.rows] == list(parsed)
    assert [run.name for run in there.runs] == [run.name for run in here.runs]
    assert (len(there.rows), len(there.runs)) == (9, 7)
    assert len(parsed) == 9, "two rows share a name"
    assert there.unreadable == here.unreadable and len(here.unreadable) == 1
    for one, other in zip(there.rows, here.rows, strict=True):
        known = (other.spec, other.status, other.starts, other.hash, other.group)
        assert (one.spec, one.status, one.starts, one.hash, one.group) == known
        assert one.directory.path == other.directory.path
        before, warmup = there.warmup_of(one), here.warmup_of(other)
        assert (before and before.name) == (warmup and warmup.name)
