"""What every row stands for, option by option: papers and codes against defaults and variants.

The values are written out here a second time, from the sources that docs/protocol.md names, so
that a changed default or a changed variant fails. A row of `--preset paper` is exactly this.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import corpus
import pytest
import torch
from textbench.algorithms import mle
from textbench.algorithms.discriminator import FILTERS, filters_for

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.plan import registry
from textbench.plan.resolve import Request, expand
from textbench.plan.shipped import presets
from textbench.run.conditions import Conditions
from textbench.run.loop import Run
from textbench.store.directory import RunDirectory
from textbench.tasks.synthetic import SyntheticTiny, SyntheticTinyConfig

Values = dict[str, Any]

MLE: Values = {
    # SeqGAN code: Adam 0.01, clip 5, 120 epochs, minibatches of 64.
    **{"epochs": 120, "batch": 64, "lr": 0.01, "clip": 5.0, "dropout": 0.0, "patience": 0},
}
SCHEDULED_SAMPLING: Values = {
    **{"epochs": 120, "batch": 64, "lr": 0.01, "clip": 5.0},
    **{"schedule": "linear", "decay": 0.0, "base": 0.97, "k": 12.0, "least": 0.4},
}
PROFESSOR_FORCING: Values = {
    **{"epochs": 120, "batch": 64, "lr": 0.01, "clip": 5.0, "g_lr": 1e-3, "d_lr": 2e-4},
    **{"d_hidden": 64, "d_logits": 64},
    **{"g_above": 0.75, "d_below": 0.99},  # paper
}
COT: Values = {
    # desire2020/CoT @ ecce009: both rates 1e-2, clip 5, loss per sequence; 200,000 iterations.
    **{"epochs": 1282, "batch": 64, "g_lr": 1e-2, "m_lr": 1e-2, "beta2": 0.999, "clip": 5.0},
    **{"g_steps": 1, "m_steps": 1, "g_scale": "sequence", "gradient": "inside"},
    # Paper, Appendix C: 64 hidden units, half of them dropped before the output layer.
    **{"m_embedding": 64, "m_hidden": 64, "m_dropout": 0.5, "m_init": "normal"},
    **{"m_batch": "both", "m_target": "mixture", "m_floor": 0.0, "generator": "lstm"},
}
POLICY: Values = {
    **{"warmup_epochs": 120, "warmup_lr": 0.01},
    **{"rounds": 200, "g_steps": 1, "batch": 64, "g_lr": 0.01, "clip": 5.0},
}
ADVERSARIAL: Values = POLICY | {
    **{"d_pretrain": 50, "d_pretrain_epochs": 3, "d_steps": 5, "d_epochs": 3, "d_batch": 64},
    **{"d_samples": 0, "d_lr": 1e-4, "d_dropout": 0.25, "d_embedding": 64, "d_scale": 1.0},
    **{"d_filters": []},
}
SEQGAN = ADVERSARIAL | {"d_l2": 0.2, "rollouts": 16, "rollout_lag": 0.0}
RANKGAN = ADVERSARIAL | {
    # cookielee77/RankGan-NIPS2017: 32 sequences, one pass per load, 16 references, summed.
    **{"batch": 32, "d_epochs": 1, "rollouts": 16, "references": 16, "relevance": "sum"},
    **{"gamma": 1.0, "d_init": "uniform"},
}
MALIGAN = ADVERSARIAL | {
    **{"d_l2": 0.2, "baseline": 1.0, "weight": "odds", "passes": 1, "weight_dropout": 0.0},
}
LEAKGAN: Values = {
    # CR-Gjx/LeakGAN, `Synthetic Data`, T = 20; temperatures 1 as in its `No Temperature` copy.
    **{"pretrain_rounds": 10, "pretrain_d_steps": 5, "pretrain_g_epochs": 8},
    **{"rounds": 800, "g_steps": 1, "batch": 64, "g_lr": 0.0015, "clip": 5.0},
    **{"block": 4, "goal_size": 16, "rollouts": 4, "rank_slope": 16.0},
    **{"first_alpha": 1.0, "first_tokens": 2, "alpha": 1.0, "fake_alpha": 1.0},
    **{"d_steps": 5, "d_epochs": 3, "d_batch": 64, "d_samples": 0, "d_lr": 5e-5},
    **{"d_embedding": 64, "d_scale": 1.0, "d_filters": []},
}
# What came after the paper; a row's `batch` is that of all others.
REWEIGHTED: Values = {"batch": 64, "clip": 0.0, "dropout": 0.0, "weight_decay": 0.0}
WARMED: Values = {"warmup_epochs": 120, "warmup_lr": 0.01}
MIXCE = REWEIGHTED | {
    # bloomberg/MixCE-acl2023, synthetic.py: Adam(lr=0.001, weight_decay=0.0001), dropout_p=0.1.
    **{"epochs": 50, "lr": 1e-3, "dropout": 0.1, "weight_decay": 1e-4, "eta": 0.1},
}
TAILR = REWEIGHTED | {
    # thu-coai/TaiLr, examples/synthetic/train_tailr.sh.
    **{"epochs": 100, "lr": 1e-3, "dropout": 0.1, "clip": 0.1, "gamma": 1e-7, "w_min": 0.2},
}
GOLD = (
    REWEIGHTED
    | WARMED
    | {
        # yzpang/gold-off-policy-text-gen-iclr21, run_iwslt_golds.sh; the epochs are ours.
        **{"epochs": 40, "lr": 3e-4, "weight_decay": 1e-4, "renewal": 3000},
        **{"importance_floor": 0.2, "reward_floor": 0.1, "reward": "sum_p"},
        **{"suffix": 5, "discount": 1.0},
    }
)
# DRSY/EMO, emo_patch.py: one half of each; rate and epochs are ours.
EMO = REWEIGHTED | WARMED | {"epochs": 20, "lr": 1e-3, "mix": 0.5}
RELGAN: Values = {
    # weilinie/RelGAN, oracle/experiments/oracle_relgan.py, job 4, and models/lstm_vanilla.py.
    **{"warmup_epochs": 150, "warmup_lr": 0.01, "rounds": 3000, "rounds_per_epoch": 20},
    **{"batch": 64, "g_lr": 1e-4, "d_lr": 1e-4, "clip": 5.0, "largest_beta": 2.0, "d_steps": 5},
    **{"d_embedding": 64, "d_representations": 0, "d_scale": 1.0, "d_dense": 100},
    **{"d_filters": [[2, 300], [3, 300], [4, 300], [5, 300]], "d_dropout": 0.25},
}
WIDE = [[w, 100] for w in range(6, 11)]

ROWS: dict[str, Values] = {
    "mle": MLE,
    "mle:dropout": MLE | {"dropout": 0.5},
    "mle:early_stop": MLE | {"patience": 5},
    "mle:fresh": MLE | {"data": "fresh"},
    "scheduled_sampling": SCHEDULED_SAMPLING,
    # SeqGAN paper: 0.002 less per epoch; SeqGAN 2016: 300 epochs, Adam's default rate.
    "scheduled_sampling:to_zero": SCHEDULED_SAMPLING | {"least": 0.0},
    "scheduled_sampling:paper": SCHEDULED_SAMPLING | {"epochs": 300, "decay": 0.002, "lr": 1e-3},
    "professor_forcing": PROFESSOR_FORCING,
    "professor_forcing:ungated": PROFESSOR_FORCING | {"g_above": 0.0, "d_below": 1.0},
    "cot": COT,
    # 2756015: the mediator has no dropout and learns from all of its 128 sequences.
    "cot:readme": COT | {"g_lr": 1e-3, "m_lr": 1e-3, "m_dropout": 0.0, "g_scale": "token"},
    # 150a32a: with dropout, on 64 of the 128.
    "cot:150a32a": COT | {"g_lr": 1e-3, "m_lr": 1e-3, "m_batch": "half", "g_scale": "token"},
    # 9ffe475
    "cot:9ffe475": COT
    | {"g_lr": 1e-3, "m_lr": 3e-3, "beta2": 0.99, "clip": 0.0}
    | {"m_dropout": 0.0, "g_scale": "token"},
    # ace616c
    "cot:head": COT
    | {"g_lr": 1e-3, "m_lr": 3e-3, "beta2": 0.95, "clip": 0.0}
    | {"m_init": "cudnn", "g_scale": "token"},
    "cot:reverse_kl": COT | {"m_target": "data", "m_floor": -20.0},
    "cot:full_gradient": COT | {"gradient": "full"},
    "cot:strong": COT | {"generator": "goal_factored"},
    "seqgan": SEQGAN,
    # SeqGAN 2016, `MLE_SeqGAN/`: Adam's default rate for both, 240 epochs, TOTAL_BATCH 800.
    "seqgan:2016": SEQGAN | {"warmup_epochs": 240, "warmup_lr": 1e-3, "g_lr": 1e-3, "rounds": 800},
    "seqgan:lag": SEQGAN | {"rollout_lag": 0.8},
    "rankgan": RANKGAN,
    # desire2020/RankGAN: mean over 4, 64 sequences, 3 passes, windows (20 + T)/2 and T added.
    "rankgan:desire2020": RANKGAN
    | {"references": 4, "relevance": "mean", "batch": 64, "d_epochs": 3, "rounds": 10_000}
    | {"d_init": "seqgan"}
    | {
        "d_filters": [
            *([1, 100], [2, 200], [3, 200], [4, 200], [5, 200], *WIDE),
            *([15, 160], [20, 160], [20, 160], [20, 160]),
        ]
    },
    "maligan": MALIGAN,
    # Texygen @ bc57374, models/maligan_basic: D is built with its default keep rate of 1.
    "maligan:texygen": MALIGAN
    | {"weight": "probability", "warmup_epochs": 80, "rounds": 100, "g_steps": 50}
    | {"d_pretrain": 80, "d_pretrain_epochs": 1, "d_steps": 15, "d_epochs": 1, "d_samples": 96}
    | {"d_dropout": 0.0, "d_embedding": 32, "d_filters": [[2, 100], [3, 200]]},
    "policy_gradient": POLICY | {"reward": 1.0, "noise": False},
    "policy_gradient:noise": POLICY | {"reward": 1.0, "noise": True},
    "leakgan": LEAKGAN,
    "leakgan:paper_temperature": LEAKGAN | {"first_alpha": 1.5, "fake_alpha": 1.5},
    "mixce": MIXCE,
    "tailr": TAILR,
    "gold": GOLD,
    "emo": EMO,
    "relgan": RELGAN,
    "real": {},
    "real_corrupted": {"rate": 0.2},
}
LENGTHS = ("epochs", "rounds", "warmup_epochs", "d_pretrain", "pretrain_rounds")


@functools.cache
def runs(preset: str) -> dict[str, Spec]:
    """Return the run of every row on the tiny synthetic task."""
    specs = expand(Request(algos=",".join(ROWS), task="synthetic-tiny", preset=preset))
    return {spec.label: spec for spec in reversed(specs)}  # of several `mle` the one asked for


def resolved(row: str, preset: str) -> Spec:
    """Return a row's run; its warm-up, if any, is a part of it."""
    return runs(preset)[row]


