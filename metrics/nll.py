"""Likelihood metrics of CoT, Table 1, and their excesses over the entropy; nats per token.

NLL_oracle rewards samples that the oracle finds likely, so a generator that sharpens scores well;
NLL_test rewards covering the data. The excesses subtract the entropy, so that both are 0 for a
perfect generator whatever the oracle: KL(P ‖ G)/T = NLL_test − H(P) and
KL(G ‖ P)/T = NLL_oracle − H(G).
"""

from __future__ import annotations

from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric
from textbench.contracts.task import inside


class NLLOracle(Metric):
    """−E_G[log P(s)]/T: how likely the oracle finds the generator's samples (SeqGAN)."""

    name = "nll_oracle"
    direction = "lower"
    headline = True
    summary = "oracle's NLL of generated sequences, nats/token"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and sample size."""
        return f"nll_oracle/1 {evaluation.sampling}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over samples and positions."""
        return -float(evaluation.on_samples.log_b.mean()) / evaluation.task.length


class NLLTest(Metric):
    """−E_P[log G(s)]/T on held-out sequences (CoT, section 4.1)."""

    name = "nll_test"
    direction = "lower"
    headline = True
    summary = "generator's NLL of held-out sequences, nats/token"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and the number of held-out sequences."""
        return f"nll_test/1 n={len(evaluation.test)}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over held-out sequences and positions."""
        return evaluation.test_nll


class NLLTestWord(Metric):
    """−E_P[log G(s)] per word: what follows the end of a sentence is not averaged in.

    Texts are shorter than their T slots, and end symbols after the first are all but certain, so
    `nll_test`, which the paper and Texygen report, is about half of this.
    """

    name = "nll_test_word"
    family = "text"
    direction = "lower"
    summary = "generator's NLL of held-out text per word or end symbol, nats"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and the number of held-out sequences."""
        return f"nll_test_word/1 n={len(evaluation.test)}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over the words and end symbols of the held-out sentences."""
        sentences = evaluation.text.test()[: evaluation.n]
        nll = evaluation.nll_of_test.cpu()
        return float(nll[inside(sentences)].mean())


class NLLTrain(Metric):
    """The generator's NLL of its own training sequences (of pass 0 where data is fresh)."""

    name = "nll_train"
    direction = "lower"
    summary = "generator's NLL of training sequences, nats/token"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and the number of training sequences."""
        return f"nll_train/1 n={min(evaluation.n, evaluation.task.train_size())}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over training sequences and positions."""
        return evaluation.train_nll


class GeneratorEntropy(Metric):
    """H(G)/T, expectation over the vocabulary at the generator's own prefixes."""

    name = "generator_entropy"
    direction = "none"
    summary = "entropy of the generator, nats/token"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and sample size."""
        return f"generator_entropy/1 full-vocabulary {evaluation.sampling}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over sampled prefixes."""
        return evaluation.entropy


class KLForward(Metric):
    """KL(P ‖ G)/T = NLL_test − H(P): the excess that MLE minimises."""

    name = "kl_forward"
    direction = "lower"
    summary = "KL(oracle || generator), nats/token: NLL_test minus the oracle's entropy"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and the number of held-out sequences."""
        return f"kl_forward/1 full-vocabulary n={len(evaluation.test)}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over held-out prefixes of KL(P_t ‖ G_t)."""
        return evaluation.on_test.kl


class KLReverse(Metric):
    """KL(G ‖ P)/T = NLL_oracle − H(G): sharpening alone does not lower it."""

    name = "kl_reverse"
    direction = "lower"
    summary = "KL(generator || oracle), nats/token: NLL_oracle minus the generator's entropy"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and sample size."""
        return f"kl_reverse/1 full-vocabulary {evaluation.sampling}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over sampled prefixes of KL(G_t ‖ P_t)."""
        return evaluation.on_samples.kl
