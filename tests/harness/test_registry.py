"""Names without importing, plugins that teach when they are broken, hashes that notice changes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from textbench.contracts.errors import UnknownNameError, UserError
from textbench.plan import codehash, complaint, plugins, registry, source
from textbench.plan.codehash import code_hash
from textbench.plan.resolve import Request, expand

PLUGIN = """
from __future__ import annotations

from pydantic import Field

from textbench.contracts.metric import Metric
from textbench.contracts.config import Config
from textbench.contracts.trainer import Phase, Position, Trainer


class MineConfig(Config):
    rate: float = Field(0.5, gt=0)


class Mine(Trainer[MineConfig]):
    \"\"\"Learns nothing.

    At all.
    \"\"\"

    name = "mine"
    config_schema = MineConfig

    def phases(self):
        return [Phase("mine", 1, 1)]

    def setup(self):
        self.generator = self.context.initial_generator()

    def step(self, at: Position):
        return {}


class Zero(Metric):
    name = "zero"
    direction = "none"
    summary = "nothing, nats"

    def protocol(self, evaluation):
        return "zero/1"

    def compute(self, evaluation):
        return 0.0
"""


@pytest.fixture(autouse=True)
def _forget_plugins() -> Iterator[None]:
    yield
    registry._plugins.clear()
    registry.variants.cache_clear()


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# -- installed names -------------------------------------------------------------------------


def test_built_ins_are_found_by_entry_point() -> None:
    assert {"mle", "cot", "seqgan"} <= set(registry.names("trainer"))
    assert {"nll", "jsd"} <= set(registry.names("metric"))
    assert {"synthetic", "synthetic-tiny"} <= set(registry.names("task"))


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_registered_name_has_a_summary_and_loads_under_it(kind: registry.Kind) -> None:
    for name, entry in registry.entries(kind).items():
        assert entry.summary and not entry.summary.startswith("("), name
        loaded = getattr(registry, f"load_{kind}")(name)
        assert loaded.name == name
        assert loaded.__doc__.startswith(entry.read().docstring.partition("\n")[0])


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown trainer 'cto'; did you mean 'cot'\?"):
        registry.load_trainer("cto")


def test_broken_entry_point_is_one_line_and_a_line_of_list(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.Entry("trainer", "gone", "textbench.nowhere", "Gone")
    monkeypatch.setattr(registry, "installed", lambda kind: {"gone": entry})
    assert registry.entries("trainer")["gone"].summary == (
        "(module textbench.nowhere cannot be found)"
    )
    with pytest.raises(UserError, match=r"trainer 'gone' cannot be loaded: ModuleNotFoundError"):
        registry.load_trainer("gone")


def test_modules_are_found_without_importing_their_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "heavy_package"
    package.mkdir()
    write(package / "__init__.py", "raise RuntimeError('imported')")
    module = write(
        package / "light.py", "class A:\n    'Sums up.'\n    name = 'a' 'b'\n    n = 1+x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert source.find_module("heavy_package.light") == module
    assert source.find_module("heavy_package.absent") is None
    assert source.find_module("no_such_package_at_all.x") is None
    assert "heavy_package" not in sys.modules
    assert source.classes(module)["A"].docstring == "Sums up."
    assert source.classes(module)["A"].attributes == {"name": "ab"}


def test_attributes_are_inherited_from_a_generic_class(tmp_path: Path) -> None:
    file = write(
        tmp_path / "m.py", "class A(Generic[C]):\n    x = 1\nclass B(A[int]):\n    y = 2\n"
    )
    assert source.classes(file)["B"].attributes == {"x": 1, "y": 2}


def test_a_plugin_inherits_attributes_from_classes_of_other_files(tmp_path: Path) -> None:
    """A reference row of one's own comes with every command on text, as the shipped ones do."""
    text = "from textbench.algorithms.real import Real\nclass Mine(Real):\n    name = 'mine'\n"
    registry.load_plugin(write(tmp_path / "mine.py", text))
    assert registry.reference_rows("text") == ["mine", "real", "real_corrupted"]


def test_attributes_are_inherited_within_a_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "m.py",
        "class A:\n    x: int = 1\n    y = 2\nclass B(A):\n    y = 3\n    x = f()\n",
    )
    assert source.classes(file)["A"].attributes == {"x": 1, "y": 2}
    assert source.classes(file)["B"].attributes == {"y": 3}


# -- plugins ---------------------------------------------------------------------------------


