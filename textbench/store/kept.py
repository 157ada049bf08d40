"""What a store keeps of its tasks, so that it can be read, sampled and evaluated anywhere.

Beside the runs of a task lie, one each for every state of its data,

=====================  ==========================================================================
``data-<hash16>.json``  what samples need: the vocabulary, sizes (`textbench.contracts.task.Kept`)
``data-<hash16>.npz``   what evaluations and resumed runs need: the encoded sentences
=====================  ==========================================================================

named after the start of the task's fingerprint. The second can be left out where a store is passed
on and its data may not be.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textbench.contracts.config import Config
from textbench.contracts.errors import UserError, one_line
from textbench.contracts.returned import wrong_kept
from textbench.contracts.spec import Spec, digest
from textbench.contracts.task import Kept, Task
from textbench.store import files
from textbench.store.files import DamagedError
from textbench.store.left import sweep

SHORT = 16
"""Hex digits of the fingerprint in the files' names."""
REMEDY = "remove it; the next `textbench run` writes it again"


def described_path(store: Path, spec: Spec) -> Path:
    """Return where the description of a run's task lies."""
    return store / spec.task / f"data-{spec.task_fingerprint[:SHORT]}.json"


def tensors_path(store: Path, spec: Spec) -> Path:
    """Return where the data of a run's task lie."""
    return described_path(store, spec).with_suffix(".npz")


def keep(store: Path, spec: Spec, task: Task[Config]) -> None:
    """Write what a task keeps, unless it is there or the task keeps nothing.

    Raises:
        OSError: It cannot be written.
        UserError: What the task says that it keeps is nothing of the kind.
    """
    described, tensors = described_path(store, spec), tensors_path(store, spec)
    sweep(described.parent)
    if os.path.lexists(described) and os.path.lexists(tensors):
        return
    kept = task.kept()
    if wrong := wrong_kept(kept):
        raise UserError(f"task {spec.task}: {wrong}")
    if kept is None:
        return
    content = io.BytesIO()
    np.savez_compressed(content, **{k: _narrow(v) for k, v in kept.tensors.items()})
    data = {"task": spec.task, "fingerprint": spec.task_fingerprint, "described": kept.described}
    data["checksum"] = digest(data)
    described.parent.mkdir(parents=True, exist_ok=True)
    files.replace(tensors, content.getvalue())
    files.replace(described, (json.dumps(data, sort_keys=True) + "\n").encode())


def kept(store: Path, spec: Spec) -> Kept | None:
    """Read what the store keeps of a run's task; None where it keeps nothing.

    The description is checked against its checksum; whoever builds the task from the rest checks
    that its fingerprint is the run's.

    Raises:
        DamagedError: It is not what `keep` wrote.
        OSError: It cannot be read.
    """
    path = described_path(store, spec)
    try:
        data = files.parse_object(files.read_bytes(path, files.LARGEST), path.name)
    except FileNotFoundError:
        return None
    described = data.get("described")
    if not files.is_intact(data) or not isinstance(described, dict):
        raise DamagedError(f"{path.name} was changed: its checksum does not fit", REMEDY)
    if (data.get("task"), data.get("fingerprint")) != (spec.task, spec.task_fingerprint):
        raise DamagedError(f"{path.name} is of other data", REMEDY)
    return Kept(described, _tensors(tensors_path(store, spec)))


def copy(store: Path, target: Path, spec: Spec, *, sentences: bool = True) -> None:
    """Copy what a store keeps of a run's task into another store.

    Args:
        store: The one.
        target: The other.
        spec: The run.
        sentences: Whether the encoded sentences go along: a corpus may not be ours to publish.

    Raises:
        OSError: It cannot be read or written.
        DamagedError: A symbolic link or the like is in its place.
    """
    folder = described_path(target, spec).parent
    for name, content in contents(store, spec, sentences=sentences).items():
        folder.mkdir(parents=True, exist_ok=True)
        files.replace(folder / name, content)


def contents(store: Path, spec: Spec, *, sentences: bool = True) -> dict[str, bytes]:
    """Return the files that hold what a store keeps of a run's task, by name; see `copy`."""
    paths = [described_path(store, spec), *([tensors_path(store, spec)] if sentences else [])]
    return {path.name: files.read_bytes(path) for path in paths if os.path.lexists(path)}


def as_restored(found: Kept) -> Kept:
    """Return what a store gives back of what a task keeps.

    Raises:
        Exception: It cannot be kept; what raises is what would.
    """
    described = json.loads(json.dumps(found.described))
    tensors = {name: _widened(_narrow(one)) for name, one in found.tensors.items()}
    return Kept(described, tensors)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        content = files.read_bytes(path)
    except FileNotFoundError:
        return {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: _widened(arrays[name]) for name in arrays.files}
    except Exception as error:  # a damaged archive fails in any way inside its reader
        raise DamagedError(f"{path.name} cannot be read ({one_line(error)[:80]})", REMEDY) from None


def _narrow(tensor: Tensor) -> Any:
    """Return an array of the smallest type that holds sequences of symbols; all else stays."""
    array: npt.NDArray[np.generic] = tensor.numpy()
    if array.dtype != np.int64 or array.ndim < 2 or array.min(initial=0) < 0:
        return array
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))


def _widened(array: npt.NDArray[np.generic]) -> Tensor:
    """Return symbols as int64 again. What is one-dimensional and of bytes is text."""
    if array.dtype.kind == "u" and not (array.dtype == np.uint8 and array.ndim == 1):
        array = array.astype(np.int64)
    return torch.from_numpy(array)
