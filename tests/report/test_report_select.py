"""Selection rules and the cells made of them: the right evaluation, and nothing mixed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import epoch_row, evaluation, make_run, points, spec

from textbench.contracts.spec import Spec
from textbench.report.definitions import ColumnSpec, TableSpec, row_names
from textbench.report.sections import Section, sections
from textbench.report.select import pick
from textbench.report.tables import build
from textbench.store.frames import frames
from textbench.store.read import read_store
from textbench.store.rows import Status

FINAL = ColumnSpec("c", "C", "final", metrics=("a",))
BEST = ColumnSpec("c", "C", "best", metrics=("a",))
SUM = ColumnSpec("c", "C", "best", metrics=("a", "b"))
CHANGE = ColumnSpec("c", "C", "change", metrics=("a",))
TIME = ColumnSpec("t", "T", "epoch_seconds")
RATIO = ColumnSpec("r", "R", "epoch_seconds", relative_to="mle")
WARMUP = spec("mle", config={"epochs": 1})


def only(store: Path) -> Section:
    (section,) = load(store)
    return section


def load(store: Path) -> list[Section]:
    return sections(frames(read_store(store)), row_names())


def picked(store: Path, column: ColumnSpec, label: str = "x") -> dict[str, Any]:
    """What a column shows of the first run of a row."""
    section = only(store)
    found = pick(section, column)
    line = found[found["row"].map(section.rows["label"]) == label].iloc[0]
    values = [line[i] for i in range(len(column.metrics) or 1)]
    shown = tuple(values) if np.isfinite(values).all() else ()
    return {"values": shown, **line[["protocol", "in_warmup", "reason"]].to_dict()}


def cells(store: Path, column: ColumnSpec) -> dict[str, list[dict[str, Any]]]:
    """Each row's cells, one per protocol."""
    table = build(TableSpec("t", "T", ("*",), (column,)), only(store))
    assert table is not None
    return {
        str(row): [
            {**line, "seeds": dict(pair.split("=") for pair in line["seeds"].split())}
            for line in lines.to_dict("records")
        ]
        for row, lines in table.cells.groupby("row", sort=False)
    }


def run(
    store: Path,
    curve: Sequence[Mapping[str, float | None]],
    *,
    warm: Sequence[Mapping[str, float | None]] = (),
    of: Spec | None = None,
    **options: Any,
) -> None:
    """Write the run ``x``, and the warm-up that it started from."""
    made = of or spec("x")
    if warm:
        make_run(store, WARMUP, warm, final=None, epoch_seconds=())
        made = replace(made, warmup=WARMUP)
    make_run(store, made, curve, epoch_seconds=(), **options)


# -- one run ---------------------------------------------------------------------------------


def test_final_is_the_final_evaluation_not_the_last_or_the_best(tmp_path: Path) -> None:
    run(tmp_path, [{"a": 1.0}, {"a": 2.0}], final={"a": 3.0})
    assert picked(tmp_path, FINAL)["values"] == (3.0,)


@pytest.mark.parametrize(
    ("curve", "final", "reason"),
    [
        ([{"a": 1.0}], None, "no final evaluation"),
        ([{"a": 1.0}], {"a": None}, "no oracle here"),
        ([{"b": 1.0}], "last", "a was not computed"),
    ],
)
def test_final_says_why_there_is_none(tmp_path: Path, curve: Any, final: Any, reason: str) -> None:
    run(tmp_path, curve, final=final)
    assert picked(tmp_path, FINAL) == {
        **{"values": (), "protocol": "", "in_warmup": False, "reason": reason}
    }


