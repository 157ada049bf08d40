"""`textbench tune`: equal numbers of draws that repeat themselves, a choice by validation data."""

from __future__ import annotations

import math
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import forked
import pytest
from click.testing import CliRunner, Result
from pydantic import Field
from stores import make_run

from textbench.cli import cli
from textbench.contracts.config import Config, tunable
from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.judge.targets import tuning
from textbench.plan import registry, tune
from textbench.plan.resolve import Request, expand
from textbench.store.rows import Status

TRAINERS = [name for name in registry.names("trainer") if not name.startswith("real")]


def call(line: str) -> Result:
    return CliRunner().invoke(cli, shlex.split(line), prog_name="textbench")


@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_trainer_that_learns_can_be_tuned_within_its_ranges(trainer: str) -> None:
    found = tune.ranges(trainer)
    drawn = tune.draw(trainer, 16)
    assert len(drawn) == 16 and all(options.keys() == found.keys() for options in drawn)
    for name, (scale, low, high) in found.items():
        values = [options[name] for options in drawn]
        assert low * 0.99 <= min(values) and max(values) <= high * 1.01
        middle = math.sqrt(low * high) if scale == "log" else (low + high) / 2
        assert 5 <= sum(value < middle for value in values) <= 11, name


def test_draws_repeat_and_no_other_trainer_moves_them() -> None:
    assert tune.draw("cot", 4) == tune.draw("cot", 4)
    assert tune.draw("cot", 4) != tune.draw("cot", 5)[:4]
    assert [o["lr"] for o in tune.draw("mle", 4)] != [o["g_lr"] for o in tune.draw("cot", 4)]


def test_a_file_means_the_runs_that_were_drawn(tmp_path: Path) -> None:
    variants = {f"mle:trial{i}-of3": options for i, options in enumerate(tune.draw("mle", 3))}
    path = tmp_path / "trials.toml"
    text = tune.config_file(["one", ""], {"task": "synthetic-tiny", "preset": "ci"}, variants)
    path.write_text(text, encoding="utf-8")
    assert tomllib.loads(text)["algos"] == list(variants)
    specs = expand(Request(config=path, seeds="7"))
    assert [spec.label for spec in specs] == list(variants)
    for spec in specs:
        assert spec.config.items() >= variants[spec.label].items()
        assert spec.config["epochs"] == 4 and spec.seed == 7  # the preset's


class Odd(Config):
    """Options with ranges that are none."""

    a: float = Field(1.0, json_schema_extra={"tune": ["log", 0.0, 1.0]})
    """From zero, on a logarithmic scale."""


