"""The recorded runs in results/published, and the pages that quote them.

Curves are compared with what is known of the original codes: the logs that the SeqGAN and CoT
authors published, and their code run again (docs/protocol.md).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
import reproduction
from recorded import (
    at_epoch,
    both,
    ends,
    in_short,
    lowest,
    more_alike,
    on_the_page,
    pair_of,
    paths,
    results,
)

from reports import PUBLISHED, REPORTS, ROOT, UNTRACKED, differing, stores
from textbench import load_curves, load_runs
from textbench.contracts.spec import Spec
from textbench.plan.resolve import Request, expand
from textbench.report import write_report
from textbench.store import publish

STORES = stores()
TEXT = (".md", ".tex", ".csv")


@pytest.fixture(scope="module")
def curves() -> pd.DataFrame:
    """Evaluations on the published oracle: one row per run and moment, a column per metric."""
    rows = results("leads")
    rows = rows[~rows["warmup"]]
    table = rows.pivot_table(
        index=["label", "seed", "step", "epoch", "final"], columns="metric", values="value"
    )
    return table.reset_index()


def at(curves: pd.DataFrame, label: str, seed: int = 0, **where: object) -> pd.Series:
    """Return the one evaluation of a run at a moment of its curve, or at its end."""
    where.setdefault("final", False)
    chosen = curves[(curves["label"] == label) & (curves["seed"] == seed)]
    for column, value in where.items():
        chosen = chosen[chosen[column] == value]
    assert len(chosen) == 1, chosen
    return chosen.iloc[0]


def test_an_untrained_generator(curves: pd.DataFrame) -> None:
    start = at(curves, "mle", epoch=0)
    assert start["nll_test"] == pytest.approx(8.52, abs=0.01)
    assert start["nll_oracle"] == pytest.approx(11.43, abs=0.1)
    assert 8.2 < start["jsd_stepwise"] < 8.5


def test_mle_follows_the_seqgan_code(curves: pd.DataFrame) -> None:
    """Official code: 9.61 / 7.67 after 5 epochs; paper and log at the end: 9.08 / 8.97."""
    early = at(curves, "mle", epoch=5)
    assert early["nll_oracle"] == pytest.approx(9.61, abs=0.1)
    assert early["nll_test"] == pytest.approx(7.67, abs=0.1)
    assert 9.1 <= at(curves, "mle", epoch=30)["nll_oracle"] <= 9.2
    end = at(curves, "mle", epoch=120, final=True)
    assert end["nll_oracle"] == pytest.approx(9.1, abs=0.1)
    assert end["nll_test"] == pytest.approx(8.97, abs=0.1)


def test_default_cot(curves: pd.DataFrame) -> None:
    """The state with what Appendix C recommends."""
    assert at(curves, "cot", epoch=8)["nll_oracle"] == pytest.approx(9.89, abs=0.1)
    assert at(curves, "cot", epoch=8)["nll_test"] == pytest.approx(7.60, abs=0.1)
    later = at(curves, "cot", epoch=24)
    assert later["nll_oracle"] == pytest.approx(9.5, abs=0.1)
    assert later["nll_test"] <= 7.5
    assert later["jsd_stepwise"] == pytest.approx(6.2, abs=0.1)


@pytest.mark.parametrize(
    ("label", "step", "oracle", "test"),
    [
        ("cot:readme", 100, 10.476, 7.938),
        ("cot:readme", 200, 10.387, 7.869),
        ("cot:150a32a", 100, 10.915, 8.080),
        ("cot:150a32a", 200, 10.623, 7.911),
    ],
)
def test_the_early_states_of_cot(
    curves: pd.DataFrame, label: str, step: int, oracle: float, test: float
) -> None:
    """The log in the authors' README, and desire2020/CoT@150a32a run again (docs/protocol.md)."""
    chosen = curves[(curves["label"] == label) & (curves["step"] == step)]
    assert len(chosen) == 3
    assert chosen["nll_oracle"].mean() == pytest.approx(oracle, abs=0.05)
    assert chosen["nll_test"].mean() == pytest.approx(test, abs=0.02)


def test_the_head_variant(curves: pd.DataFrame) -> None:
    """A second implementation of ace616c: 10.11 / 7.76 after 8 epochs, 9.83 / 7.61 after 20."""
    for epoch, oracle, test in ((8, 10.108, 7.758), (20, 9.828, 7.607)):
        row = at(curves, "cot:head", epoch=epoch, final=False)
        assert row["nll_oracle"] == pytest.approx(oracle, abs=0.06)
        assert row["nll_test"] == pytest.approx(test, abs=0.03)


RECORDED = [
    *sorted(
        path
        for name in (*STORES, "tuning")
        for path in PUBLISHED.glob(f"{name}/synthetic/*/*/spec.json")
    ),
    *sorted(PUBLISHED.glob("ci/*/*/s0-*/spec.json")),
]
"""Recorded runs whose task needs no corpus; of `ci`, one seed of each algorithm."""


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_the_command_of_a_recorded_run_still_means_it(path: Path) -> None:
    """Defaults, variants and presets resolve to what was run.

    The oracle's file aside, and what a later change of rounding raised: versions, and the
    fingerprint that names the draws' version.
    """
    data = json.loads(path.read_text())
    recorded = Spec.from_json({k: v for k, v in data.items() if k not in ("hash", "schema")})
    settings = [f"{k}={v}" for k, v in recorded.overrides.items() if k != "synthetic.oracle"]
    if "seqgan_warmup" in path.parts and recorded.trainer == "mle":  # as long as its SeqGAN asks
        settings.append(f"mle.epochs={recorded.config['epochs']}")
    request = Request(
        algos=LATER.get((recorded.label, recorded.version), recorded.label),
        task=recorded.task,
        preset=recorded.preset,
        seeds=str(recorded.seed),
        settings=settings,
        config=next((GRIDS[part] for part in path.parts if part in GRIDS), None),
    )
    *_, again = expand(request)
    assert recorded.hash == data["hash"]
    assert data["hash"].startswith(path.parent.name.rpartition("-")[2])
    assert again.version >= recorded.version
    assert _as_of(again, recorded).identity() == recorded.identity()


GRIDS = {name: Path(name) for name in ("cot_ablations", "figure2a", "figure2b")}
GRIDS |= {
    "regularisation": Path("cot_regularisation"),
    "tuned": PUBLISHED / "tuning" / "tuned.toml",
    "tuning": PUBLISHED / "tuning" / "tuned.trials.toml",
}
"""Stores that hold rows of a grid or a config file, by its name."""
LATER = {("scheduled_sampling", 1): "scheduled_sampling:to_zero"}
"""Rows that are called otherwise since another default has their old name."""


