"""What plug-ins return is looked at where the harness takes it: one line, before it is recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import damage as kinds
import pytest
import torch
from click.testing import CliRunner

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.cli import cli
from textbench.contracts.errors import UserError
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.number import Number
from textbench.contracts.spec import Spec
from textbench.contracts.streams import stream
from textbench.plan import registry
from textbench.plan.resolve import Request, expand
from textbench.run.local import LocalEngine
from textbench.run.measure import measure
from textbench.store.directory import RunDirectory
from textbench.store.files import checksum
from textbench.store.read import problems
from textbench.tasks.synthetic import SyntheticTiny


@pytest.fixture(autouse=True)
def _forget_plugins() -> Iterator[None]:
    yield
    registry._plugins.clear()


# -- metrics -----------------------------------------------------------------------------------


class Odd(Metric):
    """Returns what it is told to."""

    name = "odd"
    direction = "higher"
    summary = "whatever"
    value: Any = 1.0
    line: Any = "odd/1"

    def protocol(self, evaluation: Evaluation) -> Any:
        return self.line

    def compute(self, evaluation: Evaluation) -> Any:
        return self.value


class OddPair(Odd):
    """The same of two numbers."""

    name = "odd_pair"
    numbers = (Number("left", "higher", "", "left"), Number("right", "lower", "", "right"))
    value: Any = {"left": 1.0, "right": 2.0}  # noqa: RUF012


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    registry.load_task("synthetic-tiny")
    task = SyntheticTiny(SyntheticTiny.config_schema(vocab_size=4, length=3, train_size=8))
    model = LSTMLanguageModel(4, 3, 2, 2)
    model.initialise(stream(0, "test"))
    return Evaluation(model, task, seed=0, moment="epoch 1", samples=4)


def told(kind: type[Odd], **returned: object) -> Odd:
    metric: Odd = type(kind.__name__, (kind,), returned)()
    return metric


@pytest.mark.parametrize("line", [None, 3, "", "two\nlines", b"odd/1"])
def test_a_protocol_is_a_line_of_text(evaluation: Evaluation, line: object) -> None:
    said = r"metric odd: protocol\(\) returned .*; one line of text for each number is needed"
    with pytest.raises(UserError, match=said):
        measure([told(Odd, line=line)], evaluation)


@pytest.mark.parametrize("lines", [None, {"left": "left/1"}, {"left": "left/1", "right": 7}])
def test_every_number_has_a_protocol(evaluation: Evaluation, lines: object) -> None:
    with pytest.raises(UserError, match=r"odd_pair: protocol\(\) returned .* for (left|right);"):
        measure([told(OddPair, line=lines)], evaluation)


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, "None"),
        ("1.5", "'1.5'"),
        ([1.0], r"\[1.0\]"),
        (torch.zeros(3), r"tensor\(\[0., 0., 0.\]\)"),
        (10**400, "a int"),
        (1j, "1j"),
    ],
)
def test_a_value_is_a_number(evaluation: Evaluation, value: object, seen: str) -> None:
    said = rf"metric odd: compute\(\) returned {seen} for odd; it must be a number, or a NotApplic"
    with pytest.raises(UserError, match=said):
        measure([told(Odd, value=value)], evaluation)


@pytest.mark.parametrize("name", ["samples", "test"])
def test_what_metrics_share_is_not_changed(name: str) -> None:
    task = SyntheticTiny(SyntheticTiny.config_schema(vocab_size=4, length=3, train_size=8))
    model = LSTMLanguageModel(4, 3, 2, 2)
    model.initialise(stream(0, "test"))
    shared = Evaluation(model, task, seed=0, moment="epoch 1", samples=4)

    def compute(self: Odd, evaluation: Evaluation) -> float:
        getattr(evaluation, name)[:, 0] = 0
        return 1.0

    before = measure([told(Odd)], shared)
    assert measure([told(Odd)], shared) == before
    with pytest.raises(
        UserError, match=rf"odd changed evaluation.{name} in place, .* clones first"
    ):
        measure([told(Odd, compute=compute)], shared)


@pytest.mark.parametrize("value", [2, 2.0, torch.tensor(2.0), torch.tensor([2.0])])
def test_whatever_is_one_number_is_taken_as_a_float(evaluation: Evaluation, value: object) -> None:
    found = measure([told(Odd, value=value)], evaluation)["odd"]["value"]
    assert type(found) is float and found == 2.0


def test_a_reason_is_one_line(evaluation: Evaluation) -> None:
    found = measure([told(Odd, value=NotApplicableError("two\n  lines"))], evaluation)
    (one,) = found.values()
    assert one["value"] is None and one.get("reason") == "two lines"


# -- trainers ------------------------------------------------------------------------------------

PLUGIN = """
import threading
from textbench import Phase
from textbench.algorithms.mle import MLE


