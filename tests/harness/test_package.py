"""What is installed: the wheel, its bounds, its version, in a folder with a space."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from guides import PAGES, blocks

from textbench import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORDS = ["".join(word) for word in itertools.product("abcd", "eio", "nrs", ["", "t"])]
TINY = "--preset ci --task synthetic-tiny --device cpu --jobs 1"


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    found = (re.fullmatch(r"([\w-]+)==([\w.]+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    lowest = pins("constraints-lowest.txt")
    bounds = dict(one.split(">=") for one in PROJECT["dependencies"])
    assert set(lowest) == set(bounds)
    for name, bound in bounds.items():
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", lowest[name]), name


def test_every_dependency_is_pinned() -> None:
    pinned = pins("constraints.txt")
    extras = [
        one
        for extra in ("docs", "kjv", "lint", "test")
        for one in PROJECT["optional-dependencies"][extra]
    ]
    for requirement in PROJECT["dependencies"] + extras:
        assert re.split("[>=]", requirement)[0] in pinned, requirement


def test_the_version_is_in_one_place() -> None:
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {__version__}\n" in citation
    assert re.search(
        rf"^## (Unreleased|{re.escape(__version__)})$",
        (ROOT / "CHANGELOG.md").read_text("utf-8"),
        flags=re.M,
    )


def test_what_lint_checks_is_checked_before_a_commit() -> None:
    """And what ruff shall leave alone it leaves alone when it is named, too."""
    tox = (ROOT / "tox.ini").read_text("utf-8").partition("[testenv:lint]")[2].partition("\n[")[0]
    lint = [line.strip() for line in tox.partition("commands =")[2].splitlines() if line.strip()]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    entries = [entry.strip() for entry in re.findall(r"entry: ([^#\n]+)", hooks)]
    assert [re.split(" [-.]", entry)[0] for entry in entries] == [
        re.split(" [-.]", line)[0] for line in lint
    ]
    assert all("--force-exclude" in entry for entry in entries if entry.startswith("ruff"))


def test_in_a_clone_the_module_runs_the_clone(tmp_path: Path) -> None:
    """Whatever is installed, and without the finder of an editable installation."""
    script = (
        "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import textbench.algorithms.mle as mle, textbench.metrics.bleu as bleu, textbench\n"
        "print(mle.__file__, bleu.__file__, textbench.__file__, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    found = [str(Path(line).relative_to(ROOT)) for line in done.stdout.split("\n")[:3]]
    assert found == ["algorithms/mle.py", "metrics/bleu.py", "textbench/__init__.py"]


BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline from a copy of what git knows."""
    clone = tmp_path_factory.mktemp("clone") / "textbench"
    files = (
        subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .split("\0")
    )
    kept = ("textbench/", "algorithms/", "metrics/", "pyproject.toml", "README.md", "LICENSE")
    for name in files:
        if name.startswith(kept) and (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_product_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"textbench", f"textbench-{__version__}.dist-info"}
    for source, home in (("textbench", ""), ("algorithms", "algorithms/"), ("metrics", "metrics/")):
        for path in (ROOT / source).rglob("*"):
            if path.suffix in (".py", ".toml", ".jinja", ".typed") and path.is_file():
                assert f"textbench/{home}{path.relative_to(ROOT / source).as_posix()}" in names


@pytest.mark.slow
def test_the_wheel_works_in_a_folder_with_a_space(wheel: Path, tmp_path: Path) -> None:
    """README's commands and the guides' plug-ins, from folders that know no checkout."""
    pytest.importorskip("pip")
    home, work = tmp_path / "my environment", tmp_path / "my work"
    work.mkdir()
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
    )
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    beside = [path for path in sys.path if path.endswith("-packages")]
    (packages / "beside.pth").write_text("\n".join(beside), encoding="utf-8")

    def run(*words: str, folder: Path = work) -> str:
        done = subprocess.run(
            words,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    command = str(home / "bin" / "textbench")
    assert run(command, "--version").strip() == f"textbench, version {__version__}"
    where = run(str(python), "-c", "import textbench.algorithms.cot as c; print(c.__file__)")
    assert where.startswith(str(packages))
    run(command, "run", "--algos", "cot,seqgan", *TINY.split())
    run(command, "report")
    assert (work / "reports" / "report.html").is_file()
    assert "seqgan" in run(str(python), "-m", "textbench", "status")
    for page in PAGES:
        folder = work / page.removesuffix(".md")
        folder.mkdir()
        (folder / "words.txt").write_text(" ".join(WORDS), encoding="utf-8")
        files, commands = blocks(page)
        for name, source in files.items():
            (folder / name).write_text(source, encoding="utf-8")
        for line in commands:
            run(command, *shlex.split(line)[1:], folder=folder)
    trainers = work / "adding-a-trainer"
    assert "word_dropout" in run(str(python), "-m", "textbench", "status", folder=trainers)
