"""Pickled numpy arrays read as data: nothing that the file names is ever called.

A pickle is a program. To admit numpy's own constructors and nothing else would not make it
harmless: with a forged dtype they take the file's bytes for pointers to objects. Here each of
numpy's names stands for an inert record, and only `numpy.frombuffer` sees the bytes.
"""

from __future__ import annotations

import contextlib
import io
import math
import pickle
import pickletools
from typing import Literal

import numpy as np
import numpy.typing as npt

from textbench.contracts.errors import UserError

NUMBERS = "fiu"
"""Kinds of dtype that are admitted: floats and integers."""


def read_arrays(content: bytes) -> list[npt.NDArray[np.generic]]:
    """Return the arrays of a pickled list of numeric arrays, of any numpy and Python version.

    Raises:
        UserError: It holds anything else, or names anything else.
        Exception: The bytes are no pickle; the unpickler can fail in many ways.
    """
    with contextlib.suppress(UnicodeDecodeError):  # raw bytes of Python 2, which it takes for ASCII
        for _ in pickletools.genops(content):
            pass  # a size beyond the file's end is refused before memory is asked for
    loaded = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    if not isinstance(loaded, list) or not all(isinstance(item, _Array) for item in loaded):
        raise UserError("it is not a list of numpy arrays")
    return [item.read() for item in loaded]


class _DType:
    """numpy.dtype(code, align, copy), its state (version, byte order, ...)."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[int, str, *tuple[object, ...]]) -> None:
        self.order = state[1]

    def read(self) -> np.dtype[np.generic]:
        dtype: np.dtype[np.generic] = np.dtype(f"{self.order}{self.code}")
        if dtype.kind not in NUMBERS:
            raise UserError(f"an array's type is {self.code!r}; only numbers are admitted")
        return dtype


class _Array:
    """_reconstruct(ndarray, shape, code), its state (version, shape, dtype, fortran, data)."""

    def __init__(self, kind: object, shape: object, code: object) -> None:
        self.shape: tuple[int, ...] = ()
        self.dtype: object = None
        self.order: Literal["C", "F"] = "C"
        self.data: object = b""

    def __setstate__(self, state: tuple[int, tuple[int, ...], object, bool, object]) -> None:
        _, self.shape, self.dtype, fortran, self.data = state
        self.order = "F" if fortran else "C"

    def read(self) -> npt.NDArray[np.generic]:
        if not isinstance(self.dtype, _DType):
            raise UserError("an array has no type")
        dtype = self.dtype.read()
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        if not isinstance(data, bytes | bytearray):
            raise UserError("an array's content is not bytes")
        flat = np.frombuffer(data, dtype)
        if math.prod(self.shape) != flat.size:
            raise UserError(f"an array of shape {self.shape} has {flat.size} numbers")
        return flat.reshape(self.shape, order=self.order)


class _NDArray:
    """numpy.ndarray, only ever an argument."""


def _from_buffer(
    data: object, dtype: object, shape: tuple[int, ...], order: str, *_: object
) -> _Array:
    """Stand for numpy's _frombuffer, by which protocol 5 writes arrays."""
    array = _Array(None, None, None)
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stand for _codecs.encode, by which Python 3 writes bytes in protocol 2."""
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    NAMES = {  # noqa: RUF012 - read only
        ("numpy", "dtype"): _DType,
        ("numpy", "ndarray"): _NDArray,
        ("_codecs", "encode"): _encode,
        **{
            (f"numpy.{core}.{module}", name): record
            for core in ("core", "_core")
            for module, name, record in (
                ("multiarray", "_reconstruct", _Array),
                ("numeric", "_frombuffer", _from_buffer),
            )
        },
    }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.NAMES:
            raise UserError(f"it asks for {module}.{name}; only numpy arrays are admitted")
        return self.NAMES[module, name]
