"""How the product's source is kept: short files, short functions, precise types, no dead names."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import textbench.algorithms
import textbench.metrics

import textbench

ROOT = Path(__file__).parents[2]
PACKAGE = Path(textbench.__file__).parent
FOLDERS = [
    PACKAGE,
    *(Path(str(part.__file__)).parent for part in (textbench.algorithms, textbench.metrics)),
]
SOURCES = sorted({path for folder in FOLDERS for path in folder.rglob("*.py")})
FILE, FUNCTION = 300, 50
"""Lines, at most."""
ANY, IGNORED = 39, 9
"""Annotations that say nothing (an import of `Any` is not one), and errors of the type checker
that are ignored: what torch, click and parsed files force. Lower them with the source."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def trees() -> Iterator[tuple[str, str, ast.Module]]:
    """Yield every source file's name, text and tree."""
    assert len(SOURCES) > 150
    for path in SOURCES:
        text = path.read_text("utf-8")
        yield f"{path.parent.name}/{path.name}", text, ast.parse(text)


def too_long(name: str, text: str, tree: ast.Module) -> Iterator[str]:
    """Name the file, if it is too long, and its functions that are."""
    lines = len(text.splitlines())
    if lines > FILE:
        yield f"{name} has {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION:
                yield f"{name}: {node.name} has {length} lines"


def loose(tree: ast.Module) -> int:
    """Count where `Any` is used."""
    return sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(tree))


def test_no_file_and_no_function_is_too_long() -> None:
    assert [found for one in trees() for found in too_long(*one)] == []


def test_a_long_file_and_a_long_function_would_be_noticed() -> None:
    for lines, found in ((FUNCTION, 0), (FUNCTION + 1, 1), (FILE + 1, 2)):
        text = "def f():\n" + "    pass\n" * (lines - 1)
        assert len(list(too_long("f.py", text, ast.parse(text)))) == found


def test_types_say_something() -> None:
    counts = {name: loose(tree) for name, _, tree in trees()}
    assert sum(counts.values()) <= ANY, {name: n for name, n in counts.items() if n}
    ignored = [name for name, text, _ in trees() for _ in re.findall("# type: ignore", text)]
    assert len(ignored) <= IGNORED, ignored
    assert loose(ast.parse("from typing import Any\nx: dict[str, Any]\ndef f(*a: Any): ...")) == 2


def unobserved(tree: ast.Module) -> Iterator[str]:
    """Yield pandas' group-bys that leave it to its version whether absent categories are groups."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="groupby" | "pivot_table"), keywords=given):
                if "observed" not in {one.arg for one in given}:
                    yield ast.unparse(node)


def test_groups_are_of_what_there_is_under_every_pandas() -> None:
    """Columns of text are categories, and pandas 2 makes groups of those that do not occur."""
    assert [f"{name}: {one}" for name, _, tree in trees() for one in unobserved(tree)] == []
    assert len([*unobserved(ast.parse("a.groupby('x'); a.groupby('x', observed=True)"))]) == 1


# -- names that nobody uses ----------------------------------------------------------------------

FRAMEWORK = {
    *("forward", "backward", "show", "invoke", "list_commands", "get_command", "format_commands"),
    *("resolve_command", "parse_args", "find_class", "get_code", "list_corpora"),
    "on_broken_pipe",
}
"""Called by torch, click, rich, pickle and the import system."""


def used(tree: ast.Module) -> Counter[str]:
    """Count the names that a tree reads, in strings too: templates, entry points, annotations."""
    counts: Counter[str] = Counter()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                counts[name] += 1
            case ast.alias(name=name):
                counts[name.rpartition(".")[2]] += 1
            case ast.Constant(value=str(text)) if len(text) < 60:
                counts.update(set(re.findall(r"\w+", text)))
    return counts


def defined(tree: ast.Module) -> Iterator[str]:
    """Yield the functions and classes of a tree that nothing outside Python calls."""
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            hooked = any("validator" in ast.unparse(one) for one in node.decorator_list)
            if not (hooked or node.name.startswith("__") or node.name in FRAMEWORK):
                yield node.name


def test_every_function_and_class_is_used_by_the_product() -> None:
    """Tests alone keep nothing alive; what entry points and the public face name is used."""
    counts = Counter(re.findall(r"\w+", (ROOT / "pyproject.toml").read_text("utf-8")))
    for template in PACKAGE.rglob("*.jinja"):
        counts.update(re.findall(r"\w+", template.read_text("utf-8")))
    for _, _, tree in trees():
        counts += used(tree)
    dead = [f"{name}: {one}" for name, _, tree in trees() for one in defined(tree)]
    assert [one for one in dead if not counts[one.partition(": ")[2]]] == []
