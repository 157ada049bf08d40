"""textbench: a benchmark suite for training algorithms of text generators.

This is all that a plugin needs, besides `textbench.backbone`: the contracts of a trainer, a metric
and a task, and what they hand to each other. Names are imported when they are asked for, so that
``import textbench`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textbench.backbone.generator import Generator
    from textbench.contracts.config import Config, tunable
    from textbench.contracts.errors import UserError
    from textbench.contracts.evaluation import Evaluation
    from textbench.contracts.metric import Metric, NotApplicableError
    from textbench.contracts.number import Number
    from textbench.contracts.streams import stream
    from textbench.contracts.task import Task, TextTask
    from textbench.contracts.trainer import Context, Phase, Position, Trainer
    from textbench.store.frames import load_curves, load_results, load_runs

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Context",
    "Evaluation",
    "Generator",
    "Metric",
    "NotApplicableError",
    "Number",
    "Phase",
    "Position",
    "Task",
    "TextTask",
    "Trainer",
    "UserError",
    "__version__",
    "load_curves",
    "load_results",
    "load_runs",
    "stream",
    "tunable",
]


def _homes_of_submodules(package: str) -> list[str]:
    """Return where submodules lie: in a clone, `algorithms` and `metrics` lie beside the package.

    `python -m textbench` inside a clone imports the clone, whatever is installed.
    """
    beside = os.path.dirname(package)
    clone = os.path.isfile(os.path.join(beside, "algorithms", "__init__.py"))
    installed = os.path.isdir(os.path.join(package, "algorithms"))
    return [package, beside] if clone and not installed else [package]


__path__ = _homes_of_submodules(__path__[0])

_HOMES = {
    "backbone.generator": ("Generator",),
    "contracts.config": ("Config", "tunable"),
    "contracts.errors": ("UserError",),
    "contracts.evaluation": ("Evaluation",),
    "contracts.metric": ("Metric", "NotApplicableError"),
    "contracts.number": ("Number",),
    "contracts.streams": ("stream",),
    "contracts.task": ("Task", "TextTask"),
    "contracts.trainer": ("Context", "Phase", "Position", "Trainer"),
    "store.frames": ("load_curves", "load_results", "load_runs"),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
