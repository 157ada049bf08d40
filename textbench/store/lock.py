"""The lock of a run directory: one process at a time, also where the file system has no locks.

Two things keep a second process out. The kernel's lock (``flock``) on ``lock`` goes with its
process. Beside it ``owner.json`` names host, process and its start, and its date is a heartbeat:
that holds on file systems where locks are refused, or granted to everybody, and on Windows. An
owner on this machine is dead when its process is; one on another machine when its heartbeat is
older than `TAKEOVER`. It names the folder as well, by device and inode: in a copy that is made
meanwhile it owns nothing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Protocol

from textbench.contracts.plain import JsonObject
from textbench.store import files, process
from textbench.store.files import DamagedError
from textbench.store.folder import Folder
from textbench.store.rows import LOCK, OWNER

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

BEAT = 10.0
"""Seconds between two heartbeats."""
POLL = 0.5
"""Seconds between two tries of who waits."""
TAKEOVER = 120.0
"""Seconds without a heartbeat after which an owner on another machine counts as dead."""
_REFUSED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems without locks answer."""


class Lock:
    """The lock of one run directory, as one process sees it.

    Args:
        folder: The run directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None
        self._mine: JsonObject | None = None
        self._ended = threading.Event()
        self._forked = False
        """Whether this is the copy of a lock that a forked child has inherited."""

    def __reduce__(self) -> tuple[type[Lock], tuple[Path]]:
        """Be sent to another process, which does not hold it."""
        return Lock, (self.folder,)

    def acquire(self) -> bool:
        """Take the lock for this process; False if another live process holds it.

        Raises:
            DamagedError: Something else is in the place of its files.
            OSError: Its files cannot be written.
        """
        descriptor = files.open_safely(self.folder / LOCK, os.O_RDWR | os.O_CREAT)
        try:
            if not _flock(descriptor) or not self._own():
                os.close(descriptor)
                return False
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._beat()
        _held.add(self)
        return True

    def release(self) -> None:
        """Let go of the lock; twice is once."""
        if self._mine is None:
            return
        self._ended.set()
        with contextlib.suppress(OSError, DamagedError):
            if self._owner() == self._mine:
                (self.folder / OWNER).unlink()
        self.forget()

    def forget(self) -> None:
        """Close what a forked child has inherited: the lock is its parent's alone."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = self._mine = None
        _held.discard(self)

    def lost(self) -> bool:
        """Tell whether another process has taken this object's lock over, or kept it at a fork."""
        if self._mine is None:
            return self._forked
        try:
            return self._owner() != self._mine and self.folder.is_dir()
        except (OSError, DamagedError):
            return False

    def is_held(self) -> bool:
        """Tell whether any live process holds the lock.

        Raises:
            OSError: That cannot be seen.
        """
        if self._mine is not None:
            return True
        with contextlib.suppress(OSError, DamagedError):
            if (owner := self._owner()) is not None:
                return self._is_alive(owner)
        if fcntl is None:
            return False
        try:
            descriptor = files.open_safely(self.folder / LOCK)
        except (FileNotFoundError, DamagedError):
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False

    # -- the owner -------------------------------------------------------------------------

    def _owner(self) -> JsonObject | None:
        """Read ``owner.json``; None where there is none."""
        try:
            content = files.read_bytes(self.folder / OWNER, files.LARGEST)
        except FileNotFoundError:
            return None
        return files.parse_object(content, OWNER)

    def _own(self) -> bool:
        """Become the owner, unless a live process is."""
        path = self.folder / OWNER
        mine = {**process.identity(), "token": os.urandom(8).hex(), **self._place()}
        for _ in range(3):
            new = files.temporary(path)
            new.write_bytes((json.dumps(mine) + "\n").encode())
            try:
                if _placed(new, path):
                    self._mine = mine
                    return True
                if self._held_by_the_living():
                    return False
                self._remove_dead(path)
            finally:
                new.unlink(missing_ok=True)
        return False

    def _place(self) -> dict[str, int]:
        """Return what tells the folder from a copy; nothing where the system does not say."""
        found = self.folder.stat()
        return {"device": found.st_dev, "inode": found.st_ino} if found.st_ino else {}

    def _held_by_the_living(self) -> bool:
        try:
            owner = self._owner()
        except DamagedError:  # of no owner at all, or one that is being replaced
            return False
        return owner is not None and self._is_alive(owner)

    def _remove_dead(self, path: Path) -> None:
        """Take a dead owner's file away; a live one's that came between is put back."""
        if path.is_dir() and not path.is_symlink():  # no process has put that there
            Folder(self.folder).set_aside([OWNER])
            return
        aside = files.temporary(path)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, aside)
            with contextlib.suppress(DamagedError, OSError):
                content = files.parse_object(files.read_bytes(aside, files.LARGEST), OWNER)
                if self._is_alive(content, aside):
                    _placed(aside, path)
            aside.unlink(missing_ok=True)

    def _is_alive(self, owner: JsonObject, path: Path | None = None) -> bool:
        here = process.identity()
        if all(owner.get(key) == here[key] for key in ("host", "boot", "namespace")):
            pid = owner.get("pid")
            if not isinstance(pid, int) or not 0 < pid < 2**31:
                return False
            place = self._place()
            if "inode" in owner and place and any(owner.get(key) != place[key] for key in place):
                return False
            return process.started(pid) == owner.get("start") != ""
        return self._age(path or self.folder / OWNER) < TAKEOVER

    def _age(self, path: Path) -> float:
        """Return seconds from a heartbeat by the file system's own clock.

        One that is to come is as far away as one that was: the clock was set back since, and a
        process that lives would have beaten anew.
        """
        probe = files.temporary(path)
        try:
            probe.touch()
            now = probe.stat().st_mtime
        except OSError:
            now = time.time()
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
        return abs(now - path.lstat().st_mtime)

    def _beat(self) -> None:
        ended = self._ended = threading.Event()  # of this hold alone: the lock may be taken again

        def beat() -> None:
            while not ended.wait(BEAT):
                if not self.lost():
                    with contextlib.suppress(OSError):
                        os.utime(self.folder / OWNER)

        threading.Thread(target=beat, name="textbench-heartbeat", daemon=True).start()


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lockable(Protocol):
    """A `Lock`, or a run that has one."""

    def acquire(self) -> bool:
        """Take it; False if another live process holds it."""

    def release(self) -> None:
        """Let go of it."""


@contextlib.contextmanager
def held(lock: Lockable, wait: Callable[[], object]) -> Iterator[None]:
    """Hold a lock; while another process does, call ``wait`` once, and wait."""
    if not lock.acquire():
        wait()
        while not lock.acquire():
            time.sleep(POLL)
    try:
        yield
    finally:
        lock.release()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()
        lock._forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _flock(descriptor: int) -> bool:
    """Ask for the kernel's lock; a file system that has none grants it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
    return True


def _placed(new: Path, path: Path) -> bool:
    """Give ``new`` the name ``path``, in one step, unless that is taken."""
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with open(path, "xb") as handle:
                handle.write(new.read_bytes())
        except FileExistsError:
            return False
    return True
