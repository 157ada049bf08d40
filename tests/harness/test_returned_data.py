"""What a task gives is looked at before anything is trained on it, and where its text is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import damage as kinds
import pytest
import torch

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.contracts.streams import stream
from textbench.plan import build, registry
from textbench.plan.build import BrokenPluginError
from textbench.plan.resolve import Request, expand
from textbench.store import kept
from textbench.store.directory import RunDirectory

BROKEN = Path(__file__).parents[1] / "support" / "broken_tasks.py"

PLUGIN = """
import torch
from textbench import Config, NotApplicableError, Task, stream


class Digits(Task):
    "Digits, none likelier than another."

    name = "digits"
    config_schema = Config

    def __init__(self, config):
        super().__init__(config)
        self.vocab_size, self.length = 10, 5
        self.parts = [torch.randint(0, 10, (80, 5), generator=stream(i, "x")) for i in range(3)]

    def fingerprint(self):
        return "digits"

    def train(self, seed, number):
        return {train}

    def train_size(self):
        return 80

    def validation(self):
        {validation}

    def test(self):
        {test}

    def decode(self, tokens):
        lines = [" ".join(map(str, row)) for row in tokens.tolist()]
        return {decode}
"""
SOUND = {
    "train": "self.parts[0]",
    "validation": "return self.parts[1]",
    "test": "return self.parts[2]",
    "decode": "lines",
}
SHAPE = r"it must be \(N, 5\), int64, N > 0"
LINES = "it must be a list, one line of text for each sequence"


@pytest.fixture(autouse=True)
def _forget_plugins() -> Iterator[None]:
    yield
    registry._plugins.clear()


def spec(folder: Path, **changed: str) -> Spec:
    plugin = folder / "digits.py"
    plugin.write_text(PLUGIN.format(**{**SOUND, **changed}))
    settings = ("mle.epochs=1", "evaluation.samples=4", "evaluation.final_samples=4")
    given = Request(algos="mle", task="digits", preset="ci", settings=settings, plugins=(plugin,))
    return expand(given)[0]


def run(folder: Path, **changed: str) -> RunDirectory:
    return kinds.make(folder / "results", spec(folder, **changed))


@pytest.mark.parametrize(
    ("part", "code", "said"),
    [
        ("train", "self.parts[0].numpy()", r"train is a ndarray; it must be a tensor \(N, 5\)"),
        ("train", "self.parts[0].int()", rf"train has shape \(80, 5\), torch.int32; {SHAPE}"),
        ("train", "self.parts[0].float()", rf"train has shape .* torch.float32; {SHAPE}"),
        ("train", "self.parts[0][:, :4]", rf"train has shape \(80, 4\), torch.int64; {SHAPE}"),
        ("train", "self.parts[0] + 1", "train holds symbols from 1 to 10; it must be 0 to 9"),
        ("train", "self.parts[0][:64]", r"train_size\(\) is 80, train has 64; it must be the num"),
        ("validation", "return None", r"validation is None; it must be a tensor \(N, 5\), int64"),
        ("validation", "return self.parts[1][:0]", rf"validation has shape \(0, 5\), .*; {SHAPE}"),
        ("test", "return self.parts[2][:0]", rf"test has shape \(0, 5\), torch.int64; {SHAPE}"),
        ("test", "return self.parts[2].to(torch.uint8)", rf"test has .* torch.uint8; {SHAPE}"),
        ("test", "return None", r"test is None; it must be a tensor \(N, 5\), int64"),
        ("decode", "None", rf"decode\(\) returned None; {LINES}"),
        ("decode", "iter(lines)", rf"decode\(\) returned <.*>; {LINES}"),
        ("decode", "lines[1:]", rf"decode\(\) of 2 sequences gives 1 lines; {LINES}"),
        ("decode", "tokens.tolist()", rf"decode\(\) gives \[.*\]; {LINES}"),
        ("decode", r"[one + '\n' + one for one in lines]", rf"decode\(\) gives .*; {LINES}"),
    ],
)
def test_data_that_nothing_could_read_are_refused_before_the_first_step(
    tmp_path: Path, part: str, code: str, said: str
) -> None:
    made = run(tmp_path, **{part: code})
    status = made.status()
    assert status.status == "failed" and re.match(f"task digits: {said}", status.reason), status
    assert not status.traceback and made.evaluations() == []


@pytest.mark.parametrize("part", ["test", "validation"])
def test_data_that_cannot_be_had_name_the_line(tmp_path: Path, part: str) -> None:
    status = run(tmp_path, **{part: "raise ValueError('gone')"}).status()
    said = r"task digits cannot give its data: .*digits\.py:\d+: ValueError: gone"
    assert status.status == "failed" and re.match(said, status.reason), status.reason


def test_only_validation_sequences_may_be_missing(tmp_path: Path) -> None:
    none = "raise NotApplicableError('there are none')"
    status = run(tmp_path, test=none).status()
    assert status.status == "failed" and "cannot give its data" in status.reason, status.reason
    registry._plugins.clear()
    status = run(tmp_path, validation=none).status()
    assert status.status == "done", status.reason


def test_text_of_what_a_generator_draws_is_looked_at_as_well(tmp_path: Path) -> None:
    wanted = spec(tmp_path, decode="lines[:40]")  # enough for what is tried before a run
    status = kinds.make(tmp_path / "results", wanted).status()
    assert status.status == "failed" and "gives 40 lines; it must be a list" in status.reason
    task = registry.load_task("digits")(registry.load_task("digits").config_schema())
    tokens = torch.randint(0, 10, (50, 5), generator=stream(0, "test"))
    with pytest.raises(BrokenPluginError, match=r"task digits: decode\(\) of 50 sequences gives"):
        build.decoded(task, tokens)


@pytest.mark.parametrize("name", ["wordless", "unreferenced", "demanding-task", "hoarding"])
def test_a_run_looks_at_what_check_looks_at_and_names_the_method(tmp_path: Path, name: str) -> None:
    registry.load_plugin(BROKEN)
    kind = cast(Any, registry.load_task(name))
    (tmp_path / "mine.txt").write_text("".join(f"a b {i}\n" for i in range(60)))
    options = {"file": str(tmp_path / "mine.txt")} if kind.family == "text" else {"size": 40}
    task = kind(kind.config_schema(**options))
    given = replace(spec(tmp_path), task=name)
    with pytest.raises(UserError, match=rf"^task {name}: {re.escape(kind.says)}.*; it must be "):
        build.reference_rows(task)
        build.check_data(task, 0)
        kept.keep(tmp_path, given, task)
