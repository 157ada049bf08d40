"""Selection rules and the cells made of them: the right evaluation, and nothing mixed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import epoch_row, make_run, points, spec

from textbench.report.definitions import ColumnSpec, row_names
from textbench.report.select import Pick, best, change, final, pick
from textbench.report.tables import Cell, _fill
from textbench.store.read import Moment, read_store
from textbench.store.replicates import Comparable, sections
from textbench.store.rows import Status

FINAL = ColumnSpec("c", "C", "final", metrics=("a",))
BEST = ColumnSpec("c", "C", "best", metrics=("a",))
SUM = ColumnSpec("c", "C", "best", metrics=("a", "b"))
TIME = ColumnSpec("t", "T", "epoch_seconds")
RATIO = ColumnSpec("r", "R", "epoch_seconds", relative_to="mle")


def moment(
    *, warmup: bool = False, final: bool = False, protocol: str = "1", **values: float
) -> Moment:
    return Moment(
        warmup=warmup,
        final=final,
        values=values,
        protocols={name: f"{name}/{protocol}" for name in values},
        reasons={name: "no oracle" for name, value in values.items() if math.isnan(value)},
    )


def only(store: Path) -> Comparable:
    (section,) = load(store)
    return section


def load(store: Path) -> list[Comparable]:
    return sections(read_store(store), row_names())


def cells(store: Path, column: ColumnSpec) -> dict[str, list[Cell]]:
    """Each row's cells, one per protocol."""
    section = only(store)
    columns, found = _fill((column,), section)
    return {row.title: [found[row.key, i] for i in range(len(columns))] for row in section.rows}


# -- one run ---------------------------------------------------------------------------------


def test_final_is_the_final_evaluation_not_the_last_or_the_best() -> None:
    evaluated = [moment(a=1.0), moment(a=3.0, final=True), moment(a=2.0)]
    assert final(evaluated, FINAL).values == (3.0,)


def test_final_says_why_there_is_none() -> None:
    assert final([moment(a=1.0)], FINAL).reason == "no final evaluation"
    assert final([moment(a=math.nan, final=True)], FINAL).reason == "no oracle"
    assert final([moment(b=1.0, final=True)], FINAL).reason == "a was not computed"


def test_change_is_since_the_end_of_the_warm_up_under_one_protocol() -> None:
    column = ColumnSpec("c", "C", "change", metrics=("a",))
    warm = [moment(warmup=True, a=9.0), moment(warmup=True, a=7.0)]
    long = moment(warmup=True, protocol="2", a=7.5)
    own = [moment(a=6.0), moment(a=5.5, final=True, protocol="2")]
    found = change([*warm, long, *own], column)
    assert (found.values, found.protocol) == ((-2.0,), "a/2")
    assert change([*warm, *own], column).reason == (
        "its warm-up was not evaluated under the same protocol"
    )
    assert change(own, column).reason == "it starts from no warm-up"
    assert change([*warm, moment(a=1.0)], column).reason == "no final evaluation"


def test_ledger_and_log_are_the_last_ones(tmp_path: Path) -> None:
    counts = ColumnSpec("c", "C", "ledger", metrics=("generator_updates",))
    accuracy = ColumnSpec("c", "C", "logged", metrics=("d_accuracy",))
    make_run(tmp_path, spec("x"), points(3.0, 2.0, 1.0), log={"d_accuracy": [0.1, 0.2, 0.6, 0.8]})
    make_run(tmp_path, spec("y"), points(3.0))
    section = only(tmp_path)
    x, y = (row.runs[0] for row in section.rows)
    assert pick(section, x, counts) == Pick((20.0,), "ledger/1")
    assert pick(section, x, accuracy).values == pytest.approx((0.7,))
    assert pick(section, y, accuracy).reason == "it logs no d_accuracy"
    unknown = ColumnSpec("c", "C", "ledger", metrics=("joules",))
    assert pick(section, x, unknown).reason == "its ledger has no joules"


def test_best_of_a_pair_minimises_the_sum_not_either_part() -> None:
    evaluated = [moment(a=1.0, b=9.0), moment(a=5.0, b=4.0), moment(a=9.0, b=1.0)]
    assert best(evaluated, SUM, has_warmup=False).values == (5.0, 4.0)


def test_best_may_be_decided_by_another_metric() -> None:
    column = replace(BEST, by=("b",))
    evaluated = [moment(a=1.0, b=9.0), moment(a=5.0, b=4.0)]
    assert best(evaluated, column, has_warmup=False).values == (5.0,)


def test_best_is_the_largest_where_higher_is_better() -> None:
    evaluated = [moment(a=1.0), moment(a=3.0), moment(a=2.0)]
    assert best(evaluated, replace(BEST, direction="higher"), has_warmup=False).values == (3.0,)


def test_best_tells_whether_it_lies_in_the_warm_up() -> None:
    before, after = moment(a=1.0, warmup=True), moment(a=2.0)
    assert best([before, after], BEST, has_warmup=True).in_warmup
    assert not best([before, replace(after, values={"a": 0.5})], BEST, has_warmup=True).in_warmup


