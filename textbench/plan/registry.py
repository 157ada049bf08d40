"""Trainers, metrics and tasks by name: from entry points, or from ``--plugin`` files.

Names, summaries and variants are read without importing anything (and so without torch); only the
``load_*`` functions import.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from textbench.contracts.errors import UnknownNameError, UserError
from textbench.contracts.plain import JsonObject
from textbench.plan import source
from textbench.plan.complaint import base_class, complaint
from textbench.plan.plugins import import_class, is_name, run_file
from textbench.plan.toml import read_toml

if TYPE_CHECKING:
    from textbench.contracts.config import Config
    from textbench.contracts.metric import Metric
    from textbench.contracts.task import Task
    from textbench.contracts.trainer import Trainer

Kind = Literal["trainer", "metric", "task"]
KINDS: tuple[Kind, ...] = ("trainer", "metric", "task")
RESERVED = frozenset({"backbone", "evaluation", "grid", "variants"})
"""Sections of a configuration, which no trainer or task may be called."""
Variants = dict[str, tuple[str, JsonObject]]
"""Summary and changed options, by name."""


@dataclass(frozen=True)
class Entry:
    """One registered class."""

    kind: Kind
    name: str
    module: str
    qualname: str
    plugin: Path | None = None
    """The file it was loaded from, unless an installed package offers it."""

    @property
    def file(self) -> Path | None:
        """Where its source is; None when the package that promised it does not hold it."""
        return self.plugin or source.find_module(self.module)

    def read(self) -> source.ClassSource:
        """Return what its source says, without importing it."""
        if self.file is None:
            return source.ClassSource(f"(module {self.module} cannot be found)")
        try:
            classes = source.classes(self.file)
        except (OSError, SyntaxError) as error:
            return source.ClassSource(f"({error})")
        return classes.get(
            self.qualname, source.ClassSource(f"({self.module} has no {self.qualname})")
        )

    def attribute(self, name: str) -> object:
        """Return an attribute of the class: a plugin's, which is imported, knows it itself."""
        if self.plugin:
            return getattr(
                import_class(self.module, self.qualname, self.plugin, self.name), name, None
            )
        return self.read().attributes.get(name)

    @property
    def summary(self) -> str:
        """One line: the attribute ``summary``, or the docstring's first line."""
        return str(self.attribute("summary") or self.read().docstring.partition("\n")[0])


_plugins: dict[Path, list[Entry]] = {}


def entries(kind: Kind) -> dict[str, Entry]:
    """Return everything of one kind, by name: installed packages first, then plugins."""
    loaded = [entry for found in _plugins.values() for entry in found if entry.kind == kind]
    return dict(sorted({**installed(kind), **{entry.name: entry for entry in loaded}}.items()))


@functools.cache
def installed(kind: Kind) -> dict[str, Entry]:
    """Return what installed packages offer of one kind, by name."""
    from importlib.metadata import entry_points

    found: dict[str, Entry] = {}
    for point in entry_points(group=f"textbench.{kind}s"):
        entry = Entry(kind, point.name, point.module, point.attr)
        if found.setdefault(entry.name, entry) != entry:
            raise UserError(
                f"two installed packages offer a {kind} called {entry.name!r}: "
                f"{found[entry.name].module} and {entry.module}"
            )
    return found


def names(kind: Kind) -> list[str]:
    """Return the registered names, sorted."""
    return list(entries(kind))


def entry(kind: Kind, name: str) -> Entry:
    """Return one entry.

    Raises:
        UnknownNameError: With the nearest names.
    """
    known = entries(kind)
    if name not in known:
        raise UnknownNameError(kind, name, known, "`textbench list` shows all")
    return known[name]


def metric_sections() -> dict[str, str]:
    """Return the sections of a configuration that metrics have, each with one of its metrics."""
    found = ((entry.attribute("section"), name) for name, entry in entries("metric").items())
    return {str(section or name): name for section, name in found}


def sections() -> set[str]:
    """Return what options may be of."""
    return {*names("trainer"), *names("task"), *metric_sections(), "backbone", "evaluation"}


def reference_rows(family: str) -> list[str]:
    """Return the trainers that say of themselves that rows on such tasks are read against them."""
    trainers = entries("trainer").items() if family else ()
    return [name for name, entry in trainers if entry.attribute("reference_for") == family]


# -- importing -------------------------------------------------------------------------------


def load_trainer(name: str) -> type[Trainer[Config]]:
    """Import a trainer's class."""
    return _load(entry("trainer", name))


def load_metric(name: str) -> type[Metric]:
    """Import a metric's class."""
    return _load(entry("metric", name))


def numbers() -> dict[str, str]:
    """Return the names of all metrics' numbers, each with its metric's."""
    return {
        number.name: name for name in names("metric") for number in load_metric(name).described()
    }


def metric_of(name: str) -> str:
    """Return the metric called ``name``, or the one that has a number of this name.

    Raises:
        UnknownNameError: With the nearest names.
    """
    if name in entries("metric"):
        return name
    known = numbers()
    if name not in known:
        where = "`textbench list` shows all"
        raise UnknownNameError("metric", name, {*known, *names("metric")}, where)
    return known[name]