def names_of_rows() -> list[str]:
    trainers = registry.names("trainer")
    variants = [f"{name}:{variant}" for name in trainers for variant in registry.variants(name)]
    return [*trainers, *variants]


def test_every_row_is_written_out_here() -> None:
    assert sorted(ROWS) == sorted(names_of_rows())


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_row_under_paper_is_what_its_source_says(row: str) -> None:
    assert resolved(row, "paper").config == ROWS[row]


@pytest.mark.parametrize(
    ("row", "epochs", "lr"),
    [
        ("seqgan", 120, 0.01),
        ("seqgan:2016", 240, 1e-3),
        ("rankgan", 120, 0.01),
        ("rankgan:desire2020", 120, 0.01),
        ("maligan", 120, 0.01),
        ("maligan:texygen", 80, 0.01),
        ("policy_gradient", 120, 0.01),
        ("gold", 120, 0.01),
        ("emo", 120, 0.01),
        ("relgan", 150, 0.01),
    ],
)
def test_the_warm_up_of_a_row(row: str, epochs: int, lr: float) -> None:
    warmup = resolved(row, "paper").warmup
    assert warmup is not None and warmup.label == "mle"
    assert warmup.config == MLE | {"epochs": epochs, "lr": lr}


def test_leakgan_on_text_has_the_authors_image_coco_schedule() -> None:
    """16 x (5 loads of 3 passes for D, 12 epochs for G), rate 1e-3; sizes 256 of D, 128 of G."""
    preset = registry.read_toml(presets.path("paper"))
    coco = {"pretrain_rounds": 16, "pretrain_g_epochs": 12, "g_lr": 1e-3, "d_embedding": 256}
    # An epoch of theirs is 62 batches: a twentieth of the file, always the first.
    assert preset["leakgan@text"] == coco | {
        **{"hidden": 128, "pretrain_g_batches": 62, "d_samples": 10000},
        # 64 at most of true sentences in the ranking: from round 128 on.
        **{"mle_every": 15, "rank_real_every": 2},
        "d_filters": [*map(list, FILTERS), [32, 160]],
    }
    assert preset["leakgan:paper_temperature@text"] == {"alpha": 0.8}
    assert preset["maligan:texygen@text"] == {"g_steps": 1}  # train_real of its code
    assert preset["cot:strong@text"] == {"g_hidden": 128, "m_embedding": 256, "m_hidden": 256}
    assert 16 * 12 * 62 == 11904


