"""From what the user typed to the list of runs: presets, config files, ``--set``, seeds.

Later wins: trainer defaults, preset for the trainer, variant, preset for the row, config file,
``--set``. So a preset reduces what a variant leaves open, and only by naming the row what defines
the variant. A section is named like the prefix of ``--set``: a trainer, a row (``cot:head``), a
task, a metric, ``backbone`` or ``evaluation``. ``SECTION@PLACE`` holds only where PLACE is the
preset, the task or its family (``cot@paper``, ``mle@text``), and wins over the same section
without. A variant that the config file defines belongs to the file: it wins over the preset, so
that its row is under every preset what its name says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from textbench.contracts.config import Config, validate
from textbench.contracts.errors import UnknownNameError, UserError
from textbench.contracts.spec import Spec
from textbench.plan import presets, registry
from textbench.plan.arguments import (
    Layer,
    parse_rows,
    parse_seeds,
    parse_settings,
    read_config,
    read_sections,
    read_text,
)

if TYPE_CHECKING:
    from textbench.contracts.task import Task


class EvaluationConfig(Config):
    """When and on how many samples metrics are computed; a part of a run's identity."""

    every: int = Field(1, ge=1)
    """Epochs between two evaluations."""
    every_steps: int = Field(0, ge=0)
    """Training steps between two additional evaluations; 0 makes none."""
    samples: int = Field(9984, ge=2)
    """Sequences drawn, and at most scored, for each point of a curve."""
    final_samples: int = Field(9984, ge=2)
    """The same for the last evaluation."""


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


def expand(request: Request) -> list[Spec]:
    """Return every run that the request means, each once, warm-ups before their dependants.

    Seeds vary slowest, so that an interrupted command leaves whole comparisons behind.

    Raises:
        UserError: Unknown names, options, or values out of range.
    """
    registry.load_plugins(request.plugins)
    top, file = read_config(request.config) if request.config else ({}, {})
    rows = parse_rows(request.algos or top.get("algos", ""))
    seeds = parse_seeds(request.seeds or top.get("seeds", "0"))
    task = request.task or read_text(top, "task")
    if not task:
        raise UserError("no task given; say --task synthetic (`textbench list` shows all)")
    resolution = _Resolution(
        task=registry.entry("task", task).name,
        preset=request.preset or read_text(top, "preset") or "quick",
        file=file,
        settings=parse_settings(request.settings),
        plugins=tuple(str(Path(plugin).resolve()) for plugin in request.plugins),
    )
    rows = [*(row for row in resolution.built_task.reference_rows() if row not in rows), *rows]
    specs: dict[tuple[str, str], Spec] = {}
    for seed in seeds:
        for row in rows:
            spec = resolution.spec(row, seed)
            for run in (spec.warmup, spec):
                if run is not None:
                    specs.setdefault((run.label, run.hash), run)
    resolution.refuse_unused_settings()
    return list(specs.values())


