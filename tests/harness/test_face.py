"""What a plugin imports from: `textbench` and `textbench.backbone`, typed, lazy, complete."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import textbench
from textbench import backbone

FACES = [textbench, backbone]
PROMISED = {
    *("Trainer", "Phase", "Position", "Context", "Config", "Generator"),
    *("Metric", "Number", "Evaluation", "NotApplicableError"),
    *("Task", "TextTask", "UserError", "stream", "load_results", "load_curves", "load_runs"),
    "tunable",
}
HEAVY = ("torch", "numpy", "pandas", "pydantic", "scipy", "nltk", "matplotlib")


def typed(face: ModuleType) -> dict[str, str]:
    """Return what type checkers see: each name, and the module that it is imported from."""
    tree = ast.parse(Path(str(face.__file__)).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_types_names_and_homes_agree(face: ModuleType) -> None:
    seen = typed(face)
    homes = {
        name: f"{face.__name__}.{home}" for home, names in face._HOMES.items() for name in names
    }
    assert homes == seen
    assert sorted(seen) == sorted(set(face.__all__) - {"__version__"})
    assert set(face.__all__) <= set(dir(face))


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_every_name_is_the_thing_itself(face: ModuleType) -> None:
    for name, home in typed(face).items():
        assert getattr(face, name) is getattr(importlib.import_module(home), name)
        assert getattr(face, name).__module__ == home
        assert getattr(face, name).__doc__


def test_the_face_has_what_was_promised() -> None:
    assert set(textbench.__all__) >= PROMISED


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_another_name_is_an_attribute_error(face: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{face.__name__}' has no attribute 'trainr'"):
        _ = face.trainr
    with pytest.raises(ImportError, match="cannot import name 'trainr'"):
        exec(f"from {face.__name__} import trainr")  # noqa: S102


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_importing_it_imports_nothing(face: ModuleType, tmp_path: Path) -> None:
    def after(code: str) -> set[str]:
        report = "import json, sys; print(json.dumps(sorted(sys.modules)))"
        command = [sys.executable, "-c", f"{code}\n{report}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        return set(json.loads(done.stdout))

    imported = after(f"import {face.__name__}; dir({face.__name__})")
    assert imported.isdisjoint(HEAVY)
    own = {name for name in imported if name.startswith("textbench")}
    assert own == {"textbench", face.__name__}


def test_asking_for_a_name_imports_what_it_needs(tmp_path: Path) -> None:
    code = "import sys; from textbench import load_results; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "False\n"