def test_change_is_since_the_end_of_the_warm_up_under_one_protocol(tmp_path: Path) -> None:
    made = make_run(
        tmp_path, WARMUP, [{"a": 9.0}, {"a": 7.0}], final={"a": 7.5}, final_protocol="/2"
    )
    run(tmp_path, [{"a": 6.0}], of=spec("x", warmup=WARMUP), final={"a": 5.5}, final_protocol="/2")
    found = picked(tmp_path, CHANGE)
    assert (found["values"], found["protocol"]) == ((-2.0,), "a/2")
    rows = (made.path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (made.path / "metrics.jsonl").write_text("".join(rows[:-1]))
    assert picked(tmp_path, CHANGE)["reason"] == (
        "its warm-up was not evaluated under the same protocol"
    )
    assert picked(tmp_path, CHANGE, "mle")["reason"] == "it starts from no warm-up"


def test_ledger_and_log_are_the_last_ones(tmp_path: Path) -> None:
    counts = ColumnSpec("c", "C", "ledger", metrics=("generator_updates",))
    accuracy = ColumnSpec("c", "C", "logged", metrics=("d_accuracy",))
    make_run(tmp_path, spec("x"), points(3.0, 2.0, 1.0), log={"d_accuracy": [0.1, 0.2, 0.6, 0.8]})
    make_run(tmp_path, spec("y"), points(3.0))
    found = picked(tmp_path, counts)
    assert (found["values"], found["protocol"]) == ((20.0,), "ledger/1")
    assert picked(tmp_path, accuracy)["values"] == pytest.approx((0.7,))
    assert picked(tmp_path, accuracy, "y")["reason"] == "it logs no d_accuracy"
    unknown = ColumnSpec("c", "C", "ledger", metrics=("joules",))
    assert picked(tmp_path, unknown)["reason"] == "its ledger has no joules"


def test_best_of_a_pair_minimises_the_sum_not_either_part(tmp_path: Path) -> None:
    run(tmp_path, [{"a": 1.0, "b": 9.0}, {"a": 5.0, "b": 4.0}, {"a": 9.0, "b": 1.0}])
    assert picked(tmp_path, SUM)["values"] == (5.0, 4.0)


def test_best_is_the_largest_where_higher_is_better(tmp_path: Path) -> None:
    run(tmp_path, [{"a": 1.0}, {"a": 3.0}, {"a": 2.0}])
    assert picked(tmp_path, replace(BEST, direction="higher"))["values"] == (3.0,)


@pytest.mark.parametrize(("after", "inside"), [(2.0, True), (1.0, True), (0.5, False)])
def test_best_tells_whether_it_lies_in_the_warm_up(
    tmp_path: Path, after: float, inside: bool
) -> None:
    """Of equal evaluations the earliest is the best."""
    run(tmp_path, [{"a": after}], warm=[{"a": 3.0}, {"a": 1.0}])
    assert picked(tmp_path, BEST)["in_warmup"] == inside


def test_a_final_evaluation_of_another_protocol_does_not_compete_for_best(tmp_path: Path) -> None:
    run(tmp_path / "a", [{"a": 2.0}], final={"a": 1.0}, final_protocol="/2")
    found = picked(tmp_path / "a", BEST)
    assert (found["values"], found["protocol"]) == ((2.0,), "a/1 n=100")
    run(tmp_path / "b", [{"a": 2.0}], final={"a": 1.0})
    assert picked(tmp_path / "b", BEST)["values"] == (1.0,)


def test_a_warm_up_under_another_protocol_leaves_no_best(tmp_path: Path) -> None:
    run(tmp_path, [{"a": 2.0}], warm=[{"a": 0.5}], protocol="/2")
    for metrics in tmp_path.glob("*/mle/*/metrics.jsonl"):
        metrics.write_text(metrics.read_text().replace("a/2", "a/0").replace("a/1 n=100", "a/0"))
    found = picked(tmp_path, BEST)
    assert found["values"] == () and "warm-up" in found["reason"]


def test_best_of_nothing_has_a_reason(tmp_path: Path) -> None:
    run(tmp_path / "a", [], final=None)
    run(tmp_path / "b", [{"a": None}])
    run(tmp_path / "c", [{"a": 1.0}])
    assert picked(tmp_path / "a", BEST)["reason"] == "no evaluation"
    assert picked(tmp_path / "b", BEST)["reason"] == "no oracle here"
    assert picked(tmp_path / "c", SUM)["reason"] == "b was not computed"


pairs = st.lists(
    st.tuples(st.integers(0, 99), st.integers(0, 99), st.booleans()), min_size=1, max_size=9
)


@settings(max_examples=25, deadline=None)
@given(pairs)
def test_best_is_what_brute_force_finds(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, bool]]
) -> None:
    drawn.sort(key=lambda entry: not entry[2])  # a warm-up comes first
    store = tmp_path_factory.mktemp("store")
    values = [({"a": float(a), "b": float(b)}, warm) for a, b, warm in drawn]
    own = [one for one, warm in values if not warm]
    run(store, own, warm=[one for one, warm in values if warm])
    found = picked(store, SUM)
    smallest = min(a + b for a, b, _ in drawn)
    first = next(entry for entry in drawn if entry[0] + entry[1] == smallest)
    if own:
        assert (*found["values"], found["in_warmup"]) == first
    else:
        assert found["in_warmup"] or not found["values"]


# -- the seconds of an epoch -----------------------------------------------------------------


