"""Damage to one run is one line about that run: nothing else changes, and `run` mends it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import damage as kinds
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from textbench.cli import cli
from textbench.run import checkpoint, worker
from textbench.run.conditions import Conditions
from textbench.store import records, seal
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError, parse_object
from textbench.store.frames import frames, load_curves, load_results, load_runs
from textbench.store.read import read_store

CPU = torch.device("cpu")
JSON_FILES = ("spec.json", "status.json", "env.json", "metrics.jsonl", "curve.jsonl")
JSON_FILES += ("evaluations.jsonl", "owner.json")
OTHER_FILES = ("generator.pt", "samples.txt", "log.txt", "lock")
AGAIN = "evaluate --device cpu --metrics nll_test"
RUN = "run --algos mle --task synthetic-tiny --preset ci --seeds 0:2 --device cpu"
RUN += "".join(f" --set {setting}" for setting in kinds.SETTINGS)


class Store:
    """Two runs that are done: one to damage, and a neighbour."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results"
        self.victim, self.neighbour = (kinds.make(self.path, spec) for spec in kinds.specs())
        for run in (self.victim, self.neighbour):
            assert run.status().status == "done", run.status()
            (run.path / "log.txt").write_text("printed\n", encoding="utf-8")
            assert (
                call("evaluate --device cpu --alpha 1.5 --metrics nll_test", self.path).exit_code
                == 0
            )
        assert call(f"{AGAIN} --alpha 1.5", self.path).exit_code == 0
        (self.path / "owner.json").write_text('{"host": "elsewhere", "pid": 1}\n')
        os.utime(self.path / "owner.json", (1, 1))
        self.results, self.curves = self.frames()

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return load_results(self.path), load_curves(self.path)

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.path, folder / "results"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("damage"))


def call(line: str, results: Path) -> Result:
    return CliRunner().invoke(cli, [*shlex.split(line), "--results", str(results)])


def commands(store: Store) -> dict[str, tuple[int, ...]]:
    """Return every command that reads a store, and the exit codes that its help allows."""
    victim, neighbour = store.victim.name, store.neighbour.name
    again = f"{AGAIN} --alpha 1.5"
    return {
        "status": (0,),
        "status --verify": (0, 1),
        f"show {victim}": (0, 2),
        f"show {neighbour}": (0,),
        f"sample {victim} -n 2": (0, 2),
        f"sample {neighbour} -n 2": (0,),
        f"{again} {neighbour}": (0,),
        again: (0, 1),
        f"{RUN} --dry-run": (0,),
        f"{RUN} --retry failed --dry-run": (0,),
    }


def judge(store: Store, what: str) -> None:
    """No command has a traceback, the neighbour is as it was, the victim is right or named."""
    for line, codes in commands(store).items():
        result = call(line, store.path)
        wrong = f"{what}: `{line[:40]}`: {result.exit_code} {result.exception!r} {result.output}"
        assert result.exit_code in codes, wrong
        assert result.exception is None or isinstance(result.exception, SystemExit), wrong
        assert "Traceback" not in result.output and "\x1b" not in result.output, wrong
        if result.exit_code == 2:
            assert len(result.stderr.splitlines()) == 1, wrong
    compared = CliRunner().invoke(cli, ["compare", str(store.path), str(store.path)])
    assert compared.exit_code in (0, 2), f"{what}: compare: {compared.output}"
    assert compared.exception is None or isinstance(compared.exception, SystemExit), what
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they name the victim
        found = load_results(store.path), load_runs(store.path)
    for frame in found:
        assert {run.partition(" ")[0] for run in frame["run"]} >= {store.neighbour.name}, what
    mine = [
        frame[frame["run"].str.startswith(store.neighbour.name)]
        for frame in (store.results, found[0])
    ]
    pd.testing.assert_frame_equal(*(frame.reset_index(drop=True) for frame in mine))
    shown = found[0][found[0]["run"].str.startswith(store.victim.name)]
    if len(shown):
        known = store.results[store.results["run"].str.startswith(store.victim.name)]
        done = (shown["status"] == "done") & (shown["alpha"] == 1.0 if "alpha" in shown else True)
        values = set(known["value"].dropna())
        assert set(shown[done]["value"].dropna()) <= values, what
    else:
        status = call("status", store.path).output
        line = next(line for line in status.splitlines() if line.startswith(store.victim.name))
        assert " done " not in line, f"{what}: {line}"


def kinds_of(name: str) -> dict[str, kinds.Damage]:
    """Return every kind of damage that a file of this name can have."""
    ways = {**kinds.ANY, **(kinds.JSON if name in JSON_FILES else {})}
    small = ("a flipped digit", "a block of NUL") if name in ("lock", "log.txt") else ()
    return {what: damage for what, damage in ways.items() if what not in small}


