"""`textbench run`: train and evaluate."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textbench.cli import options
from textbench.cli.dry_run import say_what_would_run
from textbench.cli.engines import prepare
from textbench.cli.terminal import UNREAD, lead_nowhere, printer, reasons, say, warn
from textbench.plan.arguments import parse_retry, parse_shard
from textbench.run.changed import code_here, goes_on_with_other_code
from textbench.run.endings import INTERRUPTED
from textbench.store.directory import RunDirectory
from textbench.store.rows import BROKEN, FINISHED, Status

if TYPE_CHECKING:
    from rich.console import Console

    from textbench.contracts.spec import Spec
    from textbench.run.engine import Engine
    from textbench.run.tensorboard import Scalars

EPILOG = """\b
Examples:
  textbench run --algos cot,seqgan --task synthetic
  textbench run --algos mle,cot:head --task synthetic --seeds 0:5 --preset paper --jobs 4
  textbench run --algos cot --task synthetic --set cot.g_lr=1e-3 --set synthetic.oracle=published
  textbench run --algos mine --task synthetic-tiny --preset ci --plugin mine.py
  textbench run --config figure2b --seeds 0:3
  textbench run --config grid.toml --time-budget 11h30m --checkpoint-every 5m
  textbench run --config grid.toml --shard 3/16 --device cuda:0
  textbench run --config grid.toml --engine ray --address 10.0.0.5:6379 --per-gpu 4
  textbench run --config grid.toml --retry failed
  textbench run --config grid.toml --tensorboard runs
  textbench run --config grid.toml --timeout 10m,6h --memory 4GB --retry 2

