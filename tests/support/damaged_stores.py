"""A store with a run to damage, and a neighbour."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import damage as kinds
import pandas as pd
from click.testing import CliRunner, Result

from textbench.cli import cli
from textbench.store.frames import load_curves, load_results

AGAIN = "evaluate --device cpu --metrics nll_test"
RUN = "run --algos mle --task synthetic-tiny --preset ci --seeds 0:2 --device cpu"
RUN += "".join(f" --set {setting}" for setting in kinds.SETTINGS)


class Store:
    """Two runs that are done: one to damage, and a neighbour."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results"
        self.victim, self.neighbour = (kinds.make(self.path, spec) for spec in kinds.specs())
        for run in (self.victim, self.neighbour):
            assert run.status().status == "done", run.status()
            (run.path / "log.txt").write_text("printed\n", encoding="utf-8")
            assert (
                call("evaluate --device cpu --alpha 1.5 --metrics nll_test", self.path).exit_code
                == 0
            )
        assert call(f"{AGAIN} --alpha 1.5", self.path).exit_code == 0
        (self.path / "owner.json").write_text('{"host": "elsewhere", "pid": 1}\n')
        os.utime(self.path / "owner.json", (1, 1))
        self.results, self.curves = self.frames()

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return load_results(self.path), load_curves(self.path)

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.path, folder / "results"))


def call(line: str, results: Path) -> Result:
    return CliRunner().invoke(cli, [*shlex.split(line), "--results", str(results)])
