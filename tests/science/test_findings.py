"""What docs/reproduction.md says beyond Table 1 is what the records say, number by number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
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

from reports import PUBLISHED, REPORTS
from textbench import load_curves

LN2 = float(np.log(2))


def mean_of_least(store: str, label: str, metric: str) -> float:
    path = paths(store).loc[label]
    return float(lowest(path, metric)[metric].mean())


def test_the_last_state_of_the_code_does_not_reach_the_pair() -> None:
    head, end = paths("cot_states").loc["cot:head"], ends("cot_states").loc["cot:head"]
    least = both(head).groupby("seed").min().mean()
    page = on_the_page()
    assert f"ends after 120 epochs at {pair_of(end)} (three seeds, store `cot_states`)" in page
    assert f"never below {head['nll_oracle'].min():.2f}, its best NLL_test is" in page
    assert (
        f"best NLL_test is {mean_of_least('cot_states', 'cot:head', 'nll_test'):.2f}, and" in page
    )
    assert f"smallest sum, {least:.2f}, is no better than that of an MLE with dropout." in page
    assert least > both(paths("oracle").loc["mle:dropout"]).groupby("seed").min().mean()


def test_with_its_whole_gradient_cot_collapses() -> None:
    page, end = on_the_page(), ends("cot_states").loc["cot:full_gradient"]
    assert len(end) == 3 and end["generator_entropy"].max() < 1e-3
    shown = f"NLL_oracle is {end['nll_oracle'].mean():.2f} and NLL_test {end['nll_test'].min():.0f}"
    assert f"{shown} to {end['nll_test'].max():.0f} at the end." in page
    rows = ("cot:full_gradient", "cot")
    whole, practised = (at_epoch("cot_states", one, 25) for one in rows)
    assert f"term is at {pair_of(whole)}, `cot` at {pair_of(practised)}: lower" in page
    assert whole["nll_oracle"].max() < practised["nll_oracle"].min()
    assert whole["nll_test"].min() > practised["nll_test"].max()
    assert whole["jsd_stepwise"].min() > practised["jsd_stepwise"].max()
    early = [paths("cot_states").loc[one].groupby("epoch").mean().loc[2:16] for one in rows]
    assert (early[0] - early[1])["nll_test"].abs().max() < 0.03, "level to epoch 16"
    assert ends("cot_states").loc["cot"]["generator_entropy"].min() > 7


def test_the_collapse_lowers_the_loss() -> None:
    page, logs = on_the_page(), load_curves(PUBLISHED / "cot_states")
    logs = logs[(logs["label"] == "cot:full_gradient") & (logs["name"] == "kl_to_mediator")]
    kl = 20 * logs.pivot_table(index="epoch", columns="seed", values="value")
    fell = [int(kl[seed].diff().idxmin()) for seed in kl]  # means of the epoch that begins then
    assert (min(fell), max(fell)) == (29, 33) and "at epoch 29 to 34: every sample" in page
    before = [kl[seed].loc[: at - 1].max() for seed, at in zip(kl, fell, strict=True)]
    assert f"{min(before):.1f} to {max(before):.1f} nats a sequence just before" in page
    for seed, at in zip(kl, fell, strict=True):
        assert kl[seed].loc[at + 2 :].between(0.65, LN2).all(), "from two epochs later on"
    for path in PUBLISHED.glob("cot_states/*/cot-full_gradient/*/samples.txt"):
        lines = set(path.read_text().splitlines())
        assert len(lines) == 1 and len(set(lines.pop().split())) == 1, "one symbol, repeated"


def test_new_data_in_every_pass_pass_all_that_ten_thousand_sequences_give() -> None:
    page, end = on_the_page(), ends("oracle").loc["mle:fresh"]
    assert len(end) == 5 and f"120 epochs) ends at {pair_of(end)} and a" in page
    assert f"stepwise JSD of {end['jsd_stepwise'].mean():.2f}: no run" in page
    stores = ("oracle", "regularisation", "cot_states", "cot_ablations", "figure2a", "figure2b")
    others = pd.concat([results(one) for one in (*stores, "seqgan_warmup", "leakgan", "leads")])
    others = others[~others["fresh_data"].astype(bool)].groupby("metric", observed=True)["value"]
    assert "an NLL_test below 7.42 or a JSD below 6.18" in page
    assert others.min()["nll_test"] > 7.42 and others.min()["jsd_stepwise"] > 6.18
    assert f"ends lower, at {ends('oracle').loc['cot:9ffe475']['nll_oracle'].mean():.2f}." in page


def test_seqgan_after_a_short_warm_up() -> None:
    page, found = on_the_page(), results("seqgan_warmup")
    short = found[found["overrides"].astype(str).str.contains("warmup_epochs=20")]
    path = short[~short["warmup"] & ~short["final"]].pivot_table(
        index=["epoch", "seed"], columns="metric", values="value"
    )
    mean = path["nll_oracle"].groupby("epoch").mean()
    assert f"lower NLL_oracle to {mean.min():.2f} at round {mean.idxmin() - 20:g}" in page
    end = found[found["final"] & found["metric"].isin(["nll_oracle", "nll_test", "jsd_stepwise"])]
    means = end.groupby(["label", "epoch", "metric"], observed=True)["value"].agg(["mean", "count"])
    assert means["count"].eq(3).all()
    value = means["mean"]

    def pair(label: str, epoch: int) -> str:
        of = value[label, float(epoch)]
        return f"{of['nll_oracle']:.2f} / {of['nll_test']:.2f}"

    assert f"20 epochs of MLE, {pair('mle', 20)}, 200 rounds" in page
    rise = value["seqgan", 220.0]
    assert (
        f"let it rise to {rise['nll_oracle']:.2f}, at an NLL_test of {rise['nll_test']:.2f} ("
        in page
    )
    assert f"after 120 epochs it ends at {pair('seqgan', 320)}." in page
    jsd = [value["seqgan", epoch]["jsd_stepwise"] for epoch in (220.0, 320.0)]
    assert "sum and stepwise JSD ({:.2f}, {:.2f})".format(*jsd) in page
    short_ = in_short()
    said = f"end at {pair('seqgan', 320)}, after 20 at {pair('seqgan', 220)}, higher there and"
    assert said in short_
    assert f"comes to {mean.min():.2f} after {mean.idxmin() - 20:g} rounds" in short_
    sums = end.pivot_table(index=["label", "epoch", "seed"], columns="metric", values="value")
    sums = both(sums).loc["seqgan"].groupby("epoch").mean()
    assert sums[220.0] < sums[320.0]
    claim = pd.read_csv(REPORTS / "seqgan_warmup" / "claims.csv").set_index("id")["here"]
    assert claim["seqgan-pretraining"] == "holds"
    ranked = pd.read_csv(REPORTS / "seqgan_warmup" / "rankings.csv")
    ranked = ranked[(ranked["metric"] == "nll_oracle") & (ranked["label"] == "seqgan")]
    assert ranked["place"].tolist() == [1, 1], "not separated in the report's ranking"


def final(store: str, row: str, metric: str) -> float:
    (value,) = ends(store).loc[row][metric]
    return float(value)


def test_the_grids_of_figure_2() -> None:
    page = on_the_page()
    one = [final("figure2a", f"seqgan:fig2a-g1-{how}", "nll_oracle") for how in ("d1-k10", "d5-k3")]
    assert "stays near {:.2f} to {:.2f} in NLL_oracle".format(*one) in page
    thirty = final("figure2a", "seqgan:fig2a-g30-d1-k30", "nll_oracle")
    hundred = pair_of(ends("figure2a").loc["seqgan:fig2a-g100-d1-k10"])
    assert f"with 30 it ends at {thirty:.2f} and with 100 at {hundred}, one sequence" in page
    assert final("figure2a", "seqgan:fig2a-g100-d1-k10", "generator_entropy") < 0.05
    first = paths("figure2a").xs(125, level="epoch")["nll_oracle"].droplevel("seed")
    both_ = first[["seqgan:fig2a-g100-d1-k10", "seqgan:fig2a-g30-d1-k30"]]
    assert both_.between(8.83, 8.85).all() and "come to 8.84 within five rounds." in page
    jsd = ends("figure2b")["jsd_stepwise"].droplevel("seed")
    lowest_ = {}
    for rate in ("1e-2", "1e-3", "3e-3"):
        own = jsd[jsd.index.str.startswith(f"cot:fig2b-lr{rate}-")]
        lowest_[rate] = str(own.idxmin()).rpartition(f"{rate}-")[2]
        assert str(own.idxmax()).endswith("-g1-m5")
    assert lowest_ == {"1e-2": "g1-m1", "3e-3": "g1-m1", "1e-3": "g1-m2"}
    of = {rate: jsd[f"cot:fig2b-lr{rate}-g1-m1"] for rate in lowest_}
    assert f"equal numbers of updates, {of['1e-2']:.2f} and {of['3e-3']:.2f}, the" in page
    others = [jsd[jsd.index.str.contains(rate)].nsmallest(2).iloc[1] for rate in ("1e-2", "3e-3")]
    assert "the next at {:.2f} and {:.2f};".format(*others) in page
    apart = [other - of[rate] for other, rate in zip(others, ("1e-2", "3e-3"), strict=True)]
    assert "at two rates of three, by {:.2f} and {:.2f};".format(*apart) in in_short()
    least = paths("figure2b")["jsd_stepwise"].groupby("label").min()
    for rate in lowest_:
        assert least[f"cot:fig2b-lr{rate}-g1-m2"] < least[f"cot:fig2b-lr{rate}-g1-m1"]
    spread = f"end at a JSD of {jsd.min():.2f} to {jsd.max():.2f}, none breaks"
    assert spread in in_short() and len(jsd) == 15
    four = ends("figure2a")["nll_oracle"].drop("mle", level="label")
    assert f"an NLL_oracle of {four.min():.2f} to {four.max():.2f}, and one" in in_short()
    two = jsd["cot:fig2b-lr1e-3-g1-m2"]
    assert f"of the generator, {two:.2f} ({of['1e-3']:.2f} with equal numbers)." in page
    five = jsd[jsd.index.str.endswith("-g1-m5")]
    assert f"highest at every rate, {five.min():.2f} to {five.max():.2f}." in page


def test_the_ablations_of_appendix_c() -> None:
    page, short = on_the_page(), in_short()
    end = ends("cot_ablations").droplevel("seed")
    jsd = end["jsd_stepwise"]
    shown = [jsd[f"cot:abl-m{units}"] for units in (64, 32, 128)]
    text = "the JSD ends at {:.2f} with 64 units, {:.2f} with 32 and {:.2f} with 128, at their"
    assert text.format(*shown) in short
    pairs = [pair_of(end.loc[[f"cot:abl-m64{how}"]]) for how in ("-drop0", "")]
    ending = [jsd["cot:abl-m64-drop0"], jsd["cot:abl-m64"]]
    said = "{} without, {} with it, the JSD ends at {:.2f} and {:.2f}."
    assert said.format(*pairs, *ending) in short
    small = paths("cot_ablations")["jsd_stepwise"].groupby("label").min()
    ahead = [small[f"cot:abl-m{units}"] for units in (128, 64)]
    assert "at their smallest 128 are ahead ({:.2f}, 64: {:.2f})".format(*ahead) in short
    more = [jsd[f"cot:abl-n{number}"] for number in (2, 5)]
    assert min(more) > shown[0]
    five = small["cot:abl-n5"]
    said = (
        f"and rise from there to {more[0]:.2f}; five come to {five:.2f} and end at {more[1]:.2f}."
    )
    assert said in page
    path = paths("cot_ablations")["jsd_stepwise"]
    least = {number: path.loc[f"cot:abl-{number}", 0] for number in ("n2", "m64")}
    assert len({f"{one.min():.2f}" for one in least.values()}) == 1
    said = f"{least['n2'].min():.2f}, at epoch {least['n2'].idxmin():g} instead of "
    assert f"{said}{least['m64'].idxmin():g}, and rise" in page
    alike = paths("cot_ablations").loc["cot:abl-m128-drop0"]["nll_oracle"].min()
    end_ = end.loc["cot:abl-m128-drop0", "nll_oracle"]
    assert (
        f"takes NLL_oracle to {alike:.2f}, its samples repetitive, and ends at {end_:.2f}." in page
    )
    path_ = paths("cot_ablations").loc["cot:abl-m128-drop0", 0]
    on_the_way = [pair_of(path_.loc[[epoch]]) for epoch in (16, 18)]
    assert "it is at {} at epoch 16 and {} at 18, where".format(*on_the_way) in page
    assert f"its sum is {both(path_).loc[18]:.2f}." in page


def test_leakgan_on_captions() -> None:
    page, end = on_the_page(), ends("coco")
    own = end.loc["leakgan"]
    assert len(own) == 5
    means = end.groupby("label")[["self_bleu5", "bleu5"]].mean()
    at_one = means[~means.index.str.contains("alpha=")]
    assert at_one["self_bleu5"].idxmax() == "leakgan"
    low, *high = own["self_bleu5"].sort_values()
    spread = f"({min(high):.2f} to {max(high):.2f} in four seeds, {low:.2f} in one; not separated)"
    assert f"mean Self-BLEU-5, {means['self_bleu5']['leakgan']:.3f} {spread}" in page
    copies = own["repeats"].sort_values().iloc[1:]
    low, high = 100 * copies.min(), 100 * copies.max()
    assert f"in those four {low:.0f} to {high:.0f} % of the samples are copies" in page
    assert f"its BLEU-5 of {means['bleu5']['leakgan']:.3f} is not separated from MLE's" in page
    beyond = {
        seed: [one for mle in range(3) for one in more_alike("leakgan", seed, mle)]
        for seed in (2, 3, 4)
    }
    two = beyond[2] + beyond[4]
    assert f"by {min(two):.2f} to {max(two):.2f} in Self-BLEU-5, and those" in page
    assert max(abs(one) for one in beyond[3]) < 0.06 and "within 0.06." in page


def test_the_one_decided_claim_on_news() -> None:
    mean = ends("emnlp")["bleu2"].groupby("label").mean()
    assert f"BLEU-2 is {mean['cot']:.3f} and MLE's {mean['mle']:.3f} |" in in_short()
    rising = paths("emnlp").loc["cot"]["bleu2"].groupby("epoch").mean()
    assert rising.iloc[-1] > rising.iloc[-2] and "CoT's BLEU-2 is still rising" in in_short()


TWICE = [
    ("regularisation/*/cot-drop0", "cot_ablations/*/cot-abl-m64-drop0", 20),
    ("oracle/*/cot", "cot_ablations/*/cot-abl-m64", 19),
    ("oracle/*/cot", "figure2b/*/cot-fig2b-lr1e-2-g1-m1", 13),
]
"""Runs of seed 0 that differ in their names and lengths alone, and evaluations that both have."""


@pytest.mark.parametrize(("one", "other", "moments"), TWICE)
def test_runs_made_twice_agree_to_the_bit(one: str, other: str, moments: int) -> None:
    """On two machines of one kind, a day and many commits apart."""
    runs: list[Path] = []
    for row in (one, other):
        runs += PUBLISHED.glob(f"{row}/s0-*")
    commits = {json.loads((run / "env.json").read_text())["starts"][0]["commit"] for run in runs}
    assert len(runs) == len(commits) == 2
    logs = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in runs
    ]
    alike = [
        [(row["epoch"], {k: v.get("value") for k, v in row["metrics"].items()}) for row in log]
        for log in logs
    ]
    assert alike[0][:moments] == alike[1][:moments]
    assert "agree to the bit" in on_the_page()


def test_a_cpu_and_a_gpu_do_not_agree_to_the_bit() -> None:
    both_ = [paths(store).loc["mle", 0]["nll_oracle"] for store in ("oracle", "figure2a")]
    apart = (both_[0] - both_[1]).abs()
    assert len(apart) > 20 and f"from a GPU, differs by up to {apart.max():.2f}." in on_the_page()
