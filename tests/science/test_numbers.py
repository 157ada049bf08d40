"""What every built-in number says of itself, written out a second time.

A direction decides who wins, a protocol which values may share a column, a unit what a reader takes
a value for: nothing in a value shows that one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import corpus
import pytest
from textbench.metrics.critic import RECIPES, distance, embedding, encode
from textbench.metrics.lm import WittenBell
from textbench.metrics.ngrams import frequencies, ms_jaccard, ngram_jsd

from textbench.contracts.config import validate
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.number import Number
from textbench.contracts.stored import StoredSequences
from textbench.contracts.streams import stream
from textbench.plan import registry
from textbench.run import assemble
from textbench.tasks.text import Text, TextConfig

ORDERS = range(2, 6)
LOWER = {
    **dict.fromkeys(("nll_oracle", "nll_test", "nll_train", "nll_validation"), "nats/token"),
    **dict.fromkeys(("kl_forward", "kl_reverse"), "nats/token"),
    **dict.fromkeys(("lm_score", "reverse_lm_score", "nll_test_word"), "nats/word"),
    **dict.fromkeys(("jsd_sequence", "unigram_jsd", "bigram_jsd"), "nats"),
    "jsd_stepwise": "nats/sequence",
    **{f"self_bleu{n}": "" for n in ORDERS},
    **dict.fromkeys(("ewmd_test", "ewmd_test_normalised"), ""),
    **dict.fromkeys(("ewmd_train", "ewmd_train_normalised"), ""),
    "repeats": "",
}
HIGHER = {
    **{f"{kind}{n}": "" for kind in ("bleu", "backward_bleu") for n in ORDERS},
    **{f"bleu{n}_refs500": "" for n in ORDERS},
    **dict.fromkeys(("ms_jaccard4", "distinct1", "distinct2"), ""),
}
NEITHER = {
    **{
        f"ewmd_{side}_{end}": ""
        for side in ("test", "train")
        for end in ("sigma", "in_sample", "gradient_norm")
    },
    **{"generator_entropy": "nats/token", "mean_length": "words", "novelty": ""},
}
HEADLINES = {"nll_oracle", "nll_test", "bleu5", "self_bleu5", "backward_bleu5", "ewmd_test"}
CRITICS = {"ewmd": {"steps": 3, "critics": 2}}

TRAIN, TEST, SAMPLES, ASKED = 80, 40, 30, 35


def numbers() -> dict[str, Number]:
    """Return every built-in number by its name."""
    kinds = {registry.load_metric(metric) for metric in registry.numbers().values()}
    return {number.name: number for kind in kinds for number in kind.described()}


def test_which_way_is_better_in_which_unit_and_what_a_narrow_terminal_shows() -> None:
    ways = {"lower": LOWER, "higher": HIGHER, "none": NEITHER}
    expected = {name: (way, unit) for way, units in ways.items() for name, unit in units.items()}
    found = numbers()
    assert {name: (number.direction, number.unit) for name, number in found.items()} == expected
    assert {name for name, number in found.items() if number.headline} == HEADLINES


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Fewer samples than were asked for, of another size than every set of the task."""
    parts = {"train": (TRAIN, 0), "valid": (9, 2), "test": (TEST, 1)}
    files = {
        part: str(corpus.write(tmp_path / f"{part}.txt", corpus.sentences(*size)))
        for part, size in parts.items()
    }
    task = Text(validate(TextConfig, files, "text"))
    samples = task.train(0, 0)[:SAMPLES].clone()
    samples[::3, 2:4] = samples[1, 5]  # what real text never says
    generator = StoredSequences(samples, task.vocab_size)
    return Evaluation(generator, task, seed=0, moment="epoch 0", samples=ASKED)


