"""Ten rooms, one way down: what pyproject.toml promises of imports, and that it would notice."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import textbench.algorithms
import textbench.metrics

import textbench
from textbench.plan import registry

ROOT = Path(__file__).parents[2]
HARNESS = Path(textbench.__file__).parent
PLUGINS = {"algorithms": textbench.algorithms, "metrics": textbench.metrics}
"""Installed inside the package, kept beside it."""
LINT = (
    "from importlinter.application.use_cases import lint_imports\n"
    "from importlinter.configuration import configure\n"
    "configure()\n"
    "raise SystemExit(not lint_imports(config_filename='pyproject.toml', cache_dir=None))"
)
GRAPH = (
    "import grimp, json\n"
    "graph = grimp.build_graph('textbench', exclude_type_checking_imports=True, cache_dir=None)\n"
    "found = graph.find_modules_directly_imported_by\n"
    "print(json.dumps({module: sorted(found(module)) for module in graph.modules}))"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package as it is installed, with the checkout's contracts."""
    pytest.importorskip("importlinter", reason="`tox -e lowest` leaves it out: it needs rich 14")
    data = shutil.ignore_patterns("__pycache__", "*.toml", "*.jinja")
    shutil.copytree(HARNESS, tmp_path / "textbench", ignore=data)
    for name, package in PLUGINS.items():
        place = tmp_path / "textbench" / name
        shutil.copytree(Path(str(package.__file__)).parent, place, ignore=data, dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def python(tree: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in the tree, with its package before the installed one."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, '.')\n{code}"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def plant(tree: Path, module: str, line: str) -> None:
    """Put a line at the end of a module."""
    with open(tree / "textbench" / module, "a") as file:
        file.write(f"\n{line}\n")


# -- import-linter -----------------------------------------------------------------------------


def test_every_contract_is_kept(tree: Path) -> None:
    done = python(tree, LINT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout and "Analyzed 0 files" not in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("backbone/lstm.py", "import textbench.contracts.config", ["Rooms", "No circle"]),
        ("run/loop.py", "import textbench.report.text", ["Rooms"]),
        ("report/text.py", "import textbench.run.clock", ["Rooms"]),
        ("tasks/text.py", "from textbench.plan import registry", ["Rooms"]),
        ("plan/shipped.py", "from textbench.tasks import sentences", ["Rooms"]),
        (
            "judge/stats.py",
            "def f():\n    from textbench.report import text",
            ["Rooms", "No circle"],
        ),
        ("contracts/data.py", "from textbench.contracts import trainer", ["No circle"]),
        ("run/clock.py", "from textbench.algorithms.mle import MLE", ["The harness imports"]),
        ("cli/list.py", "import textbench.metrics.bleu", ["The harness imports"]),
        (
            "algorithms/mle.py",
            "from textbench.tasks.text import Text",
            ["Trainers and metrics import"],
        ),
        ("metrics/bleu.py", "import textbench.store.frames", ["Trainers and metrics import"]),
        ("metrics/nll.py", "import textbench.algorithms.cot", ["Trainers and metrics do not"]),
    ],
)
def test_a_wrong_import_breaks_its_contract(
    tree: Path, module: str, line: str, broken: list[str]
) -> None:
    plant(tree, module, line)
    done = python(tree, LINT)
    found = [said.rpartition(" BROKEN")[0] for said in done.stdout.splitlines() if "BROKEN" in said]
    assert done.returncode == 1, done.stdout + done.stderr
    for name in broken:
        assert any(said.startswith(name) for said in found), done.stdout
    assert len(found) <= len(broken) + 1


def test_a_new_room_needs_a_place(tree: Path) -> None:
    (tree / "textbench" / "attic").mkdir()
    (tree / "textbench" / "attic" / "__init__.py").touch()
    done = python(tree, LINT)
    assert done.returncode == 1 and "- textbench.attic" in done.stdout


# -- the graph itself --------------------------------------------------------------------------


def imports(tree: Path) -> dict[str, set[str]]:
    """Return what every module imports at run time."""
    done = python(tree, GRAPH)
    assert done.returncode == 0, done.stderr
    return {module: set(found) for module, found in json.loads(done.stdout).items()}


def rooms(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph of the rooms."""
    found: dict[str, set[str]] = {}
    for module, targets in graph.items():
        room = module.split(".")[:2][-1]
        others = {target.split(".")[:2][-1] for target in targets} - {room, "textbench"}
        found.setdefault(room, set()).update(others)
    del found["textbench"], found["__main__"]
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return a circle, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_neither_modules_nor_rooms_go_in_circles(tree: Path) -> None:
    graph = imports(tree)
    assert len(graph) > 90 and sum(map(len, graph.values())) > 300
    assert circle(graph) == []
    assert circle(rooms(graph)) == []
    assert len(rooms(graph)) == 12  # ten, the trainers and the metrics
    plant(tree, "store/rows.py", "from textbench.store import read")
    assert "textbench.store.rows" in circle(imports(tree))


def test_the_package_itself_imports_nothing(tree: Path) -> None:
    """`import textbench` is instant, and no module depends on what the face shows."""
    graph = imports(tree)
    assert graph["textbench"] == set()


# -- names -------------------------------------------------------------------------------------


def names() -> set[str]:
    """Return every trainer, variant, metric and number that ships."""
    trainers = registry.names("trainer")
    variants = {f"{trainer}:{name}" for trainer in trainers for name in registry.variants(trainer)}
    return {*trainers, *variants, *registry.names("metric"), *registry.numbers()}


def named(tree: ast.Module, known: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and name where source names one: in a string of its own, or as an identifier.

    Documentation may, and so may messages and examples that show a command or an option.
    """
    free = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in free:
                example = re.search(r"textbench |say --|e\.g\. ", text)
                words = [] if example else re.findall(r"[\w:]+", text)
                yield from ((node.lineno, word) for word in words if word in known)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in known:
                yield node.lineno, name
            case ast.alias(name=name) if known & set(name.split(".")):
                yield node.lineno, name


def test_the_harness_names_no_trainer_and_no_metric() -> None:
    known = names()
    rooms = [
        path for path in HARNESS.rglob("*.py") if path.relative_to(HARNESS).parts[0] not in PLUGINS
    ]
    assert len(rooms) > 90
    for path in rooms:
        found = list(named(ast.parse(path.read_text("utf-8")), known))
        assert not found, f"{path.relative_to(HARNESS)}: {found}"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('ROWS = ["real"]', ["real"]),
        ('if spec.label == "cot:head": pass', ["cot:head"]),
        ('columns = f"{x} nll_test"', ["nll_test"]),
        ("from textbench.algorithms import mle", ["mle"]),
        ("mle.MLE", ["mle"]),
        ('"""As ``mle`` does."""', []),
        ('HELP = "textbench run --algos mle"', []),
        ("name = 'reality'", []),
    ],
)
def test_naming_one_would_be_noticed(line: str, found: list[str]) -> None:
    assert [name for _, name in named(ast.parse(line), names())] == found
