"""Connecting to a Ray cluster: what is missing or wrong is one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import fake_ray
import pytest
from click.testing import CliRunner

from textbench.cli import cli
from textbench.run import connect


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


LINE = ["run", "--algos", "mle", "--task", "synthetic-tiny", "--preset", "ci"]


def refusal(*options: str, results: Path) -> str:
    found = CliRunner().invoke(cli, [*LINE, *options, "--results", str(results)])
    assert found.exit_code == 2, found.output
    (line,) = found.stderr.splitlines()
    return line


def test_without_ray_one_line(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    line = refusal("--engine", "ray", results=results)
    assert "--engine ray needs Ray, which is not installed: `pip install 'textbench[ray]'`" in line
    assert not results.exists()


@pytest.mark.parametrize("address", ["nowhere", "host:", ":1", "host:99999", "a\x1bb:1"])
def test_what_is_no_address(results: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setitem(sys.modules, "ray", fake_ray.Machines())
    line = refusal("--engine", "ray", "--address", address, results=results)
    assert "expected HOST:PORT" in line or "nobody answers there" in line


def test_a_cluster_that_is_not_there(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", fake_ray.Machines())
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert "nobody answers there" in refusal("--engine", "ray", results=results)

    def init(**options: Any) -> None:
        raise ConnectionError("no\nluck")

    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setattr(sys.modules["ray"], "init", init)
    assert "no Ray cluster: ConnectionError: no" in refusal("--engine", "ray", results=results)


def test_devices_that_the_cluster_has_not(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", fake_ray.Machines())
    assert "the cluster has no GPU" in refusal(
        "--engine", "ray", "--device", "cuda", results=results
    )
    assert "the cluster chooses" in refusal(
        "--engine", "ray", "--device", "cuda:1", results=results
    )
    assert "--address is for --engine ray" in refusal("--address", "a:1", results=results)


def test_an_address_reaches_ray_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = fake_ray.Machines()
    monkeypatch.setitem(sys.modules, "ray", machines)
    monkeypatch.setattr(connect, "_check_address", lambda address: None)
    assert connect.connect("10.0.0.5:6379", 4) is machines
    assert machines.initialised["address"] == "10.0.0.5:6379"
    assert "num_cpus" not in machines.initialised
