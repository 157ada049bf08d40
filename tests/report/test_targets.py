"""Time to target: first meetings by hand, misses that stay, intervals that cover, profiles."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import make_run, spec

from textbench.judge.stats import median_interval
from textbench.judge.target_costs import performance_profile, time_to_target
from textbench.judge.targets import COSTS, Target, best_of, load_targets, meetings, tuning
from textbench.store.frames import load_results

EASY = Target("easy", "", "synthetic", "", {"nll_validation": 7.6, "nll_oracle": 9.4})
HARD = Target("hard", "", "synthetic", "", {"nll_validation": 7.0, "nll_oracle": 9.0})


def frame(label: str, points: list[tuple[float, float]], **more: Any) -> pd.DataFrame:
    """Return a run of `load_results`; evaluation i costs i·100 updates, i·2000 tokens, i·10 s."""
    seed = more.get("seed", 0)
    identity: dict[str, Any] = {
        **{"run": f"{label}/s{seed}", "label": label, "title": label.upper(), "overrides": ""},
        **{"task": "synthetic", "task_fingerprint": "f", "group": label, "seed": seed},
        **{"status": "done", "reason": "", "warmup": False},
        **more,
    }
    rows = [
        {
            **identity,
            **{"evaluation": i, "epoch": i, "metric": name, "value": value},
            **{"generator_updates": 100 * i, "cpu_seconds": 10.0 * i},
            **{"tokens_sampled": 500 * i, "tokens_scored": 1500 * i},
        }
        for i, values in enumerate(points)
        for name, value in zip(("nll_validation", "nll_oracle"), values, strict=True)
    ]
    return pd.DataFrame(rows)


def made_on(where: dict[str, tuple[str, float]]) -> pd.DataFrame:
    """Return what `load_runs` says of runs' machines and of the rates found there."""
    rows = [{"run": run, "hardware": h, "product_rate": rate} for run, (h, rate) in where.items()]
    return pd.DataFrame(rows)


def test_both_numbers_must_be_reached_by_one_evaluation() -> None:
    one = frame("mle", [(8.0, 9.0), (7.5, 9.6), (7.7, 9.3), (7.6, 9.4), (7.5, 9.0)])
    (met,) = meetings(one, [EASY]).to_dict("records")
    assert (met["outcome"], met["epoch"]) == ("met", 3)
    assert [met[cost] for cost in COSTS] == [300, 6000, 30.0]


def test_a_miss_is_infinite_and_an_unfinished_run_is_neither() -> None:
    never = [(8.0, 9.9), (7.9, 9.8)]
    older = frame("old", never)
    store = pd.concat(
        [
            frame("missed", never),
            frame("gone", never, status="diverged"),
            frame("going", never, status="running"),
            older[older["metric"] != "nll_validation"],
            frame("elsewhere", never, task="text"),
        ]
    )
    found = meetings(store, [EASY]).set_index("label")
    assert found["outcome"].to_dict() == {
        **{"missed": "missed", "gone": "missed", "going": "unfinished", "old": "unmeasured"}
    }
    assert found.loc["missed", "tokens"] == math.inf and found.loc["missed", "epoch"] == 1
    assert math.isnan(found.loc["going", "tokens"])
    table, notes = time_to_target(meetings(store, [EASY]))
    assert list(table["label"]) == ["gone", "missed"]
    assert list(table["misses"]) == ["1 not within 1 epochs"] * 2
    assert notes == [
        "easy: runs left out, training is not over: going (1)",
        "easy: runs left out, a number of the target is not on record (runs of an older version): "
        "old (1)",
    ]


def test_the_quick_among_runs_under_way_do_not_stand_for_all() -> None:
    """Four of ten unfinished runs had met it early: "4 of 4", and the cheapest of all rows."""
    quick, slow = [(8.0, 9.9), (7.0, 9.0), (7.0, 9.0)], [(8.0, 9.9)] * 3
    full = {"status": "failed", "reason": "OSError: [Errno 28] No space left on device"}
    nan = {"status": "failed", "reason": "RuntimeError: probability tensor contains `nan`"}
    runs = [frame("mle", slow[:2] + quick[1:2], seed=seed) for seed in range(4)]
    for seed in range(4):
        runs.append(frame("cot", quick, seed=seed, status="running"))
        runs.append(frame("cot", slow, seed=seed + 4, **full))
        runs.append(frame("seqgan", slow if seed else quick, seed=seed, **(nan if seed else {})))
    table, notes = time_to_target(meetings(pd.concat(runs), [EASY]))
    counted = table.set_index("label")[["reached", "seeds"]].to_dict("index")
    assert counted == {"mle": {"reached": 4, "seeds": 4}, "seqgan": {"reached": 1, "seeds": 4}}
    assert notes == ["easy: runs left out, training is not over: cot (8)"]