def test_of_equal_evaluations_the_earliest_is_the_best() -> None:
    evaluated = [moment(a=1.0, warmup=True), moment(a=1.0)]
    assert best(evaluated, BEST, has_warmup=True).in_warmup


def test_a_final_evaluation_of_another_protocol_does_not_compete_for_best() -> None:
    evaluated = [moment(a=2.0), moment(a=1.0, final=True, protocol="2")]
    found = best(evaluated, BEST, has_warmup=False)
    assert (found.values, found.protocol) == ((2.0,), "a/1")
    same = [moment(a=2.0), moment(a=1.0, final=True)]
    assert best(same, BEST, has_warmup=False).values == (1.0,)


def test_a_warm_up_under_another_protocol_leaves_no_best() -> None:
    evaluated = [moment(a=0.5, warmup=True, protocol="0"), moment(a=2.0)]
    found = best(evaluated, BEST, has_warmup=True)
    assert found.values == () and "warm-up" in found.reason
    assert not best([moment(a=2.0)], BEST, has_warmup=True).values


def test_best_of_nothing_has_a_reason() -> None:
    assert best([], BEST, has_warmup=False).reason == "no evaluation"
    assert best([moment(a=math.nan)], BEST, has_warmup=False).reason == "no oracle"
    assert best([moment(a=1.0)], SUM, has_warmup=False).reason == "b was not computed"


pairs = st.lists(st.tuples(st.floats(0, 99), st.floats(0, 99), st.booleans()), min_size=1)


@given(pairs)
def test_best_is_what_brute_force_finds(drawn: list[tuple[float, float, bool]]) -> None:
    drawn.sort(key=lambda entry: not entry[2])  # a warm-up comes first
    evaluated = [moment(a=a, b=b, warmup=warmup) for a, b, warmup in drawn]
    found = best(evaluated, SUM, has_warmup=False)
    smallest = min(a + b for a, b, _ in drawn)
    first = next(entry for entry in drawn if entry[0] + entry[1] == smallest)
    assert (*found.values, found.in_warmup) == first


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
    assert gan_cell.seeds == {0: (22.0,)}
    assert gan_cell.spread == pytest.approx(math.sqrt(8.0))
    assert mle_cell.seeds == {0: (2.0,)}


def test_an_inline_pre_training_is_not_averaged_with_what_follows(tmp_path: Path) -> None:
    run = make_run(tmp_path, spec("x"), points(1.0), epoch_seconds=())
    for epoch, seconds, phase in [(1, 1.0, "pretrain"), (2, 1.0, "pretrain"), (3, 9.0, "train")]:
        run.append("curve.jsonl", epoch_row(epoch, seconds, phase))
    assert cells(tmp_path, TIME)["x"][0].seeds == {0: (9.0,)}


