"""The option tables of the site, written from the schemas at every build."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textbench.cli.show import describe_type
from textbench.plan import registry
from textbench.plan.resolve import BackboneConfig, EvaluationConfig

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from textbench.contracts.config import Config

NOTICE = "<!-- Written from the schemas by docs/_ext/options.py at every build. -->"


def table(section: str, schema: type[Config]) -> Iterator[str]:
    """Yield the lines of a Markdown table: option, default, range, meaning."""
    if not schema.model_fields:
        yield "No options.\n"
        return
    yield from ("| option | default | values | meaning |", "|---|---|---|---|")
    for key, field in schema.model_fields.items():
        default = field.get_default(call_default_factory=True)
        words = " ".join((field.description or "").split())
        cells = (f"`{section}.{key}`", f"`{default!r}`", f"`{describe_type(field)}`", words)
        yield f"| {' | '.join(escaped(cell) for cell in cells)} |"
    yield ""


def escaped(cell: str) -> str:
    """Return a cell that neither ends early nor is read as HTML."""
    cell = cell.replace("|", "\\|")
    return cell if cell.startswith("`") else cell.replace("<", "&lt;")


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from (NOTICE, "# Options", "")
    how = "[which counts](../configuration.md)"
    yield f"Set one with `--set SECTION.KEY=VALUE` or in a file: {how}."
    yield from ("", "## All runs", "")
    yield from table("evaluation", EvaluationConfig)
    yield from table("backbone", BackboneConfig)
    kinds: Iterable[tuple[registry.Kind, str, Any]] = (
        ("trainer", "Trainers", registry.load_trainer),
        ("task", "Tasks", registry.load_task),
        ("metric", "Metrics", registry.load_metric),
    )
    for kind, title, load in kinds:
        yield from (f"## {title}", "")
        for name, entry in registry.entries(kind).items():
            loaded = load(name)
            yield from (f"### {name}", "", escaped(entry.summary), "")
            yield from table(getattr(loaded, "section", "") or name, loaded.config_schema)
            for variant, (summary, _) in (
                registry.variants(name).items() if kind == "trainer" else ()
            ):
                yield f"- `{name}:{variant}`: {escaped(summary)}"
            yield ""


def write(app: Sphinx) -> None:
    """Write the page, if it has changed."""
    path = Path(app.srcdir) / "generated" / "options.md"
    path.parent.mkdir(exist_ok=True)
    text = "\n".join(page()) + "\n"
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