def _as_of(spec: Spec, recorded: Spec) -> Spec:
    """Return ``spec`` with the versions and the fingerprint of a recorded one."""
    warmup = spec.warmup and recorded.warmup and _as_of(spec.warmup, recorded.warmup)
    fingerprint, version = recorded.task_fingerprint, recorded.version
    return replace(spec, task_fingerprint=fingerprint, version=version, warmup=warmup)


def as_pinned() -> bool:
    """Tell whether every package here is of the version that ``constraints.txt`` pins."""
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, pinned, version = line.partition("==")
        if pinned and not name.startswith("#"):
            try:
                if metadata.version(name).partition("+")[0] != version:
                    return False
            except metadata.PackageNotFoundError:
                continue  # a tool that reports do without
    return True


LONG = re.compile(r"-?\d+\.\d{9,}(?:e[-+]\d+)?")
"""A number with more digits than two versions of scipy must agree in."""


def alike(one: str, other: str) -> bool:
    """Tell whether two texts are the same but for the last digits of `LONG` numbers."""
    numbers = [[float(number) for number in LONG.findall(text)] for text in (one, other)]
    return LONG.sub("", one) == LONG.sub("", other) and numbers[0] == pytest.approx(
        numbers[1], rel=1e-7, abs=1e-14
    )


def test_texts_are_alike_to_seven_digits() -> None:
    assert alike("a,6.41812775871667,x", "a,6.4181277587161025,x")
    assert not alike("a,6.41812775871667,x", "a,6.41813775871667,x")
    assert not alike("a,6.41812775871667,x", "b,6.41812775871667,x")
    assert not alike("a,6.41,x", "a,6.42,x")


@pytest.mark.parametrize("store", STORES)
def test_reports_are_made_of_the_recorded_runs(store: str, tmp_path: Path) -> None:
    """`tox -e reports`: the same bytes under the pinned versions, texts `alike` under others."""
    write_report(PUBLISHED / store, tmp_path)
    wrong = list(differing(tmp_path, REPORTS / store))
    if not as_pinned():
        texts = [name for name in wrong if Path(name).suffix in TEXT]
        pairs = {name: (tmp_path / name, REPORTS / store / name) for name in texts}
        wrong = [
            name
            for name, pair in pairs.items()
            if not all(path.exists() for path in pair)
            or not alike(*(path.read_text("utf-8") for path in pair))
        ]
    assert any(tmp_path.iterdir()) and not wrong, f"{store} is out of date: {wrong}"
    assert UNTRACKED in json.loads((REPORTS / store / "manifest.json").read_text())


def test_the_page_of_what_reproduces_is_made_of_these_reports() -> None:
    """`tox -e reports` writes the tables of docs/reproduction.md."""
    page = reproduction.PAGE.read_text()
    assert {name for _, name, _ in reproduction.PART.findall(page)} == {
        *reproduction.TABLES,
        *reproduction.PARTS,
    }
    assert reproduction.rewritten(page) == page, "docs/reproduction.md is out of date"


@pytest.mark.parametrize(
    ("store", "label", "epoch", "seeds", "shown"),
    [
        ("oracle", "cot:9ffe475", 25, 5, "9.10 / 7.56"),
        ("oracle", "cot:9ffe475", 30, 5, "8.89 / 7.58"),
        ("oracle", "cot:9ffe475", 60, 5, "8.23 / 8.03"),
        ("oracle", "cot:9ffe475", 18, 5, "9.49 / 7.58"),
        ("oracle", "mle", 16, 5, "9.21 / 8.09"),
        ("oracle", "mle", 30, 5, "9.16 / 8.40"),
        ("oracle", "mle", 120, 5, "9.10 / 8.94"),
        ("variants", "mle", 8, 3, "9.17 / 7.67"),
        ("variants", "mle:dropout", 8, 3, "9.60 / 7.51"),
        ("variants", "cot", 8, 3, "9.69 / 7.51"),
    ],
)
def test_the_sentences_of_that_page_have_numbers_of_the_records(
    store: str, label: str, epoch: float, seeds: int, shown: str
) -> None:
    found = at_epoch(store, label, epoch)
    assert len(found) == seeds
    means = found[["nll_oracle", "nll_test"]].mean()
    assert " / ".join(f"{mean:.2f}" for mean in means) == shown
    assert shown in " ".join(reproduction.PAGE.read_text().split())


def test_what_that_page_says_in_short_of_final_numbers() -> None:
    short, end, begun = in_short(), ends("oracle"), ends("oracle").loc["professor_forcing"]
    pair = {label: pair_of(end.loc[label]) for label in end.index.get_level_values(0).unique()}
    state, forced = pair["cot:9ffe475"], pair_of(begun)  # which is MLE of three seeds
    near = pair_of(at_epoch("oracle", "cot:9ffe475", 60))
    best = {
        one: lowest(paths("oracle").loc[one])["nll_test"].mean() for one in pair if "cot" in one
    }
    for said in (
        f"**reproduced**: {pair['mle']} |",
        f"(`cot:9ffe475`): {near} at epoch 60 of 120, best NLL_test {best['cot:9ffe475']:.2f}.",
        f"it ends at {pair['cot']}, with a best NLL_test of {best['cot']:.2f} |",
        f"`cot:9ffe475` ({state}) is far better than MLE in NLL_oracle and not separated",
        f"scheduled sampling ends at {pair['scheduled_sampling']}, where",
        f"SeqGAN ({pair['seqgan']}) and RankGAN ({pair['rankgan']}), from an MLE at {forced}.",
        f"the same way, to {pair['policy_gradient']} |",
    ):
        assert said in short
    jsd = end["jsd_stepwise"].groupby("label").mean()
    shown = [jsd[one] for one in ("cot", "cot:9ffe475", "mle", "seqgan")]
    assert "{:.2f} and {:.2f} against {:.2f} and {:.2f}".format(*shown) in short
    rows = ("cot", "cot:9ffe475", "mle", "mle:dropout")
    least = [
        lowest(paths("oracle").loc[one], "jsd_stepwise")["jsd_stepwise"].mean() for one in rows
    ]
    assert "at their smallest {:.2f} and {:.2f} against MLE's {:.2f} |".format(*least[:3]) in short
    assert f"(with dropout its smallest is {least[3]:.2f})" in short