def test_the_windows_of_the_other_discriminators() -> None:
    """Texygen's has 300 features, desire2020's two windows of 160 more than SeqGAN's 1,720."""
    sizes = {
        row: sum(n for _, n in filters_for(20, 1.0, ROWS[row]["d_filters"]))
        for row in ("seqgan", "rankgan:desire2020", "maligan:texygen")
    }
    assert sizes == {"seqgan": 1720, "rankgan:desire2020": 2040, "maligan:texygen": 300}


# -- variants and presets ----------------------------------------------------------------------


@pytest.mark.parametrize("preset", presets.names())
@pytest.mark.parametrize("row", sorted(row for row in ROWS if ":" in row))
def test_under_every_preset_a_variant_is_what_its_name_says(row: str, preset: str) -> None:
    """A preset may only shorten it, in a section that names the row."""
    name, _, variant = row.partition(":")
    reduced = registry.read_toml(presets.path(preset)).get(row, {})
    config = resolved(row, preset).config
    for key, value in registry.variants(name)[variant][1].items():
        assert config[key] == reduced.get(key, value), key
    schedules = (*LENGTHS, "decay", "g_steps", "d_steps")
    assert reduced.keys() <= set(schedules)
    if preset != "paper":
        plain = resolved(name, preset).config
        longer = [key for key in LENGTHS if config.get(key, 0) > plain.get(key, 0)]
        assert longer == (["d_pretrain"] if row == "maligan:texygen" else [])


