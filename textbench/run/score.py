"""Sentences of any other system, under the metrics and protocols of trained rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from textbench.backbone.ledger import LEDGER
from textbench.contracts.config import Config
from textbench.contracts.errors import UserError
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric
from textbench.contracts.spec import SENTENCES, Spec
from textbench.contracts.stored import StoredSequences
from textbench.contracts.task import TextTask
from textbench.plan.resolve import EvaluationConfig
from textbench.run import checkpoint
from textbench.run.measure import measure, undisturbed
from textbench.run.provenance import provenance
from textbench.store import files, kept, verify
from textbench.store.directory import RunDirectory
from textbench.store.lock import Lock, held
from textbench.store.read import UNREADABLE, read_run
from textbench.store.rows import (
    CURVE,
    ENVIRONMENT,
    METRICS,
    SAMPLES,
    EvaluationRow,
    Measurement,
    Status,
    values_of,
)
from textbench.tasks.corpus import Corpus, CorpusConfig
from textbench.tasks.references import References

Words = list[str]
Scored = Corpus[CorpusConfig] | References
PHASE = "given"
"""What the record calls the phase of a run that trained nothing."""


class Given(StoredSequences):
    """Sentences of another system."""

    no_likelihood = "only samples were given, so there is no likelihood"
    no_temperature = "given samples have no temperature"


class GivenEvaluation(Evaluation):
    """An evaluation of given sentences: their words are as given, in the vocabulary or not."""

    def __init__(self, task: Scored, sentences: Sequence[Words], seed: int = 0) -> None:
        cut = [words[: task.length] for words in sentences]
        generator = Given(task.vocabulary.encode(cut, task.length), task.vocab_size)
        super().__init__(generator, task, seed=seed, moment=PHASE, samples=len(sentences))
        self._sentences = list(sentences)

    @cached_property
    def words(self) -> list[Words]:
        """The sentences. BLEU matches an unknown word with none, and counts it."""
        return self._sentences


def score(
    task: Scored, sentences: Sequence[Words], metrics: Sequence[Metric], seed: int = 0
) -> tuple[dict[str, Measurement], GivenEvaluation]:
    """Compute metrics of sentences against a task's test set.

    Args:
        task: What they are compared with.
        sentences: As words, cut as the task cuts.
        metrics: What to compute; what needs more than samples does not apply.
        seed: Names the random streams of metrics that draw.
    """
    evaluation = GivenEvaluation(task, sentences, seed)
    with undisturbed(evaluation.generator):
        return measure(list(metrics), evaluation), evaluation


def spec_of(common: Spec, name: str, sentences: Sequence[Words], seed: int) -> Spec:
    """Return the spec of a row of given sentences.

    Args:
        common: The task's part of it.
        name: What the row is called.
        sentences: Their hash is the row's configuration.
        seed: As of `seeds`: several files are replicates.
    """
    plan = EvaluationConfig(samples=len(sentences), final_samples=len(sentences))
    return replace(
        common,
        trainer=name,
        title=name,
        own_generator=True,
        seed=seed,
        config={SENTENCES: _hash(sentences)},
        evaluation=plan.identity(),
    )


def _hash(sentences: Sequence[Words]) -> str:
    return hashlib.sha256("\n".join(map(" ".join, sentences)).encode()).hexdigest()


@contextmanager
def alone(store: Path, common: Spec, name: str, wait: Callable[[], object]) -> Iterator[None]:
    """Let no other process take seeds of the row meanwhile; see `seeds`.

    Args:
        store: Where the row is recorded.
        common: The task's part of its spec.
        name: What the row is called.
        wait: Called once if another process is at it.

    Raises:
        UserError: The row would lie outside the store.
        OSError: It cannot be written.
    """
    run = RunDirectory(replace(common, trainer=name).directory(store))
    run.check_place(f"{run.name} would be written elsewhere")
    folder = run.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with held(Lock(folder), wait):
        yield


def seeds(
    store: Path, common: Spec, name: str, files: Sequence[tuple[Path, Sequence[Words]]]
) -> list[int]:
    """Return the seed of each file: the one it is on record with in this row, else the next.

    Args:
        store: Where the row is recorded.
        common: The task's part of its spec.
        name: What the row is called.
        files: Each with its sentences, as words.

    Raises:
        UserError: Two files hold the same sentences, which are one seed.
    """
    taken = dict(_recorded(store, replace(common, trainer=name)))
    seen: dict[str, Path] = {}
    for path, sentences in files:
        key = _hash(sentences)
        if key in seen:
            raise UserError(f"{path} holds the sentences of {seen[key]}: a copy is no other seed")
        seen[key] = path
        taken.setdefault(key, max(taken.values(), default=-1) + 1)
    return [taken[key] for key in seen]


def _recorded(store: Path, row: Spec) -> Iterator[tuple[str, int]]:
    """Yield hash and seed of the sentences that a row has on record."""
    folder = row.directory(store).parent
    for directory in RunDirectory.find(store):
        if directory.path.parent == folder:
            with suppress(*UNREADABLE):  # which is no seed of any row
                spec = directory.spec()
                if spec.given and spec.task_fingerprint == row.task_fingerprint:
                    yield str(spec.config[SENTENCES]), spec.seed


def record(
    directory: RunDirectory,
    spec: Spec,
    measured: Mapping[str, Measurement],
    evaluation: GivenEvaluation,
) -> int:
    """Write the row of given sentences as a finished run; return how many numbers it keeps.

    What is on record of these very sentences and is not computed now stays. The folder holds a
    finished run at every moment, of the old numbers or of the new ones.

    Raises:
        UserError: Another process is writing it.
    """
    directory.create(spec)
    if not directory.acquire():
        raise UserError(f"{directory.name} is being written by another process")
    try:
        before = _before(directory)
        known = before[-1]["metrics"] if before else {}
        kept_ = {name: one for name, one in known.items() if name not in measured}
        if before:  # its checksums would fit neither log in between
            directory.write_status(replace(directory.status(), checksums={}))
        _write(directory, spec, {**kept_, **measured}, evaluation, more=bool(kept_))
    finally:
        directory.release()
    return len(values_of(kept_))


def _before(directory: RunDirectory) -> list[EvaluationRow]:
    """Return what is on record of the sentences, if that is sound: its folder is theirs alone."""
    try:
        return read_run(directory).evaluations() if directory.status().status == "done" else []
    except UNREADABLE:
        return []  # it is written anew


def _write(
    directory: RunDirectory,
    spec: Spec,
    measured: Mapping[str, Measurement],
    evaluation: GivenEvaluation,
    *,
    more: bool,
) -> None:
    """Write every file, each whole; ``more`` keeps what the numbers of before were made with."""
    starts = directory.starts() if more else []
    directory.write_json(ENVIRONMENT, {"starts": [*starts, provenance("cpu", "")]})
    kept.keep(directory.store, spec, evaluation.task)
    checkpoint.save_generator(directory, evaluation.generator, spec.hash)
    task: TextTask[Config] = evaluation.text
    lines = task.decode(evaluation.samples[:200])
    directory.replace(SAMPLES, ("\n".join(lines) + "\n").encode())
    row = {
        **{"step": 1, "phase": PHASE, "epoch": 0, "final": True},
        **{"ledger": dict.fromkeys(LEDGER, 0), "seconds": 0.0, "cpu_seconds": 0.0},
        "metrics": dict(measured),
    }
    directory.replace(CURVE, b"")
    directory.replace(METRICS, files.to_lines([row]))
    status = Status("done", phase=PHASE, step=1, total=1, metrics=values_of(measured))
    status.checksums = verify.checksums(directory)
    directory.write_status(status)
