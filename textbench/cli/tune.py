"""`textbench tune`: try as many configurations of each trainer, choose the best at a target."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textbench.cli import options
from textbench.cli.terminal import refuse_foreign
from textbench.contracts.errors import UserError
from textbench.plan import registry
from textbench.plan.arguments import parse_rows, parse_seeds

if TYPE_CHECKING:
    from textbench.contracts.spec import Spec
    from textbench.judge.targets import Target

EPILOG = """\b
Examples:
  textbench tune --algos mle,cot --task synthetic --trials 16 --out tuned.toml
  textbench run --config tuned.toml --seeds 0:5
  textbench tune --algos mine,mle --task synthetic --plugin mine.py

\b
Exit codes: as of `textbench run`. Repeating a command skips the trials that are finished."""


@click.command(cls=options.Command, epilog=EPILOG)
@click.option("--algos", required=True, metavar="A,B", help="Trainers, comma-separated.")
@click.option("--task", required=True, metavar="NAME", help="What to learn.")
@options.text("--preset", metavar="NAME", use="Schedules.", default="quick")
@options.count("--trials", use="Configurations per trainer.", most=10_000, default=8, metavar="K")
@options.text(
    "--seeds",
    metavar="LIST",
    use="Seeds of the trials; not those of the report.",
    default="100:102",
)
@options.text("--target", metavar="NAME", use="Chooses the best.  [default: the task's first]")
@options.results(
    "The store of the trials, apart from that of the report.", "tuning", may_be_new=True
)
@options.file(
    "--out",
    use="The config file of what was chosen; of tuned.toml, tuned.trials.toml has all that is "
    "tried. Of files that are there only its own are replaced.",
    default="tuned.toml",
)
@options.count("--jobs", use="Runs at once.")
@options.device("Where to train.")
@options.plugins("Python file with a trainer of yours", passed=True)
@options.flag("--dry-run", use="Only write what would be tried; say what would run.")
def command(**given: Any) -> None:
    """Try K configurations of every trainer and write the best of each as a config file.

    Configurations are drawn from the ranges that options declare, the same number for all. They
    run as ordinary runs; validation data at the target choose.
    """
    from textbench.cli.dry_run import say_what_would_run
    from textbench.cli.engines import choose_devices, default_jobs
    from textbench.cli.run import run_specs
    from textbench.plan.resolve import Request, expand
    from textbench.run.local import LocalEngine

    names = parse_rows(given["algos"])
    target, rules = _target(given["target"], given["task"])
    devices = choose_devices(given["device"])
    seeds = ",".join(map(str, parse_seeds(given["seeds"])))
    trials = _write_trials(names, given)
    request = Request(config=trials, seeds=seeds, plugins=given["plugins"])
    specs = expand(request, schedules=True)
    if given["dry_run"]:
        say_what_would_run(given["results"], specs)
        return
    jobs = given["jobs"] or default_jobs(devices, per_gpu=1)
    code = run_specs(LocalEngine(given["results"], jobs=jobs, devices=devices), specs)
    if code in (0, 1):  # what diverged or failed is out of the running
        _choose(specs, target, rules, given)
    sys.exit(code)


def _target(name: str, task: str) -> tuple[Target, int]:
    from textbench.judge.targets import load_targets

    registry.load_task(task)  # an unknown one is told the nearest names
    rules, targets = load_targets()
    fitting = [one for one in targets if one.task == task and name in ("", one.name)]
    if not fitting:
        known = ", ".join(f"{one.name} (of {one.task})" for one in targets)
        asked = f"no target {name!r} of task {task}" if name else f"task {task} has no target"
        raise UserError(f"{asked}; there are {known}")
    return fitting[0], rules


def _write_trials(names: list[str], given: dict[str, Any]) -> Path:
    from textbench.plan.tune import rows

    count = given["trials"]
    drawn = {row: options for name in names for row, options in rows(name, count).items()}
    comment = [f"{count} configurations of each trainer, drawn by `textbench tune`."]
    out: Path = given["out"]
    path = out.with_name(f"{out.name.removesuffix('.toml')}.trials.toml")
    for file in (out, path):  # before anything is trained
        refuse_foreign(file, "textbench tune")
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, [*comment, *_plugins_wanted(given["plugins"])], drawn, given)
    return path


def _write(
    path: Path, comment: list[str], rows: dict[str, dict[str, float]], given: dict[str, Any]
) -> None:
    from textbench.plan.tune import config_file
    from textbench.store.files import replace

    top = {"task": given["task"], "preset": given["preset"]}
    replace(path, config_file(comment, top, rows).encode())


def _plugins_wanted(plugins: Iterable[object]) -> list[str]:
    """Say in a config file what it is of no use without."""
    files = " ".join(f"--plugin {file}" for file in plugins)
    return [f"Its trainers need {files}."] if files else []


def _choose(specs: Sequence[Spec], target: Target, rules: int, given: dict[str, Any]) -> None:
    """Write the best trial of each trainer, of this command's: a store may hold others' as well."""
    from textbench.judge.targets import best_of, measured
    from textbench.plan.tune import rows, tuned_name
    from textbench.store.directory import RunDirectory
    from textbench.store.frames import load_results

    count, store = given["trials"], given["results"]
    results = load_results(store)
    results = results[
        results["run"].isin({RunDirectory(spec.directory(store)).name for spec in specs})
    ]
    chosen, comment = {}, []
    for name in parse_rows(given["algos"]):
        drawn = rows(name, count)
        known = measured(results, target, list(drawn))
        if not known:
            raise UserError(
                f"{name}: nothing to choose from; no trial has a finished run that measured target "
                f"{target.name} ({', '.join(target.at_most)})"
            )
        best = best_of(results, target, known)
        chosen[f"{name}:{tuned_name(count)}"] = drawn[best]
        comment.append(f"{name}: {best.partition(':')[2]} of {len(known)} that were measured")
    opening = [
        f"Tuned: the best of {count} configurations of each trainer at target {target.name},",
        f"rules {rules}, on validation data and seeds {given['seeds']} (`textbench tune`).",
        "Report other seeds.",
        *_plugins_wanted(given["plugins"]),
        "",
    ]
    _write(given["out"], opening + comment, chosen, given)
    click.echo("\n".join([f"\nWritten: {given['out']}", *(f"  {line}" for line in comment)]))
