"""Learning curves from data.csv, to be edited: `python figures.py` writes figures.pdf.

Needs pandas and seaborn. One line per algorithm: mean and standard deviation over the seeds
that reached an epoch; runs that failed or diverged are left out.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

HERE = Path(__file__).parent
TASK, PRESET = "synthetic", "quick"
METRICS = ["nll_oracle", "nll_test", "jsd_stepwise", "bleu5", "self_bleu5", "lm_score", "reverse_lm_score"]
X = "epoch"  # or seconds, generator_updates, critic_updates, tokens_sampled, tokens_scored

text = ["overrides", "preset", "reason", "na_reason", "protocol"]
data = pd.read_csv(HERE / "data.csv", dtype=dict.fromkeys(text, "str"))
data[text] = data[text].fillna("")
data = data[(data["task"] == TASK) & (data["preset"] == PRESET)]
data = data[~data["status"].isin(["failed", "diverged"]) & ~data["final"] & ~data["warmup"]]

data["row"] = (data["label"] + " " + data["overrides"]).str.strip()
namesakes = data.groupby("row")["group"].transform("nunique") > 1
data.loc[namesakes, "row"] += " " + data["group"]

METRICS = [metric for metric in METRICS if (data["metric"] == metric).any()]

sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
figure, axes = plt.subplots(1, len(METRICS), figsize=(4.2 * len(METRICS), 3.4), squeeze=False)
for ax, metric in zip(axes[0], METRICS):
    rows = data[data["metric"] == metric].copy()
    # Seeds meet at an epoch; on another axis it stands at the mean of where they were.
    rows[X] = rows.groupby(["group", "epoch"])[X].transform("mean")
    order, first = list(data["row"].unique()), ax is axes[0][0]
    sns.lineplot(
        rows, x=X, y="value", hue="row", hue_order=order, errorbar="sd", legend=first, ax=ax
    )
    ax.set(xlabel=X, ylabel=metric)
axes[0][0].legend(frameon=False)
figure.tight_layout()
figure.savefig(HERE / "figures.pdf")
