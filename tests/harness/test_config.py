"""What the user typed becomes exactly the runs that were meant, or one clear line."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from textbench.cli import show
from textbench.contracts.config import Config, validate
from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.plan import registry
from textbench.plan.arguments import (
    parse_duration,
    parse_seeds,
    parse_settings,
    parse_shard,
    parse_value,
)
from textbench.plan.resolve import BackboneConfig, EvaluationConfig, Request, expand
from textbench.plan.shipped import presets
from textbench.plan.toml import read_toml
from textbench.tasks import oracle

PLUGIN = """
from __future__ import annotations

from textbench.contracts.metric import Metric
from textbench.contracts.config import Config
from textbench.contracts.trainer import Phase, Trainer


class PlainConfig(Config):
    epochs: int = 1
    lr: float = 0.1
    note: str = "default"


class Plain(Trainer[PlainConfig]):
    name = "plain"
    version = 3
    config_schema = PlainConfig

    def phases(self):
        return [Phase("plain", 1, 1)]

    def setup(self):
        pass

    def step(self, at):
        return {}


class CountConfig(Config):
    refs: int = 500


class Count(Metric):
    name = "count"
    direction = "none"
    summary = "a number"
    config_schema = CountConfig

    def protocol(self, evaluation):
        return "count/1"

    def compute(self, evaluation):
        return 1.0


class WarmConfig(PlainConfig):
    warmup_epochs: int = 7


class Warm(Plain):
    name = "warm"
    config_schema = WarmConfig

    @classmethod
    def warmup(cls, config):
        return "plain", {"epochs": config.warmup_epochs}
"""
VARIANTS = '[plain.v]\nsummary = "a variant"\nlr = 0.2\nnote = "variant"\n'


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """A file with the trainers ``plain``, ``plain:v`` and ``warm``, whose warm-up is ``plain``."""
    file = tmp_path / "trainers.py"
    file.write_text(PLUGIN)
    (tmp_path / "trainers.toml").write_text(VARIANTS)
    yield file
    registry._plugins.clear()
    registry.variants.cache_clear()


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only preset, ``p``, empty until a test writes to it."""
    folder = tmp_path / "presets"
    folder.mkdir()
    monkeypatch.setattr(presets, "folder", folder)
    (folder / "p.toml").write_text("")
    return folder / "p.toml"


def runs(plugin: Path, algos: str = "plain", **given: Any) -> list[Spec]:
    """Expand on the tiny task; ``given`` changes the request."""
    request = {"task": "synthetic-tiny", "preset": "p", "plugins": [plugin], **given}
    return expand(Request(algos=algos, **request))


# -- precedence ------------------------------------------------------------------------------


def test_a_preset_a_variant_a_file_and_the_command_line(
    plugin: Path, preset: Path, tmp_path: Path
) -> None:
    def rate(**given: Any) -> float:
        (spec,) = runs(plugin, **{"algos": "plain:v", **given})
        return float(spec.config["lr"])

    assert rate(algos="plain") == 0.1
    preset.write_text("[plain]\nlr = 0.3\n")
    assert rate(algos="plain") == 0.3
    assert rate() == 0.2
    preset.write_text('["plain:v"]\nlr = 0.4\n[plain]\nlr = 0.3\n')
    assert rate() == 0.4
    assert rate(algos="plain") == 0.3
    config = tmp_path / "c.toml"
    config.write_text("[plain]\nlr = 0.5\n")
    assert rate(algos="plain", config=config) == 0.5
    with pytest.raises(UserError, match=r"plain\.lr would have no effect: .* of preset p wins"):
        rate(config=config)
    config.write_text('["plain:v"]\nlr = 0.6\n[plain]\nlr = 0.5\n')
    assert rate(config=config) == 0.6
    assert rate(config=config, settings=["plain.lr=0.7"]) == 0.7
    assert rate(config=config, settings=["plain:v.lr=0.8"]) == 0.8
    assert rate(config=config, settings=["plain.lr=0.7", "plain.lr=0.9"]) == 0.9


def test_a_preset_fills_in_what_a_variant_leaves_open(plugin: Path, preset: Path) -> None:
    preset.write_text('[plain]\nlr = 0.3\nepochs = 6\n["plain@synthetic-tiny"]\nlr = 0.4\n')
    (variant,) = runs(plugin, "plain:v")
    assert (variant.config["lr"], variant.config["epochs"]) == (0.2, 6)
    preset.write_text('["plain:v@synthetic-tiny"]\nlr = 0.4\n["plain:v"]\nlr = 0.3\nepochs = 6\n')
    (variant,) = runs(plugin, "plain:v")
    assert (variant.config["lr"], variant.config["epochs"]) == (0.4, 6)
    assert variant.overrides == {}


