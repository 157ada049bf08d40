"""Sentences of other systems are scored as trained generators are, and can be rows beside them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import corpus
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from textbench.cli import cli
from textbench.plan import registry
from textbench.plan.resolve import Request, resolve_task
from textbench.run.score import GivenEvaluation, score
from textbench.store.directory import RunDirectory
from textbench.store.frames import load_results
from textbench.store.lock import Lock
from textbench.tasks.corpus import Corpus, CorpusConfig
from textbench.tasks.references import References

GOLDEN = Path(os.environ.get("TEXTBENCH_DATA", "/nowhere")) / "golden"
QUICK = "--metrics bleu,self_bleu,backward_bleu,lm_score,ngram_overlap,diversity,nll"

Call = Callable[[str], Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    for seed, (name, size) in enumerate({"train": 80, "valid": 20, "test": 40, "s0": 60}.items()):
        corpus.write(tmp_path / f"{name}.txt", corpus.sentences(size, seed))

    def run(line: str) -> Result:
        result = CliRunner().invoke(cli, shlex.split(line), prog_name="textbench")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


TEXT = "--task text --set text.train=train.txt --set text.valid=valid.txt --set text.test=test.txt"


def values(printed: str) -> dict[str, float]:
    found = re.findall(r"^  (\w+) +(-?[\d.]+)  \w", printed, flags=re.M)
    return {name: float(value) for name, value in found}


def test_a_tasks_own_training_sentences_score_as_its_row_of_real_text(
    call: Call, forked_workers: None
) -> None:
    """The same samples by two ways: as a file, and as the reference row `real`."""
    fast = "--set ewmd.steps=2 --set text.references=[]"
    done = call(f"run --algos real {TEXT} {fast} --device cpu --jobs 1")
    assert done.exit_code == 0, done.output
    result = call(f"score train.txt {TEXT} {QUICK} --name copy")
    assert result.exit_code == 0, result.output
    frame = load_results("results")
    frame = frame[frame["final"] & frame["value"].notna()]
    rows = {label: part.set_index("metric") for label, part in frame.groupby("label")}
    copy, real = rows["copy"], rows["real"]
    assert {"bleu4", "self_bleu3", "lm_score", "novelty", "ms_jaccard4"} <= set(copy.index)
    for metric in copy.index:
        assert copy["protocol"][metric] == real["protocol"][metric]
        assert copy["value"][metric] == pytest.approx(real["value"][metric], abs=1e-12)
    assert set(copy["task_fingerprint"]) == set(real["task_fingerprint"])


def test_against_reference_sentences_alone(call: Call) -> None:
    result = call(f"score s0.txt --references test.txt {QUICK}")
    assert result.exit_code == 0, result.output
    found = values(result.stdout)
    assert 0 < found["bleu2"] < 1 and found["mean_length"] > 4
    assert "nll_test: only samples were given, so there is no likelihood" in result.stdout
    assert "nll_train, novelty: no training sentences were given" in result.stdout
    assert not Path("results").exists()
    copy = values(call(f"score test.txt --references test.txt {QUICK}").stdout)
    assert copy["bleu5"] == copy["backward_bleu5"] == copy["ms_jaccard4"] == 1


def test_a_store_without_a_name_for_the_row_is_refused(call: Call) -> None:
    result = call(f"score s0.txt --references test.txt {QUICK} --results mine")
    assert result.exit_code == 2
    assert "--results: nothing is recorded without --name; give the row one" in result.stderr


def test_two_commands_at_once_take_two_seeds(call: Call, tmp_path: Path) -> None:
    corpus.write(tmp_path / "s1.txt", corpus.sentences(60, 9))
    more = ["--references", "test.txt", "--metrics", "bleu", "--name", "other"]
    assert call(shlex.join(["score", "s0.txt", *more])).exit_code == 0
    (folder,) = Path("results").glob("*/other")
    row = Lock(folder)
    assert row.acquire()
    line = [sys.executable, "-m", "textbench", "score", "s1.txt", *more]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as second:
        assert second.stderr is not None
        assert b"another process is recording other" in second.stderr.readline()
        assert [found["seed"] for found in json.loads(call("status --json").stdout)] == [0]
        row.release()
    assert second.returncode == 0
    assert sorted(found["seed"] for found in json.loads(call("status --json").stdout)) == [0, 1]


def test_files_are_seeds_and_what_is_recorded_is_sound(call: Call, tmp_path: Path) -> None:
    corpus.write(tmp_path / "s1.txt", corpus.sentences(60, 9))
    line = "score s0.txt s1.txt --references test.txt --metrics bleu,nll --name other"
    for _ in range(2):  # again: the same runs
        assert call(line).exit_code == 0
    rows = json.loads(call("status --json").stdout)
    assert [(row["label"], row["seed"], row["status"]) for row in rows] == [
        ("other", 0, "done"),
        ("other", 1, "done"),
    ]
    assert not any(row["stale"] for row in rows)
    assert call("status --verify").exit_code == 0
    frame = load_results("results")
    nll = frame[frame["metric"] == "nll_test"]
    assert nll["value"].isna().all() and len(nll) == 2
    assert set(nll["na_reason"]) == {"only samples were given, so there is no likelihood"}
    assert len(frame[frame["metric"] == "bleu2"]) == 2
    assert call("compare results results").exit_code == 0


def test_files_are_the_seeds_of_one_row_whenever_they_are_scored(
    call: Call, tmp_path: Path
) -> None:
    """Every file was a row of its own, so that no number of them made a row of three seeds."""
    for seed in range(1, 4):
        corpus.write(tmp_path / f"s{seed}.txt", corpus.sentences(60, 9 + seed))
    line = "--references test.txt --metrics bleu --name other"
    assert call(f"score s1.txt {line}").exit_code == 0
    assert call(f"score s2.txt s1.txt {line}").exit_code == 0  # s1.txt is on record as seed 0
    assert call(f"score s3.txt {line}").exit_code == 0
    assert call(f"score s2.txt s1.txt {line} --results again").exit_code == 0
    frame = load_results("results")
    assert sorted(frame["seed"].unique()) == [0, 1, 2] and frame["group"].nunique() == 1
    assert frame["run"].nunique() == 3
    assert set(load_results("again")["group"]) == set(frame["group"])
    assert "3 seeds of every row" in " ".join(call("report").output.split()) or (
        "Seeds: 3 of every row" in Path("reports/report.md").read_text("utf-8")
    )
    corpus.write(tmp_path / "other.txt", corpus.sentences(60, 77))
    elsewhere = line.replace("test.txt", "other.txt")  # other data: another row, from seed 0 on
    assert call(f"score s3.txt {elsewhere}").exit_code == 0
    rows = load_results("results").drop_duplicates("run")
    assert sorted(rows.groupby("task_fingerprint")["seed"].apply(list)) == [[0], [0, 1, 2]]
    result = call(f"score s1.txt s2.txt s1.txt {line}")
    assert result.exit_code == 2
    assert "s1.txt holds the sentences of s1.txt: a copy is no other seed" in result.stderr


def test_references_are_the_same_whatever_is_scored(call: Call, tmp_path: Path) -> None:
    """Their length was that of the longest sentence of all files: rows never met in a table."""
    (tmp_path / "long.txt").write_text("\n".join([" ".join(["word"] * 60)] * 3))
    for name in ("s0", "long"):
        result = call(f"score {name}.txt --references test.txt --metrics bleu --name {name}")
        assert result.exit_code == 0
    assert "3 of 3 sentences have more than T = " in result.stderr
    assert load_results("results")["task_fingerprint"].nunique() == 1


def test_words_that_only_look_like_those_of_the_references_are_told(
    call: Call, tmp_path: Path
) -> None:
    lines = [f"\u00e9t\u00e9 number {i}" for i in range(20)]
    (tmp_path / "composed.txt").write_text("\n".join(lines), "utf-8")
    decomposed = unicodedata.normalize("NFD", "\n".join(lines))
    (tmp_path / "decomposed.txt").write_text(decomposed, "utf-8")
    line = "--references composed.txt --metrics bleu"
    assert not call(f"score composed.txt {line}").stderr
    said = call(f"score decomposed.txt {line}").stderr
    assert "decomposed.txt: 20 of 20 sentences hold words that look like others and are" in said
    assert said.isascii() and said.count("\n") == 1


def test_what_is_not_computed_again_stays_on_record(call: Call) -> None:
    line = "score s0.txt --references test.txt --name other --metrics"
    assert call(f"{line} bleu,diversity").exit_code == 0
    before = load_results("results")
    again = call(f"{line} bleu,ngram_overlap")
    assert again.exit_code == 0
    assert re.search(r"^recorded: .*, with \d+ numbers of before$", again.stdout, flags=re.M)
    after = load_results("results")
    values = after.set_index("metric")["value"]
    pd.testing.assert_series_equal(
        values.reindex(before["metric"]), before.set_index("metric")["value"]
    )
    assert "ms_jaccard4" in values and "ms_jaccard4" not in set(before["metric"])
    assert call("status --verify").exit_code == 0
    (path,) = Path("results").glob("*/other/*/env.json")
    assert len(json.loads(path.read_text("utf-8"))["starts"]) == 2


def test_scoring_again_may_be_killed_at_any_write(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "score s0.txt --references test.txt --name other --metrics"
    assert call(f"{line} bleu").exit_code == 0
    expected = set(load_results("results")["metric"])
    real, left = RunDirectory.replace, 0

    def killed(self: RunDirectory, name: str, content: bytes, keep: str = "") -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise SystemExit(137)
        real(self, name, content, keep)

    monkeypatch.setattr(RunDirectory, "replace", killed)
    for number in range(20):
        left = number
        code = call(f"{line} diversity").exit_code
        assert call("status --verify").exit_code == 0
        assert expected <= set(load_results("results")["metric"])
        if code == 0:
            assert number > 4
            return
    pytest.fail("it never came to an end")


def test_tables_are_read_by_a_named_column(call: Call, tmp_path: Path) -> None:
    lines = corpus.sentences(30, 4)
    corpus.write(tmp_path / "plain.txt", lines)
    (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"1,{s}\n" for s in lines), "utf-8")
    (tmp_path / "a.txt.gz").write_bytes((tmp_path / "plain.txt").read_bytes())
    refused = call(f"score a.csv {TEXT} --metrics bleu")
    assert refused.exit_code == 2
    assert "a.csv is a table with the columns id, text: say which one, e.g. --column=text" in (
        refused.stderr
    )
    found = [
        values(call(f"score {file} {TEXT} --metrics bleu").stdout)
        for file in ("plain.txt", "a.csv --column text", "a.txt.gz")
    ]
    assert found[0] == found[1] == found[2] != {}
    assert "is not compressed" in call(f"score a.txt.gz {TEXT} --metrics bleu").stderr


def test_references_are_read_as_the_files_are(call: Call, tmp_path: Path) -> None:
    lines = corpus.sentences(30, 4)
    corpus.write(tmp_path / "plain.txt", lines)
    (tmp_path / "r.csv").write_text("id,text\n" + "".join(f"1,{s}\n" for s in lines), "utf-8")
    (tmp_path / "named.txt").write_bytes((tmp_path / "r.csv").read_bytes())
    (tmp_path / "macs.txt").write_text("\r".join(lines[:9]) + "\n" + "\n".join(lines[9:]), "utf-8")
    line = "score s0.txt --metrics bleu --references"
    assert "r.csv is a table with the columns id, text" in call(f"{line} r.csv").stderr
    found = values(call(f"{line} r.csv --column text").stdout)
    assert found == values(call(f"{line} plain.txt").stdout) != {}
    assert "macs.txt has 8 carriage returns within lines" in call(f"{line} macs.txt").stderr
    warned = call(f"{line} named.txt").stderr
    assert "named.txt looks like a table (csv: id, text)" in warned
    assert warned.endswith("; a file called .csv and --column text read one column\n")
    separated = "\u2028".join(lines)
    (tmp_path / "one.txt").write_text(separated, "utf-8")
    warned = call("score one.txt --references plain.txt --metrics bleu").stderr
    assert "FILE 1: one.txt has 29 line ends of another kind (U+2028) within lines" in warned


def test_a_row_of_given_sentences_has_no_generator_to_ask(call: Call) -> None:
    assert call("score s0.txt --references test.txt --metrics bleu --name theirs").exit_code == 0
    wrong = "are sentences of another system"
    for line, message in {
        "sample theirs": f"{wrong}; they have no generator",
        "evaluate theirs": f"{wrong}; they have no generator",
        "verify theirs": f"{wrong}: there is no training to make again",
        # It is not even asked.
        "evaluate": "no run in results is done but sentences of other systems, which",
    }.items():
        result = call(line)
        assert result.exit_code == 2
        assert message in result.stderr and result.stderr.count("\n") == 1


def test_tokeniser_and_options_of_metrics_act(call: Call) -> None:
    line = "score s0.txt --references test.txt --metrics diversity"
    words = values(call(line).stdout)["mean_length"]
    letters = values(call(f"{line} --set references.tokeniser=character").stdout)["mean_length"]
    assert letters > 3 * words
    few = call("score s0.txt --references test.txt --metrics ewmd_test --set ewmd.steps=2")
    assert "steps=2" in few.stdout and few.exit_code == 0


def test_an_option_at_its_default_is_no_change(call: Call) -> None:
    line = "score s0.txt --references test.txt --metrics diversity --name other"
    for more in ("", " --set ewmd.steps=2000", " --set ewmd.steps=7"):
        assert call(line + more).exit_code == 0
    runs = list(RunDirectory.find(Path("results")))
    specs = sorted((run.spec().metrics for run in runs), key=len)
    assert specs[0] == {} and len(specs) == 2
    assert specs[1]["ewmd"]["steps"] == 7 and len(specs[1]["ewmd"]) > 1, "resolved, all of them"


def test_long_sentences_are_counted_before_they_are_cut(call: Call, tmp_path: Path) -> None:
    lines = corpus.sentences(20, 3)
    lines[0] = " ".join(lines[:4])
    corpus.write(tmp_path / "long.txt", lines)
    result = call(f"score long.txt {TEXT} --metrics diversity")
    assert "1 of 20 sentences have more than T = " in result.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("s0.txt", "give either --task NAME or --references FILE"),
        ("s0.txt --task text --references test.txt", "give either --task NAME or --references"),
        ("s0.txt --references test.txt --column text", "no FILE is a table by its name"),
        ("s0.txt --task synthetic", "--task synthetic is not a corpus of sentences"),
        ("none.txt --references test.txt", "FILE 1: cannot read none.txt: No such file"),
        ("s0.txt --references none.txt", "--references: cannot read none.txt: No such file"),
        ("s0.txt --references test.txt --name mle", "--name mle is a trainer"),
        ("s0.txt --references test.txt --preset a/b", "unknown preset 'a/b'"),
        ("s0.txt --references test.txt --name a/b", "--name a/b: expected letters"),
        ("s0.txt --references test.txt --metrics blue", "unknown metric 'blue'; did you mean"),
        ("s0.txt --references test.txt --set mle.epochs=3", "--set mle: neither references nor"),
        ("s0.txt --references test.txt --set references.case=x", "references.case: Input should"),
        (f"s0.txt {TEXT} --set mle.epochs=3", "mle"),
    ],
)
def test_mistakes_are_one_line(call: Call, line: str, message: str) -> None:
    result = call(f"score {line}")
    assert result.exit_code == 2, result.output
    assert message in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a b\nc d\n".encode("utf-16-le"), "`iconv -f utf-16-le -t utf-8`"),
        ("d\xe9j\xe0 vu et plus\n".encode("latin-1"), "`iconv -f latin-1 -t utf-8`"),
        ("\u043c\u0438\u0440 \u0432\u0430\u043c\n".encode("koi8-r"), "`iconv -f NAME -t utf-8`: "),
    ],
)
@pytest.mark.parametrize("given", ["odd.txt --references test.txt", "s0.txt --references odd.txt"])
def test_another_encoding_is_no_option_of_a_task(
    call: Call, tmp_path: Path, content: bytes, says: str, given: str
) -> None:
    """There is no task whose option it could be: `FILE 1.encoding` would be nobody's."""
    (tmp_path / "odd.txt").write_bytes(content)
    result = call(f"score {given}")
    assert result.exit_code == 2 and says in result.stderr, result.output
    assert ".encoding" not in result.stderr


