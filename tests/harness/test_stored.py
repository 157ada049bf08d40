"""Finished generators: loaded, sampled and evaluated again, at any inverse temperature."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from corpus import sentences, write
from stores import values_of

from textbench.backbone.generator import Tempered
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.cli import cli
from textbench.contracts.errors import UserError
from textbench.contracts.streams import stream
from textbench.plan import registry
from textbench.plan.arguments import parse_alphas
from textbench.plan.resolve import Request, expand
from textbench.run import assemble, worker
from textbench.run.again import load, sample
from textbench.run.conditions import Conditions
from textbench.store.directory import RunDirectory
from textbench.store.read import read_store
from textbench.store.rows import EVALUATIONS as LOG


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with done runs of `real` and `mle` on a small text, made in this process."""
    folder = tmp_path_factory.mktemp("stored")
    path = write(folder / "c.txt", sentences(60))
    settings = [f"text.train={path}", 'text.references=["real"]', "ewmd.steps=2", "mle.epochs=2"]
    for spec in expand(Request(algos="mle", task="text", preset="ci", settings=settings)):
        directory = RunDirectory(spec.directory(folder / "results"))
        directory.create(spec)
        assert worker.execute(directory, Conditions(torch.device("cpu"))) == 0, directory.status()
    return folder / "results"


def run(results: Path, trainer: str) -> RunDirectory:
    (found,) = (d for d in RunDirectory.find(results) if f"/{trainer}/" in d.name)
    return found


def textbench(line: str, results: Path) -> Result:
    """Run a command in this process; without its runner's help an error would be swallowed."""
    return CliRunner().invoke(cli, [*shlex.split(line), "--results", str(results)])


# -- inverse temperature ------------------------------------------------------------------------


@pytest.fixture
def model() -> LSTMLanguageModel:
    model = LSTMLanguageModel(4, 3, 3, 5)
    model.initialise(stream(0, "tests"), std=1.0)
    return model


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_the_tempered_likelihood_is_that_of_its_samples(
    alpha: float, model: LSTMLanguageModel, all_sequences: Any, sequence_probs: Any
) -> None:
    tempered = Tempered(model, alpha)
    exact = sequence_probs(tempered)
    assert exact.sum().item() == pytest.approx(1.0, abs=1e-5)
    drawn = tempered.sample(40_000, stream(0, "tests", "draw"))
    index = (drawn * torch.tensor([16, 4, 1])).sum(1)
    shares = index.bincount(minlength=64) / len(drawn)
    error = 5 * (exact * (1 - exact) / len(drawn)).sqrt()
    assert bool(((shares - exact).abs() <= error + 1e-4).all())


def test_alpha_multiplies_the_logits(model: LSTMLanguageModel, all_sequences: Any) -> None:
    every = all_sequences(4, 3)
    logits = model.hidden(every) @ model.head_weight.t() + model.head_bias
    expected = (1.5 * logits).log_softmax(-1)
    assert torch.allclose(Tempered(model, 1.5).log_probs(every), expected, atol=1e-6)
    twice = Tempered(Tempered(model, 1.5), 2.0)
    assert torch.allclose(twice.log_probs(every), (3.0 * logits).log_softmax(-1), atol=1e-5)
    draws = (
        m.sample(50, stream(1, "t"), inverse_temperature=a) for m, a in ((twice, 1.0), (model, 3.0))
    )
    assert torch.equal(*draws)


@pytest.mark.parametrize(
    ("text", "alphas"),
    [
        ("1.5", [1.5]),
        ("1, 0.7,1", [1.0, 0.7]),
        ("0.7:1.1:0.1", [0.7, 0.8, 0.9, 1.0, 1.1]),
        ("1:1.25:0.1,2", [1.0, 1.1, 1.2, 2.0]),
    ],
)
def test_alphas(text: str, alphas: list[float]) -> None:
    assert parse_alphas(text) == alphas


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0",
        "-1",
        "1:2",
        "1:2:0",
        "nan",
        "snan",
        "1e7",
        "1e400",
        "1e-400",
        "2:1:0.1",
        "1:9:1e-9",
        "0.1:1:1e-30",
        "1:1e6:1e-300",
    ],
)
def test_what_is_no_alpha(text: str) -> None:
    with pytest.raises(UserError, match="--alpha"):
        parse_alphas(text)
    with pytest.raises(UserError, match="--alpha 1,2: expected a number"):
        parse_alphas("1,2", single=True)


# -- stored generators --------------------------------------------------------------------------


