"""Promises about the generator: that its samples and its likelihood are of one and the same law."""

from __future__ import annotations

import torch
from torch import Tensor

from textbench.backbone.generator import Generator
from textbench.backbone.scoring import blocks
from textbench.check.laboratory import Laboratory, Record
from textbench.check.promise import Check, Violation
from textbench.contracts.streams import stream
from textbench.run.measure import undisturbed

CLOSE = 1e-3
"""Nats by which two computations of one log-probability may differ in float32."""
BATCH = 6
SAMPLES = 2000
"""Sequences that are drawn to test the law, if the vocabulary is not too large for it."""
NUMBERS = 40_000_000
"""Log-probabilities that the test of the law computes at most."""
STATISTICS = 8
"""Random functions of a symbol whose means are compared, besides its log-probability."""
LARGEST_Z = 6.0
"""Standard errors that a mean may be off; by chance, once in half a billion."""
ALPHAS = (1.0, 2.0)


def log_probs(laboratory: Laboratory, record: Record) -> str:
    """The shape is (B, T, V), every row is a distribution, and gradients flow."""
    generator, tokens = record.generator, _tokens(record.generator)
    with undisturbed(generator):
        found = generator.log_probs(tokens)
    expected = (*tokens.shape, generator.vocab_size)
    if found.shape != expected or not found.is_floating_point():
        raise Violation(
            f"log_probs has shape {tuple(found.shape)}, {found.dtype}",
            f"shape {expected}, floating point",
        )
    if not found.isfinite().all():
        raise Violation(
            "log_probs holds values that are not finite", "every symbol has some probability"
        )
    off = float(found.detach().logsumexp(-1).abs().max())
    if off > CLOSE:
        raise Violation(
            f"probabilities add up to exp({off:+.4f}) somewhere", "a log_softmax over the symbols"
        )
    learns = any(parameter.requires_grad for parameter in generator.parameters())
    if learns and not found.requires_grad:
        raise Violation("log_probs carries no gradient", "a differentiable function of parameters")
    _linear_output(generator, tokens, found.detach())
    way = "differentiable" if learns else "without parameters that ask for a gradient"
    return f"{expected}, normalised to {off:.0e}, {way}"


@torch.no_grad()
def _linear_output(generator: Generator, tokens: Tensor, log_probs: Tensor) -> None:
    """Compare the output layer that evaluation goes by, if there is one."""
    with undisturbed(generator):
        output = generator.linear_output(tokens)
    if output is None:
        return
    logits = output.hidden @ output.weight.t() + output.bias
    off = float((logits.log_softmax(1).view_as(log_probs) - log_probs).abs().max())
    if not off <= CLOSE:  # NaN is no agreement
        raise Violation(
            f"linear_output and log_probs differ by {off:.4f} nats", "one law, or no linear_output"
        )


@torch.no_grad()
def causality(laboratory: Laboratory, record: Record) -> str:
    """What G gives to x_t depends on x_<t alone: not on x_t, nor on the rest of the batch."""
    generator, tokens = record.generator, _tokens(record.generator)
    with undisturbed(generator):
        found = generator.log_probs(tokens)
        for t in range(tokens.shape[1]):
            changed = tokens.clone()
            changed[:, t:] = (changed[:, t:] + 1) % generator.vocab_size
            off = (generator.log_probs(changed)[:, : t + 1] - found[:, : t + 1]).abs()
            if float(off.max()) > CLOSE:
                position = int(off.amax((0, 2)).gt(CLOSE).nonzero()[0])
                raise Violation(
                    f"log_probs at position {position} changes with the symbol at position "
                    f"{t} or later",
                    "position t depends on the symbols before t only",
                )
        off_alone = (generator.log_probs(tokens[:1]) - found[:1]).abs().max()
        if float(off_alone) > CLOSE:
            raise Violation(
                "a sequence scores otherwise alone than in a batch", "rows do not see one another"
            )
    return f"no position of {tokens.shape[1]} sees itself, a later one, or another row"


