"""Small steps on a GPU, recorded once and replayed as a CUDA graph.

An update of a small network is hundreds of kernels that take microseconds each: launched one by
one they cost several times that. What is replayed are the same kernels, in the same order and with
the same random numbers, so that results keep their bits; on a CPU nothing is recorded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from textbench.backbone.ledger import Ledger, count, is_counting, taken_back

EAGER = 3
"""Calls as written before one is recorded: in them libraries and optimisers set themselves up."""
SWITCH = "TEXTBENCH_CUDA_GRAPHS"
"""Environment variable: 0 launches every kernel."""
MOST = 8
"""Recordings kept for one owner."""

Tensors = tuple[Tensor, ...]
_owned: WeakKeyDictionary[object, dict[tuple[object, ...], Recording]] = WeakKeyDictionary()


@dataclass
class Recording:
    """One function's kernels, for inputs of one shape."""

    rng: torch.Generator
    calls: int = 0
    graph: torch.cuda.CUDAGraph | None = None
    inputs: Tensors = ()
    """Where the kernels read; calls copy what they are given to here."""
    outputs: Tensors = ()
    spent: Ledger | None = None
    """What one call adds to the ledger."""


def replayed(
    owner: object,
    name: str,
    function: Callable[..., Tensors],
    *inputs: Tensor,
    rng: torch.Generator,
    reads: Iterable[Tensor],
) -> Tensors:
    """Return ``function(*inputs)``; on CUDA, from the fourth such call on, by replaying it.

    Args:
        owner: Lives as long as its recordings; any object with an identity.
        name: Tells this function from others of the owner.
        function: Waits for no result on the host, and draws from ``rng`` alone.
        inputs: All that changes between calls, but for what lies in ``reads``.
        rng: A stream on the inputs' device.
        reads: Whatever else is read or changed, at its place in memory: parameters, the
            optimiser's state, data. Where one of them moves, recording begins anew.

    Raises:
        RuntimeError: It cannot be recorded, since it waits for a result.
    """
    if rng.device.type != "cuda" or os.environ.get(SWITCH) == "0":
        return function(*inputs)
    if torch.cuda.is_current_stream_capturing():  # it is part of a larger recording
        return function(*inputs)
    kept = _owned.setdefault(owner, {})
    shapes = tuple((tuple(x.shape), x.dtype) for x in inputs)
    modes = (torch.is_grad_enabled(), is_counting())
    key = (name, id(rng), modes, shapes, *(x.data_ptr() for x in reads))
    if key not in kept:
        if len(kept) >= MOST:
            kept.clear()
        kept[key] = Recording(rng)  # which holds the stream: no other takes its id meanwhile
    recording = kept[key]
    recording.calls += 1
    if recording.calls <= EAGER:
        return _aside(function, inputs)
    if recording.graph is None:
        try:
            _record(recording, function, inputs)
        except RuntimeError as error:
            wrong = f"{name} cannot be recorded as a CUDA graph; {SWITCH}=0 runs without"
            raise RuntimeError(f"{wrong} ({error})") from error
    return _replay(recording, inputs)


def _aside(function: Callable[..., Tensors], inputs: Tensors) -> Tensors:
    """Call on a stream of its own, for autograd remembers the stream on which it first ran."""
    here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        outputs = function(*inputs)
    here.wait_stream(aside)
    return tuple(x.clone() for x in outputs)


def _record(recording: Recording, function: Callable[..., Tensors], inputs: Tensors) -> None:
    recording.inputs = tuple(x.clone() for x in inputs)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(recording.rng)
    with taken_back() as spent, torch.cuda.graph(graph):  # nothing runs yet
        outputs = function(*recording.inputs)
    recording.outputs, recording.spent, recording.graph = outputs, spent, graph


def _replay(recording: Recording, inputs: Tensors) -> Tensors:
    assert recording.graph is not None  # noqa: S101 - for the type checker
    for held, given in zip(recording.inputs, inputs, strict=True):
        held.copy_(given)
    recording.graph.replay()
    if recording.spent:
        count(recording.spent)
    return tuple(x.clone() for x in recording.outputs)
