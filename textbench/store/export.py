"""A store in a format that others read: a JSON file per row and seed, or a zip of its records.

The format is Every Eval Ever's ``eval.schema.json``, which evaluation suites share
(https://github.com/evaleval/every_eval_ever). What it has no field for stands in its
``additional_details``, whose values are strings: JSON where they are not text.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.store import verify
from textbench.store.directory import RunDirectory
from textbench.store.files import checksum
from textbench.store.read import RecordedRun
from textbench.store.rows import RECORD, EvaluationRow, Measurement, Start

SCHEMA_VERSION = "0.2.2"
"""Of ``eval.schema.json``, as of its commit 21b3d1ab3894e9b9aaceca285548accfaa71b333."""
DATE = (1980, 1, 1, 0, 0, 0)
"""Of every entry of an archive: its bytes depend on the store alone."""

Files = dict[str, bytes]
"""Content by name, slashes between folders."""


def exported(run: RecordedRun, organisation: str) -> tuple[str, bytes]:
    """Return a finished run, or one at another inverse temperature, as a file: name and content.

    Args:
        run: What is on record.
        organisation: Who reports the numbers.

    Raises:
        UserError: A log cannot be read, or holds no final evaluation.
    """
    rows = run.evaluations()
    last = rows[-1] if rows else None
    if last is None or not last["final"]:
        raise UserError("it has no final evaluation")
    log = _log(run, last, organisation)
    row = run.spec.label.replace(":", "-").replace(" ", "-")
    name = f"{uuid.uuid5(uuid.NAMESPACE_URL, str(log['evaluation_id']))}.json"
    folder = f"data/textbench-{run.spec.task}/{slug(organisation)}/{row}"
    content = json.dumps(log, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{folder}/{name}", f"{content}\n".encode()


def slug(text: str) -> str:
    """Return a name that any file system takes."""
    kept_ = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)
    return kept_.strip("-.") or "unknown"


def _log(run: RecordedRun, last: EvaluationRow, organisation: str) -> dict[str, object]:
    start: Start = run.starts[-1] if run.starts else {}
    missing = {n: m.get("reason", "") for n, m in last["metrics"].items() if m["value"] is None}
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"textbench/{run.spec.task}/{run.spec.label}/{run.hash}",
        "evaluation_timestamp": _epoch(start.get("time", ""), run.status.heartbeat),
        "retrieved_timestamp": str(int(run.status.heartbeat)),
        "source_metadata": {
            "source_name": "textbench",
            "source_type": "evaluation_run",
            "source_organization_name": organisation,
            "evaluator_relationship": "third_party" if run.spec.given else "first_party",
            "additional_details": _details({"not_applicable": missing}),
        },
        "eval_library": {
            "name": "textbench",
            "version": str(start.get("textbench", "unknown")),
            "additional_details": _details(
                {k: v for k, v in start.items() if k not in ("time", "textbench")}
            ),
        },
        "model_info": _model(run),
        "evaluation_results": [
            _result(run, last, name, measured)
            for name, measured in sorted(last["metrics"].items())
            if measured["value"] is not None
        ],
    }


def _model(run: RecordedRun) -> dict[str, object]:
    spec = run.spec
    known = {
        "trainer": spec.trainer,
        "variant": spec.variant,
        "version": spec.version,
        "seed": spec.seed,
        "preset": spec.preset,
        "config": spec.config,
        "changed": spec.overrides,
        "backbone": spec.backbone,
        "own_generator": spec.own_generator,
        "fresh_data": spec.fresh_data,
        "warmup": spec.warmup.label if spec.warmup else "",
        "hash": run.hash,
        "group": run.group,
    }
    return {
        "name": spec.title or spec.label,
        "id": f"textbench/{spec.label}",
        "additional_details": _details(known),
    }


def _result(
    run: RecordedRun, last: EvaluationRow, name: str, measured: Measurement
) -> dict[str, object]:
    spec = run.spec
    return {
        "evaluation_result_id": f"{run.hash[:16]}/{name}",
        "evaluation_name": f"textbench.{spec.task}",
        "source_data": {
            "dataset_name": spec.task,
            "source_type": "other",
            "source_id": spec.task_fingerprint,
            "additional_details": _details({"note": spec.task_note, "oracle": spec.oracle}),
        },
        "metric_config": {
            "evaluation_description": measured["summary"],
            "metric_id": f"textbench.{name}",
            "metric_name": name,
            "metric_unit": measured["unit"],
            "lower_is_better": measured["direction"] == "lower",
            "additional_details": _details(
                {"protocol": measured["protocol"], "direction": measured["direction"]}
            ),
        },
        "score_details": {
            "score": measured["value"],
            "details": _details(
                {
                    "epoch": last["epoch"],
                    "step": last["step"],
                    "cpu_seconds": last["cpu_seconds"],
                    "ledger": last["ledger"],
                }
            ),
        },
        "generation_config": {
            "generation_args": {"temperature": 1.0 / spec.alpha},
            "additional_details": _details({"evaluation": spec.evaluation}),
        },
    }


def _details(values: Mapping[str, object]) -> dict[str, str]:
    """Return what the format allows: strings. What is empty is left out."""
    text = {
        k: v if isinstance(v, str) else json.dumps(v, sort_keys=True) for k, v in values.items()
    }
    return {k: v for k, v in text.items() if v not in ("", "{}", "null", "[]")}


def _epoch(time: str, otherwise: float) -> str:
    try:
        return str(int(datetime.fromisoformat(time).timestamp()))
    except ValueError:
        return str(int(otherwise))


# -- an archive ----------------------------------------------------------------------------------


def records(run: RecordedRun) -> Files:
    """Return a run's record, as it lies in its store, and the vocabulary of its task.

    The sentences of its task are no part of it.

    Raises:
        UserError: A file cannot be read.
    """
    from textbench.store import kept  # which imports torch

    directory: RunDirectory = run.directory
    verify.samples(directory, run.status)
    found = {f"store/{directory.name}/{name}": directory.content(name) for name in RECORD}
    of_task = kept.contents(directory.store, run.spec, sentences=False)
    found |= {f"store/{run.spec.task}/{name}": content for name, content in of_task.items()}
    return {name: content for name, content in found.items() if content}


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of files and their checksums; the same files give the same bytes."""
    sums = "".join(f"{checksum(files[name])}  {name}\n" for name in sorted(files))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in sorted([*files, "SHA256SUMS"]):
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = 0o644 << 16
            target.writestr(entry, files.get(name, sums.encode()))
    return content.getvalue()


def refuse_to_replace(files: Iterable[tuple[Path, bytes]]) -> None:
    """Refuse to write over a file of other content.

    Raises:
        UserError: Names the first one.
    """
    for path, content in files:
        if path.is_dir():
            raise UserError(f"{path} is a folder")
        if path.exists() and path.read_bytes() != content:
            raise UserError(f"{path} is there already, with other content; --force replaces it")
