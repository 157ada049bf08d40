"""`textbench compare`: what is a regression, what is not, and what the summary says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from stores import make_run, measured, spec

from textbench.cli import cli
from textbench.store.directory import RunDirectory
from textbench.store.rows import EVALUATIONS, Status

VALUES = [3.0, 3.1, 2.9, 3.05, 2.95, 3.02, 2.98, 3.0, 3.03, 2.97]
FAILED = Status("failed", reason="ValueError: no | such thing", phase="mle", step=3, total=9)

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that compares the stores ``base`` and ``new`` of a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(line: str = "base new") -> Result:
        result = CliRunner().invoke(cli, ["compare", *shlex.split(line)], prog_name="textbench")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def store(name: str, values: Sequence[float], first: int = 0, metric: str = "nll_test") -> Path:
    """Write runs of `mle` with these final values, seeds counting from ``first``."""
    for seed, value in enumerate(values, start=first):
        make_run(Path(name), spec("mle", seed), [{metric: value}])
    return Path(name)


def test_the_same_seeds_to_the_bit_are_no_regression(call: Call) -> None:
    store("base", VALUES)
    store("new", VALUES[:3])
    result = call()
    assert result.exit_code == 0
    assert result.stdout.startswith("## textbench compare: No regression\n")
    assert "1 number compared: 1 identical to the bit" in result.stdout
    assert "| 10 / 3 (3 in both) |" in result.stdout


@pytest.mark.parametrize(
    ("metric", "shift", "code"),
    [
        *(("nll_test", 1.0, 1), ("nll_test", -1.0, 0), ("nll_test", 0.01, 0)),
        *(("distinct2", 1.0, 0), ("distinct2", -1.0, 1)),
        *(("neither", 1.0, 1), ("neither", -1.0, 1), ("neither", 0.01, 0)),
    ],
)
def test_worse_or_changed_is_a_regression(call: Call, metric: str, shift: float, code: int) -> None:
    store("base", VALUES, metric=metric)
    store("new", [value + shift for value in VALUES[:3]], first=20, metric=metric)
    result = call()
    assert result.exit_code == code
    assert ("### Regressions" in result.stdout) == bool(code)
    assert ("### Better than the tolerance" in result.stdout) == (abs(shift) == 1 and not code)


def test_the_summary_is_printed_and_written(call: Call, tmp_path: Path) -> None:
    store("base", VALUES)
    store("new", [4.0, 4.1, 4.2])
    result = call("base new --out made/summary.md")
    assert result.exit_code == 1
    assert (tmp_path / "made" / "summary.md").read_text() == result.stdout
    assert call("base base --out made/summary.md").exit_code == 0  # its own is replaced
    (tmp_path / "empty").touch()  # as CI makes one for a summary
    assert call("base base --out empty").exit_code == 0
    (tmp_path / "notes.txt").write_text("mine")
    refused = call("base new --out notes.txt")
    assert (refused.exit_code, (tmp_path / "notes.txt").read_text()) == (2, "mine")
    assert refused.stderr == (
        "textbench: error: --out: notes.txt is there already, and `textbench compare` has not "
        "written it; name another file, or remove it\n"
    )
    assert "## textbench compare: 1 regression\n" in result.stdout
    assert "- BASE `base`: 10 run(s): 10 done; commit 0123456789ab" in result.stdout
    row = re.search(r"^\| MLE \| synthetic \| nll\\_test \|.*$", result.stdout, re.MULTILINE)
    assert row is not None
    assert "| lower | 10 / 3 (3 in both) | 3 ± 0.05538 | 4.1 ± 0.1 | +1.1 |" in row[0]
    assert row[0].endswith("| worse (broke out: seeds 0, 1, 2) |")
    for line in result.stdout.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) == 11


def test_a_run_that_was_finished_and_fails_is_a_regression(call: Call) -> None:
    store("base", VALUES)
    store("new", VALUES[:2])
    make_run(Path("new"), spec("mle", 2), [], final=None, status=FAILED)
    result = call()
    assert result.exit_code == 1
    assert "### Failed or diverged in NEW" in result.stdout
    assert r"| failed | ValueError: no \| such thing | regression" in result.stdout


def test_a_run_that_fails_on_other_data_is_no_regression(call: Call) -> None:
    store("base", VALUES)
    for seed in range(3):
        made = spec("mle", seed, task_fingerprint="e" * 64)
        make_run(Path("new"), made, [], final=None, status=FAILED)
    result = call()
    assert result.exit_code == 2
    assert "## textbench compare: Nothing could be judged\n" in result.stdout
    assert r"no \| such thing | on other data than BASE's |" in result.stdout
    assert "MLE (synthetic, preset quick): the task's data are others" in result.stdout
    assert call("base new --strict").exit_code == 1


def test_a_new_seed_that_fails_counts_unless_seeds_failed_in_base_too(call: Call) -> None:
    store("base", VALUES)
    store("new", VALUES[:3])
    make_run(Path("new"), spec("mle", 50), [], final=None, status=Status("diverged"))
    assert call().exit_code == 1
    make_run(Path("base"), spec("mle", 60), [], final=None, status=Status("diverged"))
    result = call()
    assert result.exit_code == 0
    assert "as in BASE, or not known of BASE" in result.stdout
    assert "1 of 11 run(s) of BASE failed or diverged" in result.stdout


def test_two_presets_are_said_to_be_two(call: Call) -> None:
    for seed, value in enumerate(VALUES[:3]):
        make_run(Path("base"), spec("mle", seed), [{"a": value}])
        other = replace(spec("mle", seed), preset="ci", evaluation={"samples": 7})
        make_run(Path("new"), other, [{"a": value}])
    result = call()
    assert result.exit_code == 2
    assert "MLE (synthetic, preset quick)" in result.stderr
    assert "NEW has it at preset ci: two presets are not compared" in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_rows_and_metrics_are_listed_and_fail_only_if_strict(call: Call) -> None:
    store("base", VALUES)
    make_run(Path("base"), spec("cot"), [{"nll_test": 1.0}])
    make_run(Path("base"), spec("x"), [{"a": 1.0, "b": 1.0}])
    store("new", VALUES[:3])
    make_run(Path("new"), spec("x"), [{"a": 1.0, "b": None}])
    make_run(Path("new"), spec("y"), [{"a": 1.0}])
    result = call()
    assert result.exit_code == 0
    _, _, missing = result.stdout.partition("### Missing in NEW")
    assert "- CoT (synthetic, preset quick): 1 run(s), 1 done" in missing
    assert "- x (synthetic, preset quick): b: no oracle here" in missing
    assert "### Only in NEW\n\n- y (synthetic, preset quick)" in missing
    strict = call("base new --strict")
    assert strict.exit_code == 1
    assert "## textbench compare: Incomplete" in strict.stdout


def test_one_stray_seed_is_reported_and_fails_only_if_strict(call: Call) -> None:
    store("base", VALUES)
    store("new", [3.0, 3.1, 9.0], first=20)
    result = call()
    assert result.exit_code == 0
    _, _, strayed = result.stdout.partition("### A seed has broken out")
    assert "within tolerance (broke out: seed 22)" in strayed
    assert call("base new --strict").exit_code == 1
    store("new", [9.0, 9.5, 30.0], first=20)
    assert call().exit_code == 1


@pytest.mark.parametrize(
    ("base", "new", "lost"),
    [
        (range(3), (0, 1), "2"),
        (range(10), range(9), "9"),
        (range(10), (0, 1, 2), ""),
        (range(10), (20, 21, 22), ""),
    ],
)
def test_strict_misses_a_lost_seed(
    call: Call, base: Sequence[int], new: Sequence[int], lost: str
) -> None:
    for seed in base:
        make_run(Path("base"), spec("mle", seed), [{"nll_test": VALUES[seed]}])
    for seed in new:
        make_run(Path("new"), spec("mle", seed), [{"nll_test": 3.0 + 0.001 * seed}])
    result = call()
    assert result.exit_code == 0
    line = f"- MLE (synthetic, preset quick): no finished run in NEW of seed {lost}\n"
    assert (f"### Lost in NEW\n\n{line}" in result.stdout) == bool(lost)
    assert call("base new --strict").exit_code == bool(lost)


def test_a_seed_that_other_rows_have_is_lost_where_a_row_lacks_it(call: Call) -> None:
    store("base", VALUES)
    for seed, value in enumerate(VALUES):
        make_run(Path("base"), spec("cot", seed), [{"nll_test": value}])
    store("new", VALUES[:3])
    for seed in range(2):
        make_run(Path("new"), spec("cot", seed), [{"nll_test": VALUES[seed]}])
    assert "- CoT (synthetic, preset quick): no finished run in NEW of seed 2" in call().stdout
    assert call("base new --strict").exit_code == 1


def test_strict_misses_a_metric_that_one_seed_lost(call: Call) -> None:
    store("base", VALUES)
    store("new", VALUES[:2])
    make_run(Path("new"), spec("mle", 2), [{"nll_test": None}])
    result = call()
    assert result.exit_code == 0
    assert "nll\\_test of seed 2: no oracle here" in result.stdout.partition("Lost in NEW")[2]
    assert call("base new --strict").exit_code == 1


def test_a_seed_that_lacks_a_metric_in_base_as_well_has_lost_nothing(call: Call) -> None:
    for role in ("base", "new"):
        store(role, VALUES[:2])
        make_run(Path(role), spec("mle", 2), [{"nll_test": None}])
    result = call("base new --strict")
    assert result.exit_code == 0 and "Lost in NEW" not in result.stdout


def test_a_comparison_says_its_power(call: Call) -> None:
    store("base", VALUES[:3])
    store("new", [3.01, 2.99, 3.02], first=20)
    _, _, power = call().stdout.partition("### What this comparison notices")
    assert "3 seeds against 3, 1 number judged together: a change of 5.5 standard" in power


def test_one_new_seed_says_that_it_can_be_no_regression(call: Call) -> None:
    """It was `No regression`, and nothing else."""
    store("base", VALUES[:3])
    store("new", [VALUES[0] + 0.001], first=20)
    _, _, power = call().stdout.partition("### What this comparison notices")
    assert "3 seeds against 1, 1 number judged together: one new seed is never a regr" in power


def test_strict_passes_nothing_that_could_not_be_judged(call: Call) -> None:
    """Two stores whose runs all diverged were `Nothing could be judged`, and passed `--strict`."""
    for role in ("base", "new"):
        for seed in range(2):
            broken = Status("diverged", step=2, total=30, phase="mle", reason="not finite")
            curve = [{"nll_test": 3.0}]
            make_run(Path(role), spec("mle", seed), curve, status=broken, final=None)
    assert call().exit_code == call("base new --strict").exit_code == 2


def test_unfinished_runs_are_said_so(call: Call) -> None:
    store("base", VALUES)
    store("new", VALUES[:2])
    make_run(Path("new"), spec("mle", 2), [], final=None, status=Status("interrupted"))
    result = call()
    assert result.exit_code == 0
    assert "1 of 3 run(s) of NEW are not finished" in result.stdout
    assert call("base new --strict").exit_code == 1


def test_other_protocols_and_other_data_are_never_compared(call: Call) -> None:
    store("base", VALUES)
    make_run(Path("new"), spec("mle"), [{"nll_test": 9.0}], protocol="/2 n=100")
    result = call()
    assert result.exit_code == 2  # nothing at all to compare
    assert "nothing to compare" in result.stderr and "nll_test/2 n=100 in NEW" in result.stderr
    make_run(Path("base"), spec("cot"), [{"a": 1.0}])
    make_run(Path("new"), spec("cot", task_fingerprint="e" * 64), [{"a": 9.0}])
    make_run(Path("base"), spec("x"), [{"a": 1.0}])
    make_run(Path("new"), spec("x"), [{"a": 1.0}])
    result = call()
    assert result.exit_code == 0
    _, _, differently = result.stdout.partition("### Not comparable: made in different ways")
    assert "nll\\_test/1 n=100 in BASE, nll\\_test/2 n=100 in NEW" in differently
    assert "CoT (synthetic, preset quick): the task's data are others" in differently


def test_two_protocols_of_one_metric_are_told_apart(call: Call) -> None:
    for name, shift in (("base", 0.0), ("new", 1.0)):
        for seed, value in enumerate(VALUES):
            make_run(Path(name), spec("mle", seed), [{"nll_test": value}])
            later = spec("mle", seed + 50)
            make_run(Path(name), later, [{"nll_test": value + shift}], protocol="/2 n=100")
    result = call()
    assert result.exit_code == 1
    regressions = result.stdout.partition("### Regressions")[2].partition("###")[0]
    assert "nll\\_test as nll\\_test/2 n=100" in regressions
    assert "nll\\_test/1" not in regressions


def test_a_single_seed_cannot_be_judged_and_the_summary_says_so(call: Call) -> None:
    store("base", VALUES[:1])
    store("new", [9.0])
    result = call()
    assert result.exit_code == 2
    assert result.stderr.startswith("textbench: error: nothing could be judged: ")
    assert result.stdout.startswith("## textbench compare: Nothing could be judged")
    assert "1 number compared: 1 not judged" in result.stdout
    assert "### Cannot be judged\n\nBASE has one seed" in result.stdout
    assert call("base new --strict").exit_code == 1


def test_a_constant_that_agrees_judges_nothing_else(call: Call) -> None:
    """An NLL ten times as high in the one seed was `No regression`, for a length was as before."""
    for name, value in (("base", 8.0), ("new", 80.0)):
        make_run(Path(name), spec("mle"), [{"nll_test": value, "mean_length": 20.0}])
    result = call()
    assert result.exit_code == 2
    assert "## textbench compare: Nothing that differs could be judged\n" in result.stdout
    assert result.stderr.startswith("textbench: error: nothing that differs could be judged: ")


def test_the_headline_says_how_much_was_not_judged(call: Call) -> None:
    store("base", VALUES)
    store("new", VALUES[:3])
    for name, value in (("base", 8.0), ("new", 80.0)):
        make_run(Path(name), spec("cot"), [{"nll_test": value}])
    store("base", [0.0] * 3, metric="repeats", first=20)
    store("new", [0.1, 0.2, 0.3], metric="repeats", first=30)
    result = call()
    headline = result.stdout.splitlines()[0].removeprefix("## textbench compare: ")
    assert headline == "Nothing that differs could be judged" and result.exit_code == 2
    store("new", [3.0], first=50)
    result = call()
    headline = result.stdout.splitlines()[0].removeprefix("## textbench compare: ")
    assert headline == "No regression in what could be judged: 2 of 3 numbers not judged"
    assert result.exit_code == 0 and "BASE's values are all equal" in result.stdout


def test_seeds_of_both_stores_and_new_ones_are_all_shown(call: Call) -> None:
    """The mean of NEW was of its new seeds alone, and so was their number."""
    store("base", VALUES[:5])
    store("new", [*VALUES[:5], 3.1, 3.15])
    row = re.search(r"^\| MLE \|.*$", call().stdout, re.MULTILINE)
    assert row is not None
    assert "| 5 / 7 (5 in both) | 3 ± 0.07906 | 3.036 ± 0.08997 | +0.125 (2 new seeds) |" in row[0]


def test_stores_without_finished_runs_are_not_called_equal(call: Call) -> None:
    for name in ("base", "new"):
        make_run(Path(name), spec("mle", 0), [], final=None, status=Status("failed"))
    result = call()
    assert result.exit_code == 2
    assert "nothing could be judged" in result.stderr


def test_a_raised_version_is_compared_and_noted(call: Call) -> None:
    store("base", VALUES)
    for seed in range(3):
        make_run(Path("new"), spec("mle", seed, version=2), [{"nll_test": 9.0 + seed}])
    result = call()
    assert result.exit_code == 1
    assert "version 1 in BASE, 2 in NEW" in result.stdout


def seqgan(name: str, seeds: Sequence[int], **warmup: Any) -> None:
    """Write runs of `seqgan` that started from `mle` with such a spec."""
    for seed in seeds:
        start = replace(spec("mle", seed), **warmup)
        made = spec("seqgan", seed, warmup=start)
        make_run(Path(name), made, [{"nll_test": 3.0 + 0.01 * (seed % 3)}])


def test_another_seed_or_label_of_the_warm_up_is_no_other_option(call: Call) -> None:
    seqgan("base", range(5))
    seqgan("new", range(5, 10), preset_summary="in other words", task_note="and so is this")
    result = call("base new --strict")
    assert result.exit_code == 0
    assert "another warm-up" not in result.stdout and "options differ" not in result.stdout


@pytest.mark.parametrize(
    ("warmup", "told"),
    [
        ({"config": {"epochs": 1}}, "another warm-up: epochs 1 instead of 3"),
        ({"backbone": {"embedding": 32, "hidden": 64}}, "another warm-up: hidden 64 instead of 32"),
        ({"trainer": "cot"}, "another warm-up: cot instead of mle"),
        ({"warmup": spec("x")}, "another warm-up: a warm-up instead of none"),
    ],
)
def test_another_warm_up_is_said_to_be_one(call: Call, warmup: dict[str, Any], told: str) -> None:
    seqgan("base", range(5))
    seqgan("new", range(5), **warmup)
    result = call("base new --strict")
    assert result.exit_code == 1
    assert f"### Trained with other options\n\n- SeqGAN (synthetic, preset quick): {told}\n" in (
        result.stdout
    )


def test_another_version_or_evaluation_of_the_warm_up_is_noted(call: Call) -> None:
    seqgan("base", range(5))
    seqgan("new", range(5), version=2, evaluation={"every": 2, "samples": 100})
    result = call("base new --strict")
    assert result.exit_code == 0
    assert "options differ (warm-up's version, warm-up's evaluation)" in result.stdout


def test_other_options_are_named_though_the_version_was_raised(call: Call) -> None:
    for seed, value in enumerate(VALUES):
        make_run(Path("base"), spec("mle", seed, config={"epochs": 3, "old": 1}), [{"a": value}])
        changed = spec("mle", seed, version=2, config={"epochs": 1, "fresh": 1})
        make_run(Path("new"), changed, [{"a": value}])
    result = call("base new --strict")
    assert result.exit_code == 1
    assert "- MLE (synthetic, preset quick): epochs 1 instead of 3\n" in result.stdout
    assert "version 1 in BASE, 2 in NEW" in result.stdout


def test_rows_of_changed_options_meet_their_own_kind(call: Call) -> None:
    for name in ("base", "new"):
        store(name, VALUES)
        for seed in range(3):
            changed = spec("mle", seed, config={"lr": 9}, overrides={"mle.lr": 9})
            make_run(Path(name), changed, [{"nll_test": 7.0 + seed}])
    result = call()
    assert result.exit_code == 0
    assert "2 numbers compared: 2 identical to the bit" in result.stdout


def test_variants_are_told_apart(call: Call) -> None:
    """All were `CoT`, and one line said that `CoT` was worse."""
    for name, shift in (("base", 0.0), ("new", 1.0)):
        for seed, value in enumerate(VALUES):
            for variant, moved in (("", 0.0), ("strong", shift), ("head", 0.0)):
                made = spec("cot", seed, variant=variant)
                make_run(Path(name), made, [{"nll_test": value + moved}])
    result = call()
    assert result.exit_code == 1
    regressions = result.stdout.partition("### Regressions")[2].partition("###")[0]
    assert "| cot:strong | synthetic |" in regressions
    rows = set(re.findall(r"^\| (\S+) \| synthetic", result.stdout, re.MULTILINE))
    assert rows == {"CoT", "cot:strong", "cot:head"}


def test_temperatures_are_told_apart(call: Call) -> None:
    """A lost seed was of `MLE`, whichever the temperature, and a lost one of a name with others."""
    store("base", VALUES[:3])
    store("new", VALUES[:3])
    for seed, value in enumerate(VALUES[:3]):
        for alpha in (0.5, 1.5):
            row = {"time": "2026-11-25T12:00:00+00:00", "textbench": "0.1.0", "options": []}
            row |= {"alpha": alpha, "samples": 9, "metrics": measured({"a": value}, "/1 n=9", "")}
            names = ["base"] + ["new"] * (alpha < 1 and seed < 2)
            for name in names:
                RunDirectory(spec("mle", seed).directory(Path(name))).append(EVALUATIONS, row)
    said = call().stdout
    assert "- mle alpha=0.5 (synthetic, preset quick): no finished run in NEW of seed 2\n" in said
    assert "### Missing in NEW\n\n- mle alpha=1.5 (synthetic, preset quick): 3 run" in said
    assert "3 done\n" in said.partition("### Missing in NEW")[2]


def test_rows_of_one_name_say_what_sets_them_apart(call: Call) -> None:
    for name, values in (("base", VALUES), ("new", VALUES[:5])):
        for hidden in (32, 64):
            sizes = {"embedding": 32, "hidden": hidden}
            for seed, value in enumerate(values):
                made = spec("mle", seed, backbone=sizes)
                make_run(Path(name), made, [{"a": value + hidden}])
    said = call().stdout
    assert r"| MLE \[backbone.hidden=32\] | synthetic |" in said
    assert r"| MLE \[backbone.hidden=64\] | synthetic |" in said


def test_only_rows_that_are_left_on_both_sides_are_several_of_a_name(call: Call) -> None:
    """A row was one of several of its name, though all others of that name had met their own."""
    store("base", VALUES)
    store("new", VALUES)
    for seed in range(3):
        small = spec("mle", seed, backbone={"embedding": 8, "hidden": 8})
        make_run(Path("base"), small, [{"nll_test": 5.0}])
    assert "several" not in call().stdout
    for seed, size in ((0, 9), (1, 10)):
        other = spec("mle", seed, backbone={"embedding": size, "hidden": size})
        make_run(Path("new"), other, [{"nll_test": 5.0}])
    said = call().stdout
    assert said.count("of this name there are several, and none is the other's") == 3


def test_presets_of_one_task_are_told_apart(call: Call) -> None:
    for name, shift in (("base", 0.0), ("new", 1.0)):
        for seed, value in enumerate(VALUES):
            make_run(Path(name), spec("mle", seed), [{"nll_test": value}])
            full = spec("mle", seed, preset="full", config={"epochs": 80})
            make_run(Path(name), full, [{"nll_test": value + shift}])
    regressions = call().stdout.partition("### Regressions")[2].partition("###")[0]
    assert "| MLE | synthetic, preset full | nll" in regressions
    assert "preset quick" not in regressions


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("base newer", "NEW: there is no folder newer; did you mean 'new'?"),
        (". new", "BASE: no runs in .; "),
        ("base empty", "NEW: no runs in empty"),
        ("base", "Missing argument 'NEW'"),
        ("base new --out .", "File '.' is a directory"),
    ],
)
def test_mistakes_are_one_line(call: Call, tmp_path: Path, line: str, message: str) -> None:
    store("base", VALUES)
    store("new", VALUES)
    (tmp_path / "empty").mkdir()
    result = call(line)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1 and result.stdout == ""
