"""Generators of finished runs: load them, draw from them, evaluate them again."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import torch

from textbench import __version__
from textbench.backbone.generator import Generator, Tempered
from textbench.contracts.config import NONE, Config, validate
from textbench.contracts.errors import UserError
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric
from textbench.contracts.plain import JsonObject
from textbench.contracts.spec import Spec, digest
from textbench.contracts.streams import stream
from textbench.contracts.task import Task
from textbench.plan import build, registry
from textbench.plan.arguments import parse_settings, parse_value
from textbench.plan.precedence import Options, values
from textbench.run import assemble, checkpoint, conditions
from textbench.run.measure import measure, undisturbed
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError
from textbench.store.read import naming, read_run
from textbench.store.rows import EVALUATIONS, GENERATOR, METRICS, SAMPLES, LaterRow, Measurement


@dataclass(frozen=True)
class Stored:
    """A finished run's generator, in evaluation mode, and what it was trained on."""

    directory: RunDirectory
    spec: Spec
    task: Task[Config]
    generator: Generator

    @property
    def moment(self) -> str:
        """The name of the run's final evaluation; its random stream is named after it."""
        rows = self.directory.evaluations()
        if not rows:
            raise DamagedError(f"{METRICS} has no evaluation")
        last = rows[-1]
        whole = float(last["epoch"]).is_integer()
        return f"epoch {int(last['epoch'])}" if whole else f"step {last['step']}"

    def tempered(self, alpha: float) -> Generator:
        """Return the generator whose logits are multiplied by ``alpha``."""
        return self.generator if alpha == 1.0 else Tempered(self.generator, alpha)


def load(
    directory: RunDirectory,
    device: str = "cpu",
    changed: Mapping[str, JsonObject] | None = None,
    tasks: dict[str, Task[Config]] | None = None,
) -> Stored:
    """Load a finished run's generator.

    Args:
        directory: The run.
        device: Where to put it.
        changed: Options that are no longer what the record says (`assemble.task`), by task.
        tasks: Those that have been built before (for another seed, say), by fingerprint; its own
            is added.

    Raises:
        UserError: The run is damaged, or not done, or its trainer or data are no longer the same.
    """
    with naming(directory):
        recorded = read_run(directory)
    spec, status = recorded.spec, recorded.status.status
    if status != "done":
        raise UserError(f"{directory.name} is {status}: only runs that are done can be used")
    if spec.given:
        raise UserError(
            f"{directory.name} are sentences of another system; they have no generator "
            f"({SAMPLES} beside their record has the first of them)"
        )
    if not os.path.lexists(directory.path / GENERATOR):
        raise UserError(
            f"the parameters of {directory.name} are not in this store; they are made again by: "
            f"{command(spec)}"
        )
    state = checkpoint.load_generator(directory, spec.hash)
    kind = assemble.trainer_class(spec)
    known, key = {} if tasks is None else tasks, spec.task_fingerprint
    if key not in known:
        known[key] = assemble.task(spec, directory.store, (changed or {}).get(spec.task))
    place = torch.device(device)
    conditions.prepare(place)
    # The final parameters replace whatever it would start from: no warm-up is needed.
    trainer = assemble.trainer(spec, kind, known[key], place)
    trainer.setup()
    try:
        trainer.generator.load_state_dict(state)
    except Exception as error:
        wrong = f"{GENERATOR} does not fit the trainer ({type(error).__name__})"
        raise DamagedError(wrong) from error
    return Stored(directory, spec, known[key], trainer.generator.eval())


def command(spec: Spec) -> str:
    """Return the command that makes a run again, in a store of its own.

    A row that this command line would give other options (a variant that a config file defined, a
    preset that has changed since) is made again as its trainer with every option of the record: the
    name of a row is no part of what a run is.
    """
    row = spec.label.partition(" ")[0]
    settings = {**(spec.warmup.overrides if spec.warmup else {}), **spec.overrides}
    if not _is_made_by(spec, settings):
        row = spec.trainer
        settings = {key: v for key, v in settings.items() if re.split("[:@.]", key)[0] != row}
        settings |= {f"{row}.{k}": NONE if v is None else v for k, v in spec.config.items()}
    words = ["textbench", "run", "--algos", row, "--task", spec.task, "--preset", spec.preset]
    words += ["--seeds", str(spec.seed), "--results", "again"]
    for file in spec.plugins:
        words += ["--plugin", file]
    for setting in _typed(settings):
        words += ["--set", setting]
    return shlex.join(words)


