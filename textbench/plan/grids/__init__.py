"""Grids: whole experiments as configuration files, run by name: ``--config figure2b``.

A grid is an ordinary configuration file (`textbench.plan.resolve`). Its rows are variants of its
own, ``[variants.cot.NAME]`` or a product of axes, ``[grid.cot]`` (`textbench.plan.product`): what
makes a row holds under every preset. Its schedule stands in
``["cot@paper"]``, for the preset it is meant for; another preset brings another schedule.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textbench.plan import shipped

names = partial(shipped.names, Path(__file__).parent)
path = partial(shipped.path, Path(__file__).parent, "grid")