def test_a_stored_generator_is_the_final_one(results: Path) -> None:
    directory = run(results, "mle")
    stored = load(directory)
    state = torch.load(directory.path / "generator.pt", weights_only=True)
    for name, value in stored.generator.state_dict().items():
        assert torch.equal(value, state[name])
    assert not stored.generator.training
    # As many as the run itself drew, so the same lines.
    lines = (directory.path / "samples.txt").read_text(encoding="utf-8").splitlines()
    assert sample(stored, len(lines)) == lines
    assert sample(stored, len(lines), seed=1) != lines
    assert sample(stored, len(lines), alpha=1.5) != lines


def test_only_done_runs_are_loaded(results: Path, tmp_path: Path) -> None:
    spec = run(results, "mle").spec()
    queued = RunDirectory(spec.directory(tmp_path))
    queued.create(spec)
    with pytest.raises(UserError, match="is queued: only runs that are done"):
        load(queued)


def test_changed_data_are_noticed(results: Path, tmp_path: Path) -> None:
    directory = run(results, "mle")
    spec = directory.spec()
    path = Path(spec.task_config["train"])
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "one more sentence\n", encoding="utf-8")
    try:
        with pytest.raises(UserError, match="task text is no longer the one"):
            assemble.task(spec)
        assert load(directory).task.fingerprint() == spec.task_fingerprint  # the store kept them
    finally:
        path.write_text(before, encoding="utf-8")


# -- the commands -------------------------------------------------------------------------------


def test_sample_prints_sentences(results: Path) -> None:
    done = textbench("sample text/mle -n 7 --alpha 1.5", results)
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 7
    assert done.output == textbench("sample text/mle -n 7 --alpha 1.5", results).output
    assert done.output != textbench("sample text/mle -n 7", results).output


def test_at_alpha_1_evaluate_repeats_the_final_evaluation(results: Path) -> None:
    directory = run(results, "mle")
    (directory.path / LOG).unlink(missing_ok=True)
    done = textbench("evaluate text/mle --device cpu", results)
    assert done.exit_code == 0, done.output
    (row,) = directory.rows(LOG)
    final = directory.rows("metrics.jsonl")[-1]
    shared = [name for name in final["metrics"] if not name.startswith("ewmd")]
    assert row["metrics"] == {name: final["metrics"][name] for name in shared}
    assert (row["alpha"], row["samples"]) == (1.0, 200)


def test_evaluate_leaves_out_what_is_on_record(results: Path) -> None:
    directory = run(results, "mle")
    (directory.path / LOG).unlink(missing_ok=True)
    line = "evaluate text/mle --device cpu --alpha 0.5:1.5:0.5 --metrics bleu2,nll_test"
    before = sorted((p, p.stat().st_mtime_ns) for p in directory.path.iterdir() if p.name != LOG)
    assert textbench(line, results).exit_code == 0
    rows = directory.rows(LOG)
    assert [row["alpha"] for row in rows] == [0.5, 1.0, 1.5]
    assert len({values_of(row)["bleu2"] for row in rows}) == 3
    again = textbench(line, results)
    assert again.output.count("on record already") == 3
    same = textbench(line + ",bleu3", results)  # another number of the same metric
    assert same.output.count("on record already") == 3
    more = textbench(line + ",mean_length", results)
    assert more.exit_code == 0
    assert all("mean_length" in row["metrics"] for row in directory.rows(LOG)[3:])
    assert not any("bleu2" in row["metrics"] for row in directory.rows(LOG)[3:])
    assert len(directory.rows(LOG)) == 6
    textbench(line + " --samples 50", results)
    assert [row["samples"] for row in directory.rows(LOG)[6:]] == [50] * 3
    after = sorted((p, p.stat().st_mtime_ns) for p in directory.path.iterdir() if p.name != LOG)
    assert after == before  # the run itself is as it was


LENGTH = """
from textbench import Metric, NotApplicableError, Number


class Length(Metric):
    name = "length"
    numbers = (Number("longest", "none", "", "T"), {more})

    def protocol(self, evaluation):
        return "length/1"

    def compute(self, evaluation):
        T = evaluation.samples.shape[1]
        return {returned}
"""


