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

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reproduction.md"
REPORTS = ROOT / "reports" / "published"
STORES = ("oracle", "regularisation", "leads", "quick", "variants", "descendants", "coco", "emnlp")
"""In this order: what is nearest to the paper's experiment first."""
PART = re.compile(r"(<!-- made: ([\w -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"\d+(\.\d+)?")
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
    """Return a published table, a line per number, and what of it was not run."""
    run = [row for row in rows if row["outcome"] != "not run"]
    lines = [
        (
            row["row"],
            row["column"],
            _published(row),
            f"{row['ours']} ({row['name']}, n = {row['n']})" if row["ours"] else "-",
            row["outcome"],
            row["why"],
        )
        for row in run
    ]
    head = ("row", "number", "paper", "here", "verdict", "why")
    absent = dict.fromkeys(row["row"] for row in rows if row["outcome"] == "not run")
    absent = dict.fromkeys(name for name in absent if name not in {row["row"] for row in run})
    missing = f"\n\nNot run: {', '.join(absent)}." if absent else ""
    return (_table(head, lines) if lines else "Nothing of it was run.") + missing


def _published(row: Row) -> str:
    """Return a published number with the decimals that papers print."""
    decimals = 2 if "NLL" in row["column"] else 3 if "BLEU" in row["column"] else None
    if decimals is None or not NUMBER.fullmatch(row["published"]):
        return row["published"]
    return f"{float(row['published']):.{decimals}f}"


def _claims() -> str:
    """Return every claim with the answers of the stores that have any, subject by subject."""
    stores = {store: _read(store, "claims") for store in STORES}
    lines = []
    for key, first in {row["id"]: row for row in stores[STORES[0]]}.items():
        answers = [
            (store, row)
            for store, rows in stores.items()
            for row in rows
            if row["id"] == key and row["here"] != "not run"
        ]
        for store, row in answers:
            of_paper = f"{row['paper']}, {row['paper_why']}"
            lines.append(
                (
                    row["text"],
                    f"{row['here']} (`{store}`)",
                    row["here_why"],
                    row["schedules"],
                    of_paper if row["paper_why"].startswith("as far") else row["paper"],
                )
            )
        if not answers:
            lines.append((first["text"], "not run", f"needs {first['needs']}", "", "not run"))
    return _table(("claim", "here", "why", "schedules", "of the paper"), lines)


def _runs() -> str:
    """Return what stands behind this page: rows, seeds, epochs."""
    return _table(("store", "task", "row", "seeds", "epochs"), _rows_of_runs())


def _rows_of_runs() -> Iterator[tuple[str, ...]]:
    from textbench import load_results

    for store in STORES:
        frame = load_results(ROOT / "results" / "published" / store)
        frame = frame[frame["final"].astype(bool)]
        for (task, label), group in frame.groupby(["task", "label"], sort=True, observed=True):
            epochs = sorted({f"{epoch:g}" for epoch in group["epoch"]}, key=float)
            yield store, task, f"`{label}`", str(group["seed"].nunique()), ", ".join(epochs)


PARTS: dict[str, Callable[[], str]] = {"claims": _claims, "runs": _runs}


def main() -> None:
    """Write the page."""
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
