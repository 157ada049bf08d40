"""Seals: whose parameters a file holds, and a checksum of them, in the file itself.

PyTorch's files are zip archives, and a zip archive may end in a comment, which every reader skips.
Ours holds the run's hash and the archive's sha256. So a file that was damaged, or that is another
run's, is told apart without being unpickled, and file and checksum are replaced in one step.
"""

from __future__ import annotations

import json

from textbench.store.files import checksum

_END = b"PK\x05\x06"
_FIXED = 20
"""Bytes of a zip archive's end record before the length of its comment."""


def sealed(archive: bytes, run: str) -> bytes:
    """Return an archive with its seal.

    Args:
        archive: A zip archive without a comment.
        run: The hash of the run's spec.
    """
    comment = json.dumps({"run": run, "sha256": checksum(archive)}).encode()
    return archive[:-2] + len(comment).to_bytes(2, "little") + comment


def broken(content: bytes, run: str) -> str:
    """Say why a file is not what a run wrote; an empty string where nothing speaks against it.

    Args:
        content: The file. One of textbench 0.1.0 has no seal.
        run: The hash of the run's spec.
    """
    start = content.rfind(_END)
    if not content.startswith(b"PK\x03\x04") or start < 0:
        return "is cut off or overwritten"
    body, comment = content[: start + _FIXED], content[start + _FIXED + 2 :]
    if len(comment) != int.from_bytes(content[start + _FIXED : start + _FIXED + 2], "little"):
        return "is cut off or overwritten"
    if not comment:
        return ""
    try:
        seal = json.loads(comment)
        owner, expected = str(seal["run"]), str(seal["sha256"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return "is overwritten: its seal cannot be read"
    if checksum(body + b"\0\0") != expected:
        return "was changed: its checksum does not fit"
    return "" if owner == run else "is another run's"


def is_sealed(content: bytes) -> bool:
    """Tell whether a file, of which `broken` has nothing to say, has a seal at all."""
    return content.endswith(b"}")
