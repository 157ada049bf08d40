"""What a trainer really spends, whatever it writes in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from textbench.backbone.generator import Generator


@contextmanager
def counting_updates(counter: Counter[int]) -> Iterator[None]:
    """Count every step of every optimiser, as it is taken."""

    def count(optimiser: Any, *_: object) -> None:
        counter[id(optimiser)] += 1

    hook = register_optimizer_step_post_hook(count)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def counting_samples(
    kinds: set[type[Generator]], counter: list[int], besides: Generator | None
) -> Iterator[None]:
    """Count the tokens that `sample` of these classes returns, nested calls once.

    What ``besides``, the oracle, is asked for is training data.
    """
    owners = {next(c for c in kind.__mro__ if "sample" in vars(c)) for kind in kinds}
    originals = {owner: vars(owner)["sample"] for owner in owners}
    depth = [0]

    def counted(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def sample(*arguments: Any, **keywords: Any) -> Tensor:
            depth[0] += 1
            try:
                drawn = original(*arguments, **keywords)
            finally:
                depth[0] -= 1
            if not depth[0] and arguments[0] is not besides:
                counter[0] += drawn.numel()
            return drawn

        return sample

    for owner, original in originals.items():
        setattr(owner, "sample", counted(original))  # noqa: B010 - a class of any kind
    try:
        yield
    finally:
        for owner, original in originals.items():
            setattr(owner, "sample", original)  # noqa: B010
