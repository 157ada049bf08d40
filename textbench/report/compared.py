"""A comparison of two stores as Markdown, to be pasted into a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from textbench.contracts.plain import grouped
from textbench.judge.comparison import Compared, Comparison, Power
from textbench.judge.stats import Summary
from textbench.judge.tolerance import Verdict
from textbench.report import provenance
from textbench.report.markup import MINUS, MISSING, render
from textbench.store.read import Results

VERDICTS: dict[Verdict, str] = {
    "identical": "identical to the bit",
    "within": "within tolerance",
    "better": "better than tolerance",
    "worse": "worse",
    "changed": "changed",
    "unjudged": "not judged",
}
FACTS = ("commit", "torch", "cpu", "device")


def to_markdown(found: Comparison, stores: Iterable[tuple[str, Results]], strict: bool) -> str:
    """Return the summary.

    Args:
        found: What was compared.
        stores: BASE and NEW, each as the user named it.
        strict: Whether what is missing or cannot be judged counts as a regression.
    """
    counts = Counter(one.judgement.verdict for one in found.compared)
    context = {
        "headline": _headline(found, strict),
        "stores": [_store(role, *one) for role, one in zip(("BASE", "NEW"), stores, strict=True)],
        "count": len(found.compared),
        "counts": ", ".join(f"{counts[v]} {text}" for v, text in VERDICTS.items() if counts[v]),
        "alarms": [_line(one) for one in found.alarms],
        "better": [_line(one) for one in found.compared if one.judgement.verdict == "better"],
        "all": [_line(one) for one in found.compared],
        "strayed": [_line(one) for one in found.strayed],
        "power": [_power(one) for one in found.power],
        "found": found,
        "unjudged": _unjudged(found),
        "level": f"{found.level:.0%}",
        "strict": strict,
    }
    return render("compared.md.jinja", context)


def _headline(found: Comparison, strict: bool) -> str:
    if found.regressions:
        return f"{found.regressions} regression{'s' * (found.regressions != 1)}"
    if strict and found.incomplete:
        return "Incomplete, which --strict does not allow"
    if not found.judged:
        return f"Nothing{' that differs' * found.identical} could be judged"
    unjudged = f"{len(found.unjudged)} of {len(found.compared)} numbers not judged"
    limits = [f" in what could be judged: {unjudged}"] if found.unjudged else []
    limits += [", but trained with other options"] if found.altered else []
    return "No regression" + "".join(limits)


def _store(role: str, name: str, store: Results) -> dict[str, str]:
    starts = [start for run in store.runs for start in run.starts]
    facts = dict(provenance.facts(starts))
    made = "; ".join(f"{key} {facts[key]}" for key in FACTS if key in facts)
    statuses = provenance.statuses(run.status.status for run in store.runs)
    runs = f"{len(store.runs)} run(s): {statuses}"
    return {"role": role, "name": name, "runs": runs, "made": made}


def _line(one: Compared) -> dict[str, object]:
    number, judgement = one
    seeds = f"{judgement.base.n} / {judgement.every.n}"
    repeated = judgement.every.n - judgement.new.n
    of = f" ({judgement.new.n} new seed{'s' * (judgement.new.n != 1)})" if repeated else ""
    return {
        "algorithm": number.row,
        "task": number.task,
        "metric": number.metric,
        "seeds": seeds + (f" ({judgement.paired} in both)" if judgement.paired else ""),
        "base": _mean(judgement.base),
        "new": _mean(judgement.every),
        "difference": _number(judgement.difference, signed=True) + of,
        "tolerance": _number(judgement.tolerance),
        "verdict": VERDICTS[judgement.verdict] + _strayed(judgement.strayed),
        "direction": {"none": "neither"}.get(number.direction, number.direction),
    }


def _power(found: Power) -> str:
    sizes = f"{found.base} seed{'s' * (found.base != 1)} against {found.new}"
    numbers = f"{found.numbers:,} number{'s' * (found.numbers != 1)} judged together"
    if found.new == 1:
        return (
            f"{sizes}, {numbers}: one new seed is never a regression; it is reported where it lies "
            f"{found.spreads:.1f} standard deviations between seeds off"
        )
    return (
        f"{sizes}, {numbers}: a change of {found.spreads:.1f} standard deviations between seeds is "
        "noticed four times in five, a smaller one more rarely"
    )


def _strayed(seeds: tuple[int, ...]) -> str:
    return (
        f" (broke out: seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})" if seeds else ""
    )


def _mean(summary: Summary) -> str:
    spread = _number(summary.sd)
    return _number(summary.mean) + (f" ± {spread}" if spread != MISSING else "")


def _number(value: float, *, signed: bool = False) -> str:
    if value != value:  # NaN
        return MISSING
    return f"{value:{'+' if signed and value else ''}.4g}".replace("-", MINUS)


def _unjudged(found: Comparison) -> list[str]:
    """Say once per row which of its metrics have no spread to judge them by."""
    rows = grouped(((one.row, one.task), one.metric) for one, _ in found.unjudged)
    return [f"{row} ({task}): {', '.join(metrics)}" for (row, task), metrics in rows.items()]
