"""The metrics of text as runs compute them: values, protocols, sharing, where they do not apply."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
import torch
from textbench.algorithms.real import Archive, Real, RealCorrupted
from textbench.metrics.sentence_bleu import SentenceBLEU
from torch import Tensor

from textbench.backbone.generator import Tempered
from textbench.contracts.config import validate
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.task import END
from textbench.plan import registry
from textbench.plan.resolve import Request, expand
from textbench.run import assemble
from textbench.run.measure import measure
from textbench.tasks.synthetic import SyntheticTiny, SyntheticTinyConfig
from textbench.tasks.text import Text, TextConfig

TEXT_METRICS = [
    number
    for number, metric in registry.numbers().items()
    if registry.load_metric(metric).family == "text"
]
SMALL_CRITICS = {"ewmd": {"steps": 3, "critics": 2}}


@pytest.fixture
def text(tmp_path: Path) -> Text:
    """80 training and 40 test sentences; one test word is unknown, one test sentence short."""
    test = [*corpus.sentences(39, 1), "the moon sleeps"]
    files = {
        "train": corpus.write(tmp_path / "train.txt", corpus.sentences(80, 0)),
        "valid": corpus.write(tmp_path / "valid.txt", corpus.sentences(9, 2)),
        "test": corpus.write(tmp_path / "test.txt", test),
    }
    return Text(validate(TextConfig, {k: str(v) for k, v in files.items()}, "text"))


class Fixed(Archive):
    """Returns its sequences in their order, and has the likelihood of a fair die."""

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        return self.sequences[:n]

    @property
    def archive(self) -> None:  # type: ignore[override]
        """It stands for a model, whose samples have nothing to do with the training set."""

    def log_probs(self, tokens: Tensor) -> Tensor:
        position = torch.arange(1.0, 1.0 + tokens.shape[1]).view(1, -1, 1)
        return -position.expand(*tokens.shape, self.vocab_size)


def evaluated(text: Text, tokens: Tensor, n: int = 1000) -> Evaluation:
    generator = Fixed(tokens, text.vocab_size)
    return Evaluation(generator, text, seed=0, moment="epoch 0", samples=n)


def values(evaluation: Evaluation, *names: str) -> dict[str, float | None]:
    found = measure(build(names, SMALL_CRITICS), evaluation)
    return {name: found[name]["value"] for name in names}


def build(names: Iterable[str], options: Mapping[str, Mapping[str, Any]]) -> list[Metric]:
    """The metrics that have numbers of these names, each once."""
    metrics = dict.fromkeys(registry.metric_of(name) for name in names)
    return assemble.metrics(map(registry.load_metric, metrics), options)


def number(metric: Metric, name: str, evaluation: Evaluation) -> float:
    """One number of a metric; raises what stands in its place."""
    computed = metric.compute(evaluation)
    value = computed[name] if isinstance(computed, Mapping) else computed
    if isinstance(value, NotApplicableError):
        raise value
    return value


def protocol(metric: Metric, name: str, evaluation: Evaluation) -> str:
    """The protocol of one number."""
    found = metric.protocol(evaluation)
    return found if isinstance(found, str) else found[name]


# -- values ---------------------------------------------------------------------------------


def test_bleu_is_the_mean_over_all_samples_against_all_test_sentences(text: Text) -> None:
    samples = text.train(0, 0)[:50].clone()
    samples[3, 1] = 1  # <unk>, which matches no word
    evaluation = evaluated(text, samples)
    words = text.words(samples)
    assert words[3][1] == "<unk>"
    expected = SentenceBLEU(text.references(), 5, frozenset({"<unk>"})).scores(words).mean(0)
    own = SentenceBLEU(words, 5).leave_one_out().mean(0)
    back = SentenceBLEU(words, 5).scores(text.references()).mean(0)
    for n in range(2, 6):
        found = values(evaluation, f"bleu{n}", f"self_bleu{n}", f"backward_bleu{n}")
        assert found == {
            f"bleu{n}": expected[n - 1],
            f"self_bleu{n}": own[n - 1],
            f"backward_bleu{n}": back[n - 1],
        }


def test_the_second_protocol_takes_the_first_500_references(
    text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = text.train(0, 0)
    few, more = corpus.sentences(2, 3), corpus.sentences(100, 4)
    lines = [line.split() for line in few * 250 + more]
    monkeypatch.setattr(text, "references", lambda: lines)
    evaluation = evaluated(text, samples)
    expected = SentenceBLEU(lines[:500]).scores(text.words(samples)).mean(0)
    found = measure(build(["bleu4"], {}), evaluation)
    every, few_references = found["bleu4"], found["bleu4_refs500"]
    assert few_references["value"] == expected[3] != every["value"]
    assert every["protocol"] == "bleu/1 n=4 method1 refs=600 hyps=80"
    assert few_references["protocol"] == "bleu-refs500/1 n=4 method1 refs=500 hyps=80"


def test_the_test_set_is_indexed_once(text: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    from textbench.metrics import bleu

    built: list[int] = []

    class Counting(SentenceBLEU):
        def __init__(self, references: Any, *other: Any) -> None:
            built.append(len(references))
            super().__init__(references, *other)

    monkeypatch.setattr(bleu, "SentenceBLEU", Counting)
    names = [name for name in TEXT_METRICS if "bleu" in name and "500" not in name]
    assert len(names) == 12
    for _ in range(2):
        values(evaluated(text, text.train(0, 0)), *names)
    assert sorted(built) == [40, 80, 80]  # the test set once, the samples once per evaluation


def test_nll_per_slot_and_per_word(text: Text) -> None:
    """−log G is 1, 2, 3, … along the slots, whatever the symbol."""
    evaluation = evaluated(text, text.train(0, 0))
    length = text.length
    found = values(evaluation, "nll_test", "nll_test_word")
    assert found["nll_test"] == pytest.approx((length + 1) / 2)
    ends = [min(len(words) + 1, length) for words in text.references()]
    expected = sum(n * (n + 1) / 2 for n in ends) / sum(ends)
    assert found["nll_test_word"] == pytest.approx(expected)


def test_a_small_evaluation_scores_a_part_of_the_test_set(text: Text) -> None:
    evaluation = evaluated(text, text.train(0, 0), n=10)
    ends = [min(len(words) + 1, text.length) for words in text.references()[:10]]
    expected = sum(n * (n + 1) / 2 for n in ends) / sum(ends)
    assert values(evaluation, "nll_test_word")["nll_test_word"] == pytest.approx(expected)
    (metric,) = build(["nll_test_word"], {})
    assert metric.protocol(evaluation) == "nll_test_word/1 n=10"


def test_diagnostics_of_handmade_samples(text: Text) -> None:
    samples = text.test()[:6].clone()  # test sentences are new to the training set ...
    samples[1] = samples[0]
    samples[1, -1] = END
    samples[4] = text.train(0, 0)[5]  # ... and this one is not
    samples[5] = END
    evaluation = evaluated(text, samples)
    found = values(evaluation, "repeats", "novelty", "mean_length", "distinct1", "distinct2")
    words = text.words(samples)
    known = {tuple(w) for w in text.words(text.train(0, 0))}
    assert found["repeats"] == pytest.approx(1 / 6)
    assert found["novelty"] == pytest.approx(sum(tuple(w) not in known for w in words) / 6)
    assert 0 < (found["novelty"] or 0) < 1
    assert found["mean_length"] == pytest.approx(np.mean([len(w) for w in words]))
    flat = [word for w in words for word in w]
    pairs = [pair for w in words for pair in itertools.pairwise(w)]
    assert found["distinct1"] == pytest.approx(len(set(flat)) / len(flat))
    assert found["distinct2"] == pytest.approx(len(set(pairs)) / len(pairs))


def test_lm_scores_have_their_directions(text: Text) -> None:
    """One fluent sentence again and again: the forward score is low, the reverse one high."""
    varied = evaluated(text, text.train(0, 0))
    collapsed = evaluated(text, text.test()[:1].repeat(80, 1))
    fluent, broad = (
        values(collapsed, "lm_score", "reverse_lm_score"),
        values(varied, "lm_score", "reverse_lm_score"),
    )
    assert (fluent["lm_score"] or 9) < (broad["lm_score"] or 0)
    assert (fluent["reverse_lm_score"] or 0) > (broad["reverse_lm_score"] or 9)


def test_ewmd_takes_equal_numbers_and_its_options(text: Text) -> None:
    evaluation = evaluated(text, text.train(0, 0), n=30)
    test, train = build(["ewmd_test", "ewmd_train"], SMALL_CRITICS)
    start = "ewmd/2 two-sided steps=3 critics=2"
    assert test.protocol(evaluation) == f"{start} n=30+30 T={text.length + 1}"
    assert number(test, "ewmd_test_sigma", evaluation) > 0
    found = number(test, "ewmd_test", evaluation), number(train, "ewmd_train", evaluation)
    assert found[0] != found[1]
    more = evaluated(text, text.train(0, 0))
    assert "n=40+40" in test.protocol(more)  # the test set has no more
    assert "n=40+40" in train.protocol(more)  # a half of the training set
    (other,) = build(["ewmd_test"], {"ewmd": {"variant": "textmover"}})
    assert str(other.protocol(more)).startswith("ewmd/2 textmover steps=2000 critics=5 ")


def test_reference_rows_stand_against_the_other_half_of_the_training_set(
    text: Text, make_context: Any, make_trainer: Any
) -> None:
    (train,) = build(["ewmd_train"], SMALL_CRITICS)
    data = text.train(0, 0)
    real = make_trainer(Real, make_context(text.vocab_size, text.length, sequences=data)).generator
    evaluation = Evaluation(real, text, seed=0, moment="epoch 0", samples=1000)
    p, q = train._sides(evaluation)
    assert len(p) == len(q) == 40
    both = sorted(map(tuple, torch.cat([p, q]).tolist()))
    assert both == sorted(map(tuple, data.tolist()))  # each sentence once, on one side
    p_again, samples = train._sides(evaluated(text, data))
    assert torch.equal(p, p_again) and torch.equal(samples, data[:40])


def test_one_set_of_critics_serves_all_its_metrics(
    text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textbench.metrics import ewmd

    calls: list[int] = []
    original = ewmd.distance

    def counting(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return original(*given, **named)

    monkeypatch.setattr(ewmd, "distance", counting)
    names = [name for name in TEXT_METRICS if name.startswith("ewmd_")]
    found = values(evaluated(text, text.train(0, 0), n=30), *names)
    assert len(found) == 10
    assert len(calls) == 2  # against test and against train


# -- where they apply -------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_metrics_of_text_do_not_apply_elsewhere(name: str) -> None:
    task = SyntheticTiny(SyntheticTinyConfig(train_size=8, test_size=8, validation_size=8))
    evaluation = Evaluation(task.oracle, task, seed=0, moment="x", samples=4)
    (metric,) = build([name], {})
    with pytest.raises(NotApplicableError, match="task synthetic-tiny is not text"):
        number(metric, name, evaluation)


@pytest.mark.parametrize("name", ["nll_oracle", "jsd_stepwise", "jsd_sequence", "kl_forward"])
def test_metrics_of_the_oracle_do_not_apply_to_text(name: str, text: Text) -> None:
    (metric,) = build([name], {})
    with pytest.raises(NotApplicableError, match="task text has no oracle"):
        number(metric, name, evaluated(text, text.train(0, 0)))


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_every_metric_of_text_has_a_value_and_a_protocol(name: str, text: Text) -> None:
    evaluation = evaluated(text, text.train(0, 0), n=20)
    (metric,) = build([name], SMALL_CRITICS)
    assert np.isfinite(number(metric, name, evaluation))
    made = protocol(metric, name, evaluation)
    assert made.split("/1 ")[0].replace("-", "_")[:4] == name[:4]
    assert metric.when == ("final" if name.startswith("ewmd") else "always")
    assert next(known for known in metric.described() if known.name == name).summary


def test_two_samples_are_needed_to_compare_them(text: Text) -> None:
    one = evaluated(text, text.train(0, 0)[:1])
    for name in ("self_bleu5", "ewmd_test"):
        (metric,) = build([name], SMALL_CRITICS)
        with pytest.raises(NotApplicableError, match="at least two"):
            number(metric, name, one)


# -- rows of real text ------------------------------------------------------------------------


def test_real_draws_training_sentences_without_replacement(
    make_context: Any, make_trainer: Any
) -> None:
    data = torch.arange(24).view(8, 3) % 7
    generator = make_trainer(Real, make_context(7, 3, sequences=data)).generator
    rng = torch.Generator().manual_seed(0)
    drawn = generator.sample(5, rng)
    assert drawn.shape == (5, 3)
    rows = [tuple(row) for row in data.tolist()]
    assert all(tuple(row) in rows for row in drawn.tolist())
    everything = generator.sample(1000, rng)
    assert sorted(map(tuple, everything.tolist())) == sorted(rows)
    with pytest.raises(NotApplicableError, match="no likelihood"):
        generator.log_probs(drawn)
    with pytest.raises(NotApplicableError, match="no temperature"):
        Tempered(generator, 1.5).sample(2, rng)


@pytest.mark.parametrize("rate", [0.2, 1.0])
def test_real_corrupted_replaces_words_by_words_with_their_frequencies(
    rate: float, make_context: Any, make_trainer: Any
) -> None:
    rng = torch.Generator().manual_seed(1)
    data = torch.randint(2, 6, (3000, 10), generator=rng)
    data[:, 3] = 1  # <unk>: left alone
    data[:, 8:] = END
    data[:, 5][torch.rand(3000, generator=rng) < 0.9] = 5  # word 5 is frequent
    context = make_context(6, 10, sequences=data)
    context.first_word = 2
    corrupted = make_trainer(RealCorrupted, context, rate=rate).generator.sequences
    assert torch.equal(corrupted < 2, data < 2)
    is_word = data >= 2
    share = (corrupted == 5)[is_word].float().mean()
    frequency = (data == 5)[is_word].float().mean()
    assert share.item() == pytest.approx(frequency.item(), abs=0.01)
    same = float(((data[is_word].bincount() / is_word.sum()) ** 2).sum())
    changed = (corrupted != data)[is_word].float().mean()
    assert changed.item() == pytest.approx(rate * (1 - same), abs=0.01)


def test_text_tasks_add_the_reference_rows(tmp_path: Path) -> None:
    path = corpus.write(tmp_path / "c.txt", corpus.sentences(60))
    request = Request(algos="mle", task="text", preset="ci", settings=[f"text.train={path}"])
    specs = expand(request)
    assert [spec.label for spec in specs] == ["real", "real_corrupted", "mle"]
    assert specs[0].task_note.startswith("48 / 6 / 6 sentences") or specs[0].task_note
    assert specs[0].metrics == {"ewmd": {"variant": "two-sided", "steps": 10, "critics": 2}}
    alone = expand(
        Request(
            algos="mle",
            task="text",
            preset="ci",
            settings=[f"text.train={path}", "text.references=[]"],
        )
    )
    assert [spec.label for spec in alone] == ["mle"]
    assert alone[0].hash == specs[2].hash
    named = expand(
        Request(algos="real,mle", task="text", preset="ci", settings=[f"text.train={path}"])
    )
    assert [spec.label for spec in named] == ["real_corrupted", "real", "mle"]
