"""From what the user typed to the list of runs: presets, config files, ``--set``, seeds.

One rule says which value of an option counts (`textbench.plan.precedence`): **the command line
wins; otherwise the more specific place; at one place the config file over the preset, and the
preset over what ships**. Places, from the general to the specific, are the trainer (``mle``), the
row (``mle:dropout``), and each of them for a family of tasks (``mle@text``), a task (``mle@kjv``)
or a preset (``mle@quick``). So, later wins:

=====  ==================================  ====================================================
1      the schema's default                ``epochs: int = 120``
2      the trainer                         ``[mle]`` of the preset, then of the config file
3      the trainer on a family of tasks    ``["mle@text"]`` of the preset, then of the file
4      the trainer on a task               ``["mle@kjv"]``, likewise
5      the trainer under a preset          ``["mle@quick"]`` of the file
6      the row                             the variant, ``["mle:dropout"]`` of the preset, the
                                           file's variant of that name, its ``["mle:dropout"]``
7-9    the row on a family, a task, ...    ``["mle:dropout@text"]``, as 3 to 5
10     the command line                    ``--set mle.epochs=5``, by place as above
=====  ==================================  ====================================================

A task, a metric, ``backbone`` and ``evaluation`` are sections as trainers are, and have no rows. So
a preset shortens what a variant leaves open, and what defines the variant only by naming the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from textbench.contracts.config import Config, validate
from textbench.contracts.errors import UserError, did_you_mean
from textbench.contracts.grid import is_due
from textbench.contracts.plain import JsonObject
from textbench.contracts.returned import wrong_warmup
from textbench.contracts.spec import Spec
from textbench.plan import registry
from textbench.plan.arguments import (
    Layer,
    parse_rows,
    parse_seeds,
    parse_settings,
    read_config,
    read_text,
)
from textbench.plan.plugins import title_of
from textbench.plan.precedence import Options, overrides, values

MAX_WARMUPS = 4
"""How many runs may start from one another before the one that is asked for."""

if TYPE_CHECKING:
    from textbench.contracts.task import Task


class EvaluationConfig(Config):
    """When and on how many samples metrics are computed; a part of a run's identity."""

    every: int = Field(1, ge=1)
    """Epochs between two evaluations."""
    early_every: int = Field(0, ge=0)
    """The same up to epoch `early_until`, where curves are steep; 0 makes no difference."""
    early_until: int = Field(0, ge=0)
    """The last epoch to which `early_every` applies."""
    every_steps: int = Field(0, ge=0)
    """Training steps between two additional evaluations; 0 makes none."""
    samples: int = Field(9984, ge=2)
    """Sequences drawn, and at most scored, for each point of a curve."""
    final_samples: int = Field(9984, ge=2)
    """The same for the last evaluation."""

    added_options: ClassVar[frozenset[str]] = frozenset({"early_every", "early_until"})

    def due(self, epoch: int) -> bool:
        """Tell whether the end of ``epoch`` is a point of the grid of evaluations."""
        return is_due(epoch, self.every, self.early_every, self.early_until)


class BackboneConfig(Config):
    """Sizes of the LSTM language model that the basic trainers share."""

    embedding: int = Field(32, ge=1)
    """Width of the embedding."""
    hidden: int = Field(32, ge=1)
    """Width of the LSTM's state."""


@dataclass(frozen=True)
class Request:
    """What the user asked for, unchecked; empty values are taken from the config file."""

    algos: str = ""
    """Rows, comma-separated: ``mle,cot:head``."""
    task: str = ""
    preset: str = ""
    seeds: str = ""
    """``0:5`` (half-open), ``0,3,7``, or a mix."""
    settings: Sequence[str] = ()
    """``KEY=VALUE`` of every ``--set``."""
    config: Path | None = None
    """A TOML file with the same choices and sections, or the name of a grid that ships."""
    plugins: Sequence[Path] = ()


def expand(
    request: Request, warn: Callable[[str], None] | None = None, *, schedules: bool = False
) -> list[Spec]:
    """Return every run that the request means, each once, warm-ups before their dependants.

    Seeds vary slowest, so that an interrupted command leaves whole comparisons behind.

    Args:
        request: What was asked for.
        warn: Is told what may make numbers mean little: of the task's data (`Task.warnings`), and
            which rows a ``--set`` makes the same.
        schedules: Whether every row is asked for its schedule, which only its own code knows.

    Raises:
        UserError: Unknown names, options, or values out of range.
    """
    registry.load_plugins(request.plugins)
    top, file = read_config(request.config) if request.config else ({}, {})
    in_file = top.get("algos", "")
    rows = parse_rows(request.algos) if request.algos else parse_rows(in_file, "config file: algos")
    seeds = parse_seeds(request.seeds or top.get("seeds", "0"))
    task = request.task or read_text(top, "task")
    if not task:
        raise UserError("no task given; say --task synthetic (`textbench list` shows all)")
    preset = request.preset or read_text(top, "preset") or "quick"
    resolution = _Resolution(replace(request, task=task, preset=preset), file)
    from textbench.plan import build  # which imports torch

    references = build.reference_rows(resolution.built_task)
    if references is None:
        references = registry.reference_rows(resolution.built_task.family)
    rows = [*(row for row in references if row not in rows), *rows]
    first = [resolution.spec(row) for row in rows]
    specs: dict[tuple[str, str], Spec] = {}
    for seed in seeds:
        for spec in (one.at_seed(seed) for one in first):
            for run in (spec.warmup, spec):
                if run is not None:
                    if schedules and seed == seeds[0]:
                        build.check_schedule(run, resolution.built_task)
                    specs.setdefault((run.label, run.hash), run)
    resolution.options.refuse_unheeded()
    if warn:
        about = [f"{resolution.task}: {line}" for line in resolution.built_task.warnings]
        for line in (*about, *resolution.options.levelled(specs)):
            warn(line)
    return list(specs.values())


