"""The pages about plugins as data: the files that they show, and the commands that they name."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("adding-a-trainer.md", "adding-a-metric.md", "adding-a-task.md")
BLOCK = re.compile(r"in `(\w+\.py)`[^`]*:\n\n```python\n(.*?)^```$|^```sh\n(.*?)^```$", re.M | re.S)


def blocks(page: str) -> tuple[dict[str, str], list[str]]:
    """Return a page's files and its commands."""
    found = BLOCK.findall((DOCS / page).read_text("utf-8"))
    files = {name: code for name, code, _ in found if name}
    return files, [line for *_, shell in found for line in shell.splitlines()]
