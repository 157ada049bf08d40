"""`textbench publish`: compact records that say the same, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from fresh import train
from hypothesis import given
from hypothesis import strategies as st

from textbench import load_curves, load_results
from textbench.cli import cli
from textbench.store import publish
from textbench.store.files import host, temporary
from textbench.store.publish import SAMPLE_LINES, thinned
from textbench.store.read import read_store
from textbench.store.rows import EpochRow, LossRow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of mle, and a run that starts from a warm-up, as if from a clean checkout."""
    folder = tmp_path_factory.mktemp("publish") / "results"
    train(folder, "mle", "0:2")
    train(folder, "policy_gradient", "1")
    for path in folder.glob("*/*/*/env.json"):
        starts(path, dirty=False, commit="c0ffee" * 6)
    return folder


def starts(path: Path, **change: object) -> None:
    content = json.loads(path.read_text("utf-8"))
    content["starts"] = [{**start, **change} for start in content["starts"]]
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def store(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, tmp_path / "results"))


def call(line: str) -> Result:
    return CliRunner().invoke(cli, shlex.split(line), prog_name="textbench")


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_of(folder: Path, part: str) -> Path:
    (path,) = folder.glob(f"*/{part}-*")
    return path


def test_a_published_store_says_what_the_runs_said(store: Path) -> None:
    done = call("publish results mine --to kept")
    assert (done.exit_code, done.stdout) == (0, "kept/mine: 3 run(s) published\n"), done.output
    kept = Path("kept/mine")
    pd.testing.assert_frame_equal(load_results(kept), load_results(store))
    before, after = load_curves(store), load_curves(kept)
    key = ["run", "kind", "phase", "epoch", "name"]
    expected = before.groupby(key)["value"].mean()
    assert len(after) < len(before) and len(after) == len(expected)
    found = after.set_index(key)["value"].reindex(expected.index)
    pd.testing.assert_series_equal(found, expected, rtol=1e-12)
    for path in kept.glob("*/*/*/samples.txt"):
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) == SAMPLE_LINES
        whole = (store / path.relative_to(kept)).read_text("utf-8").splitlines()
        assert lines == whole[:SAMPLE_LINES]
    assert not list(kept.rglob("checkpoint*"))


def test_what_a_newer_version_added_to_a_log_stays(store: Path) -> None:
    run = next(iter(sorted(store.glob("*/*/s0-*"))))
    log = run / "curve.jsonl"
    rows = [{**json.loads(line), "note": "newer"} for line in log.read_text("utf-8").splitlines()]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    status = json.loads((run / "status.json").read_text("utf-8"))
    status["checksums"]["curve.jsonl"] = hashlib.sha256(log.read_bytes()).hexdigest()
    (run / "status.json").write_text(json.dumps(status), encoding="utf-8")
    assert call("publish results mine --to kept").exit_code == 0
    kept = Path("kept/mine") / run.relative_to(store) / "curve.jsonl"
    assert {json.loads(line)["note"] for line in kept.read_text("utf-8").splitlines()} == {"newer"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            ["run --seeds 0:2 --set a.b=1", "run --seeds 4 --set a.b=1"],
            ["run --seeds 0,1,4 --set a.b=1"],
        ),
        (
            ["run --seeds 2,0 -x", "run --seeds 0:3 -y"],
            ["run --seeds 0,1,2 -y", "run --seeds 0,2 -x"],
        ),
        (["run --results /tmp/mine --jobs 4 --algos cot", "run --algos cot"], ["run --algos cot"]),
        (["run --checkpoint-every 5m --seeds 1 --results r"], ["run --seeds 1"]),
        (["run --seeds 0:999999999", "run --seeds x"], ["run --seeds 0:999999999,x"]),
        (["run --results 'it'\"'\"'s here' --seeds 1"], ["run --seeds 1"]),
        (["run --results=a' 'b --seeds 1"], ["run --seeds 1"]),
        (["run --seeds", "run --jobs"], ["run --jobs", "run --seeds"]),
        (["", "python -m mine"], ["python -m mine"]),
    ],
)
def test_the_page_has_the_commands_for_another_place(given: list[str], expected: list[str]) -> None:
    assert publish.commands(given) == expected


def test_what_a_killed_publish_left_half_written_goes(store: Path) -> None:
    code = "import sys; from pathlib import Path; from textbench.store.files import temporary\n"
    code += "print(temporary(Path(sys.argv[1])))"
    kept = Path("kept/mine")
    places = [run_of(store, "mle/s0").relative_to(store) / "status.json", Path("README.md")]
    left = []
    for place in places:
        (kept / place).parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", code, str(kept / place)]
        left.append(Path(subprocess.run(command, capture_output=True, text=True).stdout.strip()))
    of_the_living = temporary(kept / "README.md")
    of_another_host = kept / ".README.md.elsewhere.1.0.tmp"
    odd = [kept / ".a.tmp", kept / f".a.{host()}.x.0.tmp", kept / f".a.{host()}.{'9' * 30}.0.tmp"]
    for path in (*left, of_the_living, of_another_host, *odd):
        path.write_text("half")
    assert call("publish results mine --to kept").exit_code == 0
    found = set(kept.rglob(".*.tmp"))
    assert {of_the_living, of_another_host, *odd} <= found and not found & set(left)


