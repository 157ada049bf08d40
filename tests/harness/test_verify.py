"""`textbench verify`: a run made again to the same bits, and ways in which a record can lie."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from fresh import train

from textbench.cli import cli
from textbench.plan.resolve import Request, expand
from textbench.run import repeat, worker
from textbench.run.conditions import Conditions
from textbench.store.directory import RunDirectory
from textbench.store.files import checksum

LOGS = ("metrics.jsonl", "curve.jsonl")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of mle, and a run that starts from a warm-up."""
    folder = tmp_path_factory.mktemp("verify") / "results"
    train(folder, "mle", "0:3")
    train(folder, "policy_gradient", "0")
    return folder


@pytest.fixture
def copied(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "results"))


def call(line: str) -> Result:
    return CliRunner().invoke(cli, shlex.split(line), prog_name="textbench")


def verify(folder: Path, run: str = "mle/s0", more: str = "--steps 25") -> Result:
    return call(f"verify {run} --results {folder} {more}")


def path_of(folder: Path, run: str = "mle/s0") -> Path:
    trainer, _, seed = run.partition("/")
    (path,) = folder.glob(f"*/{trainer}/{seed}-*")
    return path


def rewrite(path: Path, name: str, change: Callable[[str], str], *, seal: bool) -> None:
    """Change a log; with ``seal`` the checksum on record follows, as a forger's would."""
    file = path / name
    file.write_text(change(file.read_text("utf-8")), encoding="utf-8")
    if seal:
        status = json.loads((path / "status.json").read_text("utf-8"))
        status["checksums"][name] = checksum(file.read_bytes())
        (path / "status.json").write_text(json.dumps(status), encoding="utf-8")


def first_loss(change: float) -> Callable[[str], str]:
    def changed(text: str) -> str:
        rows = [json.loads(line) for line in text.splitlines()]
        row = next(row for row in rows if row["kind"] == "loss")
        row["values"]["nll"] += change
        return "".join(json.dumps(row) + "\n" for row in rows)

    return changed


def first_value(change: float) -> Callable[[str], str]:
    def changed(text: str) -> str:
        rows = [json.loads(line) for line in text.splitlines()]
        rows[0]["metrics"]["nll_test"]["value"] += change
        return "".join(json.dumps(row) + "\n" for row in rows)

    return changed


