"""Every option acts: changed alone, it changes what comes out.

For each option of each trainer, metric and task, as the registry lists them: a new option without
a case fails. A case says from which other options the comparison starts. Sizes are small and, as
far as they can be, different from each other, for an option whose value is another's as well
hides that the two were mixed up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
import torch
from tiny_runs import digest, final_state

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.check.task_laboratory import not_for_training
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.spec import Spec
from textbench.contracts.streams import stream
from textbench.contracts.task import Task, TextTask
from textbench.contracts.trainer import Phase
from textbench.plan import registry
from textbench.plan.resolve import Request, expand
from textbench.run import assemble, worker
from textbench.run.conditions import Conditions
from textbench.store.directory import RunDirectory
from textbench.tasks import corpora, oracle, text

Options = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A value that must make a difference."""

    value: Any
    given: Options = field(default_factory=dict)
    """What is set besides, on both sides: options that matter only together."""


# -- trainers -------------------------------------------------------------------------------------

LIKELIHOOD: Options = {"epochs": 3, "batch": 8, "lr": 0.03, "clip": 0.1}
POLICY: Options = {
    **{"warmup_epochs": 2, "warmup_lr": 0.02, "rounds": 2, "g_steps": 2, "batch": 5},
    **{"g_lr": 0.03, "clip": 0.1},
}
DISCRIMINATOR: Options = {
    **{"d_steps": 3, "d_epochs": 2, "d_batch": 6, "d_samples": 9, "d_lr": 0.01},
    **{"d_embedding": 3, "d_scale": 1.0, "d_filters": ((1, 2), (3, 4))},
}
ADVERSARIAL = POLICY | DISCRIMINATOR | {"d_pretrain": 1, "d_pretrain_epochs": 4, "d_dropout": 0.1}
REWEIGHTED = LIKELIHOOD | {"dropout": 0.2, "weight_decay": 0.01, "clip": 1e-4}
WARM: Options = {"warmup_epochs": 2, "warmup_lr": 0.02}
BASES: dict[str, Options] = {
    "mle": LIKELIHOOD,
    "scheduled_sampling": LIKELIHOOD,
    "professor_forcing": LIKELIHOOD
    | {"g_lr": 0.02, "d_lr": 0.01, "d_hidden": 4, "d_logits": 3, "g_above": 0.0, "d_below": 1.0},
    "cot": {
        **{"epochs": 2, "batch": 8, "g_lr": 0.03, "m_lr": 0.02, "clip": 0.1},
        **{"m_embedding": 3, "m_hidden": 4},
    },
    "policy_gradient": POLICY,
    "seqgan": ADVERSARIAL | {"rollouts": 2},
    "rankgan": ADVERSARIAL | {"rollouts": 2, "references": 4},
    "maligan": ADVERSARIAL | {"clip": 0.001},
    "leakgan": DISCRIMINATOR
    | {
        **{"pretrain_rounds": 1, "pretrain_d_steps": 2, "pretrain_g_epochs": 2, "rounds": 2},
        **{"g_steps": 2, "batch": 5, "g_lr": 0.03, "clip": 0.1, "block": 2, "goal_size": 3},
        **{"hidden": 4, "rollouts": 2},
    },
    "mixce": REWEIGHTED | {"eta": 0.3},
    "tailr": REWEIGHTED | {"gamma": 0.5, "w_min": 0.05},
    "emo": REWEIGHTED | WARM,
    "gold": REWEIGHTED
    | WARM
    | {"importance_floor": 0.05, "reward_floor": 0.05, "suffix": 2, "discount": 0.9, "renewal": 4},
    "relgan": WARM
    | {
        **{"rounds": 6, "rounds_per_epoch": 3, "batch": 5, "g_lr": 0.03, "d_lr": 0.01},
        **{"clip": 0.1, "largest_beta": 3.0, "d_steps": 2, "d_embedding": 6},
        **{"d_representations": 3, "d_filters": ((2, 3), (3, 4)), "d_dense": 4},
    },
    "real": {},
    "real_corrupted": {},
}

