"""Published files: found locally or downloaded once, always checked against a checksum."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from textbench.contracts.errors import UserError, one_line


class Remote(NamedTuple):
    """A published file, known by its sha256, or else by its git blob id."""

    name: str
    """Its path in the cache and below TEXTBENCH_DATA."""
    url: str
    what: str
    """What it is, for messages."""
    sha256: str = ""
    git_blob: str = ""
    """sha1 of ``blob <length>\\0`` and the bytes, by which git names a file's content."""

    def mismatch(self, content: bytes) -> str:
        """Return how ``content`` differs from the published file; empty when it is the same."""
        if self.sha256:
            kind, expected, found = "sha256", self.sha256, hashlib.sha256(content).hexdigest()
        else:
            kind, expected, found = "git blob id", self.git_blob, git_blob_id(content)
        return "" if found == expected else f"{kind} {found}, expected {expected}"


def git_blob_id(content: bytes) -> str:
    """Return the name that git gives to a file with this content."""
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def cache() -> Path:
    """Return the user's cache folder; ``TEXTBENCH_CACHE`` overrides it."""
    import platformdirs

    override = os.environ.get("TEXTBENCH_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("textbench"))


def local_data() -> Path | None:
    """Return the folder of local copies that ``TEXTBENCH_DATA`` names, if it is set.

    Raises:
        UserError: There is no such folder.
    """
    given = os.environ.get("TEXTBENCH_DATA")
    if given and not Path(given).is_dir():
        raise UserError(f"TEXTBENCH_DATA={given}: there is no such folder")
    return Path(given) if given else None


def fetch(remote: Remote) -> Path:
    """Return a local path of ``remote``: from TEXTBENCH_DATA, the cache, or the network.

    Raises:
        UserError: It is in none of these, or what is there has another checksum; the message
            says how to place it by hand. A broken download leaves nothing in the cache.
    """
    local = local_data()
    for path in (*([local / remote.name] if local else []), cache() / remote.name):
        if path.exists():
            wrong = remote.mismatch(path.read_bytes())
            if wrong:
                raise UserError(f"{path} is not {remote.what}: {wrong}")
            return path
    return _download(remote)


def _download(remote: Remote) -> Path:
    """Download next to the place in the cache, check, and only then move it there."""
    import pooch

    target = cache() / remote.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.get_logger().setLevel("WARNING")  # it would print the checksum to look up
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            path = Path(pooch.retrieve(remote.url, None, fname=target.name, path=folder))
            wrong = remote.mismatch(path.read_bytes())
            if not wrong:
                os.replace(path, target)
    except Exception as error:  # pooch lets requests', urllib's and its own errors through
        reason = one_line(error)
        raise UserError(
            f"could not download {remote.what} from {remote.url}: place the file at {target} by "
            f"hand, or set TEXTBENCH_DATA to a folder that holds {remote.name} ({reason[:200]})"
        ) from None
    if wrong:
        raise UserError(f"what {remote.url} sent is not {remote.what}: {wrong}; nothing was kept")
    return target