def sampling(laboratory: Laboratory, record: Record) -> str:
    """Samples have the right form, and depend on the given stream alone."""
    generator, n = record.generator, 5
    with undisturbed(generator):
        before = torch.get_rng_state()
        one, again = (generator.sample(n, _rng("sample")) for _ in range(2))
        other = generator.sample(64, _rng("another"))
        single = generator.sample(1, _rng("sample"))
        moved = not torch.equal(before, torch.get_rng_state())
    for drawn, size in ((one, n), (single, 1)):
        if drawn.shape != (size, generator.length) or drawn.dtype != torch.int64:
            raise Violation(
                f"sample({size}) has shape {tuple(drawn.shape)}, {drawn.dtype}",
                f"shape {(size, generator.length)}, int64",
            )
    if int(other.min()) < 0 or int(other.max()) >= generator.vocab_size:
        raise Violation(
            f"samples hold symbols from {int(other.min())} to {int(other.max())}",
            f"0 to {generator.vocab_size - 1}",
        )
    if not torch.equal(one, again) or moved:
        raise Violation("samples depend on more than the given rng", "all draws from that rng")
    if torch.equal(generator.sample(64, _rng("sample")), other):
        raise Violation("samples do not depend on the given rng", "all draws from that rng")
    return f"({n}, {generator.length}) int64 in [0, {generator.vocab_size}), from the given rng"


@torch.no_grad()
def law(laboratory: Laboratory, record: Record) -> str:
    """Symbols are drawn with the probabilities that log_probs states, at any temperature."""
    generator = record.generator
    largest = 0.0
    n = max(64, min(SAMPLES, NUMBERS // (generator.length * generator.vocab_size)))
    with undisturbed(generator):
        for alpha in ALPHAS:
            drawn = generator.sample(n, _rng("law", alpha), inverse_temperature=alpha)
            z = deviations(generator, drawn, alpha)
            largest = max(largest, float(z.abs().max()))
            if largest > LARGEST_Z:
                position = int(z.abs().amax(1).argmax())
                raise Violation(
                    f"{n} samples at inverse temperature {alpha:g} deviate from log_probs by "
                    f"{largest:.0f} standard errors at position {position}",
                    f"at most {LARGEST_Z:g}",
                )
    return f"{n} samples within {largest:.1f} standard errors of log_probs, at {ALPHAS} as well"


def deviations(generator: Generator, drawn: Tensor, alpha: float = 1.0) -> Tensor:
    """Return how far means over samples ``(N, T)`` lie from their exact expectations.

    For a function f of a symbol, f(x_t) − Σ_v G(v | x_<t) f(v) has mean 0 whatever the prefix;
    its variance is known too. f is the log-probability, and random signs.

    Returns:
        Standard errors, ``(T, 1 + STATISTICS)``; 0 where there is nothing random.
    """
    signs = torch.randint(2, (generator.vocab_size, STATISTICS), generator=_rng("signs")) * 2.0 - 1
    shape = (drawn.shape[1], 1 + STATISTICS)
    off, variance = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
    for part in blocks(drawn, generator.vocab_size):
        log_p = (alpha * generator.log_probs(part)).log_softmax(-1).double()
        p = log_p.exp()
        chosen = part.unsqueeze(2)
        for k in range(1 + STATISTICS):
            f = log_p if k == 0 else signs[:, k - 1].double().expand_as(p)
            mean = (p * f).sum(-1)
            off[:, k] += (f.gather(2, chosen).squeeze(2) - mean).sum(0)
            variance[:, k] += ((p * f * f).sum(-1) - mean**2).clamp(min=0).sum(0)
    return torch.where(variance > 1.0, off / variance.clamp(min=1.0).sqrt(), 0.0)


def _rng(*names: object) -> torch.Generator:
    return stream(0, "check", *names)


def _tokens(generator: Generator) -> Tensor:
    size = (BATCH, generator.length)
    return torch.randint(generator.vocab_size, size, generator=_rng("tokens"))


CHECKS = (
    Check("log_probs", log_probs),
    Check("causality", causality, needs=("log_probs",)),
    Check("sampling", sampling),
    Check("law", law, needs=("causality", "sampling")),
)
