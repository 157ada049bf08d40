"""A small generated corpus: 5 to 9 words a sentence, a few dozen words, no two files alike."""

from __future__ import annotations

import random
from pathlib import Path

SUBJECTS = ["the cat", "a dog", "my old friend", "the small bird", "every child"]
VERBS = ["sees", "likes", "follows", "hears", "finds"]
OBJECTS = ["the moon", "a red house", "some bread", "the quiet sea", "an open door"]
ENDS = ["today", "in the morning", "again", "with joy", "at night"]


def sentences(n: int, seed: int = 0) -> list[str]:
    """Return n sentences; about one in ten occurs twice."""
    rng = random.Random(seed)  # noqa: S311 - a corpus, not a secret
    parts = (SUBJECTS, VERBS, OBJECTS, ENDS)
    return [" ".join([*(rng.choice(part) for part in parts), "."]) for _ in range(n)]


def write(path: Path, lines: list[str]) -> Path:
    """Write one sentence a line."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
