"""A store from somebody else is data: nothing in it is run, followed or believed unchecked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import damage as kinds
import pytest
import torch
from damaged_stores import RUN, Store, call
from hypothesis import given, settings
from hypothesis import strategies as st

from textbench.contracts.errors import UserError
from textbench.plan.arguments import parse_alphas
from textbench.run import worker
from textbench.run.conditions import Conditions
from textbench.store import quick, records, seal
from textbench.store.directory import RunDirectory
from textbench.store.files import DamagedError, parse_object
from textbench.store.frames import load_curves, load_results
from textbench.store.rows import LEDGER_TAKEN

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("damage"))


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


@pytest.mark.parametrize("key", ["task", "trainer", "variant", "preset"])
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
    assert call(RUN.replace("--seeds 0:2", "--seeds 7"), results).exit_code == 1
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


@pytest.mark.parametrize("value", [[], {}, None, 1, "up"])
def test_a_direction_is_one_of_three_words(value: object) -> None:
    row = {**EVALUATION, "metrics": {"a": {**MEASURED, "direction": value}}}
    with pytest.raises(DamagedError, match="row: a is not described as it must be"):
        records.evaluation(row, "row")


def test_a_key_of_several_lines_is_told_in_one() -> None:
    row = {**EVALUATION, "ledger": {"a\n\tb": None}}
    with pytest.raises(DamagedError, match=r"^row: a b is None, not a count; "):
        records.evaluation(row, "row")


@pytest.mark.parametrize("alpha", [0, 0.0, 5e-324, -1, -0.5, 1e6 + 1])
def test_an_alpha_is_an_inverse_temperature(alpha: float) -> None:
    row = {**LATER, "time": "", "textbench": ""}
    assert records.later(row, "row")["alpha"] == 1.5
    with pytest.raises(DamagedError, match=r"row: alpha is .*, not an inverse temperature"):
        records.later({**row, "alpha": alpha}, "row")
    with pytest.raises(DamagedError, match=r"row: alpha is .*, not an inverse temperature"):
        records.spec({**kinds_spec(), "alpha": alpha}, "row")
    with pytest.raises(UserError, match="all above 0 and at most 1,000,000"):
        parse_alphas(str(alpha))


def test_a_row_that_has_no_checksum_it_could_have_is_one_line() -> None:
    row = parse_object('{"far": 1e999, "checksum": "x"}', "row")
    with pytest.raises(DamagedError, match="row was changed: its checksum does not fit"):
        records.later({**LATER, "time": "", "textbench": "", **row}, "row")


@pytest.mark.parametrize("name", sorted(LEDGER_TAKEN))
def test_no_count_takes_the_place_of_another_column(name: str) -> None:
    for row, closely, at_once in (
        (EVALUATION, records.evaluation, quick.evaluations),
        (EPOCH, records.log_entry, quick.log_entries),
    ):
        wrong = {**row, "ledger": {"n": 1, name: 7}}
        assert at_once([json.dumps(each).encode() for each in (row, wrong, row)]) is None
        with pytest.raises(DamagedError, match=f"row: no count may be called {name}, which is a"):
            closely(wrong, "row")


def test_the_names_that_no_count_may_have_are_those_of_every_frame(tmp_path: Path) -> None:
    from stores import make_run, points, spec

    make_run(tmp_path, spec(), points(1.0))
    counts = {"generator_updates", "critic_updates"}
    for frame in (load_results(tmp_path), load_curves(tmp_path)):
        assert set(frame.columns) - counts <= LEDGER_TAKEN


@pytest.mark.parametrize("value", [2**63, -(2**63), 10**400])
def test_a_number_that_fits_no_column_is_looked_at_wherever_it_stands(value: int) -> None:
    measured = {"a": {**MEASURED, "value": value}}
    for row in ({**EVALUATION, "metrics": measured}, {**EVALUATION, "epoch": value}):
        assert quick.evaluations([json.dumps(row).encode()]) is None
    for row in ({**LOSS, "values": {"x": value}}, {**EPOCH, "seconds": value}):
        assert quick.log_entries([json.dumps(row).encode()]) is None


def test_a_number_that_was_written_whole_stays_whole() -> None:
    line = json.dumps({**EVALUATION, "epoch": 120, "seconds": 2.0}).encode()
    (row,) = quick.evaluations([line]) or []
    assert (repr(row["epoch"]), repr(row["seconds"])) == ("120", "2.0")


def test_sound_lines_are_taken_at_once() -> None:
    for rows in ([LOSS], [EPOCH], [LOSS, EPOCH, EPOCH, LOSS]):
        assert quick.log_entries([json.dumps(row).encode() for row in rows]) == rows
    assert quick.evaluations([json.dumps(EVALUATION).encode()] * 3) == [EVALUATION] * 3


def test_what_a_newer_version_added_is_left_out_and_must_still_be_json() -> None:
    def line(known: dict[str, object], added: bytes) -> bytes:
        return json.dumps(known).encode()[:-1] + b', "x": ' + added + b"}"

    kinds: list[tuple[dict[str, object], Callable[[Sequence[bytes]], object]]] = [
        (EVALUATION, quick.evaluations),
        (LOSS, quick.log_entries),
        (EPOCH, quick.log_entries),
    ]
    for known, at_once in kinds:
        assert at_once([line(known, b'[{"y": null}, 1e3, "\\u00e9"]')]) == [known]
        for wrong in (b"NaN", b"01", b'"\xff"', b'"\\ud800"', b"[" * 100_000):
            assert at_once([line(known, wrong)]) is None, wrong
            with pytest.raises(DamagedError):
                parse_object(line(known, wrong), "row")


def test_lines_are_taken_at_once_only_where_each_is_an_object_of_its_own() -> None:
    one = json.dumps(EVALUATION).encode()
    for cut in ((b', "x": 1', b'"y": 1}'), (b', "x": [{}', b"{}]}")):
        begun, rest = one[:-1] + cut[0], cut[1]
        assert quick.evaluations([begun, rest]) is None
        assert quick.evaluations([one + b"," + one, begun, rest]) is None  # as many as lines
    assert quick.evaluations([one + b"," + one]) is None
    assert quick.evaluations([one, b"", one]) is None
    assert quick.evaluations([]) == []


@settings(max_examples=300)
@given(st.data())
def test_what_is_taken_at_once_is_what_a_closer_look_finds(data: st.DataObject) -> None:
    known, at_once, closely = data.draw(
        st.sampled_from(
            [
                (EVALUATION, quick.evaluations, records.evaluation),
                (LOSS, quick.log_entries, records.log_entry),
                (EPOCH, quick.log_entries, records.log_entry),
            ]
        )
    )
    row = json.loads(json.dumps(known))
    if data.draw(st.booleans()):
        inner = data.draw(st.sampled_from([row, *(t for t in row.values() if type(t) is dict)]))
        inner = inner["a"] if type(inner.get("a")) is dict else inner
        key = data.draw(st.sampled_from(sorted(inner)))
        inner[key] = data.draw(anything | st.integers(-(2**64), 2**64))
    line = json.dumps(row).encode("utf-8", "replace")
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(line)))
        line = line[:place] + data.draw(st.binary(max_size=3)) + line[place:]
    sound = json.dumps(known).encode()
    found = at_once([sound, line, sound])
    try:
        expected = closely(parse_object(line, "row"), "row")
    except DamagedError:
        assert found is None
        return
    if found is not None:
        taken = {key: value for key, value in expected.items() if key in known}
        assert found == [known, taken, known]


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
    **{"step": 1, "phase": "mle", "epoch": 1.0, "final": True, "ledger": {"n": 1}},
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
