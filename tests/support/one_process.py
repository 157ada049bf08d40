"""The Ray engine on a cluster in this process, whose hosts execute the fake worker."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_worker import FAKE

from textbench.contracts.spec import Spec
from textbench.run import assemble, host, local
from textbench.run.cluster import RayEngine
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status


def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hosts execute the fake worker, in folders under ``tmp_path``."""
    script = tmp_path / "worker.py"
    script.write_text(FAKE)
    monkeypatch.setattr(host, "WORKER", (sys.executable, str(script)))
    monkeypatch.setattr(host.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(local, "LOOK", 0.05)
    monkeypatch.setattr(assemble, "task", lambda spec, store: SimpleNamespace(kept=lambda: None))


def engine(
    results: Path, machines: Any, monkeypatch: pytest.MonkeyPatch, **given: Any
) -> RayEngine:
    monkeypatch.setitem(sys.modules, "ray", machines)
    return RayEngine(results, **given)


def settle(
    found: RayEngine, specs: list[Spec], tick: Any = lambda active: None
) -> dict[str, Status]:
    settled = {spec.label: status for spec, status in found.map(specs, tick)}
    for spec in specs:
        assert not RunDirectory(spec.directory(found.results)).is_locked()
    return settled


def left_behind(results: Path) -> list[Path]:
    return list(results.parent.glob(f"{host.PREFIX}*"))
