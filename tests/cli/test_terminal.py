"""What a terminal shows: narrow ones, poor encodings, names that nearly agree, JSON for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from textbench.cli import cli
from textbench.cli.status import age
from textbench.cli.terminal import print_narrow, reasons, short_names
from textbench.contracts.errors import did_you_mean
from textbench.contracts.spec import Spec
from textbench.store.directory import RunDirectory
from textbench.store.rows import PRINTED, STATUS, Status

LONG = [f"synthetic/scheduled_sampling-paper_{v}/s{n}-0123abcd" for v in "ab" for n in (0, 1)]


def run(store: Path, seed: int, status: Status) -> RunDirectory:
    spec = Spec("mle", 1, {}, "synthetic", {}, "f", {}, {}, seed, preset="ci")
    directory = RunDirectory(spec.directory(store))
    directory.create(spec)
    directory.write_status(status)
    return directory


def call(*words: str) -> str:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code in (0, 2), result.output
    return result.output


@pytest.mark.skipif(os.name == "nt", reason="a shell's")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_stream_that_is_closed_leads_nowhere(tmp_path: Path, closed: str) -> None:
    run(tmp_path, 0, Status("done"))
    command = f"{sys.executable} -m textbench status --results {tmp_path} {closed}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("1 done" in done.stdout) == (not closed.startswith(">"))


@pytest.mark.skipif(os.name == "nt", reason="a shell's")
@pytest.mark.parametrize("words", ["status", "list", "show mle/s0", "status --json"])
def test_a_closed_pipe_is_no_answer(tmp_path: Path, words: str) -> None:
    run(tmp_path / "results", 0, Status("done"))
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "textbench", *words.split()]
    done = subprocess.run(
        line, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")  # 1 would be "a regression", of `compare`


def test_status_says_the_same_in_json(tmp_path: Path) -> None:
    directory = run(tmp_path, 0, Status("interrupted"))
    (directory.path / "metrics.jsonl").write_text("not json\n")
    (row,) = json.loads(call("status", "--json", "--results", str(tmp_path)))
    assert row["status"] == "damaged" and row["reason"].startswith("metrics.jsonl line 1 ")
    assert "1 damaged" in call("status", "--results", str(tmp_path))


# -- names ----------------------------------------------------------------------------------------


def test_hashes_shrink_first_then_what_all_share_then_the_middle() -> None:
    assert short_names(LONG, 80) == LONG
    bare = [name.rpartition("-")[0] for name in LONG]
    assert short_names(LONG, len(bare[0])) == bare
    assert short_names(LONG, 36) == [name.removeprefix("synthetic/") for name in bare]
    cut = short_names(LONG, 16)
    assert len(set(cut)) == 4 and max(map(len, cut)) == 16 and all("…" in name for name in cut)


def test_hashes_stay_where_they_are_all_the_difference() -> None:
    names = ["a-task/mle/s0-11111111", "a-task/mle/s0-22222222"]
    assert short_names(names, 12) == ["s0-11111111", "s0-22222222"]


@given(
    st.lists(
        st.from_regex(r"[a-c]{1,9}/[a-c]{1,9}/s\d{1,2}-[0-9a-f]{8}", fullmatch=True),
        unique=True,
        max_size=6,
    ),
    st.integers(8, 40),
)
def test_short_names_stay_different(names: list[str], width: int) -> None:
    assert len(set(short_names(names, width))) == len(names)


@pytest.mark.parametrize("width", [80, 40])
def test_a_narrow_terminal_shows_the_status_first_and_the_reason(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "ValueError: the loss is not finite in batch 7 of the third epoch\x1b[2J, so it stopped"
    states = ["done", "failed", "running", "interrupted"]
    rows = [
        [name, state, "train", "10/90", "3m ago", why if state == "failed" else ""]
        for name, state in zip(LONG, states, strict=True)
    ]
    print_narrow(rows, width)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    starts = [line.split()[0] for line in lines if not line.startswith("  ")]
    assert starts == states
    told = " ".join(" ".join(lines).split())
    assert "the third epoch" in told and "so it stopped" in told and "\x1b" not in told
    assert len({line for line in lines if "10/90" in line}) == 4


def test_how_long_ago_is_never_negative(tmp_path: Path) -> None:
    assert [age(at, 1000.0) for at in (0.0, 820.0, 1001.0, 1059.0)] == [
        "",
        "3m00s ago",
        *["0s ago"] * 2,
    ]
    directory = run(tmp_path, 0, Status("done"))
    record = json.loads((directory.path / STATUS).read_text())
    for heartbeat in (record["heartbeat"] + 3600, 1e300):  # the clock was set back since
        (directory.path / STATUS).write_text(json.dumps({**record, "heartbeat": heartbeat}))
        shown = CliRunner().invoke(cli, ["status", "--results", str(tmp_path)])
        assert shown.exit_code == 0 and "in the future" in shown.output, shown.output


# -- reasons --------------------------------------------------------------------------------------


def test_the_reason_itself_is_shown_and_the_log_only_if_it_says_more(tmp_path: Path) -> None:
    runs = [RunDirectory(tmp_path / "t" / "a" / name) for name in "abcd"]
    for one in runs:
        one.path.mkdir(parents=True)
    (runs[0].path / PRINTED).write_bytes(b"")
    (runs[1].path / PRINTED).write_bytes(b"more")
    (runs[2].path / PRINTED).mkdir()
    told = [Status("failed", reason=reason) for reason in ("KeyError:\n 'x'", "", "z", "")]
    assert reasons(tmp_path, list(zip(runs, told, strict=True))) == [
        "t/a/a went wrong: KeyError: 'x'",
        f"t/a/b went wrong: no reason is on record (more in {runs[1].path / PRINTED})",
        "t/a/c went wrong: z",
        f"1 more went wrong: textbench status --results {tmp_path}",
    ]


def test_a_folder_that_cannot_be_entered_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path, **how: bool) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuses)
    run = RunDirectory(tmp_path / "t" / "a" / "b")
    assert reasons(tmp_path, [(run, Status("failed", reason="x"))]) == ["t/a/b went wrong: x"]


# -- names that nearly agree, folders of stores ---------------------------------------------------


def test_case_is_no_distance() -> None:
    assert did_you_mean("CoT", ["cot", "mle", "real"]) == "; did you mean 'cot'?"
    assert did_you_mean("cot", ["CoT"]) == "; did you mean 'CoT'?"
    said = call("run", "--algos", "CoT", "--task", "synthetic", "--dry-run")
    assert "unknown trainer 'CoT'; did you mean 'cot'" in said


def test_a_folder_of_stores_is_named(tmp_path: Path) -> None:
    for name in ("quick", "ci"):
        run(tmp_path / name, 0, Status("done"))
    for command in ("report", "status"):
        said = call(command, "--results", str(tmp_path))
        assert f"the stores ci, quick lie in it: say --results {tmp_path / 'ci'}" in said


# -- JSON -----------------------------------------------------------------------------------------


def test_status_as_json(tmp_path: Path) -> None:
    run(tmp_path, 0, Status("done", step=3, total=3))
    run(tmp_path, 1, Status("failed", reason="no"))
    (run(tmp_path, 2, Status("done")).path / "spec.json").write_text("{", encoding="utf-8")
    data = json.loads(call("status", "--json", "--results", str(tmp_path)))
    assert [one["status"] for one in data] == ["done", "failed", "damaged"]
    assert (data[0]["label"], data[0]["seed"], data[0]["total"]) == ("mle", 0, 3)
    assert data[1]["reason"] == "no" and "spec.json" in data[2]["reason"]
    assert json.loads(call("status", "--json", "--results", str(tmp_path / "none"))) == []


def test_list_as_json() -> None:
    data = json.loads(call("list", "--json"))
    assert set(data) == {"trainers", "tasks", "metrics", "presets", "grids"}
    names = {kind: {one["name"] for one in rows} for kind, rows in data.items()}
    assert {"cot", "cot:head"} <= names["trainers"] and "text" in names["tasks"]
    assert all(one["summary"] for one in data["trainers"])


# -- encodings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_what_a_terminal_cannot_encode_is_replaced(encoding: str, tmp_path: Path) -> None:
    run(tmp_path, 0, Status("failed", reason="Σ ‖x‖ < 0"))
    done = subprocess.run(
        [sys.executable, "-m", "textbench", "status", "--results", str(tmp_path)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert b"? ?x? < 0" in done.stdout
