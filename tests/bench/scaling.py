"""How the cost of the shared backbone grows: the tables and the figure of docs/performance.md.

    python tests/bench/scaling.py [--axis vocabulary|length|state|batch|runs] [--figure FILE]

Around the paper's sizes (V = 5,000, T = 20, embedding and state 32, 64 sequences) one size changes
at a time. Processor time in ms, the least of several calls, and the share of the floor (`floors`)
that it reaches. Of several runs at once it is the mean time on the clock, the slowest run's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

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
    "runs": (1, 2, 4),
}


class Point(NamedTuple):
    """What a part takes at one place of an axis."""

    part: str
    value: int
    seconds: float
    floor: float
    """Seconds."""


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


def _run(part: int, begin: Barrier, found: SimpleQueue[float], budget: float = 3.0) -> None:
    """Be one of several runs: report the mean time on the clock of a call."""
    torch.set_num_threads(1)
    _, function, _ = [*parts(Sizes())][part]
    function()
    begin.wait()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < budget:
        function()
        calls += 1
    found.put((time.perf_counter() - start) / calls)


def at_once(count: int, part: int) -> float:
    """Return the seconds of a call on the clock where so many processes make one; the slowest's."""
    context = multiprocessing.get_context("spawn")
    begin, found = context.Barrier(count), context.SimpleQueue()
    runs = [context.Process(target=_run, args=(part, begin, found)) for _ in range(count)]
    for run in runs:
        run.start()
    taken = [found.get() for _ in runs]
    for run in runs:
        run.join()
    return max(taken)


def measured(axis: str, value: int, rates: Rates) -> Iterator[Point]:
    """Yield what each part takes at one place of an axis."""
    sizes = Sizes() if axis == "runs" else replace(Sizes(), **{axis: value})
    for number, (name, function, work) in enumerate(parts(sizes)):
        taken = at_once(value, number) if axis == "runs" else seconds(function)
        yield Point(name, value, taken, work.seconds(rates))


def table(axis: str, points: Sequence[Point]) -> Iterator[str]:
    """Yield the lines of one table."""
    names = list(dict.fromkeys(point.part for point in points))
    yield "| " + " | ".join([axis, *names]) + " |"
    yield "|" + "---:|" * (len(names) + 1)
    for value in dict.fromkeys(point.value for point in points):
        row = [point for point in points if point.value == value]
        cells = (
            f"{1e3 * p.seconds:.1f}" + f" ({p.floor / p.seconds:.0%})" * (axis != "runs")
            for p in row
        )
        yield "| " + " | ".join([f"{value:,}", *cells]) + " |"


def draw(found: Mapping[str, Sequence[Point]], file: Path) -> None:
    """Draw a panel per axis: each part's time as a line, its floor dashed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(found), 3.0), layout="constrained")
    for ax, (axis, points) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        for number, name in enumerate(dict.fromkeys(point.part for point in points)):
            mine = [point for point in points if point.part == name]
            x, y = [p.value for p in mine], [1e3 * p.seconds for p in mine]
            ax.plot(x, y, "o-", color=f"C{number}", markersize=3, label=name)
            if axis != "runs":
                ax.plot(x, [1e3 * p.floor for p in mine], "--", color=f"C{number}", linewidth=0.8)
        ax.set(
            xscale="log",
            yscale="log",
            xlabel=axis,
            title=f"{axis} (floor dashed)" * (axis != "runs") or axis,
        )
        ax.set_xticks(x, [f"{value:,}" for value in x], rotation=45)
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel("ms")
    first.legend(fontsize=7)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--axis", choices=AXES, action="append", help="all by default")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw them, too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rates = measured_rates()
    for _ in range(4):
        rates = rates.best(measured_rates())
    print(f"One core: {rates}; {os.cpu_count()} cores.\n")
    found: dict[str, list[Point]] = {}
    for axis in options.axis or AXES:
        found[axis] = [p for value in AXES[axis] for p in measured(axis, value, rates)]
        print("\n".join(table(axis, found[axis])), end="\n\n", flush=True)
    if options.figure:
        draw(found, options.figure)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
