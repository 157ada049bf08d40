"""A performance profile: the share of targets that a row meets within a factor of the cheapest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from textbench.judge.power import LEAST as SEEDS
from textbench.judge.target_costs import performance_profile
from textbench.judge.targets import COSTS
from textbench.report.figures import laid_out
from textbench.report.panels import Drawn, Strip, add_legend, figure_of
from textbench.report.sections import Section
from textbench.report.styles import Style, Styles, look, plain
from textbench.report.targets import TITLES, TargetTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = "Performance profile over targets"
CSV_COLUMNS = ("cost", "row", "label", "options", "group", "tau", "share")
LEAST = 2
"""Targets, and rows, below which there is nothing to compare."""
WIDE = 10
"""Factors up to which τ has a linear scale."""
APART = 0.008
"""By how much of the height a line is set off the one before it."""


def build(tables: Sequence[TargetTable]) -> tuple[pd.DataFrame, str]:
    """Return the steps of all rows that compete, with `CSV_COLUMNS`, or why there are none."""
    shown = [table for table in tables if len(table.rows)]
    if len(shown) < LEAST:
        return _none(f"it takes {LEAST} targets, not {len(shown)}")
    rows = pd.concat([table.rows[table.rows["competes"]] for table in shown])
    met = rows[rows["reached"] > 0]["at"].nunique()
    if met < LEAST:
        return _none(f"it takes {LEAST} rows that reach a target, and there is {met}")
    costs = [cost for cost in COSTS if rows[cost].notna().all()]
    if not costs:
        return _none("no cost is on record for all rows")
    parts = [performance_profile(rows, cost, by=["at"]).assign(cost=cost) for cost in costs]
    steps = pd.concat(parts, ignore_index=True)
    about = shown[0].section.rows.loc[steps["at"]]
    for key, column in (("row", "title"), *((k, k) for k in ("label", "options", "group"))):
        steps[key] = about[column].to_numpy()
    return steps, ""


def _none(why: str) -> tuple[pd.DataFrame, str]:
    return pd.DataFrame(columns=["at", *CSV_COLUMNS]), f"No performance profile: {why}."


def caption(tables: Sequence[TargetTable], drawn: Drawn) -> str:
    """Return the sentences under the figure."""
    names = " and ".join(f"“{table.target.title}”" for table in tables if len(table.rows))
    told = (
        f"Share of the targets {names} that a row's median seed meets at no more than τ times the "
        "cost of the cheapest row (Dolan and Moré, 2002): the further up and left, the better. "
        "Lines are set a little apart, so that none hides another."
    )
    if few := [title for title in _of_few_seeds(tables) if title not in drawn.stubs]:
        told += f" Fewer than {SEEDS} seeds, of which nothing may be concluded: {', '.join(few)}."
    # Where the cheapest row paid nothing, no factor of that is another row's cost.
    none = f" Not drawn, as their median seed meets none at any τ: {', '.join(drawn.stubs)}."
    return told + (none if drawn.stubs else "")


def _of_few_seeds(tables: Sequence[TargetTable]) -> list[str]:
    """Return the titles of the rows that compete with too few seeds at some target."""
    found: dict[str, None] = {}
    for table in tables:
        if len(table.rows):
            few = table.rows[table.rows["competes"] & (table.rows["seeds"] < SEEDS)]
            found |= dict.fromkeys(table.section.rows.loc[few["at"], "title"])
    return list(found)


def draw(steps: pd.DataFrame, section: Section, styles: Styles) -> Drawn:
    """Draw a panel per cost; rows that meet no target are named and not drawn."""
    best = steps.groupby("at", observed=True)["share"].max()
    drawn = [at for at in section.rows.index if best.get(at, 0.0) > 0]
    costs = list(dict.fromkeys(steps["cost"]))
    titles = section.rows["title"]
    with look(styles.fonts.families):
        strip = Strip("", tuple(titles[at] for at in drawn), len(costs))
        figure, [(part, axes)] = figure_of([strip], 4.0, 2.9)
        looks = styles.of(section)
        for ax, cost in zip(axes, costs, strict=True):
            mine = steps[steps["cost"] == cost]
            for place, at in enumerate(drawn):
                _step(ax, mine[mine["at"] == at], place, looks[at], titles[at])
            _finish(ax, cost, float(mine["tau"].max()))
        add_legend(part, axes, strip, figure.get_figwidth())
        return laid_out(Drawn(figure, tuple(titles[at] for at in best.index[best == 0.0])))


def _step(ax: Axes, own: pd.DataFrame, place: int, style: Style, title: str) -> None:
    tau, share = (own[key].to_numpy(float) for key in ("tau", "share"))
    end = 1.3 * tau.max()
    line = ax.step(
        *(np.append(tau, end), np.append(share, share[-1]) - APART * place),
        where="post",
        color=style.colour,
        label=plain(title),
    )[0]
    if style.dash:
        line.set_dashes(style.dash)


def _finish(ax: Axes, cost: str, last: float) -> None:
    from matplotlib.ticker import FuncFormatter

    if last > WIDE:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda tau, _: f"{tau:g}"))
    ax.set(xlim=(1, 1.3 * last), ylim=(-0.1, 1.05))
    ax.set_xlabel(f"τ, in {TITLES[cost]}")
    ax.set_ylabel("share of targets")
