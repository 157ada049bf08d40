"""Text tasks: what is read, how it is encoded, what changes the fingerprint, what is refused."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import corpus
import pytest
import torch
from textbench.metrics.nll import NLL

from textbench.backbone.lstm import LSTMLanguageModel
from textbench.check.task_laboratory import not_for_training
from textbench.contracts.config import validate
from textbench.contracts.errors import UserError
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import NotApplicableError
from textbench.contracts.streams import stream
from textbench.contracts.task import END, UNKNOWN, inside
from textbench.tasks import corpora, published
from textbench.tasks.corpora import KJV, EMNLPNews, EMNLPNewsConfig, ImageCOCO, ImageCOCOConfig
from textbench.tasks.division import divide
from textbench.tasks.download import git_blob_id
from textbench.tasks.sentences import LONGEST_LINE, read_lines, tokenise
from textbench.tasks.text import Text, TextConfig
from textbench.tasks.vocabulary import Vocabulary


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Options that name three files of the generated corpus."""
    sizes = {"train": 120, "valid": 30, "test": 40}
    return {
        split: str(corpus.write(tmp_path / f"{split}.txt", corpus.sentences(size, seed)))
        for seed, (split, size) in enumerate(sizes.items())
    }


def task(**options: Any) -> Text:
    return Text(validate(TextConfig, options, "text"))


