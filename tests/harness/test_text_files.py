"""Files as users have them: each kind gives a stated result, or one clear line before training."""

from __future__ import annotations

import gzip
import json
import pickle
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import corpus
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from textbench.cli import cli
from textbench.contracts.config import validate
from textbench.contracts.errors import UserError
from textbench.tasks.sentences import characters, read_lines
from textbench.tasks.text import Text, TextConfig

LINES = corpus.sentences(120, 3)
POEMS = ["床前明月光", "疑是地上霜", "举头望明月", "低头思故乡", "白日依山尽", "黄河入海流"]
HEADER = "id,text,label"


def task(**options: Any) -> Text:
    return Text(validate(TextConfig, options, "text"))


def refusal(**options: Any) -> str:
    with pytest.raises(UserError) as caught:
        task(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def put(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def plain(lines: list[str] = LINES) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def table(mark: str = ",", lines: list[str] = LINES) -> bytes:
    rows = [mark.join((str(i), f'"{line}"', "0")) for i, line in enumerate(lines)]
    return "\n".join([HEADER.replace(",", mark), *rows, ""]).encode()


@pytest.fixture
def reference(tmp_path: Path) -> str:
    """The fingerprint of the sentences in a plain file."""
    return task(train=put(tmp_path / "plain.txt", plain())).fingerprint()


# -- the same sentences in other clothes --------------------------------------------------------

SAME: dict[str, tuple[str, Callable[[], bytes], dict[str, str], str]] = {
    "gzip": ("a.txt.gz", lambda: gzip.compress(plain()), {}, ""),
    "no gzip": ("a.txt.gz", plain, {}, "is not compressed, whatever its name says"),
    "gzip by its content": ("a.txt", lambda: gzip.compress(plain()), {}, ""),
    "utf-16 little": ("a.txt", lambda: plain().decode().encode("utf-16"), {}, "is UTF-16"),
    "utf-16 big": ("a.txt", lambda: b"\xfe\xff" + plain().decode().encode("utf-16-be"), {}, "is"),
    "utf-32": ("a.txt", lambda: plain().decode().encode("utf-32"), {}, "is UTF-32"),
    "encoding": (
        "a.txt",
        lambda: plain().decode().encode("utf-16-le"),
        {"encoding": "utf-16-le"},
        "",
    ),
    "old Mac": ("a.txt", lambda: plain().replace(b"\n", b"\r"), {}, "line ends of old Macs"),
    "csv": ("a.csv", table, {"column": "text"}, ""),
    "csv with semicolons": ("a.csv", lambda: table(";"), {"column": "text"}, ""),
    "csv by format": ("a.txt", table, {"column": "text", "format": "csv"}, ""),
    "tsv, compressed": ("a.TSV.gz", lambda: gzip.compress(table("\t")), {"column": "text"}, ""),
    "jsonl": (
        "a.jsonl",
        lambda: plain([json.dumps({"n": 1, "text": line}) for line in LINES]),
        {"column": "text"},
        "",
    ),
    "marks of files that were joined": (
        "a.txt",
        lambda: b"".join(b"\xef\xbb\xbf" * 2 + plain(part) for part in (LINES[:50], LINES[50:])),
        {},
        "",
    ),
    "an end of DOS": ("a.txt", lambda: plain() + b"\x1a", {}, ""),
    "jsonl of strings": ("a.jsonl", lambda: plain([json.dumps(line) for line in LINES]), {}, ""),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_sentences_in_another_file_are_the_same_task(
    kind: str, tmp_path: Path, reference: str
) -> None:
    name, content, options, said = SAME[kind]
    text = task(train=put(tmp_path / name, content()), **options)
    assert text.fingerprint() == reference
    assert [line for line in text.warnings if said and said in line] or not said


# -- what cannot be used --------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, bytes, dict[str, str], str]] = {
    "zip": ("a.txt", b"PK\x03\x04...", {}, "is a zip archive"),
    "pdf": ("a.txt", b"%PDF-1.7", {}, "is a PDF document"),
    "torn gzip": ("a.txt.gz", gzip.compress(plain())[:-20], {}, "is a damaged gzip file"),
    "gzip of nothing": ("a.txt.gz", b"\x1f\x8b", {}, "is a damaged gzip file"),
    "NUL": ("a.txt", b"a b\nc \0 d\n", {}, "line 2 holds a NUL character"),
    "utf-16 without a mark": (
        "a.txt",
        plain().decode().encode("utf-16-le"),
        {},
        "looks like UTF-16-LE without a byte order mark; add text.encoding=utf-16-le",
    ),
    "gzip of gzip": ("a.txt.gz", gzip.compress(gzip.compress(plain())), {}, "compressed twice"),
    "binary": ("a.txt", bytes(range(256)) * 8, {}, "is no text but binary data"),
    "pickle": ("a.txt", pickle.dumps(LINES, 5), {}, "is a pickle; expected text"),
    "Shift JIS": (
        "a.txt",
        ("私は学生です\n" * 9).encode("shift_jis"),
        {},
        r"0x8e in line 1; add text.encoding=NAME: shift_jis, .*could be it",
    ),
    "GB 18030": ("a.txt", ("我 爱 北京\n" * 9).encode("gb18030"), {}, r"=NAME: .*gb18030.* could"),
    "Cyrillic": (
        "a.txt",
        ("мама мыла\n" * 9).encode("cp1251"),
        {},
        "=NAME: .*cp1251 or koi8-r could",
    ),
    "latin-1": ("a.txt", "un\nélève\n".encode("latin-1"), {}, "0xe9 in line 2; if .*=latin-1"),
    "surrogates": ("a.txt", b"a\n\xed\xa0\x80\n", {}, "is not UTF-8: byte 0xed in line 2"),
    "surrogates in JSON": ("a.jsonl", b'"a"\n"\\ud800"', {}, "line 2: line 1 holds half a char"),
    "half of utf-16": ("a.txt", b"\xff\xfea\x00b", {}, "is not UTF-16: truncated data"),
    "no encoding": (
        "a.txt",
        plain(),
        {"encoding": "klingon"},
        "'klingon' is no encoding; e.g. utf",
    ),
    "no text encoding": ("a.txt", plain(), {"encoding": "base64"}, "'base64' is no encoding"),
    "csv": ("a.csv", table(), {}, "columns id, text, label: say which one, .* text.column=text"),
    "no column": ("a.csv", table(), {"column": "txt"}, "no column 'txt'; did you mean 'text'"),
    "a short row": ("a.csv", table() + b"7,x\n", {"column": "text"}, "line 122 has 2 cells"),
    "an open quote": ("a.csv", table() + b'7,"x,0\n', {"column": "text"}, "is not CSV: unexpected"),
    "an empty table": ("a.csv", b"", {"column": "text"}, "there is no column; the file is empty"),
    "a header alone": ("a.csv", b"id,text\n", {"column": "text"}, "holds no sentence"),
    "a long number": (
        "a.jsonl",
        b'{"text": "a", "n": ' + b"9" * 5000 + b"}\n",
        {"column": "text"},
        "line 1 is not JSON: a number is too long",
    ),
    "json": ("a.jsonl", b'{"text": "a"}\n{"text": \n', {"column": "text"}, "line 2 is not JSON"),
    "a number": (
        "a.jsonl",
        b'{"text": 3}',
        {"column": "text"},
        "line 1 holds a number, expected a string",
    ),
    "no key": ("a.jsonl", b'{"text": ""}', {}, "the columns text: say which one"),
    "a JSON document": ("a.json", json.dumps(LINES).encode(), {}, "is one JSON document; expected"),
    "JSON over lines": (
        "a.txt",
        json.dumps([{"text": line} for line in LINES], indent=1).encode(),
        {},
        "is one JSON document; expected",
    ),
    "a column twice": ("a.csv", b"text,text\na,b\n", {"column": "text"}, "has 2 columns 'text'"),
    "a column of lines": ("a.txt", plain(), {"column": "text"}, "no table by its name; add text.f"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_said_in_one_line(kind: str, tmp_path: Path) -> None:
    name, content, options, message = REFUSED[kind]
    said = refusal(train=put(tmp_path / name, content), **options)
    assert re.search(message, said), said


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "any.txt"


@given(content=st.binary(max_size=200))
def test_any_bytes_are_lines_or_one_line(scratch: Path, content: bytes) -> None:
    scratch.write_bytes(content)
    try:
        lines = read_lines(scratch, "text.train", form="auto", said=[])
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert lines and all(line == " ".join(line.split()) != "" for line in lines)


# -- warnings -------------------------------------------------------------------------------------


def warnings(tmp_path: Path, lines: list[str], **options: Any) -> str:
    return "\n".join(task(train=put(tmp_path / "w.txt", plain(lines)), **options).warnings)


def test_a_good_corpus_has_no_warning(tmp_path: Path) -> None:
    lines = [
        f"{line} and word{i % 7}" for i, line in enumerate(dict.fromkeys(corpus.sentences(900)))
    ]
    assert len(lines) > 400
    shares = {"valid_share": 0.2, "test_share": 0.2}
    assert warnings(tmp_path, lines, **shares) == ""


def test_dropped_sentences(tmp_path: Path) -> None:
    lines = [f"{'a ' * (5 + (i % 10 > 0) * 20)}{i}" for i in range(1000)]
    said = warnings(tmp_path, lines, length=20)
    assert "716 of 800 train sentences are longer than 20 words and were dropped; " in said
    assert "text.length=26 keeps all" in said
    assert "longer" not in warnings(tmp_path, lines, length=26)
    assert "longer than 20 words and were cut" in warnings(
        tmp_path, lines, length=20, too_long="cut"
    )


def test_a_script_without_spaces(tmp_path: Path) -> None:
    said = warnings(tmp_path, POEMS)
    assert "every training sentence is one word" in said
    assert "text.tokeniser=character" in said
    assert "no test word occurs in the vocabulary: BLEU is 0" in said
    again = task(train=str(tmp_path / "w.txt"), tokeniser="character", length=5)
    assert "one word" not in "\n".join(again.warnings)


def test_unknown_words(tmp_path: Path) -> None:
    words = [f"w{i} the end" for i in range(200)]
    assert "33 % of the test words are outside the vocabulary" in warnings(tmp_path, words)


def test_a_table_read_as_sentences(tmp_path: Path) -> None:
    for mark, form in ((",", "csv"), ("\t", "tsv"), (";", "csv")):
        text = task(train=put(tmp_path / "t.txt", table(mark)))
        (line,) = [one for one in text.warnings if "table" in one]
        assert f"looks like a table ({form}: id, text, label)" in line
        assert f"text.format={form} text.column=text reads one column" in line
        right = task(train=str(tmp_path / "t.txt"), format="lines")
        assert not [one for one in right.warnings if "table" in one]
    objects = [json.dumps({"caption": line, "n": 0}) for line in LINES]
    assert "(jsonl: caption, n)" in warnings(tmp_path, objects)
    assert "text.column=caption" in warnings(tmp_path, objects)


def test_lines_of_braces_without_end_are_no_table(tmp_path: Path) -> None:
    from textbench.tasks.tables import looks_like

    assert looks_like("\n".join(['{"a":' * 5000] * 3)) == ("", [])


def test_tabs_without_a_header(tmp_path: Path) -> None:
    lines = [f"{line}\t{number}" for number, line in enumerate(LINES)]
    text = task(train=put(tmp_path / "a.txt", plain(lines)))
    assert any("a table without a header (2 cells a line" in line for line in text.warnings)
    asked = task(train=str(tmp_path / "a.txt"), format="lines")
    assert not [line for line in asked.warnings if "table" in line]


def test_line_ends_of_several_systems(tmp_path: Path) -> None:
    lines = plain().decode().splitlines()
    content = "\r\n".join(lines[:60]) + "\r" + "\r".join(lines[60:])
    text = task(train=put(tmp_path / "a.txt", content.encode()))
    lone = len(lines) - 60
    assert any(f"has {lone} carriage returns within lines" in line for line in text.warnings)


def test_line_ends_that_are_none_here_are_said(tmp_path: Path) -> None:
    lines = plain().decode().splitlines()
    half, rest = lines[:60], lines[60:]
    for end in ("\u2028", "\x85", "\f", " \u2029 "):
        content = "\n".join([*half, end.join(rest)])
        name = f"{len(rest) - 1} line ends of another kind (U+{ord(end.strip(' ')):04X})"
        text = task(train=put(tmp_path / "a.txt", content.encode()))
        assert [line for line in text.warnings if name in line], text.warnings
    pages = "\n".join(half) + "\n\f" + "\n".join(rest) + "\n\f\n"
    text = task(train=put(tmp_path / "a.txt", pages.encode()))
    assert not [line for line in text.warnings if "line ends" in line]


def test_copies(tmp_path: Path) -> None:
    files = {split: put(tmp_path / f"{split}.txt", plain()) for split in ("train", "valid")}
    test = put(tmp_path / "test.txt", plain([*corpus.sentences(50, 9), *LINES[:20]]))
    said = "\n".join(task(**files, test=test).warnings)
    assert "120 of 120 valid sentences occur in train" in said
    assert "of 70 test sentences occur in train" in said
    assert "of 70 test sentences occur in valid" in said
    assert "only 4 of" in warnings(tmp_path, [f"{c} x" for c in "abcdef"] * 20)


def test_words_that_only_look_alike(tmp_path: Path) -> None:
    for odd in ("\u200b{}", "{}\u00ad", "\u202b{}\u202c"):  # none of which shows
        half = [odd.format(line) if i % 2 else line for i, line in enumerate(LINES)]
        said = warnings(tmp_path, half)
        assert "sentences hold words that look like others and are not, such as" in said
        assert said.isascii()
        assert "look like" not in warnings(tmp_path, [odd.format(LINES[0]), *LINES[1:]])
    accents = [
        unicodedata.normalize("NFC" if i % 2 else "NFD", f"\xe9t\xe9 {line}")
        for i, line in enumerate(LINES)
    ]
    assert "such as 'e\\u0301te\\u0301' and" in warnings(tmp_path, accents)


def test_few_sentences_and_html(tmp_path: Path) -> None:
    lines = [f"{line} &amp; more" for line in LINES]
    said = warnings(tmp_path, lines)
    assert "valid and" in said and "test sentences are few" in said
    assert "training sentences hold HTML, such as &amp;" in said
    assert "hold HTML" in warnings(tmp_path, [f"<li>{line}</li>" for line in LINES])
    assert "hold HTML" not in warnings(tmp_path, [f"{line} <unk> < 3" for line in LINES])


# -- characters -----------------------------------------------------------------------------------


def test_characters_keep_their_accents_and_give_the_line_back() -> None:
    assert characters("n\u00e9 d") == ["n", "\u00e9", " ", "d"]
    assert characters("e\u0301a\u0308\u0323") == ["e\u0301", "a\u0308\u0323"]
    assert characters("\u0301a") == ["\u0301", "a"]
    assert characters("नमस्ते") == ["न", "म", "स्", "ते"]


@given(st.text(max_size=30))
def test_characters_lose_nothing(line: str) -> None:
    assert "".join(characters(line)) == line


def test_a_task_of_characters(tmp_path: Path) -> None:
    lines = POEMS + [poem[::-1] for poem in POEMS]
    options = {"valid_share": 0.2, "test_share": 0.2, "tokeniser": "character"}
    text = task(train=put(tmp_path / "poems.txt", plain(lines)), **options)
    assert text.length == 6
    assert set(text.decode(text.train(0, 0))) < set(lines)
    assert all(len(words) == 5 for words in text.references())
    ascii_text = task(train=put(tmp_path / "ascii.txt", plain()), **options)
    assert set(ascii_text.decode(ascii_text.train(0, 0))) < set(LINES)  # spaces are symbols


# -- the hub --------------------------------------------------------------------------------------


class Split(dict[str, list[str]]):
    """What a split of the package `datasets` looks like to us."""

    @property
    def column_names(self) -> list[str]:
        return list(self)


def hub(monkeypatch: pytest.MonkeyPatch, **splits: dict[str, list[Any]]) -> list[Any]:
    calls: list[Any] = []

    def load_dataset(*arguments: Any) -> dict[str, Split]:
        calls.append(arguments)
        if arguments[0] == "absent":
            raise ConnectionError("no network\nat all")
        return {name: Split(columns) for name, columns in splits.items()}

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return calls


def test_a_data_set_is_the_task_of_its_sentences(
    monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    calls = hub(monkeypatch, train={"text": LINES, "label": LINES[::-1]})
    assert task(dataset="news").fingerprint() == reference
    assert task(dataset="news:small", column="label").fingerprint() != reference
    assert calls == [("news", None), ("news", "small")]


def test_the_splits_of_a_data_set_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"train": LINES, "validation": corpus.sentences(20, 7), "test": corpus.sentences(30, 8)}
    hub(monkeypatch, **{name: {"text": part} for name, part in parts.items()})
    text = task(dataset="news")
    assert text.decode(text.test()) == [" ".join(words) for words in text.references()]
    assert [text.train_size(), len(text.validation()), len(text.test())] == [120, 20, 30]
    assert "random" not in text.note


def test_data_sets_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub(monkeypatch, train={"text": LINES, "label": [0, 1]})
    assert "has no column 'txt'; did you mean 'text'?" in refusal(dataset="news", column="txt")
    assert "'label' does not hold text in every row" in refusal(dataset="news", column="label")
    assert "text.dataset=absent cannot be loaded: ConnectionError: no network" in refusal(
        dataset="absent"
    )
    assert "text.train and text.dataset are both given" in refusal(dataset="news", train="x.txt")
    hub(monkeypatch, test={"text": LINES})
    assert "has no split named train; it has test" in refusal(dataset="news")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'textbench[datasets]'" in refusal(dataset="news")


# -- the command line -----------------------------------------------------------------------------


def test_warnings_come_before_training(tmp_path: Path) -> None:
    file = put(tmp_path / "poems.txt", plain(POEMS))
    options = f"--results {shlex.quote(str(tmp_path))} --set text.train={shlex.quote(file)}"
    line = f"run --algos mle --task text --dry-run {options}"
    result = CliRunner().invoke(cli, shlex.split(line))
    assert result.exit_code == 0
    assert "textbench: warning: text: every training sentence is one word" in result.stderr
    assert "nothing was started" in result.stdout
