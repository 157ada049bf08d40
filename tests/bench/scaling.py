"""How the cost of the shared backbone grows, as Markdown tables (those of docs/performance.md).

    python tests/bench/scaling.py [--axis vocabulary|length|state|batch]

Around the paper's sizes (V = 5,000, T = 20, embedding and state 32, 64 sequences) one size changes
at a time. Processor time in ms, the least of several calls, and the share of the floor (`floors`)
that it reaches.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from floors import Model, Rates, Work, measured_rates
from torch.nn.utils import clip_grad_norm_

from textbench.backbone.losses import linear_kl_rows
from textbench.backbone.lstm import LSTMLanguageModel


@dataclass(frozen=True)
class Sizes:
    """One row of a table."""

    vocabulary: int = 5000
    length: int = 20
    state: int = 32
    batch: int = 64


AXES = {
    "vocabulary": (1000, 2000, 5000, 10_000, 20_000, 50_000),
    "length": (20, 37, 51, 100),
    "state": (16, 32, 64, 128, 256),
    "batch": (16, 64, 256),
}


def model(sizes: Sizes, width: int) -> LSTMLanguageModel:
    """Build a language model whose embedding and state have this width."""
    made = LSTMLanguageModel(sizes.vocabulary, sizes.length, width, width)
    made.initialise(torch.Generator().manual_seed(0))
    return made


def parts(sizes: Sizes) -> Iterator[tuple[str, Callable[[], object], Work]]:
    """Yield what is measured: a name, a function, its floor's work."""
    rng = torch.Generator().manual_seed(1)
    tokens = torch.randint(sizes.vocabulary, (sizes.batch, sizes.length), generator=rng)
    G, M = model(sizes, sizes.state), model(sizes, 2 * sizes.state)
    generator = Model(sizes.vocabulary, sizes.state, sizes.state)
    mediator = Model(sizes.vocabulary, 2 * sizes.state, 2 * sizes.state)
    optimiser = torch.optim.Adam(G.parameters(), fused=True)

    def descend(loss: torch.Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        clip_grad_norm_(G.parameters(), 5.0)
        optimiser.step()

    def likelihood() -> None:
        descend(G.weighted_nll(tokens))

    def divergence() -> None:
        with torch.no_grad():
            h = M.hidden(tokens).flatten(0, 1)
        own = G.hidden(tokens).flatten(0, 1)
        other = (h, M.head_weight, M.head_bias)
        descend(linear_kl_rows(own, G.head_weight, G.head_bias, other)[0] / sizes.batch)

    n = tokens.numel()
    yield "likelihood update", likelihood, generator.update(n)
    yield "KL update", divergence, generator.follow(mediator, n)
    yield "sampling", lambda: G.sample(sizes.batch, rng), generator.sample(n)


def seconds(function: Callable[[], object], budget: float = 1.5) -> float:
    """Return the least processor time of a call."""
    function()
    found, begin = [], time.process_time()
    while len(found) < 3 or time.process_time() - begin < budget:
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return min(found)


def table(axis: str, values: Iterable[int], rates: Rates) -> Iterator[str]:
    """Yield the lines of one table."""
    for number, value in enumerate(values):
        sizes = replace(Sizes(), **{axis: value})
        cells = [f"{value:,}"]
        names = []
        for name, function, work in parts(sizes):
            taken = seconds(function)
            names.append(name)
            cells.append(f"{1e3 * taken:.1f} ({work.seconds(rates) / taken:.0%})")
        if not number:
            yield "| " + " | ".join([axis, *names]) + " |"
            yield "|" + "---:|" * (len(names) + 1)
        yield "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--axis", choices=AXES, action="append", help="all by default")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rates = measured_rates()
    for _ in range(4):
        rates = rates.best(measured_rates())
    print(f"One core: {rates}.\n")
    for axis in options.axis or AXES:
        for line in table(axis, AXES[axis], rates):
            print(line, flush=True)
        print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