def test_what_that_page_says_in_short_of_who_is_separated_and_of_sums() -> None:
    short, every = in_short(), paths("oracle")
    places = pd.read_csv(REPORTS / "oracle" / "rankings.csv").set_index(["metric", "label"])[
        "place"
    ]
    oracle, test = places.loc["nll_oracle"], places.loc["nll_test"]
    assert oracle["cot:9ffe475"] < oracle["mle"] and test["cot:9ffe475"] == test["mle"]
    assert max(oracle["cot"], oracle["cot:9ffe475"]) < oracle["scheduled_sampling"]
    assert test["cot"] == test["scheduled_sampling"] < test["cot:9ffe475"]
    rows = [every.loc[one] for one in ("cot:9ffe475", "mle")]
    rows.append(paths("regularisation").loc["cot:drop0"])
    sums = [f"{both(one).groupby('seed').min().mean():.2f}" for one in rows]
    assert f"is {sums[0]} for `cot:9ffe475`, {sums[1]} for MLE," in short
    assert f"CoT without dropout has {sums[2]} (three seeds, 60 epochs)" in short
    rates = [
        json.loads(path.read_text())["config"]
        for folder in ("regularisation/*/cot-drop0", "oracle/*/mle", "oracle/*/cot-9ffe475")
        for path in PUBLISHED.glob(f"{folder}/*/spec.json")
    ]
    assert {one["g_lr"] for one in rates[:3]} == {one["lr"] for one in rates[3:8]} == {1e-2}
    assert {one["g_lr"] for one in rates[8:]} == {1e-3} and len(rates) == 13


def test_every_seed_of_cot_ends_below_every_seed_of_the_adversarial_rows() -> None:
    end = ends("oracle")["nll_test"]
    most = max(end.loc[label].max() for label in ("cot", "cot:9ffe475"))
    assert most < min(end.loc[label].min() for label in ("seqgan", "rankgan", "maligan"))
    assert "it ends with both states, every seed below every seed." in on_the_page()


def test_what_that_page_says_of_the_state_that_reaches_the_pair() -> None:
    page, cot = on_the_page(), paths("oracle").loc["cot:9ffe475"]
    assert f"best NLL_test is {lowest(cot)['nll_test'].mean():.3f} (paper" in page
    assert f"sum of both {both(cot).groupby('seed').min().mean():.2f} (16.22)" in page
    near = cot.xs(60, level="epoch")
    assert near["nll_oracle"].sub(8.19).abs().max() < 0.1 > near["nll_test"].sub(8.03).abs().max()
    smallest = lowest(cot, "jsd_stepwise")["jsd_stepwise"].mean()
    assert f"of `cot:9ffe475` is {smallest:.2f}, and {near['jsd_stepwise'].mean():.2f} at" in page
    first = [
        one[(one - target).abs().max(axis=1) <= 0.1].index.min()[1]
        for target in [pd.Series({"nll_oracle": 8.19, "nll_test": 8.03})]
        for _, one in cot[["nll_oracle", "nll_test"]].groupby("seed")
    ]
    assert sorted(first) == [55] * 2 + [60] * 3
    assert "first at epoch 55 in two and at 60 in three" in page
    path = cot.groupby("epoch").mean()
    end = ends("oracle").loc["cot:9ffe475"][["nll_oracle", "nll_test"]].mean()
    shown = f"{end['nll_oracle']:.2f} / {end['nll_test']:.2f}"
    assert f"to epoch 120 it ends at {shown}." in page and f"and at {shown} at the end." in page
    falls, jsd = path["nll_oracle"], path["jsd_stepwise"]
    assert f"falls to {falls.min():.2f} (epoch {falls.idxmin():.0f}), the stepwise" in page
    rise = f"rises from {jsd.min():.2f} (epoch {jsd.idxmin():.0f}) to {jsd.iloc[-1]:.2f} at the end"
    assert rise in page


def test_what_that_page_says_of_the_other_mediators() -> None:
    page, cot, grid = on_the_page(), paths("oracle").loc["cot"], paths("regularisation")
    last = ends("oracle").loc["cot"][["nll_oracle", "nll_test"]].mean()
    assert f"ends at {last['nll_oracle']:.2f} / {last['nll_test']:.2f} and at no epoch" in page
    assert 9.34 < cot["nll_oracle"].min() < 9.35 and "below 9.34 in NLL_oracle" in page
    assert f"best NLL_test, {lowest(cot)['nll_test'].mean():.3f}, is lower than" in page
    found = ends("regularisation")
    rates = {"drop0": "without", "drop1e-1": "with 0.1", "drop2e-1": "with 0.2"}
    rates["drop3e-1"] = "with 0.3"
    for label, rate in rates.items():
        end = found.loc[f"cot:{label}"][["nll_oracle", "nll_test"]]
        assert len(end) == 3
        assert f"{end['nll_oracle'].mean():.2f} / {end['nll_test'].mean():.2f} {rate}" in page
    rows = [grid.loc[f"cot:{label}"] for label in rates]
    for row in rows:
        off = (row[["nll_oracle", "nll_test"]] - [8.19, 8.03]).abs().max(axis=1)
        assert (off > 0.1).all()
    nearest = (grid.loc["cot:drop0"][["nll_oracle", "nll_test"]] - [8.19, 8.03]).abs().max(axis=1)
    missed = nearest.groupby("seed").min().round(2)
    assert f"nearest miss by {missed.min():.2f} to {missed.max():.2f}," in page
    sums = [f"{both(row).groupby('seed').min().mean():.2f}" for row in rows]
    assert f"Their smallest sums are {', '.join(sums[:3])} and {sums[3]}," in page
    above = [float(one) - 16.22 for one in (sums[0], sums[-1])]
    assert f"{above[0]:.2f} to {above[1]:.2f} above the paper's 16.22" in page
    smallest = [f"{row['jsd_stepwise'].groupby('seed').min().mean():.2f}" for row in (*rows, cot)]
    jsd = "rates it is {}, with 0.1 {}, with 0.2 {}, with 0.3 {} and with 0.5 {}."
    jsd = jsd.format(*smallest)
    assert jsd in page
    at_60 = pd.DataFrame([row.xs(60, level="epoch").mean() for row in (*rows, cot)])
    assert at_60["nll_oracle"].is_monotonic_increasing
    shown_60 = [f"{value:.2f}" for value in at_60["jsd_stepwise"]]
    assert f"at epoch 60 ({', '.join(shown_60[:4])} and {shown_60[4]})" in page


