"""The ledger and the clock of a run: what counts, what does not, and what a warm-up adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ledgers import spent
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.optim import optimizer

from textbench.backbone.generator import Generator
from textbench.contracts.config import Config
from textbench.contracts.trainer import Context, Phase, Position, Trainer
from textbench.plan.resolve import Request, expand
from textbench.run import clock, worker
from textbench.run.conditions import Conditions
from textbench.run.meter import Meter
from textbench.store.directory import RunDirectory

SMALL = (
    *("synthetic-tiny.train_size=64", "synthetic-tiny.test_size=32"),
    *("synthetic-tiny.validation_size=32", "synthetic-tiny.length=4"),
    *("evaluation.samples=32", "evaluation.final_samples=32"),
)
SCHEDULES = {
    "mle": ("mle.epochs=2", "mle.batch=16"),
    "mle:fresh": ("mle.epochs=2", "mle.batch=16"),
    "seqgan": (
        *("seqgan.warmup_epochs=2", "mle.batch=16", "seqgan.rounds=3", "seqgan.batch=8"),
        *("seqgan.d_pretrain=2", "seqgan.d_samples=8", "seqgan.d_batch=4", "seqgan.rollouts=2"),
    ),
}
T, STEP = 4, Position("train", 0, 0)
CPU = Conditions(torch.device("cpu"))


def train(results: Path, row: str, *settings: str) -> RunDirectory:
    """Train a row, its warm-up included, in this process."""
    request = Request(
        algos=row, task="synthetic-tiny", preset="ci", settings=[*SMALL, *SCHEDULES[row], *settings]
    )
    spec = expand(request)[-1]
    directory = RunDirectory(spec.directory(results))
    directory.create(spec)
    assert worker.execute(directory, CPU) == 0, directory.status().reason
    return directory


# -- what counts ----------------------------------------------------------------------------------


def test_evaluations_are_no_cost_of_training(tmp_path: Path) -> None:
    """Four updates a pass on 16 sequences of 4 tokens, however often and on how many samples."""
    often = ("evaluation.every_steps=1", "evaluation.samples=64", "evaluation.final_samples=64")
    for number, settings in enumerate([(), often]):
        rows = train(tmp_path / str(number), "mle", *settings).rows("metrics.jsonl")
        assert len(rows) == (4, 10)[number]
        for row in rows:
            assert row["ledger"] == {
                "generator_updates": row["step"],
                "critic_updates": 0,
                "tokens_sampled": 0,
                "tokens_scored": row["step"] * 16 * T,
            }


def test_fresh_training_data_are_no_cost_of_training(tmp_path: Path) -> None:
    """The oracle draws them while a step goes on."""
    last = train(tmp_path, "mle:fresh").rows("metrics.jsonl")[-1]
    assert last["ledger"]["tokens_sampled"] == 0
    assert last["ledger"]["tokens_scored"] == 8 * 16 * T


def test_the_training_log_has_the_ledger_of_each_epoch(tmp_path: Path) -> None:
    logged = [row for row in train(tmp_path, "mle").rows("curve.jsonl") if row["kind"] == "epoch"]
    assert [row["ledger"]["generator_updates"] for row in logged] == [4, 8]


# -- what a warm-up adds --------------------------------------------------------------------------


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look at a watch in the clock's own module last a second, of either kind."""
    ticks = iter(range(1_000_000))

    class Time:
        perf_counter = staticmethod(lambda: float(next(ticks)))
        process_time = staticmethod(lambda: 0.5 * next(ticks))

    monkeypatch.setattr(clock, "time", Time)


def own_cost(directory: RunDirectory) -> tuple[dict[str, int], int]:
    """Return what the trainer itself spends from its warmed-up generator on, and its steps."""
    run = worker.prepare(directory, CPU)
    run.trainer.setup()
    steps = [run.schedule.at(step) for step in range(run.schedule.total)]
    return spent(run.trainer, *steps), len(steps)


@pytest.mark.usefixtures("ticking")
def test_ledger_and_clock_go_on_from_where_the_warm_up_ended(tmp_path: Path) -> None:
    directory = train(tmp_path, "seqgan")
    (warmed,) = tmp_path.glob("*/mle/*")
    before = RunDirectory(warmed).rows("metrics.jsonl")[-1]
    last = directory.rows("metrics.jsonl")[-1]
    own, steps = own_cost(directory)
    assert min(own.values()) > 0
    assert last["ledger"] == {name: before["ledger"][name] + own[name] for name in own}
    # A step is from one look at each watch to the next: two seconds, and one of the processor.
    assert (before["seconds"], before["cpu_seconds"]) == (2.0 * 8, 1.0 * 8)
    assert (last["seconds"], last["cpu_seconds"]) == (2.0 * (8 + steps), 1.0 * (8 + steps))
    logged = [row for row in directory.rows("curve.jsonl") if row["kind"] == "epoch"]
    assert sum(row["seconds"] for row in logged) == 2.0 * steps  # an epoch's seconds are its own
    assert logged[0]["ledger"]["generator_updates"] == before["ledger"]["generator_updates"]
    assert logged[-1]["ledger"] == last["ledger"]