def test_plugin_registers_what_it_defines(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", PLUGIN)
    assert [entry.name for entry in registry.load_plugin(file)] == ["mine", "zero"]
    assert registry.load_plugin(file) == registry.load_plugin(str(file))
    alias = write(tmp_path / "alias.py", PLUGIN.replace('"mine"', '"yours"').replace("ze", "yo"))
    alias.write_text(alias.read_text() + "\n\nAlias = Mine\n")
    assert [entry.name for entry in registry.load_plugin(alias)] == ["yours", "yoro"]
    assert registry.entry("trainer", "mine").summary == "Learns nothing."
    assert registry.entry("metric", "zero").summary == "nothing, nats"
    assert registry.load_trainer("mine").config_schema().rate == 0.5  # type: ignore[attr-defined]
    assert registry.load_metric("zero").direction == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import textbench\n\n1 / 0\n", r"bad.py is broken: .*bad.py:3: ZeroDivisionError"),
        ("def f(:\n", r"bad.py is broken: .*bad.py:1: SyntaxError"),
        ("x = 1\n\0", r"bad.py is broken: /.*bad.py: SyntaxError: source code.* null bytes"),
        ("import no_such_module_here\n", r"bad.py:1: ModuleNotFoundError"),
        ("from .helper import rate\n", "no known parent package; a plug-in is one file"),
        ("import bad\n", "No module named 'bad'; a plug-in is one file"),
        ("raise SystemExit('no')\n", r"bad.py:1: SystemExit: no"),
        ("x = 1\n", "defines no Trainer, Metric or Task"),
        (
            PLUGIN.replace('"mine"', '"cot"'),
            "a trainer called 'cot' exists already, in textbench.alg",
        ),
        (
            PLUGIN + "\n\nclass More(Mine):\n    name = 'mine'\n",
            "a trainer called 'mine' exists alr",
        ),
        (
            PLUGIN + "\n\nclass More(Mine):\n    name = 'zero'\n",
            "a metric called 'zero' exists alr",
        ),
        (
            PLUGIN
            + "\n\nclass More(Zero):\n    name = 'more'\n    numbers = tuple(Zero.described())\n",
            "metric 'more' has a number 'zero', which metric 'zero' has already",
        ),
        (PLUGIN.replace('"mine"', '"synthetic"'), "a task called 'synthetic' exists already"),
        (PLUGIN.replace('"mine"', '"backbone"'), "the name 'backbone' is reserved"),
        (PLUGIN.replace('"mine"', '"my.own"'), "Mine.name is 'my.own'"),
        (PLUGIN.replace("def step(", "def stepp("), "Mine does not define step"),
        (
            PLUGIN.replace("    config_schema", "    schema"),
            r"schema \(one without options says config_schema = text",
        ),
        (PLUGIN.replace('    direction = "none"\n', ""), "Zero does not define direction"),
        (
            PLUGIN.replace('"none"', '"up"'),
            r"Zero says of zero direction = 'up'; one of 'lower', 'higher', 'none' is right",
        ),
        (PLUGIN.replace('"nothing, nats"', "3"), "Zero says of zero summary = 3; it must be text"),
        (PLUGIN.replace('"none"', '"none"\n    unit = None'), "zero unit = None; it must be text"),
        (PLUGIN.replace('"none"', '"none"\n    numbers = ("a",)'), "'a' among its numbers"),
        (PLUGIN.replace('"zero"', '"zero"\n    section = 4'), "Zero has section = 4"),
        (PLUGIN.replace('"mine"\n', '"mine"\n    title = 3\n', 1), "Mine has title = 3"),
        (
            PLUGIN + "\n\nMine.warmup = lambda self, config: None\n",
            "Mine defines warmup as a method of an instance; put @classmethod above it",
        ),
        (
            PLUGIN.replace("MineConfig(Config)", "MineConfig(__import__('pydantic').BaseModel)"),
            "Mine has config_schema = MineConfig, which is no subclass of textbench.Config",
        ),
        (
            PLUGIN.replace("rate: float = Field(0.5, gt=0)", "rate: object = object()"),
            "Mine has an option rate whose default JSON cannot hold",
        ),
        (
            PLUGIN.replace('"mine"\n', '"mine"\n    version = "two"\n', 1),
            "Mine has version = 'two'; it must be a whole number from 0",
        ),
    ],
)
def test_broken_plugin_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path / "bad.py", text)
    with pytest.raises(UserError, match=message) as caught:
        registry.load_plugin(file)
    assert "\n" not in str(caught.value)
    assert "zero" not in registry.names("metric")