def test_what_that_page_says_of_the_epoch_of_the_pair() -> None:
    at_pair, end = paths("oracle").loc["cot:9ffe475"].xs(60, level="epoch"), ends("oracle")
    assert f"pair, its NLL_test ({at_pair['nll_test'].mean():.2f}) is below" in on_the_page()
    lowest_of = end["nll_test"].groupby("label").min().drop(["cot:9ffe475", "cot"])
    below = lowest_of[lowest_of < at_pair["nll_test"].max()].index
    with_more = {"mle:dropout", "mle:early_stop", "mle:fresh"}
    assert set(below) == {"scheduled_sampling", *with_more}


def test_what_that_page_says_of_cot_beside_mle() -> None:
    """Bests, sums and costs on the published oracle, and in which order the paths lie."""
    page, every = on_the_page(), paths("oracle")
    names = ("cot:9ffe475", "mle", "mle:dropout", "scheduled_sampling", "cot")
    state, mle, dropout, scheduled, cot = (every.loc[name] for name in names)
    frame = results("oracle")
    on_cpu = frame[frame["final"].astype(bool) & (frame["seed"] < 3)]  # the others had a GPU
    cost = on_cpu.groupby("label")["cpu_seconds"].mean()
    assert f"cost {cost['cot:9ffe475'] / cost['mle']:.1f} times MLE's" in page
    assert "has come to epoch 18 " in page
    assert 18 <= 120 * cost["mle"] / cost["cot:9ffe475"] < 20  # the next evaluation
    spent = f"{cost['mle']:,.0f} s for MLE and {cost['cot:9ffe475']:,.0f} s for CoT"
    assert spent in " ".join((ROOT / "docs" / "performance.md").read_text("utf-8").split())
    sums = [both(one).groupby("seed").min() for one in (state, mle, dropout, scheduled)]
    assert sums[0].max() < min(one.min() for one in sums[1:])
    assert [len(one) for one in sums] == [5] * 4
    assert f"sum of both is {sums[1].mean():.2f}, that of MLE with dropout 0.5" in page
    assert f"{sums[2].mean():.2f}, that of scheduled sampling {sums[3].mean():.2f} (five" in page
    means = [one["nll_oracle"].groupby("epoch").mean() for one in (state, mle)]
    apart = (means[0] - means[1]).drop(0.0)
    assert (apart.loc[:20] > 0).all() and (apart.loc[30:] < -0.2).all()
    bests = [lowest(one)[["nll_oracle", "nll_test"]] for one in (cot, dropout)]
    shown = [f"{one['nll_oracle'].mean():.2f} / {one['nll_test'].mean():.2f}" for one in bests]
    assert f"CoT is at {shown[0]}, `mle:dropout` at {shown[1]}" in page
    assert (bests[0].max() < bests[1].min()).all()
    jsd = [one["jsd_stepwise"].groupby("seed").min().mean() for one in (cot, dropout)]
    assert f"stepwise JSD is {jsd[0]:.2f} against {jsd[1]:.2f}" in page
    means = [one[["nll_oracle", "nll_test"]].groupby("epoch").mean() for one in (cot, dropout)]
    apart = means[0] - means[1]
    assert (apart["nll_test"].loc[10:] < 0).all() and apart["nll_test"].loc[8] > 0
    assert apart["nll_oracle"].loc[20:].abs().max() < 0.06
    found = paths("regularisation")
    rates = [found.loc[f"mle:drop{rate}"] for rate in ("2e-1", "35e-2", "65e-2")]
    bests = [f"{lowest(one)['nll_test'].mean():.2f}" for one in rates]
    tried = [both(one).groupby("seed").min() for one in rates]
    assert [len(one) for one in tried] == [3] * 3
    least = [f"{one.mean():.2f}" for one in tried]
    assert "has best NLL_tests of {}, {} and {} and smallest sums".format(*bests) in page
    assert "of {}, {} and {}: of the four rates none".format(*least) in page
    own, all_four = both(cot).groupby("seed").min(), min(one.min() for one in (*tried, sums[2]))
    assert all_four > sums[0].max() + 0.7 and all_four > own.max() + 0.1
    assert f"that of `cot` ({own.mean():.2f})." in page
    means = [one.mean() for one in (*tried, sums[2])]
    assert f"{min(means):.2f} to {max(means):.2f} for MLE with dropout (0.2 to 0.65)" in in_short()
    slow = paths("regularisation").loc["mle"].reset_index()
    added = slow["nll_oracle"] + slow["nll_test"]
    by_seed = slow.assign(added=added).groupby("seed")
    best, least = (slow.loc[by_seed[one].idxmin()] for one in ("nll_test", "added"))
    assert by_seed.ngroups == 3 and added.min() > sums[0].max() + 0.5
    assert set(best["epoch"]) == {35}
    assert f"NLL_test of {best['nll_test'].mean():.2f} at epoch 35, its smallest" in page
    added = by_seed["added"].min().mean()
    span = f"{least['epoch'].min():.0f} to {least['epoch'].max():.0f}"
    assert f"sum of {added:.2f} at epoch {span}, and ends at" in page
    end = ends("regularisation").loc["mle"][["nll_oracle", "nll_test"]].mean()
    assert f"ends at {end['nll_oracle']:.2f} / {end['nll_test']:.2f}: it over-fits" in page
    assert f"1e-3, comes to {added:.2f} (three seeds)" in in_short()