class Smooth(MLE):
    name = "smooth"

    def phases(self):
        return {phases}

    def setup(self):
        super().setup()
        self.extra = {extra}

    def step(self, at):
        found = super().step(at)
        return {step}
"""
NUMBERS = "it must return a dict of names and numbers"
PHASES = r"it must return a list of Phase\(name, epochs, steps\), whole numbers from 0"


def specs(
    folder: Path,
    phases: str = "super().phases()",
    step: str = "found",
    extra: str = "0",
    **given: bool,
) -> list[Spec]:
    plugin = folder / "smooth.py"
    plugin.write_text(PLUGIN.format(phases=phases, step=step, extra=extra))
    request = Request(
        algos="smooth",
        task="synthetic-tiny",
        preset="ci",
        settings=(*kinds.SETTINGS[:-1], "smooth.epochs=1"),
        plugins=(plugin,),
    )
    return expand(request, **given)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("None", rf"step\(\) returned None; {NUMBERS}"),
        ("2.5", rf"step\(\) returned 2.5; {NUMBERS}"),
        ("{'nll': 'low'}", rf"step\(\) returned 'low' for nll; {NUMBERS}"),
        ("{'nll': 10**400}", rf"step\(\) returned a int for nll; {NUMBERS}"),
        ("{'': 1.0}", "it logs '', which is no name"),
        ("{1: 1.0}", "it logs 1, which is no name"),
        ("{'nll': None}", rf"step\(\) returned None for nll; {NUMBERS}"),
        ("{'nll': found['nll'].expand(2)}", rf"step\(\) returned .* for nll; {NUMBERS}"),
    ],
)
def test_a_step_returns_names_and_numbers(tmp_path: Path, step: str, said: str) -> None:
    status = kinds.make(tmp_path / "results", specs(tmp_path, step=step)[0]).status()
    assert status.status == "failed" and re.match(f"smooth: {said}", status.reason), status.reason
    assert not status.traceback


def test_an_exception_names_the_line_of_the_plug_in(tmp_path: Path) -> None:
    status = kinds.make(tmp_path / "results", specs(tmp_path, step="1 / 0")[0]).status()
    said = r"ZeroDivisionError: division by zero \(\w+\.py:\d+\)"
    assert re.fullmatch(said, status.reason), status.reason
    file = re.search(r'File "(.*)", line (\d+), in step', status.traceback)
    assert file and f"({Path(file[1]).name}:{file[2]})" in status.reason


@pytest.mark.parametrize(
    ("phases", "seen"),
    [
        ("None", "None"),
        ("Phase('train', 2, 2)", r"Phase\(name='train', .*\)"),
        ("[('train', 2, 2)]", r"\('train', 2, 2\) in its list"),
        ("[Phase('train', 2.5, 2)]", r"Phase\(.*epochs=2.5.* in its list"),
        ("[Phase('train', 2, -1)]", r"Phase\(.*steps=-1.* in its list"),
        ("[Phase('train', True, 1)]", r"Phase\(.*epochs=True.* in its list"),
    ],
)
def test_phases_are_whole_and_known_before_anything_runs(
    tmp_path: Path, phases: str, seen: str
) -> None:
    said = rf"smooth: phases\(\) returned {seen}; {PHASES}"
    with pytest.raises(UserError, match=said):
        specs(tmp_path, phases=phases, schedules=True)
    status = kinds.make(tmp_path / "results", specs(tmp_path, phases=phases)[0]).status()
    assert status.status == "failed" and re.match(said, status.reason) and not status.traceback


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ("[]", "with these options its schedule has no steps"),
        ("[Phase('train', 0, 4), Phase('more', 4, 0)]", "with these options its schedule has no"),
        ("[Phase('train', 10**20, 8)]", r"with these options it never ends: over 1e\+18 steps"),
        ("[Phase('train', 10**400, 8)]", "with these options it never ends"),
    ],
)
def test_a_schedule_begins_and_ends_before_anything_runs(
    tmp_path: Path, phases: str, said: str
) -> None:
    with pytest.raises(UserError, match=f"smooth: {said}"):
        specs(tmp_path, phases=phases, schedules=True)
    status = kinds.make(tmp_path / "results", specs(tmp_path, phases=phases)[0]).status()
    assert status.status == "failed" and re.match(f"smooth: {said}", status.reason)


@pytest.mark.parametrize(
    ("extra", "kind"), [("threading.Lock()", "lock"), ("lambda: 0", "function"), ("[{1}]", "set")]
)
def test_what_no_checkpoint_can_hold_is_refused_before_the_first_step(
    tmp_path: Path, extra: str, kind: str
) -> None:
    run = kinds.make(tmp_path / "results", specs(tmp_path, extra=extra)[0])
    status = run.status()
    assert status.status == "failed" and status.step == 0
    assert status.reason.startswith("TypeError: Smooth.extra")
    assert f"is a {kind}, which a checkpoint cannot hold" in status.reason
    assert run.evaluations() == []


def test_an_init_that_keeps_no_context_is_told_what_it_lacks(tmp_path: Path) -> None:
    init = "def __init__(self, config, context): self.config = config\n    def more(self):"
    plugin = PLUGIN.replace("def phases(self):", f"{init} pass\n\n    def phases(self):")
    (tmp_path / "smooth.py").write_text(plugin.format(phases="0", step="found", extra="0"))
    request = Request(algos="smooth", task="synthetic-tiny", plugins=(tmp_path / "smooth.py",))
    with pytest.raises(UserError, match="smooth: it has no context: its __init__ must call super"):
        expand(request, schedules=True)


def test_phases_that_raise_are_one_line_of_the_dry_run(tmp_path: Path) -> None:
    specs(tmp_path, phases="[][0]")
    line = "run --algos smooth --task synthetic-tiny --preset ci --dry-run"
    line += f" --plugin {tmp_path / 'smooth.py'}"
    done = CliRunner().invoke(cli, line.split(), prog_name="textbench")
    assert done.exit_code == 2 and done.output.count("\n") == 1
    assert "smooth: phases() failed: " in done.output and "smooth.py:11: IndexError" in done.output


def test_a_number_that_is_not_finite_names_its_run(tmp_path: Path) -> None:
    run = kinds.make(tmp_path / "results", kinds.specs("0")[0])
    plugin = tmp_path / "nowhere.py"
    plugin.write_text(
        "from textbench import Metric\nclass M(Metric):\n    name = 'nowhere'\n"
        "    direction = 'none'\n    summary = 'nan'\n    def protocol(self, e): return 'm/1'\n"
        "    def compute(self, e): return float('nan')\n"
    )
    line = f"evaluate --metrics nowhere --plugin {plugin} --results {run.store}"
    done = CliRunner().invoke(cli, line.split(), prog_name="textbench")
    assert done.exit_code == 2
    assert done.output == f"textbench: error: {run.name}: nowhere is nan\n"


# -- records that were written before that was looked at ----------------------------------------


@pytest.fixture
def unreadable(tmp_path: Path) -> RunDirectory:
    """A run that is done by its checksums, and whose record holds what no reader takes."""
    run = kinds.make(tmp_path / "results", kinds.specs("0")[0])
    path = run.path / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["metrics"]["nll_test"]["direction"] = "up"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status = json.loads((run.path / "status.json").read_text())
    status["checksums"]["metrics.jsonl"] = checksum(path.read_bytes())
    (run.path / "status.json").write_text(json.dumps(status))
    return run


def mapped(run: RunDirectory) -> Any:
    engine = LocalEngine(run.store, jobs=1, devices=["cpu"])
    ((_, status),) = engine.map(kinds.specs("0"))
    return status


def test_a_run_that_nobody_can_read_is_made_again(unreadable: RunDirectory) -> None:
    status = mapped(unreadable)
    assert status.status == "done"
    assert "not described as it must be: started again, what there was is in aside-1" in status.note
    assert problems(unreadable) == []
    assert '"up"' in (unreadable.path / "aside-1" / "metrics.jsonl").read_text()


def test_what_is_damaged_beside_a_finished_run_is_said(tmp_path: Path) -> None:
    run = kinds.make(tmp_path / "results", kinds.specs("0")[0])
    before = (run.path / "metrics.jsonl").read_bytes()
    (run.path / "evaluations.jsonl").write_text('{"alpha": "none"}\n')
    status = mapped(run)
    assert status.status == "done" and "remove that file and repeat" in status.reason
    assert (run.path / "metrics.jsonl").read_bytes() == before