def test_no_folder_of_the_machine_goes_along(store: Path) -> None:
    """Publishing again brings an older record up to date."""
    path = run_of(store, "mle/s0") / "env.json"
    made = json.loads(path.read_text("utf-8"))
    for folder in ("/data/mine", "'/home/me/a folder'"):
        made["starts"][0]["command"] = f"textbench run --results {folder} --seeds 0 --jobs 3"
        path.write_text(json.dumps(made), "utf-8")
        call("publish results mine --to kept")
        kept = run_of(Path("kept/mine"), "mle/s0") / "env.json"
        (start,) = json.loads(kept.read_text("utf-8"))["starts"]
        assert start == {**made["starts"][0], "command": "textbench run --seeds 0 --jobs 3"}


def test_one_generator_of_each_row_goes_along(store: Path) -> None:
    call("publish results mine --to kept")
    kept = Path("kept/mine")
    names = sorted(path.parent.name.split("-")[0] for path in kept.rglob("generator.pt"))
    labels = sorted(path.parents[1].name for path in kept.rglob("generator.pt"))
    assert labels == ["mle", "policy_gradient"] and names == ["s0", "s1"]
    original = run_of(store, "mle/s0") / "generator.pt"
    assert (run_of(kept, "mle/s0") / "generator.pt").read_bytes() == original.read_bytes()


def test_a_large_generator_stays_where_it_was_made(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "LARGEST_GENERATOR", 100)
    assert call("publish results mine --to kept").exit_code == 0
    kept = Path("kept/mine")
    assert not list(kept.rglob("generator.pt"))
    assert call("status --verify --results kept/mine").stdout.endswith("3 runs read, 0 damaged\n")
    refused = call("sample mle/s0 --results kept/mine")
    assert refused.exit_code == 2 and "textbench run --algos" in refused.stderr


def test_generators_can_be_left_behind_and_those_that_are_there_stay(store: Path) -> None:
    call("publish results mine --to kept --only mle/s1")
    assert call("publish results mine --to kept --no-generators").exit_code == 0
    kept = Path("kept/mine")
    assert [path.parent.name[:2] for path in kept.rglob("generator.pt")] == ["s1"]
    assert call("status --verify --results kept/mine").stdout.endswith("3 runs read, 0 damaged\n")
    assert call("sample mle/s1 --results kept/mine -n 3").exit_code == 0
    refused = call("sample policy_gradient/s1 --results kept/mine")
    assert refused.exit_code == 2 and "textbench run --algos" in refused.stderr


def test_every_command_reads_it(store: Path) -> None:
    call("publish results mine --to kept")
    for line in (
        "report --results kept/mine --out reports",
        "compare results kept/mine",
        "status --results kept/mine --verify",
        "sample mle/s0 --results kept/mine -n 3",
    ):
        done = call(line)
        assert done.exit_code == 0, f"{line}: {done.output}"
    refused = call("sample mle/s1 --results kept/mine -n 3")
    assert refused.exit_code == 2 and "textbench run" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_repeating_it_changes_no_byte_and_adds_what_has_finished_since(store: Path) -> None:
    call("publish results mine --to kept --only mle/s1")
    once = files(Path("kept/mine"))
    assert any(name.endswith("generator.pt") for name in once)
    again = call("publish results mine --to kept --only mle/s1")
    assert again.stdout == "kept/mine: 0 run(s) published, 1 as they were\n"
    assert files(Path("kept/mine")) == once
    more = call("publish results mine --to kept")
    assert more.stdout == "kept/mine: 2 run(s) published, 1 as they were\n"
    kept = Path("kept/mine")
    assert not (run_of(kept, "mle/s0") / "generator.pt").exists(), "that of seed 1 is there"
    page = (kept / "README.md").read_text("utf-8")
    assert "| `mle` |" in page and "| 0, 1 |" in page and "c0ffeec0ffee" in page


def test_a_page_by_another_hand_stays_and_nothing_is_published(store: Path) -> None:
    Path("kept/mine").mkdir(parents=True)
    Path("kept/mine/README.md").write_text("Ours, of last year.\n")
    refused = call("publish results mine --to kept")
    assert refused.exit_code == 2
    assert "has not written it; name another store, or remove it" in refused.stderr
    assert files(Path("kept/mine")) == {"README.md": b"Ours, of last year.\n"}
    Path("kept/mine/README.md").write_text("")
    assert call("publish results mine --to kept").exit_code == 0