SCHEDULED = {"epochs": 4}
POLICY_CASES: dict[str, Case] = {
    **{"warmup_epochs": Case(3), "warmup_lr": Case(0.04), "rounds": Case(3), "g_steps": Case(1)},
    **{"batch": Case(7), "g_lr": Case(0.05), "clip": Case(0.0)},
}
DISCRIMINATOR_CASES: dict[str, Case] = {
    **{"d_steps": Case(4), "d_epochs": Case(3), "d_batch": Case(5), "d_samples": Case(0)},
    **{"d_lr": Case(0.03), "d_embedding": Case(4), "d_scale": Case(2.0)},
    "d_filters": Case(((1, 2), (2, 4))),
}
ADVERSARIAL_CASES = POLICY_CASES | DISCRIMINATOR_CASES
ADVERSARIAL_CASES |= {"d_pretrain": Case(2), "d_pretrain_epochs": Case(3), "d_dropout": Case(0.5)}
LIKELIHOOD_CASES: dict[str, Case] = {
    **{"epochs": Case(4), "batch": Case(5), "lr": Case(0.05), "clip": Case(0.0)},
}
REWEIGHTED_CASES = LIKELIHOOD_CASES | {"dropout": Case(0.5), "weight_decay": Case(0.3)}
WARM_CASES = {"warmup_epochs": Case(3), "warmup_lr": Case(0.04)}
ONLY_SCHEDULES = {("relgan", "rounds_per_epoch"): "it says how many rounds count as an epoch"}
"""Options that group the same steps otherwise: they change the phases, not the generator."""
TRAINERS: dict[str, dict[str, Case]] = {
    "mle": LIKELIHOOD_CASES | {"dropout": Case(0.5), "patience": Case(1), "data": Case("fresh")},
    "scheduled_sampling": LIKELIHOOD_CASES
    | {
        "schedule": Case("exponential", SCHEDULED),
        "decay": Case(0.1, SCHEDULED),
        "base": Case(0.5, SCHEDULED | {"schedule": "exponential"}),
        "k": Case(2.0, SCHEDULED | {"schedule": "inverse_sigmoid", "k": 1.0}),
        "least": Case(0.6, SCHEDULED),
    },
    "professor_forcing": LIKELIHOOD_CASES
    | {
        **{"g_lr": Case(0.05), "d_lr": Case(0.03), "d_hidden": Case(5), "d_logits": Case(4)},
        **{"g_above": Case(1.0), "d_below": Case(0.0)},
    },
    "cot": {
        **{"epochs": Case(3), "batch": Case(5), "g_lr": Case(0.05), "m_lr": Case(0.05)},
        **{"beta2": Case(0.9), "clip": Case(0.0), "g_steps": Case(2), "m_steps": Case(2)},
        **{"m_embedding": Case(4), "m_hidden": Case(5), "m_dropout": Case(0.2)},
        **{"m_init": Case("cudnn"), "m_batch": Case("half"), "g_scale": Case("token")},
        **{"m_target": Case("data"), "m_floor": Case(-1.8), "gradient": Case("full")},
        "iterations": Case(1),
        **{"generator": Case("goal_factored")},
        "g_hidden": Case(4, {"generator": "goal_factored"}),
    },
    "policy_gradient": POLICY_CASES | {"reward": Case(0.5, {"clip": 0.0}), "noise": Case(True)},
    "seqgan": ADVERSARIAL_CASES
    | {"d_l2": Case(0.0), "rollouts": Case(3), "rollout_lag": Case(0.8)},
    "rankgan": ADVERSARIAL_CASES
    | {
        **{"rollouts": Case(3), "references": Case(5), "relevance": Case("mean")},
        **{"gamma": Case(2.0), "d_init": Case("seqgan")},
    },
    "maligan": ADVERSARIAL_CASES
    | {
        **{"d_l2": Case(0.0), "baseline": Case(0.0), "weight": Case("probability")},
        "passes": Case(2, {"weight_dropout": 0.5}),
        "weight_dropout": Case(0.5),
    },
    "leakgan": DISCRIMINATOR_CASES
    | {
        **{"pretrain_rounds": Case(2), "pretrain_d_steps": Case(3), "pretrain_g_epochs": Case(3)},
        "pretrain_g_batches": Case(1),
        **{"rounds": Case(3), "g_steps": Case(1), "batch": Case(7), "g_lr": Case(0.05)},
        **{"clip": Case(0.0), "block": Case(1), "goal_size": Case(2), "hidden": Case(0)},
        **{"rollouts": Case(3), "rank_slope": Case(4.0), "first_alpha": Case(1.5)},
        "first_tokens": Case(3, {"first_alpha": 1.5}),
        **{"alpha": Case(1.5), "fake_alpha": Case(1.5)},
        **{"rank_real_every": Case(1), "mle_every": Case(2)},
    },
    "mixce": REWEIGHTED_CASES | {"eta": Case(0.9)},
    "tailr": REWEIGHTED_CASES | {"gamma": Case(0.01), "w_min": Case(0.9)},
    "emo": REWEIGHTED_CASES | WARM_CASES | {"mix": Case(0.9)},
    "gold": REWEIGHTED_CASES
    | WARM_CASES
    | {
        **{"importance_floor": Case(0.5), "reward": Case("log_p"), "reward_floor": Case(0.5)},
        **{"suffix": Case(1), "discount": Case(0.5), "renewal": Case(1)},
    },
    "relgan": WARM_CASES
    | {
        **{"rounds": Case(9), "rounds_per_epoch": Case(2), "batch": Case(7), "g_lr": Case(0.05)},
        **{"d_lr": Case(0.03), "clip": Case(0.0), "largest_beta": Case(9.0), "d_steps": Case(3)},
        **{"d_embedding": Case(9), "d_representations": Case(2), "d_scale": Case(2.0)},
        **{"d_filters": Case(((2, 3), (3, 5))), "d_dense": Case(5), "d_dropout": Case(0.6)},
    },
    "real": {},
    "real_corrupted": {"rate": Case(0.5)},
}


