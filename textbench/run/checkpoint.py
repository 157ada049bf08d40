"""Checkpoints: everything that the rest of a run depends on, in one atomic file.

The logs are on the disk before the checkpoint that counts their bytes, and the checkpoint knows
their checksums up to there. The last two checkpoints are kept, and the newer one is read back
before it gets its name. So whatever a power loss or a full disk leaves, there is a state that logs
and checkpoint agree on; where there is none, the run starts again.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict, cast, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.backbone.ledger import Ledger
from textbench.contracts.errors import one_line
from textbench.contracts.trainer import State
from textbench.run.endings import discard
from textbench.store import seal
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError, checksum
from textbench.store.rows import CHECKPOINT, GENERATOR, LOGS, PREVIOUS


class Progress(TypedDict):
    """How far a run got: what `textbench.run.loop.Run` saves and goes on from."""

    hash: str
    """Of the run's spec."""
    device: str
    step: int
    stopped: bool
    """Whether the trainer has asked to stop."""
    sums: dict[str, tuple[float | Tensor, int]]
    """Of losses that are not logged yet, and how many."""
    clock: list[float]
    resumed: int
    ledger: Ledger
    rng: Tensor
    """The training stream."""
    trainer: State


class GlobalRandom(TypedDict):
    """The state of every global random generator."""

    torch: Tensor
    cuda: list[Tensor]
    python: tuple[int, tuple[int, ...], float | None]
    numpy: tuple[str, list[int], int, int, float]


class Checkpoint(Progress):
    """The content of ``checkpoint.pt``."""

    offsets: dict[str, int]
    """Bytes of the logs that belong to it."""
    checksums: dict[str, str]
    """Of these bytes; textbench 0.1.0 wrote none."""
    global_random: GlobalRandom


_TYPES = {
    key: {GlobalRandom: dict}.get(kind, get_origin(kind) or kind)
    for key, kind in get_type_hints(Checkpoint).items()
    if key != "checksums"
}
"""By field, what it must be an instance of; a checkpoint that lacks one is not gone on from."""


class UnusableError(Exception):
    """A checkpoint that was read, and does not fit the trainer; says why."""


class Loaded(NamedTuple):
    """What a run goes on from."""

    state: Checkpoint | None
    """None to start at the beginning."""
    note: str
    """What was wrong with newer checkpoints, and what became of it, in one line."""


def save(directory: RunDirectory, progress: Progress) -> None:
    """Replace the checkpoint by ``progress``, the global random state and where the logs end.

    Args:
        directory: The run, locked by this process.
        progress: What the run goes on from.
    """
    directory.check_lock()
    directory.sync(*LOGS)
    state: Checkpoint = {
        **progress,
        "offsets": {name: directory.offset(name) for name in LOGS},
        "checksums": {name: checksum(directory.content(name)) for name in LOGS},
        "global_random": global_random_state(),
    }
    directory.replace(CHECKPOINT, _sealed(state, state["hash"]), keep=PREVIOUS)


def load(directory: RunDirectory, run: str) -> Loaded:
    """Return the newest usable checkpoint, weights-only, and cut the logs back to it.

    Args:
        directory: The run, locked by this process.
        run: The hash of its spec.

    Raises:
        OSError: A file may not be read, which says nothing of what is in it.
    """
    wrong: list[str] = []
    broken: list[str] = []
    for name in (CHECKPOINT, PREVIOUS):
        if not os.path.lexists(directory.path / name):
            continue
        try:
            state = _read(directory, name, run)
        except DamagedError as error:
            wrong.append(error.wrong)
            broken.append(name)
            continue
        if name == PREVIOUS and not wrong:
            wrong = [f"{CHECKPOINT} is missing"]
        for log, offset in state["offsets"].items():
            directory.truncate(log, offset)
        directory.set_aside(broken)
        note = f"{'; '.join(wrong)}: gone back to step {state['step']}" if wrong else ""
        return Loaded(state, note)
    note = discard(directory, "; ".join(wrong)) if wrong else ""
    if not wrong and any(directory.offset(log) for log in LOGS):
        note = "there is no checkpoint yet: started again"
    for log in LOGS:
        directory.truncate(log, 0)
    return Loaded(None, note)


def _read(directory: RunDirectory, name: str, run: str) -> Checkpoint:
    """Read a checkpoint, and check it against its seal, the run and the logs.

    Raises:
        DamagedError: It is not what this run wrote, or the logs are not what it counted.
    """
    state = _unsealed(directory.content(name), name, run)
    for key, kind in _TYPES.items():
        if not isinstance(state.get(key), kind):
            raise DamagedError(f"{name} has no {key}")
    if state["hash"] != run:
        raise DamagedError(f"{name} is another run's")
    known: Mapping[str, str] = state.get("checksums", {})
    for log, offset in state["offsets"].items():
        if log not in LOGS or type(offset) is not int or offset < 0:
            raise DamagedError(f"{name} counts bytes of {log!r}")
        counted = directory.content(log, offset)
        if len(counted) < offset:
            raise DamagedError(f"{log} has {len(counted)} bytes, {name} counted {offset}")
        if checksum(counted) != known.get(log, checksum(counted)):
            raise DamagedError(f"{log} is not what {name} counted: its checksum does not fit")
    return cast(Checkpoint, state)


def _sealed(state: object, run: str) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return seal.sealed(buffer.getvalue(), run)


def _unsealed(content: bytes, name: str, run: str) -> State:
    """Load tensors and plain data; nothing else is allowed by ``weights_only``."""
    if wrong := seal.broken(content, run):
        raise DamagedError(f"{name} {wrong}")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever unpickling may run into
        raise DamagedError(f"{name} cannot be read ({one_line(error)[:80]})") from None
    if not isinstance(state, dict):
        raise DamagedError(f"{name} holds no state")
    return state


def save_generator(directory: RunDirectory, generator: Generator, run: str) -> None:
    """Write the final generator's parameters, on the CPU, to ``generator.pt``."""
    directory.check_lock()
    state = {name: value.cpu() for name, value in generator.state_dict().items()}
    directory.replace(GENERATOR, _sealed(state, run))


def load_generator(directory: RunDirectory, run: str) -> State:
    """Return the final generator's parameters.

    Raises:
        DamagedError: They are missing, or not what the run wrote.
    """
    content = directory.content(GENERATOR)
    if not content:
        what = "is empty" if os.path.lexists(directory.path / GENERATOR) else "is not in the store"
        raise DamagedError(f"{GENERATOR} {what}")
    return _unsealed(content, GENERATOR, run)


def seed_global_random(seed: int) -> None:
    """Seed every global random generator, for plugins that draw from one all the same."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def global_random_state() -> GlobalRandom:
    """Return the state of every global random generator; our own code draws from none of them."""
    cuda = torch.cuda.is_initialized()
    legacy: Any = np.random.get_state(legacy=True)  # its type is a union of all that it could be
    kind, keys, position, has_gauss, gauss = legacy
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if cuda else [],
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), position, has_gauss, gauss),
    }


def restore_global_random_state(state: GlobalRandom) -> None:
    """Undo everything drawn since `global_random_state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, gauss = state["numpy"]
    legacy = (kind, np.asarray(keys, dtype=np.uint32), position, has_gauss, gauss)
    np.random.set_state(legacy)
