"""`textbench export`: by the essential parts of Every Eval Ever's schema, and as an archive."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from stores import make_run, spec

from textbench.cli import cli
from textbench.store.directory import RunDirectory
from textbench.store.export import SCHEMA_VERSION
from textbench.store.frames import load_results

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "ci" / "synthetic-tiny"

STRINGS = {"type": dict, "values": {"type": str}}
NUMBER = {"type": (int, float)}
ARGUMENTS = {"closed": True, "optional": {"temperature": NUMBER}}
TEXT = {"type": str}
SCHEMA: dict[str, Any] = {
    "closed": True,
    "required": {
        "schema_version": {"type": str, "enum": ("0.2.2",)},
        "evaluation_id": TEXT,
        "retrieved_timestamp": {"type": str, "digits": True},
        "source_metadata": {
            "required": {
                "source_type": {"type": str, "enum": ("documentation", "evaluation_run")},
                "source_organization_name": TEXT,
                "evaluator_relationship": {
                    "type": str,
                    "enum": ("first_party", "third_party", "collaborative", "other"),
                },
            },
            "optional": {"source_name": TEXT, "additional_details": STRINGS},
        },
        "model_info": {
            "required": {"name": TEXT, "id": TEXT},
            "optional": {"additional_details": STRINGS},
        },
        "eval_library": {
            "required": {"name": TEXT, "version": TEXT},
            "optional": {"additional_details": STRINGS},
        },
        "evaluation_results": {
            "type": list,
            "items": {
                "required": {
                    "evaluation_name": TEXT,
                    "source_data": {
                        "required": {
                            "dataset_name": TEXT,
                            "source_type": {"type": str, "enum": ("other",)},
                        },
                        "optional": {"source_id": TEXT, "additional_details": STRINGS},
                    },
                    "metric_config": {
                        "required": {"lower_is_better": {"type": bool}},
                        "optional": {
                            "evaluation_description": TEXT,
                            "metric_id": TEXT,
                            "metric_name": TEXT,
                            "metric_unit": TEXT,
                            "additional_details": STRINGS,
                        },
                    },
                    "score_details": {
                        "required": {"score": NUMBER},
                        "optional": {"details": STRINGS},
                    },
                },
                "optional": {
                    "evaluation_result_id": TEXT,
                    "generation_config": {
                        "optional": {
                            "generation_args": ARGUMENTS,
                            "additional_details": STRINGS,
                        },
                    },
                },
            },
        },
    },
    "optional": {"evaluation_timestamp": {"type": str, "digits": True}},
}
"""What ``eval.schema.json`` 0.2.2 asks of the fields that we write, and of what must be there."""


def complaints(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """Return what in ``value`` is not by the schema."""
    kind = schema.get("type", dict)
    wrong_bool = isinstance(value, bool) and kind is not bool
    if not isinstance(value, kind) or wrong_bool:
        return [f"{where} is a {type(value).__name__}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where} is {value!r}")
    if schema.get("digits") and not value.isdigit():
        found.append(f"{where} is no Unix time")
    if kind is list:
        for number, item in enumerate(value):
            found += complaints(item, schema["items"], f"{where}[{number}]")
    if kind is dict:
        required, optional = schema.get("required", {}), schema.get("optional", {})
        found += [f"{where} lacks {key}" for key in required if key not in value]
        known = {**required, **optional}
        for key, item in value.items():
            if key in known or "values" in schema:
                found += complaints(item, known.get(key, schema.get("values")), f"{where}.{key}")
            elif schema.get("closed"):
                found.append(f"{where}.{key} is no field")
    return found


def call(line: str) -> Result:
    result = CliRunner().invoke(cli, shlex.split(line), prog_name="textbench")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs with numbers of every kind."""
    monkeypatch.chdir(tmp_path)
    for label, seed in (("mle", 0), ("mle", 1), ("cot", 0)):
        values = {"nll_test": 2.5 + seed, "bleu5": 0.3, "neither": 1.0, "excess": None}
        make_run(tmp_path / "results", spec(label, seed), [values])
    return tmp_path / "results"


def logs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.rglob("*.json"))]


def test_every_file_is_by_the_schema(store: Path) -> None:
    result = call("export --organisation 'My Lab'")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"3 evaluations by Every Eval Ever's schema {SCHEMA_VERSION}: export\n"
    found = logs(Path("export"))
    assert [complaints(log, SCHEMA) for log in found] == [[], [], []]
    assert {log["source_metadata"]["source_organization_name"] for log in found} == {"My Lab"}
    assert len({log["evaluation_id"] for log in found}) == 3
    parents = {path.parent.as_posix() for path in Path("export").rglob("*.json")}
    assert parents == {f"export/data/textbench-synthetic/My-Lab/{n}" for n in ("mle", "cot")}


def test_the_schema_in_this_test_bites(store: Path) -> None:
    call("export")
    log = logs(Path("export"))[0]
    log["surplus"] = 1
    log["retrieved_timestamp"] = "today"
    del log["model_info"]["id"]
    result = log["evaluation_results"][0]
    result["score_details"]["score"] = "high"
    result["metric_config"]["lower_is_better"] = None
    result["source_data"]["additional_details"] = {"n": 3}
    result["generation_config"]["generation_args"]["alpha"] = 1
    assert len(complaints(log, SCHEMA)) == 7


