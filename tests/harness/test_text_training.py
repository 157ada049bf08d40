"""Every trainer on a text task, from training to samples, and what becomes of ends of sentences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import corpus
import pytest
import torch
from stores import values_of

from textbench.contracts.task import END
from textbench.plan import registry
from textbench.plan.resolve import Request, expand
from textbench.run import worker
from textbench.run.again import load
from textbench.run.conditions import Conditions
from textbench.store.directory import RunDirectory

ROWS = [*registry.names("trainer"), "cot:strong", "cot:reverse_kl"]
SMALL = ["ewmd.steps=2", "evaluation.samples=40", "evaluation.final_samples=60"]
NO_LIKELIHOOD = {"real", "real_corrupted"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 150 sentences, and the store of all tests, so that warm-ups are shared."""
    folder = tmp_path_factory.mktemp("text")
    corpus.write(folder / "c.txt", corpus.sentences(150))
    return folder


def train(folder: Path, row: str, *settings: str) -> RunDirectory:
    """Run ``row`` under preset ``ci`` in this process; return the finished run."""
    given = [f"text.train={folder / 'c.txt'}", "text.references=[]", *SMALL, *settings]
    for spec in expand(Request(algos=row, task="text", preset="ci", settings=given)):
        directory = RunDirectory(spec.directory(folder / "results"))
        if directory.status().status != "done":
            directory.create(spec)
            worker.execute(directory, Conditions(torch.device("cpu")))
    assert directory.status().status == "done", directory.status()
    return directory


def last(directory: RunDirectory) -> dict[str, float | None]:
    return values_of(directory.rows("metrics.jsonl")[-1])


@pytest.mark.parametrize("row", ROWS)
def test_every_trainer_runs_on_text(row: str, folder: Path) -> None:
    directory = train(folder, row)
    final = last(directory)
    measured = {name for name, value in final.items() if value is not None}
    assert {"bleu5", "self_bleu5", "backward_bleu5", "ewmd_test", "ewmd_train"} <= measured
    likelihoods = {"nll_test", "nll_test_word", "nll_train", "nll_validation"}
    likelihoods |= {"generator_entropy"}
    assert likelihoods & measured == (set() if row in NO_LIKELIHOOD else likelihoods)
    assert all(math.isfinite(final[name] or 0.0) for name in measured)
    lines = (directory.path / "samples.txt").read_text(encoding="utf-8").splitlines()
    words = {word for line in corpus.sentences(150) for word in line.split()} | {"<unk>"}
    assert {word for line in lines for word in line.split()} <= words


LATER = {
    "mixce": "mixce.eta=0.5",
    "tailr": "tailr.gamma=0.1",
    "emo": "emo.mix=0.9",
    "gold": "gold.importance_floor=0.01",
}
"""Objectives that weigh the likelihood of a token, with constants that show on small text."""


@pytest.mark.parametrize("row", LATER)
def test_on_text_later_objectives_are_not_maximum_likelihood(row: str, folder: Path) -> None:
    directory = train(folder, row, LATER[row])
    logged = [line["values"] for line in directory.rows("curve.jsonl") if line["kind"] == "loss"]
    weights = [values["weight"] for values in logged if "weight" in values]
    assert weights and all(weight > 0 and abs(weight - 1) > 0.01 for weight in weights)


def test_what_follows_the_end_of_a_sentence_is_learnt_like_its_words(folder: Path) -> None:
    """There is no mask: a likelihood that counts T slots needs a model of all T of them."""
    plan = ["mle.epochs=300", "evaluation.every=300", "backbone.hidden=24"]
    stored = load(train(folder, "mle", *plan))
    tokens = stored.task.test()
    after = torch.zeros_like(tokens, dtype=torch.bool)
    after[:, 1:] = ((tokens == END).cumsum(1) > 0)[:, :-1]
    probs = stored.generator.log_probs(tokens).detach().exp()
    assert float(probs[after][:, END].mean()) > 0.9
    # The same symbol is the first input, and no sentence is empty: the state tells them apart.
    assert float(probs[:, 0, END].max()) < 0.1


def test_a_vocabulary_of_one_word_and_a_test_set_of_unknown_words_are_results(
    tmp_path: Path,
) -> None:
    for split, line in (("train", "a"), ("valid", "a"), ("test", "b c")):
        corpus.write(tmp_path / f"{split}.txt", [line] * 3)
    given = [f"text.{split}={tmp_path / split}.txt" for split in ("train", "valid", "test")]
    settings = [*given, "text.references=[]", "text.length=2", *SMALL, "mle.epochs=1"]
    (spec,) = expand(Request(algos="mle", task="text", preset="ci", settings=settings))
    directory = RunDirectory(spec.directory(tmp_path / "results"))
    directory.create(spec)
    assert worker.execute(directory, Conditions(torch.device("cpu"))) == 0, directory.status()
    values = last(directory)
    assert values["bleu2"] == 0.0  # no word of the test set is in the vocabulary
    assert (values["nll_test"] or 0.0) > 0.0
    measured = directory.rows("metrics.jsonl")[-1]["metrics"]
    missing = {name for name, value in values.items() if value is None}
    assert missing == {name for name, one in measured.items() if one.get("reason")}


@pytest.mark.parametrize(("row", "option"), [("leakgan", "hidden"), ("cot:strong", "g_hidden")])
def test_a_generator_of_its_own_may_have_sizes_of_its_own(
    row: str, option: str, folder: Path
) -> None:
    """What the shared LSTM has is the default; the option changes one row, not all."""
    wide = f"{row.partition(':')[0]}.{option}=12"
    widths = []
    for settings in ((), (wide,)):
        generator: Any = load(train(folder, row, *settings)).generator
        states = (generator.worker.weight_hh, generator.manager.weight_hh)
        widths.append([part.shape[1] for part in (generator.embedding, *states)])
    assert widths == [[8] * 3, [12] * 3]
