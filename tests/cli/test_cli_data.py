"""`textbench data`: where corpora are, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from corpus import sentences, write

from textbench.cli import cli
from textbench.tasks import download, published
from textbench.tasks.download import Remote

UNREACHABLE = "http://127.0.0.1:9/none.txt"


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTBENCH_DATA", raising=False)


def data(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["data", *arguments])


def local_copies(folder: Path, splits: tuple[str, ...] = ("train", "valid", "test")) -> Path:
    (folder / "emnlp").mkdir(parents=True)
    for seed, split in enumerate(splits):
        write(folder / "emnlp" / f"{split}.txt", sentences(5, seed))
    return folder


def test_list_names_corpora_sizes_and_licences() -> None:
    listed = data("list")
    assert listed.exit_code == 0
    assert "emnlp_news  EMNLP 2017 WMT News: 268,586 / 10,000 / 10,000" in listed.output
    assert "image_coco" in listed.output
    assert "do not redistribute" in listed.output
    assert listed.output.count("here: no; `textbench data fetch` downloads it") == 2


def test_local_copies_are_found_and_told_from_published_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTBENCH_DATA", str(local_copies(tmp_path / "mine")))
    folder = tmp_path / "mine" / "emnlp"
    assert f"here: {folder} (test, train, valid not the published file)" in data("list").output
    assert data("path", "emnlp_news").output == f"{folder}\n"


def test_what_is_not_here_has_no_path() -> None:
    absent = data("path", "emnlp_news")
    assert absent.exit_code == 2
    assert "get it with `textbench data fetch emnlp_news`" in absent.stderr


def test_unknown_corpora() -> None:
    for command in ("path", "fetch"):
        unknown = data(command, "emnlp")
        assert unknown.exit_code == 2
        assert "unknown corpus 'emnlp'; did you mean 'emnlp_news'?" in unknown.stderr


def test_all_names_are_known_before_the_first_is_downloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "fetch", lambda remote: pytest.fail("it was downloaded"))
    unknown = data("fetch", "image_coco", "emnlp")
    assert unknown.exit_code == 2 and "unknown corpus 'emnlp'" in unknown.stderr


def test_without_a_network_fetch_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    files = {
        split: remote._replace(url=UNREACHABLE)
        for split, remote in published.IMAGE_COCO.files.items()
    }
    monkeypatch.setitem(published.CORPORA, "image_coco", published.IMAGE_COCO._replace(files=files))
    failed = data("fetch", "image_coco")
    assert failed.exit_code == 2
    (complaint,) = failed.stderr.splitlines()
    assert "could not download the train file of Image COCO" in complaint
    assert str(tmp_path / "cache" / "coco" / "train.txt") in complaint
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_what_was_fetched_is_listed(tmp_path: Path) -> None:
    for remote in published.IMAGE_COCO.files.values():
        path = tmp_path / "cache" / remote.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n", encoding="utf-8")
    assert data("path", "image_coco").output == f"{tmp_path / 'cache' / 'coco'}\n"
    wrong = data("fetch", "image_coco")
    assert wrong.exit_code == 2
    assert "is not the train file of Image COCO: sha256" in wrong.stderr


def test_addresses_are_pinned_and_files_known_by_checksums() -> None:
    for corpus in published.CORPORA.values():
        for split, remote in corpus.files.items():
            assert isinstance(remote, Remote)
            assert "/e6be915b1aed7843d83f7d543bfb8de9f3d3461f/" in remote.url
            assert remote.url.endswith(f"/{split}.txt")
            assert remote.name == f"{corpus.folder}/{split}.txt"
            known = (remote.sha256, 64) if remote.sha256 else (remote.git_blob, 40)
            assert len(known[0]) == known[1]
            assert int(known[0], 16)