@contextmanager
def harmed(store: Store, name: str, damage: kinds.Damage) -> Iterator[None]:
    """Damage the victim's file of this name, and put everything back."""
    path, other = store.victim.path / name, store.neighbour.path / name
    if name == "lock":
        path.touch(), other.touch()
    if name == "owner.json":  # which `evaluate` has taken away
        shutil.copy2(store.path / name, path)
        shutil.copy2(store.path / name, other)
    with kinds.damaged(path, other, damage):
        if name == "owner.json" and os.path.lexists(path):  # no heartbeat for a long time
            os.utime(path, (1, 1), follow_symlinks=False)
        yield


@pytest.mark.parametrize("name", [*JSON_FILES, *OTHER_FILES])
def test_damage_to_any_file_is_one_line_in_every_command(store: Store, name: str) -> None:
    for what, damage in kinds_of(name).items():
        with harmed(store, name, damage):
            judge(store, f"{name}: {what}")
    judge(store, f"{name}: mended")


def reported(store: Store, out: Path) -> tuple[str, list[str]]:
    """Return what `textbench report` said, and the neighbour's lines of its numbers."""
    result = call(f"report --out {out}", store.path)
    assert result.exception is None and result.exit_code == 0, result.output
    assert "Traceback" not in result.output and "\x1b" not in result.output, result.output
    lines = (out / "data.csv").read_text(encoding="utf-8").splitlines()
    return result.output, [line for line in lines if line.startswith(store.neighbour.name)]


@pytest.fixture(scope="module")
def whole(store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the neighbour's lines in the report of the store without damage."""
    return reported(store, tmp_path_factory.mktemp("report"))[1]


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 41])
def test_damage_to_any_file_leaves_the_report_of_all_others(
    store: Store, whole: list[str], tmp_path: Path, every: int
) -> None:
    """Drawing takes seconds: one in 41 pairs of file and kind, and all of them where slow."""
    assert len(whole) > 10
    pairs = [
        (name, what, damage)
        for name in (*JSON_FILES, *OTHER_FILES)
        for what, damage in kinds_of(name).items()
    ]
    for name, what, damage in pairs[::every]:
        with harmed(store, name, damage):
            unreadable = read_store(store.path).unreadable
            said, lines = reported(store, tmp_path / "report")
            assert lines == whole, f"{name}: {what}"
            shown = (tmp_path / "report/report.md").read_text(encoding="utf-8")
            for run, reason in unreadable.items():  # left out by name, with the reason
                assert run in said + shown, f"{name}: {what}: {reason}"
            assert store.neighbour.name not in unreadable, f"{name}: {what}"


@pytest.mark.parametrize("name", [name for name in JSON_FILES if name != "owner.json"])
def test_every_value_may_be_of_the_wrong_type(store: Store, name: str) -> None:
    """Only readers here, in the frames' way: every value of every key."""
    path, other = store.victim.path / name, store.neighbour.path / name
    for value in kinds.WRONG:
        for what, damage in kinds.each_value(path, value):
            with kinds.damaged(path, other, damage):
                found = read_store(store.path)
                frames(found)  # notes what it cannot read, and reads all the rest
                assert all("\n" not in reason for reason in found.unreadable.values()), what
                assert store.neighbour.name not in found.unreadable, what


# -- mending -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["metrics.jsonl", "curve.jsonl", "generator.pt", "status.json"])
@pytest.mark.parametrize(
    "kind", ["absent", "empty", "cut at 50%", "a block of NUL", "another run's"]
)
def test_run_makes_a_damaged_run_again(store: Store, tmp_path: Path, name: str, kind: str) -> None:
    results = store.copy(tmp_path)
    (spec, other) = kinds.specs()
    run, neighbour = (RunDirectory(one.directory(results)) for one in (spec, other))
    expected, beside = kinds.outcome(run), kinds.outcome(neighbour)
    kinds.ANY[kind](run.path / name, neighbour.path / name)
    assert (
        not (run.standing().status == "done" and name == "status.json") or kind == "another run's"
    )
    run.create(spec)
    assert worker.execute(run, Conditions(CPU)) == 0, run.status()
    assert kinds.outcome(run) == expected
    assert kinds.outcome(neighbour) == beside
    assert read_store(results).unreadable == {}
    assert call("status --verify", results).exit_code == 0


