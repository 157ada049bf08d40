"""A cluster in this process with the few functions of Ray that the engine calls.

Actors are objects; a call is made when its answer is waited for. `Machines` says what befalls them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: BaseException) -> None:
        super().__init__("a long story")
        self.cause = cause


class ActorDiedError(RayError):
    actor_init_failed = False


class ActorUnavailableError(RayError):
    pass


class Call:
    """An answer to come."""

    def __init__(self, actor: Actor, name: str, arguments: tuple[Any, ...]) -> None:
        self.actor, self.name, self.arguments = actor, name, arguments

    def make(self) -> Any:
        self.actor.fate(self.actor, self.name)
        if self.actor.dead:
            raise ActorDiedError("gone")
        try:
            answer = getattr(self.actor.host, self.name)(*self.arguments)
        except Exception as error:
            raise RayTaskError(error) from error
        self.actor.fate(self.actor, f"after {self.name}")
        return answer


class Method:
    def __init__(self, actor: Actor, name: str) -> None:
        self.actor, self.name = actor, name

    def remote(self, *arguments: Any) -> Call:
        call = Call(self.actor, self.name, arguments)
        if self.name in ("abandon", "terminate") and not self.actor.dead:
            call.make()  # nobody waits for these
        return call


class Actor:
    def __init__(self, host: Any, fate: Callable[[Actor, str], None]) -> None:
        self.host, self.fate, self.dead = host, fate, False

    def die(self) -> None:
        """End as a machine does: the worker with it, its folder left behind."""
        self.dead = True
        if self.host._process is not None:
            self.host._process.kill()
            self.host._process.wait(5)

    def __getattr__(self, name: str) -> Method:
        return Method(self, name)


class Machines:
    """What `import ray` gives in these tests.

    Args:
        fate: Called with an actor and the name of a method before it is called, and with "after
            ..." before its answer arrives; may raise what Ray would.
        resources: What the cluster has.
        open: Tells whether an actor gets a place.
    """

    exceptions = SimpleNamespace(
        RayError=RayError,
        RayTaskError=RayTaskError,
        ActorUnavailableError=ActorUnavailableError,
    )

    def __init__(
        self,
        fate: Callable[[Actor, str], None] = lambda actor, name: None,
        resources: dict[str, float] | None = None,
        is_open: Callable[[], bool] = lambda: True,
    ) -> None:
        self.fate, self.is_open = fate, is_open
        self.resources = resources or {"CPU": 2.0}
        self.initialised: dict[str, Any] = {}
        self.needs: dict[str, Any] = {}
        self.actors: list[Actor] = []
        self.down = False

    def init(self, **options: Any) -> None:
        self.initialised = options

    def shutdown(self) -> None:
        self.down = True

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def put(self, value: Any) -> Any:
        return value

    def wait(self, answers: list[Call], timeout: float) -> tuple[list[Call], list[Call]]:
        return (answers, []) if self.is_open() else ([], answers)

    def get(self, answer: Call) -> Any:
        return answer.make()

    def remote(self, **needs: Any) -> Callable[[type], Any]:
        self.needs = needs

        def make(kind: type) -> Any:
            def start() -> Actor:
                self.actors.append(Actor(kind(), self.fate))
                return self.actors[-1]

            return SimpleNamespace(remote=start)

        return make