def test_an_epoch_is_timed_only_where_the_generator_trains(tmp_path: Path) -> None:
    warmup = spec("mle", config={"epochs": 2})
    make_run(tmp_path, warmup, points(1.0), epoch_seconds=(1.0, 3.0))
    gan = spec("seqgan", warmup=warmup)
    run = make_run(tmp_path, gan, points(1.0), epoch_seconds=())
    for epoch, seconds, phase in [
        (2, 50.0, "discriminator"),  # does not advance the epochs
        (2, 60.0, "discriminator"),
        (3, 20.0, "adversarial"),
        (4, 24.0, "adversarial"),
    ]:
        run.append("curve.jsonl", epoch_row(epoch, seconds, phase))
    found = cells(tmp_path, TIME)
    (gan_cell,), (mle_cell,) = found["SeqGAN"], found["MLE"]
    assert gan_cell["seeds"] == {"0": "22.0"}
    assert gan_cell["shown_spread"] == pytest.approx(math.sqrt(8.0))
    assert mle_cell["seeds"] == {"0": "2.0"}


def test_a_warm_ups_epochs_are_not_timed_even_in_a_phase_of_the_same_name(tmp_path: Path) -> None:
    warmup = spec("mle", config={"epochs": 2})
    make_run(tmp_path, warmup, points(1.0), epoch_seconds=(1.0, 3.0))
    gan = spec("seqgan", warmup=warmup)
    make_run(tmp_path, gan, points(1.0), epoch_seconds=(20.0, 24.0), phase="mle")
    assert cells(tmp_path, TIME)["SeqGAN"][0]["seeds"] == {"0": "22.0"}


def test_an_inline_pre_training_is_not_averaged_with_what_follows(tmp_path: Path) -> None:
    run = make_run(tmp_path, spec("x"), points(1.0), epoch_seconds=())
    for epoch, seconds, phase in [(1, 1.0, "pretrain"), (2, 1.0, "pretrain"), (3, 9.0, "train")]:
        run.append("curve.jsonl", epoch_row(epoch, seconds, phase))
    assert cells(tmp_path, TIME)["x"][0]["seeds"] == {"0": "9.0"}