def test_protocols_of_text_name_what_their_numbers_depend_on(evaluation: Evaluation) -> None:
    found: dict[str, str] = {}
    for kind in {registry.load_metric(metric) for metric in registry.numbers().values()}:
        if kind.family != "text":
            continue
        (metric,) = assemble.metrics([kind], CRITICS)
        made = metric.protocol(evaluation)
        names = [number.name for number in kind.described()]
        found |= made if isinstance(made, Mapping) else dict.fromkeys(names, made)
    against_test, of_samples = f"refs={TEST} hyps={SAMPLES}", f"n={SAMPLES}"
    expected = {
        **{f"bleu{n}": f"bleu/1 n={n} method1 {against_test}" for n in ORDERS},
        **{f"bleu{n}_refs500": f"bleu-refs500/1 n={n} method1 {against_test}" for n in ORDERS},
        **{
            f"self_bleu{n}": f"self-bleu/1 n={n} method1 refs={SAMPLES - 1} hyps={SAMPLES}"
            for n in ORDERS
        },
        **{
            f"backward_bleu{n}": f"backward-bleu/1 n={n} method1 refs={SAMPLES} hyps={TEST}"
            for n in ORDERS
        },
        **{
            name: f"{name}/1 refs={TEST} {of_samples}"
            for name in ("ms_jaccard4", "unigram_jsd", "bigram_jsd")
        },
        **{
            name: f"{name}/1 witten-bell-3 test={TEST} {of_samples}"
            for name in ("lm_score", "reverse_lm_score")
        },
        **{
            name: f"{name}/1 {of_samples}"
            for name in ("distinct1", "distinct2", "repeats", "mean_length")
        },
        "novelty": f"novelty/1 train={TRAIN} {of_samples}",
        "nll_test_word": f"nll_test_word/1 n={ASKED}",
        **{
            f"ewmd_{side}{end}": "ewmd/2 two-sided steps=3 critics=2 "
            f"n={SAMPLES}+{SAMPLES} T={evaluation.task.length + 1}"
            for side in ("test", "train")
            for end in ("", "_sigma", "_in_sample", "_gradient_norm", "_normalised")
        },
    }
    assert found == expected


def test_judges_and_overlaps_are_of_the_test_sentences_and_the_samples(
    evaluation: Evaluation,
) -> None:
    task, samples = evaluation.text, evaluation.samples
    kinds = [registry.load_metric(name) for name in ("lm_score", "ngram_overlap")]
    found: dict[str, object] = {}
    for metric in assemble.metrics(kinds, {}):
        computed = metric.compute(evaluation)
        assert isinstance(computed, Mapping)
        found |= computed
    size, references, words = task.vocab_size, task.references(), task.words(samples)
    unigrams, bigrams = frequencies(references, words, 2)
    assert found == {
        "lm_score": WittenBell(task.test(), size).score(samples),
        "reverse_lm_score": WittenBell(samples, size).score(task.test()),
        "ms_jaccard4": ms_jaccard(references, words),
        "unigram_jsd": ngram_jsd(*unigrams),
        "bigram_jsd": ngram_jsd(*bigrams),
    }
    assert len(set(found.values())) == 5


@pytest.mark.parametrize("side", ["test", "train"])
def test_ewmds_numbers_are_what_its_critics_found(side: str, evaluation: Evaluation) -> None:
    """Of as many real sentences, drawn at random; critics of both sides have other streams."""
    (metric,) = assemble.metrics([registry.load_metric(f"ewmd_{side}")], CRITICS)
    task, name = evaluation.text, f"ewmd_{side}"
    real = task.test() if side == "test" else task.train(0, 0)
    p, q = metric._sides(evaluation)  # type: ignore[attr-defined]
    assert q.equal(evaluation.samples) and len(p) == SAMPLES
    rows = [tuple(row) for row in real.tolist()]
    assert all(tuple(row) in rows for row in p.tolist()) and not p.equal(real[:SAMPLES])
    size = task.vocab_size
    found = distance(
        encode(p, size),
        encode(q, size),
        embedding(size),
        RECIPES["two-sided"],
        steps=3,
        streams=[stream(0, "ewmd", side, i) for i in range(2)],
    )
    assert metric.compute(evaluation) == {
        name: found.value,
        f"{name}_sigma": found.sigma,
        f"{name}_in_sample": found.in_sample,
        f"{name}_gradient_norm": found.gradient_norm,
        f"{name}_normalised": found.normalised,
    }