def test_what_that_page_says_of_costs_is_the_papers_and_that_of_the_page_of_costs() -> None:
    page, short = on_the_page(), in_short()
    found = pd.read_csv(REPORTS / "oracle" / "verdicts.csv").set_index(["row", "column"])
    paper = found.loc[found["table"] == "table1", "published"].groupby(level=[0, 1]).first()
    mle, cot, seqgan = (float(paper[row, "s/epoch"]) for row in ("MLE", "CoT", "SeqGAN"))
    assert f"is {cot / mle:.1f} times one of MLE" in page and f"({cot / mle:.1f} times an" in short
    costs = " ".join((ROOT / "docs" / "performance.md").read_text("utf-8").split())
    steps = (
        r"MLE takes ([\d.]+) s, one of CoT ([\d.]+) s, and a whole round of SeqGAN .*? ([\d.]+) s"
    )
    on_gpu = [float(one) for one in re.search(steps, costs).groups()]  # type: ignore[union-attr]
    assert f"{on_gpu[1] / on_gpu[0]:.1f} times on a GPU" in page
    for cell in (
        "982,800 x 64 ms of D, 200 x 4.8 s, 1,050 loads of fakes at 1.6 s",
        "200,000 x 143 ms",
    ):
        assert cell in costs.replace("\N{MULTIPLICATION SIGN}", "x")
    on_cpu = (4_680 * 0.064 + 4.8 + 5 * 1.6) / (156 * 0.143)
    shown = (
        f"costs {on_cpu:.0f} times an epoch of CoT on a CPU, and {on_gpu[2] / on_gpu[1]:.0f} times"
    )
    assert f"{shown} on a GPU (paper: {seqgan / cot:.0f})" in page
    ours = found.loc[found["table"] == "table1"].xs("NLL_test, final", level=1)
    rows = ours.loc[["SeqGAN", "RankGAN", "MaliGAN"]]
    theirs = [f"{one:.2f}" for one in sorted(float(one) for one in rows["published"])]
    assert f"where it has {theirs[0]} to {theirs[-1]} and we" in page
    mine = sorted(float(one) for one in rows["ours"])
    assert f"and we {mine[0]:.2f} to {mine[-1]:.2f};" in page


def test_what_that_page_says_of_the_adversarial_rows() -> None:
    page, every, end = on_the_page(), paths("oracle"), ends("oracle")
    mean = end.groupby("label").mean()
    pair = {label: f"{one.nll_oracle:.2f} / {one.nll_test:.2f}" for label, one in mean.iterrows()}
    warmed = end.loc["professor_forcing"].mean()  # MLE of the three seeds, see below
    begun = f"{warmed['nll_oracle']:.2f} / {warmed['nll_test']:.2f}"
    assert f"three seeds {begun}) and 200 rounds, SeqGAN ends at {pair['seqgan']}" in page
    assert f"`policy_gradient`, at {pair['policy_gradient']} (three and five" in page
    assert f"goes farther the same way, to {pair['rankgan']}." in page
    forced, plain = end.loc["professor_forcing"], end.loc["mle"].loc[:2]
    assert len(forced) == 3 and (forced == plain).all(axis=None)
    assert "Professor forcing is MLE to the bit in its three seeds" in page
    logs = load_curves(PUBLISHED / "oracle")
    logs = logs[(logs["label"] == "professor_forcing") & (logs["name"] == "d_average_accuracy")]
    assert logs["value"].between(0.495, 0.51).all() and "accuracy stays at 0.50" in page
    sharp, seqgan = end.loc["policy_gradient"], end.loc["seqgan"]
    assert (len(sharp), len(seqgan)) == (5, 3)
    assert sharp["nll_oracle"].max() < seqgan["nll_oracle"].min()
    dip = every.loc["policy_gradient"]["nll_oracle"].groupby("seed").min()
    assert f"one dipped to {dip.min():.2f} on the way" in page and dip.nsmallest(2).iloc[1] > 8.6
    assert sharp["nll_test"].min() > seqgan["nll_test"].max()
    sums = [
        both(every.loc[one]).groupby("seed").min().mean() for one in ("seqgan", "policy_gradient")
    ]
    assert f"smallest sums are {sums[0]:.2f} and {sums[1]:.2f}" in page
    late = every.loc["seqgan"]["nll_oracle"].loc[:, 160:]
    assert f"between {late.min():.2f} and {late.max():.2f} from round 40 on" in page
    jsd = mean["jsd_stepwise"]
    assert (
        f"they began with ({warmed['jsd_stepwise']:.2f}): SeqGAN {jsd['seqgan']:.2f}, MaliGAN"
        in page
    )
    assert f"MaliGAN {jsd['maligan']:.2f}, the constant reward {jsd['policy_gradient']:.2f}" in page
    assert f"RankGAN {jsd['rankgan']:.2f}." in page
    mali = end.loc["maligan"]
    assert mali["nll_oracle"].round(2).tolist() == [7.37, 7.22, 9.25]
    assert f"MaliGAN's mean of {pair['maligan']} is of two seeds that end at 7.37 and 7.22" in page
    entropy = [*mali["generator_entropy"], mean["generator_entropy"]["mle"]]
    shown = "falls to {:.1f} and {:.1f} nats a token ({:.1f} in the other, {:.1f} for MLE)"
    assert shown.format(*entropy) in page
    assert mali["nll_test"].iloc[:2].round(1).tolist() == [9.2, 9.2]
    collapsed = [f"{jsd:.1f}" for jsd in mali["jsd_stepwise"].iloc[:2]]
    assert f"the JSD at {' and '.join(collapsed)}: samples" in page
    for one in ("nll_test", "jsd_stepwise"):
        assert mean[one]["mle"] < mali[one].iloc[:2].min()
        assert mali[one].iloc[:2].max() < mean.loc[["rankgan", "policy_gradient"], one].min()
    claims = pd.read_csv(REPORTS / "oracle" / "claims.csv").set_index(["id", "subject"])
    stable = claims.loc[("more-stable", "cot:9ffe475 [epochs=120]"), "here_why"]
    risen, other = (
        float(x) for x in re.findall(r"nll_test: \S+ \S+ ([\d.]+) > ([\d.]+)", stable)[0]
    )
    shown = f"rises by {risen:.4f} an epoch, {risen / 156:.5f} an update, SeqGAN's by {other:.4f}."
    assert shown in page


def test_what_that_page_says_of_regularisation_and_of_the_discriminator() -> None:
    cot, dropout = (at_epoch("variants", label, 8) for label in ("cot", "mle:dropout"))
    apart = cot - dropout
    assert apart["nll_oracle"].between(0.055, 0.115).all()
    assert apart["nll_test"].abs().max() < 0.01
    frame, end = results("variants"), ends("variants")
    spent = frame[frame["epoch"] == 8].groupby("label")["cpu_seconds"].mean()
    assert spent["cot"] / spent["mle:dropout"] == pytest.approx(7, abs=0.5)
    assert " / ".join(f"{v:.2f}" for v in end.loc["mle"][["nll_oracle", "nll_test"]].mean()) in (
        "9.01 / 8.11"
    )
    sharpened = end.loc["policy_gradient"] - end.loc["mle"]
    assert len(sharpened.dropna()) == 3 and (sharpened["nll_oracle"] < 0).all()
    gained = end.loc["seqgan"] - end.loc["policy_gradient"]
    assert gained["nll_test"].between(-0.045, -0.015).all()
    assert gained["nll_oracle"].round(2).tolist() == [-0.02, -0.01, 0.05]
    jsd = end["jsd_stepwise"].groupby("label").mean()
    assert f"{jsd['mle:fresh']:.1f}" == "5.0" and jsd.drop("mle:fresh").min() > 6.3


