"""Speed of BLEU at the size of a table: 10,000 sentences against 10,000, orders 2 to 5.

Run with ``pytest tests/bench --benchmark-enable``; the test suite runs each once, unmeasured, on
fewer sentences. Where the package fast-bleu is installed it is timed beside ours.
"""

from __future__ import annotations

import random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from textbench.metrics.sentence_bleu import SentenceBLEU

Words = list[str]
N = 10_000
VOCABULARY = [f"w{i}" for i in range(5000)]
WEIGHTS = [1 / (rank + 3) for rank in range(len(VOCABULARY))]


def sentences(n: int, seed: int) -> list[Words]:
    """Draw n sentences of 20 to 36 words with Zipf's frequencies, as news have them."""
    rng = random.Random(seed)  # noqa: S311 - a benchmark, not a secret
    lengths = [rng.randint(20, 36) for _ in range(n)]
    words = iter(rng.choices(VOCABULARY, WEIGHTS, k=sum(lengths)))
    return [[next(words) for _ in range(length)] for length in lengths]


@pytest.fixture(scope="module")
def corpora(request: pytest.FixtureRequest) -> tuple[list[Words], list[Words]]:
    n = N if request.config.getoption("benchmark_enable", default=False) else 100
    return sentences(n, 0), sentences(n, 1)


def test_bleu_2_to_5(benchmark: BenchmarkFixture, corpora: tuple[list[Words], list[Words]]) -> None:
    hypotheses, references = corpora
    scores = benchmark(lambda: SentenceBLEU(references).scores(hypotheses))
    assert scores.shape == (len(hypotheses), 5)


def test_self_bleu_2_to_5(
    benchmark: BenchmarkFixture, corpora: tuple[list[Words], list[Words]]
) -> None:
    scores = benchmark(lambda: SentenceBLEU(corpora[0]).leave_one_out())
    assert scores.shape == (len(corpora[0]), 5)


def test_fast_bleu_2_to_5(
    benchmark: BenchmarkFixture, corpora: tuple[list[Words], list[Words]]
) -> None:
    fast_bleu = pytest.importorskip("fast_bleu")
    hypotheses, references = corpora
    weights = {n: (1 / n,) * n for n in range(2, 6)}
    scores = benchmark.pedantic(
        lambda: fast_bleu.BLEU(references, weights).get_score(hypotheses), rounds=1
    )
    ours = SentenceBLEU(references).scores(hypotheses)
    for n in range(2, 6):
        assert scores[n] == pytest.approx(ours[:, n - 1].tolist(), abs=1e-6)
