"""The report's folder: what an earlier report left goes, and nothing that is not its own."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from textbench.contracts.errors import UserError
from textbench.report.output import MANIFEST, Output
from textbench.store import files


def written(folder: Path, **files: str) -> None:
    output = Output(folder)
    for name, content in files.items():
        output.add(name, content)
    output.write()


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_an_earlier_report_wrote_goes_unless_it_was_edited(tmp_path: Path) -> None:
    written(tmp_path, a="1", b="2", c="3")
    (tmp_path / "b").write_text("mine")
    written(tmp_path, c="4")
    assert inside(tmp_path) == ["b", "c", MANIFEST]


WEB_APP = b'{"name": "My app", "start_url": "/"}'


@pytest.mark.parametrize(
    "content",
    [b"[1,2]", b"7", b"\xff", b'{"a": [], "name": "My app"}', WEB_APP, b"[" * 100_000, b"{}"],
)
def test_another_manifest_is_none_and_stays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(UserError, match=r"manifest\.json is there already, and no `textbench rep"):
        written(tmp_path, c="4")
    assert inside(tmp_path) == [MANIFEST]
    assert (tmp_path / MANIFEST).read_bytes() == content


def test_an_empty_manifest_is_nobodys_loss(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / MANIFEST).write_bytes(b"")
    written(tmp_path, c="4")
    assert inside(tmp_path) == ["a", "c", MANIFEST]
    assert json.loads((tmp_path / MANIFEST).read_text()).keys() == {"c"}


def test_a_file_of_the_same_name_by_another_hand_stays(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("mine")
    with pytest.raises(UserError, match="c is there already, and no `textbench report` has writ"):
        written(tmp_path, b="1", c="2")
    assert inside(tmp_path) == ["c"]
    assert (tmp_path / "c").read_text() == "mine"
    written(tmp_path, b="1")  # beside it there is room
    with pytest.raises(UserError, match="c is there already"):
        written(tmp_path, b="1", c="2")
    with pytest.raises(UserError, match=r"large\.csv is there already"):
        (tmp_path / "large.csv").write_text("mine")
        laid_down(tmp_path, "1")
    assert inside(tmp_path) == ["b", "c", "large.csv", MANIFEST]
    assert (tmp_path / "large.csv").read_text() == "mine"


def test_what_is_there_already_byte_for_byte_is_no_loss(tmp_path: Path) -> None:
    written(tmp_path, c="1")
    (tmp_path / MANIFEST).unlink()
    written(tmp_path, c="1")
    assert inside(tmp_path) == ["c", MANIFEST]


def test_what_a_killed_report_has_written_is_the_next_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, a="1", c="2")
    plain = Output._replace

    def killed(path: Path, content: bytes) -> None:
        plain(path, content)
        if path.name == "b":
            raise KeyboardInterrupt

    monkeypatch.setattr(Output, "_replace", staticmethod(killed))
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, b="3", c="4")
    monkeypatch.undo()
    assert inside(tmp_path) == ["b", "c", MANIFEST]
    written(tmp_path, b="5", c="6")
    assert [(tmp_path / name).read_text() for name in ("b", "c")] == ["5", "6"]


@pytest.mark.skipif(os.name == "nt", reason="there are none")
def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST)
    written(tmp_path, c="4")
    assert (tmp_path / MANIFEST).is_file()


def test_a_report_that_cannot_be_written_leaves_nothing_half(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    with pytest.raises(UserError, match="cannot write the report to"):
        written(tmp_path, c="4")
    assert inside(tmp_path) == ["c"]


def laid_down(folder: Path, content: str, *, failing: bool = False) -> None:
    with Output(folder) as output:
        large = output.lay_down("large.csv", lambda: list(content))
        output.add("small.csv", "1")
        output.take("large.csv", large())
        if failing:
            raise RuntimeError("a figure could not be drawn")
        output.write()


def test_a_large_file_is_laid_down_and_stands_in_the_manifest(tmp_path: Path) -> None:
    laid_down(tmp_path, "äöü")
    assert inside(tmp_path) == ["large.csv", MANIFEST, "small.csv"]
    assert (tmp_path / "large.csv").read_bytes() == "äöü".encode()
    digest = hashlib.sha256("äöü".encode()).hexdigest()
    assert json.loads((tmp_path / MANIFEST).read_text())["large.csv"] == digest
    written(tmp_path, c="4")
    assert inside(tmp_path) == ["c", MANIFEST]  # what was laid down is the report's own, too


def test_what_was_laid_down_goes_where_a_report_fails(tmp_path: Path) -> None:
    laid_down(tmp_path, "1")
    with pytest.raises(RuntimeError):
        laid_down(tmp_path, "2", failing=True)
    assert inside(tmp_path) == ["large.csv", MANIFEST, "small.csv"]
    assert (tmp_path / "large.csv").read_text() == "1"


def test_a_folder_that_cannot_be_made_is_said_of_a_large_file_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the report to"):
        laid_down(tmp_path / "file", "1")


def test_what_a_killed_report_laid_down_goes_with_a_later_one(tmp_path: Path) -> None:
    left, fresh = (files.temporary(tmp_path / "data.csv") for _ in range(2))
    mine = tmp_path / ".data.csv.tmp"
    for path in (left, fresh, mine):
        path.write_text("1")
    for path in (left, mine):
        os.utime(path, (0, 0))
    written(tmp_path, c="4")
    assert inside(tmp_path) == sorted([mine.name, fresh.name, "c", MANIFEST])
