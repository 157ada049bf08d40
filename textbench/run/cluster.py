"""The Ray engine: runs on the machines of a Ray cluster, results in the store of this one.

Each run is an actor (`textbench.run.host.Host`) that executes the same subprocess as the local
engine does, and tells what it has written; so the machines need share no file system. The run's
lock is held here. When a machine dies, its runs go on elsewhere from what they told last.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from textbench.contracts.errors import UserError, one_line
from textbench.contracts.spec import Spec
from textbench.run import assemble, mirror
from textbench.run.connect import connect
from textbench.run.endings import INTERRUPTED, Process
from textbench.run.engine import Engine
from textbench.run.host import Host, Look, Order, Versions
from textbench.run.limits import USUAL, Terms
from textbench.run.provenance import COMMAND
from textbench.store import kept
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status

PASSED_ON = (COMMAND, "TEXTBENCH_DATA")
"""Environment variables that workers get where their machine has none of the name."""

SILENCE = 300.0
"""Seconds without an answer, where one comes every second, after which a machine counts as gone."""


class RayProcess(Process):
    """A worker on some machine of a cluster.

    Args:
        ray: The module, connected.
        actor: The host that is to execute the run, perhaps not yet on any machine.
        run: Its directory in the store, whose lock this process holds until the worker's end.
        order: Returns what the host is given, once it is on a machine.
        deadline: Time by the monotonic clock after which it need not start.
    """

    def __init__(
        self,
        ray: Any,
        actor: Any,
        run: RunDirectory,
        order: Callable[[], Order],
        deadline: float,
    ) -> None:
        self._ray, self._actor, self._run = ray, actor, run
        self._order, self._deadline = order, deadline
        self._code: int | None = None
        self._started = False
        self._asked = self._told = False
        self._killed = False
        self._call: Callable[[], Any] = actor.versions.remote
        self._answer = self._call()
        self._since = time.monotonic()
        self._looks = 0

    def poll(self) -> int | None:
        """Take what the worker has told; return its exit code once it has ended."""
        if self._code is None:
            self._heed()
        if self._code is not None:
            return self._code
        if self._ray.wait([self._answer], timeout=0)[0]:
            errors = self._ray.exceptions
            try:
                self._take(self._ray.get(self._answer))
            except errors.ActorUnavailableError:  # perhaps for a moment only
                self._answer = self._call()
            except errors.RayTaskError as error:
                self._fail(error.cause)
            except errors.RayError as error:
                self.lost = f"its machine is gone ({_reason(error)})"
                self._end(INTERRUPTED)
            except (OSError, UserError) as error:  # of this side
                self._fail(error)
        if self._code is None and self._started and time.monotonic() - self._since > SILENCE:
            self.lost = f"its machine has not answered for {SILENCE:g} s"
            self._end(INTERRUPTED)
        return self._code

    def terminate(self) -> None:
        """Ask for a checkpoint and the end, at the next poll."""
        self._asked = True

    def kill(self) -> None:
        """End it, at the next poll."""
        self._killed = True

    def _heed(self) -> None:
        """Do what was asked for since the last poll."""
        if self._killed or (self._asked and not self._started):
            self._end(INTERRUPTED)
        elif self._asked and not self._told:
            self._told = True
            self._actor.terminate.remote()
        elif not self._started and time.monotonic() >= self._deadline:
            self.reason, self.status = "the time budget is used up", "timeout"
            self._end(INTERRUPTED)

    def _take(self, answer: Versions | Look | None) -> None:
        """Go on after an answer: versions, then the start, then looks until the end."""
        if isinstance(answer, Versions):
            Versions.here().check(answer)
            order = self._ray.put(self._order())
            self._started = True
            self._ask(lambda: self._actor.start.remote(order))
            return
        if isinstance(answer, Look):
            mirror.apply(self._run, answer.changes)
            self.reason, self.status = answer.reason, answer.status
            if answer.code is not None:
                self._end(answer.code)
                return
        self._looks += 1
        number = self._looks
        self._ask(lambda: self._actor.look.remote(number))

    def _ask(self, call: Callable[[], Any]) -> None:
        self._call, self._answer, self._since = call, call(), time.monotonic()

    def _fail(self, error: BaseException) -> None:
        self.reason, self.status = one_line(error), "failed"
        self._end(1)

    def _end(self, code: int) -> None:
        with suppress(Exception):  # it may be gone; if it is not, it ends with its last call
            self._actor.abandon.remote()
        self._actor, self._call, self._answer = None, _nothing, None  # its place is another's now
        self._run.release()
        self._code = code


def _nothing() -> None:
    """Stand for the call of a worker that has ended: a bound one would keep its actor alive."""


def _reason(error: BaseException) -> str:
    """Return the last word of Ray's long message where it names an exception, else its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = bool(lines) and getattr(error, "actor_init_failed", False)
    return lines[-1] if named else type(error).__name__