def _is_made_by(spec: Spec, settings: JsonObject) -> bool:
    """Tell whether a row's name, its preset and ``settings`` give the options of the record."""
    rows = (spec.trainer, f"{spec.trainer}:{spec.variant}")[: 2 if spec.variant else 1]
    try:
        options = Options(spec.task, spec.preset, {}, parse_settings(_typed(settings)))
        schema = registry.load_trainer(spec.trainer).config_schema
        config = validate(schema, values(options.choose(*rows)), rows[-1])
    except UserError:  # nothing here is called so
        return False
    return config.identity() == spec.config


def _typed(settings: JsonObject) -> list[str]:
    """Return options as one types them after ``--set``; text that TOML would read is quoted."""
    return [
        f"{key}={value if value == parse_value(str(value)) == str(value) else json.dumps(value)}"
        for key, value in sorted(settings.items())
    ]


def sample(stored: Stored, n: int, alpha: float = 1.0, seed: int | None = None) -> list[str]:
    """Return ``n`` lines of text; the run's own seed names the stream unless one is given."""
    generator = stored.tempered(alpha)
    rng = stream(stored.spec.seed if seed is None else seed, "samples", device=generator.device)
    with undisturbed(generator):
        return build.decoded(stored.task, generator.sample(n, rng).cpu())


def evaluate(
    stored: Stored, metrics: Sequence[Metric], alpha: float, samples: int
) -> LaterRow | None:
    """Compute metrics of the generator at inverse temperature ``alpha``, and put them on record.

    At alpha 1 and with the run's own number of samples the draws are those of its final
    evaluation.

    Args:
        stored: The run, locked by this process.
        metrics: What to compute; what has its values on record is left out. What did not apply is
            tried again, since a metric may have been mended, and recorded where that changed.
        alpha: Multiplies the logits; 1.5 sharpens.
        samples: Sequences drawn, and at most scored.

    Returns:
        The row, or None where everything was on record.
    """
    generator = stored.tempered(alpha)
    evaluation = Evaluation(
        generator,
        stored.task,
        seed=stored.spec.seed,
        moment=stored.moment,
        samples=samples,
    )
    measured: dict[str, Measurement] = {}
    news = []
    with undisturbed(generator):
        for metric in metrics:
            known = on_record(stored.directory, metric, alpha, samples)
            if not _has_values(metric, known) and (found := measure([metric], evaluation)) != known:
                measured |= found
                news.append(metric)
    if not news:
        return None
    row: LaterRow = {
        "run": stored.spec.hash,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "textbench": __version__,
        "alpha": alpha,
        "samples": samples,
        "metrics": dict(sorted(measured.items())),
        "options": [options_of(metric) for metric in news],
    }
    row["checksum"] = digest(json.loads(json.dumps(row)))
    stored.directory.append(EVALUATIONS, row)
    stored.directory.sync(EVALUATIONS)
    return row


def options_of(metric: Metric) -> tuple[str, JsonObject]:
    """Return a metric's name and options, as they are put on record."""
    return metric.name, metric.config.model_dump(mode="json")


def on_record(
    directory: RunDirectory, metric: Metric, alpha: float, samples: int
) -> dict[str, Measurement]:
    """Return what was last computed of a metric with these options; empty where nothing was."""
    name, options = options_of(metric)
    found: dict[str, Measurement] = {}
    for row in directory.later():
        same = (row["alpha"], row["samples"]) == (alpha, samples)
        if same and any((one, given) == (name, options) for one, given in row["options"]):
            numbers = (number.name for number in metric.described())
            found = {key: row["metrics"][key] for key in numbers if key in row["metrics"]}
    return found


def _has_values(metric: Metric, found: Mapping[str, Measurement]) -> bool:
    values = {name: one["value"] for name, one in found.items()}
    return all(values.get(number.name) is not None for number in metric.described())
