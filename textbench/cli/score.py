"""`textbench score`: sentences of any other system, under the same metrics and protocols."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from textbench.cli import options
from textbench.cli.engines import compute_on
from textbench.cli.evaluate import parse_metrics
from textbench.cli.terminal import say, warn
from textbench.contracts.errors import UserError, printable
from textbench.contracts.plain import grouped
from textbench.plan import registry
from textbench.plan.arguments import parse_settings
from textbench.plan.shipped import presets
from textbench.store.directory import RunDirectory

if TYPE_CHECKING:
    from textbench.contracts.metric import Metric
    from textbench.contracts.spec import Spec
    from textbench.plan.resolve import Request
    from textbench.run.score import Scored
    from textbench.store.rows import Measurement

REFERENCES = "references"
"""Section of the options of ``--references``, and what the record calls that task."""

EPILOG = """\b
Examples:
  textbench score gpt.txt --task emnlp_news
  textbench score s0.txt s1.txt s2.txt --task image_coco --name gpt
  textbench score samples.txt --references test.txt --set references.tokeniser=nltk

\b
With --name the files become a row of the store, a seed each: `textbench report` and `compare`
show it beside trained rows, `textbench status` lists it."""


@click.command(cls=options.Command, epilog=EPILOG)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@options.text("--task", metavar="NAME", use="The text task whose test set is meant.")
@options.path(
    "--references", metavar="FILE", use="Instead of a task: reference sentences, one a line."
)
@options.text(
    "--column",
    metavar="NAME",
    use="Column of the sentences, where a file is a .csv, .tsv or .jsonl.",
)
@options.text("--metrics", metavar="A,B", use="Which.  [default: all that apply]")
@options.settings("Change an option of the task or a metric")
@options.text("--preset", metavar="NAME", use="Options of the task.", default="quick")
@options.text("--name", metavar="NAME", use="Record the files as a row of that name.")
@options.results("The store to record it in.")
@options.plugins("Python file with a task or metric of yours", passed=True)
def command(files: tuple[Path, ...], **given: Any) -> None:
    """Score sentences, one a line, as the samples of a trained generator are scored.

    Every metric that needs samples alone is computed; likelihoods do not apply. Sentences are cut
    into words as the task's are.
    """
    name: str = given["name"]
    if name:
        check_name(name)
    elif click.get_current_context().get_parameter_source("results") is not ParameterSource.DEFAULT:
        raise UserError("--results: nothing is recorded without --name; give the row one")
    if bool(given["task"]) == bool(given["references"]):
        raise UserError("give either --task NAME or --references FILE")
    from textbench.run.score import alone, record, score, seeds, spec_of
    from textbench.tasks.sentences import tokenise

    compute_on("cpu")
    lines = _read(files, given)
    task, common = scored(lines, given)
    lines = lines[-len(files) :]  # without the references
    metrics = metrics_of(given["metrics"], common)
    cut = [tokenise(part, task.config.tokeniser, task.config.case) for part in lines]
    pairs = list(zip(files, cut, strict=True))
    waiting = f"another process is recording {name}; this one waits for it"
    with alone(given["results"], common, name, lambda: say(waiting)) if name else nullcontext():
        numbers = seeds(given["results"], common, name, pairs) if name else range(len(files))
        for (path, words), seed in zip(pairs, numbers, strict=True):
            _warn_of(path, words, task)
            measured, evaluation = score(task, words, metrics, seed)
            click.secho(printable(f"{path}: {len(words):,} sentences"), bold=True)
            for line in table(measured):
                click.echo(printable(line))
            if name:
                spec = spec_of(common, name, words, seed)
                directory = RunDirectory(spec.directory(given["results"]))
                left = record(directory, spec, measured, evaluation)
                more = f", with {left} number{'s' * (left != 1)} of before" if left else ""
                click.echo(f"recorded: {directory.path}{more}")


def _warn_of(path: Path, sentences: Sequence[list[str]], task: Scored) -> None:
    """Say what may make numbers of these sentences mean little."""
    from textbench.tasks.remarks import alike

    for line in alike(sentences, task.references()):
        warn(f"{path}: {line}")
    long = sum(len(sentence) > task.length for sentence in sentences)
    if long:
        warn(
            f"{path}: {long:,} of {len(sentences):,} sentences have more than T = {task.length} "
            "words; metrics of token sequences see their first T"
        )


def _read(files: Sequence[Path], given: Mapping[str, Any]) -> list[list[str]]:
    """Return the sentences of every file, those of tables from a column; say what is odd of them.

    The references, where they are a file, come first.

    Raises:
        UserError: One cannot be read, or none is a table although a column is asked for.
    """
    from textbench.tasks.sentences import read_lines
    from textbench.tasks.tables import form_of

    column: str = given["column"]
    named = [(f"FILE {number}", path) for number, path in enumerate(files, start=1)]
    if given["references"] is not None:
        named.insert(0, ("--references", given["references"]))
    if column and all(form_of(path) == "lines" for _, path in named):
        raise UserError(f"--column {column}: no FILE is a table by its name (.csv, .tsv, .jsonl)")
    said: list[str] = []
    read = partial(read_lines, form="auto", said=said, asks="--column")
    lines = [
        read(path, what, column="" if form_of(path) == "lines" else column) for what, path in named
    ]
    for line in said:
        warn(line)
    return lines


def check_name(name: str) -> None:
    """Refuse a row's name that is no name, or a trainer's.

    Raises:
        UserError: It is.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"--name {name}: expected letters, digits, '.', '_' and '-'")
    if name in registry.names("trainer"):
        raise UserError(f"--name {name} is a trainer; call the row otherwise")


