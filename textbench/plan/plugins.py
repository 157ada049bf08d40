"""Importing other people's classes, and saying in one line what is wrong with them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
import traceback
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from textbench.contracts.errors import UserError, one_line

if TYPE_CHECKING:
    from textbench.contracts.config import Config
    from textbench.contracts.trainer import Trainer

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def is_name(text: str) -> bool:
    """Tell whether a thing may be called so: letters, digits, ``-`` and ``_``."""
    return _NAME.fullmatch(text) is not None


def import_class(module: str, qualname: str, file: Path | None, what: str) -> type[Any]:
    """Import a class of an installed package or of a loaded plugin.

    Args:
        module: Dotted name.
        qualname: The class.
        file: Its source, to name the line of an exception.
        what: The start of the error message.

    Raises:
        UserError: One line naming the file, the line and the exception.
    """
    try:
        loaded: type[Any] = getattr(sys.modules.get(module) or import_module(module), qualname)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserError(f"{what} cannot be loaded: {where(error, file)}") from error
    return loaded


def title_of(trainer: type[Trainer[Config]]) -> str:
    """Return what tables call a trainer: one that is made of another has not that one's title."""
    for kind in trainer.__mro__:
        if kind is not trainer and "name" in vars(kind):
            break
        if vars(kind).get("title"):
            return str(vars(kind)["title"])
    return trainer.name


class _FromSource(SourceFileLoader):
    """Compiles a file whenever it is run.

    Python knows stored bytecode by the second and the size of its source: a file that is edited
    within both would be run as it was before.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def run_file(file: str | Path) -> ModuleType:
    """Run a plugin file as a module of its own.

    Raises:
        UserError: One line naming the file, the line and the exception.
    """
    path = Path(file).resolve()
    if path.is_dir():
        raise UserError(f"plugin {file} is a folder; name a Python file in it")
    if not path.is_file():
        raise UserError(f"plugin {file} does not exist")
    name = f"textbench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise UserError(f"plugin {file} is not a Python file (its name must end in .py)")
    spec.loader = _FromSource(name, str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic resolves annotations through it
    here = os.getcwd()
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plug-in may raise what it likes
        sys.modules.pop(name, None)
        hint = "; a plug-in is one file: what several share belongs into an installed package"
        beside = isinstance(error, ImportError) and (
            not error.name or (path.parent / f"{error.name.partition('.')[0]}.py").is_file()
        )
        wrong = f"{where(error, path)}{hint * beside}"
        raise UserError(f"plugin {file} is broken: {wrong}") from error
    finally:
        os.chdir(here)  # paths on the command line are relative to where the user is
    return module


def where(error: BaseException, file: Path | None) -> str:
    """Describe an exception in one line, with the last line of ``file`` it came through."""
    if isinstance(error, SyntaxError):
        line = f":{error.lineno}" if error.lineno else ""  # of a file with NUL bytes there is none
        return f"{error.filename or file}{line}: {type(error).__name__}: {error.msg}"
    described = one_line(error)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if file is not None and f.filename == str(file)]
    return f"{file}:{lines[-1]}: {described}" if lines else described
