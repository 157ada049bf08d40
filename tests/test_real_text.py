"""Real text against real text: what the published corpora give, where there are local copies."""

from __future__ import annotations

import pytest
import torch
from textbench.metrics.sentence_bleu import SentenceBLEU
from torch import Tensor

from textbench.randomness import stream
from textbench.task import UNKNOWN
from textbench.tasks import published
from textbench.tasks.corpora import EMNLPNews, PublishedCorpus

pytestmark = pytest.mark.shared


def local(kind: type[PublishedCorpus]) -> PublishedCorpus:
    if published.local_folder(kind.corpus) is None:
        pytest.skip(f"TEXTBENCH_DATA does not hold {kind.corpus.folder}/")
    return kind(kind.config_schema())


def corrupted(tokens: Tensor, rate: float) -> Tensor:
    """Replace words by words with their frequencies."""
    rng = stream(0, "tests", "corruption")
    is_word = tokens > UNKNOWN
    words = tokens[is_word]
    others = words[torch.randint(len(words), tokens.shape, generator=rng)]
    return torch.where(is_word & (torch.rand(tokens.shape, generator=rng) < rate), others, tokens)


def test_bleu_of_real_news_is_the_ceiling_that_was_measured_elsewhere() -> None:
    """9,000 held-out sentences against 10,000; a prototype of other hands gave these numbers."""
    task = local(EMNLPNews)
    bleu = SentenceBLEU(task.references())
    tokens = task.train(0, 0)
    found = bleu.scores(task.words(tokens)).mean(0)[1:]
    assert found == pytest.approx([0.846, 0.594, 0.360, 0.209], abs=1e-3)
    damaged = bleu.scores(task.words(corrupted(tokens, 0.2))).mean(0)[1:]
    assert damaged == pytest.approx([0.751, 0.444, 0.227, 0.122], abs=0.01)
