"""Learning curves from data.csv, to be edited: `python figures.py` writes figures.pdf.

Needs pandas and matplotlib. One line per algorithm: mean and standard deviation over the seeds
that reached an epoch; runs that failed or diverged are left out.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

HERE = Path(__file__).parent
TASK, PRESET = "synthetic", "paper"
METRICS = ["nll_oracle", "jsd_stepwise", "bleu5", "self_bleu5", "lm_score", "reverse_lm_score", "nll_test"]
X = "epoch"  # or seconds, generator_updates, critic_updates, tokens_sampled, tokens_scored

text = ["overrides", "preset", "reason", "na_reason", "protocol"]
data = pd.read_csv(HERE / "data.csv", dtype=dict.fromkeys(text, "str"))
data[text] = data[text].fillna("")
data = data[(data["task"] == TASK) & (data["preset"] == PRESET)]
data = data[~data["status"].isin(["failed", "diverged"]) & ~data["final"] & ~data["warmup"]]

figure, axes = plt.subplots(1, len(METRICS), figsize=(4.2 * len(METRICS), 3.4), squeeze=False)
for ax, metric in zip(axes[0], METRICS):
    rows = data[data["metric"] == metric]
    for (label, overrides, group), runs in rows.groupby(["label", "overrides", "group"]):
        by_epoch = runs.groupby("epoch")
        at, mean, sd = by_epoch[X].mean(), by_epoch["value"].mean(), by_epoch["value"].std().fillna(0)
        (line,) = ax.plot(at, mean, label=f"{label} {overrides}".strip())
        ax.fill_between(at, mean - sd, mean + sd, color=line.get_color(), alpha=0.15, linewidth=0)
    ax.set_xlabel(X)
    ax.set_ylabel(metric)
    ax.grid(alpha=0.3)
axes[0][0].legend(frameon=False)
figure.tight_layout()
figure.savefig(HERE / "figures.pdf")