def test_a_section_for_a_task_or_family_counts_only_there(
    plugin: Path, preset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.load_task("synthetic-tiny"), "family", "toys")
    preset.write_text(
        '["plain@toys"]\nlr = 0.4\n[plain]\nlr = 0.3\n["plain@synthetic"]\nlr = 0.9\n'
        '["backbone@toys"]\nhidden = 4\n["backbone@synthetic"]\nembedding = 4\n'
    )
    (spec,) = runs(plugin)
    assert spec.config["lr"] == 0.4
    assert spec.backbone == {"embedding": 32, "hidden": 4}
    (spec,) = runs(plugin, settings=["plain@synthetic-tiny.lr=0.5", "plain@toys.epochs=2"])
    assert (spec.config["lr"], spec.config["epochs"]) == (0.5, 2)
    assert spec.overrides == {"plain@synthetic-tiny.lr": 0.5, "plain@toys.epochs": 2}
    with pytest.raises(UserError, match=r"plain@synthetic\.lr would have no effect"):
        runs(plugin, settings=["plain@synthetic.lr=1.0"])
    with pytest.raises(UserError, match="unknown task or preset 'toy'; did you mean 'toys'"):
        runs(plugin, settings=["plain@toy.lr=1.0"])


def test_a_row_setting_leaves_other_rows_alone(plugin: Path, preset: Path) -> None:
    plain, variant = runs(plugin, "plain,plain:v", settings=["plain:v.lr=5.0"])
    assert (plain.config["lr"], variant.config["lr"]) == (0.1, 5.0)
    assert (plain.overrides, variant.overrides) == ({}, {"plain:v.lr": 5.0})
    assert (plain.label, variant.label) == ("plain", "plain:v")
    assert variant.config["note"] == "variant"


def test_settings_reach_task_backbone_and_evaluation(plugin: Path, preset: Path) -> None:
    preset.write_text("[evaluation]\nevery = 4\nsamples = 50\n[backbone]\nhidden = 4\n")
    settings = ["synthetic-tiny.vocab_size=9", "backbone.embedding=5", "evaluation.samples=60"]
    (spec,) = runs(plugin, settings=settings)
    (plain,) = runs(plugin)
    assert spec.backbone == {"embedding": 5, "hidden": 4}
    assert spec.evaluation == {**EvaluationConfig().identity(), "every": 4, "samples": 60}
    assert spec.task_config["vocab_size"] == 9
    assert spec.task_fingerprint != plain.task_fingerprint
    assert len({spec.hash, plain.hash}) == 2
    assert spec.overrides == {
        "synthetic-tiny.vocab_size": 9,
        "backbone.embedding": 5,
        "evaluation.samples": 60,
    }
    assert plain.overrides == {} and plain.version == 3 and plain.preset == "p"


def test_options_of_metrics_are_part_of_every_run_once_changed(plugin: Path, preset: Path) -> None:
    (default,) = runs(plugin)
    (same,) = runs(plugin, settings=["count.refs=500"])
    changed = runs(plugin, "warm", settings=["count.refs=9"])
    assert default.metrics == same.metrics == {} and default.hash == same.hash
    for spec in changed:
        assert spec.metrics == {"count": {"refs": 9}}
        assert spec.overrides["count.refs"] == 9
    assert changed[0].hash != runs(plugin, "warm")[0].hash


def test_equal_configurations_are_equal_runs_however_they_were_said(
    plugin: Path, preset: Path
) -> None:
    (default,) = runs(plugin)
    (said,) = runs(plugin, settings=["plain.lr=1e-1", "plain.epochs=1"])
    assert said.hash == default.hash
    assert said.overrides == {"plain.lr": 0.1, "plain.epochs": 1}


def test_an_option_added_later_starts_no_recorded_run_anew(plugin: Path, preset: Path) -> None:
    """At its default it is no part of the identity; elsewhere it is."""
    (before,) = runs(plugin)
    schema = registry.load_trainer("plain").config_schema
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "added_options", frozenset({"note"}))
        (default,) = runs(plugin)
        (changed,) = runs(plugin, settings=["plain.note=mine"])
    assert before.config == {**default.config, "note": "default"}
    assert "note" not in default.config
    assert changed.config["note"] == "mine"
    assert len({default.hash, changed.hash}) == 2


