"""What the code of a plug-in returns, looked at where the harness takes it.

Each function says in one line what is wrong, or returns an empty string.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from numbers import Real

import torch
from torch import Tensor

from textbench.contracts.config import Config
from textbench.contracts.errors import shown
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.task import Kept, Task, TextTask
from textbench.contracts.trainer import Phase

PHASES = "a list of Phase(name, epochs, steps), whole numbers from 0"
NEVER = 10**18
"""Steps; a counter of 64 bits holds nine times as many."""
LOGGED = "a dict of names and numbers"


def wrong_phases(phases: object) -> str:
    """Look at what `Trainer.phases` returned, and whether it begins and ends."""
    if isinstance(phases, list | tuple) and not isinstance(phases, Phase):
        odd = [phase for phase in phases if not _is_phase(phase)]
        if odd:
            return f"phases() returned {shown(odd[0], 100)} in its list; it must return {PHASES}"
        total = sum(phase.epochs * phase.steps for phase in phases)
        if not total:
            return "with these options its schedule has no steps"
        return f"with these options it never ends: over {NEVER:.0e} steps" if total > NEVER else ""
    return f"phases() returned {shown(phases, 100)}; it must return {PHASES}"


def _is_phase(phase: object) -> bool:
    return (
        isinstance(phase, Phase)
        and isinstance(phase.name, str)
        and all(type(count) is int and count >= 0 for count in (phase.epochs, phase.steps))
    )


def wrong_logged(values: object) -> str:
    """Look at what `Trainer.step` returned."""
    if not isinstance(values, Mapping):
        return f"step() returned {shown(values)}; it must return {LOGGED}"
    for key, value in values.items():
        if not is_name(key):
            return f"it logs {key!a}, which is no name"
        if not is_number(value) and not (isinstance(value, Tensor) and value.numel() == 1):
            return f"step() returned {shown(value)} for {key}; it must return {LOGGED}"
    return ""


def is_name(key: object) -> bool:
    """Tell whether a column of a log may be called so."""
    return isinstance(key, str) and key.isprintable() and key != ""


def is_number(value: object) -> bool:
    """Tell whether something is a number, and not larger than any float is."""
    if not isinstance(value, Real):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def wrong_warmup(asked: object) -> str:
    """Look at what `Trainer.warmup` returned."""
    match asked:
        case None | (str(), Mapping()):
            return ""
    right = '("TRAINER", {"OPTION": value}), or None for no warm-up'
    return f"warmup() returned {shown(asked)}; it must return {right}"


def wrong_task(task: Task[Config]) -> str:
    """Look at what a task has when it is built."""
    if not isinstance(getattr(task, "config", None), Config):
        return "it has no config: its __init__ must call super().__init__(config)"
    for name in ("vocab_size", "length"):
        size = getattr(task, name, None)
        if type(size) is not int or size < 1:
            return f"{name} is {shown(size)}; it must be a whole number from 1"
    for name in ("note", "oracle_name"):
        if not isinstance(getattr(task, name), str):
            return f"{name} is {shown(getattr(task, name))}; it must be text"
    warnings: object = task.warnings
    if not isinstance(warnings, tuple | list) or not all(isinstance(one, str) for one in warnings):
        return f"warnings is {shown(warnings)}; it must be a tuple of lines of text"
    return ""


def wrong_data(task: Task[Config], seed: int) -> str:
    """Look at a task's sequences, and at the text that it makes of some."""
    found: dict[str, object] = {"train": (train := task.train(seed, 0))}
    with suppress(NotApplicableError):
        found["validation"] = task.validation()
    found["test"] = task.test()
    for name, tokens in found.items():
        if wrong := wrong_sequences(task, name, tokens):
            return wrong
    if isinstance(task, TextTask) and (wrong := wrong_text(task, train[:2])):
        return wrong
    return wrong_lines(task.decode(train[:2]), len(train[:2]))


def wrong_sequences(task: Task[Config], name: str, tokens: object) -> str:
    """Look at the sequences of one split."""
    right = f"it must be (N, {task.length}), int64, N > 0"
    if not isinstance(tokens, Tensor):
        return f"{name} is {shown(tokens)}; it must be a tensor (N, {task.length}), int64"
    shape = tuple(tokens.shape)
    if tokens.dtype != torch.int64 or shape[1:] != (task.length,) or not shape[0]:
        return f"{name} has shape {shape}, {tokens.dtype}; {right}"
    least, most = int(tokens.min()), int(tokens.max())
    if least < 0 or most >= task.vocab_size:
        return f"{name} holds symbols from {least} to {most}; it must be 0 to {task.vocab_size - 1}"
    if name == "train" and len(tokens) != task.train_size():
        seen = f"train_size() is {task.train_size()}, train has {len(tokens)}"
        return f"{seen}; it must be the number of training sequences"
    return ""


def wrong_text(task: TextTask[Config], tokens: Tensor) -> str:
    """Look at the words that a text task makes of sequences, and at its references."""
    right = "it must be a list of sentences, a list of words each"
    for method in ("words", "references"):
        found: object = task.words(tokens) if method == "words" else task.references()
        if not isinstance(found, list | tuple):
            return f"{method}() returned {shown(found)}; {right}"
        if odd := [one for one in found if not _is_sentence(one)]:
            return f"{method}() gives {shown(odd[0])}; {right}"
    return ""


def _is_sentence(words: object) -> bool:
    return isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)


def wrong_rows(rows: object) -> str:
    """Look at what `Task.reference_rows` returned."""
    if rows is None or (isinstance(rows, list) and all(isinstance(row, str) for row in rows)):
        return ""
    return f"reference_rows() returned {shown(rows)}; it must be a list of trainers, or None"


def wrong_kept(kept: object) -> str:
    """Look at what `Task.kept` returned."""
    if kept is None or isinstance(kept, Kept):
        return ""
    return f"kept() returned {shown(kept)}; it must be Kept(described, tensors), or None"


def wrong_lines(lines: object, wanted: int) -> str:
    """Look at what `Task.decode` returned of ``wanted`` sequences."""
    right = "it must be a list, one line of text for each sequence"
    if not isinstance(lines, list):
        return f"decode() returned {shown(lines)}; {right}"
    if len(lines) != wanted:
        return f"decode() of {wanted} sequences gives {len(lines)} lines; {right}"
    odd = [one for one in lines if not isinstance(one, str) or len(one.splitlines()) > 1]
    return f"decode() gives {shown(odd[0])}; {right}" if odd else ""
