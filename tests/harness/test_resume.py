"""README: "survives kill -9 and resumes to the same bits".

The worker runs in a forked child, which kills itself with SIGKILL at a chosen moment; the same
call then continues in another child, until the run is done. The result must equal that of a run
nobody killed: generator, samples and every log row, the clock's readings aside.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from textbench.contracts.spec import Spec
from textbench.plan import registry
from textbench.plan.resolve import Request, expand
from textbench.run import checkpoint, endings, worker
from textbench.run.conditions import Conditions
from textbench.store.directory import RunDirectory
from textbench.store.rows import CHECKPOINT

CLOCKS = ("seconds", "cpu_seconds")
SMALL = (
    "synthetic-tiny.train_size=128",
    "synthetic-tiny.test_size=64",
    "synthetic-tiny.validation_size=64",
    "evaluation.samples=64",
    "evaluation.final_samples=96",
    "mle.epochs=2",
    "seqgan.warmup_epochs=2",
)
FORK = multiprocessing.get_context("fork")
torch.optim.Adam([torch.zeros(1, requires_grad=True)])
"""The first optimiser imports torch._dynamo (seconds): once here, not in every child."""


def run_directory(results: Path, algorithm: str) -> RunDirectory:
    """Create the run of ``algorithm`` at its smallest size."""
    algos = ",".join(dict.fromkeys(["mle", "seqgan", algorithm]))
    request = Request(algos=algos, task="synthetic-tiny", preset="ci", seeds="0", settings=SMALL)
    spec = next(spec for spec in expand(request) if spec.trainer == algorithm)
    directory = RunDirectory(spec.directory(results))
    directory.create(spec)
    return directory


def execute(
    directory: RunDirectory, prepare: Callable[[], None] = lambda: None, every: int = 1
) -> int:
    """Execute the run in a forked child, checkpointing every so many steps; return its code."""

    def child() -> None:
        torch.set_num_threads(1)
        prepare()
        options = Conditions(torch.device("cpu"), checkpoint_steps=every)
        os._exit(worker.execute(RunDirectory(directory.path), options))

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def kill(owner: Any, function: str, call: int, *, after: bool) -> Callable[[], None]:
    """Return a preparation: die before or after the ``call``-th call of a function."""

    def prepare() -> None:
        original = getattr(owner, function)
        calls = 0

        def dying(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **keywords)
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, function, dying)

    return prepare


def outcome(directory: RunDirectory) -> dict[str, Any]:
    """Return all that two executions of the same run must agree on."""
    logs = {
        name: [
            {key: value for key, value in row.items() if key not in CLOCKS}
            for row in directory.rows(name)
        ]
        for name in checkpoint.LOGS
    }
    return {
        **logs,
        "generator": (directory.path / "generator.pt").read_bytes(),
        "samples": (directory.path / "samples.txt").read_bytes(),
        "status": directory.status().status,
        "steps": directory.status().total,
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Return the outcome of an algorithm's run that nobody killed, made once."""
    known: dict[str, dict[str, Any]] = {}

    def get(algorithm: str) -> dict[str, Any]:
        if algorithm not in known:
            directory = run_directory(tmp_path_factory.mktemp("undisturbed"), algorithm)
            assert execute(directory, every=10**9) == 0, directory.status()
            known[algorithm] = outcome(directory)
        return known[algorithm]

    return get


