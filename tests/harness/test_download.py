"""Published files: nothing unchecked is ever used, and nothing broken is ever kept."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from textbench.contracts.errors import UserError
from textbench.tasks.download import Remote, cache, fetch

CONTENT = b"what was published"
GIT_BLOB = "2595b9fd28437f1437504cd6923552e5ef8699a8"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves ``/right``, ``/wrong`` and ``/cut`` on this machine, and counts requests."""

    requests = 0


class Answer(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        body = {"/right": CONTENT, "/wrong": b"something else", "/cut": CONTENT}.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write((body or b"")[: 5 if self.path == "/cut" else None])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTBENCH_DATA", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def remote(server: Server, page: str = "right", sha256: str = SHA256) -> Remote:
    url = f"http://127.0.0.1:{server.server_address[1]}/{page}"
    return Remote(name="folder/file.bin", url=url, sha256=sha256, what="the published file")


def kept() -> list[Path]:
    return [path for path in cache().rglob("*") if path.is_file()]


def test_a_file_is_downloaded_once(server: Server) -> None:
    paths = [fetch(remote(server)) for _ in range(3)]
    assert paths == [cache() / "folder/file.bin"] * 3
    assert paths[0].read_bytes() == CONTENT
    assert server.requests == 1
    assert kept() == [paths[0]]


@pytest.mark.parametrize("page", ["wrong", "cut", "absent"])
def test_a_broken_download_leaves_nothing(server: Server, page: str) -> None:
    message = complaint(remote(server, page))
    assert "the published file" in message
    assert f"/{page}" in message
    assert kept() == []


def test_without_a_network_the_message_says_where_to_put_the_file(server: Server) -> None:
    unreachable = remote(server)
    server.server_close()
    server.socket.close()
    message = complaint(unreachable)
    assert "could not download the published file" in message
    assert str(cache() / "folder/file.bin") in message
    assert "TEXTBENCH_DATA" in message
    assert kept() == []


def test_what_is_in_the_cache_is_checked_again(server: Server) -> None:
    path = fetch(remote(server))
    path.write_bytes(CONTENT[:-1])
    message = complaint(remote(server))
    assert str(path) in message
    assert SHA256 in message
    assert server.requests == 1


def test_a_local_copy_needs_no_network(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = tmp_path / "data" / "folder" / "file.bin"
    local.parent.mkdir(parents=True)
    local.write_bytes(CONTENT)
    monkeypatch.setenv("TEXTBENCH_DATA", str(tmp_path / "data"))
    assert fetch(remote(server)) == local
    assert server.requests == 0
    local.write_bytes(b"another file of that name")
    assert "is not the published file" in complaint(remote(server))


def test_a_folder_of_local_copies_may_lack_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTBENCH_DATA", str(tmp_path))
    assert fetch(remote(server)) == cache() / "folder/file.bin"


def test_local_copies_in_a_folder_that_does_not_exist(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt name must not send anyone to the network in silence."""
    monkeypatch.setenv("TEXTBENCH_DATA", str(tmp_path / "misspelt"))
    assert "misspelt: there is no such folder" in complaint(remote(server))
    assert server.requests == 0


def test_a_file_may_be_known_by_its_git_blob_id(server: Server) -> None:
    """`git hash-object` of the content, where a source publishes no other checksum."""
    by_git = remote(server, sha256="")._replace(git_blob=GIT_BLOB)
    assert fetch(by_git).read_bytes() == CONTENT
    (cache() / "folder/file.bin").unlink()
    assert GIT_BLOB in complaint(by_git._replace(url=remote(server, "wrong").url))
    assert kept() == []


def test_the_cache_is_the_users_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEXTBENCH_CACHE")
    assert cache().name == "textbench"


def complaint(wanted: Remote) -> str:
    with pytest.raises(UserError) as caught:
        fetch(wanted)
    assert "\n" not in str(caught.value)
    return str(caught.value)
