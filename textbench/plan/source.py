"""Reading Python source without running it, so that `textbench list` needs no torch."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path


@dataclass(frozen=True)
class ClassSource:
    """What a class's source says about it."""

    docstring: str = ""
    attributes: dict[str, object] = field(default_factory=dict)
    """Class attributes that are literals, inherited ones of the same file included."""


@functools.cache
def find_module(name: str) -> Path | None:
    """Return the file of a module, or None.

    Unlike `importlib.util.find_spec`, no parent package is imported on the way: a third
    party's ``__init__`` may well import torch.
    """
    path: list[str] | None = None
    spec = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        spec = _find_spec(".".join(parts[:depth]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _find_spec(name: str, path: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


@functools.cache
def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file.

    Raises:
        OSError: When it cannot be read.
        SyntaxError: When it is not Python.
    """
    return ast.parse(path.read_bytes(), filename=str(path))


@functools.cache
def classes(path: Path) -> dict[str, ClassSource]:
    """Return the top-level classes of a file, by name."""
    found: dict[str, ClassSource] = {}
    for node in parse(path).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = _read_class(node, found)
    return found


def _read_class(node: ast.ClassDef, earlier: dict[str, ClassSource]) -> ClassSource:
    attributes: dict[str, object] = {}
    for base in reversed(node.bases):
        if isinstance(base, ast.Subscript):  # Base[Config]
            base = base.value
        if isinstance(base, ast.Name) and base.id in earlier:
            attributes.update(earlier[base.id].attributes)
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                _keep_literal(attributes, name, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                _keep_literal(attributes, name, value)
    return ClassSource(inspect.cleandoc(ast.get_docstring(node) or ""), attributes)


def _keep_literal(attributes: dict[str, object], name: str, value: ast.expr) -> None:
    try:
        attributes[name] = ast.literal_eval(value)
    except ValueError:
        attributes.pop(name, None)


def dependencies(path: Path, module: str, packages: frozenset[str]) -> set[Path]:
    """Return the files that ``path`` imports from its own package or ``packages``, and theirs.

    Args:
        path: A source file.
        module: Its dotted name, against which relative imports are resolved.
        packages: Further packages whose modules count, e.g. those that hold trainers.
    """
    home = module.rpartition(".")[0]
    wanted = packages | ({home} if home else frozenset())
    found: set[Path] = set()
    pending = [(path, module)]
    while pending:
        file, name = pending.pop()
        for target in _imported(file, name):
            target_path = find_module(target) if target.rpartition(".")[0] in wanted else None
            if target_path is not None and target_path not in found and target_path != path:
                found.add(target_path)
                pending.append((target_path, target))
    return found


def _imported(path: Path, module: str) -> set[str]:
    """Return the dotted names that a file may import, function-level imports included."""
    names: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names