def test_unknown_words_are_words_of_no_reference(tmp_path: Path) -> None:
    task = References(CorpusConfig(), [["a", "b"], ["a", "c"]], 3)
    evaluation = GivenEvaluation(task, [["a", "z"], ["a", "b", "c", "a"]])
    assert evaluation.words == [["a", "z"], ["a", "b", "c", "a"]]
    assert task.words(evaluation.samples) == [["a", "<unk>"], ["a", "b", "c"]]
    kind = registry.load_metric("bleu")
    measured, _ = score(task, [["a", "z"]], [kind(kind.config_schema())])
    # One of two words, and no bigram: (1/2 * 0.1/1) ** (1/2).
    assert measured["bleu2"]["value"] == pytest.approx(0.05**0.5)


def test_a_task_is_resolved_as_a_run_resolves_it(call: Call) -> None:
    settings = [word for word in TEXT.split() if word.startswith("text.")]
    task, spec = resolve_task(Request(task="text", preset="quick", settings=settings))
    assert isinstance(task, Corpus)
    assert spec.task_fingerprint == task.fingerprint() and spec.task == "text"


@pytest.mark.shared
def test_texygens_published_samples_give_its_published_numbers(call: Call) -> None:
    samples = GOLDEN / "texygen_coco_mle_samples.txt"
    if not samples.is_file():
        pytest.skip("TEXTBENCH_DATA does not hold golden/")
    references = shlex.quote(str(GOLDEN / "texygen_test_coco.txt"))
    result = call(
        f"score {shlex.quote(str(samples))} --references {references} --metrics bleu,self_bleu "
        "--set references.tokeniser=nltk"
    )
    found = values(result.stdout)
    published = {"bleu": (0.731, 0.497, 0.305, 0.189), "self_bleu": (0.916, 0.769, 0.583, 0.408)}
    for name, numbers in published.items():
        for n, number in enumerate(numbers, start=2):
            assert found[f"{name}{n}"] == pytest.approx(number, abs=0.00105), f"{name}{n}"
