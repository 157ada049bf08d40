"""Trainers that each break one promise, and one that breaks none.

`breaks` names the check that must fail, `says` is a part of what it must say.

A plugin file: `tests/harness/test_check.py` loads it as a user would load theirs.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from textbench.backbone.generator import Generator
from textbench.backbone.ledger import reads
from textbench.contracts.config import Config
from textbench.contracts.trainer import Phase, Position, State, Trainer
from textbench.plan import registry


class Options(Config):
    """Options of them all."""

    epochs: int = Field(3, ge=1)
    """Passes over the training sequences."""
    batch: int = Field(16, ge=1)
    """Sequences per update."""


class Honest(Trainer[Options]):
    """Plain maximum likelihood."""

    name = "honest"
    breaks: ClassVar[str] = ""
    says: ClassVar[str] = ""
    config_schema = Options

    def phases(self) -> list[Phase]:
        batches = self.context.data.batches(self.config.batch)
        return [Phase("train", self.config.epochs, batches)]

    def setup(self) -> None:
        self.generator: Any = self.context.initial_generator()
        self.optimiser = torch.optim.Adam(self.generator.parameters(), lr=0.1)
        self.updates = 0

    def batch(self) -> Tensor:
        return self.context.data.batch(self.updates, self.config.batch)

    def loss(self, batch: Tensor) -> Tensor:
        chosen = self.generator.log_probs(batch).gather(2, batch.unsqueeze(2))
        return -chosen.mean()

    def step(self, at: Position) -> dict[str, float | Tensor]:
        loss = self.loss(self.batch())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.updates += 1
        return {"nll": loss.detach()}


# -- configuration and schedule -------------------------------------------------------------------


class SilentOptions(Options):
    """One of them without a word."""

    temperature: float = 1.0


class Silent(Honest):
    name = "silent"
    breaks = "config"
    says = "no help text for temperature"
    config_schema = SilentOptions


class DemandingOptions(Options):
    """One of them without a default."""

    temperature: float = Field()
    """Of what, one wonders."""


class Demanding(Honest):
    name = "demanding"
    breaks = "config"
    says = "no default for temperature"
    config_schema = DemandingOptions


class Moody(Honest):
    name = "moody"
    breaks = "schedule"
    says = "phases() changed from train 3 x 4 to train 4 x 4"

    def phases(self) -> list[Phase]:
        return [Phase("train", 3 + (getattr(self, "updates", 0) > 3), 4)]


class Idle(Honest):
    name = "idle"
    breaks = "schedule"
    says = "no phase trains the generator"

    def phases(self) -> list[Phase]:
        return [super().phases()[0]._replace(trains_generator=False)]

    own_generator = True


class Crashing(Honest):
    name = "crashing"
    breaks = "runs"
    says = "step 4 raised ZeroDivisionError: on purpose (broken_trainers.py:"

    def step(self, at: Position) -> dict[str, float | Tensor]:
        if at.epoch == 1:
            raise ZeroDivisionError("on purpose")
        return super().step(at)


class Mute(Honest):
    name = "mute"
    breaks = "runs"
    says = "step() returned None"

    def step(self, at: Position) -> Any:
        super().step(at)


class Planless(Honest):
    name = "planless"
    breaks = "runs"
    says = "planless: phases() returned ('train', 1, 2) in its list"

    def phases(self) -> Any:
        return [("train", 1, 2)]


# -- randomness -----------------------------------------------------------------------------------


class Entropic(Honest):
    name = "entropic"
    breaks = "determinism"
    says = "two runs of one seed part: generator."

    def batch(self) -> Tensor:
        order = sorted(range(self.config.batch), key=lambda _: os.urandom(4))
        return super().batch()[order[:8]]


class Stubborn(Honest):
    name = "stubborn"
    breaks = "determinism"
    says = "another seed gives the same bits"

    def setup(self) -> None:
        super().setup()
        self.generator.initialise(torch.Generator().manual_seed(1))

    def batch(self) -> Tensor:
        rows = torch.arange(self.config.batch * self.context.length)
        return (rows % self.context.vocab_size).view(self.config.batch, -1)


class Global(Honest):
    name = "global"
    breaks = "global randomness"
    says = "another seed of the global random generators changes the run"

    def batch(self) -> Tensor:
        return super().batch()[torch.randperm(self.config.batch)[:8]]


class Seeding(Honest):
    name = "seeding"
    breaks = "global randomness"
    says = "it seeds the global random generator of torch itself"

    def step(self, at: Position) -> dict[str, float | Tensor]:
        torch.manual_seed(at.index)
        return super().step(at)


# -- state ----------------------------------------------------------------------------------------


class Unsaved(Honest):
    name = "unsaved"
    breaks = "state"
    says = "Unsaved.seen is a set"

    def setup(self) -> None:
        super().setup()
        self.seen = {1, 2}


class Coded(Honest):
    name = "coded"
    breaks = "state"
    says = "cannot be read weights-only"

    def state_dict(self) -> State:
        return {**super().state_dict(), "config": self.config}


class Forgetful(Honest):
    """Its optimiser starts anew after an interruption."""

    name = "forgetful"
    breaks = "resume"
    says = "interrupted at step 1, generator."

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict({k: v for k, v in state.items() if k != "optimiser"})


class Decaying(Honest):
    """Lowers its rate, and keeps a mean as numpy gives it."""

    name = "decaying"

    def setup(self) -> None:
        super().setup()
        self.decay = torch.optim.lr_scheduler.ExponentialLR(self.optimiser, 0.9)
        self.mean = 0.0
        self.best = copy.deepcopy(self.generator.state_dict())  # an OrderedDict

    def step(self, at: Position) -> dict[str, float | Tensor]:
        logged = super().step(at)
        self.decay.step()
        self.mean = np.mean([self.mean, float(logged["nll"])])
        return {**logged, "mean": self.mean}


class Tallying(Honest):
    name = "tallying"
    breaks = "state"
    says = "Tallying.seen is a Counter, which a checkpoint cannot hold"

    def setup(self) -> None:
        super().setup()
        self.seen = Counter[int]()


class Remembered(NamedTuple):
    """A sequence, kept."""

    tokens: Tensor
    reward: float


class Replaying(Honest):
    name = "replaying"
    breaks = "state"
    says = "Replaying.kept[0] is a Remembered, which a checkpoint cannot hold"

    def step(self, at: Position) -> dict[str, float | Tensor]:
        self.kept = [Remembered(self.batch(), 1.0)]
        return super().step(at)


class Amnesiac(Honest):
    """A counter outside the state, which only matters later."""

    name = "amnesiac"
    breaks = "resume"
    says = "interrupted at step 1, generator."

    def state_dict(self) -> State:
        return {key: value for key, value in super().state_dict().items() if key != "updates"}


# -- evaluation -----------------------------------------------------------------------------------


class Wrapped(Generator):
    """Something around the shared LSTM."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.vocab_size, self.length, self.inner = inner.vocab_size, inner.length, inner

    def log_probs(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.inner.log_probs(tokens)
        return found

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        drawn: Tensor = self.inner.sample(n, rng, inverse_temperature=inverse_temperature)
        return drawn


class Wrapping(Honest):
    """Trains a `Wrapped` generator; its subclasses say which."""

    kind: type[Wrapped] = Wrapped
    own_generator = True

    def setup(self) -> None:
        super().setup()
        self.generator = self.kind(self.generator)


class FickleGenerator(Wrapped):
    """Every sample wears it out a little."""

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        with torch.no_grad():
            self.inner.head_bias.mul_(0.999)
        return super().sample(n, rng, inverse_temperature=inverse_temperature)


class Fickle(Wrapping):
    name = "fickle"
    breaks = "evaluation"
    says = "evaluated twice at step 0, it gives two answers"
    kind = FickleGenerator


class Doubled(Honest):
    """Computes in a precision that evaluation does not."""

    name = "doubled"
    breaks = "evaluation"
    says = "it raised RuntimeError: Expected out tensor to have dtype double"

    def setup(self) -> None:
        super().setup()
        self.generator.double()


class TiredGenerator(Wrapped):
    """Counts how often it was asked, for its trainer to see."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.asked: Tensor
        self.register_buffer("asked", torch.tensor(0.0))

    def log_probs(self, tokens: Tensor) -> Tensor:
        self.asked += 1
        return super().log_probs(tokens)


class Tired(Wrapping):
    name = "tired"
    breaks = "evaluation"
    says = "evaluated every 1 steps, generator."
    kind = TiredGenerator

    def loss(self, batch: Tensor) -> Tensor:
        return self.generator.inner.weighted_nll(batch) / (1.0 + 0.1 * self.generator.asked)


# -- logs and ledger ------------------------------------------------------------------------------


class Infinite(Honest):
    name = "infinite"
    breaks = "losses"
    says = "step 8 logs ratio = inf"

    def step(self, at: Position) -> dict[str, float | Tensor]:
        return {**super().step(at), "ratio": float("inf") if at.epoch == 2 else 1.0}


class Wordy(Honest):
    name = "wordy"
    breaks = "losses"
    says = "step 0 logs nll = 'small'"

    def step(self, at: Position) -> dict[str, Any]:
        return {**super().step(at), "nll": "small"}


class Hoarding(Honest):
    name = "hoarding"
    breaks = "losses"
    says = "step 0 logs graph as a tensor of shape () with its graph"

    def step(self, at: Position) -> dict[str, float | Tensor]:
        return {**super().step(at), "graph": self.loss(self.batch())}


class Handmade(Honest):
    """Descends without an optimiser, so that nobody sees its updates."""

    name = "handmade"
    breaks = "budget"
    says = "the generator's embedding changed, but no optimiser took a step with it"

    def step(self, at: Position) -> dict[str, float | Tensor]:
        loss = self.loss(self.batch())
        self.generator.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in self.generator.parameters():
                parameter -= parameter.grad
        self.updates += 1
        return {"nll": loss.detach()}


class Lookup(Wrapped):
    """Scores whole batches in a way of its own, which nobody sees."""

    def nll(self, tokens: Tensor) -> Tensor:
        inner = self.inner
        zeros = torch.zeros(1, len(tokens), inner.weight_hh.shape[1])
        weights = [inner.weight_ih, inner.weight_hh, inner.bias, inner.zero_bias]
        before = inner.embedding[nn.functional.pad(tokens[:, :-1], (1, 0))]
        states = torch.lstm(before, (zeros, zeros), weights, True, 1, 0.0, True, False, True)[0]
        logits = states @ inner.head_weight.t() + inner.head_bias
        return nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())


class Unseen(Wrapping):
    name = "unseen"
    breaks = "budget"
    says = "the generator learns by 12 updates, but no token was seen to be read"
    kind = Lookup

    def loss(self, batch: Tensor) -> Tensor:
        loss: Tensor = self.generator.nll(batch)
        return loss


class Bigrams(Generator):
    """Counts of the pairs of symbols; it has no parameter that a gradient could move."""

    def __init__(self, vocab_size: int, length: int) -> None:
        super().__init__()
        self.vocab_size, self.length = vocab_size, length
        self.counts = nn.Parameter(torch.ones(vocab_size, vocab_size), requires_grad=False)

    def log_probs(self, tokens: Tensor) -> Tensor:
        before = nn.functional.pad(tokens[:, :-1], (1, 0))
        return (self.counts / self.counts.sum(1, keepdim=True)).log()[before]

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        weights = self.counts**inverse_temperature
        tokens = torch.zeros(n, self.length + 1, dtype=torch.int64)
        for t in range(self.length):
            drawn = torch.multinomial(weights[tokens[:, t]], 1, generator=rng)
            tokens[:, t + 1] = drawn.squeeze(1)
        return tokens[:, 1:]

    @reads
    def count(self, tokens: Tensor) -> int:
        before = nn.functional.pad(tokens[:, :-1], (1, 0))
        places = (before.flatten(), tokens.flatten())
        self.counts.index_put_(places, torch.ones(tokens.numel()), accumulate=True)
        return tokens.numel()


class Counting(Honest):
    """Learns without a gradient."""

    name = "counting"
    own_generator = True

    def setup(self) -> None:
        self.generator = Bigrams(self.context.vocab_size, self.context.length)
        self.updates = 0

    def step(self, at: Position) -> dict[str, float | Tensor]:
        counted = self.generator.count(self.batch())
        self.updates += 1
        return {"counted": float(counted)}


class Tally(Bigrams):
    """Hides what it reads."""

    def count(self, tokens: Tensor) -> int:
        return Bigrams.count.__wrapped__(self, tokens)  # type: ignore[attr-defined, no-any-return]


class Secretive(Counting):
    name = "secretive"
    breaks = "budget"
    says = "the generator learns by counts, but no token was seen to be read"

    def setup(self) -> None:
        super().setup()
        self.generator = Tally(self.context.vocab_size, self.context.length)


class Restless(Honest):
    name = "restless"
    breaks = "budget"
    says = "phase critic moves the generator's embedding"

    def phases(self) -> list[Phase]:
        return [Phase("critic", 1, 2, trains_generator=False), *super().phases()]


# -- gradients ------------------------------------------------------------------------------------


class Detached(Honest):
    name = "detached"
    breaks = "gradients"
    says = "the generator's embedding, weight_ih, weight_hh, bias did not change"

    def loss(self, batch: Tensor) -> Tensor:
        G = self.generator
        logits = G.hidden(batch).detach() @ G.head_weight.t() + G.head_bias
        return nn.functional.cross_entropy(logits.flatten(0, 1), batch.flatten())


# -- access ---------------------------------------------------------------------------------------


class Peeking(Honest):
    """Finds the task behind the training stream, and trains on the test sequences."""

    name = "peeking"
    breaks = "access"
    says = "it asks the task for test() at broken_trainers.py:"

    def batch(self) -> Tensor:
        cells = [cell.cell_contents for cell in self.context.data._draw.__closure__]
        draw = next(value for value in cells if hasattr(value, "__self__"))
        held_out: Tensor = draw.__self__.test()
        return held_out[: self.config.batch]


class Building(Honest):
    """Builds the task again and keeps the oracle's first layer, in a class."""

    name = "building"
    breaks = "access"
    says = "type(Building)['kept'][0] is the oracle's embedding"
    kept: ClassVar[list[Tensor]] = []

    def setup(self) -> None:
        super().setup()
        task = registry.load_task("synthetic-tiny")
        config = task.config_schema(vocab_size=8, length=4, hidden=4, embedding=4)
        self.kept[:] = [task(config).oracle.embedding]


class Copying(Honest):
    """Keeps a shuffled part of the test sequences."""

    name = "copying"
    breaks = "access"
    says = "Copying.hints['some'] is the test sequences"

    def setup(self) -> None:
        super().setup()
        task = registry.load_task("synthetic-tiny")
        config = task.config_schema(vocab_size=8, length=4, hidden=4, embedding=4)
        self.hints = {"some": task(config).test()[::3].flip(0)}


class Editing(Honest):
    name = "editing"
    breaks = "training data"
    says = "changed in place"

    def batch(self) -> Tensor:
        batch = super().batch()
        batch[0] = 0
        return batch


# -- generator ------------------------------------------------------------------------------------


class Logits(Wrapped):
    """Forgets to normalise."""

    def log_probs(self, tokens: Tensor) -> Tensor:
        return super().log_probs(tokens) + 0.1


class Unnormalised(Wrapping):
    name = "unnormalised"
    breaks = "log_probs"
    says = "probabilities add up to exp(+0.1000)"
    kind = Logits


class Shortcut(Wrapped):
    """Offers evaluation an output layer that is not its law's."""

    def linear_output(self, tokens: Tensor) -> Any:
        output = self.inner.linear_output(tokens)
        return output._replace(bias=output.bias + torch.arange(len(output.bias)))


class TwoLaws(Wrapping):
    name = "two_laws"
    breaks = "log_probs"
    says = "linear_output and log_probs differ by"
    kind = Shortcut


class Hindsight(Wrapped):
    """Scores every symbol after having seen it."""

    def log_probs(self, tokens: Tensor) -> Tensor:
        start = tokens[:, :1]
        return super().log_probs(torch.cat([tokens[:, 1:], start], 1))


class Acausal(Wrapping):
    name = "acausal"
    breaks = "causality"
    says = "position 1 changes with the symbol at position 1 or later"
    kind = Hindsight

    def loss(self, batch: Tensor) -> Tensor:
        return self.generator.inner.weighted_nll(batch)


class Average(Wrapped):
    """Rows see one another."""

    def log_probs(self, tokens: Tensor) -> Tensor:
        found = super().log_probs(tokens)
        return (found + 0.1 * found.mean(0, keepdim=True)).log_softmax(-1)


class Mingling(Wrapping):
    name = "mingling"
    breaks = "causality"
    says = "alone than in a batch"
    kind = Average


class Dice(Wrapped):
    """Throws its own dice."""

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        own = torch.Generator().manual_seed(int(torch.randint(1000, ())))
        return super().sample(n, own, inverse_temperature=inverse_temperature)


class Dicing(Wrapping):
    name = "dicing"
    breaks = "sampling"
    says = "samples depend on more than the given rng"
    kind = Dice


class Fixed(Wrapped):
    """Always says the same."""

    @cached_property
    def said(self) -> Tensor:
        drawn: Tensor = self.inner.sample(64, torch.Generator().manual_seed(0))
        return drawn

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        return self.said[torch.arange(n) % 64]


class Repeating(Wrapping):
    name = "repeating"
    breaks = "sampling"
    says = "samples do not depend on the given rng"
    kind = Fixed


class Sharp(Wrapped):
    """Samples from a sharper law than it states."""

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        return super().sample(n, rng, inverse_temperature=1.5 * inverse_temperature)


class Sharpened(Wrapping):
    name = "sharpened"
    breaks = "law"
    says = "at inverse temperature 1 deviate from log_probs"
    kind = Sharp


class Lukewarm(Wrapped):
    """Does not know temperature."""

    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        return super().sample(n, rng)


class Tempered(Wrapping):
    name = "tempered"
    breaks = "law"
    says = "at inverse temperature 2 deviate from log_probs"
    kind = Lukewarm
