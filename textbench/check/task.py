"""Promises of a task: the same data for everybody, known by a fingerprint, and held out."""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.check.generator import LARGEST_Z, deviations
from textbench.check.laboratory import difference
from textbench.check.promise import Check, Violation, expect, expect_options
from textbench.check.task_fingerprint import fingerprint, named_files
from textbench.check.task_laboratory import Laboratory, Record, not_for_training, splits
from textbench.contracts.config import Config
from textbench.contracts.data import training_data
from textbench.contracts.errors import UserError, one_line
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.returned import (
    wrong_kept,
    wrong_lines,
    wrong_rows,
    wrong_sequences,
    wrong_text,
)
from textbench.contracts.task import END, UNKNOWN, UNKNOWN_WORD, Task, TextTask
from textbench.plan import registry
from textbench.store.kept import as_restored

OFTEN = 0.05
"""From this share of test sequences on, that they occur in training is to be said."""
LAW_SAMPLES = 2000
"""Sequences that are compared with the law, at most."""


def config(laboratory: Laboratory, record: Record) -> str:
    """Every option has a default and a help text, and survives JSON."""
    return expect_options(laboratory.kind.config_schema, laboratory.config.model_dump(mode="json"))


def sequences(laboratory: Laboratory, record: Record) -> str:
    """Every split is ``(N, T)`` int64, within the vocabulary, and as large as it says."""
    task = record.task
    for name, tokens in record.splits.items():
        expect(wrong_sequences(task, name, tokens))
    return record.summary


def determinism(laboratory: Laboratory, record: Record) -> str:
    """Built again, it has the same sequences."""
    _expect_same(record, laboratory.build(), "built again,")
    return "built again: the same sequences and fingerprint"


def _expect_same(record: Record, task: Task[Config], where: str) -> None:
    found = difference(record.splits, splits(task))
    if found:
        raise Violation(
            f"{where} {found} is another", "randomness from textbench.stream(SEED, ...)"
        )
    if task.fingerprint() != record.fingerprint:
        raise Violation(f"{where} its fingerprint is another", "a hash of the data alone")


def global_randomness(laboratory: Laboratory, record: Record) -> str:
    """The global random generators do not matter, and are left alone."""
    _expect_same(record, laboratory.build(world=1), "with other global random numbers,")
    moved = difference(record.world["before"], record.world["after"])
    if moved:
        raise Violation(
            f"building it moves the global random generator of {moved.partition('[')[0]}",
            "draws from textbench.stream(SEED, ...)",
        )
    return "torch's, numpy's and Python's global streams do not matter and are left alone"


def passes(laboratory: Laboratory, record: Record) -> str:
    """Passes have one size; fresh ones, where there are any, never repeat."""
    task = record.task
    later = task.train(0, 1)
    if later.shape != record.splits["train"].shape:
        raise Violation(
            f"pass 1 has shape {tuple(later.shape)}, pass 0 {tuple(record.splits['train'].shape)}",
            "one size for all passes",
        )
    if not task.draws_fresh:
        try:
            task.fresh(0, 0)
        except UserError:
            return "every pass has the same size; there are no fresh ones"
        raise Violation("it has fresh sequences, and draws_fresh is False", "draws_fresh = True")
    if not task.fresh(0, 0).equal(record.splits["train"]):
        raise Violation("fresh(0, 0) is not train(0, 0)", "pass 0 as in train")
    if task.fresh(0, 1).equal(task.fresh(0, 0)) or task.fresh(0, 1).equal(task.fresh(1, 1)):
        raise Violation("fresh sequences repeat", "new ones for every pass and seed")
    return "every pass has the same size; fresh ones begin with the first and do not repeat"


def held_out(laboratory: Laboratory, record: Record) -> str:
    """Test and validation sequences do not occur in training, or the task says so."""
    if record.task.oracle is not None:
        raise NotApplicableError("the law is known: what occurs twice does so by chance")
    train = set(map(tuple, record.splits["train"].tolist()))
    shares = {}
    for name in sorted(record.splits.keys() - {"train"}):
        rows = list(map(tuple, record.splits[name].tolist()))
        shares[name] = sum(row in train for row in rows) / len(rows)
        if shares[name] > OFTEN and not record.task.warnings:
            raise Violation(
                f"{shares[name]:.0%} of the {name} sequences occur in train, which no warning says",
                f"at most {OFTEN:.0%}, or a line in `warnings`",
            )
    return ", ".join(f"{share:.1%} of {name} occur in train" for name, share in shares.items())


def access(laboratory: Laboratory, record: Record) -> str:
    """What a trainer is given does not lead to held-out sequences or to the task."""
    given = training_data(record.task, 0, torch.device("cpu")).sequences(0)
    for name, other in not_for_training(record.task).items():
        if given.untyped_storage().data_ptr() == other.untyped_storage().data_ptr():
            raise Violation(
                f"the training sequences share their memory with the {name} sequences",
                "a clone: a view leads a trainer to the whole",
            )
    if vars(given):
        raise Violation(f"the training sequences carry {', '.join(vars(given))}", "plain tensors")
    return "the training sequences have memory of their own"