def test_scores_are_the_final_numbers_with_their_protocols(store: Path) -> None:
    call("export")
    frame = load_results(store)
    final = frame[frame["final"] & frame["value"].notna()]
    expected = {
        (row["run"].rpartition("-")[2], row["metric"]): (row["value"], row["protocol"])
        for row in final.to_dict("records")
    }
    found = {}
    for log in logs(Path("export")):
        run = log["model_info"]["additional_details"]["hash"][:8]
        for result in log["evaluation_results"]:
            config = result["metric_config"]
            protocol = config["additional_details"]["protocol"]
            found[run, config["metric_name"]] = (result["score_details"]["score"], protocol)
    assert found == expected
    configs = {
        result["metric_config"]["metric_name"]: result["metric_config"]
        for result in logs(Path("export"))[0]["evaluation_results"]
    }
    better = {name: config["lower_is_better"] for name, config in configs.items()}
    assert better == {"nll_test": True, "bleu5": False, "neither": False}
    assert configs["neither"]["additional_details"]["direction"] == "none"
    missing = logs(Path("export"))[0]["source_metadata"]["additional_details"]["not_applicable"]
    assert "excess" in json.loads(missing)


def test_a_published_store_is_by_the_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for run in (*sorted(PUBLISHED.glob("mle/s[01]-*")), *sorted(PUBLISHED.glob("cot/s0-*"))):
        shutil.copytree(run, tmp_path / "results" / run.relative_to(PUBLISHED.parent))
    assert call("export").exit_code == 0
    found = logs(Path("export"))
    assert [complaints(log, SCHEMA) for log in found] == [[], [], []]
    units = {
        result["metric_config"]["metric_unit"]
        for result in found[0]["evaluation_results"]
        if result["metric_config"]["metric_name"] == "nll_test"
    }
    assert units == {"nats/token"}


def test_what_is_not_done_or_damaged_is_left_out_and_said(store: Path) -> None:
    cot, mle, other = sorted(RunDirectory.find(store), key=lambda run: run.name)
    (cot.path / "metrics.jsonl").write_bytes(b"{")
    status = other.status()
    status.status = "interrupted"
    other.write_status(status)
    result = call("export")
    assert result.exit_code == 1
    assert f"{cot.name} is left out: " in result.stderr
    assert "1 run(s) are not done and left out" in result.stderr
    (log,) = logs(Path("export"))
    assert log["model_info"]["additional_details"]["hash"] == mle.spec().hash
    shutil.rmtree(mle.path)
    assert call("export").exit_code == 2


def test_nothing_is_replaced_unasked(store: Path) -> None:
    assert call("export --zip a.zip --out eee").exit_code == 0
    assert call("export --zip a.zip --out eee").exit_code == 0  # the same content is no harm
    path = next(Path("eee").rglob("*.json"))
    path.write_text("mine", encoding="utf-8")
    result = call("export --out eee")
    assert result.exit_code == 2
    assert result.stderr == (
        f"textbench: error: {path} is there already, with other content; --force replaces it\n"
    )
    assert path.read_text(encoding="utf-8") == "mine"
    assert call("export --out eee --force").exit_code == 0
    assert json.loads(path.read_text("utf-8"))["schema_version"] == SCHEMA_VERSION


def test_an_archive_is_the_same_bytes_and_holds_a_store_that_reads(
    store: Path, tmp_path: Path
) -> None:
    assert call("export --zip one.zip").exit_code == 0
    shutil.copytree(store, tmp_path / "elsewhere")
    assert call("export --zip two.zip --results elsewhere").exit_code == 0
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()
    assert not Path("export").exists()
    with zipfile.ZipFile("one.zip") as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for line in archive.read("SHA256SUMS").decode().splitlines():
            digest, _, name = line.partition("  ")
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest
        archive.extractall("unpacked")
    frame = load_results("unpacked/store")
    assert len(frame) == len(load_results(store)) > 0


def test_sentences_stay_behind_and_the_vocabulary_goes_along(store: Path) -> None:
    (run, *_) = RunDirectory.find(store)
    start = run.spec().task_fingerprint[:16]
    for suffix in (".json", ".npz"):
        (store / run.spec().task / f"data-{start}{suffix}").write_bytes(b"{}")
    assert call("export --zip a.zip").exit_code == 0
    kept = [name for name in zipfile.ZipFile("a.zip").namelist() if "/data-" in name]
    assert kept == [f"store/{run.spec().task}/data-{start}.json"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("export --results absent", "no run in absent is done: there is nothing to export"),
        ("export --organisation ' '", "--organisation is empty"),
        ("export --zip results", "results' is a directory"),
        ("export --results .", "holds no runs itself"),
    ],
)
def test_mistakes_are_one_line(store: Path, line: str, message: str) -> None:
    result = call(line)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_rows_at_other_temperatures_are_files_of_their_own(store: Path) -> None:
    (run, *_) = RunDirectory.find(store)
    last = run.evaluations()[-1]
    row = {
        "run": run.spec().hash,
        "time": "2026-01-01T00:00:00+00:00",
        "textbench": "0.1.0",
        "alpha": 2.0,
        "samples": 10,
        "metrics": last["metrics"],
        "options": [],
    }
    run.append("evaluations.jsonl", row)
    assert call("export").exit_code == 0
    found = [
        result["generation_config"]["generation_args"]["temperature"]
        for log in logs(Path("export"))
        for result in log["evaluation_results"][:1]
    ]
    assert sorted(found) == [0.5, 1.0, 1.0, 1.0]


def test_the_bytes_of_an_archive_do_not_depend_on_the_order_of_its_files() -> None:
    from textbench.store.export import archive

    files = {"b": b"2", "a": b"1"}
    assert archive(files) == archive(dict(sorted(files.items())))
    assert zipfile.ZipFile(io.BytesIO(archive(files))).namelist() == ["SHA256SUMS", "a", "b"]
