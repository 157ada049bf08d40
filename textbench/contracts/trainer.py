"""The contract of a training algorithm. One file, one class, read beside its paper."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from textbench.backbone.generator import Generator
from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.config import Config
from textbench.contracts.data import TrainingData
from textbench.contracts.streams import stream

C = TypeVar("C", bound=Config)

State = dict[str, Any]
"""Of modules, optimisers and schedulers (torch's own type), of tensors and plain data, by
attribute."""


class Phase(NamedTuple):
    """A stretch of training with one rhythm; a trainer is a list of them."""

    name: str
    epochs: int
    steps: int
    """Calls of `Trainer.step` in one epoch."""
    trains_generator: bool = True
    """Phases that leave the generator alone are neither evaluated nor counted as epochs."""


@dataclass(frozen=True)
class Position:
    """Where training stands: everything a schedule may depend on."""

    phase: str
    epoch: int
    """Epoch within the phase, from 0."""
    index: int
    """Step within the epoch, from 0."""


@dataclass
class Context:
    """All that a trainer may see. It holds neither the oracle nor the held-out data."""

    vocab_size: int
    length: int
    data: TrainingData
    """The training sequences."""
    rng: torch.Generator
    """The training stream, on `device`; it is checkpointed."""
    device: torch.device
    seed: int
    backbone: Mapping[str, int]
    """Sizes of the shared LSTM: ``embedding`` and ``hidden``."""
    warmup: State | None = None
    """The final generator state of the warm-up run, if the trainer asked for one."""
    first_word: int = 0
    """Symbols below this one stand for no word (`textbench.contracts.task.Task.first_word`)."""

    def initial_generator(self) -> LSTMLanguageModel:
        """Return the shared LSTM: the warmed-up one, or the seed's common initial one."""
        model = self.new_lstm("generator", **self.backbone)
        if self.warmup is not None:
            model.load_state_dict(self.warmup)
        return model

    def new_lstm(self, name: str, *, embedding: int, hidden: int) -> LSTMLanguageModel:
        """Return an LSTM language model initialised N(0, 0.1²) from the stream ``name``.

        Drawn on the CPU, so that every device starts from the same numbers.
        """
        model = LSTMLanguageModel(self.vocab_size, self.length, embedding, hidden)
        model.initialise(self.stream(name))
        return model.to(self.device)

    def stream(self, name: str) -> torch.Generator:
        """Return the CPU stream that initialises the part called ``name``."""
        return stream(self.seed, "initialise", name)


class Trainer(ABC, Generic[C]):
    """One training algorithm.

    Subclasses set `name`, `config_schema` and `version`, and define `setup`, `phases` and
    `step`. Every attribute that is a module, an optimiser, a scheduler of its rate, a tensor, or
    plain data is checkpointed; explicit state, never a Python generator, makes resume exact.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it when a change moves the trainer's numbers: finished runs are then not reused."""
    config_schema: ClassVar[type[Config]]
    title: ClassVar[str] = ""
    """What tables call it; its name unless given."""
    own_generator: ClassVar[bool] = False
    """True where the generator is never the shared LSTM; tables mark such rows."""
    reference_for: ClassVar[str] = ""
    """A family of tasks whose every command has this row, since others are read against it."""

    generator: Generator

    def __init__(self, config: C, context: Context) -> None:
        self.config: C = config
        self.context = context

    @abstractmethod
    def phases(self) -> list[Phase]:
        """Return the whole schedule, in order; it may depend on `config` and the data's size."""

    @abstractmethod
    def setup(self) -> None:
        """Create `generator` and every other part."""

    @abstractmethod
    def step(self, at: Position) -> dict[str, float | Tensor]:
        """Do one unit of work (at most a few seconds) and return what the log should show.

        Values are floats or scalar tensors; tensors are only read when the log is written.
        """

    @classmethod
    def brings_generator(cls, config: C) -> bool:
        """Tell whether ``config`` means a generator that is not the shared LSTM."""
        return cls.own_generator

    @classmethod
    def fresh_data(cls, config: C) -> bool:
        """Tell whether ``config`` wants new training sequences in every pass.

        Only tasks whose law is known have them (`Task.draws_fresh`). Such a row is an
        upper bound, not a competitor: it sees more data than the others.
        """
        return False

    @classmethod
    def warmup(cls, config: C) -> tuple[str, Mapping[str, object]] | None:
        """Return the run to start from, as (trainer, changed config), or None.

        The run is an ordinary one, cached and shared by all trainers that ask for it.
        """
        return None

    def observe(self, validation_nll: float) -> bool:
        """Be told the validation NLL (nats/token) after an evaluation; return True to stop."""
        return False

    def state_dict(self) -> State:
        """Return everything that training from here on depends on."""
        state: State = {}
        for key, value in vars(self).items():
            if key in ("config", "context"):
                continue
            state[key] = _pack(value, f"{type(self).__name__}.{key}")
        return state

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned; `setup` has been called before."""
        for key, value in state.items():
            current = getattr(self, key, None)
            if isinstance(current, nn.Module | Optimizer | LRScheduler):
                current.load_state_dict(value)
            elif isinstance(current, torch.Generator):
                current.set_state(value.cpu())
            else:
                setattr(self, key, _to_device(value, self.context.device))


def _pack(value: object, where: str) -> object:
    if isinstance(value, nn.Module | Optimizer | LRScheduler):
        return value.state_dict()
    if isinstance(value, torch.Generator):
        return value.get_state()
    return _plain(value, where)


def _plain(value: object, where: str) -> object:
    """Return ``value`` if it is tensors and plain data all the way down."""
    if isinstance(value, dict) and type(value) in (dict, OrderedDict):  # others come back as dict
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_plain(item, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(value, np.float64):  # what `np.mean` gives
        return float(value)
    if value is None or isinstance(value, Tensor | bool | int | float | str):
        return value
    raise TypeError(
        f"{where} is a {type(value).__name__}, which a checkpoint cannot hold: make modules, "
        "optimisers, schedulers and random generators attributes of their own (nn.ModuleList for "
        "several modules), keep the rest tensors, numbers, text, lists, tuples and dicts, "
        "or override state_dict and load_state_dict"
    )


def _to_device(value: object, device: torch.device) -> object:
    if isinstance(value, dict):
        return {key: _to_device(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_device(item, device) for item in value)
    return value.to(device) if isinstance(value, Tensor) else value
