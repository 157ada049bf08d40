"""Whatever is typed or read: one line and a documented exit code, no traceback, no code run.

Some cases of each kind always, 3,000 where slow: command line, config files, records, text,
oracle files, plug-ins.
"""

from __future__ import annotations

import json
import os
import pickle
import pickletools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import damage as kinds
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textbench.cli import COMMANDS, cli
from textbench.plan import registry
from textbench.store.frames import frames
from textbench.store.read import read_store

Property = Callable[..., None]
SPRUNG = "TEXTBENCH_TEST_SPRUNG"
"""Environment variable that the code which nobody may run sets."""


@pytest.fixture(
    params=[30, pytest.param(3000, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
)
def cases(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, which stays as it is."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv(SPRUNG, raising=False)
    yield
    assert SPRUNG not in os.environ
    assert os.listdir(tmp_path / "here") == []


def check(cases: int, property_: Property, **strategies: st.SearchStrategy[Any]) -> None:
    """Try a property on so many cases."""
    limits = settings(
        max_examples=cases, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    limits(given(**strategies)(property_))()


def call(*arguments: str) -> Result:
    """Call the command line; what it may answer is the same for all input."""
    result = CliRunner().invoke(cli, list(arguments))
    what = f"{arguments!a}: {result.exit_code} {result.exception!r}\n{result.output[-2000:]}"
    assert result.exception is None or isinstance(result.exception, SystemExit), what
    assert result.exit_code in (0, 1, 2), what
    assert "Traceback" not in result.output and "\x1b" not in result.output, what
    if result.exit_code == 2:
        lines = [line for line in result.stderr.splitlines() if not line.startswith("warning")]
        assert len(lines) == 1 or "Usage:" in result.stderr, what
    assert SPRUNG not in os.environ, what
    return result


RUN = ("run", "--algos", "mle", "--task", "synthetic-tiny", "--preset", "ci", "--dry-run")
NASTY = st.sampled_from(
    [
        *("", " ", "-", "--", "-1", "0", "1e999", "nan", "inf", "9" * 400, "0x10", "1_000", "½"),
        *(
            "\0",
            "a\0b",
            "\ud800",
            "\udcff",
            "\x1b[31m",
            "[bold]x[/bold]",
            "[/]",
            "é" * 300,
            "\u202e",
        ),
        *("../x", "../../etc/passwd", "/dev/null", "/dev/stdin", "/proc/self/mem", ".", "/", "~"),
        *("a" * 5000, "a/b", "a\\b", "a:b:c", ",", ",,", "a,", "0:5:0", "0:-1", "5:0", "0:10**9"),
        *("a=b=c", "=", "a.b=", "a.b=[1", "a.b={", "a.b=1979-05-27", "a.b=[[1]]", "mle.lr=nan"),
        *(
            "backbone.hidden=10**9",
            "backbone.hidden=9999999999",
            "mle.epochs=-1",
            "mle.epochs=true",
        ),
        *("synthetic-tiny.oracle=/dev/zero", "evaluation.samples=0", "mle.lr='x'", "true", "null"),
        *("cot,seqgan", "cot:head", "mle:nowhere", "synthetic", "paper", "0:3", "1h30m", "4GB"),
        *("%s", "{0}", "$HOME", "`x`", "C:\\x", "con", "a\nb", "a\rb", "\t"),
    ]
)
VALUES = NASTY | st.text(max_size=12)
OPTIONS = st.sampled_from(
    [
        *("--algos", "--task", "--preset", "--seeds", "--set", "--config", "--results", "--jobs"),
        *("--device", "--plugin", "--time-budget", "--checkpoint-every", "--shard", "--timeout"),
        *("--memory", "--retry", "--engine", "--address", "--per-gpu", "--nothing", "-x", "--alg"),
    ]
)
WORDS = st.sampled_from(["status", "list", "show", "compare", "sample", "verify", "data"])


def test_any_command_line(cases: int) -> None:
    def run(chosen: list[tuple[str, str]]) -> None:
        call(*RUN, *(word for pair in chosen for word in pair))

    def other(command: str, words: list[str]) -> None:
        call(command, *words)

    check(cases * 2 // 3, run, chosen=st.lists(st.tuples(OPTIONS, VALUES), min_size=1, max_size=3))
    words = st.lists(
        VALUES | st.sampled_from(["--results", "--help", "-n", "--verify"]), max_size=4
    )
    check(cases // 3, other, command=WORDS | VALUES, words=words)


def test_every_command_has_a_word_about_itself() -> None:
    for command in COMMANDS:
        assert call(command, "--help").exit_code == 0


# -- config files --------------------------------------------------------------------------------

SCALARS = st.sampled_from(
    [
        *("1", "-1", "1.5", "nan", "inf", "true", '"x"', '""', "1979-05-27", "07:32:00", "9" * 30),
        *("1979-05-27T07:32:00Z", "[1, [2, [3]]]", "{a = 1}", "[]", "{}", '"../x"', '"\\u0000"'),
        *('"mle"', '"synthetic-tiny"', '"ci"', '"0:2"', '["mle", "cot"]', '"[bold]"', '"\\u001b"'),
        *("'''a\nb'''", "0xff", "1_000", "1e400", "[" * 60 + "]" * 60, "oops", '"'),
    ]
)
KEYS = st.sampled_from(
    ["algos", "task", "preset", "seeds", "summary", "mle", "lr", "epochs", "backbone", "hidden"]
) | st.text("ab.-_'\" \0é", min_size=1, max_size=4)
LINES = st.one_of(
    st.tuples(KEYS, SCALARS).map(" = ".join),
    KEYS.map("[{}]".format),
    KEYS.map("[[{}]]".format),
    st.tuples(KEYS, KEYS).map(lambda pair: f"[{pair[0]}.{pair[1]}]"),
    st.sampled_from(["[mle]", "[backbone]", "[evaluation]", "[synthetic-tiny]", "# \0", "\ufeff"]),
)
HEAD = 'algos = "mle"\ntask = "synthetic-tiny"\npreset = "ci"\n'


def test_any_config_file(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"

    def run(head: str, lines: list[str], raw: bytes | None) -> None:
        text = head + "\n".join(lines)
        path.write_bytes(text.encode("utf-8", "surrogatepass") if raw is None else raw)
        call("run", "--config", str(path), "--dry-run", "--device", "cpu")

    raw = st.none() | st.binary(max_size=80)
    check(cases, run, head=st.sampled_from([HEAD, ""]), lines=st.lists(LINES, max_size=6), raw=raw)


# -- records -------------------------------------------------------------------------------------


def test_any_record(cases: int, tmp_path: Path) -> None:
    """Of one file of one run, any JSON or any bytes; readers name it and go on."""
    import shutil

    whole = tmp_path / "whole"
    runs = [kinds.make(whole, spec) for spec in kinds.specs()]
    shutil.copytree(whole, tmp_path / "store")
    victim, neighbour = (tmp_path / "store" / run.path.relative_to(whole) for run in runs)
    names = ("spec.json", "status.json", "env.json", "metrics.jsonl", "curve.jsonl")
    known = {name: json.loads((victim / name).read_bytes().split(b"\n{")[0] if name.endswith("l")
             else (victim / name).read_bytes()) for name in names}  # fmt: skip
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
        | st.sampled_from([10**400, "../x", "done", "running", "\ud800", "a\x1b[1m", "x" * 9999]),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=6,
    )  # fmt: skip

    def read(name: str, data: st.DataObject) -> None:
        changed = dict(known[name])
        for key in data.draw(st.lists(st.sampled_from(sorted(changed)), min_size=1, max_size=3)):
            changed[key] = data.draw(values)
        text = json.dumps(changed) + "\n"
        content = data.draw(st.just(text.encode()) | st.binary(max_size=60))
        before = (victim / name).read_bytes()
        try:
            (victim / name).write_bytes(content)
            found = read_store(tmp_path / "store")
            frames(found)
            run = run_name(neighbour)
            assert run not in found.unreadable
            assert all("\n" not in reason for reason in found.unreadable.values())
            call("status", "--results", str(tmp_path / "store"))
            call("show", run_name(victim), "--results", str(tmp_path / "store"))
        finally:
            (victim / name).write_bytes(before)

    check(cases, read, name=st.sampled_from(names), data=st.data())


def run_name(path: Path) -> str:
    return "/".join(path.parts[-3:])


# -- text ----------------------------------------------------------------------------------------

SENTENCES = st.lists(
    st.text("abcé \t.,\u0301\u200b\u2028", max_size=20)
    | st.sampled_from(["the cat sat", "a dog ran", "the dog sat", "a cat ran", '{"text": "a b"}']),
    max_size=30,
).map("\n".join)


def test_any_text(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "corpus"

    def run(content: bytes | str, suffix: str, share: str) -> None:
        file = path.with_suffix(suffix)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        call(
            *("run", "--algos", "mle", "--task", "text", "--preset", "ci", "--dry-run"),
            *(
                "--device",
                "cpu",
                "--set",
                f"text.train={file}",
                "--set",
                f"text.test_share={share}",
            ),
            *("--set", "text.valid_share=0.2"),
        )

    check(
        cases,
        run,
        content=SENTENCES | st.binary(max_size=200),
        suffix=st.sampled_from([".txt", ".jsonl", ".csv", ".tsv", ".gz", ".npy", ".json"]),
        share=st.sampled_from(["0.2", "0.5", "0", "1", "-1", "nan"]),
    )


# -- oracle files --------------------------------------------------------------------------------


class Trap:
    """What a hostile pickle is made of: it would be called when the file is loaded."""

    def __init__(self, call: object, arguments: tuple[object, ...]) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call, self.arguments


def test_any_oracle_file(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "oracle.pkl"
    arrays = [np.ones((3, 4), np.float32), np.zeros(4), np.arange(4)]
    spring = f"__import__('os').environ.__setitem__({SPRUNG!r}, '1')"
    hostile = [
        Trap(eval, (spring,)),
        Trap(exec, (spring,)),
        Trap(os.putenv, (SPRUNG, "1")),
        [Trap(eval, (spring,)), *arrays],
        Trap(getattr, ("", "join")),
    ]
    protocols = st.integers(0, 4)
    whole = st.tuples(st.sampled_from([arrays, arrays[0], {"a": 1}, [1, "x"]]), protocols)
    bad = st.tuples(st.sampled_from(hostile), protocols)
    opcodes = bytes(ord(one.code) for one in pickletools.opcodes)

    def mutated(content: bytes, places: list[tuple[int, int]], cut: int) -> bytes:
        changed = bytearray(content)
        for place, code in places:
            changed[place % len(changed)] = opcodes[code % len(opcodes)]
        return bytes(changed[: cut or None])

    contents = st.one_of(
        st.binary(max_size=80),
        bad.map(lambda pair: pickle.dumps(pair[0], pair[1])),
        st.builds(
            mutated,
            st.one_of(whole, bad).map(lambda pair: pickle.dumps(pair[0], pair[1])),
            st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 99)), max_size=4),
            st.sampled_from([0, 0, -1, -20, 30]),
        ),
    )

    def run(content: bytes) -> None:
        path.write_bytes(content)
        assert call(*RUN, "--set", f"synthetic-tiny.oracle={path}").exit_code == 2

    check(cases, run, content=contents)


# -- plug-ins ------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "import nowhere",
        "raise ValueError('luck\\n[bold]x\\x1b[2J')",
        "raise SystemExit(0)",
        "raise KeyError",
        "raise GeneratorExit",
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "class B(BaseException):\n    def __str__(self): return '\\ud800'\nraise B",
        "def f(): return f()\nf()",
        "x = (",
        "\0",
        "é = 1",
        "from textbench import Trainer",
        "from textbench import Trainer\nclass T(Trainer):\n    name = 'mine'",
        "from textbench import Trainer\nclass T(Trainer):\n    name = 'mle'",
        "from textbench import Trainer\nclass T(Trainer):\n    name = '../x'",
        "from textbench import Trainer\nclass T(Trainer):\n    name = 7",
        "from textbench import Trainer\nclass T(Trainer):\n    name = 'a\\x1bb'",
        "from textbench import Trainer\nclass T(Trainer):\n    name = 'mine'\n    Config = 3",
        "from textbench import Metric\nclass M(Metric):\n    name = 'mine'",
        "from textbench import Task\nclass K(Task):\n    name = 'm'\n    def __init__(self): 1/0",
        "class M(type):\n  def __getattribute__(c, n): raise OSError\nclass X(metaclass=M): pass",
        "import sys; sys.modules[__name__] = None",
        "__name__ = 3",
        "del __builtins__",
        "print('\\x1b[2Jhello')",
        "name = 'x' * 10**6",
        "import warnings; warnings.warn('[red]careful')",
    ]
)


def test_any_plugin(cases: int, tmp_path: Path) -> None:
    """Code of the user's own may do what it likes; what it does wrong is still one line."""

    def run(pieces: list[str], name: str, algos: str) -> None:
        path = tmp_path / f"{name}.py"
        path.write_text("\n".join(pieces), encoding="utf-8", errors="surrogatepass")
        registry._plugins.clear()
        result = CliRunner().invoke(
            cli, [*RUN[:2], algos, *RUN[3:], "--plugin", str(path), "--device", "cpu"]
        )
        what = f"{pieces!r}: {result.exit_code} {result.exception!r}\n{result.output[-2000:]}"
        assert result.exception is None or isinstance(result.exception, SystemExit), what
        assert result.exit_code in (0, 2), what
        assert "Traceback" not in result.output, what
        if result.exit_code == 2:
            assert len(result.stderr.splitlines()[-1]) < 3000, what
            assert "\x1b" not in result.stderr, what

    try:
        check(
            cases,
            run,
            pieces=st.lists(PIECES, min_size=1, max_size=3),
            name=st.sampled_from(["mine", "torch", "a-b", "ünï", "__init__"]),
            algos=st.sampled_from(["mle", "mine", "mle,mine", "mine:x"]),
        )
    finally:
        registry._plugins.clear()