def test_specs_survive_json(plugin: Path, preset: Path) -> None:
    for spec in runs(plugin, "warm,plain:v"):
        again = Spec.from_json(json.loads(json.dumps(spec.to_json())))
        assert again == spec and again.hash == spec.hash


# -- seeds, warm-ups, order ------------------------------------------------------------------


def test_seeds_vary_slowest_and_warm_ups_come_first(plugin: Path, preset: Path) -> None:
    specs = runs(plugin, "plain:v,warm", seeds="1:3")
    assert [(spec.label, spec.seed) for spec in specs] == [
        ("plain:v", 1),
        ("plain", 1),
        ("warm", 1),
        ("plain:v", 2),
        ("plain", 2),
        ("warm", 2),
    ]
    assert len({spec.directory(Path()) for spec in specs}) == 6
    assert specs[1].group == specs[4].group != specs[0].group


def test_a_warm_up_is_the_run_the_user_would_have_got(plugin: Path, preset: Path) -> None:
    preset.write_text("[plain]\nlr = 0.3\n")
    settings = ["evaluation.samples=60", "plain.note=mine"]
    warmup, warm = runs(plugin, "warm", settings=settings)
    (plain,) = runs(plugin, "plain", settings=[*settings, "plain.epochs=7"])
    assert warm.warmup == warmup
    assert warmup.hash == plain.hash and warmup.directory(Path()) == plain.directory(Path())
    assert warmup.overrides == {"plain.note": "mine", "evaluation.samples": 60}
    assert warm.config["note"] == "default"
    asked = runs(plugin, "warm,plain", settings=[*settings, "warm.warmup_epochs=1"])
    assert [spec.label for spec in asked] == ["plain", "warm"]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ('"plain"', r"odd: warmup\(\) returned 'plain'; it must return \(\"TRAINER\", "),
        ('("plain", 3)', r"odd: warmup\(\) returned \('plain', 3\); it must return"),
        ('("plane", {})', r"odd: warmup\(\) names no trainer: 'plane'; did you mean 'plain'"),
        ('("plain", {"epoch": 2})', "odd: its warm-up: plain.epoch is not an option; did you mean"),
        ('("odd", {})', r"odd: its warm-ups never end \(odd, odd, odd, odd, odd, odd\)"),
    ],
)
def test_a_warm_up_that_is_none_is_one_line(
    plugin: Path, preset: Path, tmp_path: Path, returned: str, said: str
) -> None:
    odd = tmp_path / "odd.py"
    odd.write_text(
        "from textbench.algorithms.mle import MLE\n\n\nclass Odd(MLE):\n    name = 'odd'\n\n"
        f"    @classmethod\n    def warmup(cls, config):\n        return {returned}\n"
    )
    registry.load_plugin(odd)
    with pytest.raises(UserError, match=said):
        runs(plugin, "odd")


def test_a_warm_up_may_have_a_warm_up(plugin: Path, preset: Path, tmp_path: Path) -> None:
    chain = tmp_path / "chain.py"
    chain.write_text(
        "from textbench.algorithms.mle import MLE\n\n\nclass Chain(MLE):\n    name = 'chain'\n\n"
        "    @classmethod\n    def warmup(cls, config):\n"
        "        return ('chain', {'epochs': config.epochs - 1}) if config.epochs > 1 else None\n"
    )
    registry.load_plugin(chain)
    last = runs(plugin, "chain", settings=["chain.epochs=5"])[-1]
    epochs = []
    while last:
        epochs.append(last.config["epochs"])
        last = last.warmup
    assert epochs == [5, 4, 3, 2, 1]
    with pytest.raises(UserError, match="chain: its warm-ups never end"):
        runs(plugin, "chain", settings=["chain.epochs=6"])


def test_a_warm_up_of_another_length_is_another_run(plugin: Path, preset: Path) -> None:
    specs = runs(plugin, "warm,plain")
    assert [(spec.label, spec.config["epochs"]) for spec in specs] == [
        ("plain", 7),
        ("warm", 1),
        ("plain", 1),
    ]


