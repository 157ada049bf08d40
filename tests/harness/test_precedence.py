"""One rule says which value of an option counts; here it is written a second time, as a maximum."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.plan import precedence, registry
from textbench.plan.resolve import Request, expand
from textbench.plan.shipped import presets

PLUGIN = """
from textbench.contracts.config import Config
from textbench.contracts.trainer import Phase, Trainer


class PlainConfig(Config):
    epochs: int = 1
    lr: float = 0.1


class Plain(Trainer[PlainConfig]):
    name = "plain"
    config_schema = PlainConfig

    def phases(self):
        return [Phase("plain", 1, 1)]

    def setup(self):
        pass

    def step(self, at):
        return {}
"""
SHIPPED = {"lr": 0.2}
"""What the shipped variant ``plain:v`` sets."""
ROWS = ("plain", "plain:v")
AT = ("", "@toys", "@synthetic-tiny", "@p")
SECTIONS = [row + at for row in ROWS for at in AT]
"""Where an option of ``plain:v`` may be set; the first four are ``plain``'s, too."""
PRESET, OWN, FILE, TYPED = 1, 2, 3, 4
"""Sources, the stronger ones later; 0 is the shipped variant."""

Table = dict[str, dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The trainer ``plain`` and its variant ``v``; the only preset `p`; the family `toys`."""
    (tmp_path / "trainers.py").write_text(PLUGIN)
    (tmp_path / "trainers.toml").write_text(toml({"plain.v": SHIPPED}).replace('"', ""))
    (tmp_path / "presets").mkdir()
    monkeypatch.setattr(presets, "folder", tmp_path / "presets")
    monkeypatch.setattr(registry.load_task("synthetic-tiny"), "family", "toys")
    yield tmp_path
    registry._plugins.clear()
    registry.variants.cache_clear()


def toml(table: Table) -> str:
    """Return a TOML file; JSON's strings and numbers are TOML's."""
    lines = []
    for section, options in table.items():
        lines += [f"[{json.dumps(section)}]", *(f"{k} = {v}" for k, v in options.items())]
    return "\n".join(lines) + "\n"


def resolve(
    folder: Path,
    preset: Table,
    file: Table,
    typed: Table,
    own: dict[str, Any] | None = None,
    algos: str = "plain,plain:v",
) -> dict[str, Spec]:
    """Expand both rows; ``own`` is the config file's variant ``v``."""
    variant = "" if own is None else toml({"X": own}).replace('"X"', "variants.plain.v")
    (folder / "presets" / "p.toml").write_text(toml(preset))
    (folder / "c.toml").write_text(toml(file) + variant)
    request = Request(
        algos=algos,
        task="synthetic-tiny",
        preset="p",
        config=folder / "c.toml",
        plugins=[folder / "trainers.py"],
        settings=[f"{section}.{k}={v}" for section in typed for k, v in typed[section].items()],
    )
    return {spec.label: spec for spec in expand(request)}


# -- the rule ----------------------------------------------------------------------------------


class Said(NamedTuple):
    """One statement about an option; the greatest counts."""

    typed: bool
    place: int
    source: int
    section: str
    value: Any


def strongest(row: str, option: str, tables: dict[int, Table]) -> Said | None:
    """The command line over all, then the more specific place, then the stronger source."""
    places = SECTIONS[: len(AT) * (ROWS.index(row) + 1)]
    said = [
        Said(source == TYPED, places.index(section), source, section, options[option])
        for source, table in tables.items()
        for section, options in table.items()
        if section in places and option in options
    ]
    return max(said, default=None)


OPTIONS = st.fixed_dictionaries(
    {}, optional={"lr": st.sampled_from([0.3, 0.4, 0.5]), "epochs": st.integers(2, 4)}
)
TABLES = st.dictionaries(st.sampled_from(SECTIONS), OPTIONS, max_size=5)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(preset=TABLES, file=TABLES, own=st.none() | OPTIONS, typed=TABLES)
def test_the_rule(
    folder: Path, preset: Table, file: Table, own: dict[str, Any] | None, typed: Table
) -> None:
    """Random presets, config files with and without a variant of their own, and ``--set``s."""
    tables = {PRESET: preset, FILE: file, TYPED: typed}
    tables[OWN if own is not None else 0] = {"plain:v": SHIPPED if own is None else own}
    expected = {
        row: {option: strongest(row, option, tables) for option in ("lr", "epochs")} for row in ROWS
    }

    def in_vain(said: Table, lost: Callable[[str, Any], bool]) -> list[str]:
        """Return the options of which no row that their section is about takes the value."""
        return [
            f"{section}.{option} "
            for section, options in said.items()
            for option, value in options.items()
            if all(
                best is not None and lost(section, best) and best.value != value
                for row in ROWS
                for best in [expected[row][option]]
                if section.startswith("plain:v") <= (row == "plain:v")
            )
        ]

    if beaten := in_vain(typed, lambda section, best: best.section != section):
        with pytest.raises(UserError, match="no effect: the more specific --set") as caught:
            resolve(folder, preset, file, typed, own)
        assert any(f"--set {one}" in str(caught.value) for one in beaten)
        return
    if beaten := in_vain(file, lambda _, best: best.source in (0, PRESET)):
        with pytest.raises(UserError, match="would have no effect: the more specific") as caught:
            resolve(folder, preset, file, typed, own)
        assert any(f" {one}" in str(caught.value) for one in beaten)
        return
    specs = resolve(folder, preset, file, typed, own)
    for row, options in expected.items():
        defaults = {"lr": 0.1, "epochs": 1}
        counts = {option: best.value for option, best in options.items() if best is not None}
        assert specs[row].config == defaults | counts
        assert specs[row].overrides == {
            f"{best.section}.{option}": best.value
            for option, best in options.items()
            if best is not None and best.source in (FILE, TYPED)
        }


def test_the_ladder_of_the_docs_step_by_step(folder: Path) -> None:
    """Each step wins over all before it: the table of docs/configuration.md, top to bottom."""
    tables: dict[int, Table] = {PRESET: {}, FILE: {}, TYPED: {}}
    steps = [(section, source) for section in SECTIONS for source in (PRESET, FILE)]
    steps += [(section, TYPED) for section in SECTIONS]
    for value, (section, source) in enumerate(steps, start=2):
        if source == PRESET:
            tables[FILE].clear()  # what it says of weaker places would now be in vain
        if source == TYPED:  # likewise, but for what counts for the other row
            weaker = [one for one in tables[TYPED] if (":" in one) == (":" in section)]
            for one in weaker:
                del tables[TYPED][one]
        tables[source][section] = {"epochs": value}
        specs = resolve(folder, *tables.values())
        assert specs["plain:v"].config["epochs"] == value, (section, source)
        if not section.startswith("plain:v"):
            assert specs["plain"].config["epochs"] == value, (section, source)


def test_the_variant_of_the_file_is_the_files(folder: Path) -> None:
    def rate(preset: Table, file: Table, typed: Table) -> float:
        return float(resolve(folder, preset, file, typed, {"lr": 0.5})["plain:v"].config["lr"])

    assert rate({"plain:v": {"lr": 0.4}}, {}, {}) == 0.5
    assert rate({}, {"plain": {"lr": 0.6}}, {}) == 0.5
    assert rate({}, {"plain:v": {"lr": 0.6}}, {}) == 0.6
    assert rate({}, {}, {"plain": {"lr": 0.7}}) == 0.7


# -- what is set in vain -----------------------------------------------------------------------


def refusal(folder: Path, preset: Table, file: Table, algos: str) -> str:
    with pytest.raises(UserError) as caught:
        resolve(folder, preset, file, {}, algos=algos)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_option_of_the_file_that_never_counts_is_refused(folder: Path) -> None:
    stated: Table = {"plain": {"lr": 5.0}}
    assert refusal(folder, {}, stated, "plain:v") == (
        "config file: plain.lr would have no effect: the more specific plain:v.lr of the variant "
        'wins; set it in ["plain:v"] too'
    )
    assert refusal(folder, {"plain@toys": {"lr": 0.3}}, stated, "plain,plain:v") == (
        "config file: plain.lr would have no effect: the more specific plain:v.lr of the variant "
        'wins; set it in ["plain:v"] too'
    )
    assert refusal(folder, {"plain@toys": {"lr": 0.3}}, stated, "plain") == (
        "config file: plain.lr would have no effect: the more specific plain@toys.lr of preset p "
        'wins; set it in ["plain@toys"] too'
    )
    message = refusal(
        folder, {"backbone@toys": {"hidden": 4}}, {"backbone": {"hidden": 5}}, "plain"
    )
    assert "the more specific backbone@toys.hidden of preset p wins" in message


@pytest.mark.parametrize("file", [{}, {"plain": {"lr": 4.0}}])
def test_an_option_that_another_beats_in_every_run_is_refused(folder: Path, file: Table) -> None:
    """Of two ``--set``s of one option, as for the config file; also where the file has it, too."""
    typed: Table = {"plain": {"lr": 0.3}, "plain:v": {"lr": 0.4}}
    assert resolve(folder, {}, file, typed)["plain"].config["lr"] == 0.3
    with pytest.raises(UserError) as caught:
        resolve(folder, {}, file, typed, algos="plain:v")
    message = "--set plain.lr would have no effect: the more specific --set plain:v.lr wins"
    assert str(caught.value) == message
    typed["plain:v"] = {"lr": 0.3}
    assert resolve(folder, {}, file, typed, algos="plain:v")["plain:v"].config["lr"] == 0.3


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"plain": {"lr": 0.3}}, ["plain.lr", "plain:v.lr"]),
        ({"plain@toys": {"lr": 0.3}}, ["plain@toys.lr", "plain:v.lr"]),
        ({"plain:v": {"lr": 0.3}}, []),
        ({"plain": {"epochs": 3}}, []),
        ({"plain": {"lr": SHIPPED["lr"]}}, []),  # the row as it is, and the trainer made like it
    ],
)
def test_rows_that_a_setting_makes_the_same_are_told(
    folder: Path, typed: Table, said: list[str]
) -> None:
    told: list[str] = []
    settings = [f"{section}.{k}={v}" for section in typed for k, v in typed[section].items()]
    request = Request(
        algos="plain,plain:v",
        task="synthetic-tiny",
        preset="p",
        seeds="0:3",
        plugins=[folder / "trainers.py"],
        settings=settings,
    )
    (folder / "presets" / "p.toml").write_text("")
    expand(request, told.append)
    assert told == (
        [
            f"plain and plain:v are one and the same run: --set {said[0]} takes away what sets "
            f"them apart; say which row is meant (--set {said[1]})"
        ]
        if said
        else []
    )