def test_a_finished_run_that_lost_its_status_is_not_trained_again(
    store: Store, tmp_path: Path
) -> None:
    results = store.copy(tmp_path)
    (spec, _) = kinds.specs()
    run = RunDirectory(spec.directory(results))
    (run.path / "status.json").unlink()
    before = (run.path / "metrics.jsonl").read_bytes()
    run.create(spec)
    assert worker.execute(run, Conditions(CPU)) == 0
    assert (run.path / "metrics.jsonl").read_bytes() == before
    assert run.status().status == "done" and run.status().checksums


def test_the_record_of_another_run_gives_way(store: Store, tmp_path: Path) -> None:
    results = store.copy(tmp_path)
    (spec, other) = kinds.specs()
    run = RunDirectory(spec.directory(results))
    expected = kinds.outcome(run)
    shutil.rmtree(run.path)
    shutil.copytree(other.directory(results), run.path)
    assert "another run's" in read_store(results).unreadable[run.name]
    assert "another run's record" in run.create(spec)
    assert worker.execute(run, Conditions(CPU)) == 0
    assert kinds.outcome(run) == expected
    assert (run.path / "aside-1" / "spec.json").exists()


# -- power loss ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with two checkpoints, stopped after a few steps."""
    (spec,) = kinds.specs("5")
    run = kinds.make(tmp_path_factory.mktemp("interrupted"), spec, steps=5)
    assert run.status().status == "interrupted"
    assert (run.path / "checkpoint.previous.pt").exists()
    return run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    (spec,) = kinds.specs("5")
    return kinds.outcome(kinds.make(tmp_path_factory.mktemp("undisturbed"), spec))