def test_texygens_discriminator_is_trained_on_three_minibatches_a_call() -> None:
    """Under quick as under paper, with 80 and 15 calls; every other row reads whole loads."""
    for preset in ("quick", "paper"):
        config = resolved("maligan:texygen", preset).config
        minibatches = 2 * config["d_samples"] // config["d_batch"]
        assert (minibatches, config["d_epochs"], config["d_pretrain_epochs"]) == (3, 1, 1)
        assert (config["d_pretrain"], config["d_steps"], config["g_steps"]) == (80, 15, 50)
        assert (config["d_scale"], config["d_lr"], config["d_dropout"]) == (1.0, 1e-4, 0.0)
    for row, options in ROWS.items():
        if row != "maligan:texygen":
            assert options.get("d_samples", 0) == 0


def test_desire2020_has_as_many_ranker_updates_under_quick_as_rankgan() -> None:
    def updates(row: str) -> int:
        config = resolved(row, "quick").config
        product: int = config["d_steps"] * config["d_epochs"] * config["d_samples"]
        return product

    assert updates("rankgan:desire2020") == updates("rankgan")


# -- real text ---------------------------------------------------------------------------------


def epochs_of_maximum_likelihood(spec: Spec) -> int:
    """Return the passes over the data that a row or its warm-up makes by maximum likelihood."""
    if spec.warmup is not None:
        return int(spec.warmup.config["epochs"])
    if "pretrain_rounds" in spec.config:
        return int(spec.config["pretrain_rounds"] * spec.config["pretrain_g_epochs"])
    return int(spec.config["epochs"])


