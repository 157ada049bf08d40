"""The tables of docs/reproduction.md, made from the verdicts of the published reports.

Between ``<!-- made: NAME -->`` and ``<!-- end -->`` the page is written by `tox -e reports`; its
sentences are written by hand, and `tests/science/test_published.py` holds their numbers against the
records.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reproduction.md"
REPORTS = ROOT / "reports" / "published"
STORES = (
    *("oracle", "regularisation", "cot_states", "cot_ablations", "figure2a", "figure2b"),
    *("seqgan_warmup", "leakgan", "leads", "quick", "variants", "tuned"),
    *("descendants", "coco", "emnlp"),
)
"""In this order: what is nearest to the paper's experiment first."""
PART = re.compile(r"(<!-- made: ([\w -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"\d+(\.\d+)?")
OPTIONS = re.compile(r" \[\w+=(?:[^][]|\[(?:[^][]|\[[^][]*\])*\])*\]")
"""The changed options behind a row's name, which may hold lists of lists."""
TEMPERED = " alpha="
TABLES = {
    "table 1": ("table1", "oracle"),
    "table 2": ("table2", "emnlp"),
    "table 3": ("table3", "emnlp"),
    "table 5": ("table5", "emnlp"),
    "texygen": ("texygen_coco", "coco"),
}
"""The published tables, and the store in which something of each was run."""

Row = dict[str, str]


def rewritten(text: str) -> str:
    """Return the page with every made part made anew.

    Raises:
        KeyError: A part is called what nothing is made for.
    """
    return PART.sub(lambda found: f"{found[1]}\n{_part(found[2])}\n{found[3]}", text)


def _part(name: str) -> str:
    if name in TABLES:
        table, store = TABLES[name]
        return _cells([row for row in _read(store, "verdicts") if row["table"] == table])
    return PARTS[name]()


def _read(store: str, name: str) -> list[Row]:
    with (REPORTS / store / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, [":--"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)


def _cells(rows: Sequence[Row]) -> str:
    """Return a published table, a line per number of ours, and what of it has none."""
    there = [row for row in rows if row["ours"]]
    letters: dict[str, str] = {}
    lines = [
        (
            row["row"],
            row["column"],
            _published(row),
            f"{row['ours']} (`{_plain(row['name'])}`, n = {row['n']})",
            row["outcome"],
            _lettered(row, letters),
        )
        for row in there
    ]
    head = ("row", "number", "paper", "here", "verdict", "why")
    parts = [_table(head, lines) if lines else "Nothing of it was run."]
    if letters:
        parts.append("\n".join(f"- ({letter}) {why}" for why, letter in letters.items()))
    return "\n\n".join([*parts, *_absent(rows)])


def _lettered(row: Row, letters: dict[str, str]) -> str:
    """Return why a verdict is as it is; what many numbers have in common as letters."""
    if row["outcome"] not in ("not comparable", "not stated"):
        return row["why"]
    reason, _, here = row["why"].partition("; here: ")
    reasons = [reason] if row["outcome"] == "not stated" else row["why"].split("; ")
    found = sorted(letters.setdefault(one, _letter(len(letters))) for one in reasons)
    told = " ".join(f"({letter})" for letter in found)
    return f"{told} here: {here}" if row["outcome"] == "not stated" and here else told


def _letter(place: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[place]


def _absent(rows: Sequence[Row]) -> Iterator[str]:
    """Say of which published numbers there is none of ours, and why: those alike at once."""
    run = {row["row"] for row in rows if row["outcome"] != "not run"}
    why: dict[str, list[Row]] = {}
    for row in rows:
        if not row["ours"] and row["row"] in run:
            why.setdefault(row["why"], []).append(row)
    for reason, those in why.items():
        columns = dict.fromkeys(row["column"] for row in those)
        of = f"{next(iter(columns))} of " * (len(columns) == 1)
        yield f"No verdict: {of}{', '.join(dict.fromkeys(row['row'] for row in those))}: {reason}."
    if names := list(dict.fromkeys(row["row"] for row in rows if row["row"] not in run)):
        yield f"Not run: {', '.join(names)}."


def _plain(text: str) -> str:
    """Return a text without the changed options of its rows; *What was run* has them."""
    return OPTIONS.sub("", text)


def _published(row: Row) -> str:
    """Return a published number with the decimals that papers print."""
    decimals = 2 if "NLL" in row["column"] else 3 if "BLEU" in row["column"] else None
    if decimals is None or not NUMBER.fullmatch(row["published"]):
        return row["published"]
    return f"{float(row['published']):.{decimals}f}"


def _claims() -> str:
    """Return every claim with the answers of the first store that has any, subject by subject."""
    stores = {store: _read(store, "claims") for store in STORES}
    lines, absent = [], []
    for key, first in {row["id"]: row for row in stores[STORES[0]]}.items():
        found = {store: [row for row in rows if row["id"] == key] for store, rows in stores.items()}
        found = {
            store: [r for r in rows if r["here"] != "not run"] for store, rows in found.items()
        }
        nearest = next((store for store, rows in found.items() if rows), None)
        if nearest is None:
            absent.append(f"- {first['text']}: needs {first['needs']}.")
            continue
        for row in found[nearest]:
            subject = _plain(row["subject"])
            others = [(s, r) for s in found if s != nearest for r in found[s]]
            others = [(s, r) for s, r in others if _plain(r["subject"]) == subject]
            of_paper = f"{row['paper']}, {row['paper_why']}"
            lines.append(
                (
                    row["text"] if row is found[nearest][0] else "",
                    f"`{subject}`",
                    f"{row['here']} (`{nearest}`)",
                    _plain(row["here_why"]),
                    _elsewhere(others),
                    of_paper if row["paper_why"].startswith("as far") else row["paper"],
                )
            )
    table = _table(("claim", "row", "here", "why", "elsewhere", "of the paper"), lines)
    return "\n".join([table, "", "Not run:", "", *absent])


def _elsewhere(answers: Iterable[tuple[str, Row]]) -> str:
    """Return what other stores decide."""
    decided: dict[str, list[str]] = {}
    for store, row in answers:
        if row["here"] != "undecided":
            decided.setdefault(row["here"], []).append(f"`{store}`")
    return "; ".join(f"{answer} ({', '.join(names)})" for answer, names in decided.items())


def _runs() -> str:
    """Return what stands behind this page: rows of as many seeds and epochs in one line."""
    from textbench import load_results

    lines: dict[tuple[str, str, str, int], list[str]] = {}
    for store in STORES:
        frame = load_results(ROOT / "results" / "published" / store)
        frame = frame[frame["final"].astype(bool)]
        for (task, label), group in frame.groupby(["task", "label"], sort=True, observed=True):
            if TEMPERED in label:
                continue
            epochs = sorted({f"{epoch:g}" for epoch in group["epoch"]}, key=float)
            key = (store, task, ", ".join(epochs), group["seed"].nunique())
            lines.setdefault(key, []).append(f"`{label}`{_tempered(frame, label)}")
    rows = (
        (store, task, epochs, str(n), ", ".join(labels))
        for (store, task, epochs, n), labels in lines.items()
    )
    return _table(("store", "task", "epochs", "seeds", "rows"), rows)


def _tempered(frame: pd.DataFrame, label: str) -> str:
    """Say at which other inverse temperatures how many of a row's seeds were evaluated again."""
    mine = frame[frame["label"].str.startswith(f"{label}{TEMPERED}")]
    seeds = frame.loc[frame["label"] == label, "seed"].nunique()
    if not len(mine):
        return ""
    (count,) = set(mine.groupby("label", observed=True)["seed"].nunique())
    some = "" if count == seeds else f"{count} of them "
    others = sorted(float(label.partition(TEMPERED)[2]) for label in set(mine["label"]))
    return f" ({some}also at alpha {', '.join(f'{alpha:g}' for alpha in others)})"


PARTS: dict[str, Callable[[], str]] = {"claims": _claims, "runs": _runs}


def main() -> None:
    """Write the page."""
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
