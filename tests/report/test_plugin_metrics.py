"""Numbers of the user's own metrics are judged by the record, also where the metric is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from textbench import load_results
from textbench.cli import cli
from textbench.plan import registry

METRICS = '''
from textbench.contracts.metric import Metric
from textbench.contracts.number import Number
from textbench.metrics.nll import NLLTestWord


class Spread(Metric):
    """The samples' mean symbol, and {shift} more."""

    name = "spread"
    direction = "higher"
    unit = "symbols"
    summary = "mean symbol of the samples"

    def protocol(self, evaluation):
        return "spread/1"

    def compute(self, evaluation):
        return float(evaluation.samples.double().mean()) + {shift}


class Slots(NLLTestWord):
    """A subclass of a shipped metric, with a name of its own."""

    name = "slots"
    family = ""

    def protocol(self, evaluation):
        return "slots/1"

    def compute(self, evaluation):
        return evaluation.test_nll


class Pair(Metric):
    """Two numbers of one computation, and one that does not apply."""

    name = "pair"
    numbers = (
        Number("low", "lower", "", "the lower the better"),
        Number("none_such", "higher", "", "never applies"),
    )

    def protocol(self, evaluation):
        return {{"low": "low/1", "none_such": "none_such/1"}}

    def compute(self, evaluation):
        from textbench.contracts.metric import NotApplicableError

        low = float(evaluation.samples.double().std()) + {shift}
        return {{"low": low, "none_such": NotApplicableError("not here")}}
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, forked_workers: None) -> Iterator[Path]:
    """Stores ``base`` and ``new``, whose plug-in is deleted; the metrics moved between them."""
    tmp_path, monkeypatch = tmp_path_factory.mktemp("plugin"), pytest.MonkeyPatch()
    monkeypatch.chdir(tmp_path)
    for name, shift in (("base", 0), ("new", 5)):
        monkeypatch.setattr(registry, "_plugins", {})
        plugin = tmp_path / "mine.py"
        plugin.write_text(METRICS.format(shift=shift))
        line = "run --algos mle --task synthetic-tiny --preset ci --seeds 0:3 --device cpu"
        done = textbench(f"{line} --plugin mine.py --set mle.epochs=1 --results {name}")
        assert done.exit_code == 0, done.output
        plugin.unlink()
    monkeypatch.undo()
    yield tmp_path


@pytest.fixture
def stores(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stores, in the folder that they are in, with no plug-in loaded."""
    monkeypatch.chdir(trained)
    monkeypatch.setattr(registry, "_plugins", {})
    return trained


def textbench(line: str) -> Result:
    return CliRunner().invoke(cli, line.split(), prog_name="textbench")


def test_the_record_says_what_the_plugin_said(stores: Path) -> None:
    frame = load_results(stores / "new")
    known = frame.drop_duplicates("metric").set_index("metric")
    assert known.loc["spread", ["direction", "unit"]].tolist() == ["higher", "symbols"]
    assert known.loc["spread", "summary"] == "mean symbol of the samples"
    assert known.loc["slots", ["direction", "unit"]].tolist() == ["lower", "nats/word"]
    assert known.loc["slots", "summary"].startswith("generator's NLL")
    assert known.loc["none_such", "na_reason"] == "not here"
    assert known.loc["low", "protocol"] == "low/1"


def test_compare_knows_which_way_is_better(stores: Path) -> None:
    done = textbench("compare base new")
    assert done.exit_code == 1, done.output
    better, _, worse = done.output.partition("### Regressions")[2].partition("###")
    assert "low" in better and "spread" not in better
    assert "spread" in worse
    backwards = textbench("compare new base")
    assert backwards.exit_code == 1
    assert "spread" in backwards.output.partition("### Regressions")[2].partition("###")[0]


def test_a_report_describes_it(stores: Path) -> None:
    assert textbench("report --results new --out out").exit_code == 0
    text = (stores / "out" / "report.md").read_text()
    assert "mean symbol of the samples" in text
