"""Files of a store: written whole or not at all, and read with suspicion.

A store may come from somebody else. So nothing in it is followed: a symbolic link, a pipe or a
device in the place of a file is refused, and text is parsed within limits.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, NoReturn

from textbench.contracts.errors import UserError
from textbench.contracts.plain import JsonObject
from textbench.contracts.spec import digest

LARGEST = 64 * 2**20
"""Bytes of a JSON file that are read at most; ours have some thousands."""
HOLLOW = 2**30
"""Bytes of a file from which on it is looked at whether they are on the disk at all."""
AGAIN = "repeat its `textbench run` command, which starts it again"
"""What to do about most damage."""
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_SAFELY = _NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_numbers = itertools.count()


class DamagedError(UserError):
    """A record that cannot be what a run wrote; says what is wrong and what to do.

    Args:
        wrong: What is wrong, with the file's name.
        remedy: What to do.
    """

    def __init__(self, wrong: str, remedy: str = AGAIN) -> None:
        self.wrong = " ".join(wrong.split())  # it may quote a key of several lines
        super().__init__(f"{self.wrong}; {remedy}")
        self.remedy = remedy


def open_safely(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file of a store and return its descriptor; what is not one is refused.

    A file that other names share (as in a copy made by ``cp -l``) becomes one of its own before it
    is written to: the other runs keep theirs.

    Raises:
        DamagedError: A symbolic link, a folder, a pipe or a device is in its place.
        OSError: It is not there, or may not be opened.
    """
    try:
        descriptor = os.open(path, flags | _SAFELY | _BINARY, 0o666)
    except OSError as error:
        odd = error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO)
        if odd or path.is_symlink() or path.is_dir():  # of a folder Windows says "denied"
            _refuse(path)
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) or (not _NOFOLLOW and path.is_symlink()):
        os.close(descriptor)
        _refuse(path)
    if flags & (os.O_WRONLY | os.O_RDWR) and os.fstat(descriptor).st_nlink > 1 and os.name != "nt":
        os.close(descriptor)
        replace(path, read_bytes(path))
        return open_safely(path, flags)
    return descriptor


def _refuse(path: Path) -> NoReturn:
    what = "a symbolic link, which is not followed" if path.is_symlink() else "not a regular file"
    raise DamagedError(f"{path.name} is {what}", "remove it, and " + AGAIN)


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Read a regular file.

    Raises:
        DamagedError: It is no regular file, is larger than ``most`` bytes or than memory, or
            claims bytes that are not on the disk.
        OSError: It cannot be read.
    """
    content = read_start(path, -1 if most is None else most + 1)
    if most is not None and len(content) > most:
        raise DamagedError(f"{path.name} is larger than {most // 2**20} MiB")
    return content


def read_start(path: Path, most: int) -> bytes:
    """Read the first ``most`` bytes of a file, all where that is negative; see `read_bytes`."""
    with os.fdopen(open_safely(path), "rb") as handle:
        found = os.fstat(handle.fileno())
        there = getattr(found, "st_blocks", found.st_size) * 512
        if most < 0 and found.st_size > HOLLOW and there < found.st_size // 64:
            raise DamagedError(f"{path.name} claims {found.st_size} bytes, and is mostly a hole")
        try:
            return handle.read(most)
        except (MemoryError, OverflowError):
            raise DamagedError(f"{path.name} is larger than memory") from None


def checksum(content: bytes) -> str:
    """Return the hex sha256 of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


# -- JSON --------------------------------------------------------------------------------------