def schema_options(kind: str) -> list[tuple[str, str]]:
    """Return (name, option) for every option of everything of this kind."""
    found = []
    for name in registry.names(kind):
        schema = getattr(registry, f"load_{kind}")(name).config_schema
        found += [(name, option) for option in schema.model_fields]
    return found


@cache
def _trained(name: str, options: str) -> str:
    return digest(final_state(name, json.loads(options)))


def trained(name: str, options: Options) -> str:
    """Return a hash of the generator at the end of a tiny run."""
    return _trained(name, json.dumps(options))


def phases(name: str, options: Options) -> list[Phase]:
    """Return a trainer's schedule on `synthetic-tiny`."""
    spec = expand(Request(algos=name, task="synthetic-tiny", preset="ci"))[-1]
    kind = registry.load_trainer(name)
    changed = replace(spec, config=kind.config_schema(**options).model_dump(mode="json"))
    device = torch.device("cpu")
    return assemble.trainer(changed, kind, assemble.task(changed), device).phases()


@pytest.mark.parametrize(("name", "option"), schema_options("trainer"))
def test_every_option_of_a_trainer_acts(name: str, option: str) -> None:
    case = TRAINERS[name][option]
    base = BASES[name] | case.given
    if (name, option) in ONLY_SCHEDULES:
        assert phases(name, base | {option: case.value}) != phases(name, base)
        return
    assert trained(name, base | {option: case.value}) != trained(name, base)


def test_a_tiny_run_is_the_same_when_repeated() -> None:
    """So that no difference above is chance."""
    for name, base in BASES.items():
        assert digest(final_state(name, base)) == trained(name, base)


@pytest.mark.parametrize("name", BASES)
def test_sequences_that_never_repeat_reach_every_trainer_that_reads_some(name: str) -> None:
    """A task's ``data=fresh`` is for all rows: these runs read more than one pass."""
    reads = name not in ("policy_gradient", "real", "real_corrupted")
    fresh = digest(final_state(name, BASES[name], fresh=True))
    assert (fresh != trained(name, BASES[name])) == reads


def test_no_case_is_of_an_option_that_is_gone() -> None:
    for cases, kind in ((TRAINERS, "trainer"), (TASKS, "task"), (METRICS, "metric")):
        listed = {(name, option) for name, own in cases.items() for option in own}
        known = {(section(kind, name), option) for name, option in schema_options(kind)}
        assert listed == known


def section(kind: str, name: str) -> str:
    """Return what a user calls the options of this: metrics of one kind share a section."""
    return (kind == "metric" and registry.load_metric(name).section) or name


# -- tasks ----------------------------------------------------------------------------------------


def write_text(path: Path, n: int, seed: int) -> str:
    """Write sentences of 5 to 10 words, some of them rare, with capitals and two words joined."""
    lines = [line.replace(" .", ".").capitalize() for line in corpus.sentences(n, seed)]
    lines[::5] = [f"The cat's numéro{i} sees." for i in range(len(lines[::5]))]
    return str(corpus.write(path, lines))


def write_table(folder: Path) -> str:
    """Write a table of two columns of sentences."""
    pairs = zip(corpus.sentences(40, 1), corpus.sentences(40, 2), strict=True)
    lines = ["first,second", *(",".join(pair) for pair in pairs)]
    return str(corpus.write(folder / "table.csv", lines))


def write_both(folder: Path) -> str:
    """Write a table whose column ``a`` is another one as CSV than as TSV."""
    pairs = zip(corpus.sentences(40, 1), corpus.sentences(40, 2), strict=True)
    lines = ["a,b\ta", *(f"{one},x\t{two}" for one, two in pairs)]
    return str(corpus.write(folder / "both.txt", lines))


