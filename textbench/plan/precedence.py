"""The one rule of precedence: where an option is set several times, which value counts.

An option may be set at several *places* (sections) by several *sources*:

1. the command line wins over all else;
2. otherwise the more specific place wins, whoever speaks there;
3. at one place the config file wins over the preset, and the preset over what ships.

Places, from the general to the specific: the trainer (``cot``), then the row (``cot:head``); each
of them plain, for a family of tasks (``cot@text``), for a task (``cot@kjv``), and for a preset
(``cot@quick``, which only a config file or the command line has reason to write).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from textbench.contracts.errors import UnknownNameError, UserError
from textbench.contracts.plain import Json, JsonObject
from textbench.plan import registry
from textbench.plan.arguments import Layer, read_sections
from textbench.plan.shipped import presets
from textbench.plan.toml import read_toml

SHIPPED, PRESET, VARIANT, FILE, COMMAND_LINE = SOURCES = (
    *("variant", "preset", "config file's variant", "config file", "command line"),
)
"""Who may set an option, the stronger ones later; below them all is the schema's default. The
variants that a config file defines are its own: they win over presets, and lose to what the file
says of their row besides."""


class Choice(NamedTuple):
    """The value that counts, and where it is from."""

    value: Json
    source: str
    """One of `SOURCES`."""
    section: str
    """The place, as it is written: ``cot:head@text``."""


Choices = dict[str, Choice]
"""By option."""


def places(sections: Sequence[str], at: Sequence[str]) -> list[str]:
    """Return every section that counts for a run, from the general to the specific.

    Args:
        sections: The trainer and the row, or the one section of a task, a metric, the backbone.
        at: The run's task family (if any), task and preset.
    """
    return [section + place for section in sections for place in ("", *(f"@{p}" for p in at))]


def decide(layers: Mapping[str, Layer], where: Sequence[str]) -> Choices:
    """Return the choice for every option that somebody set.

    Args:
        layers: What each of `SOURCES` says; those that say nothing may be left out.
        where: The sections that count, see `places`.
    """
    chosen: Choices = {}
    for sources in (SOURCES[:-1], SOURCES[-1:]):
        for section in where:
            for source in sources:
                for option, value in layers.get(source, {}).get(section, {}).items():
                    chosen[option] = Choice(value, source, section)
    return chosen


def values(chosen: Choices) -> JsonObject:
    """Return the values that count."""
    return {option: choice.value for option, choice in chosen.items()}


def overrides(chosen: Choices) -> JsonObject:
    """Return those that the user set, as ``{"SECTION.OPTION": value}``."""
    return {
        f"{choice.section}.{option}": choice.value
        for option, choice in chosen.items()
        if choice.source in (FILE, COMMAND_LINE)
    }


class Options:
    """What preset, config file and command line say, for one task; and what of it is heeded.

    Args:
        task: The task's name.
        preset: The preset's name.
        file: The sections of the config file, ``variants`` among them.
        settings: Those of ``--set``.

    Raises:
        UserError: A section that belongs to nothing, or broken variants.
    """

    def __init__(self, task: str, preset: str, file: Layer, settings: Layer) -> None:
        family = registry.load_task(task).family
        self.preset = preset
        self.at = [*([family] if family else []), task, preset]
        self.own = registry.read_variants(file.get("variants", {}), Path("config file"))
        rows = {
            f"{trainer}:{variant}": options
            for trainer, variants in self.own.items()
            for variant, (_, options) in variants.items()
        }
        preset_file = read_toml(presets.path(preset))
        self.preset_summary = str(preset_file.get("summary", ""))
        self.layers: dict[str, Layer] = {
            PRESET: read_sections(preset_file, preset),
            VARIANT: rows,
            FILE: {section: table for section, table in file.items() if section != "variants"},
            COMMAND_LINE: settings,
        }
        self._heeded: set[tuple[str, str, str]] = set()
        self._beaten: dict[tuple[str, str, str], Choice] = {}
        self._levelled: dict[str, str] = {}
        for section in (*rows, *self.layers[FILE], *settings):
            self._refuse_unknown(section)

    def choose(self, *sections: str, decided: Mapping[str, object] | None = None) -> Choices:
        """Return what counts for a run of the trainer and its row, or for one other section.

        Args:
            sections: Trainer and row, where that is another; or a task, a metric, ``backbone``.
            decided: Of a warm-up: the options that the run after it decides.
        """
        where = places(sections, self.at)
        layers = self.layers | {SHIPPED: self._shipped(sections[-1])}
        chosen = decide(layers, where)
        if len(sections) > 1:
            self._note_levelled(sections[-1], layers, chosen)
        chosen = {option: chosen[option] for option in chosen if option not in (decided or {})}
        for section in where:
            for option, value in self.layers[COMMAND_LINE].get(section, {}).items():
                if option in chosen:
                    lost = chosen[option].section != section
                    self._account((COMMAND_LINE, section, option), value, chosen[option], lost)
            stated = self.layers[FILE].get(section, {}) if decided is None else {}
            for option, value in stated.items():
                lost = chosen[option].source in (SHIPPED, PRESET)
                self._account((FILE, section, option), value, chosen[option], lost)
        return chosen

    def _note_levelled(self, row: str, layers: Mapping[str, Layer], chosen: Choices) -> None:
        """Note a ``--set`` for the trainer that beats what the row itself says."""
        untyped = {source: layers[source] for source in SOURCES[:-1]}
        for option, own in decide(untyped, places([row], self.at)).items():
            section, value = chosen[option].section, chosen[option].value
            if section.partition("@")[0] != row and value != own.value:
                self._levelled[row] = f"{section}.{option}"

    def _account(self, said: tuple[str, str, str], value: Json, choice: Choice, lost: bool) -> None:
        """Note whether what the user said counts for a run, or what beat it."""
        if lost and choice.value != value:
            self._beaten[said] = choice
        else:
            self._heeded.add(said)

    def _shipped(self, row: str) -> Layer:
        """Return the section that a shipped variant is; the file may define it anew."""
        name, _, variant = row.partition(":")
        own = self.own.get(name, {})
        if not variant or variant in own:
            return {}
        return {row: check_variant(name, variant, registry.variants(name) | own)[1]}

    def _refuse_unknown(self, section: str) -> None:
        """Raise `UnknownNameError` where a section belongs to nothing that is installed."""
        row, at, place = section.partition("@")
        name, colon, _ = row.partition(":")
        if colon:
            registry.entry("trainer", name)
            self._shipped(row)
        if name not in (known := registry.sections()):
            raise UnknownNameError("section", section, known, "an option is SECTION.KEY")
        if at:
            tasks = registry.names("task")
            families = {registry.load_task(task).family for task in tasks} - {""}
            known = {*tasks, *families, *presets.names()}
            if place not in known:
                raise UnknownNameError("task or preset", place, known, f"in {section}")

    def refuse_unheeded(self) -> None:
        """Refuse what the user set in vain: it is a mistake.

        Raises:
            UserError: A ``--set`` that no run takes, or that a more specific one beats in all; an
                option of the config file that a more specific section of the preset, or the
                variant, beats wherever it applies.
        """
        for section, options in self.layers[COMMAND_LINE].items():
            for option in options:
                said = (COMMAND_LINE, section, option)
                if said not in self._heeded:
                    why = "no run of this command takes it from there"
                    if choice := self._beaten.get(said):
                        why = f"the more specific --set {choice.section}.{option} wins"
                    raise UserError(f"--set {section}.{option} would have no effect: {why}")
        for (source, section, option), choice in self._beaten.items():
            if source == FILE and (source, section, option) not in self._heeded:
                whose = f"preset {self.preset}" if choice.source == PRESET else "the variant"
                raise UserError(
                    f"config file: {section}.{option} would have no effect: the more specific "
                    f"{choice.section}.{option} of {whose} wins; "
                    f'set it in ["{choice.section}"] too'
                )

    def levelled(self, runs: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Yield a line on every row that a ``--set`` makes the same run as an earlier one.

        Args:
            runs: Row and hash of every run.
        """
        first: dict[str, str] = {}
        told: set[str] = set()
        for row, identity in runs:
            other = first.setdefault(identity, row)
            levelled = next((one for one in (row, other) if one in self._levelled), None)
            if other == row or row in told or levelled is None:
                continue
            told.add(row)
            said = self._levelled[levelled]
            option = said.rpartition(".")[2]
            yield (
                f"{other} and {row} are one and the same run: --set {said} takes away what sets "
                f"them apart; say which row is meant (--set {levelled}.{option})"
            )


def check_variant(name: str, variant: str, known: registry.Variants) -> tuple[str, JsonObject]:
    """Return a variant's summary and options.

    Raises:
        UnknownNameError: With the nearest names.
    """
    if variant not in known:
        where = f"`textbench show trainer:{name}` lists them"
        raise UnknownNameError(f"variant of {name}", variant, known, where)
    return known[variant]