def test_what_that_page_says_of_epochs_and_of_pairs_that_are_not_separated() -> None:
    page, every, end = on_the_page(), paths("oracle"), ends("variants")
    path = results("oracle").query("label == 'maligan' and not final")  # its warm-up's, too
    path = path.pivot_table(index=["seed", "epoch"], columns="metric", values="value")
    sums = both(path).groupby("seed").idxmin().map(lambda at: f"{at[1]:.0f}")
    assert "MaliGAN's stem from epochs {}, {} and {},".format(*sums) in page
    at = [{epoch for *_, epoch in lowest(every.loc[row]).index} for row in ("cot", "mle:dropout")]
    assert (at[0], at[1]) == ({25, 30}, {14})
    assert "CoT's at epoch 25 to 30, the other's at 14." in page
    shown = [pair_of(end.loc[row]) for row in ("seqgan", "policy_gradient")]
    assert f"not separated: {shown[0]} and {shown[1]}." in page
    full = [pair_of(end.loc[row]) for row in ("cot", "cot:full_gradient")]
    assert f"the two end at {full[0]} and {full[1]}, not separated." in page
    gradient = " ".join((ROOT / "docs" / "full-gradient.md").read_text("utf-8").split())
    assert f"NLL_test {full[0]} and {full[1]} (" in gradient
    places = pd.read_csv(REPORTS / "variants" / "rankings.csv").set_index(["metric", "label"])
    for rows in (["seqgan", "policy_gradient"], ["cot", "cot:full_gradient"]):
        for metric in ("nll_oracle", "nll_test"):  # who is worse stands in a later place
            assert places["place"].loc[metric].loc[rows].nunique() == 1
    logs = load_curves(PUBLISHED / "oracle")
    logs = logs[(logs["label"] == "seqgan") & (logs["name"] == "d_accuracy") & ~logs["warmup"]]
    ending = logs[logs["epoch"] == logs["epoch"].max()].groupby("seed")["value"].mean()
    assert len(ending) == 3 and ending.round(2).eq(1.0).all() and "accuracy of 1.00 on" in page


def test_what_other_pages_say_of_early_states_schedules_and_costs(curves: pd.DataFrame) -> None:
    protocol, artifact = (
        " ".join((ROOT / name).read_text("utf-8").split())
        for name in ("docs/protocol.md", "ARTIFACT.md")
    )
    for state in ("readme", "150a32a"):
        mine = curves[curves["label"] == f"cot:{state}"]
        shown = [pair_of(mine[mine["step"] == step]) for step in (100, 200)]
        assert f"`cot:{state}` {shown[0]} and {shown[1]}" in protocol
    faded = [at_epoch("variants", "scheduled_sampling:to_zero", 10), ends("variants")]
    faded[1] = faded[1].loc["scheduled_sampling:to_zero"]
    shown = [pair_of(one) for one in faded]
    assert f"middle: {shown[0]} after epoch 10 of 20, {shown[1]} after 20 (three" in protocol
    last = results("quick").query("final").drop_duplicates("run")["cpu_seconds"] / 60
    assert [round(last.min()), round(last.max())] == [1, 4]
    assert "`quick`: 1 to 5 processor minutes a row and seed" in artifact
    own = results("coco").query("final and not warmup").drop_duplicates("run")
    plain = load_runs(PUBLISHED / "coco").set_index("run")["hardware"].str.contains("NVIDIA")
    own = own[~own["run"].map(plain).astype(bool)]
    hours = own.groupby("label")["cpu_seconds"].mean() / 3600
    adversarial = hours[["seqgan", "maligan:texygen", "rankgan"]] - hours["mle"]  # it warmed up
    total = hours[["mle", "cot", "scheduled_sampling"]].sum() + adversarial.sum()
    rest = hours[["leakgan", "professor_forcing"]].sum()
    shown = f"{total:.1f} of training, measured; LeakGAN and professor forcing {rest:.1f} more"
    assert shown in artifact


def test_how_long_the_later_objectives_took_is_what_their_clocks_say() -> None:
    """From the first start to the last end, evaluations of the last run aside."""
    starts = {
        path.parent.name: json.loads(path.read_text())["starts"][0]["time"]
        for path in PUBLISHED.glob("descendants/*/*/s0-*/env.json")
    }
    last = results("descendants").query("final and seed == 0").drop_duplicates("run")
    trained = dict(zip(last["run"].str.rpartition("/")[2], last["seconds"], strict=True))
    began = {name: pd.Timestamp(text).timestamp() for name, text in starts.items()}
    ends_ = [moment + trained[name] for name, moment in began.items()]
    minutes = (max(ends_) - min(began.values())) / 60
    assert 19 < minutes < 20
    assert "the first made in some 20 minutes on two cores" in (PUBLISHED / "README.md").read_text()


def test_the_command_of_every_recorded_run_is_written_beside_it() -> None:
    """The pages of the stores have the commands that the runs themselves recorded."""
    pages = [path.read_text() for path in PUBLISHED.rglob("README.md")]
    written, lines = "".join(pages), [line for page in pages for line in page.splitlines()]
    recorded = {
        start["command"]
        for path in PUBLISHED.glob("*/*/*/*/env.json")
        for start in json.loads(path.read_text())["starts"]
    }
    assert recorded
    for command in (one for one in recorded if one not in written):  # seeds of several as one
        (elsewhere,) = publish.commands([command])
        before, seeds, after = elsewhere.partition(" --seeds ")
        before, after = before + seeds, after.partition(" ")[2]
        assert (elsewhere in lines and not seeds) or any(
            line.startswith(before) and line.endswith(after) and seeds for line in lines
        ), command