def test_what_it_says_would_be_right_is_right(folder: Path) -> None:
    preset: Table = {"plain@toys": {"lr": 0.3}, "backbone@toys": {"hidden": 4}}
    file: Table = {
        **{"plain": {"lr": 5.0}, "plain@toys": {"lr": 5.0}},
        **{"backbone": {"hidden": 5}, "backbone@toys": {"hidden": 5}},
    }
    spec = resolve(folder, preset, file, {}, algos="plain")["plain"]
    assert (spec.config["lr"], spec.backbone["hidden"]) == (5.0, 5)


@pytest.mark.parametrize(
    ("file", "algos"),
    [
        ({"plain": {"lr": 5.0}}, "plain,plain:v"),  # one of the rows takes it
        ({"plain": {"lr": 0.2}}, "plain:v"),  # the variant says the same
        ({"plain": {"lr": 5.0}, "plain:v": {"lr": 6.0}}, "plain:v"),  # the file's own choice
        ({"plain:v": {"lr": 5.0}}, "plain"),  # for another row
        ({"plain@synthetic": {"lr": 5.0}}, "plain"),  # for another task
        ({"cot": {"g_lr": 5.0}, "synthetic": {"length": 3}}, "plain"),
    ],
)
def test_a_file_for_several_commands_is_not_refused(folder: Path, file: Table, algos: str) -> None:
    assert len(resolve(folder, {}, file, {}, algos=algos)) == len(algos.split(","))


