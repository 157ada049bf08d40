"""A store can be read, sampled and evaluated where its data are not, and runs go on elsewhere."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from textbench.cli import cli
from textbench.contracts.config import validate
from textbench.contracts.errors import UserError
from textbench.contracts.spec import digest
from textbench.contracts.task import Kept
from textbench.plan.resolve import Request, expand
from textbench.run import again, assemble
from textbench.store import kept
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.tasks.oracle import NAMES, draw_parameters
from textbench.tasks.synthetic import Synthetic, SyntheticConfig
from textbench.tasks.text import Text, TextConfig

FAST = "--preset ci --set ewmd.steps=2 --set text.references=[] --device cpu --jobs 1"
FILES = "--set text.train=train.txt --set text.valid=valid.txt --set text.test=test.txt"

Call = Callable[[str], Result]
pytestmark = pytest.mark.usefixtures("forked_workers")


def run(line: str) -> Result:
    result = CliRunner().invoke(cli, shlex.split(line), prog_name="textbench")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write_corpus(folder: Path) -> None:
    for seed, (name, size) in enumerate({"train": 80, "valid": 30, "test": 40}.items()):
        unknown = ["a zebra , <unk> , sees the moon ."] if name == "test" else []
        corpus.write(folder / f"{name}.txt", [*corpus.sentences(size, seed), *unknown])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, forked_workers: None) -> Path:
    """A store that was made with relative paths, and what it printed there."""
    home = tmp_path_factory.mktemp("home")
    write_corpus(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        done = run(f"run --algos mle --task text --set mle.epochs=1 {FILES} {FAST}")
        assert done.exit_code == 0, done.output
        (home / "samples").write_text(run("sample mle -n 5").stdout, encoding="utf-8")
    return home


@pytest.fixture
def elsewhere(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store alone, in another folder."""
    shutil.copytree(made / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_copied_store_works_without_its_corpus(made: Path, elsewhere: Path) -> None:
    samples = run("sample mle -n 5")
    assert samples.stdout == (made / "samples").read_text(encoding="utf-8")
    for line in (
        "status",
        "report",
        "compare results results",
        "sample mle -n 3 --alpha 1.5",
        "verify mle --steps 1",
        "evaluate --alpha 1.2 --metrics nll,bleu,diversity,ewmd_train --set ewmd.steps=2",
    ):
        result = run(line)
        assert result.exit_code == 0, f"{line}: {result.output}"
    assert "nll_test" in result.stdout


def test_a_published_store_samples_without_its_corpus_and_holds_none_of_it(
    made: Path, elsewhere: Path
) -> None:
    for path in Path("results").glob("*/*/*/env.json"):  # as if from a clean checkout
        path.write_text(path.read_text("utf-8").replace('"dirty": true', '"dirty": false'))
    assert run("publish results mine --to kept").exit_code == 0
    shutil.rmtree("results")
    samples = run("sample mle -n 5 --results kept/mine")
    assert samples.stdout == (made / "samples").read_text(encoding="utf-8")
    assert run("report --results kept/mine").exit_code == 0
    assert not list(Path("kept").rglob("*.npz"))


def test_values_are_those_that_the_corpus_itself_gives(made: Path, elsewhere: Path) -> None:
    here, there = (
        run(f"evaluate mle --alpha 1.3 --metrics nll,bleu --samples 30 --results {store}")
        for store in (elsewhere / "results", made / "results")
    )
    assert "nll_test" in here.stdout
    assert here.stdout == there.stdout


def test_the_vocabulary_alone_gives_samples_and_says_what_else_is_lacking(
    made: Path, elsewhere: Path
) -> None:
    for path in elsewhere.glob("results/text/*.npz"):
        path.unlink()
    assert run("sample mle -n 5").stdout == (made / "samples").read_text(encoding="utf-8")
    result = run("evaluate mle --alpha 1.4 --metrics nll")
    assert result.exit_code == 2
    assert "the sentences of task text are not in this store" in result.stderr
    there = " ".join(f"--set text.{s}={made / s}.txt" for s in ("train", "valid", "test"))
    assert run(f"evaluate mle --alpha 1.4 --metrics nll {there}").exit_code == 0


def test_without_what_the_store_keeps_the_corpus_is_asked_for(made: Path, elsewhere: Path) -> None:
    for path in elsewhere.glob("results/text/data-*"):
        path.unlink()
    result = run("sample mle")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "--set text.KEY=VALUE says where the data are now" in result.stderr
    there = " ".join(f"--set text.{s}={made / s}.txt" for s in ("train", "valid", "test"))
    samples = run(f"sample mle -n 5 {there}")
    assert samples.stdout == (made / "samples").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sample mle --set text.train={other}", "is no longer the one"),
        ("sample mle --set mle.epochs=2", "--set mle: only the task's options"),
        ("sample mle --set text.trainn=x", "text.trainn is not an option; did you mean 'train'"),
        ("evaluate mle --set synthetic.oracle=published", "no run here is of task synthetic"),
        ("evaluate mle --set mle.epochs=2", "not a metric's section, nor a task's"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    elsewhere: Path, line: str, message: str
) -> None:
    write_corpus(elsewhere)
    corpus.write(elsewhere / "other.txt", corpus.sentences(70, 9))
    result = run(line.format(other="other.txt"))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_lost_parameters_name_the_command_that_makes_them_again(
    made: Path, elsewhere: Path
) -> None:
    (directory,) = RunDirectory.find(Path("results"))
    (directory.path / "generator.pt").unlink()
    result = run("sample mle -n 5")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    command = result.stderr.partition("made again by: textbench ")[2].strip()
    write_corpus(elsewhere)
    assert run(f"{command} --device cpu --jobs 1").exit_code == 0
    samples = run("sample mle -n 5 --results again")
    assert samples.stdout == (made / "samples").read_text(encoding="utf-8")


def test_the_command_makes_a_row_of_a_config_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variant is called so without the file, and a shipped one of that name is another."""
    monkeypatch.chdir(tmp_path)
    text = "[variants.mle.slow]\nlr = 0.003\n[variants.mle.dropout]\ndropout = 0.25\n"
    Path("mine.toml").write_text(text + '["mle:slow@ci"]\nepochs = 3\n', encoding="utf-8")
    plan = Request(
        algos="mle,mle:slow,mle:dropout,mle:early_stop,policy_gradient",
        task="synthetic-tiny",
        preset="ci",
        settings=["mle.clip=3.5", "evaluation.samples=50"],
        config=Path("mine.toml"),
    )
    for spec in expand(plan):
        words = shlex.split(again.command(spec))
        assert ("mle.lr=0.003" in words) == (spec.variant == "slow")
        made = run(shlex.join([*words[1:], "--dry-run"]))
        assert f"s0-{spec.hash[:8]}" in made.stdout, (words, made.output)


def test_a_run_goes_on_where_its_files_have_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    write_corpus(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    line = f"run --algos mle --task text --set mle.epochs=1 {FAST}"
    first = run(f"{line} {FILES} --time-budget 1s --results ../store")
    assert first.exit_code in (0, 75), first.output
    (directory,) = RunDirectory.find(tmp_path / "store")
    standing = directory.status()
    standing.status = "interrupted"  # however quick the machine
    directory.write_status(standing)
    (tmp_path / "a").rename(tmp_path / "b")
    monkeypatch.chdir(tmp_path)
    for path in tmp_path.glob("store/text/data-*"):
        path.unlink()
    there = " ".join(f"--set text.{s}=b/{s}.txt" for s in ("train", "valid", "test"))
    again_ = run(f"{line} {there} --results store")
    assert again_.exit_code == 0, again_.output
    (directory,) = RunDirectory.find(tmp_path / "store")
    assert directory.spec().task_config["train"] == "b/train.txt"
    assert directory.status().status == "done"


# -- what is kept ----------------------------------------------------------------------------------


def text(folder: Path, **options: object) -> Text:
    write_corpus(folder)
    files = {split: str(folder / f"{split}.txt") for split in ("train", "valid", "test")}
    return Text(validate(TextConfig, {**files, **options}, "text"))


@pytest.mark.parametrize(
    "options",
    [{}, {"tokeniser": "character", "length": 60}, {"max_vocabulary": 3, "case": "lower"}],
    ids=["words", "characters", "few words"],
)
def test_a_restored_task_is_the_task(tmp_path: Path, options: dict[str, object]) -> None:
    task = text(tmp_path, **options)
    described = json.loads(json.dumps(task.kept().described))
    restored = Text.restored(task.config, Kept(described, task.kept().tensors))
    assert restored.fingerprint() == task.fingerprint()
    assert restored.references() == task.references()
    assert restored.decode(task.test()) == task.decode(task.test())
    assert (restored.vocab_size, restored.length) == (task.vocab_size, task.length)
    assert restored.note == task.note
    for one, other in ((restored.train(0, 0), task.train(0, 0)), (restored.test(), task.test())):
        assert torch.equal(one, other)


def test_an_oracle_from_a_file_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "oracle.npz"
    np.savez(file, **dict(draw_parameters(3, 7, 4, 5)))
    task = Synthetic(SyntheticConfig(oracle=str(file), length=4, test_size=5, validation_size=4))
    found = task.kept()
    assert found is not None and set(found.tensors) == set(NAMES)
    restored = Synthetic.restored(task.config, found)
    assert restored.fingerprint() == task.fingerprint()
    assert torch.equal(restored.test(), task.test())
    assert Synthetic(SyntheticConfig(vocab_size=5)).kept() is None  # the seed is all


def damaged(made: Path, target: Path, suffix: str, content: bytes) -> tuple[Path, RunDirectory]:
    shutil.copytree(made / "results", target / "results")
    (path,) = target.glob(f"results/text/data-*{suffix}")
    path.write_bytes(content)
    (directory,) = RunDirectory.find(target / "results")
    return path, directory


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"PK\x03\x04", b"\x93NUMPY", b'{"checksum": "", "described": 1e999}'),
        json.dumps({"described": {}, "checksum": digest({"described": {}})}).encode(),
    ],
)
def test_damage_is_one_line_and_the_corpus_still_serves(
    made: Path, tmp_path: Path, suffix: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, directory = damaged(made, tmp_path, suffix, content)
    told = run(f"status --verify --results {tmp_path / 'results'}")
    assert told.exit_code == 1 and path.name in told.stdout
    with pytest.raises(DamagedError, match=path.name):
        kept.kept(directory.store, directory.spec())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=path.name):
        again.load(directory)
    write_corpus(tmp_path)
    assert again.load(directory).task.name == "text"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda test: test[::-1], "fingerprint does not fit"),
        (lambda test: test.astype(complex), "what the store keeps of it is damaged"),
    ],
)
def test_other_words_in_their_place_are_noticed(
    made: Path, tmp_path: Path, change: Callable[[Any], Any], said: str
) -> None:
    """A description that fits its checksum, and data that are no longer the run's."""
    shutil.copytree(made / "results", tmp_path / "results")
    (directory,) = RunDirectory.find(tmp_path / "results")
    spec = directory.spec()
    path = kept.tensors_path(directory.store, spec)
    arrays = dict(np.load(path))
    arrays["test"] = change(arrays["test"])
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=said):
        assemble.task(spec, directory.store)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([[3, 5], [2, 300]]),
        torch.tensor([[-1, 3]]),
        torch.tensor([3, 5, 2]),
        torch.tensor(7),
        torch.tensor([], dtype=torch.int64),
        torch.tensor([[0.5]]),
        torch.tensor([104, 105], dtype=torch.uint8),
    ],
)
def test_what_is_kept_comes_back_as_it_was(tmp_path: Path, tensor: torch.Tensor) -> None:
    (again,) = kept.as_restored(Kept({}, {"one": tensor})).tensors.values()
    assert again.dtype == tensor.dtype and torch.equal(again, tensor)


def test_symbols_outside_the_vocabulary_are_refused(tmp_path: Path) -> None:
    task = text(tmp_path)
    found = task.kept()
    wrong = {**found.tensors, "test": found.tensors["test"] + 1000}
    with pytest.raises(ValueError, match="another form"):
        Text.restored(task.config, Kept(found.described, wrong))