FINDINGS = [
    ("quick", "cot", "nll_oracle", 3, "9.69"),
    ("quick", "cot", "nll_test", 3, "7.52"),
    ("quick", "mle", "nll_oracle", 3, "9.01"),
    ("quick", "mle", "nll_test", 3, "8.11"),
    ("quick", "scheduled_sampling", "nll_oracle", 3, "9.55"),
    ("quick", "scheduled_sampling", "nll_test", 3, "7.49"),
    ("variants", "mle:dropout", "nll_oracle", 3, "9.33"),
    ("variants", "mle:dropout", "nll_test", 3, "7.52"),
    ("coco", "mle", "bleu5", 3, "0.192"),
    ("oracle", "mle", "nll_oracle", 5, "9.10"),
    ("oracle", "mle", "nll_test", 5, "8.94"),
    ("oracle", "cot:9ffe475", "nll_test", 5, "8.95"),
    ("oracle", "cot", "nll_oracle", 3, "9.43"),
    ("oracle", "cot", "nll_test", 3, "7.54"),
    ("oracle", "seqgan", "nll_oracle", 3, "8.86"),
    ("oracle", "seqgan", "nll_test", 3, "9.14"),
    ("oracle", "rankgan", "nll_oracle", 3, "8.59"),
    ("oracle", "rankgan", "nll_test", 3, "9.65"),
    ("oracle", "policy_gradient", "nll_oracle", 5, "8.70"),
    ("oracle", "policy_gradient", "nll_test", 5, "9.53"),
    ("oracle", "mle:fresh", "nll_oracle", 5, "8.19"),
    ("oracle", "mle:fresh", "nll_test", 5, "6.88"),
]
"""What README says of recorded runs: store, row, metric, seeds, and the value as shown there."""


@pytest.mark.parametrize(("store", "label", "metric", "seeds", "shown"), FINDINGS)
def test_readme_says_what_the_records_say(
    store: str, label: str, metric: str, seeds: int, shown: str
) -> None:
    frame = results(store)
    chosen = frame[(frame["label"] == label) & (frame["metric"] == metric) & frame["final"]]
    assert len(chosen) == seeds
    assert f"{chosen['value'].mean():.{len(shown.partition('.')[2])}f}" == shown
    found = (ROOT / "README.md").read_text().partition("## What was found")[2]
    assert shown in found.partition("## Where to go")[0]


def test_readme_says_where_cots_path_lies_and_of_how_many_seeds() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    curves = results("oracle")
    curves = curves[~curves["final"].astype(bool)]
    seeds = curves.groupby("label")["seed"].nunique()
    three = {"cot", "professor_forcing", "seqgan", "rankgan", "maligan"}
    assert "(CoT, professor forcing and the GANs 3; `cot:9ffe475` and others 5)" in readme
    assert {label: 3 if label in three else 5 for label in seeds.index} == seeds.to_dict()
    every = paths("oracle")
    bests = [lowest(every.loc[label])["nll_test"].mean() for label in ("cot", "mle:dropout")]
    shown = "lowest NLL_test is {:.2f}, that of an MLE with the same dropout {:.2f}."
    assert shown.format(*bests) in readme
    assert "7.37 and 7.22" in readme  # of MaliGAN; see the page's test
    near = at_epoch("oracle", "cot:9ffe475", 60)[["nll_oracle", "nll_test"]].mean()
    assert f"{' / '.join(f'{mean:.2f}' for mean in near)} at epoch 60" in readme
    cot = curves[(curves["label"] == "cot:9ffe475") & (curves["metric"] == "nll_test")]
    assert f"best NLL_test is {cot.groupby('seed')['value'].min().mean():.2f} (" in readme
    end = ends("oracle").loc["cot:9ffe475"][["nll_oracle", "nll_test"]].mean()
    assert f"{end['nll_oracle']:.2f} / {end['nll_test']:.2f} at the end;" in readme
    collapsed = ends("oracle").loc["maligan"].query("nll_oracle < 8")["nll_test"]
    assert f"than MLE in NLL_test ({', '.join(f'{v:.2f}' for v in collapsed)})" in readme


def test_readme_and_the_page_say_what_reproduces_of_texygens_table() -> None:
    found = pd.read_csv(REPORTS / "coco" / "verdicts.csv")
    found = found[(found["table"] == "texygen_coco") & (found["n"] == 3)]
    counts = found.groupby("row")["outcome"].value_counts()
    assert len(found) == 24 and counts["MLE"].to_dict() == {"reproduced": 8}
    assert counts["SeqGAN"].to_dict() == {"reproduced": 6, "undecided": 2}
    assert counts["MaliGAN"].to_dict() == {"reproduced": 1, "undecided": 7}
    readme, page = " ".join((ROOT / "README.md").read_text().split()), on_the_page()
    assert "schedules): all eight numbers of Texygen's table; SeqGAN six; undecided" in readme
    assert "seven of MaliGAN's eight, and none differs." in readme
    assert "in all eight numbers, SeqGAN in six and is undecided in two; MaliGAN" in page
    end = ends("coco")
    means = end.groupby("label").mean()
    bleu, own = means["bleu5"], means["self_bleu5"]
    rows = ("seqgan", "maligan:texygen", "mle")
    assert "BLEU-5 {:.3f} and {:.3f} against {:.3f}".format(*bleu[list(rows)]) in page
    assert "(means {:.3f} and {:.3f} against {:.3f})".format(*own[list(rows)]) in page
    for metric in ("self_bleu5", "nll_test"):
        highest = end[metric].loc["mle"].max()
        assert all(end[metric].loc[row].min() > highest for row in rows[:2])
    assert all(bleu[row] < bleu["mle"] for row in rows[:2])
    real = means.loc["real", ["bleu2", "bleu3", "bleu4", "bleu5"]]
    assert "of {:.3f}, {:.3f}, {:.3f} and {:.3f} against the same".format(*real) in page
    assert f"SeqGAN's mean BLEU-2 of {means['bleu2']['seqgan']:.3f} is at the level" in page
    assert means["bleu2"].loc[["seqgan", "mle"]].sub(real["bleu2"]).abs().max() < 0.01
    places = pd.read_csv(REPORTS / "coco" / "rankings.csv").set_index(["metric", "label"])["place"]
    assert places.loc["bleu5"].loc[list(rows)].eq(1).all()
    far = means["ewmd_test"][["real", "mle"]]
    assert f"their eWMD is {far['real']:.3f}, where" in page
    assert f"Of MLE's {far['mle']:.3f} to the test captions" in page
    protocol = (ROOT / "docs" / "protocol.md").read_text("utf-8")
    assert f"two thirds of MLE's eWMD from the test captions ({far['real']:.3f} of" in protocol
    assert far["real"] / far["mle"] == pytest.approx(2 / 3, abs=0.03)
    nll = means.loc["mle", ["nll_train", "nll_test"]]
    assert "NLL is {:.2f} on training captions and {:.2f} on test captions".format(*nll) in page