def test_rows_of_one_identity_stay_two_rows(plugin: Path, preset: Path) -> None:
    specs = runs(plugin, "plain,plain:v", settings=["plain.lr=1.0", "plain.note=same"])
    assert [spec.label for spec in specs] == ["plain", "plain:v"]
    assert specs[0].hash == specs[1].hash


def test_a_spec_says_whether_its_configuration_brings_a_generator(preset: Path) -> None:
    request = {"task": "synthetic-tiny", "preset": "p"}
    specs = expand(Request(algos="cot,cot:strong,cot:head,leakgan,mle", **request))
    brings = [spec.label for spec in specs if spec.own_generator]
    assert brings == ["cot:strong", "leakgan"]
    (changed,) = expand(Request(algos="cot", settings=["cot.generator=goal_factored"], **request))
    assert changed.own_generator


def test_a_spec_says_which_oracle_it_is(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name(which: str) -> str:
        given = [f"synthetic.oracle={which}"]
        (spec,) = expand(Request(algos="mle", task="synthetic", preset="p", settings=given))
        return spec.oracle

    parameters = oracle.draw_parameters(3, 20, 4, 4)
    np.savez(tmp_path / "o.npz", **parameters)
    assert name("seeded") == "seeded"
    assert name(str(tmp_path / "o.npz")) == str(tmp_path / "o.npz")
    monkeypatch.setattr(oracle, "PUBLISHED_FINGERPRINT", oracle.fingerprint(parameters))
    assert name(str(tmp_path / "o.npz")) == "published"


# -- config files ----------------------------------------------------------------------------


def test_config_file_alone_is_a_command(plugin: Path, preset: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        'summary = "a grid"\nalgos = ["plain", "plain:new"]\ntask = "synthetic-tiny"\n'
        'preset = "p"\nseeds = [3, 5]\n[plain]\nepochs = 2\n'
        '[variants.plain.new]\nsummary = "made here"\nlr = 9.0\n'
    )
    specs = expand(Request(config=config, plugins=[plugin]))
    assert [(s.label, s.seed, s.config["lr"]) for s in specs] == [
        ("plain", 3, 0.1),
        ("plain:new", 3, 9.0),
        ("plain", 5, 0.1),
        ("plain:new", 5, 9.0),
    ]
    assert all(s.config["epochs"] == 2 and s.overrides == {"plain.epochs": 2} for s in specs)
    (spec,) = expand(Request(config=config, plugins=[plugin], algos="plain", seeds="0"))
    assert (spec.label, spec.seed) == ("plain", 0)


def test_a_variant_of_the_config_file_wins_over_the_preset(
    plugin: Path, preset: Path, tmp_path: Path
) -> None:
    preset.write_text('[plain]\nlr = 0.3\nepochs = 6\n["plain:new"]\nlr = 0.4\n')
    config = tmp_path / "c.toml"
    variant = "[variants.plain.new]\nlr = 0.5\n"

    def rate(text: str, **given: Any) -> float:
        config.write_text(text)
        (spec,) = runs(plugin, "plain:new", config=config, **given)
        assert spec.config["epochs"] == 6
        return float(spec.config["lr"])

    assert rate(variant) == 0.5
    assert rate(f"{variant}[plain]\nlr = 0.6\n") == 0.5
    assert rate(f'{variant}["plain:new"]\nlr = 0.7\n[plain]\nlr = 0.6\n') == 0.7
    assert rate(variant, settings=["plain.lr=0.8"]) == 0.8


def test_what_a_variant_of_the_config_file_decides_is_no_override(
    plugin: Path, preset: Path, tmp_path: Path
) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[variants.plain.new]\nlr = 0.5\n[plain]\nlr = 0.6\nepochs = 2\n")
    plain, new = runs(plugin, "plain,plain:new", config=config)
    assert plain.overrides == {"plain.lr": 0.6, "plain.epochs": 2}
    assert new.overrides == {"plain.epochs": 2}
    (new,) = runs(plugin, "plain:new", config=config, settings=["plain.lr=0.8"])
    assert new.overrides == {"plain.epochs": 2, "plain.lr": 0.8}


def test_a_section_for_a_preset_counts_only_under_it(
    plugin: Path, preset: Path, tmp_path: Path
) -> None:
    (preset.parent / "q.toml").write_text("[plain]\nepochs = 6\n")
    config = tmp_path / "c.toml"
    config.write_text('["plain@p"]\nepochs = 5\n["plain@synthetic-tiny"]\nlr = 0.5\n')
    (under_p,) = runs(plugin, config=config)
    (under_q,) = runs(plugin, config=config, preset="q")
    assert (under_p.config["epochs"], under_q.config["epochs"]) == (5, 6)
    assert under_p.config["lr"] == under_q.config["lr"] == 0.5
    assert under_q.overrides == {"plain@synthetic-tiny.lr": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[plian]\nlr = 1\n", "unknown section 'plian'; did you mean 'plain'"),
        ("[plain]\nrl = 1\n", "plain.rl is not an option; did you mean 'lr'"),
        ('["plain:w"]\nlr = 1\n', "unknown variant of plain 'w'"),
        ("lr = 1\n", "'lr' is not a section"),
        ("[plain\n", "not valid TOML"),
        ("task = 3\n", "task must be a string"),
        ("algos = 3\n", "algos must be a string or a list"),
        ("variants = 3\n", "'variants' is not a section"),
        ("[variants]\nplain = 3\n", "'plain' must be a table of variants"),
        ("[variants.plian.new]\nlr = 1\n", "unknown trainer 'plian'; did you mean 'plain'"),
        ('seeds = "x"\n', "neither a seed nor a range"),
        ("seeds = 1.5\n", r"config file: seeds = 1\.5: '1\.5' is neither a seed nor a range"),
        ("plain = 3\n", r"c.toml: plain must be a table, \[plain\] \(given 3\)"),
        ("evaluation = true\n", r"evaluation must be a table, \[evaluation\] \(given True\)"),
        ('"plain:v" = 3\n', r'plain:v must be a table, \["plain:v"\] \(given 3\)'),
        ('algos = ["plain", 3]\n', "algos must be a string or a list of strings"),
        ("seeds = {from = 1}\n", "neither a seed nor a range"),
    ],
)
def test_broken_config_file_is_one_line(
    plugin: Path, preset: Path, tmp_path: Path, text: str, message: str
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text)
    task = "" if text.startswith("task") else "synthetic-tiny"
    algos = "" if text.startswith("algos") else "plain"
    with pytest.raises(UserError, match=message):
        expand(Request(algos=algos, plugins=[plugin], config=config, preset="p", task=task))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("algos = 3\n", "config file: algos must be a string or a list of strings"),
        ("task = 3\n", "config file: task must be a string"),
        ("preset = 3\n", "config file: preset must be a string"),
        ("preset = 'q'\n", "unknown preset 'q'; known: p"),
        ("seeds = 1.5\n", "config file: seeds = 1.5"),
    ],
)
def test_what_the_command_line_says_otherwise_is_checked_as_well(
    plugin: Path, preset: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        runs(plugin, config=tmp_path / "c.toml", seeds="0")


class BadDefaults(Config):
    """Options whose author made two mistakes."""

    rate: float = Field(2.0, le=1)
    """Too large."""


class NoDefault(Config):
    """An option that nobody has said anything of."""

    rate: float
    """None."""


def test_mistakes_of_an_author_are_not_the_users() -> None:
    with pytest.raises(
        UserError, match=r"^s\.rate: .* to 1 \(its default, 2\.0, is no value for it"
    ):
        validate(BadDefaults, {}, "s")
    with pytest.raises(UserError, match=r"^s\.rate: .* to 1 \(given 3\.0\)$"):
        validate(BadDefaults, {"rate": 3.0}, "s")
    with pytest.raises(UserError, match=r"^s\.rate has no default; every option needs one"):
        validate(NoDefault, {}, "s")


class Kind(enum.Enum):
    ONE = "one"


class Odd(Config):
    """Options whose values JSON has in another form."""

    file: Path = Path("words.txt")
    step: timedelta = timedelta(seconds=90)
    share: Decimal = Decimal("0.5")
    kind: Kind = Kind.ONE
    some: frozenset[int] = frozenset({3})
    rate: float = 0.5


def test_a_default_is_of_its_type_and_need_not_be_as_json_has_it() -> None:
    found = validate(Odd, {"rate": 0.25}, "s")
    assert found == Odd(rate=0.25) and found.file == Path("words.txt")
    assert validate(Odd, found.model_dump(mode="json"), "s") == found
    assert str(validate(Odd, {"file": "other.txt"}, "s").file) == "other.txt"
    with pytest.raises(UserError, match=r"^s\.rate: .* valid number \(given 'x'\)"):
        validate(Odd, {"rate": "x"}, "s")


def test_absent_config_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*absent.toml: No such file"):
        expand(Request(config=tmp_path / "absent.toml"))


# -- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"algos": "plan"}, "unknown trainer 'plan'; did you mean 'plain'"),
        ({"algos": "plain:w"}, "unknown variant of plain 'w'; known: v"),
        ({"algos": "plain:"}, "lacks the variant"),
        ({"algos": "plain,plain"}, "names 'plain' twice"),
        ({"algos": ""}, "no algorithm given"),
        ({"task": "synthetc"}, "unknown task 'synthetc'; did you mean 'synthetic'"),
        ({"task": ""}, "no task given"),
        ({"preset": "q"}, "unknown preset 'q'; known: p"),
        ({"settings": ["plain.rl=1"]}, "plain.rl is not an option; did you mean 'lr'"),
        ({"settings": ["plain.lr=fast"]}, "plain.lr: Input should be a valid number"),
        ({"settings": ["plain.epochs=1.5"]}, "plain.epochs: Input should be a valid integer"),
        ({"settings": ["plain.epochs=true"]}, "plain.epochs: Input should be a valid integer"),
        ({"settings": ["evaluation.every=0"]}, "evaluation.every: .*greater than or equal to 1"),
        ({"settings": ["count.ref=1"]}, "count.ref is not an option; did you mean 'refs'"),
        ({"settings": ["plan.lr=1"]}, "unknown section 'plan'; did you mean 'plain'"),
        ({"settings": ["plain.lr"]}, "expected SECTION.KEY=VALUE"),
        ({"settings": ["lr=1"]}, "expected SECTION.KEY=VALUE"),
        ({"settings": ["synthetic.length=3"]}, "synthetic.length would have no effect"),
        ({"settings": ["cot.g_lr=1.0"]}, "cot.g_lr would have no effect"),
        ({"algos": "warm", "settings": ["plain.epochs=2"]}, "plain.epochs would have no effect"),
        ({"seeds": "3:3"}, "is empty"),
    ],
)
def test_errors_are_one_clear_line(
    plugin: Path, preset: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        runs(plugin, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[variants.plain."a.b"]\nlr = 0.1\n', "config file: variant 'a.b' of plain is no name"),
        ("[variants.plain]\nlr = 0.1\n", "config file: variant 'lr' of plain must be a table"),
    ],
)
def test_a_variant_that_is_none_says_why(
    plugin: Path, preset: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        runs(plugin, config=tmp_path / "c.toml")
    assert "\n" not in str(caught.value)


# -- small parsers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0:5", [0, 1, 2, 3, 4]), ("0,3,7", [0, 3, 7]), ("5, 0:2", [5, 0, 1]), ("4", [4])],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "a", "-1", "0:-1", "3:1", "1:1", "0,0", "0:3,2", "0..3", "1,", "0:99999999"]
)
def test_bad_seeds(text: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("3", 3),
        ("true", True),
        ("published", "published"),
        ('"3"', "3"),
        ("[1, 2]", [1, 2]),
        ("2018-04-08", "2018-04-08"),
        ("1\nb = 2", "1\nb = 2"),
        ("nano", "nano"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_values(text: str, value: object) -> None:
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


def test_settings_split_at_the_last_dot_and_the_first_equals() -> None:
    assert parse_settings(["a:b.c=x=y", "synthetic.oracle=./a.npz"]) == {
        "a:b": {"c": "x=y"},
        "synthetic": {"oracle": "./a.npz"},
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "--time-budget") == seconds


@pytest.mark.parametrize("text", ["", "0", "soon", "-5m", "5x", "m", "1h 30m"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(UserError, match="--time-budget"):
        parse_duration(text, "--time-budget")


def test_shards() -> None:
    assert parse_shard("3/16") == (3, 16)
    for text in ("4/4", "0/0", "1", "a/b", "-1/2"):
        with pytest.raises(UserError, match="--shard"):
            parse_shard(text)


# -- the presets that ship -------------------------------------------------------------------


@pytest.mark.parametrize("name", presets.names())
def test_every_section_of_a_preset_is_valid(name: str) -> None:
    data = registry.read_toml(presets.path(name))
    assert data.pop("summary")
    for section, options in data.items():
        section, at, place = section.partition("@")
        families = {registry.load_task(task).family for task in registry.names("task")}
        assert not at or place in families | set(registry.names("task"))
        trainer, _, variant = section.partition(":")
        if section == "backbone":
            validate(BackboneConfig, options, section)
        elif section == "evaluation":
            validate(EvaluationConfig, options, section)
        elif section in registry.names("task"):
            validate(registry.load_task(section).config_schema, options, section)
        elif section in registry.metric_sections():
            metric = registry.load_metric(registry.metric_sections()[section])
            validate(metric.config_schema, options, section)
        else:
            own = registry.variants(trainer)[variant][1] if variant else {}
            validate(registry.load_trainer(trainer).config_schema, own | options, section)


@pytest.mark.parametrize("name", presets.names())
def test_the_warm_up_of_a_preset_is_its_plain_run(name: str) -> None:
    """So that the MLE row and curve are there without asking.

    But for RelGAN's under `paper`: its code warms up for 150 epochs, SeqGAN's for 120.
    """
    for trainer in registry.names("trainer"):
        specs = expand(Request(algos=trainer, task="synthetic-tiny", preset=name))
        for warmup in specs[:-1]:
            plain = expand(Request(algos=warmup.label, task="synthetic-tiny", preset=name))
            if (trainer, name) == ("relgan", "paper"):
                assert (warmup.config["epochs"], plain[-1].config["epochs"]) == (150, 120)
                continue
            assert warmup.hash == plain[-1].hash, trainer


def test_the_paper_preset_has_the_full_schedules() -> None:
    specs = expand(Request(algos="mle,cot", task="synthetic-tiny", preset="paper"))
    assert [spec.config["epochs"] for spec in specs] == [120, 1282]
    assert specs[0].evaluation["samples"] == 9984
    assert specs[0].evaluation["final_samples"] == 100_000


def test_quick_is_the_default_preset_on_the_real_task() -> None:
    (spec,) = expand(Request(algos="mle", task="synthetic"))
    assert spec.preset == "quick" and spec.seed == 0
    assert (spec.task_config["vocab_size"], spec.task_config["length"]) == (5000, 20)
    assert spec.backbone == {"embedding": 32, "hidden": 32}


def test_a_date_in_a_config_file_is_text_as_in_set(tmp_path: Path) -> None:
    """A spec is JSON: `json.dumps` of an override that is a date would fail."""
    file = tmp_path / "dated.toml"
    file.write_text("a = 2020-01-31\nb = [12:30:00, 1]\n[c]\nd = 1979-05-27T07:32:00Z\n", "utf-8")
    found = read_toml(file)
    assert found == {
        "a": "2020-01-31",
        "b": ["12:30:00", 1],
        "c": {"d": "1979-05-27 07:32:00+00:00"},
    }
    assert json.loads(json.dumps(found)) == found and parse_value("2020-01-31") == found["a"]


def test_options_are_shown_as_they_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    class Made(Odd):
        pair: list[int] = Field(default_factory=lambda: [1, 2])

    show._show_options("s", Made, {"kind": "two"})
    lines = capsys.readouterr().out
    assert "s.file = 'words.txt'  (Path)" in lines and "s.some = [3]" in lines
    assert "s.pair = [1, 2]" in lines and "s.kind = 'two'  (Kind, default 'one')" in lines


class Perhaps(Config):
    """Options that may be None, and one that may not."""

    rate: float | None = 0.5
    """A number."""
    size: int | float | None = None
    """One of several."""
    file: str | None = None
    """Text."""
    plain: str = "none"
    """Text that is no None."""
    on: bool = True
    """A switch."""


def test_none_is_a_word_where_an_option_may_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    given = parse_settings([f"s.{key}=none" for key in Perhaps.model_fields if key != "on"])["s"]
    found = validate(Perhaps, given, "s")
    assert (found.rate, found.size, found.file, found.plain) == (None, None, None, "none")
    assert validate(Perhaps, {"rate": None}, "s").rate is None  # as a record has it
    for key, value in {"rate": "None", "rate ": "null", "size": "nil"}.items():
        with pytest.raises(UserError, match=rf"^s\.{key.strip()}.*, or none \(given '{value}'\)$"):
            validate(Perhaps, {key.strip(): value}, "s")
    with pytest.raises(UserError, match=r"valid boolean \(given 'none'\)$"):
        validate(Perhaps, {"on": "none"}, "s")
    show._show_options("s", Perhaps, {"rate": None})
    shown = capsys.readouterr().out
    assert "s.rate = none  (" in shown and "default 0.5)" in shown and "s.on = true  (" in shown