class RayEngine(Engine):
    """Runs specs on the machines of a Ray cluster.

    Args:
        results: The store, on this machine alone.
        device: auto, cpu or cuda.
        jobs: How many runs at once; 0 for as many as the cluster has cores, or GPUs, for now.
        per_gpu: How many runs share a GPU.
        address: See `connect`.
        cores: See `connect`.
        terms: On what terms.

    Raises:
        UserError: There is no such cluster, or it has no such device.
    """

    def __init__(
        self,
        results: Path,
        *,
        device: str = "auto",
        jobs: int = 0,
        per_gpu: int = 1,
        address: str = "",
        cores: int = 1,
        terms: Terms = USUAL,
    ) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise UserError(
                f"--device {device}: with --engine ray auto, cpu or cuda; the cluster chooses which"
            )
        self._ray = connect(address, cores)
        resources = self._ray.cluster_resources()
        gpus = resources.get("GPU", 0.0)
        if device == "cuda" and not gpus:
            self.close()
            raise UserError("--device cuda: the cluster has no GPU")
        self.device = "cuda:0" if gpus and device != "cpu" else "cpu"  # of those its actor sees
        capacity = gpus * per_gpu if self.device != "cpu" else resources.get("CPU", 0.0)
        super().__init__(results, jobs=jobs or max(1, int(capacity)), terms=terms)
        needs: dict[str, float] = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0}
        if self.device != "cpu":
            needs["num_gpus"] = math.floor(1e4 / per_gpu) / 1e4  # Ray counts in ten thousandths
        self._prepared: set[str] = set()
        """Fingerprints of the tasks whose data the store keeps."""
        self._host = self._ray.remote(**needs)(Host)

    def map(
        self, specs: Sequence[Spec], tick: Callable[[list[Spec]], None] = lambda active: None
    ) -> Iterator[tuple[Spec, Status]]:
        """Run ``specs``, and the warm-ups they need, each before its dependants; see `Engine`."""
        wanted = {spec.directory(self.results) for spec in specs}

        def shown(active: list[Spec]) -> None:
            tick([spec for spec in active if spec.directory(self.results) in wanted])

        for spec, status in super().map(with_warmups(specs), shown):
            if spec.directory(self.results) in wanted:
                yield spec, status

    def place(self, spec: Spec, directory: RunDirectory, slot: int) -> RayProcess | None:
        """Take the run's lock and ask the cluster for a place."""
        if not directory.acquire():
            return None
        try:
            return RayProcess(
                self._ray,
                self._host.remote(),
                directory,
                lambda: self._order(spec, directory),
                self.terms.deadline,
            )
        except BaseException:
            directory.release()
            raise

    def close(self) -> None:
        """Disconnect; a cluster that was started here ends."""
        self._ray.shutdown()

    def _order(self, spec: Spec, directory: RunDirectory) -> Order:
        run = f"store/{directory.name}"
        given = _below(run, mirror.contents(directory)) | self._kept(spec)
        if spec.warmup is not None:
            source = RunDirectory(spec.warmup.directory(self.results))
            given |= _below(f"store/{source.name}", mirror.finished(source))
        plugins = {f"plugin-{n}/{Path(file).name}": file for n, file in enumerate(spec.plugins)}
        return Order(
            run=run,
            plugins=list(plugins),
            files=given | {name: Path(file).read_bytes() for name, file in plugins.items()},
            device=self.device,
            terms=self.terms,
            left=self.terms.deadline - time.monotonic(),
            environment={key: os.environ[key] for key in PASSED_ON if key in os.environ},
        )

    def _kept(self, spec: Spec) -> dict[str, bytes]:
        """Keep the data of a run's task in the store; return the files that hold them."""
        if spec.task_fingerprint not in self._prepared:
            kept.keep(self.results, spec, assemble.task(spec, self.results))
            self._prepared.add(spec.task_fingerprint)
        return _below(f"store/{spec.task}", kept.contents(self.results, spec))


def _below(folder: str, content: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in content.items()}


def with_warmups(specs: Sequence[Spec]) -> list[Spec]:
    """Return the specs with every warm-up that is not among them before its first dependant.

    A worker elsewhere does not see the store, so it cannot execute somebody else's warm-up there.
    """
    found: dict[tuple[str, str], Spec] = {}

    def add(spec: Spec) -> None:
        if spec.warmup is not None:
            add(spec.warmup)
        found.setdefault((spec.label, spec.hash), spec)  # one run may be two rows

    for spec in specs:
        add(spec)
    return list(found.values())