def test_the_median_over_seeds_keeps_the_misses() -> None:
    met_at = [3, 1, None, 2, None]
    runs = []
    for seed, when in enumerate(met_at):
        points = [(8.0, 9.9)] * 5
        if when is not None:
            points[when] = (7.0, 9.0)
        runs.append(frame("cot", points, seed=seed))
    table, _ = time_to_target(meetings(pd.concat(runs), [EASY]))
    (row,) = table.to_dict("records")
    assert (row["seeds"], row["reached"], row["misses"]) == (5, 3, "2 not within 4 epochs")
    assert row["generator_updates"] == 300
    assert (row["generator_updates_low"], row["generator_updates_high"]) == (100, math.inf)
    assert row["coverage"] == pytest.approx(1 - 2 * 0.5**5)


def test_cheapest_first_and_seconds_of_one_machine_only() -> None:
    fast, slow = [(8.0, 9.9), (7.0, 9.0)], [(8.0, 9.9), (8.0, 9.9), (7.0, 9.0)]
    met = meetings(pd.concat([frame("slow", slow), frame("fast", fast)]), [EASY])
    table, notes = time_to_target(met, made_on({"slow/s0": ("a", 1e11), "fast/s0": ("a", 9e10)}))
    assert list(table["label"]) == ["fast", "slow"] and not notes
    assert list(table["cpu_seconds"]) == [10.0, 20.0]
    table, notes = time_to_target(met, made_on({"slow/s0": ("a", math.nan), "fast/s0": ("b", 1e9)}))
    assert table["cpu_seconds"].isna().all() and table["cpu_seconds_low"].isna().all()
    assert notes == ["processor seconds are of a and b, not all of known rates, and are left out"]
    assert time_to_target(met.iloc[:0])[0].empty


def test_seconds_of_machines_of_known_rates_are_put_on_one_scale() -> None:
    slow, fast = [(8.0, 9.9), (8.0, 9.9), (7.0, 9.0)], [(8.0, 9.9), (7.0, 9.0)]
    met = meetings(pd.concat([frame("slow", slow), frame("fast", fast)]), [EASY])
    where = made_on({"slow/s0": ("a", 4e10), "fast/s0": ("b", 12e10)})
    table, notes = time_to_target(met, where)
    assert table.set_index("label")["cpu_seconds"].to_dict() == {"slow": 10.0, "fast": 15.0}
    assert notes == [
        "processor seconds are of a and b; they are put on the scale of a machine that multiplies "
        "matrices at 80 GF/s"
    ]
    where.loc[0, "hardware"] = "a, NVIDIA A100"
    assert time_to_target(met, where)[0]["cpu_seconds"].isna().all()
    where["hardware"] = "a, NVIDIA A100"  # one machine, but its processor only waited
    table, notes = time_to_target(met, where)
    assert table["cpu_seconds"].isna().all()
    assert notes == [
        "processor seconds are of a, NVIDIA A100, where a GPU did the work, and are left out"
    ]


def test_warm_ups_made_elsewhere_make_no_machine_of_two() -> None:
    points = [(8.0, 9.9), (7.0, 9.0)]
    met = meetings(pd.concat([frame("seqgan", points), frame("rankgan", points)]), [EASY])
    where = made_on({"seqgan/s0": ("a", 1e9), "rankgan/s0": ("a", 1e9), "mle/s0": ("b", 1e9)})
    where["warmup_run"] = ["mle/s0", "mle/s0", ""]
    where["warmup_label"] = ["mle", "mle", ""]
    table, notes = time_to_target(met, where)
    assert table["cpu_seconds"].isna().all()
    assert notes == [
        "processor seconds are of a machine that did not make the warm-up, not all of known rates, "
        "and are left out"
    ]


@pytest.mark.parametrize(
    ("machine", "kept"),
    [
        ("AMD Ryzen 7 5800H with Radeon Graphics, 1 thread(s)", True),
        ("AMD Ryzen 7 8845HS w/ Radeon 780M Graphics", True),
        ("AMD EPYC, AMD Radeon RX 7900 XTX", False),
        ("AMD EPYC, AMD Instinct MI300X", False),
    ],
)
def test_a_processor_with_graphics_is_no_accelerator(machine: str, kept: bool) -> None:
    met = meetings(frame("mle", [(8.0, 9.9), (7.0, 9.0)]), [EASY])
    table, _ = time_to_target(met, made_on({"mle/s0": (machine, 1e9)}))
    assert table["cpu_seconds"].notna().all() == kept


def test_a_profile_is_the_share_of_targets_within_a_factor() -> None:
    early, late = [(8.0, 9.9), (7.5, 9.3), (6.9, 8.9)], [(8.0, 9.9), (8.0, 9.9), (7.5, 9.3)]
    met = meetings(pd.concat([frame("a", early), frame("b", late)]), [EASY, HARD])
    profile = performance_profile(time_to_target(met)[0])
    steps = {(row.label, row.tau): row.share for row in profile.itertuples()}
    assert steps == {("a", 1.0): 1.0, ("a", 2.0): 1.0, ("b", 1.0): 0.0, ("b", 2.0): 0.5}


