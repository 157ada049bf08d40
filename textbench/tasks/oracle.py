"""The oracle LSTM of the synthetic Turing test: drawn from a seed, or the published one.

The published oracle is a pickled list of 15 float32 arrays (SeqGAN, ``save/target_params*.pkl``),
in the row-vector convention x·W, gates one by one; the order below is that of the SeqGAN code.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.errors import UserError, one_line
from textbench.contracts.streams import numpy_stream
from textbench.tasks.download import Remote
from textbench.tasks.pickled import NUMBERS, read_arrays

Array = npt.NDArray[np.float32]

NAMES = (
    "embedding",
    *(f"{part}_{gate}" for gate in ("i", "f", "o", "g") for part in ("W", "U", "b")),
    "W_out",
    "b_out",
)
"""The arrays of the published file, in its order: input, forget, output gate, then cell."""

PUBLISHED = Remote(
    name="oracle/target_params_py3.pkl",
    url="https://raw.githubusercontent.com/LantaoYu/SeqGAN/aa79a6fff1c4127fd8d0e92df8b647cf48b30787/save/target_params_py3.pkl",
    sha256="5ac794a695dd6e0eb2bb689f3dfda55e4e0053e8c0399e6242630a95f1e60e8a",
    what="the oracle parameters published with SeqGAN",
)
PUBLISHED_FINGERPRINT = "1095de918aba7a2668fd85b4c9e5fbcc39747ce5b70207ce4a8ec814355151a5"
"""`fingerprint` of those parameters."""


def shapes(vocab_size: int, embedding: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of `NAMES`."""
    result: dict[str, tuple[int, ...]] = {"embedding": (vocab_size, embedding)}
    for gate in ("i", "f", "o", "g"):
        result[f"W_{gate}"] = (embedding, hidden)
        result[f"U_{gate}"] = (hidden, hidden)
        result[f"b_{gate}"] = (hidden,)
    return {**result, "W_out": (hidden, vocab_size), "b_out": (vocab_size,)}


def draw_parameters(seed: int, vocab_size: int, embedding: int, hidden: int) -> dict[str, Array]:
    """Draw every tensor, biases included, from N(0, 1), each from its own Philox stream."""
    return {
        name: numpy_stream(seed, "oracle", name).standard_normal(shape, dtype=np.float32)
        for name, shape in shapes(vocab_size, embedding, hidden).items()
    }


def load_parameters(path: Path) -> dict[str, Array]:
    """Read oracle parameters from a published pickle or an ``.npz`` with the arrays of `NAMES`.

    Raises:
        UserError: The file is missing, unreadable, holds anything but numeric arrays, or the
            arrays do not fit together.
    """
    try:
        if path.exists() and not path.is_file():
            kind = "directory" if path.is_dir() else "pipe or a device"
            raise UserError(f"oracle file {path} is a {kind}; expected a .npz or a pickle")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"oracle file {path}: {error.strerror}") from None
    try:
        arrays = _read_npz(content) if path.suffix == ".npz" else _read_pickle(content)
    except UserError as error:
        raise UserError(f"oracle file {path}: {error}") from None
    except Exception as error:  # a corrupted file can fail in any way inside its reader
        raise UserError(f"oracle file {path} cannot be read: {one_line(error)}") from None
    _check(arrays, path)
    return arrays


def build(parameters: dict[str, Array], length: int) -> LSTMLanguageModel:
    """Return the oracle as an LSTM language model over sequences of ``length``."""
    vocab_size, embedding = parameters["embedding"].shape
    hidden = len(parameters["b_i"])
    model = LSTMLanguageModel(vocab_size, length, embedding, hidden)
    gates = ("i", "f", "g", "o")  # PyTorch's order
    values = {
        "embedding": parameters["embedding"],
        "weight_ih": np.concatenate([parameters[f"W_{gate}"].T for gate in gates]),
        "weight_hh": np.concatenate([parameters[f"U_{gate}"].T for gate in gates]),
        "bias": np.concatenate([parameters[f"b_{gate}"] for gate in gates]),
        "head_weight": parameters["W_out"].T,
        "head_bias": parameters["b_out"],
    }
    model.load_state_dict({k: torch.tensor(v, dtype=torch.float32) for k, v in values.items()})
    return model.requires_grad_(False)


def fingerprint(parameters: dict[str, Array]) -> str:
    """Return the sha256 of all parameters, in the order of `NAMES`."""
    sha = hashlib.sha256()
    for name in NAMES:
        sha.update(np.ascontiguousarray(parameters[name], dtype="<f4").tobytes())
    return sha.hexdigest()


def _read_npz(content: bytes) -> dict[str, Array]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        missing = [name for name in NAMES if name not in file]
        if missing:
            raise UserError(f"arrays missing: {', '.join(missing)}")
        return {name: _float32(file[name]) for name in NAMES}


def _read_pickle(content: bytes) -> dict[str, Array]:
    loaded = read_arrays(content)
    if len(loaded) != len(NAMES):
        raise UserError(f"it holds {len(loaded)} arrays; a published oracle has {len(NAMES)}")
    return {name: _float32(array) for name, array in zip(NAMES, loaded, strict=True)}


def _float32(array: npt.NDArray[np.generic]) -> Array:
    if array.dtype.kind not in NUMBERS:
        raise UserError(f"an array's type is {array.dtype}; only numbers are admitted")
    with np.errstate(over="ignore"):  # what overflows is reported as not finite
        return np.asarray(array, dtype=np.float32)


def _check(parameters: dict[str, Array], path: Path) -> None:
    if parameters["embedding"].ndim != 2 or parameters["b_i"].ndim != 1:
        raise UserError(f"oracle file {path}: embedding must be a matrix and b_i a vector")
    vocab_size, embedding = parameters["embedding"].shape
    if vocab_size < 2:
        raise UserError(f"oracle file {path}: a vocabulary needs 2 symbols, it has {vocab_size}")
    expected = shapes(vocab_size, embedding, len(parameters["b_i"]))
    for name, shape in expected.items():
        if parameters[name].shape != shape:
            found = parameters[name].shape
            raise UserError(f"oracle file {path}: {name} has shape {found}, expected {shape}")
        if not np.isfinite(parameters[name]).all():
            raise UserError(f"oracle file {path}: {name} holds numbers that are not finite")