\b
Exit codes: 0 all done, 1 some failed or diverged, 2 usage, 75 some are unfinished
(the same command resumes); 128 + the signal that stopped it: 130 Ctrl-C, 143 SIGTERM,
129 a closed terminal, 141 a closed pipe (`textbench run ... | head`)."""


@click.command(cls=options.Command, epilog=EPILOG)
@options.text(
    "--algos", metavar="A,B", use="Trainers, comma-separated; NAME:VARIANT names a variant."
)
@options.text("--task", metavar="NAME", use="What to learn.")
@options.text("--preset", metavar="NAME", use="Sizes and schedules.  [default: quick]")
@options.text("--seeds", metavar="LIST", use="0:5 (end not included) or 0,3,7.  [default: 0]")
@options.settings("Change an option, e.g. cot.g_lr=1e-3")
@options.path(
    "--config",
    metavar="FILE|GRID",
    use="TOML file with algos, task, preset, seeds and sections of options; or a shipped grid.",
)
@options.results("The store.", may_be_new=True)
@options.count("--jobs", use="Runs at once.  [default: one per usable core, or per GPU]")
@options.device("Where to train; auto takes the GPUs if there are any.")
@options.count("--per-gpu", use="Runs that share a GPU.", most=100, default=1, metavar="K")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where runs are executed: on this machine, or on those of a Ray cluster.",
)
@options.text(
    "--address",
    metavar="HOST:PORT",
    use="The Ray cluster.  [default: RAY_ADDRESS, or one that is started here]",
)
@options.plugins("Python file with a trainer, metric or task of yours", passed=True)
@options.text("--time-budget", metavar="TIME", use="Checkpoint and stop after this long, e.g. 30m.")
@options.text(
    "--checkpoint-every",
    metavar="TIME|STEPS",
    use="Time (90s, 5m) or number of training steps between checkpoints.",
    default="60s",
)
@options.text(
    "--shard", metavar="I/N", use="Run only the I-th of N parts (from 0), for job arrays."
)
@options.text(
    "--timeout",
    metavar="IDLE[,TOTAL]",
    use="Stop a run that makes no progress for so long, or takes so long in all, e.g. 10m,6h.",
)
@options.text(
    "--memory",
    metavar="SIZE",
    use="Stop a run that needs more memory, e.g. 4GB, where the system tells (Linux).",
)
@click.option(
    "--retry",
    default="",
    metavar="failed|N",
    callback=lambda context, option, value: parse_retry(value),
    help="failed: run only those whose last try failed; N: try a run that fails N more times.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path, file_okay=False),
    is_flag=False,
    flag_value="tensorboard",
    metavar="[DIR]",
    help="Write scalars for TensorBoard as well (extra [tensorboard]).  [default DIR: tensorboard]",
)
@options.flag("--dry-run", use="Only say what would run.")
def command(**given: Any) -> None:
    """Train and evaluate.

    A run is one trainer on one task with one seed. Repeating a command skips the runs that are
    finished and resumes the others from their last checkpoints.
    """
    from textbench.plan.resolve import Request, expand
    from textbench.plan.sizes import check_memory
    from textbench.run.tensorboard import Scalars

    engine = prepare(given)
    shard = parse_shard(given["shard"]) if given["shard"] else (0, 1)
    keys = ("algos", "task", "preset", "seeds", "settings", "config", "plugins")
    request = Request(**{key: given[key] for key in keys})
    specs = expand(request, warn, schedules=True)[shard[0] :: shard[1]]
    for spec in specs:
        check_memory(spec)
    results: Path = given["results"]
    if given["retry"] == "failed":
        specs = [
            s for s in specs if RunDirectory(s.directory(results)).standing().status == "failed"
        ]
    if given["dry_run"]:
        say_what_would_run(results, specs)
        return
    scalars = Scalars(given["tensorboard"], results) if given["tensorboard"] else None
    sys.exit(run_specs(engine(), specs, scalars))


def run_specs(engine: Engine, specs: Sequence[Spec], scalars: Scalars | None = None) -> int:
    """Run the specs, show progress and the table; return the exit code.

    Args:
        engine: Runs them.
        specs: The runs.
        scalars: Is shown every run while it goes on, and when it has ended.
    """
    from textbench.cli.progress import Progress, summary
    from textbench.run.provenance import COMMAND

    typed = os.environ[COMMAND] = shlex.join(["textbench", *sys.argv[1:]])
    console = printer()
    results, jobs = engine.results, engine.jobs
    _warn_of_other_code(results, specs)
    outcomes: dict[str, tuple[Spec, Status]] = {}
    try:
        with Progress(results, specs, jobs, console) as progress:

            def tick(active: Sequence[Spec]) -> None:
                if engine.signals:
                    progress.stopping()
                progress.tick(active)
                if scalars:
                    scalars.tick(active)

            for spec, status in engine.map(specs, tick):
                progress.finish(spec, status)
                if scalars:
                    scalars.update(spec)
                outcomes[spec.label + spec.hash] = (spec, status)
    except BrokenPipeError:
        lead_nowhere()
        say("nobody reads the output any more; the runs stop at checkpoints. To resume: " + typed)
        return UNREAD
    finally:
        engine.close()
        if scalars:
            scalars.close()
    ordered = [outcomes[spec.label + spec.hash] for spec in specs]
    if ordered:
        console.print()
        console.print(summary(ordered, console.width), highlight=False)
    _say_what_next(console, results, ordered)
    if engine.signals:
        return 128 + engine.stopped_by
    return exit_code([status for _, status in ordered])


def _warn_of_other_code(results: Path, specs: Sequence[Spec]) -> None:
    """Say of which runs the steps so far were made by other code than the rest will be."""
    found: dict[str, dict[Path, None]] = {}
    code = cache(code_here)
    for run in specs:
        spec: Spec | None = run
        while spec:
            directory = RunDirectory(spec.directory(results))
            if goes_on_with_other_code(directory, code(spec.trainer)):
                found.setdefault(spec.trainer, {})[directory.path] = None
            spec = spec.warmup
    for trainer, paths in ((trainer, [*paths]) for trainer, paths in found.items()):
        named = ", ".join(map(str, paths[:3])) + f" and {len(paths) - 3} more" * (len(paths) > 3)
        warn(
            f"the source of trainer {trainer} has changed while {len(paths)} of its runs "
            f"{'was' if len(paths) == 1 else 'were'} interrupted: their steps so far were made by "
            f"other code, and the rest is made by this; to start anew, delete {named}"
        )


def exit_code(statuses: Sequence[Status]) -> int:
    """Return 0 when all are done, 1 when one failed or diverged, else 75."""
    names = {status.status for status in statuses}
    if names & BROKEN:
        return 1
    return INTERRUPTED if names - {"done"} else 0


def _say_what_next(
    console: Console, results: Path, outcomes: Sequence[tuple[Spec, Status]]
) -> None:
    if not outcomes:
        console.print("Nothing to run.", highlight=False)
        return
    command = shlex.join(["textbench", *sys.argv[1:]])
    report = ["textbench", "report"]
    report += ["--results", str(results)] if results != Path("results") else []
    unfinished = [status for _, status in outcomes if status.status not in FINISHED]
    lines = []
    if unfinished:
        lines.append(f"{len(unfinished)} of {len(outcomes)} runs are unfinished. To resume:")
        lines.append(f"  {command}")
    broken = [(spec, status) for spec, status in outcomes if status.status in BROKEN]
    failed = [(RunDirectory(spec.directory(results)), status) for spec, status in broken]
    lines += reasons(results, failed)
    lines += ["Next:" if not unfinished else "A report of what there is:"]
    lines.append(f"  {shlex.join(report)}")
    console.print("\n" + "\n".join(lines), highlight=False, soft_wrap=True, markup=False)
