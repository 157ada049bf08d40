"""Splitting a corpus that comes as one file."""

from __future__ import annotations

from collections.abc import Sequence

from textbench.contracts.errors import UserError
from textbench.contracts.streams import numpy_stream


def divide(
    lines: Sequence[str], shares: dict[str, float], seed: int, what: str
) -> dict[str, list[str]]:
    """Split parts off at random; what is left is ``train``. Order within a part is the file's.

    Args:
        lines: Sentences; copies of one sentence go to one part.
        shares: Name and size of each part, as a share of the distinct sentences.
        seed: Names the random order.
        what: The option that named the file, for messages.

    Raises:
        UserError: There are too few sentences.
    """
    distinct = list(dict.fromkeys(lines))
    sizes = {part: max(1, round(share * len(distinct))) for part, share in shares.items()}
    if sum(sizes.values()) >= len(distinct):
        raise UserError(
            f"{what}: {len(distinct)} different sentence{'s are' * (len(distinct) != 1)}"
            f"{' is' * (len(distinct) == 1)} too few to split off "
            f"{' and '.join(f'{size} for {part}' for part, size in sizes.items())}"
        )
    order = numpy_stream(seed, "split").permutation(len(distinct)).tolist()
    place: dict[str, str] = {}
    for part, size in sizes.items():
        for number in order[:size]:
            place[distinct[number]] = part
        order = order[size:]
    parts: dict[str, list[str]] = {part: [] for part in ("train", *shares)}
    for line in lines:
        parts[place.get(line, "train")].append(line)
    return parts