class _Resolution:
    """Everything that is common to the runs of one command."""

    def __init__(
        self, *, task: str, preset: str, file: Layer, settings: Layer, plugins: tuple[str, ...]
    ) -> None:
        self.task, self.preset, self.plugins = task, preset, plugins
        self.variants = registry.read_variants(file.pop("variants", {}), Path("config file"))
        self.file, self.settings = file, settings
        preset_file = registry.read_toml(presets.path(preset))
        self.preset_summary = str(preset_file.get("summary", ""))
        from_preset = read_sections(preset_file, preset)
        self.layers = (from_preset, {**file, **_own_rows(self.variants, file)}, settings)
        self.metric_sections = registry.metric_sections()
        self.used: set[tuple[str, str]] = set()
        self._refuse_unknown_sections()

    def spec(self, row: str, seed: int, changed: Mapping[str, Any] | None = None) -> Spec:
        """Resolve one run; ``changed`` are the options that a dependant wants otherwise."""
        name, _, variant = row.partition(":")
        trainer = registry.load_trainer(name)
        sections = (name, row) if variant else (name,)
        preset, *typed = self.layers
        options = self._options(name, layers=[preset]) | self._variant_options(name, variant)
        options |= self._options(row, layers=[preset]) if variant else {}
        options |= self._options(*sections, layers=typed) | dict(changed or {})
        config = validate(trainer.config_schema, options, row)
        if trainer.fresh_data(config) and not self.built_task.draws_fresh:
            raise UserError(
                f"{row} needs fresh training data, which task {self.task} does not have: "
                "the law of its sequences is not known"
            )
        overrides = self._overrides(*sections, kept=changed or {})
        self.used |= {tuple(key.rsplit(".", 1)) for key in overrides}  # type: ignore[misc]
        warmup = trainer.warmup(config)
        return replace(
            self._common,
            trainer=name,
            variant=variant,
            version=trainer.version,
            config=config.identity(),
            seed=seed,
            overrides=overrides,
            title=trainer.title or name,
            fresh_data=trainer.fresh_data(config),
            own_generator=trainer.brings_generator(config),
            warmup=self.spec(warmup[0], seed, warmup[1]) if warmup else None,
        )

    @cached_property
    def built_task(self) -> Task[Any]:
        """The task."""
        task_class = registry.load_task(self.task)
        return task_class(validate(task_class.config_schema, self._options(self.task), self.task))

    @cached_property
    def _common(self) -> Spec:
        """The part of the spec that does not depend on the trainer or the seed."""
        backbone = validate(BackboneConfig, self._options("backbone"), "backbone")
        evaluation = validate(EvaluationConfig, self._options("evaluation"), "evaluation")
        task = self.built_task
        return Spec(
            trainer="",
            version=0,
            config={},
            task=self.task,
            task_config=task.config.model_dump(mode="json"),
            task_fingerprint=task.fingerprint(),
            task_note=task.note,
            oracle=task.oracle_name,
            backbone=backbone.model_dump(mode="json"),
            evaluation=evaluation.model_dump(mode="json"),
            seed=0,
            metrics=self._metrics(),
            preset=self.preset,
            preset_summary=self.preset_summary,
            plugins=self.plugins,
        )

    def _metrics(self) -> dict[str, dict[str, Any]]:
        """Return the options of the metrics that somebody changed."""
        changed: dict[str, dict[str, Any]] = {}
        for section, name in self.metric_sections.items():
            options = self._options(section)
            if options:
                schema = registry.load_metric(name).config_schema
                config = validate(schema, options, section)
                if config != schema():
                    changed[section] = config.model_dump(mode="json")
        return changed

    def _variant_options(self, name: str, variant: str) -> dict[str, Any]:
        """Return a shipped variant's options; the file's own variants are in its layer."""
        own = self.variants.get(name, {})
        if not variant or variant in own:
            return {}
        return dict(check_variant(name, variant, registry.variants(name) | own)[1])

    def _scopes(self, *sections: str) -> list[str]:
        """Return the sections that count here, the more special ones later."""
        family = registry.load_task(self.task).family
        places = [self.preset, *([family] if family else []), self.task]
        return [section + at for section in sections for at in ("", *(f"@{p}" for p in places))]

    def _options(self, *sections: str, layers: Sequence[Layer] = ()) -> dict[str, Any]:
        """Merge layers, or all; within a layer, the row's section comes after the trainer's."""
        merged: dict[str, Any] = {}
        for layer in layers or self.layers:
            for section in self._scopes(*sections):
                merged |= layer.get(section, {})
        return merged

    def _overrides(self, *sections: str, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the user changed, except for the options that a dependant decides."""
        changed: dict[str, Any] = {}
        common = (self.task, "backbone", "evaluation", *self.metric_sections)
        own = self.variants.get(sections[0], {}).get(sections[-1].partition(":")[2], ("", {}))[1]
        for layer in (self.file, self.settings):
            for section in self._scopes(*sections, *common):
                base = section.partition("@")[0]
                decided = set(kept) if base in sections else set()
                if layer is self.file and base == sections[0]:
                    decided |= set(own)  # the row's variant wins over the trainer's section
                for key, value in layer.get(section, {}).items():
                    if key not in decided:
                        changed[f"{section}.{key}"] = value
        return changed

    def _refuse_unknown_sections(self) -> None:
        names = [*registry.names("trainer"), *registry.names("task"), *self.metric_sections]
        names += ["backbone", "evaluation"]
        for section in (*self.file, *self.settings):
            row, at, place = section.partition("@")
            name, colon, variant = row.partition(":")
            if name not in names:
                raise UnknownNameError("section", section, names, "an option is SECTION.KEY")
            if at:
                tasks = registry.names("task")
                families = {registry.load_task(task).family for task in tasks} - {""}
                places = (*tasks, *families, *presets.names())
                if place not in places:
                    raise UnknownNameError("task or preset", place, places, f"in {section}")
            if colon:
                registry.entry("trainer", name)
                self._variant_options(name, variant)

    def refuse_unused_settings(self) -> None:
        """A ``--set`` that changes nothing is a mistake: say so instead of ignoring it."""
        for section, options in self.settings.items():
            for key in options:
                if (section, key) not in self.used:
                    raise UserError(
                        f"--set {section}.{key} would have no effect: no run of this command "
                        f"takes it from there"
                    )


def check_variant(name: str, variant: str, known: registry.Variants) -> tuple[str, dict[str, Any]]:
    """Return a variant's summary and options.

    Raises:
        UnknownNameError: With the nearest names.
    """
    if variant not in known:
        where = f"`textbench show trainer:{name}` lists them"
        raise UnknownNameError(f"variant of {name}", variant, known, where)
    return known[variant]


def _own_rows(variants: Mapping[str, registry.Variants], file: Layer) -> Layer:
    """Return the sections of a config file's own variants, each before the file's for its row."""
    rows: Layer = {}
    for trainer, own in variants.items():
        registry.entry("trainer", trainer)
        for variant, (_, options) in own.items():
            row = f"{trainer}:{variant}"
            rows[row] = options | file.get(row, {})
    return rows
