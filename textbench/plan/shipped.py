"""Data files that ship with the package and are known by name: presets and grids.

A preset has a ``summary`` and sections named like the prefixes of ``--set``: a trainer (``[mle]``),
a row (``["cot:head"]``), a task, a metric, ``[backbone]`` or ``[evaluation]``; and with
``["mle@text"]`` for one task or family of tasks alone. Sections of trainers, tasks and metrics that
are not installed are left alone.

A grid is an ordinary configuration file (`textbench.plan.resolve`). Its rows are variants of its
own, ``[variants.cot.NAME]`` or a product of axes, ``[grid.cot]`` (`textbench.plan.product`): what
makes a row holds under every preset. Its schedule stands in ``["cot@paper"]``, for the preset it is
meant for; another preset brings another schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textbench.contracts.errors import UnknownNameError
from textbench.plan.toml import read_toml


@dataclass
class Shipped:
    """The TOML files of a folder."""

    kind: str
    """What each is, for messages."""
    folder: Path

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.toml"))

    def path(self, name: str) -> Path:
        """Return the file called ``name``.

        Raises:
            UnknownNameError: With the nearest names.
        """
        if name not in self.names():
            raise UnknownNameError(self.kind, name, self.names(), "`textbench list` shows all")
        return self.folder / f"{name}.toml"

    def summaries(self) -> dict[str, str]:
        """Return the line that each says of itself, by name."""
        return {name: str(read_toml(self.path(name)).get("summary", "")) for name in self.names()}


presets = Shipped("preset", Path(__file__).with_name("presets"))
grids = Shipped("grid", Path(__file__).with_name("grids"))
