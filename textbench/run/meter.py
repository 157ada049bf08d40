"""The meter on a trainer: who makes updates, and what modules read that do not count it themselves.

The backbone and the critics count their own tokens (`textbench.backbone.ledger`); a trainer counts
nothing, whoever wrote it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeGuard

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from textbench.backbone.ledger import LEDGER, Ledger, counting
from textbench.contracts.config import Config
from textbench.contracts.trainer import Trainer


class Meter:
    """Counts in `ledger` what ``trainer`` spends inside ``with meter``.

    A step of an optimiser is the generator's update if it holds a parameter that training the
    generator moves (`Generator.own_parameters`), and a critic's otherwise.

    Args:
        trainer: Whose; its `generator` may come later.
    """

    def __init__(self, trainer: Trainer[Config]) -> None:
        self.trainer = trainer
        self.ledger: Ledger = dict.fromkeys(LEDGER, 0)
        self._calls: list[int] = []
        """Tokens scored before each call of a module that is under way."""

    def __enter__(self) -> None:
        self._calls.clear()
        self._stack = ExitStack()
        self._stack.enter_context(counting(self.ledger))
        for hook in (
            register_optimizer_step_post_hook(self._updated),
            register_module_forward_pre_hook(self._called),
            register_module_forward_hook(self._answered, always_call=True),
        ):
            self._stack.callback(hook.remove)

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _updated(self, optimiser: Optimizer, *_: object) -> None:
        generator = getattr(self.trainer, "generator", None)
        own = {id(parameter) for parameter in generator.own_parameters()} if generator else set()
        moved = (id(p) for group in optimiser.param_groups for p in group["params"])
        entry = "critic_updates" if own.isdisjoint(moved) else "generator_updates"
        self.ledger[entry] += 1

    def _called(self, module: nn.Module, arguments: tuple[object, ...]) -> None:
        self._calls.append(self.ledger["tokens_scored"])

    def _answered(self, module: nn.Module, arguments: tuple[object, ...], answer: object) -> None:
        """A module that is called on symbols ``(B, T)`` reads them, unless its parts say so."""
        before = self._calls.pop()
        if before == self.ledger["tokens_scored"] and arguments and _is_text(arguments[0]):
            self.ledger["tokens_scored"] += arguments[0].numel()


def _is_text(value: object) -> TypeGuard[Tensor]:
    return (
        isinstance(value, Tensor)
        and value.dim() == 2
        and not (value.is_floating_point() or value.is_complex())
    )
