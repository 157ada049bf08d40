"""From the bytes of a file to its text: encodings, gzip, and what is no text at all."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from pathlib import Path

from textbench.contracts.errors import UserError

MARKS = {  # the longest first: the mark of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: ("utf-32", "UTF-32"),
    codecs.BOM_UTF32_BE: ("utf-32", "UTF-32"),
    codecs.BOM_UTF16_LE: ("utf-16", "UTF-16"),
    codecs.BOM_UTF16_BE: ("utf-16", "UTF-16"),
    codecs.BOM_UTF8: ("utf-8", ""),
}
"""Byte order marks, the codec that each asks for, and what to call it where it is a surprise."""
NO_TEXT = {
    b"PK\x03\x04": "a zip archive (or an Office document)",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"(\xb5/\xfd": "compressed by zstd",
    b"\x80\x04\x95": "a pickle",
    b"\x80\x05\x95": "a pickle",
}
GZIP = b"\x1f\x8b"
LEGACY = ("shift_jis", "euc_jp", "euc_kr", "big5", "gb18030", "cp1251", "koi8-r")
"""Encodings of scripts other than Latin that files still have."""
START = 2**20
"""Bytes that are looked at to guess what a file is."""
MARK = "\ufeff"
"""The byte order mark as a character: at the start of a line it is one, elsewhere it is none."""
DOS_END = "\x1a"
"""What some editors of DOS put behind the last line."""


def read_text(path: Path, what: str, encoding: str = "", said: list[str] | None = None) -> str:
    """Return the text of a file, which may be compressed by gzip.

    A byte order mark says which encoding it is and is taken away; without one it is UTF-8.

    Args:
        path: The file.
        what: The option that named it, e.g. ``text.train``, for messages.
        encoding: Its encoding, where a user gives one.
        said: Takes what a reader should hear of the file, one line each.

    Raises:
        UserError: It is no readable file, or no text in that encoding.
    """
    content = _content(path, what, said)
    for start, kind in NO_TEXT.items():
        if content.startswith(start):
            raise UserError(f"{what}: {path} is {kind}; expected text, one sentence a line")
    codec, name = encoding or "utf-8", ""
    if not encoding:
        codec, name = next((MARKS[m] for m in MARKS if content.startswith(m)), (codec, ""))
        if not name and (guess := _unmarked(content)):
            raise UserError(
                f"{what}: {path} looks like {guess.upper()} without a byte order mark; "
                f"{_asked(what, guess)}"
            )
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        raise UserError(f"{what}: {path} {_undecodable(error, encoding, name, what)}") from None
    except (LookupError, ValueError):  # codecs of no text (`base64`) are refused by a LookupError
        raise UserError(
            f"{_section(what)}.encoding: {encoding!r} is no encoding; e.g. utf-8, utf-16, latin-1"
        ) from None
    if name and said is not None:
        said.append(f"{what}: {path} is {name} and was read as such")
    text = text.removesuffix(DOS_END)
    if MARK in text:  # also within, of files that were joined
        text = re.sub(f"^{MARK}+", "", text, flags=re.MULTILINE)
    refuse_no_text(text, f"{what}: {path}")
    return text


def refuse_no_text(text: str, where: str) -> None:
    """Refuse a NUL and half a character: no file of sentences holds them.

    Raises:
        UserError: Names the line.
    """
    bad = next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), "")
    if bad:
        line = text[: text.index(bad)].count("\n") + 1
        kind = "a NUL character" if bad == "\0" else f"half a character (U+{ord(bad):04X})"
        raise UserError(f"{where}: line {line} holds {kind}; it is not plain text")


def _content(path: Path, what: str, said: list[str] | None) -> bytes:
    if path.is_dir():
        raise UserError(f"{what}: {path} is a folder; give a file with one sentence a line")
    if path.exists() and not path.is_file():  # it is read again for every run
        raise UserError(f"{what}: {path} is a pipe or a device; give a file that stays")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{what}: cannot read {path}: {error.strerror or error}") from None
    if not content.startswith(GZIP):
        if path.suffix == ".gz" and content and said is not None:
            said.append(f"{what}: {path} is not compressed, whatever its name says; read as it is")
        return content
    try:
        content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{what}: {path} is a damaged gzip file: {error}") from None
    if content.startswith(GZIP):
        raise UserError(f"{what}: {path} was compressed twice; unpack it once")
    return content


def _unmarked(content: bytes) -> str:
    """Return the UTF-16 that bytes look like: every other one of ASCII text is NUL."""
    start = content[:4096]
    if len(start) < 4:
        return ""
    if start[1::2].count(0) > 0.4 * len(start[1::2]) and not start[0::2].count(0):
        return "utf-16-le"
    if start[0::2].count(0) > 0.4 * len(start[0::2]) and not start[1::2].count(0):
        return "utf-16-be"
    return ""


def _undecodable(error: UnicodeDecodeError, given: str, name: str, what: str) -> str:
    if given or name:
        return f"is not {given or name}: {error.reason} at byte {error.start:,}"
    content = bytes(error.object)
    if _is_binary(content):
        return "is no text but binary data; expected text, one sentence a line"
    before = content[: error.start]
    number = before.count(b"\n") + 1 if b"\n" in content else before.count(b"\r") + 1
    wrong = f"is not UTF-8: byte 0x{content[error.start]:02x} in line {number}"
    if guesses := _legacy(content[:START]):
        *others, last = guesses
        named = f"{', '.join(others)} or {last}" if others else last
        return f"{wrong}; {_asked(what, 'NAME')}: {named} could be it"
    return f"{wrong}; if it is, say, Latin-1, {_asked(what, 'latin-1')}"


def _is_binary(content: bytes) -> bool:
    """Tell whether there are more control characters than text ever has."""
    start = content[:4096]
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1a\x1b" for byte in start)
    return controls > 0.005 * len(start)


def _legacy(start: bytes) -> list[str]:
    """Return encodings in which bytes are letters of another script; none of mostly ASCII text."""
    if sum(byte > 127 for byte in start) <= 0.3 * sum(byte > 32 for byte in start):
        return []
    found = []
    for name in LEGACY:
        try:
            codecs.getincrementaldecoder(name)().decode(start)  # the last character may be cut
        except UnicodeDecodeError:
            continue
        found.append(name)
    return found


def _asked(what: str, name: str) -> str:
    """Return what has a file of that encoding read; a command line's own has no such option."""
    if "." in what and not what.startswith("-"):
        return f"add {_section(what)}.encoding={name}"
    return f"make it UTF-8 by `iconv -f {name} -t utf-8`"


def _section(what: str) -> str:
    """Return ``text`` of ``text.train``: where the options of the task live."""
    return what.partition(".")[0]
