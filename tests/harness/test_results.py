"""`load_results`, `load_curves` and `load_runs`: tidy, complete, honest about what is missing."""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import ENV, evaluation, make_run, points, spec

import textbench
from textbench.store.frames import load_curves, load_results, load_runs
from textbench.store.rows import (
    EVALUATION_COLUMNS,
    METRIC_COLUMNS,
    RUN_COLUMNS,
    EvaluationRow,
    Measurement,
    Status,
)


def test_an_absent_and_an_empty_store_give_the_columns_and_no_rows(tmp_path: Path) -> None:
    for store in (tmp_path, tmp_path / "absent"):
        with pytest.warns(UserWarning, match=f"{store.name} .*: the frame is empty"):
            frame = load_results(store)
        assert list(frame.columns) == [*RUN_COLUMNS, *EVALUATION_COLUMNS, *METRIC_COLUMNS]
        assert frame.empty and frame.attrs["unreadable"] == {}
        with pytest.warns(UserWarning, match="the frame is empty"):
            assert load_curves(store).empty and load_runs(store).empty


@pytest.mark.filterwarnings("ignore:.*the frame is empty")
def test_a_frame_without_rows_has_the_types_of_one_with_rows(tmp_path: Path) -> None:
    """Else masks, medians and joins of a store that has nothing yet fail, or make objects."""
    make_run(tmp_path / "store", spec("mle"), points(3.0))
    for load in (load_results, load_curves, load_runs):
        empty, full = load(tmp_path / "absent"), load(tmp_path / "store")
        assert empty.dtypes.to_dict() == full.dtypes[empty.columns].to_dict()
    assert load_results(tmp_path / "absent").groupby("label")["value"].median().empty


def test_one_row_per_evaluation_and_metric(tmp_path: Path) -> None:
    run = spec("cot", seed=7, variant="head", overrides={"cot.g_lr": 0.1}, preset="paper")
    make_run(tmp_path, run, [{"a": 1.5, "b": None}, {"a": 1.25, "b": 2.0}])

    frame = textbench.load_results(tmp_path)

    assert len(frame) == 6  # two evaluations and the final one, two metrics
    first = frame.iloc[0]
    assert (first["run"], first["label"]) == (f"synthetic/cot-head/s7-{run.hash[:8]}", "cot:head")
    assert (first["seed"], first["status"], first["preset"]) == (7, "done", "paper")
    assert first["overrides"] == "cot.g_lr=0.1"
    assert run.group.startswith(first["group"]) and len(first["group"]) == 12
    assert frame["value"].isna().tolist() == [False, True, False, False, False, False]
    missing = frame.iloc[1]
    assert (missing["na_reason"], missing["protocol"]) == ("no oracle here", "")
    assert frame["evaluation"].tolist() == [0, 0, 1, 1, 2, 2]
    assert frame["final"].tolist() == [False] * 4 + [True] * 2
    assert frame["epoch"].tolist() == [0, 0, 1, 1, 1, 1]
    assert frame["generator_updates"].tolist() == [0, 0, 10, 10, 10, 10]
    assert frame.loc[frame["metric"] == "a", "protocol"].unique().tolist() == ["a/1 n=100"]
    assert frame["seconds"].dtype == frame["value"].dtype == float


def test_a_warm_up_comes_first_flagged_and_never_final(tmp_path: Path) -> None:
    warmup = spec("mle", config={"epochs": 2})
    make_run(tmp_path, warmup, points(9.0, 8.0, 7.0))
    make_run(tmp_path, spec("seqgan", warmup=warmup), points(6.0, 5.0))

    frame = load_results(tmp_path)
    mine = frame[frame["label"] == "seqgan"]

    assert mine["value"].tolist() == [9.0, 8.0, 7.0, 7.0, 6.0, 5.0, 5.0]
    assert mine["warmup"].tolist() == [True] * 4 + [False] * 3
    assert mine["final"].tolist() == [False] * 6 + [True]
    assert mine["evaluation"].tolist() == list(range(7))
    assert mine["epoch"].tolist() == [0, 1, 2, 2, 3, 4, 4]
    own = frame[frame["label"] == "mle"]
    assert not own["warmup"].any() and own["final"].sum() == 1
    runs = load_runs(tmp_path).set_index("label")
    assert runs.loc["seqgan", "warmup_run"] == runs.loc["mle", "run"]


