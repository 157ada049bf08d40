"""How the product's source is kept: short files, short functions, precise types."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import textbench.algorithms
import textbench.metrics

import textbench

PACKAGE = Path(textbench.__file__).parent
FOLDERS = [
    PACKAGE,
    *(Path(str(part.__file__)).parent for part in (textbench.algorithms, textbench.metrics)),
]
SOURCES = sorted({path for folder in FOLDERS for path in folder.rglob("*.py")})
FILE, FUNCTION = 300, 50
"""Lines, at most."""
ANY, IGNORED = 50, 8
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