class Narrow(Config):
    """A range that the option itself refuses."""

    a: float = Field(0.5, lt=0.6, json_schema_extra=tunable("linear", 0.7, 0.9))
    """Too much."""


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (Odd, r"mine\.a: \['log', 0\.0, 1\.0\] is no range"),
        (Narrow, r"mine\.a: Input should be less than 0\.6"),
        (Config, "mine: no option declares a range"),
    ],
)
def test_ranges_that_are_none_are_one_line(
    schema: type[Config], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine:
        config_schema = schema

    monkeypatch.setattr(registry, "load_trainer", lambda name: Mine)
    with pytest.raises(UserError, match=message):
        tune.draw("mine", 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--algos mle:dropout --task synthetic-tiny", "mle:dropout: tune takes trainers"),
        ("--algos mlle --task synthetic-tiny", "unknown trainer 'mlle'"),
        ("--algos real --task synthetic-tiny", "real: no option declares a range"),
        ("--algos mle --task kjv", "task kjv has no target; there are table1-mle (of synthetic)"),
        ("--algos mle --task synthetic-tinny", "unknown task 'synthetic-tinny'; did you mean 'syn"),
        ("--algos mle --task synthetic-tiny --dry-run --device tpu", "--device tpu: expected"),
        ("--algos mle --task synthetic-tiny --target x", "no target 'x' of task synthetic-tiny"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(f"tune {line} --preset ci")
    assert result.exit_code == 2 and message in result.stderr
    assert result.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


def test_every_trainer_gets_the_same_number_of_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = "tune --algos mle,cot,gold --task synthetic-tiny --preset ci --trials 4 --device cpu"
    result = call(f"{line} --seeds 100:102 --dry-run")
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.trials.toml"]
    for name in ("mle", "cot", "gold"):
        assert result.output.count(f"({name}:trial") == 4 * 2
    assert result.output.count("(mle seed") == 2  # GOLD's warm-up, once for all its trials


@pytest.mark.parametrize(
    ("algos", "message"),
    [
        ("mle,cot,mle", "--algos names 'mle' twice"),
        (" , ", "no algorithm given"),
        ("mlee", "unknown trainer 'mlee'; did you mean"),
    ],
)
def test_trainers_are_named_as_for_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algos: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(f"tune --algos '{algos}' --task synthetic-tiny --preset ci --trials 1 --dry-run")
    assert result.exit_code == 2 and message in result.output
    assert not list(tmp_path.iterdir())


OWN = """
from pydantic import Field
from textbench import Config, Phase, Trainer, tunable


class MineConfig(Config):
    rate: float = Field(0.1, json_schema_extra=tunable("log", 1e-3, 0.5))


class Mine(Trainer[MineConfig]):
    name = "mine"
    config_schema = MineConfig

    def phases(self):
        return {phases}

    def setup(self):
        self.generator = self.context.initial_generator()

    def step(self, at):
        return {{}}
"""


@pytest.mark.parametrize("phases", ["[Phase('train', 1, 1)]", "None"])
def test_a_trainer_of_ones_own_is_tuned_like_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phases: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_plugins", {})
    (tmp_path / "mine.py").write_text(OWN.format(phases=phases))
    line = "tune --algos mine,mle --task synthetic-tiny --preset ci --trials 3 --plugin mine.py"
    result = call(f"{line} --seeds 100 --dry-run")
    if phases == "None":
        assert result.exit_code == 2 and "mine:trial0-of3: phases() returned None" in result.output
        return
    assert result.exit_code == 0, result.output
    assert result.output.count("(mine:trial") == result.output.count("(mle:trial") == 3
    text = (tmp_path / "tuned.trials.toml").read_text()
    assert "# Its trainers need --plugin mine.py.\n" in text


ARGUMENTS = "--algos mle --task synthetic-tiny --preset ci --trials 2 --seeds 100 --device cpu"


TUNE = f"textbench tune {ARGUMENTS} --jobs 1"


def test_it_survives_being_killed_and_reproduces_itself(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert forked.textbench(TUNE, whole).returncode == 0
    command = [sys.executable, "-m", *shlex.split(TUNE)]
    process = subprocess.Popen(
        command, cwd=killed, stdout=subprocess.DEVNULL, start_new_session=True
    )
    while not list(killed.glob("tuning/*/*/*/metrics.jsonl")):
        time.sleep(0.05)
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "tuned.toml").exists()
    assert forked.textbench(TUNE, killed).returncode == 0
    assert (killed / "tuned.toml").read_bytes() == (whole / "tuned.toml").read_bytes()
    (spec,) = expand(Request(config=whole / "tuned.toml", seeds="0"))
    assert spec.label == "mle:tuned-k2" and tuning(spec.label) == "tuned (2)"
    assert {key: spec.config[key] for key in ("lr", "dropout")} in tune.draw("mle", 2)
    values = [
        [line.partition('"metrics"')[2] for line in path.read_text("utf-8").splitlines()]
        for folder in (whole, killed)
        for path in sorted(folder.glob("tuning/*/*/*/metrics.jsonl"))
    ]
    assert len(values) == 4 and values[:2] == values[2:]


def told(monkeypatch: pytest.MonkeyPatch, met: Mapping[str, Sequence[float]], failed: str) -> None:
    """Have trials end with these values of both numbers of the target, and one row fail."""

    def run(engine: Any, specs: Sequence[Spec]) -> int:
        for spec in specs:
            ended = Status("failed", reason="ValueError: ours") if spec.label == failed else None
            numbers = dict.fromkeys(("nll_validation", "nll_oracle"), met[spec.label][spec.seed])
            make_run(engine.results, spec, [numbers], status=ended)
        return 1

    monkeypatch.setattr("textbench.cli.run.run_specs", run)


def test_only_the_trials_of_this_command_choose_and_those_that_failed_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = "tune --algos mle --task synthetic-tiny --preset ci --trials 3 --device cpu --seeds"
    first, second, third = (f"mle:trial{number}-of3" for number in range(3))
    told(monkeypatch, {first: [9.0, 5.0], second: [1.0, 6.0], third: [9.0, 1.0]}, failed=third)
    earlier = call(f"{line} 0 --out earlier.v1")
    assert earlier.exit_code == 1, earlier.output
    assert "mle: trial1-of3 of 2 that were measured" in earlier.output
    assert call(f"{line} 1 --out tuned.v2").exit_code == 1
    assert call(f"{line} 1 --out tuned.v2").exit_code == 1  # its own are replaced
    for out, foreign in {"notes.txt": "notes.txt", "x.toml": "x.trials.toml"}.items():
        (tmp_path / foreign).write_text("mine")
        refused = call(f"{line} 1 --out {out}")
        assert (refused.exit_code, (tmp_path / foreign).read_text()) == (2, "mine")
        assert f"--out: {foreign} is there already, and `textbench tune` has not" in refused.output
    chosen = tomllib.loads((tmp_path / "tuned.v2").read_text())["variants"]["mle"]["tuned-k3"]
    assert chosen == tune.draw("mle", 3)[0]  # trial 1 met the target with the other seed alone
    # Each file has its own trials beside it, whatever it is called.
    for name in ("earlier.v1.trials.toml", "tuned.v2.trials.toml"):
        assert len(tomllib.loads((tmp_path / name).read_text())["algos"]) == 3


def test_trials_that_all_failed_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told(monkeypatch, {"mle:trial0-of1": [1.0]}, failed="mle:trial0-of1")
    line = "tune --algos mle --task synthetic-tiny --preset ci --trials 1 --device cpu --seeds 0"
    result = call(line)
    assert result.exit_code == 2 and not (tmp_path / "tuned.toml").exists()
    assert result.stderr == (
        "textbench: error: mle: nothing to choose from; no trial has a finished run that measured "
        "target tiny (nll_validation, nll_oracle)\n"
    )