def test_the_warm_up_of_another_seed_or_length_is_not_taken(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle", seed=1), points(1.0))
    make_run(tmp_path, spec("mle", seed=0, config={"epochs": 9}), points(2.0))
    make_run(tmp_path, spec("seqgan", seed=0, warmup=spec("mle", seed=0)), points(3.0))
    frame = load_results(tmp_path)
    assert set(frame.loc[frame["label"] == "seqgan", "value"]) == {3.0}
    runs = load_runs(tmp_path).set_index("label")
    assert runs.loc["seqgan", "warmup_run"] == ""
    assert runs.loc["seqgan", "warmup_label"] == "mle"


def test_a_run_in_progress_counts_as_far_as_it_got(tmp_path: Path) -> None:
    directory = make_run(tmp_path, spec(), points(3.0, 2.0), final=None, status=Status("running"))
    with open(directory.path / "metrics.jsonl", "a", encoding="utf-8") as log:
        log.write('{"step": 20, "phase": "ml')  # being written right now
    frame = load_results(tmp_path)
    assert frame["value"].tolist() == [3.0, 2.0]
    assert set(frame["status"]) == {"interrupted"}  # nobody holds its lock


def test_a_run_that_has_not_begun_is_listed_without_rows(tmp_path: Path) -> None:
    make_run(tmp_path, spec(), [], final=None, status=Status("queued"), epoch_seconds=())
    assert load_results(tmp_path).empty
    assert load_runs(tmp_path)["status"].tolist() == ["queued"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("spec.json", "{"),
        ("spec.json", "[]"),
        ("spec.json", '{"trainer": "mle"}'),
        ("status.json", "{"),
        ("env.json", "{"),
        ("metrics.jsonl", "not json\n"),
        ("metrics.jsonl", '{"step": 1}\n'),
        ("metrics.jsonl", '{"values": 3}\n'),
    ],
)
def test_an_unreadable_run_is_reported_and_the_rest_is_read(
    tmp_path: Path, file: str, content: str
) -> None:
    broken = make_run(tmp_path, spec(seed=0), points(1.0))
    make_run(tmp_path, spec(seed=1), points(2.0))
    (broken.path / file).write_text(content, encoding="utf-8")

    with pytest.warns(UserWarning, match=f"{broken.name} was left out"):
        frame = load_results(tmp_path)

    assert set(frame["seed"]) == {1}
    assert list(frame.attrs["unreadable"]) == [broken.name]


def test_the_training_log_is_tidy(tmp_path: Path) -> None:
    warmup = spec("mle", config={"epochs": 2})
    make_run(tmp_path, warmup, points(9.0), epoch_seconds=(1.0, 2.0), log={"nll": (8.5,)})
    make_run(tmp_path, spec("seqgan", warmup=warmup), points(6.0), epoch_seconds=(5.0,))

    frame = load_curves(tmp_path)
    mine = frame[frame["label"] == "seqgan"]

    seconds = mine[mine["name"] == "seconds"]
    assert seconds["value"].tolist() == [1.0, 2.0, 5.0]
    assert seconds["epoch"].tolist() == [1, 2, 3]
    assert seconds["warmup"].tolist() == [True, True, False]
    assert set(mine["kind"]) == {"epoch", "loss"}
    loss = mine[mine["kind"] == "loss"]
    assert loss[["name", "value", "warmup"]].values.tolist() == [["nll", 8.5, True]]
    assert mine.loc[mine["name"] == "cpu_seconds", "value"].tolist() == [0.5, 1.0, 2.5]
    assert mine.loc[mine["name"] == "generator_updates", "value"].tolist() == [10, 20, 30]


def test_hardware_is_one_thing_or_nothing(tmp_path: Path) -> None:
    here = make_run(tmp_path, spec(seed=0), points(1.0))
    moved = make_run(tmp_path, spec(seed=1), points(1.0))
    starts = [ENV, {**ENV, "cpu": "Another CPU"}]
    here.write_json("env.json", {"starts": [ENV, ENV]})
    moved.write_json("env.json", {"starts": starts})
    assert load_runs(tmp_path)["hardware"].tolist() == ["Test CPU, 1 thread(s)", ""]


values = st.one_of(st.none(), st.floats(-1e9, 1e9))
curves = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), values), max_size=4)


@settings(max_examples=25)
@given(runs=st.dictionaries(st.tuples(st.sampled_from("xyz"), st.integers(0, 3)), curves))
def test_no_value_is_lost_doubled_or_moved(
    tmp_path_factory: pytest.TempPathFactory, runs: dict[tuple[str, int], list[dict[str, float]]]
) -> None:
    store = tmp_path_factory.mktemp("store")
    expected = []
    for (trainer, seed), curve in runs.items():
        make_run(store, spec(trainer, seed), curve, final=None)
        for index, values in enumerate(curve):
            for metric, value in values.items():
                number = math.nan if value is None else value
                expected.append((trainer, seed, index, metric, number))

    with pytest.warns(UserWarning, match="holds no run") if not runs else nullcontext():
        frame = load_results(store)

    key = ["trainer", "seed", "evaluation", "metric"]
    assert not frame.duplicated(key).any()
    wanted = pd.DataFrame(expected, columns=[*key, "value"])
    merged = wanted.merge(frame, on=key, how="outer", suffixes=("", "_loaded"))
    assert len(merged) == len(frame) == len(expected)
    pd.testing.assert_series_equal(
        merged["value"], merged["value_loaded"], check_names=False, check_dtype=False
    )


def test_loading_results_needs_no_torch(tmp_path: Path) -> None:
    make_run(tmp_path, spec(), points(1.0))
    code = (
        "import sys, textbench; assert len(textbench.load_results(sys.argv[1])) == 2; "
        "assert 'torch' not in sys.modules and 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_the_row_builder_of_these_tests_writes_what_the_store_documents() -> None:
    row = evaluation(3, {"a": 1.0, "b": None})
    assert set(row) == {
        *("step", "phase", "epoch", "final", "ledger", "seconds", "cpu_seconds"),
        "metrics",
    }
    assert set(row) == set(EvaluationRow.__annotations__)
    assert set(row["metrics"]["a"]) == set(Measurement.__annotations__) - {"reason"}
    assert set(row["metrics"]["b"]) == set(Measurement.__annotations__)
