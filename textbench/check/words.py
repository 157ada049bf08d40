"""Sentences to try metrics of text on, where the user names no task."""

from __future__ import annotations

from pathlib import Path

from textbench.contracts.streams import numpy_stream

PARTS = (
    ("the cat", "a dog", "my old friend", "the small bird", "every child"),
    ("sees", "likes", "follows", "hears", "finds"),
    ("the moon", "a red house", "some bread", "the quiet sea", "an open door"),
    ("today", "in the morning", "again", "with joy", "at night"),
)
SIZES = {"train": 160, "valid": 60, "test": 60}


def write(folder: Path) -> tuple[str, ...]:
    """Write the files, and return the settings of task ``text`` that name them."""
    rng = numpy_stream(0, "check", "words")
    settings = ["text.length=12"]
    for split, size in SIZES.items():
        lines = (" ".join(str(rng.choice(part)) for part in PARTS) + " ." for _ in range(size))
        file = folder / f"{split}.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        settings.append(f"text.{split}={file}")
    return tuple(settings)