def test_an_honest_run_is_made_again_to_the_same_bits(store: Path) -> None:
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    result = verify(store)
    assert result.exit_code == 0, result.output
    files, steps = result.stdout.splitlines()
    assert files == "ok      files: every file is what the run wrote"
    assert steps.startswith("ok      steps: ") and steps.endswith(
        "numbers of 25 steps are the same to the bit"
    )
    assert before == {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_a_whole_run_can_be_made_again_and_be_called_by_its_path(store: Path) -> None:
    result = call(f"verify {path_of(store)} --steps 1000000")
    assert result.exit_code == 0, result.output
    assert "of 32 steps are the same to the bit" in result.stdout


def test_a_run_starts_from_its_warm_up_of_the_store(copied: Path) -> None:
    result = verify(copied, "policy_gradient/s0", "--steps 2")
    assert result.exit_code == 0, result.output
    (path_of(copied) / "generator.pt").unlink()
    result = verify(copied, "policy_gradient/s0", "--steps 2")
    assert result.exit_code == 2
    assert "whose generator.pt is not in" in result.stderr and result.stderr.count("\n") == 1


def test_nothing_but_the_record_of_a_warm_up_is_read(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (path_of(copied) / "junk").symlink_to(tmp_path / "outside")
    os.mkfifo(path_of(copied) / "pipe")  # whoever reads it waits for ever
    result = verify(copied, "policy_gradient/s0", "--steps 2")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["generator.pt", "metrics.jsonl", "curve.jsonl"])
def test_a_damaged_warm_up_is_one_line(copied: Path, name: str) -> None:
    file = path_of(copied) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    result = verify(copied, "policy_gradient/s0", "--steps 2")
    assert result.exit_code == 2, result.output
    name_of_warmup = "/".join(path_of(copied).parts[-3:])
    assert f"error: the run starts from {name_of_warmup}: " in result.stderr
    assert result.stderr.count("\n") == 1


def test_nothing_compared_is_not_the_same(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phase that logs nothing in its first steps."""
    monkeypatch.setattr(repeat, "_numbers", lambda directory: iter(()))
    result = verify(store, "mle/s0", "--steps 1")
    assert result.exit_code == 2, result.output
    assert "has no number on record of its first 1 step(s)" in result.stderr


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_one_changed_byte_in_a_log_fails(copied: Path, name: str, place: float) -> None:
    file = path_of(copied) / name
    content = bytearray(file.read_bytes())
    at = next(
        i for i in range(int(place * len(content)), len(content)) if chr(content[i]) in "1234"
    )
    content[at] += 1
    file.write_bytes(bytes(content))
    result = verify(copied)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"FAILED  files: {name} is not what the run wrote")


@pytest.mark.parametrize(
    ("name", "change", "number"),
    [("curve.jsonl", first_loss, "nll"), ("metrics.jsonl", first_value, "nll_test")],
)
def test_a_forged_record_whose_checksums_fit_fails_when_it_is_made_again(
    copied: Path, name: str, change: Callable[[float], Any], number: str
) -> None:
    rewrite(path_of(copied), name, change(1e-7), seal=True)
    result = verify(copied)
    assert result.exit_code == 1
    files, steps = result.stdout.splitlines()
    assert files.startswith("ok ") and steps.startswith(f"FAILED  steps: {name}, step ")
    assert f": {number} is " in steps


def test_a_row_that_was_left_out_is_missed(copied: Path) -> None:
    def without(text: str) -> str:
        return "".join(text.splitlines(keepends=True)[1:])

    rewrite(path_of(copied), "curve.jsonl", without, seal=True)
    result = verify(copied)
    assert result.exit_code == 1 and "is None on record" in result.stdout


def test_elsewhere_a_number_must_lie_within_the_band_of_the_replicates(copied: Path) -> None:
    path = path_of(copied)
    environment = json.loads((path / "env.json").read_text("utf-8"))
    environment["starts"][0]["cpu"] = "another"
    (path / "env.json").write_text(json.dumps(environment), encoding="utf-8")
    for change, code in ((1e-6, 0), (5.0, 1)):
        rewrite(path, "curve.jsonl", first_loss(change), seal=True)
        result = verify(copied)
        assert result.exit_code == code, result.output
        assert "note    this is another place: cpu " in result.stdout
    assert "within the band of 2 replicate(s)" in call(f"verify {path} --steps 5").stdout
    for seed in (1, 2):
        shutil.rmtree(path_of(copied, f"mle/s{seed}"))
    rewrite(path, "curve.jsonl", first_loss(1e-6 - 5.0), seal=True)
    assert verify(copied).exit_code == 1  # nothing to judge it by


def test_a_trainer_that_is_another_by_now_cannot_be_verified(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textbench.algorithms.mle import MLE

    monkeypatch.setattr(MLE, "version", 99)
    result = verify(copied)
    assert result.exit_code == 2 and "cannot be made again" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("losses", "evaluations"), [(1, 1), (3, 2)])
def test_an_interrupted_run_is_compared_as_far_as_it_came(
    copied: Path, losses: int, evaluations: int
) -> None:
    """What it has not come to is no difference; what it has still must be the same."""
    path = path_of(copied)
    status = json.loads((path / "status.json").read_text("utf-8"))
    status |= {"status": "interrupted", "step": 1, "checksums": {}}
    (path / "status.json").write_text(json.dumps(status), encoding="utf-8")
    for name, kept in (("metrics.jsonl", evaluations), ("curve.jsonl", losses)):
        lines = (path / name).read_text("utf-8").splitlines(keepends=True)
        (path / name).write_text("".join(lines[:kept]), encoding="utf-8")
    result = verify(copied)
    assert result.exit_code == 0, result.output
    last = json.loads((path / "curve.jsonl").read_text("utf-8").splitlines()[-1])["step"]
    assert f"numbers of {last} steps are the same to the bit" in result.stdout
    rewrite(path, "curve.jsonl", first_loss(1e-9), seal=False)
    result = verify(copied)
    assert result.exit_code == 1 and "nll is" in result.stdout


def test_a_run_that_diverges_again_where_it_did_is_what_it_says(tmp_path: Path) -> None:
    settings = ("mle.lr=3e38", "mle.clip=0", "evaluation.every_steps=1")
    spec, *_ = expand(Request("mle", "synthetic-tiny", "ci", seeds="0", settings=settings))
    run = RunDirectory(spec.directory(tmp_path))
    run.create(spec)
    worker.execute(run, Conditions(torch.device("cpu")))
    assert run.status().status == "diverged"
    result = verify(tmp_path)
    assert result.exit_code == 0, result.output
    assert "are the same to the bit" in result.stdout
    rewrite(run.path, "metrics.jsonl", first_value(1e-9), seal=False)
    assert verify(tmp_path).exit_code == 1


def test_steps_are_those_of_training(store: Path) -> None:
    found = repeat.repeat(RunDirectory(path_of(store)), 7)
    assert found.steps == 7 and not found.differences and not found.elsewhere
    assert found.compared > 10