def test_later_evaluations_are_added_and_other_numbers_refused(store: Path) -> None:
    call("publish results mine --to kept")
    assert call("evaluate mle/s0 --alpha 2 --metrics nll_oracle --samples 64").exit_code == 0
    assert call("publish results mine --to kept").stdout.startswith("kept/mine: 1 run(s) published")
    run = run_of(Path("kept/mine"), "mle/s0")
    assert (run / "evaluations.jsonl").exists()
    log = run / "metrics.jsonl"
    log.write_bytes(log.read_bytes().replace(b"nats", b"bits"))
    refused = call("publish results mine --to kept")
    assert refused.exit_code == 1 and "has other numbers of this very run" in refused.stderr


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("dirty", "made from a checkout of c0ffeec0ffee with changes"),
        ("running", "it is interrupted; only finished runs are published"),
        ("generator", "generator.pt"),
        ("no generator", "generator.pt is missing"),
        ("log", "metrics.jsonl is not what the run wrote"),
        ("nothing", "env.json does not say what it was made with"),
    ],
)
def test_what_is_no_evidence_is_left_out(harm: str, said: str, store: Path) -> None:
    run = run_of(store, "mle/s1")
    if harm == "dirty":
        starts(run / "env.json", dirty=True)
    elif harm == "running":
        status = json.loads((run / "status.json").read_text("utf-8"))
        (run / "status.json").write_text(json.dumps({**status, "status": "running"}))
    elif harm == "generator":
        (run / "generator.pt").write_bytes(b"no zip")
    elif harm == "no generator":
        (run / "generator.pt").unlink()
    elif harm == "log":
        log = run / "metrics.jsonl"
        log.write_bytes(log.read_bytes().replace(b"nats", b"bits"))
    else:
        (run / "env.json").write_text("{}")
    done = call("publish results mine --to kept")
    assert done.exit_code == 1 and "2 run(s) published" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("textbench: synthetic-tiny/mle/s1-") and said in line
    assert len(load_results("kept/mine")["run"].unique()) == 2


def test_the_page_names_plug_ins_which_no_commit_need_hold(store: Path) -> None:
    assert call("publish results mine --to kept").exit_code == 0
    page = Path("kept/mine/README.md")
    assert "lug-in" not in page.read_text("utf-8")
    made_so = read_store("kept/mine").runs[0]
    other = replace(made_so, spec=replace(made_so.spec, plugins=("/home/me/a`b.py", "c.py")))
    assert "these commits: `a'b.py`, `c.py`. Keep" in publish.page("mine", [made_so, other])


def test_a_hostile_record_is_one_line_of_the_page(store: Path) -> None:
    hostile = "run\n```\n# Owned \x1b[31m| x <script>`"
    for path in store.glob("*/*/*/env.json"):
        starts(path, command=hostile, cpu=hostile, commit=hostile)
    assert call("publish results mine --to kept").exit_code == 0
    page = Path("kept/mine/README.md").read_text("utf-8")
    assert page.count("```") == 2 and "\x1b" not in page
    assert [line for line in page.splitlines() if line.startswith("# ")] == ["# mine"]
    table = page.partition("```sh")[0]
    assert "<script>" not in table
    assert all(line.count("|") == 6 for line in table.splitlines() if line.startswith("|"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("publish results ../mine", "'../mine' is no name of a store"),
        ("publish results mine --only cot", "no run in results is called cot"),
        ("publish empty mine", "no run in empty"),
        ("publish nowhere mine", "'nowhere' does not exist"),
        ("publish kept/mine mine --to kept", "would be published into itself"),
        ("publish results mine --to results/synthetic-tiny/mle/file", "is a file"),
    ],
)
def test_mistakes_are_one_line(line: str, said: str, store: Path) -> None:
    Path("empty").mkdir()
    Path("kept/mine").mkdir(parents=True)
    (store / "synthetic-tiny/mle/file").write_text("")
    done = call(line)
    assert done.exit_code == 2 and said in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


def rows(parts: list[tuple[str, int, float]]) -> Iterator[LossRow | EpochRow]:
    for step, (phase, epoch, value) in enumerate(parts):
        yield {
            "kind": "loss",
            "step": step,
            "phase": phase,
            "epoch": epoch,
            "values": {"nll": value, phase: 2 * value},
        }


def test_thinning_leaves_out_what_has_no_value() -> None:
    def row(**values: float | None) -> LossRow:
        return {"kind": "loss", "step": 1, "phase": "a", "epoch": 0, "values": values}

    (thin,) = thinned([row(nll=None, a=1.0, b=1.7e308), row(nll=None, a=None, b=1.7e308)])
    assert thin["kind"] == "loss" and thin["values"] == {"a": 1.0, "b": 1.7e308}


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.floats(-1e6, 1e6, allow_nan=False)),
        max_size=30,
    )
)
def test_thinning_keeps_every_mean_and_every_turn(parts: list[tuple[str, int, float]]) -> None:
    thin = list(thinned(rows(parts)))
    turns = [part[:2] for i, part in enumerate(parts) if i == 0 or parts[i - 1][:2] != part[:2]]
    assert [(row["phase"], row["epoch"]) for row in thin] == turns
    start = 0
    for row in thin:
        assert row["kind"] == "loss"
        mine = [value for _, _, value in parts[start : row["step"] + 1]]
        start = row["step"] + 1
        assert row["values"]["nll"] == pytest.approx(sum(mine) / len(mine), abs=1e-6)
        assert row["values"][row["phase"]] == pytest.approx(2 * row["values"]["nll"], abs=1e-6)
    assert start == len(parts)