def test_a_time_is_pooled_over_epochs_and_seeds(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x", seed=0), points(1.0), epoch_seconds=(1.0, 3.0))
    make_run(tmp_path, spec("x", seed=1), points(1.0), epoch_seconds=(5.0, 7.0))
    (cell,) = cells(tmp_path, TIME)["x"]
    assert cell["mean"] == 4.0
    assert cell["shown_spread"] == pytest.approx(math.sqrt(20 / 3))  # of the four epochs


def test_a_ratio_is_to_the_base_on_the_same_hardware(tmp_path: Path) -> None:
    other = {"cpu": "Another CPU"}
    make_run(tmp_path, spec("mle", seed=0), points(1.0), epoch_seconds=(2.0, 2.0))
    make_run(tmp_path, spec("mle", seed=1), points(1.0), epoch_seconds=(4.0, 4.0))
    make_run(tmp_path, spec("x", seed=0), points(1.0), epoch_seconds=(9.0, 9.0))
    make_run(tmp_path, spec("x", seed=1), points(1.0), epoch_seconds=(5.0,), env=other)
    found = cells(tmp_path, RATIO)
    assert len(found["x"]) == 1  # nothing to divide by on the other machine
    assert found["x"][0]["seeds"] == {"0": "4.5"}  # of equal seeds
    assert found["x"][0]["reason"] == "mle has no time on the same hardware"
    assert found["MLE"][0]["seeds"] == {"0": "1.0", "1": "1.0"}


def test_a_ratio_is_to_one_row_of_several_that_are_called_alike(tmp_path: Path) -> None:
    """It was to whichever had a seed first, and nobody said to which."""
    for seed in range(2):
        make_run(tmp_path, spec("mle", seed), points(1.0), epoch_seconds=(2.0,))
        make_run(tmp_path, spec("x", seed), points(1.0), epoch_seconds=(6.0,))
    slow = {"config": {"epochs": 9}, "overrides": {"mle.epochs": 9}}
    for seed in range(3):
        make_run(tmp_path, spec("mle", seed, **slow), points(1.0), epoch_seconds=(3.0,))
    found = cells(tmp_path, RATIO)
    assert found["x"][0]["seeds"] == {"0": "2.0", "1": "2.0"}
    assert found["MLE [epochs=9]"][0]["mean"] == 1.0
    table = build(TableSpec("t", "T", ("*",), (RATIO,)), only(tmp_path))
    assert table is not None and table.columns[0].spec.note.endswith("divided by MLE [epochs=9]")


def test_a_ratio_of_other_seeds_is_to_the_bases_mean(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle", seed=0), points(1.0), epoch_seconds=(2.0, 2.0))
    make_run(tmp_path, spec("mle", seed=1), points(1.0), epoch_seconds=(4.0, 4.0))
    for seed in (1, 2):
        make_run(tmp_path, spec("x", seed=seed), points(1.0), epoch_seconds=(9.0, 9.0))
    assert cells(tmp_path, RATIO)["x"][0]["seeds"] == {"1": "3.0", "2": "3.0"}


def curve(folder: Path, label: str, seed: int, every: int) -> None:
    """Write a run of 40 epochs, whose values repeat themselves, evaluated every so many."""
    run = make_run(folder, spec(label, seed=seed), [], final=None)
    for epoch in range(0, 41, every):
        value = 8 + 0.2 * math.sin(1.7 * epoch + 2.9 * seed)
        run.append("metrics.jsonl", evaluation(epoch, {"a": value}, final=epoch == 40))


def test_bests_of_different_grids_are_compared_on_their_common_one(tmp_path: Path) -> None:
    """The same values, looked at four times as often, are lower at best, and no better."""
    for seed in range(4):
        curve(tmp_path, "mle", seed, 4)
        curve(tmp_path, "x", seed, 1)
    section = only(tmp_path)
    picked = pick(section, BEST).set_index(["row", "seed"])
    ours, theirs = (picked.loc[row] for row in section.rows.index)
    assert (theirs[0] <= ours[0]).all() and (theirs[0] < ours[0]).any()
    assert (theirs["judged"] == ours["judged"]).all()
    table = build(TableSpec("t", "T", ("*",), (BEST,)), section)
    assert table is not None and not any(table.cells["best"])
    curve(tmp_path, "y", 0, 3)  # of whose evaluations the others have four
    assert pick(only(tmp_path), BEST)["judged"].isna().all()


def test_times_of_two_kinds_of_hardware_never_share_a_column(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x", seed=0), points(1.0), epoch_seconds=(2.0,))
    make_run(tmp_path, spec("x", seed=1), points(1.0), epoch_seconds=(9.0,), env={"threads": 4})
    found = [cell["seeds"] for cell in cells(tmp_path, TIME)["x"]]
    assert found == [{"0": "2.0"}, {"1": "9.0"}]


def test_processor_seconds_beside_a_gpu_are_no_cost(tmp_path: Path) -> None:
    on = {"device": "NVIDIA H100"}
    make_run(tmp_path, spec("x"), points(1.0), epoch_seconds=(2.0,), env=on)
    (cell,) = cells(tmp_path, replace(TIME, select="epoch_cpu_seconds"))["x"]
    assert not cell["seeds"] and cell["reason"].startswith("a GPU did the work")
    assert cells(tmp_path, TIME)["x"][0]["seeds"] == {"0": "2.0"}


def test_a_run_that_moved_between_machines_has_no_time(tmp_path: Path) -> None:
    run = make_run(tmp_path, spec("x"), points(1.0))
    starts = run.read_json("env.json")["starts"]
    run.write_json("env.json", {"starts": [*starts, {**starts[0], "cpu": "Another CPU"}]})
    (cell,) = cells(tmp_path, TIME)["x"]
    assert not cell["seeds"] and "several kinds of hardware" in cell["reason"]


# -- rows and cells --------------------------------------------------------------------------


def test_a_cell_is_of_the_seeds_that_finished(tmp_path: Path) -> None:
    for seed, value in enumerate([1.0, 2.0, 4.0]):
        make_run(tmp_path, spec("x", seed=seed), points(value, metric="a"))
    make_run(tmp_path, spec("x", seed=3), points(99.0, metric="a"), status=Status("running"))
    make_run(tmp_path, spec("x", seed=4), points(99.0, metric="a"), status=Status("diverged"))
    (cell,) = cells(tmp_path, FINAL)["x"]
    assert cell["seeds"] == {"0": "1.0", "1": "2.0", "2": "4.0"}
    assert cell["mean"] == pytest.approx(7 / 3)
    assert only(tmp_path).rows[["done", "runs"]].to_numpy().tolist() == [[3, 5]]
    assert cell["reason"] == ""


def test_protocols_never_share_a_column(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x", seed=0), points(1.0, metric="a"), protocol="/1 n=10")
    make_run(tmp_path, spec("x", seed=1), points(5.0, metric="a"), protocol="/2 n=10")
    make_run(tmp_path, spec("y", seed=0), points(7.0, metric="a"), protocol="/2 n=10")
    found = cells(tmp_path, FINAL)
    assert [cell["seeds"] for cell in found["x"]] == [{"0": "1.0"}, {"1": "5.0"}]
    assert [cell["seeds"] for cell in found["y"]] == [{}, {"0": "7.0"}]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("123"), st.floats(-9, 9)), max_size=8)
)
def test_no_mean_is_over_two_protocols(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, str, float]]
) -> None:
    store = tmp_path_factory.mktemp("store")
    for seed, (trainer, version, value) in enumerate(drawn):
        run = spec(trainer, seed)
        make_run(store, run, points(value, metric="a"), protocol=f"/{version}", epoch_seconds=())
    if drawn:
        found = cells(store, FINAL)
        for row in found.values():
            assert len({cell["protocol"] for cell in row}) == len(row)
        shown = [
            (cell["label"], cell["protocol"], int(seed), float(value))
            for row in found.values()
            for cell in row
            for seed, value in cell["seeds"].items()
        ]
        assert sorted(shown) == sorted(
            (trainer, f"a/{version}", seed, value)
            for seed, (trainer, version, value) in enumerate(drawn)
        )


