"""What the user watches."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from textbench.cli import progress
from textbench.cli.progress import Progress, clock, summary
from textbench.contracts.spec import Spec
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status


def make_spec(trainer: str, seed: int = 0) -> Spec:
    return Spec(trainer, 1, {}, "t", {}, "", {}, {}, seed)


BOTH = {"m": 1.5, "n": 2.5}


class Watch:
    """A Progress on fake time, with its output."""

    def __init__(
        self, results: Path, specs: list[Spec], monkeypatch: Any, *, jobs: int = 1, **console: Any
    ) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)
        self.output = io.StringIO()
        self.results, self.specs = results, specs
        self.console = Console(file=self.output, width=100, **console)
        self.progress = Progress(results, specs, jobs, self.console)
        for spec in specs:
            RunDirectory(spec.directory(results)).create(spec)

    def write(self, spec: Spec, **status: Any) -> None:
        run = RunDirectory(spec.directory(self.results))
        run.write_status(Status(**{"status": "done", **status}))

    def take(self) -> list[str]:
        """Return the lines since the last call."""
        text = self.output.getvalue()
        self.output.truncate(0)
        self.output.seek(0)
        return text.splitlines()


def test_plain_lines_are_rare_and_say_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("a")
    watch = Watch(tmp_path, [spec], monkeypatch)
    with watch.progress:
        lines = []
        for i in range(250):
            known = {"rate": 2.0, "eta": 65.0, "metrics": BOTH, "headlines": ["m"]}
            watch.write(spec, phase="p", step=i // 125, total=9, **known)
            watch.now += 0.1
            watch.progress.tick([spec])
            lines += watch.take()
        assert lines == [
            f"a seed 0: p, {step}/9, 2 steps/s, 1m05s left, m 1.500" for step in (0, 1)
        ]
        watch.progress.finish(spec, Status("failed", reason="why", metrics=BOTH, headlines=["m"]))
        assert watch.take() == ["[1/1] a seed 0: failed in 25s; why; m 1.500"]


def test_a_line_that_says_nothing_new_comes_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("a")
    watch = Watch(tmp_path, [spec], monkeypatch)
    watch.write(spec, phase="p")
    for _ in range(130):
        watch.now += 1.0
        watch.progress.tick([spec])
    assert watch.take() == ["a seed 0: p"] * 3


def test_stopping_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(tmp_path, [], monkeypatch)
    watch.progress.stopping()
    watch.progress.stopping()
    (line,) = watch.take()
    assert line.startswith("Stopping at the next checkpoints")


def test_a_run_that_was_finished_before_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [make_spec("a"), make_spec("b")]
    watch = Watch(tmp_path, specs, monkeypatch)
    watch.progress.finish(specs[0], Status("done", metrics={"other": 3.0}))
    watch.progress.finish(specs[1], Status("queued"))
    assert watch.take() == ["[1/2] a seed 0: done (already); other 3.000", "[2/2] b seed 0: queued"]


def test_a_terminal_shows_one_live_line_per_run_and_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [make_spec("a"), make_spec("a", seed=1), make_spec("b")]
    watch = Watch(tmp_path, specs, monkeypatch, force_terminal=True, color_system=None)
    watch.write(specs[0], phase="p", step=3, total=9, eta=100.0)
    with watch.progress:
        watch.progress.tick(specs[:1])
        shown = "\n".join(watch.take())
    assert "a seed 0  p  3/9" in shown and "1m40s left" in shown
    # One at a time: 100 s for the live one, 100 s each for its replicate and the unknown one.
    assert "0 of 3 runs settled, 2 waiting, about 5m00s left" in shown


def test_jobs_share_the_time_left_but_none_ends_before_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [make_spec("a"), make_spec("b")]
    watch = Watch(tmp_path, specs, monkeypatch, jobs=2, force_terminal=True)
    watch.write(specs[0], phase="p", eta=100.0)
    watch.write(specs[1], phase="p", eta=40.0)
    with watch.progress:
        watch.progress.tick(specs)
        assert "about 1m40s left" in "\n".join(watch.take())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (3725, "1h02m"), (90000, "1d01h")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_table_shows_headlines_first_and_only_what_fits() -> None:
    metrics = {"zz": 2.25, "aaaaaaaaaaaaaaaa": 1.0}
    status = Status("done", step=3, total=9, metrics=metrics, headlines=["zz"])
    outcomes = [(make_spec("a"), status), (make_spec("b"), Status("failed"))]

    def heads(width: int) -> list[str]:
        return [str(column.header) for column in summary(outcomes, width).columns]

    fixed = ["task", "algorithm", "seed", "status", "steps"]
    assert heads(200) == [*fixed, "zz", "aaaaaaaaaaaaaaaa"]
    assert heads(48) == [*fixed, "zz"]
    assert heads(10) == fixed
    console = Console(file=io.StringIO(), width=48)
    console.print(summary(outcomes, 48))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.split() for line in text.splitlines()] == [
        [*fixed, "zz"],
        ["t", "a", "0", "done", "3/9", "2.250"],
        ["t", "b", "0", "failed"],
    ]