@pytest.mark.parametrize("preset", ["ci", "quick"])
def test_on_text_every_row_has_as_much_maximum_likelihood_as_mle(
    preset: str, tmp_path: Path
) -> None:
    """Variants, and what a preset says of rows on other tasks, are no reason for another number."""
    files = [
        f"text.{split}={corpus.write(tmp_path / split, corpus.sentences(size, seed=size))}"
        for split, size in (("train", 120), ("valid", 30), ("test", 40))
    ]
    rows = [row for row in ROWS if row != "mle:fresh" and not row.startswith(("cot", "real"))]
    specs = expand(Request(algos=",".join(rows), task="text", preset=preset, settings=files))
    epochs = {
        spec.label: epochs_of_maximum_likelihood(spec) for spec in specs if "real" not in spec.label
    }
    expected = {"ci": 4, "quick": 10}[preset]
    short = (
        {row for row in epochs if row.startswith("professor_forcing")} if preset == "ci" else set()
    )
    assert {row: n for row, n in epochs.items() if row not in short} == {
        row: expected for row in rows if row not in short
    }


def test_the_papers_scheduled_sampling_ends_as_low_however_short(tmp_path: Path) -> None:
    """1 - decay · epochs is 0.4 in the SeqGAN paper; a shorter schedule descends faster."""
    path = corpus.write(tmp_path / "train.txt", corpus.sentences(200))
    text = {"task": "text", "settings": [f"text.train={path}"]}
    for preset, given in (("paper", {}), ("quick", {}), ("quick", text)):
        request = {"task": "synthetic-tiny", "preset": preset, **given}
        config = expand(Request(algos="scheduled_sampling:paper", **request))[-1].config
        assert config["epochs"] * config["decay"] == pytest.approx(0.6)


# -- the upper bound ---------------------------------------------------------------------------


def test_the_upper_bound_reads_new_sequences_in_every_pass_but_the_first(tmp_path: Path) -> None:
    """`mle:fresh` is paired with `mle`: one task, one table, one first pass, one initial model."""
    specs = expand(Request(algos="mle,mle:fresh", task="synthetic-tiny", preset="ci", seeds="3"))
    task = SyntheticTiny(SyntheticTinyConfig())
    passes, initial = [], []
    for spec in specs:
        directory = RunDirectory(spec.directory(tmp_path))
        directory.create(spec)
        run = Run(directory, mle.MLE, task, [], None, Conditions(torch.device("cpu")))
        run.trainer.setup()
        initial.append(run.trainer.generator.state_dict()["embedding"].clone())
        passes.append([run.context.data.sequences(number).clone() for number in range(3)])
    plain, fresh = specs
    assert plain.task_fingerprint == fresh.task_fingerprint
    assert len({plain.group, fresh.group}) == 2 and plain.seed == fresh.seed
    assert fresh.overrides == {} and fresh.directory(tmp_path).parent.name == "mle-fresh"
    assert torch.equal(*initial)
    assert all(torch.equal(task.train(3, 0), sequences) for sequences in passes[0])
    assert [torch.equal(task.train(3, 0), sequences) for sequences in passes[1]] == [
        *(True, False, False)
    ]
    assert torch.equal(passes[1][2], task.fresh(3, 2))
    assert not torch.equal(passes[1][1], passes[1][2])


def test_the_upper_bound_needs_a_task_whose_law_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyntheticTiny, "draws_fresh", False)
    with pytest.raises(UserError, match="mle:fresh needs fresh training data, which task synth"):
        expand(Request(algos="mle:fresh", task="synthetic-tiny", preset="ci"))