def scored(lines: Sequence[Sequence[str]], given: Mapping[str, Any]) -> tuple[Scored, Spec]:
    """Return what the sentences are compared with, and the task's part of a spec.

    Args:
        lines: The sentences of each file; the references, where they are a file, come first.
        given: The command's options.

    Raises:
        UserError: There is no such task or preset, it is not text, or options are wrong.
    """
    from textbench.plan.resolve import Request, resolve_task
    from textbench.tasks.corpus import Corpus

    keys = ("task", "preset", "settings", "plugins")
    request = Request(**{key: given[key] for key in keys})
    if given["references"] is not None:
        return _references(lines, request)
    built, common = resolve_task(request)
    if not isinstance(built, Corpus):
        raise UserError(
            f"--task {request.task} is not a corpus of sentences; e.g. emnlp_news, or text"
        )
    return built, common


def _references(lines: Sequence[Sequence[str]], request: Request) -> tuple[Scored, Spec]:
    from textbench.contracts.config import validate
    from textbench.contracts.spec import Spec
    from textbench.plan.resolve import metric_options
    from textbench.tasks.corpus import CorpusConfig
    from textbench.tasks.references import References
    from textbench.tasks.sentences import tokenise

    presets.path(request.preset)  # it has no options here, and is recorded
    layer = parse_settings(request.settings)
    config = validate(CorpusConfig, layer.pop(REFERENCES, {}), REFERENCES)
    for section in layer.keys() - registry.metric_sections().keys():
        raise UserError(f"--set {section}: neither {REFERENCES} nor a metric's section")
    references = tokenise(lines[0], config.tokeniser, config.case)
    # What is compared with them must not decide what they are: T is of the references alone.
    length = config.length or max(map(len, references)) + 1
    task = References(config, references, length)
    common = Spec(
        trainer="",
        version=0,
        config={},
        task=REFERENCES,
        task_config=config.model_dump(mode="json"),
        task_fingerprint=task.fingerprint(),
        task_note=task.note,
        backbone={},
        evaluation={},
        seed=0,
        metrics=metric_options(layer),
        preset=request.preset,
    )
    return task, common


def metrics_of(names: str, common: Spec) -> list[Metric]:
    """Return the metrics, with the options that the spec has for them."""
    from textbench.run import assemble

    classes = [registry.load_metric(name) for name in parse_metrics(names)]
    return assemble.metrics(classes or assemble.metric_classes("text"), common.metrics)


def table(measured: dict[str, Measurement]) -> list[str]:
    """Return a line per number, its protocol with it, and one per reason why others are missing."""
    known = {name: one for name, one in measured.items() if one["value"] is not None}
    width = max(map(len, known), default=0)
    lines = [f"  {n:<{width}}  {one['value']:>9.4f}  {one['protocol']}" for n, one in known.items()]
    absent = ((name, one) for name, one in measured.items() if one["value"] is None)
    missing = grouped((one.get("reason", ""), name) for name, one in absent)
    return lines + [f"  {', '.join(names)}: {reason}" for reason, names in missing.items()]