def test_a_time_is_pooled_over_epochs_and_seeds(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x", seed=0), points(1.0), epoch_seconds=(1.0, 3.0))
    make_run(tmp_path, spec("x", seed=1), points(1.0), epoch_seconds=(5.0, 7.0))
    (cell,) = cells(tmp_path, TIME)["x"]
    assert cell.summaries[0].mean == 4.0
    assert cell.spread == pytest.approx(math.sqrt(20 / 3))  # of the four epochs


def test_a_ratio_is_to_the_base_on_the_same_hardware(tmp_path: Path) -> None:
    other = {"cpu": "Another CPU"}
    make_run(tmp_path, spec("mle", seed=0), points(1.0), epoch_seconds=(2.0, 2.0))
    make_run(tmp_path, spec("mle", seed=1), points(1.0), epoch_seconds=(4.0, 4.0))
    make_run(tmp_path, spec("x", seed=0), points(1.0), epoch_seconds=(9.0, 9.0))
    make_run(tmp_path, spec("x", seed=1), points(1.0), epoch_seconds=(5.0,), env=other)
    found = cells(tmp_path, RATIO)
    assert len(found["x"]) == 1  # nothing to divide by on the other machine
    assert found["x"][0].seeds == {0: (3.0,)}
    assert found["x"][0].reasons == ("mle has no time on the same hardware",)
    assert found["MLE"][0].seeds == {0: (2 / 3,), 1: (4 / 3,)}


def test_times_of_two_kinds_of_hardware_never_share_a_column(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x", seed=0), points(1.0), epoch_seconds=(2.0,))
    make_run(tmp_path, spec("x", seed=1), points(1.0), epoch_seconds=(9.0,), env={"threads": 4})
    assert [cell.seeds for cell in cells(tmp_path, TIME)["x"]] == [{0: (2.0,)}, {1: (9.0,)}]


def test_a_run_that_moved_between_machines_has_no_time(tmp_path: Path) -> None:
    run = make_run(tmp_path, spec("x"), points(1.0))
    starts = run.read_json("env.json")["starts"]
    run.write_json("env.json", {"starts": [*starts, {**starts[0], "cpu": "Another CPU"}]})
    (cell,) = cells(tmp_path, TIME)["x"]
    assert not cell.seeds and "several kinds of hardware" in cell.reasons[0]


# -- rows and cells --------------------------------------------------------------------------


def test_a_cell_is_of_the_seeds_that_finished(tmp_path: Path) -> None:
    for seed, value in enumerate([1.0, 2.0, 4.0]):
        make_run(tmp_path, spec("x", seed=seed), points(value, metric="a"))
    make_run(tmp_path, spec("x", seed=3), points(99.0, metric="a"), status=Status("running"))
    make_run(tmp_path, spec("x", seed=4), points(99.0, metric="a"), status=Status("diverged"))
    (cell,) = cells(tmp_path, FINAL)["x"]
    assert cell.seeds == {0: (1.0,), 1: (2.0,), 2: (4.0,)}
    assert cell.summaries[0].mean == pytest.approx(7 / 3)
    assert only(tmp_path).rows[0].seeds == "3 of 5"
    assert cell.reasons == ()


def test_protocols_never_share_a_column(tmp_path: Path) -> None:
    make_run(tmp_path, spec("x", seed=0), points(1.0, metric="a"), protocol="/1 n=10")
    make_run(tmp_path, spec("x", seed=1), points(5.0, metric="a"), protocol="/2 n=10")
    make_run(tmp_path, spec("y", seed=0), points(7.0, metric="a"), protocol="/2 n=10")
    found = cells(tmp_path, FINAL)
    assert [cell.seeds for cell in found["x"]] == [{0: (1.0,)}, {1: (5.0,)}]
    assert [cell.seeds for cell in found["y"]] == [{}, {0: (7.0,)}]


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
    for section in load(store):
        columns, found = _fill((FINAL,), section)
        assert len({column.protocol for column in columns}) == len(columns)
        shown = [
            (row.label, column.protocol, seed, value)
            for i, column in enumerate(columns)
            for row in section.rows
            for seed, (value,) in found[row.key, i].seeds.items()
        ]
        assert sorted(shown) == sorted(
            (trainer, f"a/{version}", seed, value)
            for seed, (trainer, version, value) in enumerate(drawn)
        )


@pytest.mark.parametrize("change", [{"preset": "paper"}, {"task_fingerprint": "e" * 64}])
def test_presets_and_fingerprints_never_share_a_table(
    tmp_path: Path, change: dict[str, str]
) -> None:
    make_run(tmp_path, spec("x", seed=0), points(1.0, metric="a"))
    make_run(tmp_path, spec("x", seed=1, **change), points(5.0, metric="a"))
    found = load(tmp_path)
    assert len(found) == 2 and len({section.slug for section in found}) == 2
    for section in found:
        assert [row.seeds for row in section.rows] == ["1"]


def test_a_warm_up_of_another_preset_is_shown_with_its_run(tmp_path: Path) -> None:
    warmup = spec("mle", preset="quick")
    make_run(tmp_path, warmup, points(1.0))
    make_run(tmp_path, spec("seqgan", warmup=warmup, preset="paper"), points(2.0))
    paper, quick = load(tmp_path)
    assert [row.label for row in paper.rows] == ["mle", "seqgan"]
    assert [row.label for row in quick.rows] == ["mle"]


def test_changed_options_name_their_own_row(tmp_path: Path) -> None:
    make_run(tmp_path, spec("cot"), points(1.0))
    changed = spec("cot", config={"epochs": 3, "g_lr": 0.001}, overrides={"cot.g_lr": 0.001})
    make_run(tmp_path, changed, points(1.0))
    make_run(tmp_path, spec("cot", variant="head", overrides={"cot:head.m": 2}), points(1.0))
    titles = [row.title for row in only(tmp_path).rows]
    assert titles == ["CoT", "CoT [g_lr=0.001]", "cot:head [m=2]"]


def test_rows_of_one_label_say_what_sets_them_apart(tmp_path: Path) -> None:
    make_run(tmp_path, spec("mle", config={"epochs": 120, "lr": 0.01}), points(1.0))
    make_run(tmp_path, spec("mle", config={"epochs": 20, "lr": 0.01}), points(1.0))
    make_run(tmp_path, spec("x", version=1), points(1.0))
    make_run(tmp_path, spec("x", version=2), points(1.0))
    titles = [row.title for row in only(tmp_path).rows]
    assert titles == ["MLE [epochs=120]", "MLE [epochs=20]", "x [version=1]", "x [version=2]"]


def test_what_was_changed_for_all_is_said_of_the_table_not_of_each_row(tmp_path: Path) -> None:
    changed = {"evaluation.every": 1, "synthetic.oracle": "published"}
    make_run(tmp_path, spec("mle", overrides=changed), points(1.0))
    make_run(tmp_path, spec("cot", overrides={**changed, "cot.lr": 1}), points(1.0))
    section = only(tmp_path)
    assert [row.title for row in section.rows] == ["MLE", "CoT [lr=1]"]
    assert section.changed == "evaluation.every=1, synthetic.oracle=published"


def test_nothing_is_picked_from_unfinished_runs(tmp_path: Path) -> None:
    run = make_run(tmp_path, spec("x"), points(1.0, metric="a"), status=Status("failed"))
    section = only(tmp_path)
    for column in (FINAL, BEST, TIME):
        assert pick(section, section.runs[0], column).values == ()
    assert run.name == section.runs[0].name
