"""README: "`textbench check` tells whether a plug-in keeps every promise": metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from promises import assert_breaks_nothing_else, assert_guide_lists

from textbench.check import METRIC_CHECKS, Finding, check_metric, words
from textbench.cli import cli
from textbench.plan import registry, source
from textbench.plan.resolve import Request, resolve_task

BROKEN = Path(__file__).parents[1] / "support" / "broken_metrics.py"
GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-metric.md"
SMALL = (
    *("synthetic-tiny.vocab_size=8", "synthetic-tiny.length=4", "synthetic-tiny.train_size=64"),
    *("synthetic-tiny.embedding=4", "synthetic-tiny.hidden=4"),
    *("synthetic-tiny.validation_size=32", "synthetic-tiny.test_size=64"),
)
NAMES = [check.name for check in METRIC_CHECKS]


@pytest.fixture(scope="module", autouse=True)
def broken() -> Iterator[None]:
    """Load the plugin, and forget it afterwards."""
    registry.load_plugin(BROKEN)
    yield
    registry._plugins.clear()


def metrics() -> dict[str, dict[str, Any]]:
    """Read the class variables of every metric of the plugin, without loading it."""
    attributes = [read.attributes for read in source.classes(BROKEN).values()]
    return {found["name"]: found for found in attributes if "name" in found}


def findings(name: str, folder: Path, *settings: str) -> dict[str, Finding]:
    kind = registry.load_metric(name)
    text = kind.family == "text"
    given = words.write(folder) if text else SMALL
    on = "text" if text else "synthetic-tiny"
    asked = Request(task=on, preset="ci", settings=(*given, *settings))
    task, common = resolve_task(asked)
    config = kind.config_schema(**common.metrics.get(kind.section or name, {}))
    return {finding.check: finding for finding in check_metric(kind, config, task)}


@pytest.mark.parametrize("name", sorted(registry.installed("metric")))
def test_every_built_in_metric_keeps_every_promise(name: str, tmp_path: Path) -> None:
    found = findings(name, tmp_path, "ewmd.steps=2", "ewmd.critics=2")
    assert not [f for f in found.values() if f.verdict in ("FAILED", "skipped")]
    assert ["runs", *NAMES] == list(found)


def test_the_list_of_broken_metrics_is_complete() -> None:
    """Each promise is broken by someone, and those who break none are among them."""
    assert {found["breaks"] for found in metrics().values() if "breaks" in found} == {
        *("", "runs"),
        *NAMES,
    }


@pytest.mark.parametrize("name", metrics())
def test_a_broken_metric_fails_what_it_breaks_and_nothing_else(name: str, tmp_path: Path) -> None:
    kind: Any = registry.load_metric(name)
    found = findings(name, tmp_path)
    assert_breaks_nothing_else(found, METRIC_CHECKS, kind.breaks, kind.says)


def test_a_direction_that_is_none_is_found_where_no_plugin_was_loaded() -> None:
    """One that is loaded is refused at once (`tests/harness/test_registry.py`)."""
    kind: Any = registry.load_metric("candid")
    upward = type("Upward", (kind,), {"name": "upward", "direction": "up"})
    task, _ = resolve_task(Request(task="synthetic-tiny", preset="ci", settings=SMALL))
    found = {f.check: f for f in check_metric(upward, kind.config_schema(), task)}
    assert_breaks_nothing_else(found, METRIC_CHECKS, "numbers", "upward: direction 'up'")


def test_the_guide_lists_every_check() -> None:
    assert_guide_lists(GUIDE, NAMES)


# -- the command -----------------------------------------------------------------------------------


def call(*arguments: str) -> Any:
    result = CliRunner().invoke(cli, ["check", *arguments], prog_name="textbench")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_metric_may_be_named_by_one_of_its_numbers() -> None:
    result = call("nll_test", *(word for setting in SMALL for word in ("--set", setting)))
    assert result.exit_code == 0
    title, *lines, verdict = result.output.splitlines()
    assert title == "metric nll on synthetic-tiny, preset ci"
    assert verdict == "nll: every promise is kept"
    assert {line.split()[0] for line in lines} <= {"ok", "n/a"}


def test_a_metric_of_text_is_tried_on_generated_sentences() -> None:
    result = call("clashing")
    assert result.exit_code == 1
    assert result.output.startswith("metric clashing on generated sentences, preset ci\n")
    assert "FAILED  company" in result.output


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["blue"], "unknown trainer, metric or task 'blue'; did you mean 'bleu'"),
        (["bleu", "--task", "synthetic-tiny"], "metric bleu is for tasks of the family text"),
        (["nll", "--steps", "3"], "--steps: only trainers have a schedule"),
        (["ewmd_test", "--set", "ewmd.step=3"], "ewmd.step is not an option; did you mean 'steps'"),
    ],
)
def test_mistakes_are_one_clear_line(line: list[str], complaint: str) -> None:
    result = call(*line)
    assert result.exit_code == 2
    assert complaint in result.output
    assert result.output.count("\n") == 1