def lengths(size: int, count: int) -> list[int]:
    return sorted({0, 1, size - 1, *(i * size // count for i in range(count))})


def goes_on(run: RunDirectory, folder: Path, change: object) -> RunDirectory:
    """Copy an interrupted run, change it, and go on."""
    copy = RunDirectory(folder.joinpath("results", *run.path.parts[-3:]))
    shutil.copytree(run.path, copy.path)
    change(copy)  # type: ignore[operator]
    assert worker.execute(copy, Conditions(CPU)) == 0, copy.status()
    return copy


@pytest.mark.parametrize("name", ["metrics.jsonl", "curve.jsonl"])
@pytest.mark.parametrize("count", [3, pytest.param(10**9, marks=pytest.mark.slow)])
def test_a_log_that_lost_bytes_which_a_checkpoint_counts(
    interrupted: RunDirectory,
    undisturbed: dict[str, object],
    tmp_path: Path,
    name: str,
    count: int,
) -> None:
    """What a power loss leaves: the run goes back, or starts again, and says so."""
    size = interrupted.offset(name)
    for length in lengths(size, min(count, size)):
        folder = tmp_path / str(length)

        def cut(run: RunDirectory, length: int = length) -> None:
            os.truncate(run.path / name, length)

        run = goes_on(interrupted, folder, cut)
        assert kinds.outcome(run) == undisturbed, length
        assert name in run.status().note, length
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["metrics.jsonl", "curve.jsonl"])
def test_a_log_whose_counted_bytes_changed(
    interrupted: RunDirectory, undisturbed: dict[str, object], tmp_path: Path, name: str
) -> None:
    """A block that was allocated and never written reads as NUL."""

    def change(run: RunDirectory) -> None:
        kinds.ANY["a block of NUL"](run.path / name, run.path / name)

    run = goes_on(interrupted, tmp_path, change)
    assert kinds.outcome(run) == undisturbed
    assert f"{name} is not what checkpoint.pt counted" in run.status().note


@pytest.mark.parametrize(
    "broken", [("checkpoint.pt",), ("checkpoint.pt", "checkpoint.previous.pt")]
)
@pytest.mark.parametrize("kind", ["empty", "cut at 90%", "a block of NUL", "garbage", "a pipe"])
def test_a_broken_checkpoint_gives_way_to_the_one_before(
    interrupted: RunDirectory,
    undisturbed: dict[str, object],
    tmp_path: Path,
    broken: tuple[str, ...],
    kind: str,
) -> None:
    def change(run: RunDirectory) -> None:
        for name in broken:
            kinds.ANY[kind](run.path / name, run.path / name)

    run = goes_on(interrupted, tmp_path, change)
    assert kinds.outcome(run) == undisturbed
    note = run.status().note
    expected = "gone back to step 4" if len(broken) == 1 else "started again"
    assert "checkpoint.pt" in note and expected in note
    assert (run.path / "aside-1" / "checkpoint.pt").exists() or kind == "a pipe"


def test_the_checkpoint_of_another_run_is_not_believed(
    interrupted: RunDirectory, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    (spec,) = kinds.specs("6")
    other = kinds.make(tmp_path / "other", spec, steps=3)

    def change(run: RunDirectory) -> None:
        for name in ("checkpoint.pt", "checkpoint.previous.pt"):
            shutil.copy(other.path / "checkpoint.pt", run.path / name)

    run = goes_on(interrupted, tmp_path, change)
    assert kinds.outcome(run) == undisturbed
    assert "checkpoint.pt is another run's" in run.status().note


def test_the_log_is_on_disk_before_the_checkpoint_that_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of system calls: fsync of both logs, then the checkpoint's new name."""
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        order.append(f"-> {Path(target).name}")
        replace(source, target)

    (spec,) = kinds.specs("5")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    kinds.make(tmp_path, spec, steps=5)
    last = len(order) - 1 - order[::-1].index("-> checkpoint.pt")
    before = order[:last]
    written = max(i for i, name in enumerate(before) if name.startswith(".checkpoint.pt."))
    for log in ("metrics.jsonl", "curve.jsonl"):
        assert log in before[:written]
    assert before[-1] == "-> checkpoint.previous.pt"


def test_a_log_is_never_extended(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.append("metrics.jsonl", {"a": 1})
    with pytest.raises(DamagedError, match="has 9 bytes, 99 were recorded"):
        run.truncate("metrics.jsonl", 99)
    assert run.offset("metrics.jsonl") == 9


def test_an_unfinished_line_is_taken_back_before_the_next(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.append("evaluations.jsonl", {"a": 1})
    for torn in (b'{"a": 2', b"\0" * 9000):
        with open(tmp_path / "evaluations.jsonl", "ab") as handle:
            handle.write(torn)
        run.append("evaluations.jsonl", {"a": 3})
    assert run.rows("evaluations.jsonl") == [{"a": 1}, {"a": 3}, {"a": 3}]


# -- a store from somebody else ------------------------------------------------------------------


def test_reading_runs_no_plug_in_that_a_record_names(store: Store, tmp_path: Path) -> None:
    results = store.copy(tmp_path)
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n", encoding="utf-8")
    for run in RunDirectory.find(results):
        data = json.loads((run.path / "spec.json").read_text())
        (run.path / "spec.json").write_text(json.dumps({**data, "plugins": [str(trap)]}))
        (run.path / "evaluations.jsonl").unlink()
    name = store.victim.name
    for line in ("status", f"show {name}", f"sample {name} -n 2", "status --verify"):
        assert call(line, results).exit_code == 0
    assert call("evaluate --device cpu --metrics nll_test", results).exit_code == 0
    (spec, _) = kinds.specs()
    run = RunDirectory(spec.directory(results))
    (run.path / "generator.pt").unlink()
    worker.execute(run, Conditions(CPU), generator=True)
    assert not (tmp_path / "sprung").exists()


def test_the_trainer_of_a_plug_in_is_asked_for(store: Store, tmp_path: Path) -> None:
    results = store.copy(tmp_path)
    for run in RunDirectory.find(results):
        spec = run.spec()
        changed = {
            **json.loads(json.dumps(spec.to_json())),
            "trainer": "mine",
            "plugins": ["/elsewhere/mine.py"],
        }
        new = records.spec(changed)
        there = RunDirectory(new.directory(results))
        assert new.plugins == ("/elsewhere/mine.py",)
        there.create(new)
        for name in ("status.json", "metrics.jsonl", "curve.jsonl"):
            shutil.copy(run.path / name, there.path / name)
        generator = torch.load(run.path / "generator.pt", weights_only=True)
        torch.save(generator, there.path / "generator.pt")
        status = there.read_json("status.json")
        there.write_json("status.json", {**status, "checksums": {}})
    refused = call("sample /mine/s0 -n 2", results)
    assert refused.exit_code == 2
    assert "was made with plugin /elsewhere/mine.py, which is no longer there" in refused.stderr
    assert "--plugin FILE" in refused.stderr


@pytest.mark.parametrize("key", ["task", "trainer", "variant"])
@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "a\\b", "a\0b", "x" * 400, ".hidden"])
def test_names_of_a_record_lead_nowhere(store: Store, tmp_path: Path, key: str, name: str) -> None:
    good = json.loads(json.dumps(kinds.specs()[0].to_json()))
    assert records.spec({**good, "warmup": good}).hash
    spec = {**good, key: name}
    with pytest.raises(DamagedError, match=f"{key} is .*, which is no name"):
        records.spec(spec)
    with pytest.raises(DamagedError, match=f"warmup: {key} is"):
        records.spec({**good, "warmup": spec})


def test_a_link_in_a_store_leads_not_out_of_it(store: Store, tmp_path: Path) -> None:
    results, outside = store.copy(tmp_path), tmp_path / "outside"
    (results / "synthetic-tiny").rename(outside)
    (results / "synthetic-tiny").symlink_to(outside)
    before = sorted((p, p.stat().st_mtime_ns) for p in outside.rglob("*"))
    assert "a symbolic link in the store leads to" in call("status", results).output
    assert call(f"sample {store.victim.name}", results).exit_code == 2
    assert call(f"{RUN} --seeds 7", results).exit_code == 1
    assert sorted((p, p.stat().st_mtime_ns) for p in outside.rglob("*")) == before


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    run, secret = RunDirectory(tmp_path / "run"), tmp_path / "secret"
    run.path.mkdir()
    secret.write_text("kept")
    for name in ("metrics.jsonl", "evaluations.jsonl", "lock", "log.txt", "status.json"):
        (run.path / name).symlink_to(secret)
    with pytest.raises(DamagedError, match=r"metrics\.jsonl is a symbolic link"):
        run.append("metrics.jsonl", {})
    with pytest.raises(DamagedError, match="lock is a symbolic link"):
        run.acquire()
    run.replace("status.json", b"{}")
    assert secret.read_text() == "kept" and not (run.path / "status.json").is_symlink()


# -- records -------------------------------------------------------------------------------------

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**400, "../x", "done", "running", "\ud800", "a\x1b[1m"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.data())
def test_no_record_is_accepted_with_values_of_another_type(data: st.DataObject) -> None:
    spec = kinds_spec()
    good = {
        records.spec: spec,
        records.status: {"status": "done", "step": 3, "metrics": {"a": 1.5}, "headlines": ["a"]},
        records.evaluation: EVALUATION,
        records.later: LATER,
        records.log_entry: data.draw(st.sampled_from([LOSS, EPOCH])),
    }
    check = data.draw(st.sampled_from(list(good)))
    row = dict(good[check])  # type: ignore[call-overload]
    for key in data.draw(st.lists(st.sampled_from(sorted(row)), max_size=3)):
        row[key] = data.draw(anything)
    try:
        checked = check(row, "row")  # type: ignore[operator]
    except DamagedError as error:
        assert "\n" not in str(error) and str(error).startswith("row")
        return
    if check is records.spec:
        assert checked is not None
        assert checked.directory(Path("/store")).parent.parent.parent == Path("/store")
    if check is records.evaluation:
        for one in checked["metrics"].values():
            assert one["value"] is None or abs(float(one["value"])) < float("inf")


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")))
def test_bytes_are_an_object_or_one_line(content: bytes) -> None:
    try:
        assert isinstance(parse_object(content, "x.json"), dict)
    except DamagedError as error:
        assert "\n" not in str(error) and str(error).startswith("x.json ")


@settings(max_examples=100)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_seal_notices_any_other_byte(place: int, value: int) -> None:
    content = seal.sealed(ARCHIVE, "run")
    assert seal.broken(content, "run") == ""
    assert seal.broken(content, "other") == "is another run's"
    changed = bytearray(content)
    changed[place % len(content)] = value
    assert bytes(changed) == content or seal.broken(bytes(changed), "run")


def _archive() -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save({"a": torch.arange(5)}, buffer)
    return buffer.getvalue()


ARCHIVE = _archive()
MEASURED = {"value": 1.5, "protocol": "a/1", "direction": "lower", "unit": "nats", "summary": "a"}
EVALUATION = {
    **{"step": 1, "phase": "mle", "epoch": 1, "final": True, "ledger": {"n": 1}},
    **{"seconds": 1.0, "cpu_seconds": 1.0, "metrics": {"a": MEASURED}},
}
LATER = {"alpha": 1.5, "samples": 9, "metrics": {"a": MEASURED}, "options": [["a", {}]]}
LOSS = {"kind": "loss", "step": 1, "phase": "mle", "epoch": 0, "values": {"a": 1.5}}
EPOCH = {
    **{"kind": "epoch", "step": 1, "phase": "mle", "epoch": 1, "seconds": 1.0},
    **{"cpu_seconds": 1.0, "ledger": {"n": 1}},
}


def kinds_spec() -> dict[str, object]:
    from stores import spec

    return dict(json.loads(json.dumps(spec("cot", warmup=spec()).to_json())))


def test_checkpoints_hold_what_is_checked(interrupted: RunDirectory) -> None:
    spec = interrupted.spec()
    state = checkpoint._read(interrupted, "checkpoint.pt", spec.hash)
    assert set(state["checksums"]) == set(state["offsets"]) == set(checkpoint.LOGS)
