"""Presets: sizes and schedules as data files, one TOML file each, readable without torch.

A file has a ``summary`` and sections named like the prefixes of ``--set``: a trainer
(``[mle]``), a row (``["cot:head"]``), a task, a metric, ``[backbone]`` or ``[evaluation]``; and
with ``["mle@text"]`` for one task or family of tasks alone.
Sections of trainers, tasks and metrics that are not installed are left alone.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textbench.plan import shipped

names = partial(shipped.names, Path(__file__).parent)
path = partial(shipped.path, Path(__file__).parent, "preset")
