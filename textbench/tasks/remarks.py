"""What decides whether numbers on a corpus mean anything, said before anything is trained."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from textbench.tasks.sentences import Words

OFTEN = 0.05
"""From this share on, what is dropped, copied or held twice is worth a warning."""
UNKNOWN_OFTEN = 0.3
"""The same for words of the test sentences that are outside the vocabulary."""
FEW = 50
"""Fewer sentences than this measure little."""
ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d+);|<br ?/?>|</[A-Za-z][\w:-]*>")


def dropped(name: str, split: str, sentences: Sequence[Words], length: int, cut: bool) -> list[str]:
    """Return a warning where many sentences of a split are longer than T words.

    Args:
        name: The task, whose options are named.
        split: ``train``, ``valid`` or ``test``.
        sentences: Its sentences, the long ones included.
        length: T.
        cut: Whether they are cut instead of dropped.
    """
    long = sum(len(words) > length for words in sentences)
    if long <= OFTEN * len(sentences):
        return []
    longest = max(map(len, sentences))
    what = "cut" if cut else "dropped"
    return [
        f"{long:,} of {len(sentences):,} {split} sentences are longer than {length} words and were "
        f"{what}; {name}.length={longest} keeps all"
    ]


def words_of(name: str, train: Sequence[Words], tokeniser: str) -> list[str]:
    """Return warnings about how the training sentences are cut into words."""
    found = []
    single = sum(len(words) == 1 for words in train)
    if tokeniser != "character" and 2 * single > len(train):
        whose = "every training sentence is" if single == len(train) else "most sentences are"
        found.append(
            f"{whose} one word: a language without spaces? {name}.tokeniser=character makes every "
            "character a word"
        )
    entities = sum(any(map(ENTITY.search, words)) for words in train)
    if entities > OFTEN * len(train):
        found.append(
            f"{entities:,} training sentences hold HTML, such as &amp; or </p>, which is read as "
            "words: convert it first"
        )
    return found


def copies(train: Sequence[Words], validation: Sequence[Words], test: Sequence[Words]) -> list[str]:
    """Return warnings about sentences that are where they should not be, or there too often."""
    parts = {"train": train, "valid": validation, "test": test}
    keys = {split: [tuple(words) for words in part] for split, part in parts.items()}
    known = {split: set(part) for split, part in keys.items()}
    found = []
    for split, other in (("test", "train"), ("valid", "train"), ("test", "valid")):
        both = sum(key in known[other] for key in keys[split])
        if both > OFTEN * len(keys[split]):
            found.append(
                f"{both:,} of {len(keys[split]):,} {split} sentences occur in {other}: a memory of "
                "them counts as quality"
            )
    if 2 * len(known["train"]) < len(train):
        found.append(
            f"only {len(known['train']):,} of {len(train):,} training sentences are different"
        )
    return found


def alike(sentences: Sequence[Words], others: Sequence[Words] = ()) -> list[str]:
    """Return a warning where many sentences hold words that look like others and are not.

    An accent may be a character of its own or a part of its letter, and some characters do not
    show.

    Args:
        sentences: Those that are judged.
        others: Which decide how a word is written; by default they do it themselves.
    """
    forms: dict[str, set[str]] = {}
    for word in set(chain.from_iterable(chain(sentences, others))):
        forms.setdefault(_looks(word), set()).add(word)
    twins = [words for words in forms.values() if len(words) > 1]
    counts = Counter(chain.from_iterable(others or sentences)) if twins else Counter[str]()
    ordered = [sorted(words, key=lambda word: (-counts[word], word)) for words in twins]
    odd = {word for _, *rest in ordered for word in rest}
    held = sum(not odd.isdisjoint(words) for words in sentences)
    if held <= OFTEN * len(sentences):
        return []
    one, other, *_ = min(ordered)
    return [
        f"{held:,} of {len(sentences):,} sentences hold words that look like others and are not, "
        f"such as {one!a} and {other!a}: make their Unicode the same first (NFC, and without "
        "characters that do not show)"
    ]


def _looks(word: str) -> str:
    if word.isascii():
        return word
    shown = unicodedata.normalize("NFC", word)
    return "".join(c for c in shown if unicodedata.category(c) != "Cf")


def sizes(train: Sequence[Words], validation: Sequence[Words], test: Sequence[Words]) -> list[str]:
    """Return a warning where a split is very small."""
    parts = {"train": train, "valid": validation, "test": test}
    small = [f"{len(part)} {split}" for split, part in parts.items() if 0 < len(part) < FEW]
    if not small:
        return []
    return [f"{' and '.join(small)} sentences are few: differences on them are mostly chance"]


def unknown(name: str, share: float) -> list[str]:
    """Return a warning where many test words are outside the vocabulary.

    Args:
        name: The task, whose options are named.
        share: Of the test words.
    """
    if share < UNKNOWN_OFTEN:
        return []
    options = f"{name}.min_count, .max_vocabulary, .case and .tokeniser"
    if share == 1:
        return [f"no test word occurs in the vocabulary: BLEU is 0 for every row; see {options}"]
    return [f"{percent(share)} of the test words are outside the vocabulary; see {options}"]


def percent(share: float) -> str:
    """Return ``0.16 %``, ``4.1 %``, ``23 %``."""
    number = 100 * share
    return f"{number:.0f} %" if number >= 10 else f"{number:.2g} %"
