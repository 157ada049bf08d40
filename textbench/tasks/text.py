"""Text as a task: a user's own files, or a data set of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from textbench.contracts.errors import UserError
from textbench.tasks.corpus import Corpus, CorpusConfig, Splits
from textbench.tasks.division import divide
from textbench.tasks.hub import read_dataset
from textbench.tasks.sentences import not_blank, read_lines


class TextConfig(CorpusConfig):
    """Options of `text`."""

    train: str = ""
    """File of training sentences, one a line; .gz, .csv, .tsv and .jsonl are read, too."""
    valid: str = ""
    """File of validation sentences; without one, a part of the training file."""
    test: str = ""
    """File of test sentences; without one, a part of the training file."""
    dataset: str = ""
    """Instead of files: a data set of the Hugging Face hub, NAME or NAME:CONFIGURATION (extra
    [datasets])."""
    column: str = ""
    """Which column of a table, key of JSON lines, or column of the data set is read."""
    format: Literal["auto", "lines", "csv", "tsv", "jsonl"] = "auto"
    """What the files are; auto goes by their names."""
    encoding: str = ""
    """Encoding of the files; by default UTF-8, or what a byte order mark says."""
    valid_share: float = Field(0.1, gt=0, lt=1)
    """Which part of the training file validates where there is no file for it."""
    test_share: float = Field(0.1, gt=0, lt=1)
    """Which part of the training file tests where there is no file for it."""
    split_seed: int = Field(0, ge=0)
    """Seed of that division; copies of one sentence stay together."""


class Text(Corpus[TextConfig]):
    """Your own text: --set text.train=FILE, and text.test=FILE or a random part of the first."""

    name = "text"
    config_schema = TextConfig

    def read(self) -> Splits:
        """See `Corpus.read`."""
        config = self.config
        said: list[str] = []
        given = self._dataset() if config.dataset else self._files(said)
        shares = {"valid": config.valid_share, "test": config.test_share}
        shares = {split: share for split, share in shares.items() if split not in given}
        source = "text.dataset" if config.dataset else "text.train"
        try:
            parts = divide(given["train"], shares, config.split_seed, source)
        except UserError as error:  # perhaps for what was noticed in reading
            raise UserError("; ".join([str(error), *said])) from None
        notes = [f"{split} is a random {share:.0%} of {source}" for split, share in shares.items()]
        parts = given | parts
        return Splits(parts["train"], parts["valid"], parts["test"], tuple(notes), tuple(said))

    def _files(self, said: list[str]) -> dict[str, list[str]]:
        config = self.config
        if not config.train:
            raise UserError("text.train is missing: --set text.train=FILE, one sentence a line")
        how = {"encoding": config.encoding, "form": config.format, "column": config.column}
        return {
            split: read_lines(Path(file).expanduser(), f"text.{split}", **how, said=said)
            for split in ("train", "valid", "test")
            if (file := getattr(config, split))
        }

    def _dataset(self) -> dict[str, list[str]]:
        config = self.config
        files = [split for split in ("train", "valid", "test") if getattr(config, split)]
        if files:
            raise UserError(f"text.{files[0]} and text.dataset are both given; give one of them")
        read = read_dataset(config.dataset, config.column)
        return {
            split: not_blank(part, f"text.dataset={config.dataset}, {split}")
            for split, part in read.items()
        }