def test_what_did_not_apply_is_computed_again(results: Path, tmp_path: Path) -> None:
    directory = run(results, "mle")
    (directory.path / LOG).unlink(missing_ok=True)
    plugin = tmp_path / "length.py"
    line = f"evaluate text/mle --device cpu --metrics length,bleu2 --plugin {plugin}"

    def evaluated(returned: str, more: str = "") -> str:
        registry._plugins.clear()
        plugin.write_text(LENGTH.format(returned=returned, more=more))
        done = textbench(line, results)
        assert done.exit_code == 0, done.output
        return done.output

    try:
        none = "{'longest': NotApplicableError('not yet')}"
        assert "longest does not apply (not yet)" in evaluated(none)
        assert "on record already" in evaluated(none) and len(directory.rows(LOG)) == 1
        assert "(still not)" in evaluated(none.replace("not yet", "still not"))
        assert "longest" in (mended := evaluated("{'longest': T}")) and "bleu2" not in mended
        assert "on record already" in evaluated("{'longest': 7}")
        more = "Number('shortest', 'none', '', 'T')"
        assert "shortest" in evaluated("{'longest': T, 'shortest': T}", more)
    finally:
        registry._plugins.clear()
    (found,) = (one for one in read_store(results).runs if one.directory.name == directory.name)
    assert found.evaluations()[-1]["metrics"]["longest"]["value"]


def test_options_of_metrics(results: Path) -> None:
    directory = run(results, "mle")
    (directory.path / LOG).unlink(missing_ok=True)
    line = "evaluate text/mle --device cpu --metrics ewmd_test --samples 40"
    textbench(line, results)
    textbench(f"{line} --set ewmd.variant=one-sided", results)
    protocols = [row["metrics"]["ewmd_test"]["protocol"] for row in directory.rows(LOG)]
    assert [p.split()[1] for p in protocols] == ["two-sided", "one-sided"]
    assert all("steps=2 critics=2" in p for p in protocols)  # the run's own options
    assert "on record already" in textbench(f"{line} --set ewmd.variant=one-sided", results).output


def test_without_a_run_every_done_run_is_evaluated(results: Path) -> None:
    for directory in RunDirectory.find(results):
        (directory.path / LOG).unlink(missing_ok=True)
    done = textbench("evaluate --device cpu --alpha 1.5 --metrics bleu5", results)
    assert done.exit_code == 0
    assert "text/real/" in done.output and "text/mle/" in done.output
    absent = "8 do not apply (stored text has no temperature): bleu2, bleu2_refs500, bleu3, "
    assert absent in done.output
    (row,) = run(results, "real").rows(LOG)
    assert values_of(row)["bleu5"] is None
    assert json.loads(json.dumps(row)) == row


def test_why_metrics_do_not_apply_is_said_once(results: Path) -> None:
    directory = run(results, "real")
    (directory.path / LOG).unlink(missing_ok=True)
    done = textbench("evaluate text/real/s --device cpu --alpha 0.5", results)
    (line,) = done.output.splitlines()
    absent = [n for n, one in directory.rows(LOG)[0]["metrics"].items() if one["value"] is None]
    assert line.count("(stored text has no temperature): backward_bleu2, ") == 1
    assert sum(map(int, re.findall(r"(\d+) do not apply", line))) == len(absent) > 30
    assert " and others; 5 do not apply (task text has no oracle): jsd_sequence, " in line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("evaluate absent", "no run in .* is called 'absent'"),
        ("evaluate --metrics blue5", "unknown metric 'blue5'; did you mean 'bleu5'"),
        ("evaluate --metrics ,,", "--metrics ,,: names no metric"),
        ("evaluate --set mle.lr=1", "--set mle: not a metric's section"),
        ("evaluate --set ewmd.step=1 --metrics ewmd_test", "ewmd.step is not an option"),
        ("evaluate --alpha 0", "--alpha 0: expected"),
        ("sample text/mle --alpha 1,2", "--alpha 1,2: expected a number"),
        ("sample text/", "'text/' fits 2 runs"),
    ],
)
def test_what_cannot_be_done(results: Path, line: str, message: str) -> None:
    done = textbench(line, results)
    assert done.exit_code == 2
    (complaint,) = done.stderr.splitlines()
    assert complaint.startswith("textbench: error: ")
    import re

    assert re.search(message, complaint), complaint


def test_a_run_that_cannot_be_read_is_left_out_and_told_by_the_code(
    results: Path, tmp_path: Path
) -> None:
    for name in ("good", "bad"):
        shutil.copytree(results, tmp_path / name)
    (run(tmp_path / "bad", "real").path / "spec.json").write_text("{")
    line = "evaluate --device cpu --alpha 1.5 --metrics bleu5"
    assert textbench(line, tmp_path / "good").exit_code == 0
    done = textbench(line, tmp_path / "bad")
    assert done.exit_code == 1 and "is left out" in done.stderr


def test_an_empty_store_has_nothing_to_evaluate(tmp_path: Path) -> None:
    assert "is done" in textbench("evaluate", tmp_path).stderr