def test_a_copy_that_is_taken_for_the_published_data_is_said_to_be() -> None:
    """The first screen said that no file is the published one, and that all 24 numbers compare."""
    first = [(REPORTS / name / "report.md").read_text("utf-8") for name in ("coco", "emnlp")]
    listed = "is on the list of copies taken for the data of Texygen and RelGAN."
    assert all("train is not the published file" in one for one in first)
    assert [listed in one for one in first] == [True, False]


def test_at_equal_quality_adversarial_samples_are_less_diverse_than_mles() -> None:
    page = on_the_page()
    seqgan = [one for seed in range(3) for one in more_alike("seqgan", seed, seed)]
    assert len(seqgan) == 21
    assert f"by {min(seqgan):.2f} to {max(seqgan):.2f} in Self-BLEU-5" in page
    assert min(seqgan) > 0
    rankgan = [one for seed in range(3) for one in more_alike("rankgan", seed, seed)]
    assert len(rankgan) == 21 and min(rankgan) > 0
    assert f"RankGAN's, by {min(rankgan):.2f} to {max(rankgan):.2f}, and" in page
    late = [more_alike("scheduled_sampling", seed, seed, 1.5) for seed in range(3)]
    sharpened = [one for seed in late for one in seed]
    assert len(sharpened) == 6
    assert f"by {min(sharpened):.2f} to {max(sharpened):.2f} in Self-BLEU-5. -" in page
    assert sum(min(more_alike("maligan:texygen", seed, seed)) > 0 for seed in range(3)) == 2
    ends_ = ends("coco")
    forced, plain = ends_.loc["professor_forcing"], ends_.loc["mle"]
    assert all(forced.loc[seed].equals(plain.loc[seed]) for seed in (0, 1, 2))
    seeds = ends_.groupby("label").size()
    assert seeds[["cot", "scheduled_sampling", "rankgan"]].tolist() == [3, 3, 3]
    assert seeds[["professor_forcing", "leakgan"]].tolist() == [3, 5]


def test_on_captions_cots_nll_is_lowest_at_the_end_and_near_mles_on_the_way() -> None:
    page = on_the_page()
    end = ends("coco")["nll_test"]
    end = end[~end.index.get_level_values("label").str.contains("alpha=")]
    assert (
        f"ends at an NLL_test of {end.loc['cot'].mean():.2f}, each seed below every run of" in page
    )
    assert end.loc["cot"].max() < end.drop("cot", level="label").min()
    places = pd.read_csv(REPORTS / "coco" / "rankings.csv").set_index(["metric", "label"])["place"]
    likely = places.loc["nll_test"].dropna()
    assert set(likely[likely == 1].index) == {"cot", "scheduled_sampling", "rankgan", "leakgan"}
    behind = {"mle", "professor_forcing", "seqgan", "maligan:texygen"}
    assert set(likely[likely > 1].index) == behind
    ranked = pd.read_csv(REPORTS / "coco" / "rankings.csv").set_index(["metric", "label"])
    more = int(ranked.loc[("nll_test", "scheduled_sampling"), "more_seeds"])
    sampled = f"{end.loc['scheduled_sampling'].mean():.2f}; {more} more seeds would tell"
    more = int(ranked.loc[("nll_test", "leakgan"), "more_seeds"])
    leaked = f"from LeakGAN ({end.loc['leakgan'].mean():.2f}; {more} more)"
    assert f"not yet from scheduled sampling ({sampled}), {leaked} and from RankGAN" in page
    for metric in ("bleu5", "ewmd_test"):
        assert places.loc[metric][["cot", "mle"]].tolist() == [1, 1]
    own = ends("coco").groupby("label")[["self_bleu5", "bleu5"]].mean().loc["scheduled_sampling"]
    assert (
        "lowest Self-BLEU-5, {:.3f}, separated from every other row but RankGAN and".format(*own)
        in page
    )
    assert f"lowest BLEU-5, {own['bleu5']:.3f}, the only row with a second place" in page
    first = places.loc["self_bleu5"].dropna()
    assert first[first == 1].index.tolist() == ["scheduled_sampling", "rankgan", "leakgan"]
    assert places.loc["bleu5"]["scheduled_sampling"] == places.loc["bleu5"].max() == 2
    assert places.loc["bleu5"].eq(2).sum() == 1
    found = results("coco")
    found = found[(found["metric"] == "nll_test") & found["label"].isin(["cot", "mle"])]
    best = found.loc[found.groupby(["label", "seed"], observed=True)["value"].idxmin()]
    best = best.set_index("label")
    assert best.loc["mle", "epoch"].eq(10).all()
    low, high = (getattr(best.loc["mle", "value"], end)() for end in ("min", "max"))
    assert f"at epoch 10 and selected on the test captions, is {low:.3f} to {high:.3f};" in page
    low, high = (getattr(best.loc["cot", "value"], end)() for end in ("min", "max"))
    assert f"CoT's is {low:.3f} to {high:.3f}." in page


def test_readme_says_what_is_not_separated() -> None:
    def pair(store: str, metric: str, *rows: str) -> pd.DataFrame:
        found = pd.read_csv(REPORTS / store / "rankings.csv")
        return found[(found["metric"] == metric) & found["label"].isin(rows)].set_index("label")

    readme = " ".join((ROOT / "README.md").read_text().split())
    shared = pair("quick", "nll_test", "cot", "scheduled_sampling")
    assert shared["place"].tolist() == [1, 1]
    more = int(shared.loc["cot", "more_seeds"])
    assert f"share the first place in NLL_test ({more} more seed would tell)" in readme
    for metric, rows in (("nll_test", ("cot", "mle:dropout")),):
        places = pair("variants", metric, *rows)["place"]
        assert len(places) == 2 and places.nunique() == 1


def test_the_sequence_jsd_is_ln_2_for_every_row() -> None:
    for store in ("quick", "variants", "leads", "oracle", "descendants"):
        frame = results(store)
        values = frame.loc[(frame["metric"] == "jsd_sequence") & frame["final"], "value"]
        assert len(values) and values.sub(math.log(2)).abs().max() < 0.001


def test_readme_is_short_and_what_it_links_to_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 120
    for part in readme.split("](")[1:]:
        target = part.split(")")[0]
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