def test_absent_and_non_python_plugins(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        registry.load_plugin(tmp_path / "absent.py")
    with pytest.raises(UserError, match="not a Python file"):
        registry.load_plugin(write(tmp_path / "notes.txt", "hello"))


def test_trainers_say_themselves_that_rows_are_read_against_them(tmp_path: Path) -> None:
    shipped = registry.reference_rows("text")
    assert shipped == ["real", "real_corrupted"] and registry.reference_rows("") == []
    said = PLUGIN.replace('    name = "mine"\n', '    name = "mine"\n    reference_for = "text"\n')
    registry.load_plugin(write(tmp_path / "mine.py", said))
    assert registry.reference_rows("text") == ["mine", *shipped]
    assert registry.reference_rows("toys") == registry.reference_rows("") == []


# -- variants --------------------------------------------------------------------------------


def test_variants_stand_beside_the_trainer(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", PLUGIN)
    write(
        tmp_path / "variants.toml", '[mine.slow]\nsummary = "slowly"\nrate = 0.1\n[other.x]\na = 1'
    )
    write(tmp_path / "mine.toml", "[mine.fast]\nrate = 9.0\n")
    registry.load_plugin(file)
    assert registry.variants("mine") == {
        "slow": ("slowly", {"rate": 0.1}),
        "fast": ("", {"rate": 9.0}),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mine.x\n", "not valid TOML"),
        ("[mine]\nrate = 1\n", "variant 'rate' of mine must be a table"),
    ],
)
def test_broken_variants_name_their_file(tmp_path: Path, text: str, message: str) -> None:
    registry.load_plugin(write(tmp_path / "mine.py", PLUGIN))
    write(tmp_path / "variants.toml", text)
    with pytest.raises(UserError, match=f"variants.toml.*{message}"):
        registry.variants("mine")


def test_options_of_the_built_in_variants_are_valid() -> None:
    from textbench.contracts.config import validate

    for name in registry.names("trainer"):
        schema = registry.load_trainer(name).config_schema
        for variant, (summary, options) in registry.variants(name).items():
            assert summary, variant
            assert validate(schema, options, f"{name}:{variant}") != schema()


# -- code hashes -----------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose trainer ``a`` imports b, which imports c; d is a bystander."""
    folder = tmp_path / "hashed_package"
    folder.mkdir()
    write(folder / "__init__.py", "raise RuntimeError('imported')")
    write(folder / "a.py", "from .b import B\nclass A(B):\n    name = 'a'\n")
    write(folder / "b.py", "def f():\n    from . import c\n")
    write(folder / "c.py", "x = 1\n")
    write(folder / "d.py", "y = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.Entry("trainer", "a", "hashed_package.a", "A")
    monkeypatch.setattr(registry, "installed", lambda kind: {"a": entry})
    source.find_module.cache_clear()
    return folder


@pytest.mark.parametrize(
    ("file", "changes"), [("a.py", True), ("b.py", True), ("c.py", True), ("d.py", False)]
)
def test_code_hash_covers_the_trainer_and_what_it_imports(
    package: Path, file: str, changes: bool
) -> None:
    source.parse.cache_clear()
    before = code_hash("a")
    assert re.fullmatch("[0-9a-f]{64}", before)
    with open(package / file, "a") as handle:
        handle.write("# changed\n")
    assert (code_hash("a") != before) == changes


def test_code_hash_covers_the_backbone(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_hash("a")
    harness = package.parent / "elsewhere"
    for room in ("backbone", "contracts"):
        (harness / room).mkdir(parents=True)
    write(harness / "backbone" / "lstm.py", "")
    write(harness / "contracts" / "trainer.py", "")
    monkeypatch.setattr(codehash, "__file__", str(harness / "plan" / "registry.py"))
    other = code_hash("a")
    assert other != before
    write(harness / "backbone" / "lstm.py", "z = 1\n")
    assert code_hash("a") not in (other, before)


def test_code_hash_of_a_plugin_takes_that_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        code_hash("mine")
    registry.load_plugin(write(tmp_path / "mine.py", PLUGIN))
    assert re.fullmatch("[0-9a-f]{64}", code_hash("mine"))


def test_code_hashes_differ_where_the_files_do() -> None:
    trainers = registry.entries("trainer")
    hashes = {code_hash(name) for name in trainers}
    assert len(hashes) == len({entry.file for entry in trainers.values()}) > 3


def test_a_class_is_looked_at_once_however_many_seeds_ask_for_it() -> None:
    before = complaint._of_class.cache_info()
    for _ in range(20):
        registry.load_trainer("mle")
    after = complaint._of_class.cache_info()
    assert after.misses <= before.misses + 1 and after.hits >= before.hits + 19


def test_a_trainer_made_of_another_is_not_called_like_it(tmp_path: Path) -> None:
    file = write(
        tmp_path / "mine.py",
        "from textbench.algorithms.mle import MLE\n"
        "class Titled(MLE):\n    title = 'Base'\n"
        "class Plain(MLE):\n    'Plain.'\n    name = 'plain'\n"
        "class Own(MLE):\n    'Own.'\n    name = 'own'\n    title = 'Of its own'\n"
        "class Shared(Titled):\n    'Shared.'\n    name = 'shared'\n",
    )
    rows = Request(algos="plain,own,shared", task="synthetic-tiny", preset="ci", plugins=[file])
    titles = {spec.trainer: spec.title for spec in expand(rows)}
    assert titles == {"plain": "plain", "own": "Of its own", "shared": "Base"}


def test_a_plugin_that_is_edited_within_a_second_is_run_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes stored bytecode for that of a source of the same second and size."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "mine.py"
    found = []
    for value in (1, 2):
        file.write_text(f"value = {value}\n", "utf-8")
        os.utime(file, (1e9, 1e9))
        found.append(plugins.run_file(file).value)
    assert found == [1, 2]