def refusal(**options: Any) -> str:
    with pytest.raises(UserError) as caught:
        task(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- reading --------------------------------------------------------------------------------


def test_bom_windows_line_ends_and_blank_lines_change_nothing(tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain.txt", tmp_path / "odd.txt"
    plain.write_bytes("a b\nc  d \n été .\n".encode())
    odd.write_bytes("\ufeffa b\r\n\r\nc \t d\r\n  \r\nété .".encode())
    assert read_lines(plain, "x") == read_lines(odd, "x") == ["a b", "c d", "été ."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no sentence"),
        (b" \n\r\n\t\n", "holds no sentence"),
        (b"\xef\xbb\xbf", "holds no sentence"),
        (b"good\nb\xe9d\n", "is not UTF-8: byte 0xe9 in line 2"),
        (b"a\n" + b"x" * 10_000_000, "line 2 .* has 10,000,000 characters; expected one sentence"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^text.train: .*{message}") as caught:
        read_lines(path, "text.train")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"text\.test: .* is a folder"):
        read_lines(tmp_path, "text.test")
    with pytest.raises(UserError, match=r"cannot read .*/absent: No such file"):
        read_lines(tmp_path / "absent", "text.test")


def test_the_longest_line_allowed_is_read(tmp_path: Path) -> None:
    path = corpus.write(tmp_path / "long.txt", ["x" * LONGEST_LINE])
    assert read_lines(path, "x") == ["x" * LONGEST_LINE]


def test_tokenisers() -> None:
    lines = ["Don't stop, OK?", "A a"]
    assert tokenise(lines, "whitespace", "keep") == [["Don't", "stop,", "OK?"], ["A", "a"]]
    assert tokenise(lines, "whitespace", "lower")[1] == ["a", "a"]
    nltk = tokenise(lines, "nltk", "lower")
    assert nltk == [["do", "n't", "stop", ",", "ok", "?"], ["a", "a"]]


# -- vocabulary -----------------------------------------------------------------------------

TINY = [["b", "a", "a"], ["c", "b", "a"], ["<unk>", "d"]]


def test_the_most_frequent_words_come_first_and_ties_are_alphabetical() -> None:
    assert Vocabulary(TINY).words == ["a", "b", "c", "d"]
    assert Vocabulary([["z", "y", "x", "z"]]).words == ["z", "x", "y"]
    assert Vocabulary(TINY, min_count=2).words == ["a", "b"]
    assert Vocabulary(TINY, max_size=3).words == ["a", "b", "c"]


def test_encoding_ends_pads_and_hides_unknown_words() -> None:
    vocabulary = Vocabulary(TINY, min_count=2)
    assert len(vocabulary) == 4
    tokens = vocabulary.encode([["b", "z", "a"], ["a"], ["<unk>", "b", "a", "a"]], 4)
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == [[3, UNKNOWN, 2, END], [2, END, END, END], [UNKNOWN, 3, 2, 2]]
    assert vocabulary.decode(tokens) == [["b", "<unk>", "a"], ["a"], ["<unk>", "b", "a", "a"]]


def test_what_follows_the_end_is_not_decoded() -> None:
    vocabulary = Vocabulary(TINY)
    tokens = torch.tensor([[2, END, 3, 4], [END, 2, 2, 2], [2, 3, 4, 5]])
    assert vocabulary.decode(tokens) == [["a"], [], ["a", "b", "c", "d"]]
    assert inside(tokens).tolist() == [
        [True, True, False, False],
        [True, False, False, False],
        [True, True, True, True],
    ]


def test_unknown_share() -> None:
    assert Vocabulary([["a"]]).unknown_share([["a", "b"], ["c", "a"]]) == 0.5


# -- the user's own files ---------------------------------------------------------------------


def test_three_files(files: dict[str, str]) -> None:
    text = task(**files)
    assert [len(text.train(0, 0)), len(text.validation()), len(text.test())] == [120, 30, 40]
    assert text.train_size() == 120
    assert text.length == 1 + max(len(s.split()) for s in corpus.sentences(120, 0))
    lines = corpus.sentences(40, 2)
    assert text.references() == [line.split() for line in lines]
    assert text.decode(text.test()) == lines  # no word of this test file is unknown
    assert torch.equal(text.train(0, 0), text.train(5, 3))
    assert text.note.startswith("120 / 30 / 40 sentences")
    assert text.vocab_size == int(text.train(0, 0).max()) + 1
    assert int(text.train(0, 0).max()) < text.vocab_size
    assert text.first_word == 2


@pytest.mark.parametrize(("longest", "length"), [(49, 50), (50, 51), (51, 51), (60, 51)])
def test_the_longest_sentence_and_its_end_fill_at_most_51_slots(
    longest: int, length: int, tmp_path: Path
) -> None:
    """The paper's limit; a sentence of 51 words is kept without its end, a longer one is not."""
    lines = [" ".join(["a"] * n) for n in (3, 5, longest)]
    files = {
        part: str(corpus.write(tmp_path / part, lines if part == "train" else ["a b"]))
        for part in ("train", "valid", "test")
    }
    text = task(**files)
    assert (text.length, text.train_size()) == (length, 3 if longest <= 51 else 2)


def test_one_file_is_divided_and_copies_stay_together(tmp_path: Path) -> None:
    lines = corpus.sentences(300)
    text = task(train=str(corpus.write(tmp_path / "all.txt", lines)))
    parts = [text.decode(t) for t in (text.train(0, 0), text.validation(), text.test())]
    assert sorted(chain.from_iterable(parts)) == sorted(lines)
    train, valid, test = map(set, parts)
    assert not (train & valid or train & test or valid & test)
    assert len(valid) == len(test) == round(0.1 * len(set(lines)))
    assert parts[0] == [line for line in lines if line in train]  # the file's order
    assert "test is a random 10% of text.train" in text.note


def test_each_part_has_its_own_share(tmp_path: Path) -> None:
    lines = [f"a b {n}" for n in range(100)]
    path = str(corpus.write(tmp_path / "all.txt", lines))
    text = task(train=path, valid_share=0.2, test_share=0.05)
    assert [text.train_size(), len(text.validation()), len(text.test())] == [75, 20, 5]


def test_every_kind_of_mark_stays_with_its_character() -> None:
    """A vowel sign that takes room (Mc), one that takes none (Mn), and one around (Me)."""
    lines = ["\u0915\u093f\u0915", "e\u0301a", "1\u20dd2"]
    words = [["\u0915\u093f", "\u0915"], ["e\u0301", "a"], ["1\u20dd", "2"]]
    assert tokenise(lines, "character", "keep") == words


def test_the_division_depends_on_its_seed_only() -> None:
    lines = corpus.sentences(100)
    shares = {"valid": 0.1, "test": 0.2}
    assert divide(lines, shares, 0, "x") == divide(lines, shares, 0, "x")
    assert divide(lines, shares, 0, "x") != divide(lines, shares, 1, "x")


def test_options_that_change_numbers_change_the_fingerprint(files: dict[str, str]) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"length": 20},
        {"min_count": 20},
        {"max_vocabulary": 5},
        {"min_length": 8},
        {"length": 7, "too_long": "cut"},
        {"length": 7, "too_long": "drop"},
        {"length": 6, "too_long": "cut"},
        {"test": files["valid"]},
        {"valid": files["test"]},
    ]
    prints = [task(**{**files, **change}).fingerprint() for change in changes]
    assert len(set(prints)) == len(changes)
    assert task(**files).fingerprint() == prints[0]


def test_case_is_part_of_the_fingerprint(tmp_path: Path, files: dict[str, str]) -> None:
    shouted = [line.replace("cat", "Cat") for line in corpus.sentences(120, 0)]
    files["train"] = str(corpus.write(tmp_path / "shouted.txt", shouted))
    assert task(**files).fingerprint() != task(**files, case="lower").fingerprint()


def test_where_the_files_are_is_not_part_of_it(tmp_path: Path, files: dict[str, str]) -> None:
    moved = {split: tmp_path / "elsewhere" / f"{split}.txt" for split in files}
    (tmp_path / "elsewhere").mkdir()
    for split, path in moved.items():
        content = Path(files[split]).read_text(encoding="utf-8")
        path.write_bytes(("\ufeff" + content.replace("\n", "\r\n")).encode())
    other = task(**{split: str(path) for split, path in moved.items()})
    assert other.fingerprint() == task(**files).fingerprint()


def test_a_test_word_outside_the_vocabulary_changes_it(files: dict[str, str]) -> None:
    """It is <unk> in the tokens, yet a word of its own in the references of BLEU."""
    before = task(**files).fingerprint()
    path = Path(files["test"])
    first = path.read_text(encoding="utf-8").replace("today", "zzz")
    path.write_text(first, encoding="utf-8")
    one = task(**files)
    path.write_text(first.replace("zzz", "yyy"), encoding="utf-8")
    two = task(**files)
    assert torch.equal(one.test(), two.test())
    assert len({before, one.fingerprint(), two.fingerprint()}) == 3
    assert "of the test words are outside the vocabulary" in one.note


def test_long_and_short_sentences_are_counted(files: dict[str, str]) -> None:
    lengths = [len(s.split()) for s in corpus.sentences(120, 0)]
    dropped = task(**files, length=8, min_length=8)
    kept = sum(n == 8 for n in lengths)
    assert dropped.train_size() == kept < 120
    assert f"{sum(n > 8 for n in lengths):,} of train longer than 8 words dropped" in dropped.note
    assert f"{sum(n < 8 for n in lengths):,} of train shorter than 8 dropped" in dropped.note
    cut = task(**files, length=8, too_long="cut")
    assert cut.train_size() == 120
    assert int((cut.train(0, 0) == END).sum(1).min()) == 0  # the length ends it
    assert "of train longer than 8 words cut" in cut.note


def test_test_sentences_in_the_training_file_are_counted(files: dict[str, str]) -> None:
    train = Path(files["train"]).read_text(encoding="utf-8").splitlines()
    test = Path(files["test"])
    test.write_text(test.read_text(encoding="utf-8") + train[0] + "\n", encoding="utf-8")
    shared = sum(line in set(train) for line in test.read_text(encoding="utf-8").splitlines())
    assert f"{shared} test sentences occur in train" in task(**files).note


def test_reference_rows(files: dict[str, str]) -> None:
    assert task(**files).reference_rows() is None
    assert task(**files, references=["mle"]).reference_rows() == ["mle"]
    assert task(**files, references=[]).reference_rows() == []


def test_what_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    assert "text.train is missing" in refusal()
    assert "every test sentence occurs in the training" in refusal(
        **{**files, "test": files["train"]}
    )
    assert "no word occurs 999 times" in refusal(**files, min_count=999)
    assert "no sentence of train has 1 to 2 words" in refusal(**files, length=2)
    assert "no sentence of train has 60 to 10 words" in refusal(**files, min_length=60, length=10)
    one = str(corpus.write(tmp_path / "one.txt", ["just one sentence"]))
    assert "1 different sentence is too few to split off 1 for valid and 1 for test" in refusal(
        train=one
    )
    assert "too few to split off 1 for valid" in refusal(train=one, test=files["test"])
    joined = str(corpus.write(tmp_path / "joined.txt", ["\u2028".join(["a b", "c d"] * 9)]))
    assert "has 17 line ends of another kind (U+2028) within lines" in refusal(train=joined)
    assert "text.valid: " in refusal(**{**files, "valid": str(tmp_path)})


def test_one_sentence_of_one_word_is_a_task(tmp_path: Path) -> None:
    """A vocabulary of one word, and test sentences of unknown words only, are results."""
    paths = {
        split: str(corpus.write(tmp_path / f"{split}.txt", [line]))
        for split, line in (("train", "a"), ("valid", "a"), ("test", "b c"))
    }
    text = task(**paths, length=2)
    assert text.vocab_size == 3
    assert text.train(0, 0).tolist() == [[2, END]]
    assert text.test().tolist() == [[UNKNOWN, UNKNOWN]]
    assert text.references() == [["b", "c"]]
    assert "1e+02 % of the test words" not in text.note
    assert "100 % of the test words are outside the vocabulary" in text.note


# -- published corpora ------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of local copies, laid out like the published corpora."""
    monkeypatch.delenv("TEXTBENCH_DATA", raising=False)
    monkeypatch.setenv("TEXTBENCH_CACHE", str(tmp_path / "cache"))
    for folder in ("emnlp", "coco"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for seed, (split, size) in enumerate((("train", 50), ("valid", 10), ("test", 20))):
            corpus.write(tmp_path / "data" / folder / f"{split}.txt", corpus.sentences(size, seed))
    return tmp_path / "data"


def news(**options: Any) -> EMNLPNews:
    return EMNLPNews(validate(EMNLPNewsConfig, options, "emnlp_news"))


def test_local_copies_that_differ_are_named_with_their_sizes(local: Path) -> None:
    text = news(dir=str(local))
    assert (text.length, text.train_size(), len(text.test())) == (51, 50, 20)
    assert "train is not the published file: 50 lines (published: 268,586)" in text.note
    assert "test is not the published file: 20 lines (published: 10,000)" in text.note


def test_a_published_file_is_not_named(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (local / "emnlp" / "test.txt").read_bytes()
    known = published.EMNLP_NEWS.files["test"]._replace(sha256="", git_blob=git_blob_id(content))
    files = {**published.EMNLP_NEWS.files, "test": known}
    monkeypatch.setattr(EMNLPNews, "corpus", published.EMNLP_NEWS._replace(files=files))
    note = news(dir=str(local)).note
    assert "train is not the published file" in note
    assert "test is not" not in note


def test_the_environment_names_the_folder_too(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTBENCH_DATA", str(local))
    assert news().fingerprint() == news(dir=str(local)).fingerprint()


def test_files_of_two_sources_are_never_mixed(local: Path) -> None:
    (local / "emnlp" / "valid.txt").unlink()
    with pytest.raises(UserError, match=r"emnlp_news: .*valid\.txt is missing"):
        news(dir=str(local))
    with pytest.raises(UserError, match=r"emnlp_news\.dir: .* is not a folder"):
        news(dir=str(local / "nowhere"))


def test_coco_has_no_published_validation_file(local: Path) -> None:
    config = validate(ImageCOCOConfig, {"dir": str(local)}, "image_coco")
    assert "valid is not the published file: 10 lines (none is published)" in ImageCOCO(config).note
    (local / "coco" / "valid.txt").unlink()
    whole = ImageCOCO(config)
    assert whole.train_size() == 50 and "50 / 0 / " in whole.note
    with pytest.raises(NotApplicableError, match="image_coco has no validation sentences"):
        whole.validation()
    assert not_for_training(whole).keys() == {"test"}  # what `check` looks at
    kept = whole.kept()
    assert ImageCOCO.restored(config, kept).fingerprint() == whole.fingerprint()
    divided = ImageCOCO(config.model_copy(update={"valid_share": 0.1}))
    assert "valid is a random 10% of train" in divided.note
    assert divided.train_size() + len(divided.validation()) == 50
    assert len(divided.validation()) >= 5  # copies of a sentence stay together


def test_without_validation_sentences_the_other_likelihoods_are_there(local: Path) -> None:
    (local / "coco" / "valid.txt").unlink()
    whole = ImageCOCO(validate(ImageCOCOConfig, {"dir": str(local), "length": 12}, "image_coco"))
    generator = LSTMLanguageModel(whole.vocab_size, whole.length, 3, 4)
    generator.initialise(stream(0, "initialise"))
    found = NLL().compute(Evaluation(generator, whole, seed=0, moment="epoch 0", samples=20))
    assert isinstance(found["nll_test"], float) and isinstance(found["nll_train"], float)
    assert str(found["nll_validation"]) == "image_coco has no validation sentences"


def test_the_news_comma_before_a_quotation_mark() -> None:
    assert corpora.clean('he said ,"no') == 'he said , "no'


def test_kjv_is_read_from_its_package_as_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verses = [
        f'{{"text": "And {line[:-2]}: selah; {i}."}}' for i, line in enumerate(corpus.sentences(80))
    ]
    path = corpus.write(tmp_path / "kjv.jsonl", verses)
    monkeypatch.setattr(corpora, "kjv_file", lambda: path)
    text = KJV(validate(KJV.config_schema, {"min_count": 1}, "kjv"))
    assert (text.train_size(), len(text.validation()), len(text.test())) == (60, 4, 16)
    assert text.references()[0][-4:-2] == ["selah", ";"]
    path.write_text('{"verse": 1}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"task kjv: .* is not what was expected: 'text'"):
        KJV(KJV.config_schema())


@pytest.mark.skipif(find_spec("bible") is None, reason="the extra kjv is not installed")
def test_kjv_as_its_package_ships_it() -> None:
    """`tox` installs the extra; there is no download."""
    text = KJV(KJV.config_schema())
    assert text.decode(text.test()[:1])[0].startswith("And God said , Let the waters under")
    assert (text.length, text.vocab_size) == (51, 4644)
    assert text.note.startswith("21,758 / 1,441 / 5,754 sentences")


def test_kjv_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise corpora.PackageNotFoundError(name)

    monkeypatch.setattr(corpora, "distribution", absent)
    with pytest.raises(UserError, match=r"task kjv needs an extra: pip install 'textbench\[kjv\]'"):
        corpora.kjv_file()


@pytest.mark.shared
def test_the_local_copy_of_the_news_test_set_is_the_published_one() -> None:
    if published.local_folder(published.EMNLP_NEWS) is None:
        pytest.skip("TEXTBENCH_DATA does not hold emnlp/")
    assert "test" not in published.find(published.EMNLP_NEWS).unpublished
