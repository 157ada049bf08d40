"""What the published stores hold, as the tests of sentences ask for it."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import reproduction

from reports import PUBLISHED
from textbench import load_results


@functools.cache
def results(store: str) -> pd.DataFrame:
    """Return a published store's evaluations; nobody changes them."""
    return load_results(PUBLISHED / store)


def at_epoch(store: str, label: str, epoch: float) -> pd.DataFrame:
    """Return a row's evaluations at the end of an epoch: seeds by metrics."""
    frame = results(store)
    mine = frame[(frame["label"] == label) & ~frame["warmup"].astype(bool)]
    mine = mine[(mine["epoch"] == epoch) & ~mine["final"].astype(bool)]
    return mine.pivot(index="seed", columns="metric", values="value")


def paths(store: str) -> pd.DataFrame:
    """Return a store's evaluations along training: rows, seeds and epochs by metrics."""
    frame = results(store)
    frame = frame[~frame["final"].astype(bool) & ~frame["warmup"].astype(bool)]
    return frame.pivot_table(index=["label", "seed", "epoch"], columns="metric", values="value")


def ends(store: str) -> pd.DataFrame:
    """Return a store's final evaluations: rows and seeds by metrics."""
    frame = results(store)
    frame = frame[frame["final"].astype(bool) & ~frame["warmup"].astype(bool)]
    return frame.pivot_table(index=["label", "seed"], columns="metric", values="value")


def lowest(path: pd.DataFrame, metric: str = "nll_test") -> pd.DataFrame:
    """Return the evaluation of each seed of one row at which a metric is lowest."""
    return path.loc[path.groupby("seed")[metric].idxmin()]


def both(path: pd.DataFrame) -> pd.Series:
    return path["nll_oracle"] + path["nll_test"]


def pair_of(frame: pd.DataFrame) -> str:
    return " / ".join(f"{mean:.2f}" for mean in frame[["nll_oracle", "nll_test"]].mean())


@functools.cache
def qualities() -> pd.DataFrame:
    """Return BLEU-5 and Self-BLEU-5 of `coco` by row, seed and inverse temperature."""
    found = results("coco")
    found = found[found["final"] & found["metric"].isin(["bleu5", "self_bleu5"])]
    parts = found["label"].astype(str).str.partition(" alpha=")
    found = found.assign(row=parts[0], alpha=parts[2].where(parts[2] != "", "1").astype(float))
    return found.pivot_table(index=["row", "seed", "alpha"], columns="metric", values="value")


def more_alike(row: str, seed: int, mle: int, first: float = 0.8) -> list[float]:
    """Return how much more alike a run's samples are than those of a seed of MLE of equal BLEU-5.

    At each inverse temperature from ``first`` on at which MLE's, joined by lines, reach it.
    """
    own = qualities().loc[row, seed].loc[first:]
    line = qualities().loc["mle", mle].sort_values("bleu5")
    assert list(own.index) == [a for a in (0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0) if a >= first]
    nowhere = {"left": np.nan, "right": np.nan}
    other = np.interp(own["bleu5"], line["bleu5"], line["self_bleu5"], **nowhere)
    return [float(one) for one in (own["self_bleu5"] - other).dropna()]


def in_short() -> str:
    """Return what a reader of ten minutes reads of that page."""
    page = reproduction.PAGE.read_text()
    return " ".join(page.partition("## In short")[2].partition("\n## ")[0].split())


def on_the_page() -> str:
    return " ".join(reproduction.PAGE.read_text().split())