def test_a_warm_up_counts_and_is_named(tmp_path: Path) -> None:
    curve = [
        {"nll_validation": 8.0, "nll_oracle": 9.9},
        {"nll_validation": 7.5, "nll_oracle": 9.3},
    ]
    warmup = spec("mle", config={"epochs": 1})
    make_run(tmp_path, warmup, curve)
    make_run(tmp_path, spec("seqgan", warmup=warmup), [curve[0]])
    found = meetings(load_results(tmp_path), [EASY]).set_index("label")
    assert found["outcome"].to_dict() == {"mle": "met", "seqgan": "met"}
    assert bool(found.loc["seqgan", "in_warmup"]) and not found.loc["mle", "in_warmup"]
    for cost in COSTS:
        expected = pytest.approx(found.loc["mle", cost], nan_ok=True)  # made without tokens
        assert found.loc["seqgan", cost] == expected
    assert found.loc["seqgan", "generator_updates"] == 10


@given(st.lists(st.floats(0, 1e9) | st.just(math.inf), min_size=1, max_size=30))
def test_intervals_hold_the_median_and_are_ordered(values: list[float]) -> None:
    low, median, high, coverage = median_interval(values)
    assert low <= median <= high and 0 <= coverage < 1
    assert low in values and high in values
    assert coverage >= 0.95 or len(values) < 6


@pytest.mark.parametrize("n", [3, 6, 15])
def test_intervals_cover_as_often_as_they_say(n: int) -> None:
    rng = np.random.default_rng(n)
    hits = 0
    for _ in range(2000):
        low, _, high, coverage = median_interval(rng.exponential(size=n).tolist())
        hits += low <= math.log(2) <= high
    assert hits / 2000 == pytest.approx(coverage, abs=0.03)


def test_what_has_no_median() -> None:
    for values in ([], [1.0, math.nan]):
        with pytest.raises(ValueError, match="a median needs numbers"):
            median_interval(values)
    assert median_interval([1.0, math.inf])[1] == math.inf


def test_how_a_row_was_tuned_is_in_its_name() -> None:
    assert tuning("mle:tuned-k4") == "tuned (4)"
    assert tuning("mle") == tuning("cot:readme") == "as published"
    assert tuning("mle", "mle.lr=0.1") == "changed by hand"


def test_shipped_targets_have_two_sides_a_source_and_validation_data(tmp_path: Path) -> None:
    rules, targets = load_targets()
    assert rules >= 1 and len({target.name for target in targets}) == len(targets)
    for target in targets:
        assert target.title and target.source
        assert {"nll_validation", "nll_oracle"} <= target.at_most.keys()
        assert not any("test" in name for name in target.at_most)
    lone = 'rules = 1\n[[target]]\nname = "x"\ntitle = ""\ntask = "synthetic"\nsource = ""\n'
    path = tmp_path / "targets.toml"
    path.write_text(lone + "at_most = { nll_oracle = 9.0 }\n", encoding="utf-8")
    with pytest.raises(ValueError, match="target x: one number alone can be gamed"):
        load_targets(path)


def test_the_best_row_is_reached_by_most_then_cheapest_then_nearest() -> None:
    far, near, good = (8.0, 9.9), (7.7, 9.4), (7.5, 9.3)
    store = pd.concat(
        [
            *(frame("twice", [far, far, far, good], seed=s) for s in (0, 1)),
            *(frame("once", [good] if s else [far], seed=s) for s in (0, 1)),
            *(frame("sooner", [far, good], seed=s) for s in (0, 1)),
            *(frame("near", [far, near], seed=s) for s in (0, 1)),
            *(frame("far", [far, (7.4, 9.9)], seed=s) for s in (0, 1)),
        ]
    )
    assert best_of(store, EASY, ["once", "twice", "sooner"]) == "sooner"
    assert best_of(store, EASY, ["once", "twice"]) == "twice"
    assert best_of(store, EASY, ["far", "near"]) == "near"
    assert best_of(store, EASY, ["near", "near"]) == "near"
    begun = [far, good]
    ends = {"drifts": (8.4, 8.8), "stays": (7.5, 9.3), "gains": (7.6, 9.0), "again": (7.6, 9.0)}
    store = pd.concat([store, *(frame(row, [*begun, end]) for row, end in ends.items())])
    assert best_of(store, EASY, ["drifts", "stays", "gains", "again"]) == "gains"
    assert best_of(store, EASY, ["again", "gains", "drifts"]) == "again"
    diverged = frame("diverged", [*begun, (float("nan"), 1.0)])
    assert best_of(pd.concat([store, diverged]), EASY, ["diverged", "drifts"]) == "drifts"
    with pytest.raises(ValueError, match="absent has no finished run that measured target easy"):
        best_of(store, EASY, ["near", "absent"])
