"""A task of reference sentences alone: for scoring samples of other systems, not for training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from torch import Tensor

from textbench.contracts.metric import NotApplicableError
from textbench.contracts.spec import digest
from textbench.contracts.task import TextTask
from textbench.tasks.corpus import ENCODING_VERSION, CorpusConfig
from textbench.tasks.sentences import Words
from textbench.tasks.vocabulary import Vocabulary


class References(TextTask[CorpusConfig]):
    """Test sentences, whose words are the vocabulary; there are no others.

    Args:
        config: How sentences are cut into words.
        sentences: The references, as words.
        length: T, slots per sentence.
    """

    name = "references"
    config_schema = CorpusConfig

    def __init__(self, config: CorpusConfig, sentences: Sequence[Words], length: int) -> None:
        super().__init__(config)
        self.vocabulary = Vocabulary(sentences)
        self.vocab_size, self.length = len(self.vocabulary), length
        self._references = list(sentences)
        self._test = self.vocabulary.encode([words[:length] for words in sentences], length)
        self.note = f"{len(sentences):,} reference sentences, no training sentences"

    def fingerprint(self) -> str:
        """See `Task.fingerprint`."""
        tokens = hashlib.sha256(self._test.numpy().astype("<i8").tobytes()).hexdigest()
        words = [self.vocabulary.words, self._references]
        return digest({"references": ENCODING_VERSION, "tokens": tokens, "words": words})

    def train(self, seed: int, number: int) -> Tensor:
        """Refuse.

        Raises:
            NotApplicableError: Always.
        """
        raise NotApplicableError("no training sentences were given")

    def train_size(self) -> int:
        """Return 0."""
        return 0

    def validation(self) -> Tensor:
        """Refuse.

        Raises:
            NotApplicableError: Always.
        """
        raise NotApplicableError("no validation sentences were given")

    def test(self) -> Tensor:
        """See `Task.test`."""
        return self._test

    def words(self, tokens: Tensor) -> list[Words]:
        """See `TextTask.words`."""
        return self.vocabulary.decode(tokens)

    def references(self) -> list[Words]:
        """See `TextTask.references`."""
        return self._references
