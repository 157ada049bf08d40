"""What a trainer spends: as the harness counts it, and as somebody counts who watches from outside.

`Watch` knows nothing of `textbench.backbone.ledger`. It looks where symbols must pass: a batch that
is scored is looked up in an embedding (or in the discriminator's tables; LeakGAN's prefixes in
`pool_prefixes`; the discriminator of professor forcing is given states), and a sampler is asked by
name.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from textbench.algorithms import discriminator, leak_generator, rankgan, relgan, seqgan
from textbench.algorithms.goal_generator import GoalFactoredGenerator
from textbench.algorithms.professor_forcing import Discriminator
from textbench.algorithms.scheduled_sampling import ScheduledSampling
from torch import Tensor

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.contracts.trainer import Position, Trainer
from textbench.run.meter import Meter

CRITICS = ("d_optimiser", "m_optimiser")
"""What trainers call the optimisers of discriminators and of the mediator."""


def spent(trainer: Trainer[Any], *positions: Position) -> dict[str, int]:
    """Return what these steps cost, as the harness counts it."""
    meter = Meter(trainer)
    for at in positions:
        with meter:
            trainer.step(at)
    return meter.ledger


class Watch:
    """Counts reads, draws and updates from outside, from now on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen = dict.fromkeys(
            ("generator_updates", "critic_updates", "tokens_sampled", "tokens_scored"), 0
        )
        self.patch = patch
        lookup, pool = torch.nn.functional.embedding, leak_generator.pool_prefixes
        judge = Discriminator.forward

        def looked_up(tokens: Tensor, *rest: Any, **keywords: Any) -> Tensor:
            self._add("tokens_scored", tokens.numel())
            return lookup(tokens, *rest, **keywords)

        def pooled(d: Any, tokens: Tensor) -> Tensor:
            self._add("tokens_scored", tokens.numel())
            return pool(d, tokens)

        def judged(d: Any, states: Tensor, *output: Tensor) -> Tensor:
            self._add("tokens_scored", states[..., 0].numel())
            return judge(d, states, *output)

        many = discriminator.max_over_time_of_many

        def scored(tokens: Tensor, *rest: Any) -> Tensor:
            before = self.seen["tokens_scored"]
            found = many(tokens, *rest)  # by tables, or by looking up as others do
            self.seen["tokens_scored"] = before + tokens.numel()
            return found

        patch.setattr(torch.nn.functional, "embedding", looked_up)
        patch.setattr(discriminator, "max_over_time_of_many", scored)
        patch.setattr(leak_generator, "pool_prefixes", pooled)
        patch.setattr(Discriminator, "forward", judged)
        self._watch_samplers()
        self._watch_relaxed()

    def _watch_samplers(self) -> None:
        for owner, name in ((LSTMLanguageModel, "sample"), (GoalFactoredGenerator, "complete")):
            self.patch.setattr(owner, name, self._returning(getattr(owner, name)))
        for module in (seqgan, rankgan):
            self.patch.setattr(module, "rollouts", self._completing(module.rollouts))
        mix = ScheduledSampling.mixed_inputs

        def mixed(trainer: Any, batch: Tensor, epsilon: float) -> Tensor:
            rng = torch.Generator()
            rng.set_state(trainer.context.rng.get_state())
            coins = torch.rand(batch[:, 1:].shape, generator=rng)
            self._add("tokens_sampled", int((coins >= epsilon).sum()))
            return mix(trainer, batch, epsilon)

        self.patch.setattr(ScheduledSampling, "mixed_inputs", mixed)

    def _watch_relaxed(self) -> None:
        """RelGAN's D reads relaxed symbols, which are looked up nowhere."""
        draw, relax = relgan.gumbel_max, relgan.relaxed

        def drawn(*arguments: Any) -> tuple[Tensor, Tensor]:
            tokens, noise = draw(*arguments)
            self._add("tokens_sampled", tokens.numel())
            return tokens, noise

        def relaxed(model: Any, tokens: Tensor, *rest: Any) -> Tensor:
            self._add("tokens_scored", tokens.numel())
            return relax(model, tokens, *rest)

        self.patch.setattr(relgan, "gumbel_max", drawn)
        self.patch.setattr(relgan, "relaxed", relaxed)

    def _returning(self, sample: Any) -> Any:
        def watched(*arguments: Any, **keywords: Any) -> Tensor:
            drawn: Tensor = sample(*arguments, **keywords)
            self._add("tokens_sampled", drawn.numel())
            return drawn

        return watched

    def _completing(self, rollouts: Any) -> Any:
        def watched(model: Any, tokens: Tensor, n: int, rng: Any) -> Tensor:
            for length in range(1, tokens.shape[1]):
                self._add("tokens_sampled", n * tokens[:, length:].numel())
            completed: Tensor = rollouts(model, tokens, n, rng)
            return completed

        return watched

    def optimisers(self, trainer: Trainer[Any]) -> None:
        """Watch a trainer's optimisers, which are told apart by their names."""
        for name, value in vars(trainer).items():
            if isinstance(value, torch.optim.Optimizer):
                entry = "critic_updates" if name in CRITICS else "generator_updates"
                self.patch.setattr(value, "step", self._stepping(value.step, entry))

    def _stepping(self, step: Any, entry: str) -> Any:
        def watched(*arguments: Any, **keywords: Any) -> Any:
            self._add(entry, 1)
            return step(*arguments, **keywords)

        return watched

    def _add(self, entry: str, amount: int) -> None:
        self.seen[entry] += amount

    def take(self) -> dict[str, int]:
        """Return what was seen since the last time."""
        seen = copy.copy(self.seen)
        self.seen.update(dict.fromkeys(self.seen, 0))
        return seen