@pytest.mark.parametrize(
    "change",
    [{"preset": "paper"}, {"task_fingerprint": "e" * 64}, {"task_fingerprint": "../../ff"}],
)
def test_presets_and_fingerprints_never_share_a_table(
    tmp_path: Path, change: dict[str, str]
) -> None:
    make_run(tmp_path, spec("x", seed=0), points(1.0, metric="a"))
    make_run(tmp_path, spec("x", seed=1, **change), points(5.0, metric="a"))
    found = load(tmp_path)
    assert len(found) == 2 and len({section.slug for section in found}) == 2
    assert all(re.fullmatch(r"[\w.-]+", section.slug) for section in found)  # of files' names
    for section in found:
        assert section.rows[["done", "runs"]].to_numpy().tolist() == [[1, 1]]


def test_a_warm_up_of_another_preset_is_shown_with_its_run(tmp_path: Path) -> None:
    warmup = spec("mle", preset="quick")
    make_run(tmp_path, warmup, points(1.0))
    make_run(tmp_path, spec("seqgan", warmup=warmup, preset="paper"), points(2.0))
    paper, quick = load(tmp_path)
    assert paper.rows["label"].to_list() == ["mle", "seqgan"]
    assert quick.rows["label"].to_list() == ["mle"]


def test_changed_options_name_their_own_row(tmp_path: Path) -> None:
    make_run(tmp_path, spec("cot"), points(1.0))
    changed = spec("cot", config={"epochs": 3, "g_lr": 0.001}, overrides={"cot.g_lr": 0.001})
    make_run(tmp_path, changed, points(1.0))
    make_run(tmp_path, spec("cot", variant="head", overrides={"cot:head.m": 2}), points(1.0))
    titles = only(tmp_path).rows["title"].to_list()
    assert titles == ["CoT", "CoT [g_lr=0.001]", "cot:head [m=2]"]


def test_rows_of_one_label_say_what_sets_them_apart(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle", config={"epochs": 120, "lr": 0.01}), points(1.0))
    make_run(tmp_path, spec("mle", config={"epochs": 20, "lr": 0.01}), points(1.0))
    make_run(tmp_path, spec("x", version=1), points(1.0))
    make_run(tmp_path, spec("x", version=2), points(1.0))
    titles = only(tmp_path).rows["title"].to_list()
    assert titles == ["MLE [epochs=120]", "MLE [epochs=20]", "x [version=1]", "x [version=2]"]


def test_what_was_changed_for_all_is_said_of_the_table_not_of_each_row(tmp_path: Path) -> None:
    changed = {"evaluation.every": 1, "synthetic.oracle": "published"}
    make_run(tmp_path, spec("mle", overrides=changed), points(1.0))
    make_run(tmp_path, spec("cot", overrides={**changed, "cot.lr": 1}), points(1.0))
    section = only(tmp_path)
    assert section.rows["title"].to_list() == ["MLE", "CoT [lr=1]"]
    assert section.changed == "evaluation.every=1, synthetic.oracle=published"


def test_nothing_is_picked_from_unfinished_runs(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x"), points(1.0, metric="a"), status=Status("failed"))
    for column in (FINAL, BEST, TIME):
        found = picked(tmp_path, column)
        assert (found["values"], found["reason"]) == ((), "not finished")
