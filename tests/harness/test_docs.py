"""What the documents name exists: tests, files, rows and options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from textbench.cli import cli
from textbench.plan import registry
from textbench.plan.arguments import read_config
from textbench.plan.shipped import grids

ROOT = Path(__file__).parents[2]
ROOT_PAGES = [ROOT / name for name in ("ARTIFACT.md", "CONTRIBUTING.md", "README.md")]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *ROOT_PAGES]
QUOTED = re.compile(r"`([^`\n]+)`")
TEST = re.compile(r"(?:tests/(?:\w+/)?)?(test_\w+)?(?:\.py)?(?:::(test_\w+))?")
TRAPS = range(1, 26)


def quoted(page: Path) -> list[str]:
    """Return what stands between single backticks, code blocks aside."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    return QUOTED.findall(text)


def named_tests(words: list[str]) -> list[tuple[str, str]]:
    """Return (file, function) of every test named; `::test_x` is in the file named before."""
    found, file = [], ""
    for word in words:
        match = TEST.fullmatch(word)
        if match and any(match.groups()):
            file = match[1] or file
            found.append((file, match[2] or ""))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    for file, function in named_tests(quoted(page)):
        (path,) = (ROOT / "tests").glob(f"*/{file}.py")
        found = f"\ndef {function}(" in path.read_text("utf-8")
        assert found or not function, f"{page.name}: {file}::{function}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_checkout_that_a_page_names_exists(page: Path) -> None:
    folders = ("algorithms/", "metrics/", "textbench/", "tests/", "docs/")
    folders += ("results/published/", "reports/published/")
    for word in quoted(page):
        if word.startswith(folders) and not set(word) & set("*<>{ "):
            assert (ROOT / word.partition("::")[0]).exists(), f"{page.name}: {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_row_and_option_that_a_page_names_exists(page: Path) -> None:
    trainers = registry.names("trainer")
    of_grids = {row for name in grids.names() for row in read_config(Path(name))[0]["algos"]}
    for word in quoted(page):
        row = re.fullmatch(r"(\w+):([\w-]+)", word)
        if row and row[1] in trainers:
            tuned = row[2].startswith("tuned-k")  # a row that `textbench tune` writes
            known = row[2] in registry.variants(row[1]) or word in of_grids
            assert known or tuned, f"{page.name}: {word}"
        option = re.fullmatch(r"(\w+)\.(\w+)(=[^ ]+)?", word)
        if option and option[1] in trainers and option[2] not in ("toml", "py"):
            fields = registry.load_trainer(option[1]).config_schema.model_fields
            assert option[2] in fields, f"{page.name}: {word}"


def test_every_trap_says_how_it_is_avoided_and_by_which_test() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text("utf-8")
    _, _, section = text.partition("## 10. Twenty-five traps")
    rows = [line.split(" | ") for line in section.splitlines() if re.match(r"\| \d", line)]
    assert [int(row[0].strip("| ")) for row in rows] == list(TRAPS)
    for number, trap, here, pinned in rows:
        assert trap and here.strip(), number
        functions = [function for _, function in named_tests(QUOTED.findall(pinned))]
        assert functions and all(functions), f"trap {number} names no test function"


LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in LINK.findall(text):
        if "://" not in target and not target.startswith("generated/"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_contents_of_the_site() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = [
        line
        for block in re.findall(r"```\{toctree\}(.*?)```", index, flags=re.S)
        for line in block.splitlines()
    ]
    for page in (ROOT / "docs").glob("*.md"):
        assert page.stem == "index" or any(page.stem == line for line in listed), page.name


def test_the_commands_of_the_pages_exist() -> None:
    """And every long option that they use."""
    for page in PAGES:
        for line in commands(page.read_text("utf-8")):
            words = shlex.split(line, comments=True)[1:]
            if not words or words[0].startswith("-"):
                continue
            found = cli.get_command(click.Context(cli), words[0])
            assert found is not None, f"{page.name}: {line}"
            if isinstance(found, click.Group):
                found = found.commands[words[1]]
            known = {one for p in found.params for one in (*p.opts, *p.secondary_opts)} | {"--help"}
            for word in words[1:]:
                if word.startswith("--"):
                    assert word.partition("=")[0] in known, f"{page.name}: {line}: {word}"


def commands(text: str) -> list[str]:
    """Return the commands of ours in a page's blocks of shell, continued lines joined."""
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, flags=re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    parts = (part.strip() for line in lines for part in re.split(r"&&|\|\||;", line))
    return [part for part in parts if re.match(r"(\S*/)?textbench ", part)]


# -- the architecture ------------------------------------------------------------------------------

ARCHITECTURE = ROOT / "docs" / "architecture.md"
FILE = re.compile(r"(?:[\w/-]+/)?[\w-]+\.(?:py|toml|jinja|md|json)")
"""`rows.py`, or `store/rows.py`."""
MEMBER = re.compile(r"([A-Z]\w+)\.(\w+)(?:\(\))?")
"""`Spec.group`, or `Trainer.step()`."""
MODULE = re.compile(r"\b([a-z]+)/(\w+)(?= ->| *$|:| )", re.M)
"""`plan/resolve`, in the drawing."""
RECORD = {"spec.json", "env.json", "status.json"}


def product() -> dict[Path, str]:
    """Return every source and data file of the product with its text."""
    kinds = (".py", ".toml", ".jinja", ".md", ".json")
    folders = ("textbench", "algorithms", "metrics", "docs", "tests")
    return {
        path: path.read_text("utf-8")
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in kinds and "__pycache__" not in path.parts
    }


def test_the_architecture_names_what_there_is() -> None:
    """Files, classes and their members, functions, the modules of the drawing."""
    files = product()
    code = "\n".join(text for path, text in files.items() if path.suffix == ".py")
    named = 0
    for word in quoted(ARCHITECTURE):
        member = MEMBER.fullmatch(word)
        if FILE.fullmatch(word) and word not in RECORD:
            there = any(str(path).endswith(f"/{word}") for path in files)
            assert there, f"no file {word}"
        elif member:
            homes = [text for text in files.values() if f"\nclass {member[1]}" in text]
            assert any(re.search(rf"\b{member[2]}\b", text) for text in homes), f"no {word}"
        elif re.fullmatch(r"_[a-z_]+", word):
            assert f"def {word}(" in code, f"no function {word}"
        else:
            continue
        named += 1
    assert named > 40


def test_the_drawing_of_the_architecture_names_modules() -> None:
    _, drawing, _ = ARCHITECTURE.read_text("utf-8").split("```", 2)
    found = [f"{room}/{module}" for room, module in MODULE.findall(drawing)]
    assert len(found) > 4
    for module in found:
        assert (ROOT / "textbench" / f"{module}.py").exists(), module
