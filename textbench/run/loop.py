"""The run loop: one spec, trained, evaluated and checkpointed in its directory.

Order within one step: train, log, evaluate if due, checkpoint if due. A checkpoint holds all that
the rest depends on and the offsets of the logs, so a killed run continues to the same bits.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from textbench.contracts.config import Config
from textbench.contracts.errors import DivergedError, UserError
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError
from textbench.contracts.returned import wrong_logged, wrong_phases
from textbench.contracts.schedule import Schedule
from textbench.contracts.spec import Spec
from textbench.contracts.streams import derive, stream
from textbench.contracts.task import Task
from textbench.contracts.trainer import State, Trainer
from textbench.plan import build
from textbench.plan.resolve import EvaluationConfig
from textbench.run import assemble, checkpoint
from textbench.run.changed import record_step
from textbench.run.clock import Clock
from textbench.run.conditions import Conditions
from textbench.run.heartbeat import Heartbeat
from textbench.run.measure import measure, undisturbed
from textbench.run.meter import Meter
from textbench.store.directory import RunDirectory
from textbench.store.rows import (
    CHECKPOINT,
    CURVE,
    METRICS,
    SAMPLES,
    EpochRow,
    EvaluationRow,
    LossRow,
)

LOG_EVERY = 10
"""Training steps averaged into one row of the training log."""
SAMPLE_LINES = 200
"""Lines of ``samples.txt``."""


@dataclass
class Warmup:
    """Where a warmed-up run starts: the end of another run, whose costs count with its own."""

    generator: State
    """The final generator."""
    last: EvaluationRow
    """The last row of its evaluations: epochs, ledger and seconds so far."""


class Run:
    """One run in progress.

    Args:
        directory: Its directory, locked by this process.
        trainer_class: The trainer.
        task: The task, built.
        metrics: What to compute at evaluations.
        warmup: What the run starts from, if not from the common initial generator.
        options: See `Conditions`.
    """

    def __init__(
        self,
        directory: RunDirectory,
        trainer_class: type[Trainer[Config]],
        task: Task[Config],
        metrics: list[Metric],
        warmup: Warmup | None,
        options: Conditions,
    ) -> None:
        self.directory, self.task, self.metrics, self.options = directory, task, metrics, options
        self.spec: Spec = directory.spec()
        self.plan = EvaluationConfig(**self.spec.evaluation)
        state = warmup.generator if warmup else None
        self.trainer = assemble.trainer(self.spec, trainer_class, task, options.device, state)
        self.context = self.trainer.context
        self.meter = Meter(self.trainer)
        start = int(warmup.last["epoch"]) if warmup else 0
        phases = self.trainer.phases()
        if wrong := wrong_phases(phases):
            raise UserError(f"{trainer_class.name}: {wrong}")
        self.schedule = Schedule(phases, start_epoch=start)
        self.heartbeat = Heartbeat(directory, self.schedule, self.plan, str(options.device))
        self.status = self.heartbeat.status
        self.step = 0
        self.stopped = False
        self.sums: dict[str, tuple[float | Tensor, int]] = {}
        self.clock = Clock()
        if warmup is not None:
            self.meter.ledger.update(warmup.last["ledger"])
            spent = [warmup.last["seconds"], warmup.last["cpu_seconds"]]
            self.clock.restore([*spent, *spent])
        self._saved = (time.monotonic(), 0)

    # -- the loop --------------------------------------------------------------------------

    def execute(self) -> Literal["done", "timeout", "interrupted"]:
        """Train to the end, or to a checkpoint when told to stop; return the outcome.

        Raises:
            DivergedError: A loss or metric is not finite.
            UserError: The checkpoint is of another kind of device.
            checkpoint.UnusableError: The checkpoint does not fit the trainer.
        """
        checkpoint.seed_global_random(derive(self.spec.seed, "global"))
        with self.meter:
            self.trainer.setup()
        self.trainer.state_dict()  # what no checkpoint can hold is refused now, not hours later
        if not self._resume() and self.context.warmup is None:
            self._evaluate(final=False)
        notes = (self.status.note, record_step(self.directory, self.step))
        self.status.note = "; ".join(note for note in notes if note)
        while self.step < self.schedule.total and not self.stopped:
            self._train_step()
            if self.schedule.evaluates(self.step, self.plan.due, self.plan.every_steps):
                self._evaluate(final=False)
            outcome = self.options.interruption()
            self._beat(force=outcome is not None)
            if outcome:
                self._save()
                return outcome
            self._save_if_due()
        self._evaluate(final=True)
        self._finish()
        return "done"

    def _train_step(self) -> None:
        with self.meter, self.clock:
            values = self.trainer.step(self.schedule.at(self.step))
        self.step += 1
        if wrong := wrong_logged(values):
            raise UserError(f"{self.spec.trainer}: {wrong}")
        for key, value in values.items():
            total, count = self.sums.get(key, (0.0, 0))
            self.sums[key] = (total + value, count + 1)
        ends_epoch = self.schedule.ends_epoch(self.step)
        if self.step % LOG_EVERY == 0 or ends_epoch:
            self._log_losses()
        if ends_epoch:
            self._log_epoch()

    # -- logs ------------------------------------------------------------------------------

    def _phase(self) -> str:
        return self.schedule.at(max(self.step - 1, 0)).phase

    def _log_losses(self) -> None:
        self.clock.settle()  # reading a loss would wait as well, uncounted
        values = {key: float(total) / count for key, (total, count) in self.sums.items()}
        self.sums = {}
        for key, value in values.items():
            if not math.isfinite(value):
                raise DivergedError(f"{key} is {value} at step {self.step}")
        row: LossRow = {
            "kind": "loss",
            "step": self.step,
            "phase": self._phase(),
            "epoch": self.schedule.epoch(self.step - 1),  # still under way
            "values": {**values},
        }
        self.directory.append(CURVE, row)

    def _log_epoch(self) -> None:
        row: EpochRow = {
            "kind": "epoch",
            "step": self.step,
            "phase": self._phase(),
            "epoch": self.schedule.epoch(self.step),
            **self.clock.lap(),
            "ledger": dict(self.meter.ledger),
        }
        self.directory.append(CURVE, row)

    # -- evaluation ------------------------------------------------------------------------

    def _evaluate(self, *, final: bool) -> None:
        """Compute the metrics, append a row, and let the trainer see the validation NLL."""
        began = time.monotonic()
        evaluation = Evaluation(
            self.trainer.generator,
            self.task,
            seed=self.spec.seed,
            moment=self._moment(),
            samples=self.plan.final_samples if final else self.plan.samples,
        )
        with undisturbed(self.trainer.generator):
            due = [metric for metric in self.metrics if final or metric.when == "always"]
            measured = measure(due, evaluation)
            validation_nll = math.inf if final else self._validation_nll(evaluation)
        row: EvaluationRow = {
            "step": self.step,
            "phase": self._phase(),
            "epoch": self.schedule.progress(self.step),
            "final": final,
            "ledger": dict(self.meter.ledger),
            **self.clock.total(),
            "metrics": measured,
        }
        self.directory.append(METRICS, row)
        if not final:
            self.stopped = self.trainer.observe(validation_nll)
        self.heartbeat.evaluated(self.metrics, measured, time.monotonic() - began)
        self._beat(force=True)

    def _validation_nll(self, evaluation: Evaluation) -> float:
        """Return what `Trainer.observe` is told: NaN without a likelihood."""
        try:
            return evaluation.validation_nll
        except NotApplicableError:
            return math.nan

    def _moment(self) -> str:
        """Name the moment of an evaluation; equal for a run and the warm-up it starts from."""
        if self.step == 0 or self.schedule.ends_epoch(self.step):
            return f"epoch {self.schedule.epoch(self.step)}"
        return f"step {self.step}"

    # -- status and checkpoints ------------------------------------------------------------

    def _beat(self, *, force: bool = False) -> None:
        self.heartbeat.beat(self.step, self._phase(), self.clock.seconds, force=force)

    def _save_if_due(self) -> None:
        moment, step = self._saved
        if self.options.checkpoint_due(self.step - step, time.monotonic() - moment):
            self._save()

    def progress(self) -> checkpoint.Progress:
        """Return all that the rest of the run depends on; `restore` takes it."""
        return {
            "hash": self.spec.hash,
            "device": self.options.device.type,
            "step": self.step,
            "stopped": self.stopped,
            "sums": dict(self.sums),
            "clock": self.clock.state(),
            "resumed": self.status.resumed,
            "ledger": dict(self.meter.ledger),
            "rng": self.context.rng.get_state(),
            "trainer": self.trainer.state_dict(),
        }

    def _save(self) -> None:
        checkpoint.save(self.directory, self.progress())
        self._saved = (time.monotonic(), self.step)

    def _resume(self) -> bool:
        """Continue from the checkpoint, if there is one."""
        state, self.status.note = checkpoint.load(self.directory, self.spec.hash)
        if state is None:
            return False
        kind = self.options.device.type
        if state["device"] != kind:
            raise UserError(
                f"{self.directory.name} was started on {state['device']} and would not reach the "
                f"same numbers on {kind}; continue with --device {state['device']}, or delete "
                "its directory to start again"
            )
        try:
            self.restore(state)
        except Exception as error:  # whatever a state of another make may lead to
            raise checkpoint.UnusableError(f"{CHECKPOINT} does not fit ({error})") from error
        self.status.resumed = state["resumed"] + 1
        self._saved = (time.monotonic(), self.step)
        return True

    def restore(self, state: checkpoint.Checkpoint) -> None:
        """Go on from what `progress` returned, and from the global random state of that moment."""
        self.step, self.stopped = state["step"], state["stopped"]
        self.sums = dict(state["sums"])
        self.clock.restore(state["clock"])
        self.meter.ledger.update(state["ledger"])
        self.context.rng.set_state(state["rng"])
        self.trainer.load_state_dict(state["trainer"])
        checkpoint.restore_global_random_state(state["global_random"])

    def _finish(self) -> None:
        """Write the final generator and its samples."""
        generator = self.trainer.generator
        checkpoint.save_generator(self.directory, generator, self.spec.hash)
        rng = stream(self.spec.seed, "samples", device=generator.device)
        lines = build.decoded(self.task, generator.sample(SAMPLE_LINES, rng).cpu())
        self.directory.replace(SAMPLES, ("\n".join(lines) + "\n").encode())
        self.status.step, self.status.eta = self.step, 0.0
