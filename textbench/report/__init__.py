"""The report: tables, figures and an index, from whatever a result store holds right now."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.store.logs import reading


def write_report(
    results: Path,
    out: Path,
    say: Callable[[str], object] | None = None,
    *,
    unicode: bool = False,
    processes: int = 1,
) -> list[Path]:
    """Write tables, figures, verdicts, ``data.csv``, ``report.html`` and ``report.md``.

    The same store gives the same bytes. Files of an earlier report that this one no longer has
    are removed, so that no stale table stands beside new ones.

    Args:
        results: The result store; half finished is fine.
        out: Where to write; created.
        say: Told, line by line, what may be concluded.
        unicode: Write LaTeX for XeLaTeX or LuaLaTeX: letters that pdfLaTeX has not stay as such.
        processes: Parse logs and draw figures in so many, beside all else; the files are the same.

    Returns:
        The files written, the index first.

    Raises:
        UserError: The store has no readable run, or ``out`` cannot be written.
    """
    with reading(results, processes) as read:
        # What comes next takes as long to import as logs to parse; processes that draw share it.
        from textbench.report.figures import import_matplotlib
        from textbench.report.write import write
        from textbench.store.frames import frames

        import_matplotlib()
        store, logs = read()
    found = frames(store, logs)
    if not len(found.runs):
        raise UserError(_nothing(results, found.unreadable))
    return write(found, out, say, unicode=unicode, processes=processes)


def _nothing(results: Path, unreadable: dict[str, str]) -> str:
    if unreadable:
        name, reason = next(iter(unreadable.items()))
        return f"no readable run in {results}: {name}: {reason}"
    store = shlex.quote(str(results))
    command = f"textbench run --algos mle,cot --task synthetic --results {store}"
    return f"no runs in {results}; make some with `{command}`"