def test_the_sources_and_places_are_ordered() -> None:
    assert precedence.places(("a", "a:b"), ("f", "t", "p")) == [
        *("a", "a@f", "a@t", "a@p", "a:b", "a:b@f", "a:b@t", "a:b@p"),
    ]
    assert precedence.SOURCES[-1] == precedence.COMMAND_LINE


# -- docs/configuration.md ---------------------------------------------------------------------


def test_the_ladder_of_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rungs added one by one give the epochs that it states; `synthetic-tiny` is its `kjv`."""
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
    quick = registry.read_toml(Path(registry.__file__).with_name("presets") / "quick.toml")
    shipped = registry.variants("scheduled_sampling")["paper"][1]
    rungs = re.findall(r"^\|[^|]*\|([^|]*)\| `([^`]*)`[^|]*\| (\d+) \|$", page, re.M)
    assert len(rungs) == 17
    monkeypatch.setattr(registry.load_task("synthetic-tiny"), "family", "text")
    of_preset: Table = {}
    of_file: Table = {}
    typed: list[str] = []
    row = "scheduled_sampling"
    for source, example, stated in [(s.strip(), e, int(n)) for s, e, n in rungs]:
        section = example.strip('["]').replace("kjv", "synthetic-tiny")
        if source == "command line":
            typed.append(example.removeprefix("--set "))
        elif source == "preset":
            assert quick[section]["epochs"] == stated
            of_preset[section] = {"epochs": stated}
            of_file.clear()  # what it says of weaker places would now be in vain
        elif source == "the variant, as shipped":
            assert shipped["epochs"] == stated
            row = "scheduled_sampling:paper"
            of_file.clear()
        elif "file" in source:
            of_file[section.replace("variants.", "")] = {"epochs": stated}
        own = {k: v for k, v in of_file.items() if k == "scheduled_sampling.paper"}
        file = {k: v for k, v in of_file.items() if k not in own}
        (folder / "presets" / "quick.toml").write_text(toml(of_preset))
        config = folder / "mine.toml"
        variants = toml(own).replace('["', "[variants.").replace('"]', "]")
        config.write_text(toml(file) + variants * bool(own))
        request = {"task": "synthetic-tiny", "preset": "quick", "config": config}
        rows = "scheduled_sampling," * (len(typed) == 2) + row  # which the first is then for
        specs = expand(Request(algos=rows, settings=typed, **request))
        assert specs[-1].config["epochs"] == stated, example