def read_dataset(name: str, column: str) -> dict[str, list[str]]:
    return {"train": corpus.sentences(40, len(name))}


def write_folder(folder: Path, seed: int) -> str:
    """Write local copies of the published corpora."""
    for number, name in enumerate(("emnlp", "coco")):
        (folder / name).mkdir(parents=True)
        for part, n in {"train": 40, "valid": 10, "test": 20}.items():
            write_text(folder / name / f"{part}.txt", n, 10 * seed + 3 * number + n)
    return str(folder)


def write_without_validation(folder: Path) -> str:
    """Write local copies of the captions, for which no validation sentences are published."""
    copies = write_folder(folder / "whole", 1)
    (folder / "whole" / "coco" / "valid.txt").unlink()
    return copies


def write_oracle(folder: Path) -> str:
    """Write an oracle of the sizes of `synthetic-tiny`, drawn from a seed that is not its own."""
    path = folder / "oracle.npz"
    np.savez(path, **oracle.draw_parameters(7, 24, 8, 8))
    return str(path)


SIZES: Options = {"train_size": 20, "validation_size": 10, "test_size": 15}
CORPUS_CASES: dict[str, Case] = {
    **{"tokeniser": Case("nltk"), "case": Case("lower"), "length": Case(8), "min_length": Case(6)},
    **{"too_long": Case("cut", {"length": 7}), "min_count": Case(3), "max_vocabulary": Case(9)},
    "references": Case(["real"]),
}
ONE_FILE: Options = {"valid": "", "test": ""}
SPLIT_CASES: dict[str, Case] = {
    name: Case(value, ONE_FILE)
    for name, value in {"valid_share": 0.3, "test_share": 0.3, "split_seed": 1}.items()
}
SYNTHETIC_CASES: dict[str, Case] = {
    **{"oracle": Case(write_oracle), "oracle_seed": Case(5), "length": Case(6)},
    **{"train_size": Case(25), "validation_size": Case(12), "test_size": Case(18)},
    "data": Case("fresh"),
}
SYNTHETIC_CASES |= {name: Case(9) for name in ("vocab_size", "embedding", "hidden")}
TASKS: dict[str, dict[str, Case]] = {
    "synthetic": SYNTHETIC_CASES,
    "synthetic-tiny": SYNTHETIC_CASES,
    "text": CORPUS_CASES
    | SPLIT_CASES
    | {
        "train": Case(lambda folder: write_text(folder / "other.txt", 40, 4)),
        "valid": Case(lambda folder: write_text(folder / "other.txt", 10, 5)),
        "test": Case(lambda folder: write_text(folder / "other.txt", 20, 6)),
        "column": Case("second", {"train": write_table, "column": "first", **ONE_FILE}),
        "format": Case("csv", {"train": write_both, "column": "a", "format": "tsv", **ONE_FILE}),
        "encoding": Case("latin-1"),
        "dataset": Case("news", {**ONE_FILE, "train": "", "dataset": "letters"}),
    },
    "kjv": CORPUS_CASES | {name: Case(case.value) for name, case in SPLIT_CASES.items()},
}
PUBLISHED = CORPUS_CASES | {"dir": Case(lambda folder: write_folder(folder / "other", 2))}
COCO = {"case": Case("keep"), "valid_share": Case(0.3, {"dir": write_without_validation})}
TASKS |= {"emnlp_news": PUBLISHED, "image_coco": PUBLISHED | COCO}


def base_of(name: str, folder: Path) -> Options:
    """Return options that give a task at a tiny size, and make the files that they name."""
    if name.startswith("synthetic"):
        return SIZES
    if name == "kjv":
        path = folder / "kjv.jsonl"
        verses = Path(write_text(folder / "verses.txt", 60, 1)).read_text(encoding="utf-8")
        lines = [json.dumps({"text": line}) for line in verses.splitlines()]
        path.write_text("\n".join(lines), encoding="utf-8")
        return {"min_length": 1, "min_count": 1, "length": 12}
    if name != "text":
        return {"dir": write_folder(folder / "data", 1), "length": 12}
    parts = {"train": 40, "valid": 10, "test": 20}
    files = {part: write_text(folder / f"{part}.txt", n, n) for part, n in parts.items()}
    return {**files, "length": 12}


