"""ARTIFACT.md names all there is to reproduce; what the Dockerfile says is true of a checkout."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from textbench.cli import cli

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ARTIFACT = (ROOT / "ARTIFACT.md").read_text("utf-8")
ROWS = {
    cells[0]: cells[1:]
    for line in ARTIFACT.splitlines()
    if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")])
}


def data(package: str, file: str) -> dict[str, Any]:
    return tomllib.loads((resources.files(package) / file).read_text("utf-8"))


def section(letter: str) -> str:
    """Return the one block of shell under a lettered heading."""
    (block,) = re.findall(rf"^## {letter}: .*?^```sh\n(.*?)^```", ARTIFACT, flags=re.M | re.S)
    return str(block).replace("\\\n", " ")


def test_every_table_and_figure_of_the_paper_has_a_row() -> None:
    paper = data("textbench.judge", "paper.toml")
    figures = data("textbench.report", "figures.toml")["figures"]
    wanted = {table["source"] for table in paper["tables"].values() if table["document"] == "cot"}
    wanted |= {figure["paper"] for figure in figures if "paper" in figure}
    wanted |= {data("textbench.report", "samples.toml")["paper"]}
    assert wanted and wanted <= set(ROWS)


def test_every_row_has_a_command_a_cost_and_a_tolerance() -> None:
    rows = {name: cells for name, cells in ROWS.items() if re.match("Table|Figure|Appendix", name)}
    for name, (command, cost, tolerance) in rows.items():
        letter = re.match(r"\[?([A-F])\b", command)
        assert letter and "textbench run" in section(letter[1]), name
        assert cost == f"in {letter[1]}" or re.search(r"\d.*(estimated|measured)", cost), name
        assert tolerance, name


def test_the_tolerances_are_the_declared_ones() -> None:
    """And where a table's protocol leaves something open, no absolute verdict is promised."""
    paper = data("textbench.judge", "paper.toml")
    margins = {name: f"{margin['value']:.2f}" for name, margin in paper["margins"].items()}
    named = {"NLL": margins["nll"], "a sum of two": margins["nll_sum"], "BLEU": margins["bleu"]}
    for table in paper["tables"].values():
        if table["document"] != "cot":
            continue
        tolerance = ROWS[table["source"]][2]
        for words, value in re.findall(r"(NLL|BLEU|a sum of two) ± (\d\.\d+)", tolerance):
            assert value == named[words], table["source"]
        stated = "not_stated" not in paper["protocols"][table["protocol"]]
        assert ("not stated" in tolerance) != stated, table["source"]
        used = {column.get("margin") for column in table["columns"].values()} - {None}
        assert len(used) == tolerance.count("±"), table["source"]


@pytest.mark.parametrize("letter", "ABCDEF")
def test_the_commands_would_run(
    letter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the seeded oracle, for nothing is downloaded: rows, preset, options and grid exist."""
    monkeypatch.chdir(tmp_path)
    run = next(line for line in section(letter).splitlines() if line.startswith("textbench run"))
    words = shlex.split(run.replace("--set synthetic.oracle=published", ""))[1:]
    words = ["synthetic" if word == "emnlp_news" else word for word in words]
    done = CliRunner().invoke(cli, [*words, "--dry-run"])
    assert done.exit_code == 0, done.output
    if "--algos" in words:
        rows = words[words.index("--algos") + 1].split(",")
        assert f"{3 * len(rows)} runs; nothing was started" in done.output


# -- the container -------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, continued lines joined and comments left out."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined]


def of_kind(kind: str) -> list[str]:
    return [words for name, words in instructions() if name == kind]


def copied() -> list[str]:
    return [source for words in of_kind("COPY") for source in words.split()[:-1]]


def test_the_base_is_pinned() -> None:
    (base,) = of_kind("FROM")
    match = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert match and "latest" not in base
    assert f"Programming Language :: Python :: {match[1]}" in PROJECT["project"]["classifiers"]


def test_every_installation_is_constrained() -> None:
    installs = [run for run in of_kind("RUN") if "install" in run]
    assert len(installs) == 2
    for command in installs:
        assert "pip install -c constraints.txt" in command
        for extra in re.findall(r"\.\[([\w,]+)\]", command):
            assert set(extra.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    assert re.search(r"^torch==", (ROOT / "constraints.txt").read_text("utf-8"), flags=re.M)


def test_what_is_copied_is_there_and_is_what_the_package_needs() -> None:
    sources = [source.rstrip("/") for source in copied()]
    assert all((ROOT / source).exists() for source in sources)
    project, tool = PROJECT["project"], PROJECT["tool"]["setuptools"]
    needed = {"textbench", *tool["package-dir"].values(), "pyproject.toml", "constraints.txt"}
    assert set(sources) == needed | {project["readme"], *project["license-files"]}


def test_nothing_that_is_copied_is_left_out_of_the_context() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines and kept == {source.rstrip("/") for source in copied()}
    later = [line for line in lines[lines.index("*") + 1 :] if not line.startswith("!")]
    assert not any(fnmatch.fnmatch(source, line) for source in kept for line in later)


def test_the_command_exists_and_is_no_root() -> None:
    (entry,), (command,) = of_kind("ENTRYPOINT"), of_kind("CMD")
    assert json.loads(entry)[0] in PROJECT["project"]["scripts"]
    assert CliRunner().invoke(cli, json.loads(command)).exit_code == 0
    assert of_kind("USER") and of_kind("USER")[-1] != "root"
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_citation_names_this_version_and_its_preferred_form() -> None:
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    versions = re.findall(r"^ *version: (.+)$", text, flags=re.M)
    assert "\npreferred-citation:\n" in text and len(versions) == 2 and len(set(versions)) == 1
