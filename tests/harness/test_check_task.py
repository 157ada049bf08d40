"""README: "`textbench check` tells whether a plug-in keeps every promise": tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import corpus
import pytest
from click.testing import CliRunner
from promises import assert_breaks_nothing_else, assert_guide_lists

from textbench.check import TASK_CHECKS, Finding, check_task, task_fingerprint
from textbench.cli import cli
from textbench.contracts.metric import NotApplicableError
from textbench.plan import registry, source
from textbench.plan.resolve import Request, resolve_task

BROKEN = Path(__file__).parents[1] / "support" / "broken_tasks.py"
GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-task.md"
NAMES = [check.name for check in TASK_CHECKS]
IN_ANOTHER_PROCESS = ("sound", "written", "local")


@pytest.fixture(scope="module", autouse=True)
def broken() -> Iterator[None]:
    """Load the plugin, and forget it afterwards."""
    registry.load_plugin(BROKEN)
    yield
    registry._plugins.clear()


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sentences")
    lines = [f"{line} {number}" for number, line in enumerate(corpus.sentences(60))]
    return corpus.write(folder / "all.txt", [*lines, "the end ."])


def tasks() -> list[str]:
    """Return the names of the plugin's tasks, without loading it."""
    attributes = [read.attributes for read in source.classes(BROKEN).values()]
    return [found["name"] for found in attributes if "name" in found]


def findings(name: str, *settings: str, preset: str = "ci") -> dict[str, Finding]:
    asked = Request(task=name, preset=preset, settings=settings, plugins=(BROKEN,))
    built, _ = resolve_task(asked)
    return {f.check: f for f in check_task(type(built), built.config, (BROKEN,))}


def test_every_synthetic_task_keeps_every_promise() -> None:
    found = findings("synthetic-tiny")
    assert not [f for f in found.values() if f.verdict in ("FAILED", "skipped")]
    assert ["runs", *NAMES] == list(found)
    assert found["kept"].verdict == "n/a"


def test_own_text_keeps_every_promise(sentences: Path, tmp_path: Path) -> None:
    test = corpus.write(tmp_path / "test.txt", [f"{s} 7" for s in corpus.sentences(20, 5)])
    files = (f"text.train={sentences}", f"text.test={test}")
    found = findings("text", *files, "text.max_vocabulary=20")
    assert not [f for f in found.values() if f.verdict in ("FAILED", "skipped")]
    assert found["kept"].verdict == "ok"


def test_the_list_of_broken_tasks_is_complete() -> None:
    """Each promise is broken by someone, and those who break none are among them."""
    kinds: list[Any] = [registry.load_task(name) for name in tasks()]
    assert {kind.breaks for kind in kinds} == {"", "runs", *NAMES}


@pytest.mark.parametrize("name", tasks())
def test_a_broken_task_fails_what_it_breaks_and_nothing_else(
    name: str, sentences: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = registry.load_task(name)
    if name not in IN_ANOTHER_PROCESS:  # it takes seconds
        monkeypatch.setattr(
            task_fingerprint, "_expect_process_does_not_matter", lambda *arguments: None
        )
    reads = "file" in kind.config_schema.model_fields
    config = kind.config_schema(**({"file": str(sentences)} if reads else {}))
    found = {f.check: f for f in check_task(kind, config, (BROKEN,))}
    assert_breaks_nothing_else(found, TASK_CHECKS, kind.breaks, kind.says)


def test_the_guide_lists_every_check() -> None:
    assert_guide_lists(GUIDE, NAMES)


# -- the command -----------------------------------------------------------------------------------


def call(*arguments: str) -> Any:
    result = CliRunner().invoke(cli, ["check", *arguments], prog_name="textbench")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for no fingerprint in another process: it takes seconds, and other tests do."""
    name = "_expect_process_does_not_matter"
    monkeypatch.setattr(task_fingerprint, name, lambda *arguments: None)


def test_a_line_for_each_promise(sentences: Path, one_process: None) -> None:
    result = call("text", "--set", f"text.train={sentences}")
    assert result.exit_code == 0, result.output
    title, *lines, verdict = result.output.splitlines()
    assert title == "task text, preset ci"
    assert verdict == "text: every promise is kept"
    assert [line[10:28].strip() for line in lines] == ["runs", *NAMES]


def test_a_broken_promise_is_exit_code_1(one_process: None) -> None:
    result = call("wishful", "--plugin", str(BROKEN))
    assert result.exit_code == 1
    assert result.output.endswith("wishful: 1 checks not passed\n")


def test_a_task_of_a_file_that_no_store_keeps_says_so(sentences: Path) -> None:
    kind: Any = registry.load_task("written")
    record = SimpleNamespace(task=SimpleNamespace(kept=lambda: None))
    laboratory = SimpleNamespace(kind=kind, config=kind.config_schema(file=str(sentences)))
    (kept,) = [check for check in TASK_CHECKS if check.name == "kept"]
    with pytest.raises(NotApplicableError, match=r"runs need the file of written\.file for good"):
        kept.judge(laboratory, record)
    laboratory.config = kind.config_schema()
    with pytest.raises(NotApplicableError, match="its configuration says it all"):
        kept.judge(laboratory, record)


@pytest.mark.parametrize("name", ["unbuilt", "orphan", "unsized"])
def test_what_cannot_be_built_is_a_finding_and_for_others_one_line(name: str) -> None:
    result = call(name, "--plugin", str(BROKEN))
    assert result.exit_code == 1 and "FAILED  runs" in result.output
    result = call("mle", "--task", name, "--plugin", str(BROKEN))
    assert result.exit_code == 2 and f"task {name}" in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["text"], "text.train is missing: --set text.train=FILE, one sentence a line"),
        (["synthetic-tiny", "--task", "text"], "--task text: a task is tried on its own"),
        (["synthetic-tiny", "--steps", "3"], "--steps: only trainers have a schedule"),
        (["synthetic-tiny", "--set", "mle.epochs=3"], "mle.epochs"),
    ],
)
def test_mistakes_are_one_clear_line(line: list[str], complaint: str) -> None:
    result = call(*line)
    assert result.exit_code == 2
    assert complaint in result.output
    assert result.output.count("\n") == 1