def decoding(laboratory: Laboratory, record: Record) -> str:
    """Every sequence has a line of its own; a text task's words are those that were encoded."""
    task, test = record.task, record.splits["test"]
    if isinstance(task, TextTask):
        expect(wrong_text(task, test))
    lines = task.decode(test)
    expect(wrong_lines(lines, len(test)))
    if isinstance(task, TextTask):
        return _words(task, test)
    if len(set(lines)) != len(set(map(tuple, test.tolist()))):
        raise Violation("two different sequences decode to the same line", "decoding loses nothing")
    return f"{len(set(lines)):,} different sequences, as many different lines"


def _words(task: TextTask[Config], test: Tensor) -> str:
    words, references = task.words(test), task.references()
    lengths = ((test == END).cumsum(1) == 0).sum(1).tolist()
    for row, found in zip(lengths, words, strict=True):
        if len(found) != row:
            raise Violation(
                f"a sentence of {row} symbols has {len(found)} words", "words up to the end symbol"
            )
    if len(references) != len(words):
        raise Violation(
            f"references() has {len(references)} sentences, test() {len(words)}", "the same ones"
        )
    for tokens, one, other in zip(test.tolist(), words, references, strict=True):
        known = [w if s != UNKNOWN else UNKNOWN_WORD for s, w in zip(tokens, other, strict=False)]
        if len(one) != len(other) or one != known:
            raise Violation(
                f"words() gives {' '.join(one)!r} for the test sentence {' '.join(other)!r}",
                f"its words, {UNKNOWN_WORD} for what the vocabulary does not hold",
            )
    different = len({tuple(t[:n]) for t, n in zip(test.tolist(), lengths, strict=True)})
    if len({tuple(w) for w in words}) != different:
        raise Violation("two different sentences have the same words", "decoding loses nothing")
    return f"the words of {len(words):,} test sentences are those of references()"


def oracle(laboratory: Laboratory, record: Record) -> str:
    """Where a law is given, the sequences follow it."""
    model = record.task.oracle
    if model is None:
        raise NotApplicableError("no law is given")
    sizes = (model.vocab_size, model.length)
    if sizes != (record.task.vocab_size, record.task.length):
        raise Violation(f"the oracle has V, T = {sizes}", "those of the task")
    largest = 0.0
    with torch.no_grad():
        for name, tokens in record.splits.items():
            z = deviations(model, tokens[:LAW_SAMPLES])
            largest = max(largest, float(z.abs().max()))
            if largest > LARGEST_Z:
                raise Violation(
                    f"{name} sequences deviate from the oracle by {largest:.0f} standard errors",
                    f"at most {LARGEST_Z:g}: they are drawn from it",
                )
    return f"all splits within {largest:.1f} standard errors of the oracle's probabilities"


def texts(laboratory: Laboratory, record: Record) -> str:
    """The rows it asks for exist; that what a reader is told is text, its building has shown."""
    rows = record.task.reference_rows()
    expect(wrong_rows(rows))
    for row in rows or []:
        name = row.partition(":")[0]
        if name not in registry.names("trainer"):
            raise Violation(f"reference_rows() names {row!r}", "trainers that there are, or None")
    asked = "leaves its reference rows to the trainers" if rows is None else f"asks for {rows}"
    return f"{len(record.task.warnings)} warnings; {asked}"


def kept(laboratory: Laboratory, record: Record) -> str:
    """What a store keeps of it gives it again."""
    found = record.task.kept()
    expect(wrong_kept(found))
    if found is None:
        files = [f"{laboratory.kind.name}.{option}" for option, _ in named_files(laboratory.config)]
        if files:
            raise NotApplicableError(
                f"a store keeps nothing of it: runs need the file of {', '.join(files)} for good, "
                "unless kept() and restored() put its data into the store"
            )
        raise NotApplicableError("a store keeps nothing of it: its configuration says it all")
    try:
        restored = as_restored(found)
        again = laboratory.kind.restored(laboratory.config, restored)
    except Exception as error:
        raise Violation(f"restored() raised {one_line(error)}", "the task again") from error
    _expect_same(record, again, "restored from a store,")
    if again.decode(record.splits["test"]) != record.task.decode(record.splits["test"]):
        raise Violation("restored from a store, it decodes otherwise", "the task again")
    return f"{len(found.tensors)} tensors and {len(found.described)} values give it again"


CHECKS = (
    Check("config", config),
    Check("sequences", sequences),
    Check("determinism", determinism, ("sequences",)),
    Check("global randomness", global_randomness, ("sequences", "determinism")),
    Check("fingerprint", fingerprint, ("sequences", "determinism", "global randomness")),
    Check("passes", passes, ("sequences",)),
    Check("held out", held_out, ("sequences",)),
    Check("access", access, ("sequences",)),
    Check("decoding", decoding, ("sequences",)),
    Check("oracle", oracle, ("sequences",)),
    Check("texts", texts),
    Check("kept", kept, ("sequences", "determinism", "decoding")),
)
