"""Logs that several processes parse are the logs that one parses, broken ones included."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from stores import make_run, points, spec

from textbench.store import logs
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
    found = read_store(store)
    with logs.parsing(found.rows, processes) as parsed:
        return frames(found, parsed)


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

    def counted(jobs: list, processes: int):  # type: ignore[no-untyped-def, type-arg]
        asked.append((len(jobs), processes))
        return plain(jobs, processes)

    monkeypatch.setattr(logs, "beside", counted)
    read_by(3, store)
    monkeypatch.setattr(logs, "SHARE", 2)
    read_by(3, store)
    read_by(2, store)
    read_by(1, store)
    assert asked == [(1, 1), (2, 3), (1, 2), (1, 1)]