def built(name: str, options: Options, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Task[Any]:
    monkeypatch.setattr(corpora, "kjv_file", lambda: folder / "kjv.jsonl")
    monkeypatch.setattr(text, "read_dataset", read_dataset)
    kind = registry.load_task(name)
    return kind(kind.config_schema(**options))


def content(task: Task[Any]) -> dict[str, Any]:
    """Return all that a task gives to trainers and metrics."""
    tensors = {"first": task.train(0, 0), "second": task.train(0, 1)}
    tensors |= not_for_training(task)
    found: dict[str, Any] = {name: value.tolist() for name, value in tensors.items()}
    found |= {"vocab_size": task.vocab_size, "length": task.length, "size": task.train_size()}
    if isinstance(task, TextTask):
        found |= {"words": task.references(), "decoded": task.words(task.train(0, 0))}
    return found


@pytest.mark.parametrize(("name", "option"), schema_options("task"))
def test_every_option_of_a_task_acts(
    name: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On what it gives, and then on its fingerprint, too, or on the rows that it is read with."""
    case = TASKS[name][option]
    value = case.value(tmp_path) if callable(case.value) else case.value
    given = {key: one(tmp_path) if callable(one) else one for key, one in case.given.items()}
    base = base_of(name, tmp_path) | given
    one, other = (
        built(name, options, monkeypatch, tmp_path) for options in (base, base | {option: value})
    )
    if option == "references":
        assert one.reference_rows() != other.reference_rows()
        assert one.fingerprint() == other.fingerprint()
        return
    assert content(one) != content(other)
    assert one.fingerprint() != other.fingerprint()
    again = built(name, base, monkeypatch, tmp_path)
    assert (content(again), again.fingerprint()) == (content(one), one.fingerprint())


# -- metrics --------------------------------------------------------------------------------------

METRICS: dict[str, dict[str, Case]] = {
    "ewmd": {"variant": Case("textmover"), "steps": Case(3), "critics": Case(3)},
}
METRIC_BASES: dict[str, Options] = {"ewmd": {"steps": 2, "critics": 2}}


@pytest.fixture
def evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    """A generator that knows nothing, on a small text."""
    task = built("text", base_of("text", tmp_path), monkeypatch, tmp_path)
    generator = LSTMLanguageModel(task.vocab_size, task.length, 3, 4)
    generator.initialise(stream(0, "initialise"))
    return Evaluation(generator, task, seed=0, moment="epoch 0", samples=20)


@pytest.mark.parametrize(("name", "option"), schema_options("metric"))
def test_every_option_of_a_metric_acts_and_shows_in_the_protocol(
    name: str, option: str, evaluation: Evaluation
) -> None:
    kind = registry.load_metric(name)
    case = METRICS[section("metric", name)][option]
    base = METRIC_BASES[section("metric", name)] | case.given
    one, again, other = (
        kind(kind.config_schema(**options)) for options in (base, base, base | {option: case.value})
    )
    assert one.protocol(evaluation) != other.protocol(evaluation)
    assert one.compute(evaluation) == again.compute(evaluation)
    assert one.compute(evaluation) != other.compute(evaluation)


# -- what all runs have in common -----------------------------------------------------------------

COMMON: dict[str, dict[str, Case]] = {
    "backbone": {"embedding": Case(5), "hidden": Case(5)},
    "evaluation": {
        **{"every": Case(2), "every_steps": Case(3), "samples": Case(12)},
        "final_samples": Case(13),
    },
}
RUN = (
    *("synthetic-tiny.train_size=32", "synthetic-tiny.test_size=16", "mle.batch=16"),
    *("synthetic-tiny.validation_size=8", "synthetic-tiny.length=4", "synthetic-tiny.vocab_size=9"),
    *("evaluation.samples=10", "evaluation.final_samples=11", "mle.epochs=4"),
)


def planned(*settings: str) -> Spec:
    request = Request(algos="mle", task="synthetic-tiny", preset="ci", settings=[*RUN, *settings])
    return expand(request)[-1]


def rows(results: Path, spec: Spec) -> list[dict[str, Any]]:
    """Return what a run's evaluations say, its clock aside."""
    directory = RunDirectory(spec.directory(results))
    directory.create(spec)
    assert worker.execute(directory, Conditions(torch.device("cpu"))) == 0
    clocks = ("seconds", "cpu_seconds")
    found = directory.rows("metrics.jsonl")
    return [{key: value for key, value in row.items() if key not in clocks} for row in found]


@pytest.mark.parametrize(
    ("name", "option"), [(name, key) for name in COMMON for key in getattr(planned(), name)]
)
def test_every_option_that_all_runs_share_acts(name: str, option: str, tmp_path: Path) -> None:
    changed = planned(f"{name}.{option}={COMMON[name][option].value}")
    assert changed.hash != planned().hash
    assert rows(tmp_path, changed) != rows(tmp_path, planned())
