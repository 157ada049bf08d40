"""README: "`textbench check` tells whether a trainer, ours or yours, keeps every promise"."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from promises import assert_breaks_nothing_else, assert_guide_lists

from textbench.check import CHECKS, Finding, check
from textbench.cli import cli
from textbench.plan import registry, source
from textbench.plan.resolve import Request, expand

BROKEN = Path(__file__).parents[1] / "support" / "broken_trainers.py"
SMALL = (
    *("synthetic-tiny.vocab_size=8", "synthetic-tiny.length=4", "synthetic-tiny.train_size=64"),
    *("synthetic-tiny.embedding=4", "synthetic-tiny.hidden=4"),
    *("synthetic-tiny.validation_size=32", "synthetic-tiny.test_size=512"),
)
NAMES = [check.name for check in CHECKS]


@pytest.fixture(scope="module", autouse=True)
def broken() -> Iterator[None]:
    """Load the plugin, and forget it afterwards."""
    registry.load_plugin(BROKEN)
    yield
    registry._plugins.clear()


def findings(name: str, *settings: str, steps: int = 300) -> dict[str, Finding]:
    request = Request(algos=name, task="synthetic-tiny", preset="ci", settings=settings)
    spec = next(spec for spec in expand(request) if spec.label == name)
    return {finding.check: finding for finding in check(spec, steps)}


def trainers() -> dict[str, dict[str, Any]]:
    """Read the class variables of every trainer of the plugin, without loading it."""
    attributes = [read.attributes for read in source.classes(BROKEN).values()]
    return {found["name"]: found for found in attributes if "name" in found}


# -- ours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry.names("trainer"))
def test_every_built_in_trainer_keeps_every_promise(name: str) -> None:
    found = findings(name, "synthetic-tiny.train_size=128")
    assert not [f for f in found.values() if f.verdict in ("FAILED", "skipped")]
    assert ["runs", *NAMES] == list(found)


# -- broken ones -----------------------------------------------------------------------------------


def test_the_list_of_broken_trainers_is_complete() -> None:
    """Each promise is broken by someone, and the one who breaks none is among them."""
    assert {found["breaks"] for found in trainers().values()} == {"", "runs", *NAMES}


@pytest.mark.parametrize("name", trainers())
def test_a_broken_trainer_fails_what_it_breaks_and_nothing_else(name: str) -> None:
    breaks, says = (trainers()[name][key] for key in ("breaks", "says"))
    settings = ("demanding.temperature=1.0",) if name == "demanding" else ()
    found = findings(name, *SMALL, *settings)
    assert_breaks_nothing_else(found, CHECKS, breaks, says)


# -- how much is looked at -------------------------------------------------------------------------


def test_a_long_schedule_is_cut_and_that_is_said() -> None:
    found = findings("honest", *SMALL, "honest.epochs=1000", steps=6)
    assert not [f for f in found.values() if f.verdict != "ok"]
    assert found["runs"].seen.startswith("6 steps, the first of 4,000")
    assert found["resume"].seen == "interrupted at steps 0, 1, 3, 4, 5: the same bits"


def test_an_n_gram_model_is_not_asked_for_gradients() -> None:
    found = findings("counting", *SMALL)
    assert found["gradients"].verdict == "n/a"
    assert "without parameters that ask for a gradient" in found["log_probs"].seen
    assert "768 tokens scored" in found["budget"].seen


def test_a_reference_row_is_not_asked_to_train() -> None:
    found = findings("real", *SMALL)
    for name in ("losses", "gradients", "log_probs", "causality", "law"):
        assert found[name].verdict == "n/a"


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    def run(line: str) -> Result:
        settings = " ".join(f"--set {setting}" for setting in SMALL)
        arguments = shlex.split(f"check {line} {settings}")
        result = CliRunner().invoke(cli, arguments, prog_name="textbench")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_a_line_for_each_promise(call: Callable[[str], Result]) -> None:
    result = call("mle --set mle.epochs=1")
    assert result.exit_code == 0
    title, *lines, verdict = result.output.splitlines()
    assert title == "mle on synthetic-tiny, preset ci"
    assert verdict == "mle: every promise is kept"
    assert [line.split()[0] for line in lines] == ["ok"] * (1 + len(NAMES))


def test_a_broken_promise_is_exit_code_1(call: Callable[[str], Result]) -> None:
    result = call("sharpened")
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if "FAILED" in line]
    assert re.search(r"FAILED +law .* standard errors .*; right would be: at most 6", line)
    assert result.output.endswith("sharpened: 1 checks not passed\n")


def test_a_file_means_every_trainer_in_it(tmp_path: Path, call: Callable[[str], Result]) -> None:
    file = tmp_path / "two.py"
    file.write_text(TWO, encoding="utf-8")
    result = call(shlex.quote(str(file)))
    assert result.exit_code == 1
    assert re.findall(r"^(\w+): (.*)$", result.output, re.M) == [
        ("first", "every promise is kept"),
        ("second", "1 checks not passed"),
    ]


TWO = '''
import torch
from textbench.contracts.config import Config
from textbench.contracts.trainer import Phase, Trainer


class Base(Trainer[Config]):
    config_schema = Config

    def phases(self):
        return [Phase("train", 2, 2)]

    def setup(self):
        self.generator = self.context.initial_generator()
        self.optimiser = torch.optim.SGD(self.generator.parameters(), lr=0.5)

    def step(self, at):
        loss = self.generator.weighted_nll(self.context.data.batch(at.index, 32))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"nll": loss.detach()}


class First(Base):
    """Keeps its promises."""

    name = "first"


class Second(Base):
    """Does not."""

    name = "second"

    def step(self, at):
        return {"nll": super().step(at)["nll"] / 0.0}
'''


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("mlee", "unknown trainer, metric or task 'mlee'; did you mean 'mle'"),
        ("mle:droput", "unknown variant of mle 'droput'; did you mean 'dropout'"),
        ("absent.py", "plugin absent.py does not exist"),
        ("mle --task sinthetic-tiny", "unknown task 'sinthetic-tiny'"),
        ("mle --preset cy", "unknown preset 'cy'"),
        ("mle --set mle.epoch=3", "mle.epoch is not an option; did you mean 'epochs'"),
        ("mle --steps 0", "--steps"),
        ("", "Missing argument"),
    ],
)
def test_mistakes_are_one_clear_line(
    call: Callable[[str], Result], line: str, complaint: str
) -> None:
    result = call(line)
    assert result.exit_code == 2
    assert complaint in result.output
    assert result.output.count("\n") == 1


def test_a_file_without_a_trainer(tmp_path: Path, call: Callable[[str], Result]) -> None:
    file = tmp_path / "empty.py"
    file.write_text("x = 1\n", encoding="utf-8")
    result = call(shlex.quote(str(file)))
    assert result.exit_code == 2
    assert "defines no Trainer" in result.output


def test_variants_are_checked_as_rows() -> None:
    found: dict[str, Any] = findings("mle:dropout", *SMALL, "mle.epochs=1")
    assert {finding.verdict for finding in found.values()} == {"ok"}


# -- docs/adding-a-trainer.md ----------------------------------------------------------------------

GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-trainer.md"


def test_the_guide_lists_every_check() -> None:
    assert_guide_lists(GUIDE, NAMES)
