"""Do the paper's claims in words hold? Two answers: in the runs at hand, and of the paper.

*Here*: every comparison that a claim makes is a difference seed by seed, tested, and corrected by
Holm's method over all comparisons of the claim. It holds if all of them (or most) are significant
in the paper's direction, and does not hold if one is in the other; else it is undecided, with what
would decide. *Of the paper*: the same word, if the runs were trained as the paper's were; else
"not comparable", with every reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import pandas as pd

from textbench.contracts.plain import grouped
from textbench.judge.comparable import reasons
from textbench.judge.contestants import Contestant
from textbench.judge.contests import Contest, contests
from textbench.judge.published import Column, Protocol, protocols
from textbench.judge.sections import Section
from textbench.judge.statements import Claim

Answer = Literal["holds", "does not hold", "undecided", "not run", "not comparable"]
ANSWERS: tuple[Answer, ...] = ("holds", "does not hold", "undecided", "not comparable", "not run")


@dataclass(frozen=True)
class Judged:
    """What our runs say about one claim."""

    section: str
    """Task and preset; empty where nothing of the task was run."""
    id: str
    text: str
    quote: str
    source: str
    subject: str
    """Which of our rows stands for the paper's."""
    here: Answer
    here_why: str
    paper: Answer
    paper_why: str
    n: int = 0
    """Seeds of the smallest comparison that was made."""
    schedules: str = ""
    """How long each row was trained."""
    selected: str = ""
    """Of a best: that it was selected on test data, and the grid of evaluations."""
    needs: str = ""
    """What it takes to judge the claim."""


def judge_claims(there: Sequence[Section], chosen: Sequence[Claim]) -> pd.DataFrame:
    """Judge claims in every section of their tasks.

    Returns:
        The fields of `Judged` as columns, one row per section, claim and subject.
    """
    verdicts: list[Judged] = []
    for claim in chosen:
        protocol = protocols()[claim.protocol]
        mine = [section for section in there if section.task == protocol.task]
        for section in mine:
            verdicts += _in_section(claim, protocol, section)
        if not mine:
            verdicts.append(_verdict(claim, "", "", "not run", "nothing of its task was run"))
    lines = [asdict(one) for one in verdicts]
    return pd.DataFrame(lines, columns=list(Judged.__dataclass_fields__))


def _verdict(claim: Claim, section: str, subject: str, here: Answer, why: str) -> Judged:
    return Judged(
        *(section, claim.id, claim.text, claim.quote, claim.source, subject),
        *(here, why, here, why),
        needs=claim.needs,
    )


def _in_section(claim: Claim, protocol: Protocol, section: Section) -> Iterator[Judged]:
    """Yield a verdict for each subject that was run; for all of them if they go together."""
    sides = {one: Contestant.of(one, section) for one in (*claim.subjects, *claim.others)}
    run = [one for one in claim.subjects if sides[one].lines]
    if not run:
        why = "; ".join(sides[one].absent for one in claim.subjects)
        yield _verdict(claim, section.title, "", "not run", why)
        return
    for group in [run] if claim.together else [[one] for one in run]:
        fought = contests(claim, sides, group, section)
        subject = ", ".join(sides[one].name for one in group)
        here, why = answer(claim, fought)
        used = [side for one, side in sides.items() if side.lines and one not in run]
        used += [sides[one] for one in group]
        paper, paper_why = _of_the_paper(claim, protocol, used, here, why)
        grids = "; ".join(dict.fromkeys(grid for contest in fought for grid in contest.grid))
        yield replace(
            _verdict(claim, section.title, subject, here, why),
            paper=paper,
            paper_why=paper_why,
            n=min((one.n for one in fought if one.n), default=0),
            schedules="; ".join(dict.fromkeys(side.schedules for side in used)),
            selected=f"the best is selected on test data, from {grids}" if grids else "",
        )


# -- here ------------------------------------------------------------------------------------


