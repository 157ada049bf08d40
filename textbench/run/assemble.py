"""From a spec to what it names: the classes, the task, the metrics, a trainer ready to be set up.

Everything that turns a recorded spec into live objects goes through here: the worker, `evaluate`
and `sample`, `check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from textbench.contracts.config import Config, validate
from textbench.contracts.errors import UnknownNameError, UserError, one_line
from textbench.contracts.metric import Metric
from textbench.contracts.plain import JsonObject
from textbench.contracts.spec import Spec
from textbench.contracts.task import Kept, Task
from textbench.contracts.trainer import Trainer
from textbench.plan import build, registry
from textbench.plan.build import trainer as trainer
from textbench.store import kept


@contextmanager
def _plugin_hint(spec: Spec) -> Iterator[None]:
    """Say which plug-in a name was from: what a record names is never loaded by itself."""
    try:
        yield
    except UnknownNameError as error:
        if not spec.plugins:
            raise
        gone = [file for file in spec.plugins if not Path(file).is_file()]
        missing = f", {'which' if len(gone) == 1 else 'some of which'} is no longer there"
        raise UserError(
            f"{spec.directory(Path())} was made with plugin {', '.join(spec.plugins)}"
            f"{missing if gone else ''}: repeat the command with --plugin FILE ({error})"
        ) from None


def trainer_class(spec: Spec) -> type[Trainer[Config]]:
    """Return the trainer that ``spec`` names.

    Raises:
        UserError: It is not there, or of another version.
    """
    with _plugin_hint(spec):
        found = registry.load_trainer(spec.trainer)
    if found.version != spec.version:
        raise UserError(
            f"{spec.label} seed {spec.seed} was made for version {spec.version} of {spec.trainer}; "
            f"this is version {found.version}: repeat its command to start it anew"
        )
    return found


def task(spec: Spec, store: Path | None = None, changed: JsonObject | None = None) -> Task[Config]:
    """Build the task that ``spec`` was made for.

    Args:
        spec: The run.
        store: Where the run lies: what is kept there of the data counts before their files, which
            the record names where they were.
        changed: Options of the task that are no longer what the record says: where its files are.

    Raises:
        UserError: It is not there, or its data are not what they were.
    """
    with _plugin_hint(spec):
        kind = registry.load_task(spec.task)
    if changed:
        return _built(kind, replace(spec, task_config={**spec.task_config, **changed}))
    config = validate(kind.config_schema, spec.task_config, spec.task)
    found, damage = _kept(spec, store) if store else (None, "")
    restored = None
    try:
        if found:
            restored = kind.restored(config, found)
            if found.tensors:
                if restored.fingerprint() != spec.task_fingerprint:
                    raise ValueError("its fingerprint does not fit")
                return restored
    except Exception as error:  # what is damaged may fail in any way inside its reader
        restored, damage = None, f"what the store keeps of it is damaged ({one_line(error)})"
    try:
        return _built(kind, spec)
    except UserError as error:
        if restored:
            return restored
        where = f"; --set {spec.task}.KEY=VALUE says where the data are now" if store else ""
        raise UserError(f"{error}{where}{damage and f' ({damage})'}") from None


def _kept(spec: Spec, store: Path) -> tuple[Kept | None, str]:
    """Return what a store keeps of the data, or why that cannot be used."""
    try:
        return kept.kept(store, spec), ""
    except (OSError, UserError) as error:
        return None, one_line(error)


def _built(kind: type[Task[Config]], spec: Spec) -> Task[Config]:
    built = build.task(kind, validate(kind.config_schema, spec.task_config, spec.task))
    if build.fingerprint(built) != spec.task_fingerprint:
        raise UserError(
            f"task {spec.task} is no longer the one that {spec.label} seed {spec.seed} was made "
            "for: its data, or how they are read, have changed"
        )
    return built


def metrics(
    classes: Iterable[type[Metric]], options: Mapping[str, Mapping[str, object]]
) -> list[Metric]:
    """Return metrics with their options, given by section (`Spec.metrics`).

    Raises:
        UserError: An option that is not one, or its value.
    """
    named = [(kind, kind.section or kind.name) for kind in classes]
    return [
        kind(validate(kind.config_schema, options.get(section, {}), section))
        for kind, section in named
    ]


def metric_classes(family: str) -> list[type[Metric]]:
    """Return the metrics that apply to tasks of a family (`Task.family`)."""
    found = (registry.load_metric(name) for name in registry.names("metric"))
    return [kind for kind in found if kind.family in ("", family)]
