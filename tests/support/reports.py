"""The reports of every store in results/published, and what docs/reproduction.md has of them.

    tox -e reports                # under the pinned versions, which the tracked files are made with
    tox -e reports -- --check     # make them elsewhere, and say which tracked file differs

`ci` has no report: it is there to be compared with. Nor has `tuning`, the trials that chose the
rows of `tuned`: one seed each, and not those of the report.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import reproduction

from textbench.report import write_report

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "results" / "published"
REPORTS = ROOT / "reports" / "published"


WITHOUT = ("ci", "tuning")
"""Stores that have no report."""
UNTRACKED = "data.csv"
"""What `load_results` makes of the store once more, in megabytes; the manifest has its hash."""


def stores() -> list[str]:
    """Return the names of the published stores that have a report."""
    folders = (path.name for path in PUBLISHED.iterdir() if path.is_dir())
    return sorted(name for name in folders if name not in WITHOUT)


def differing(made: Path, tracked: Path) -> Iterator[str]:
    """Yield the names of files that one folder lacks, or that are not the same bytes."""
    folders = [{path.name: path for path in where.iterdir()} for where in (made, tracked)]
    for name in sorted((set(folders[0]) | set(folders[1])) - {UNTRACKED}):
        one, other = (folder.get(name) for folder in folders)
        if one is None or other is None or one.read_bytes() != other.read_bytes():
            yield name


def check(store: str) -> list[str]:
    """Make a report in a folder of its own; return which files are not the tracked ones."""
    with tempfile.TemporaryDirectory() as folder:
        write_report(PUBLISHED / store, Path(folder))
        return list(differing(Path(folder), REPORTS / store))


def main() -> int:
    """Make every report, or check it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    only_checked = parser.parse_args().check
    wrong = 0
    for store in stores():
        if not only_checked:
            write_report(PUBLISHED / store, REPORTS / store)
            print(f"{store}: made")
            continue
        found = check(store)
        wrong += len(found)
        print(f"{store}: {', '.join(found) or 'as tracked, byte for byte'}")
    if not only_checked:
        reproduction.main()
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