def answer(claim: Claim, fought: Sequence[Contest]) -> tuple[Answer, str]:
    """Combine a claim's comparisons into one answer and its reason."""
    if all(contest.answer == "not run" for contest in fought):
        return "not run", _why(fought, "not run")
    if claim.rule == "most":
        return _most(fought)
    if not claim.together:
        return _all(fought)
    found = [_one_of(same) for same in grouped((one.measure, one) for one in fought).values()]
    words = [word for word, _ in found]
    decided: Answer = "holds" if set(words) == {"holds"} else "undecided"
    decided = "does not hold" if "does not hold" in words else decided
    return decided, "; ".join(why for word, why in found if word == decided or decided == "holds")


def _one_of(fought: Sequence[Contest]) -> tuple[Answer, str]:
    """Answer for one measure where any of several subjects may win."""
    found = [_all(mine) for mine in grouped((one.subject, one) for one in fought).values()]
    return min(found, key=lambda one: ("holds", "undecided", "does not hold").index(one[0]))


def _all(fought: Sequence[Contest]) -> tuple[Answer, str]:
    answers = {contest.answer for contest in fought}
    if "worse" in answers:
        return "does not hold", _why(fought, "worse")
    if answers == {"better"}:
        return "holds", _why(fought, "better")
    return "undecided", "; ".join(filter(None, (_why(fought, a) for a in ("undecided", "not run"))))


def _most(fought: Sequence[Contest]) -> tuple[Answer, str]:
    counts = {word: [c for c in fought if c.answer == word] for word in ("better", "worse")}
    better, worse = len(counts["better"]), len(counts["worse"])
    why = f"better than {better} of {len(fought)}, worse than {worse}"
    if 2 * better > len(fought):
        return "holds", why
    if 2 * (len(fought) - worse) <= len(fought):
        return "does not hold", f"{why}: {_why(fought, 'worse')}"
    rest = (_why(fought, word) for word in ("undecided", "not run"))
    return "undecided", "; ".join([why, *filter(None, rest)])


def _why(fought: Sequence[Contest], word: str) -> str:
    """Name the comparisons with an answer, those of one measure and one reason together."""
    told = []
    groups = grouped(((_head(one), one.why), one.shown) for one in fought if one.answer == word)
    for (head, why), others in groups.items():
        reason = f" ({why})" if why else ""
        told.append(f"{head}{', '.join(others)}{reason}" if head else why)
    return "; ".join(dict.fromkeys(filter(None, told)))


def _head(one: Contest) -> str:
    """Return ``"final of nll_test: cot 7.5 < "``; empty where there are no two numbers."""
    if math.isnan(one.left) or math.isnan(one.right) or one.measure == "broken":
        return ""
    equal = one.numbers[0] == one.numbers[1]
    sign = "=" if equal else "<" if one.left < one.right else ">"
    return f"{one.measure}: {one.subject} {one.numbers[0]} {sign} "


# -- of the paper ----------------------------------------------------------------------------


def _of_the_paper(
    claim: Claim, protocol: Protocol, used: Sequence[Contestant], here: Answer, why: str
) -> tuple[Answer, str]:
    """Repeat the answer if the runs were trained as the paper's were; else say what differs."""
    if here == "not run":
        return here, why
    stats = {measure.stat for measure in claim.measures}
    column = Column("", "", "best" if stats - {"final", "total", "epoch", "broken"} else "final")
    differing: dict[str, str] = {}
    for side in used:
        label, changed = side.selector.configuration, side.selector.varied
        length = side.selector.schedule
        for line in side.lines:
            found = reasons(line.record, protocol, label, column, changed=changed, length=length)
            if found:
                differing[line.name] = f"{line.name}: {', '.join(found)}"
    if differing:
        return "not comparable", "; ".join(differing.values())
    if protocol.not_stated:
        return "not comparable", f"not stated: {protocol.not_stated}"
    trainers = [protocol.trainers.get(side.selector.configuration) for side in used]
    unstated = dict.fromkeys(one.not_stated for one in trainers if one and one.not_stated)
    return here, f"as far as it is stated (not: {'; '.join(unstated)})" if unstated else ""
