"""What the tests of all three conformance kits ask of a broken plug-in, and of the guides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from textbench.check import Finding


def assert_breaks_nothing_else(
    found: Mapping[str, Finding], checks: Iterable[Any], breaks: str, says: str
) -> None:
    """Exactly the named check fails (none if it is ""), for the reason given.

    What is skipped depends on something that is not known, and every failure says what was seen
    and what would be right, in one line each.
    """
    failed = {f.check: f.seen for f in found.values() if f.verdict == "FAILED"}
    assert list(failed) == [breaks] * bool(breaks), failed
    assert says in failed.get(breaks, "")
    needs = {one.name: {"runs", *one.needs} for one in checks}
    for finding in found.values():
        if finding.verdict == "skipped":
            unknown = [f.check for f in found.values() if f.verdict in ("FAILED", "skipped")]
            assert needs[finding.check] & set(unknown)
        if finding.verdict == "FAILED":
            assert finding.seen and finding.right
        assert "\n" not in finding.seen + finding.right


def assert_guide_lists(guide: Path, names: Sequence[str]) -> None:
    """The guide's table has every check, in its order."""
    rows = re.findall(r"^\| ([a-z_ ]+) \|", guide.read_text(encoding="utf-8"), re.M)
    assert rows == ["check", "runs", *names]