# -- a trainer that knows nothing of it -----------------------------------------------------------


class Naive(Generator):
    """Independent symbols; samples by asking for all conditionals again and again."""

    def __init__(self, vocab_size: int, length: int) -> None:
        super().__init__()
        self.vocab_size, self.length = vocab_size, length
        self.logits = nn.Parameter(torch.zeros(vocab_size))

    def log_probs(self, tokens: Tensor) -> Tensor:
        return self.logits.log_softmax(0).expand(*tokens.shape, -1)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, *, inverse_temperature: float = 1.0) -> Tensor:
        tokens = torch.zeros(n, self.length, dtype=torch.int64)
        for t in range(self.length):
            p = self.log_probs(tokens)[:, t].exp()
            tokens[:, t] = torch.multinomial(p, 1, generator=rng).squeeze(1)
        return tokens


class Judge(nn.Module):
    """Reads symbols in an embedding of torch's own, once for each of two looks."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        looked: Tensor = self.embedding(tokens)
        return looked.mean((1, 2))


class Sorted(nn.Module):
    """Reads symbols without any embedding."""

    def forward(self, tokens: Tensor, labels: Tensor) -> Tensor:
        return (tokens.sort(1).values == labels).float().mean(1)


class Unaware(Trainer[Config]):
    """Does what plugins do; says nothing of what it costs."""

    name = "unaware"
    config_schema = Config

    def phases(self) -> list[Phase]:
        return [Phase("train", 1, 3)]

    def setup(self) -> None:
        self.generator: Any = Naive(self.context.vocab_size, self.context.length)
        self.judge, self.other = Judge(self.context.vocab_size), Sorted()
        self.mine = torch.optim.SGD(self.generator.parameters(), lr=0.1)
        self.theirs = torch.optim.RMSprop(self.judge.parameters(), lr=0.1)
        self.seen = self.generator.sample(2, self.context.rng)

    def step(self, at: Position) -> dict[str, float | Tensor]:
        x = self.generator.sample(5, self.context.rng)
        self.theirs.zero_grad()
        self.judge(x).sum().backward()
        self.theirs.step()
        self.other(x, labels=x)
        nn.functional.one_hot(x)
        loss = -self.generator.log_probs(tokens=x).mean()
        loss.backward()
        self.mine.step()
        return {"nll": loss.detach()}


@pytest.fixture
def unaware(make_context: Callable[..., Context]) -> Unaware:
    trainer = Unaware(Config(), make_context(4, 3))
    trainer.setup()
    return trainer


def test_a_plugins_own_models_and_optimisers_are_counted(unaware: Unaware) -> None:
    """Two critics and the generator read 5 x 3 tokens; a naive sampler's reading is its draw."""
    assert spent(unaware, STEP, STEP) == {
        "generator_updates": 2,
        "critic_updates": 2,
        "tokens_sampled": 2 * 15,
        "tokens_scored": 2 * 3 * 15,
    }


def test_setting_up_counts(make_context: Callable[..., Context]) -> None:
    trainer = Unaware(Config(), make_context(4, 3))
    meter = Meter(trainer)
    with meter:
        trainer.setup()
    assert meter.ledger["tokens_sampled"] == 2 * 3
    assert meter.ledger["tokens_scored"] == 0


@pytest.fixture
def no_hooks() -> Iterator[None]:
    """Nothing is left behind, neither in torch nor in the ledger that is open."""
    yield
    assert not hooks._global_forward_hooks
    assert not hooks._global_forward_pre_hooks
    assert not optimizer._global_optimizer_post_hooks


@pytest.mark.usefixtures("no_hooks")
def test_a_step_that_fails_leaves_the_meter_in_order(
    unaware: Unaware, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(tokens: Tensor) -> Tensor:
        raise ZeroDivisionError

    meter = Meter(unaware)
    with monkeypatch.context() as patch:
        patch.setattr(unaware.judge.embedding, "forward", broken)
        with pytest.raises(ZeroDivisionError), meter:
            unaware.step(STEP)
    failed = dict(meter.ledger)
    assert failed["tokens_sampled"] == 15
    unaware.step(STEP)
    assert meter.ledger == failed
    with meter:
        unaware.step(STEP)
    assert meter.ledger["tokens_scored"] - failed["tokens_scored"] == 3 * 15