ALGORITHMS = [name for name in registry.names("trainer") if not name.startswith("real")]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_killed_at_every_checkpoint_boundary(
    algorithm: str, tmp_path: Path, undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    """Each life ends right after its first checkpoint, so every boundary is crossed once."""
    directory = run_directory(tmp_path, algorithm)
    every = max(1, undisturbed(algorithm)["steps"] // 7)
    death = kill(checkpoint, "save", 1, after=True)
    lives = 0
    while (code := execute(directory, death, every)) != 0:
        assert code == -signal.SIGKILL, directory.status()
        assert directory.status().status == "interrupted"
        lives += 1
    assert lives > 3
    assert outcome(directory) == undisturbed(algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_killed_at_random_moments(
    algorithm: str, tmp_path: Path, undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    """Between a log row and its checkpoint, and in the middle of replacing a file."""
    chance = random.Random(algorithm)  # noqa: S311 - not for cryptography
    directory = run_directory(tmp_path, algorithm)
    every = max(1, undisturbed(algorithm)["steps"] // 9)
    moments = [(checkpoint, "save"), (RunDirectory, "append"), (os, "replace"), (torch, "save")]
    code = -signal.SIGKILL
    for _ in range(6):
        owner, function = chance.choice(moments)
        moment = kill(owner, function, chance.randint(2, 9), after=chance.random() < 0.5)
        code = execute(directory, moment, every)
        assert code in (0, -signal.SIGKILL), directory.status()
    if code != 0:
        assert execute(directory, every=every) == 0
    assert outcome(directory) == undisturbed(algorithm)


def test_warm_up_inline_equals_the_warm_up_run_alone(
    tmp_path: Path, undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    """The warm-up is an ordinary run, whoever executes it."""
    alone = undisturbed("mle")
    directory = run_directory(tmp_path, "seqgan")
    assert execute(directory) == 0
    warmup = directory.spec().warmup
    assert warmup is not None
    assert outcome(RunDirectory(warmup.directory(tmp_path))) == alone


def test_a_run_never_resumes_on_another_kind_of_device(tmp_path: Path) -> None:
    """The checkpoint names its device; the refusal says how to go on."""
    directory = run_directory(tmp_path, "mle")
    assert execute(directory, kill(checkpoint, "save", 2, after=True)) == -signal.SIGKILL
    path = directory.path / CHECKPOINT
    state = torch.load(path, weights_only=True)
    torch.save({**state, "device": "cuda"}, path)
    assert execute(directory) == 1
    status = directory.status()
    assert status.status == "failed"
    assert "--device cuda" in status.reason
    assert not status.traceback


def test_stopping_at_the_deadline_and_going_on(
    tmp_path: Path, undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    """A used-up time budget is a status of its own, and the same call goes on."""
    directory = run_directory(tmp_path, "mle")
    options = Conditions(torch.device("cpu"), deadline=0.0)
    assert worker.execute(directory, options) == endings.INTERRUPTED
    assert directory.status().status == "timeout"
    assert execute(directory) == 0
    assert outcome(directory) == undisturbed("mle")


def test_a_run_whose_plugin_is_gone_says_so_in_one_line_and_goes_on_at_its_new_place(
    tmp_path: Path,
) -> None:
    """The directory remembers where the file was; the command says where it is now."""
    file, moved = tmp_path / "mine.py", tmp_path / "elsewhere.py"
    file.write_text(PLUGIN, encoding="utf-8")

    def spec_of(plugin: Path) -> Spec:
        request = Request(algos="mine", task="synthetic-tiny", preset="ci", settings=SMALL[:5])
        (spec,) = expand(dataclasses.replace(request, plugins=(plugin,)))
        return spec

    first = spec_of(file)
    directory = RunDirectory(first.directory(tmp_path))
    directory.create(first)
    registry._plugins.clear()
    file.rename(moved)
    assert worker.execute(directory, Conditions(torch.device("cpu"))) == 1
    reason = directory.status().reason
    assert reason.startswith(f"{directory.name} was made with plugin {file}, which is no longer")
    assert "\n" not in reason and "--plugin FILE" in reason and not directory.status().traceback
    again = spec_of(moved)
    assert again.hash == first.hash
    directory.create(again)
    assert worker.execute(directory, Conditions(torch.device("cpu"))) == 0
    registry._plugins.clear()


PLUGIN = """
from textbench.algorithms.mle import MLE, MLEConfig
from pydantic import Field


class MineConfig(MLEConfig):
    epochs: int = Field(1, ge=1)


class Mine(MLE):
    name = "mine"
    config_schema = MineConfig
"""
