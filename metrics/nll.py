"""Likelihood metrics of CoT, Table 1, and their excesses over the entropy; nats per token.

NLL_oracle rewards samples that the oracle finds likely, so a generator that sharpens scores well;
NLL_test rewards covering the data. The excesses subtract the entropy, so that both are 0 for a
perfect generator whatever the oracle: KL(P ‖ G)/T = NLL_test − H(P) and
KL(G ‖ P)/T = NLL_oracle − H(G).
"""

from __future__ import annotations

from collections.abc import Callable

from textbench.contracts.evaluation import Evaluation
from textbench.contracts.metric import Metric, NotApplicableError, Values
from textbench.contracts.number import Number
from textbench.contracts.task import inside


def known(compute: Callable[[], float]) -> float | NotApplicableError:
    """Return a value, or why there is none: the others of its metric may exist all the same."""
    try:
        return compute()
    except NotApplicableError as error:
        return error


def _nll(of: str, what: str, *, headline: bool = False) -> Number:
    summary = f"{what} sequences, nats/token"
    return Number(f"nll_{of}", "lower", "nats/token", summary, headline)


class NLL(Metric):
    """Table 1's NLL_oracle = −E_G[log P(s)]/T and NLL_test = −E_P[log G(s)]/T (section 4.1).

    NLL_oracle asks how likely the oracle finds the generator's samples (SeqGAN). NLL_train is the
    generator's NLL of its own training sequences (of pass 0 where data is fresh), NLL_validation
    that of the validation sequences: what may choose a model, or say that it is good enough.
    """

    name = "nll"
    numbers = (
        _nll("oracle", "oracle's NLL of generated", headline=True),
        _nll("test", "generator's NLL of held-out", headline=True),
        _nll("train", "generator's NLL of training"),
        _nll("validation", "generator's NLL of validation"),
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version and the number of sequences."""
        train = min(evaluation.n, evaluation.task.train_size())
        try:
            validation = len(evaluation.task.validation())
        except NotApplicableError:
            validation = 0
        return {
            "nll_oracle": f"nll_oracle/1 {evaluation.sampling}",
            "nll_test": f"nll_test/1 n={len(evaluation.test)}",
            "nll_train": f"nll_train/1 n={train}",
            "nll_validation": f"nll_validation/1 n={validation}",
        }

    def compute(self, evaluation: Evaluation) -> Values:
        """Return the means over sequences and positions."""
        length = evaluation.task.length
        return {
            "nll_oracle": known(lambda: -float(evaluation.on_samples.log_b.mean()) / length),
            "nll_test": known(lambda: evaluation.test_nll),
            "nll_train": known(lambda: evaluation.train_nll),
            "nll_validation": known(lambda: evaluation.validation_nll),
        }


class NLLTestWord(Metric):
    """−E_P[log G(s)] per word: what follows the end of a sentence is not averaged in.

    Texts are shorter than their T slots, and end symbols after the first are all but certain, so
    `nll_test`, which the paper and Texygen report, is about half of this.
    """

    name = "nll_test_word"
    family = "text"
    direction = "lower"
    unit = "nats/word"
    summary = "generator's NLL of held-out text per word or end symbol, nats"

    def protocol(self, evaluation: Evaluation) -> str:
        """Return definition, version and the number of held-out sequences."""
        return f"nll_test_word/1 n={len(evaluation.test)}"

    def compute(self, evaluation: Evaluation) -> float:
        """Return the mean over the words and end symbols of the held-out sentences."""
        sentences = evaluation.text.test()[: evaluation.n]
        nll = evaluation.nll_of_test.cpu()
        return float(nll[inside(sentences)].mean())


class Excess(Metric):
    """What both NLLs exceed the entropies by, taken over the whole vocabulary at each prefix.

    KL(P ‖ G)/T = NLL_test − H(P) is the excess that MLE minimises; KL(G ‖ P)/T = NLL_oracle − H(G)
    is not lowered by sharpening alone. H(G)/T is taken at the generator's own prefixes.
    """

    name = "excess"
    numbers = (
        Number("generator_entropy", "none", "nats/token", "entropy of the generator, nats/token"),
        Number(
            "kl_forward",
            "lower",
            "nats/token",
            "KL(oracle || generator), nats/token: NLL_test minus the oracle's entropy",
        ),
        Number(
            "kl_reverse",
            "lower",
            "nats/token",
            "KL(generator || oracle), nats/token: NLL_oracle minus the generator's entropy",
        ),
    )

    def protocol(self, evaluation: Evaluation) -> dict[str, str]:
        """Return definition, version and the number of sequences."""
        held_out = f"n={len(evaluation.test)}"
        return {
            "generator_entropy": f"generator_entropy/1 full-vocabulary {evaluation.sampling}",
            "kl_forward": f"kl_forward/1 full-vocabulary {held_out}",
            "kl_reverse": f"kl_reverse/1 full-vocabulary {evaluation.sampling}",
        }

    def compute(self, evaluation: Evaluation) -> Values:
        """Return the means over prefixes: sampled ones, and held-out ones for `kl_forward`."""
        return {
            "generator_entropy": known(lambda: evaluation.entropy),
            "kl_forward": known(lambda: evaluation.on_test.kl),
            "kl_reverse": known(lambda: evaluation.on_samples.kl),
        }