def parse_object(text: str | bytes, what: str) -> JsonObject:
    """Parse one JSON object.

    Args:
        text: JSON, in UTF-8 where it is bytes.
        what: What to call it in a complaint, ``"metrics.jsonl line 3"``.

    Raises:
        DamagedError: It is none, is nested too deeply, or holds NaN or text that is not Unicode.
    """
    if not text:
        raise DamagedError(f"{what} is empty")
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        data = _DECODER.decode(decoded)
        if "\\ud" in decoded or "\\uD" in decoded:
            json.dumps(data, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise DamagedError(f"{what} is nested too deeply") from None
    except UnicodeError:
        raise DamagedError(f"{what} holds bytes that are no text") from None
    except ValueError as error:
        raise DamagedError(f"{what} is not JSON ({_brief(error)})") from None
    if not isinstance(data, dict):
        raise DamagedError(f"{what} is a JSON {_kind(data)}, not an object")
    return data


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
"""Made once: `json.loads` makes one for every line."""


def _brief(error: ValueError) -> str:
    return str(error).splitlines()[0].removesuffix(": line 1 column 1 (char 0)")


def _kind(data: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(data), "number")


def is_intact(row: Mapping[str, object]) -> bool:
    """Tell whether a row has the checksum of all the rest of it."""
    rest = {key: value for key, value in row.items() if key != "checksum"}
    try:
        return row.get("checksum") == digest(rest)
    except (ValueError, RecursionError):  # 1e999 is infinite
        return False


def is_whole(line: bytes) -> bool:
    """Tell whether a last line without its newline, as an editor leaves it, is whole after all."""
    try:
        return is_intact(parse_object(line, "line"))
    except DamagedError:
        return False


def to_json(data: Mapping[str, object]) -> bytes:
    """Return a JSON object as the files of a store have it."""
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def to_lines(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Return the rows of a log, a line of JSON each."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()


# -- writing -----------------------------------------------------------------------------------


def host() -> str:
    """Return this machine's name, fit for a file name."""
    return "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:40] or "unknown"


def temporary(path: Path) -> Path:
    """Return a name beside ``path`` that no other process, on no other host, has."""
    return path.with_name(f".{path.name}.{host()}.{os.getpid()}.{next(_numbers)}.tmp")


def replace(path: Path, content: bytes, *, keep: Path | None = None) -> None:
    """Replace a file so that a reader, a crash or a power loss sees the old or the new one, whole.

    Args:
        path: The file; a symbolic link in its place is replaced, not followed.
        content: Its new bytes.
        keep: Where the old file goes, once the new one has been read back from its place.

    Raises:
        OSError: It cannot be written; nothing of the attempt is left.
    """
    new = temporary(path)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY | _BINARY, 0o666)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        if keep is not None:
            if new.read_bytes() != content:
                raise OSError(errno.EIO, "what was written reads otherwise", str(path))
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, keep)
        os.replace(new, path)
    except BaseException as error:
        if isinstance(error, OSError):
            error.filename = str(path)  # not the temporary's name, or none
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Append a line in one piece, after taking back what an earlier writer left half written.

    A last line that lacks nothing but its newline gets that.

    Only the holder of the run's lock may call this.

    Raises:
        OSError: It cannot be written; what was written of it is taken back.
    """
    with os.fdopen(open_safely(path, os.O_RDWR | os.O_CREAT), "r+b", buffering=0) as handle:
        end = _end_of_lines(handle)
        handle.seek(end)
        if is_whole(left := handle.read(LARGEST)):
            end, line = end + len(left), b"\n" + line
        handle.truncate(end)
        handle.seek(end)
        content = memoryview(line)
        try:
            while content:
                content = content[handle.write(content) :]
        except OSError as error:
            error.filename = str(path)
            with contextlib.suppress(OSError):
                handle.truncate(end)
            raise


def _end_of_lines(handle: BinaryIO) -> int:
    """Return the offset behind the last newline."""
    end = handle.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        handle.seek(start)
        block = handle.read(end - start)
        if block.endswith(b"\n"):
            return end
        end = start + block.rfind(b"\n") + 1 if b"\n" in block else start
    return 0


def sync(path: Path) -> None:
    """Wait until a file's bytes are on the disk; an absent file has none."""
    try:
        descriptor = open_safely(path)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until a folder's entries are on the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