def load_task(name: str) -> type[Task[Config]]:
    """Import a task's class."""
    return _load(entry("task", name))


def _load(found: Entry) -> type[Any]:
    what = f"{found.kind} {found.name!r}"
    loaded = import_class(found.module, found.qualname, found.file, what)
    wrong = complaint(found.kind, loaded)
    if not wrong and loaded.name != found.name:
        wrong = f"has the name {loaded.name!r}"
    if wrong:
        raise UserError(f"{what} cannot be used: {found.module}.{found.qualname} {wrong}")
    return loaded


# -- plugin files ----------------------------------------------------------------------------


def load_plugin(file: str | Path) -> list[Entry]:
    """Run a plugin file and register the trainers, metrics and tasks it defines.

    Loading the same file again changes nothing.

    Raises:
        UserError: One line naming the file, the line and the exception; or a clash of names.
    """
    path = Path(file).resolve()
    if path not in _plugins:
        module = run_file(file)
        defined = [_plugin_entry(value, module.__name__, path) for value in vars(module).values()]
        found = list(dict.fromkeys(new for new in defined if new is not None))  # by any alias once
        if not found:
            raise UserError(f"plugin {file} defines no Trainer, Metric or Task with a name")
        try:
            for new in found:
                _refuse_clash(new, file)  # two in one file may clash, too
                _plugins.setdefault(path, []).append(new)
        except BaseException:
            _plugins.pop(path, None)
            raise
    return _plugins[path]


def load_plugins(files: Iterable[str | Path]) -> None:
    """Load several plugin files; see `load_plugin`."""
    for file in files:
        load_plugin(file)


def _plugin_entry(value: object, module: str, path: Path) -> Entry | None:
    if not isinstance(value, type) or value.__module__ != module or "name" not in vars(value):
        return None
    kinds = [kind for kind in KINDS if issubclass(value, base_class(kind))]
    if not kinds:
        return None
    name = vars(value)["name"]
    if not isinstance(name, str) or not is_name(name):
        raise UserError(
            f"plugin {path.name}: {value.__name__}.name is {name!r}; "
            "a name is letters, digits, '-' and '_'"
        )
    wrong = complaint(kinds[0], value)
    if wrong:
        raise UserError(f"plugin {path.name}: {value.__name__} {wrong}")
    return Entry(kinds[0], name, module, value.__qualname__, path)


def _refuse_clash(new: Entry, file: str | Path) -> None:
    """All kinds share the sections of a configuration, so all names must differ."""
    if new.name in RESERVED:
        raise UserError(f"plugin {file}: the name {new.name!r} is reserved")
    for kind in KINDS:
        if found := entries(kind).get(new.name):
            where = f"in {found.plugin or found.module}"
            raise UserError(f"plugin {file}: a {kind} called {new.name!r} exists already, {where}")
    if new.kind == "metric":
        taken = numbers()
        described = _described(new)
        for number in described:
            if number in taken:
                raise UserError(
                    f"plugin {file}: metric {new.name!r} has a number {number!r}, which metric "
                    f"{taken[number]!r} has already: give it `numbers` of its own"
                )
            if not is_name(number) or described.count(number) > 1:
                raise UserError(f"plugin {file}: metric {new.name!r}: bad number {number!r}")


def _described(new: Entry) -> list[str]:
    """Return the names of a metric's numbers, before it is registered."""
    metric: type[Metric] = import_class(new.module, new.qualname, new.plugin, new.name)
    return [number.name for number in metric.described()]


# -- variants --------------------------------------------------------------------------------


@functools.cache
def variants(name: str) -> Variants:
    """Return the variants of a trainer: ``{variant: (summary, options)}``.

    They are read from ``variants.toml``, and from ``STEM.toml``, beside the trainer's file.
    """
    file = entry("trainer", name).file
    if file is None:
        return {}
    found: Variants = {}
    for path in (file.parent / "variants.toml", file.with_suffix(".toml")):
        if path.is_file():
            found.update(read_variants(read_toml(path), path).get(name, {}))
    return found


def read_variants(data: JsonObject, path: Path) -> dict[str, Variants]:
    """Return ``{trainer: variants}`` from tables ``[TRAINER.VARIANT]`` with a ``summary``."""
    found: dict[str, Variants] = {}
    for trainer, table in data.items():
        if not isinstance(table, dict):
            raise UserError(f"{path}: {trainer!r} must be a table of variants")
        for variant, options in table.items():
            if not is_name(variant):
                why = "is no name; a name is letters, digits, '-' and '_'"
                raise UserError(f"{path}: variant {variant!r} of {trainer} {why}")
            if not isinstance(options, dict):
                raise UserError(f"{path}: variant {variant!r} of {trainer} must be a table")
            changed = {key: value for key, value in options.items() if key != "summary"}
            found.setdefault(trainer, {})[variant] = (str(options.get("summary", "")), changed)
    return found
