"""Published files: found locally or downloaded once, always checked against their sha256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from textbench.errors import UserError


class Remote(NamedTuple):
    """A published file."""

    name: str
    """Its path in the cache and below TEXTBENCH_DATA."""
    url: str
    sha256: str
    what: str
    """What it is, for messages."""


def cache() -> Path:
    """Return the user's cache folder; ``TEXTBENCH_CACHE`` overrides it."""
    import platformdirs

    override = os.environ.get("TEXTBENCH_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("textbench"))


def fetch(remote: Remote) -> Path:
    """Return a local path of ``remote``: from TEXTBENCH_DATA, the cache, or the network.

    Raises:
        UserError: It is in none of these, or what is there has another checksum; the message
            says how to place it by hand. A broken download leaves nothing in the cache.
    """
    local = os.environ.get("TEXTBENCH_DATA")
    if local and (path := Path(local) / remote.name).exists():
        return _checked(path, remote)
    target = cache() / remote.name
    if target.exists():
        return _checked(target, remote)
    import pooch

    try:
        pooch.retrieve(remote.url, f"sha256:{remote.sha256}", fname=target.name, path=target.parent)
    except Exception as error:  # pooch lets requests', urllib's and its own errors through
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"could not download {remote.what} from {remote.url} ({reason}); "
            f"place the file at {target} by hand, or set TEXTBENCH_DATA to a folder "
            f"that holds {remote.name}"
        ) from None
    return target


def _checked(path: Path, remote: Remote) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != remote.sha256:
        raise UserError(f"{path} is not {remote.what}: sha256 {found}, expected {remote.sha256}")
    return path