def resolve_task_options(request: Request) -> Config:
    """Return a task's options without building it; rows and seeds do not matter.

    Raises:
        UserError: Unknown names, options, or values out of range.
    """
    return _Resolution(request).task_options


def resolve_task(request: Request) -> tuple[Task[Config], Spec]:
    """Return a task, built, and the part of a spec that it decides, the metrics' options included.

    Args:
        request: What was asked for; rows and seeds do not matter.

    Raises:
        UserError: Unknown names, options, or values out of range.
    """
    resolution = _Resolution(request)
    common = resolution._common
    resolution.options.refuse_unheeded()
    return resolution.built_task, common


class _Resolution:
    """Everything that is common to the runs of one command."""

    def __init__(self, request: Request, file: Layer | None = None) -> None:
        self.task, self.preset = registry.entry("task", request.task).name, request.preset
        self.plugins = tuple(str(Path(plugin).resolve()) for plugin in request.plugins)
        settings = parse_settings(request.settings)
        self.options = Options(self.task, self.preset, file or {}, settings)

    def spec(
        self,
        row: str,
        changed: Mapping[str, object] | None = None,
        dependants: tuple[str, ...] = (),
    ) -> Spec:
        """Resolve a row, at seed 0.

        Of a warm-up, ``changed`` are the options that its dependant decides, and ``dependants`` the
        rows that start from it, the one that was asked for first.
        """
        name, _, variant = row.partition(":")
        trainer = registry.load_trainer(name)
        sections = (name, row) if variant else (name,)
        chosen = self.options.choose(*sections, decided=changed)
        options = values(chosen) | dict(changed or {})
        whose = f"{dependants[-1]}: its warm-up: " if dependants else ""
        config = validate(trainer.config_schema, options, whose + row)
        if trainer.fresh_data(config) and not self.built_task.draws_fresh:
            raise UserError(
                f"{row} needs fresh training data, which task {self.task} does not have: "
                "the law of its sequences is not known"
            )
        return replace(
            self._common,
            trainer=name,
            variant=variant,
            version=trainer.version,
            config=config.identity(),
            overrides=overrides(chosen) | self._common.overrides,
            title=title_of(trainer),
            fresh_data=bool(trainer.fresh_data(config)),
            own_generator=bool(trainer.brings_generator(config)),
            warmup=self._warmup(trainer.warmup(config), (*dependants, row)),
        )

    def _warmup(
        self, asked: tuple[str, Mapping[str, object]] | None, dependants: tuple[str, ...]
    ) -> Spec | None:
        """Resolve what `Trainer.warmup` of the last of ``dependants`` asks for."""
        if wrong := wrong_warmup(asked):
            raise UserError(f"{dependants[-1]}: {wrong}")
        if asked is None:
            return None
        name, changed = asked
        if len(dependants) > MAX_WARMUPS:
            raise UserError(
                f"{dependants[0]}: its warm-ups never end ({', '.join((*dependants, name))}): "
                f"one of the first {MAX_WARMUPS} must return None from warmup()"
            )
        if name.partition(":")[0] not in registry.names("trainer"):
            nearest = did_you_mean(name, registry.names("trainer"))
            raise UserError(f"{dependants[-1]}: warmup() names no trainer: {name!r}{nearest}")
        return self.spec(name, changed, dependants)

    @cached_property
    def built_task(self) -> Task[Config]:
        """The task."""
        from textbench.plan import build

        return build.task(registry.load_task(self.task), self.task_options)

    @cached_property
    def task_options(self) -> Config:
        """The task's options."""
        schema = registry.load_task(self.task).config_schema
        return validate(schema, values(self.options.choose(self.task)), self.task)

    @cached_property
    def _common(self) -> Spec:
        """The part of the spec that does not depend on the trainer or the seed."""
        from textbench.plan import build

        sections = (self.task, "backbone", "evaluation", *registry.metric_sections())
        chosen = {section: self.options.choose(section) for section in sections}
        backbone = validate(BackboneConfig, values(chosen["backbone"]), "backbone")
        evaluation = validate(EvaluationConfig, values(chosen["evaluation"]), "evaluation")
        task = self.built_task
        return Spec(
            trainer="",
            version=0,
            config={},
            task=self.task,
            task_config=task.config.model_dump(mode="json"),
            task_fingerprint=build.fingerprint(task),
            task_note=task.note,
            oracle=task.oracle_name,
            backbone=backbone.model_dump(mode="json"),
            evaluation=evaluation.identity(),
            seed=0,
            metrics=metric_options({section: values(one) for section, one in chosen.items()}),
            preset=self.preset,
            overrides=dict(pair for found in chosen.values() for pair in overrides(found).items()),
            preset_summary=self.options.preset_summary,
            plugins=self.plugins,
        )


def metric_options(said: Mapping[str, Mapping[str, object]]) -> dict[str, JsonObject]:
    """Return the options of metrics that somebody changed, by section; check them (UserError)."""
    changed: dict[str, JsonObject] = {}
    for section, name in registry.metric_sections().items():
        if options := said.get(section):
            schema = registry.load_metric(name).config_schema
            config = validate(schema, options, section)
            if config != schema():
                changed[section] = config.model_dump(mode="json")
    return changed
